//! What is said of wrong lines.

use super::*;
use crate::config::draft::{Draft, Origin};
use crate::config::settings::{ScopeSettings, ServerSettings};

fn fault(directive: &str, arguments: &str) -> String {
    let (mut draft, mut scope, mut server) =
        (Draft::default(), ScopeSettings::default(), ServerSettings::default());
    let mut place = Place {
        draft: &mut draft,
        scope: &mut scope,
        server: &mut server,
        which: None,
        in_section: false,
        origin: Origin::default(),
    };
    let fault = find(directive).unwrap().apply(&mut place, arguments).unwrap_err();
    fault.to_string()
}

#[test]
fn a_wrong_line_says_what_was_expected_and_what_was_found() {
    for (directive, arguments, message) in [
        (
            "CopyTarget",
            "",
            "expected a URL with its scheme, as http://host[:port][/path], found nothing",
        ),
        (
            "CopyTarget",
            "ftp://s/",
            "expected the scheme http, https, h2c, h2 or balancer, found 'ftp://s/'",
        ),
        (
            "CopyTarget",
            "http://s/ speed=9",
            "expected one of the keys name=, min=, max=, timeout=, connectiontimeout=, ttl=, \
             queue=, failures=, retry=, path=, bindaddress=, proxy=, status=, methods=, body=, sample=, samplekey=, env=, \
             expr=, rate=, adapt=, found 'speed=9'",
        ),
        ("CopyTarget", "http://s/ status=E", "status=: expected D, found 'E'"),
        ("CopyTarget", "http://s/ max=0", "max=: expected a number from 1 to 10000, found '0'"),
        ("CopyTarget", "http://s/ max", "max=: expected a number from 1 to 10000, found nothing"),
        (
            "CopyTarget",
            "http://s/ timeout=fast",
            "timeout=: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found 'fast'",
        ),
        (
            "CopyTarget",
            "http://s/ failures=-1",
            "failures=: expected a number from 0 to 10000, found '-1'",
        ),
        (
            "CopyTarget",
            "http://s/ retry=0",
            "retry=: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found '0'",
        ),
        ("CopyTarget", "http://s/ path=cut", "path=: expected append or replace, found 'cut'"),
        (
            "CopyTarget",
            "http://s/ min=9 max=3",
            "expected min= no greater than max=, found 'min=9 max=3'",
        ),
        ("CopyTarget", "http://s/ max=3 max=4", "expected max= once, found 'max=4'"),
        (
            "CopyTarget",
            "http://s/ name=off",
            "name=: expected 1 to 64 letters, digits, -, _ or ., and not On or Off, found 'off'",
        ),
        ("MirrorRequest", "", "expected On, Off, or the URLs and names of targets, found nothing"),
        ("MirrorRequest", "a On", "expected On or Off alone, or a list of targets, found 'a On'"),
        (
            "MirrorRequest",
            "staging.internal.net/api",
            "expected a URL with its scheme, as http://host[:port][/path], \
             found 'staging.internal.net/api'",
        ),
        (
            "MirrorRequest",
            "a max=3",
            "expected one of the keys methods=, body=, sample=, samplekey=, env=, expr=, \
             rate=, adapt=, found 'max=3'",
        ),
        (
            "MirrorRequest",
            "sample=3%",
            "expected the URL or name of a target for the rule, found 'sample=3%'",
        ),
        (
            "CopyTarget",
            "http://s/ methods=GET,",
            "methods=: expected methods, as GET,HEAD, found 'GET,'",
        ),
        ("CopyTarget", "http://s/ body=no", "body=: expected on or off, found 'no'"),
        (
            "CopyTarget",
            "http://s/ sample=0%",
            "sample=: expected a share from 0.001% to 100% with at most 3 decimals, found '0%'",
        ),
        ("CopyTarget", "http://s/ samplekey=", "samplekey=: expected an expression, found nothing"),
        (
            "CopyTarget",
            "http://s/ env=!",
            "env=: expected a variable's name, perhaps after !, found '!'",
        ),
        ("CopyTarget", "http://s/ expr=", "expr=: expected an expression, found nothing"),
        (
            "CopyTarget",
            "http://s/ env=A \"expr=true\"",
            "expected one condition, env= or expr=, found 'true'",
        ),
        (
            "CopyTarget",
            "http://s/ rate=0/s",
            "rate=: expected a rate from 1/s to 1000000/s, found '0/s'",
        ),
        ("CopyTarget", "http://s/ adapt=1", "adapt=: expected on or off, found '1'"),
        (
            "CopyReceiveBufferSize",
            "511",
            "expected 0, or a size from 512 to 1G, as 65536, 64K or 1M, found '511'",
        ),
        ("CopyPreserveHost", "maybe", "expected On or Off, found 'maybe'"),
        ("CopyPreserveHost", "On Off", "expected On or Off, found 'On Off'"),
        ("CopyDrainTimeout", "7s", "expected a time from 1ms to 6s, found '7s'"),
        ("CopyMemory", "1K", "expected a size from 64K to 64G, as 65536, 64K or 1M, found '1K'"),
    ] {
        assert_eq!(fault(directive, arguments), message, "{directive} {arguments}");
    }
}

#[test]
fn directives_are_found_whatever_their_case() {
    assert_eq!(find("copytarget").unwrap().name, c"CopyTarget");
    assert!(find("CopyTargets").is_none());
}
