//! The one table of directives: it feeds httpd's command table, the README's reference and the tests.

use std::ffi::CStr;
use std::path::PathBuf;
use std::time::Duration;

use super::draft::Place;
use super::rules::{self, RULE_KEYS};
use super::values::{self, Fault};
use crate::select::Rule;
use crate::target::{Destination, PathMode, Target};
use crate::tls;

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The server configuration alone, outside of virtual hosts.
    Server,
    /// The server configuration and virtual hosts.
    VirtualHost,
    /// Those, and the sections in them: `<Location>`, `<Directory>`, `<Files>`, `<If>` …
    Directory,
}

impl Context {
    /// The contexts as httpd's manual lists them.
    pub fn manual(self) -> &'static str {
        match self {
            Context::Server => "server config",
            Context::VirtualHost => "server config, virtual host",
            Context::Directory => "server config, virtual host, directory",
        }
    }
}

/// One directive of the module.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static CStr,
    /// Its arguments, as the reference shows them.
    pub arguments: &'static str,
    /// What holds where it is not written.
    pub default: &'static str,
    /// Where it may stand.
    pub context: Context,
    /// What it does, in one sentence; shown by `httpd -L`, and in the reference.
    pub help: &'static CStr,
    apply: fn(&mut Place<'_>, &str) -> Result<(), Fault>,
}

impl Directive {
    /// Takes the directive's arguments into the configuration.
    pub fn apply(&self, place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
        place.server.sections |= place.in_section;
        (self.apply)(place, arguments)
    }
}

/// Every directive, in the order of the reference.
pub static DIRECTIVES: [Directive; 14] = [
    Directive {
        name: c"CopyTarget",
        arguments: "URL [key=value …] [env=[!]VAR | \"expr=…\"]",
        default: "",
        context: Context::Directory,
        help: c"Copies the scope's requests to staging: http[s]://host[:port][/path], or the members of balancer://name[/path]",
        apply: copy_target,
    },
    Directive {
        name: c"MirrorRequest",
        arguments: "On | Off | URL-or-name … [rule-key=value …] [env=[!]VAR | \"expr=…\"]",
        default: "On where a target is in scope",
        context: Context::Directory,
        help:
            c"Switches copying on or off in the scope, or says which targets receive its requests",
        apply: mirror_request,
    },
    Directive {
        name: c"CopyTimeout",
        arguments: "time",
        default: "ProxyTimeout where mod_proxy has one, else 5s",
        context: Context::VirtualHost,
        help: c"How long the whole exchange of a copy with staging may take",
        apply: |place, arguments| {
            place.server.timeout = Some(values::time(&values::single(arguments, "one time")?)?);
            Ok(())
        },
    },
    Directive {
        name: c"CopyConnectTimeout",
        arguments: "time",
        default: "1s",
        context: Context::VirtualHost,
        help: c"How long making a connection to staging may take",
        apply: |place, arguments| {
            let time = values::time(&values::single(arguments, "one time")?)?;
            place.server.connect_timeout = Some(time);
            Ok(())
        },
    },
    Directive {
        name: c"CopyPreserveHost",
        arguments: "On | Off",
        default: "ProxyPreserveHost where mod_proxy has one, else Off",
        context: Context::Directory,
        help: c"Whether staging sees the client's Host field instead of its own name",
        apply: |place, arguments| {
            place.scope.preserve_host = Some(switch(arguments)?);
            Ok(())
        },
    },
    Directive {
        name: c"CopyAddHeaders",
        arguments: "On | Off",
        default: "On",
        context: Context::Directory,
        help: c"Whether copies carry X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto",
        apply: |place, arguments| {
            place.scope.add_headers = Some(switch(arguments)?);
            Ok(())
        },
    },
    Directive {
        name: c"CopyBodyLimit",
        arguments: "size",
        default: "1M",
        context: Context::Directory,
        help: c"The largest request body that is copied; 0 copies only requests without one",
        apply: |place, arguments| {
            let size = values::size(&values::single(arguments, "one size")?, 0..=1 << 30)?;
            place.scope.body_limit = Some(size);
            place.server.largest_body = place.server.largest_body.max(Some(size));
            Ok(())
        },
    },
    Directive {
        name: c"CopyMemory",
        arguments: "size",
        default: "64M",
        context: Context::Server,
        help: c"The most memory that all copies of one child process may take",
        apply: |place, arguments| {
            let size = values::single(arguments, "one size")?;
            place.draft.memory = Some(values::size(&size, 64 << 10..=64 << 30)?);
            Ok(())
        },
    },
    Directive {
        name: c"CopyDrainTimeout",
        arguments: "time",
        default: "2s",
        context: Context::Server,
        help: c"How long a child that ends goes on sending the copies it still has, at most 6s",
        apply: |place, arguments| {
            let text = values::single(arguments, "one time")?;
            let time = values::time(&text)?;
            // httpd kills a child 9 s after the signal.
            if time > Duration::from_secs(6) {
                return Err(Fault::new("a time from 1ms to 6s", text));
            }
            place.draft.drain_timeout = Some(time);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSVerify",
        arguments: "On | Off",
        default: "On",
        context: Context::VirtualHost,
        help: c"Whether an https target must prove by its certificate that it is who it should be",
        apply: |place, arguments| {
            place.tls().verify = Some(switch(arguments)?);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSCACertificateFile",
        arguments: "file",
        default: "the system's",
        context: Context::VirtualHost,
        help: c"The certificates, in PEM, of the CAs that https targets are verified with",
        apply: |place, arguments| {
            let file = file(place, arguments)?;
            tls::check_roots(&file).map_err(Fault::said)?;
            place.tls().roots = Some(file);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSCertificateFile",
        arguments: "file",
        default: "",
        context: Context::VirtualHost,
        help: c"The certificate, in PEM with its chain, that is shown to https targets that ask for one",
        apply: |place, arguments| {
            let file = file(place, arguments)?;
            tls::check_certificates(&file).map_err(Fault::said)?;
            place.tls().certificate = Some(file);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSCertificateKeyFile",
        arguments: "file",
        default: "CopyTLSCertificateFile",
        context: Context::VirtualHost,
        help: c"The private key, in PEM and not encrypted, of that certificate",
        apply: |place, arguments| {
            let file = file(place, arguments)?;
            tls::check_key(&file).map_err(Fault::said)?;
            place.tls().key = Some(file);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSServerName",
        arguments: "name",
        default: "the host of the target's URL",
        context: Context::VirtualHost,
        help: c"The name that https targets are asked for (SNI), and that their certificate must have",
        apply: |place, arguments| {
            let name = values::single(arguments, "one host name")?;
            if !tls::is_server_name(&name) {
                return Err(Fault::new("a host name", name));
            }
            place.tls().server_name = Some(name);
            Ok(())
        },
    },
];

fn file(place: &Place<'_>, arguments: &str) -> Result<PathBuf, Fault> {
    Ok(place.file(&values::single(arguments, "one file")?))
}

/// The directive of that name, letter case aside.
pub fn find(name: &str) -> Option<&'static Directive> {
    let named =
        |directive: &&Directive| directive.name.to_bytes().eq_ignore_ascii_case(name.as_bytes());
    DIRECTIVES.iter().find(named)
}

/// The keys of a `CopyTarget` line: name, value and default as the reference shows them, and meaning.
pub const TARGET_KEYS: [(&str, &str, &str, &str); 10] = [
    ("name", "text", "the URL", "what counters, log lines and `MirrorRequest` call the target"),
    ("min", "1 to 10000", "1", "threads kept when idle, in each child process"),
    (
        "max",
        "1 to 10000",
        "20",
        "the most connections, each with one copy in flight, and the most threads, in each child process",
    ),
    ("timeout", "time", "`CopyTimeout`", "the whole exchange"),
    ("connectiontimeout", "time", "`CopyConnectTimeout`", "making a connection"),
    ("ttl", "time", "60s", "how long an idle connection, and an idle thread above `min`, is kept"),
    ("queue", "1 to 1000000", "1024", "the most copies that wait, in each child process"),
    (
        "failures",
        "0 to 10000",
        "5",
        "so many failures in a row, over all child processes, open the breaker: copies are dropped; 0 switches it off",
    ),
    ("retry", "time", "10s", "how long an open breaker drops copies before one is sent as a probe"),
    (
        "path",
        "`append` or `replace`",
        "append",
        "whether the URL's path goes before the request's, or takes its place",
    ),
];

fn switch(arguments: &str) -> Result<bool, Fault> {
    let word = values::single(arguments, "On or Off")?;
    values::switch(&word).ok_or_else(|| Fault::new("On or Off", word))
}

fn copy_target(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    let mut words = values::keyed_words(arguments).into_iter();
    let url = words.next().unwrap_or_default();
    let mut target =
        Target::at(Destination::parse(&url).map_err(|expected| Fault::new(expected, url))?);
    let mut keys = Keys::default();
    for word in words {
        let (key, value) = keys.take(&word, &|| {
            let targets = TARGET_KEYS.iter().chain(&RULE_KEYS);
            targets.map(|(known, ..)| *known).collect()
        })?;
        if rules::has(key) {
            keys.set_rule(place, key, value)?;
        } else {
            set_key(&mut target, key, value).map_err(|fault| fault.at_key(key))?;
        }
    }
    if target.pool.min > target.pool.max {
        let found = format!("min={} max={}", target.pool.min, target.pool.max);
        return Err(Fault::new("min= no greater than max=", found));
    }
    place.define(target, keys.rule)
}

/// The `key=value` words of a line, as they are read.
#[derive(Default)]
struct Keys {
    seen: Vec<String>,
    rule: Rule,
}

impl Keys {
    /// Takes a word apart; its key is one of `known`, and was not met before.
    fn take<'a>(
        &mut self,
        word: &'a str,
        known: &dyn Fn() -> Vec<&'static str>,
    ) -> Result<(&'a str, &'a str), Fault> {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        if self.seen.iter().any(|seen| seen == key) {
            return Err(Fault::new(format!("{key}= once"), word));
        }
        let known = known();
        if !known.contains(&key) {
            let known: Vec<String> = known.iter().map(|known| format!("{known}=")).collect();
            return Err(Fault::new(format!("one of the keys {}", known.join(", ")), word));
        }
        self.seen.push(key.to_owned());
        Ok((key, value))
    }

    fn set_rule(&mut self, place: &mut Place<'_>, key: &str, value: &str) -> Result<(), Fault> {
        let before = self.rule.condition.take();
        rules::set(&mut self.rule, place.draft, key, value).map_err(|fault| fault.at_key(key))?;
        match (before, &self.rule.condition) {
            (Some(_), Some(_)) => Err(Fault::new("one condition, env= or expr=", value)),
            (before, None) => {
                self.rule.condition = before;
                Ok(())
            }
            (None, Some(_)) => Ok(()),
        }
    }
}

fn set_key(target: &mut Target, key: &str, value: &str) -> Result<(), Fault> {
    match key {
        "name" => target.name = name(value)?,
        "min" => target.pool.min = values::number(value, 1..=10_000)?,
        "max" => {
            target.pool.max = values::number(value, 1..=10_000)?;
        }
        "timeout" => target.timeout = Some(values::time(value)?),
        "connectiontimeout" => target.connect_timeout = Some(values::time(value)?),
        "ttl" => target.pool.ttl = values::time(value)?,
        "queue" => target.pool.queue = values::number(value, 1..=1_000_000)?,
        "failures" => {
            let failures = values::number(value, 0..=10_000)?;
            target.breaker.failures = u32::try_from(failures).unwrap_or(u32::MAX);
        }
        "retry" => target.breaker.retry = values::time(value)?,
        "path" => {
            target.path = match value {
                "append" => PathMode::Append,
                "replace" => PathMode::Replace,
                _ => return Err(Fault::new("append or replace", value)),
            }
        }
        _ => return Err(Fault::new("a known key", key)),
    }
    Ok(())
}

fn name(value: &str) -> Result<String, Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=64).contains(&value.len()) && value.chars().all(allowed);
    // What MirrorRequest could not tell from a switch is no name.
    if !fits || values::switch(value).is_some() {
        return Err(Fault::new("1 to 64 letters, digits, -, _ or ., and not On or Off", value));
    }
    Ok(value.to_owned())
}

fn mirror_request(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "On, Off, or the URLs and names of targets";
    let words = values::keyed_words(arguments);
    let on = match words.as_slice() {
        [] => return Err(Fault::new(EXPECTED, "")),
        [word] => values::switch(word),
        _ => None,
    };
    if place.scope.mirror.is_some_and(|said| said != on.unwrap_or(true)) {
        let expected = "no MirrorRequest that contradicts another one in the same scope";
        return Err(Fault::new(expected, arguments.trim()));
    }
    if on.is_none() {
        select(place, &words, arguments.trim())?;
    }
    place.scope.mirror = Some(on.unwrap_or(true));
    Ok(())
}

/// Puts the targets that these words name in scope, with the rule that the keys among them make.
fn select(place: &mut Place<'_>, words: &[String], arguments: &str) -> Result<(), Fault> {
    let mut keys = Keys::default();
    let mut names = Vec::new();
    for word in words {
        if is_keyed(word) {
            let known = || RULE_KEYS.iter().map(|(known, ..)| *known).collect();
            let (key, value) = keys.take(word, &known)?;
            keys.set_rule(place, key, value)?;
        } else if values::switch(word).is_some() {
            return Err(Fault::new("On or Off alone, or a list of targets", arguments));
        } else {
            if word.contains([':', '/']) {
                Destination::parse(word).map_err(|expected| Fault::new(expected, word))?;
            }
            names.push(word);
        }
    }
    if names.is_empty() {
        return Err(Fault::new("the URL or name of a target for the rule", arguments));
    }
    names.into_iter().for_each(|name| place.select(name, keys.rule.clone()));
    Ok(())
}

/// Whether a word is a key and its value: no name has a `=`, and no URL one before its `:`.
fn is_keyed(word: &str) -> bool {
    word.split_once('=').is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
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
                "expected the scheme http, https or balancer, found 'ftp://s/'",
            ),
            (
                "CopyTarget",
                "http://s/ speed=9",
                "expected one of the keys name=, min=, max=, timeout=, connectiontimeout=, ttl=, \
                 queue=, failures=, retry=, path=, methods=, body=, sample=, samplekey=, env=, \
                 expr=, rate=, adapt=, found 'speed=9'",
            ),
            ("CopyTarget", "http://s/ max=0", "max=: expected a number from 1 to 10000, found '0'"),
            (
                "CopyTarget",
                "http://s/ max",
                "max=: expected a number from 1 to 10000, found nothing",
            ),
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
            (
                "MirrorRequest",
                "",
                "expected On, Off, or the URLs and names of targets, found nothing",
            ),
            (
                "MirrorRequest",
                "a On",
                "expected On or Off alone, or a list of targets, found 'a On'",
            ),
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
            (
                "CopyTarget",
                "http://s/ samplekey=",
                "samplekey=: expected an expression, found nothing",
            ),
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
            ("CopyPreserveHost", "maybe", "expected On or Off, found 'maybe'"),
            ("CopyPreserveHost", "On Off", "expected On or Off, found 'On Off'"),
            ("CopyDrainTimeout", "7s", "expected a time from 1ms to 6s, found '7s'"),
            (
                "CopyMemory",
                "1K",
                "expected a size from 64K to 64G, as 65536, 64K or 1M, found '1K'",
            ),
        ] {
            assert_eq!(fault(directive, arguments), message, "{directive} {arguments}");
        }
    }

    #[test]
    fn directives_are_found_whatever_their_case() {
        assert_eq!(find("copytarget").unwrap().name, c"CopyTarget");
        assert!(find("CopyTargets").is_none());
    }
}
