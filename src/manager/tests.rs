//! What changes are read, from whom they are taken, and what they do.

use super::sender::Sender;
use super::*;
use crate::breaker::{Rules, Sign, State};
use crate::select::Overrides;
use crate::stats::tests::segment;
use std::time::Duration;

fn form(content: &str) -> Result<Change, Refusal> {
    Change::read(Form::Browser, content.as_bytes())
}

fn said<T: fmt::Debug>(result: Result<T, Refusal>) -> String {
    let Refusal(_, why) = result.unwrap_err();
    why
}

#[test]
fn a_form_and_a_json_object_say_the_same() {
    let of_form =
        form("nonce=n&target=http%3A%2F%2Fa%2F&switch=off&sample=2.5%25&rate=7%2Fs").unwrap();
    let json = br#"{"nonce":"n","target":"http://a/","switch":"off","sample":"2.5%","rate":7}"#;
    assert_eq!(Change::read(Form::Json, json).unwrap(), of_form);
    let expected = [Act::Switch(false), Act::Sample(Share::of(2_500)), Act::Rate(Rate::of(7))];
    assert_eq!(
        (of_form.acts.as_slice(), of_form.target.as_deref()),
        (&expected[..], Some("http://a/"))
    );
    assert_eq!(form("sample=&rate=configured").unwrap().acts, [Act::Sample(None), Act::Rate(None)]);
}

#[test]
fn what_makes_no_sense_is_refused_with_what_was_expected() {
    for (content, expected) in [
        ("nonce=n", "switch, sample, rate, breaker, comparisons or configured is expected"),
        ("comparisons=all", "comparisons is forget"),
        ("switch=maybe", "switch is on or off"),
        ("sample=0%25", "sample is a share from 0.001% to 100% with at most 3 decimals"),
        ("sample=10", "sample is a share from 0.001% to 100% with at most 3 decimals"),
        ("sample=100.001%25", "sample is a share from 0.001% to 100% with at most 3 decimals"),
        ("sample=1.0001%25", "sample is a share from 0.001% to 100% with at most 3 decimals"),
        ("rate=0", "rate is a rate from 1/s to 1000000/s"),
        ("rate=1000001", "rate is a rate from 1/s to 1000000/s"),
        ("rate=-1", "rate is a rate from 1/s to 1000000/s"),
        ("breaker=open", "breaker is reset"),
        ("configured=1", "configured is all"),
        ("<script>=1", "a field has no meaning here"),
    ] {
        assert_eq!(said(form(content)), format!("Nothing was changed: {expected}."), "{content}");
    }
    for (content, expected) in [
        ("[]", "no JSON object"),
        ("{", "the content is not JSON"),
        (r#"{"switch":null}"#, "switch is no text"),
    ] {
        let refused = said(Change::read(Form::Json, content.as_bytes()));
        assert_eq!(refused, format!("Nothing was changed: {expected}."));
    }
    assert_eq!(Form::of("application/json; charset=utf-8"), Ok(Form::Json));
    assert_eq!(Form::of("text/plain").unwrap_err().0, 415);
    assert_eq!(Form::of("").unwrap_err().0, 415);
}

#[test]
fn a_change_is_made_to_the_target_it_names_or_to_all_and_told() {
    let segment = segment(1);
    let [a, b] = ["a", "b"].map(|name| segment.slot(name).unwrap());
    let make = |content: &str| form(content).unwrap().make(&segment, None, ["a", "b"].into_iter());
    let on = || [a, b].map(|slot| segment.steering(slot).is_on());
    assert_eq!(make("target=a&switch=off").unwrap(), ["a: switched off (was on)"]);
    assert_eq!(on(), [false, true]);
    assert_eq!(
        make("switch=off").unwrap(),
        ["a: switched off (was off)", "b: switched off (was on)"]
    );
    assert_eq!(on(), [false, false]);
    assert_eq!(
        make("target=b&sample=5%25&rate=9").unwrap(),
        ["b: sample 5% (was as configured), rate 9/s (was as configured)"]
    );
    let set = Overrides { sample: Share::of(5_000), rate: Rate::of(9) };
    assert_eq!(segment.steering(b).overrides(), set);
    make("configured=all").unwrap();
    assert_eq!(on(), [true, true]);
    assert_eq!(segment.steering(b).overrides(), Overrides::default());
    assert_eq!(make("target=c&switch=off").unwrap_err().0, 404);
    assert_eq!(make("target=&switch=off").unwrap_err().0, 404, "an empty name is not all");
}

#[test]
fn where_one_target_cannot_be_changed_none_is() {
    let segment = segment(1);
    let slot = segment.slot("a").unwrap();
    let make = |content: &str| form(content).unwrap().make(&segment, None, ["a", "b"].into_iter());
    for content in ["switch=off", "target=b&switch=off"] {
        let Refusal(status, why) = make(content).unwrap_err();
        assert_eq!(status, 503);
        assert_eq!(why, "Nothing was changed: b has no counters, nor switches.");
        assert!(segment.steering(slot).is_on());
    }
    assert!(make("target=a&switch=off").is_ok());
}

#[test]
fn a_breaker_is_closed_by_hand() {
    let segment = segment(1);
    let slot = segment.slot("a").unwrap();
    let breaker = segment.breaker(slot);
    breaker.configure(Rules { failures: 1, retry: Duration::from_secs(3600) }, 0);
    let reset = || form("breaker=reset").unwrap().make(&segment, None, ["a"].into_iter()).unwrap();
    assert_eq!(reset(), ["a: breaker was closed already"]);
    breaker.report(breaker.admit(clock::now).unwrap(), Sign::Gone, clock::now).unwrap();
    assert!(!breaker.would_admit(clock::now));
    assert_eq!(reset(), ["a: breaker closed"]);
    assert!(breaker.would_admit(clock::now));
    assert_eq!(breaker.snapshot().state, Some(State::Closed { failures: 0 }));
}

const NONCES: [&str; 2] = ["0123", "0123"];

fn check(sender: Sender<'_>, form: Form) -> Result<(), Refusal> {
    sender.check(form, NONCES, |name| name.eq_ignore_ascii_case("www.example.com"))
}

#[test]
fn our_own_page_and_programs_that_know_the_nonce_may_change_things() {
    let host = "www.example.com:8080";
    let ours =
        Sender { host, site: "same-origin", origin: "http://www.example.com:8080", referer: "" };
    assert_eq!(check(ours, Form::Browser), Ok(()));
    let referer = "https://WWW.example.com:8080/copy-manager?x=http://evil/";
    assert_eq!(check(Sender { host, referer, ..Sender::default() }, Form::Browser), Ok(()));
    for (host, origin) in [
        ("www.example.com", "https://www.example.com"),
        ("www.example.com", "https://www.example.com:443"),
        ("www.example.com:80", "http://www.example.com"),
        ("[::1]:81", "http://[::1]:81"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("LOCALHOST:9", "http://localhost:9"),
    ] {
        assert_eq!(
            check(Sender { host, origin, ..Sender::default() }, Form::Browser),
            Ok(()),
            "{origin}"
        );
    }
    assert_eq!(check(Sender { host: "127.0.0.1", ..Sender::default() }, Form::Json), Ok(()));
}

#[test]
fn other_sites_may_not() {
    let host = "www.example.com";
    let refused = |sender: Sender<'_>, form: Form| check(sender, form).unwrap_err().0;
    let bare = Sender { host, ..Sender::default() };
    assert_eq!(refused(bare, Form::Browser), 403, "nothing said");
    for site in ["cross-site", "same-site", "none", "same-origin, cross-site"] {
        let origin = "http://www.example.com";
        assert_eq!(refused(Sender { site, origin, ..bare }, Form::Browser), 403, "{site}");
        assert_eq!(refused(Sender { site, ..bare }, Form::Json), 403, "{site}");
    }
    for url in [
        "null",
        "http://evil.example/",
        "http://www.example.com.evil.example/",
        "http://www.example.com@evil.example/",
        "http://evil.example/www.example.com",
        "http://www.example.com:81",
        "https://www.example.com:80",
        "ftp://www.example.com",
        "//www.example.com",
        "http://",
    ] {
        for form in [Form::Browser, Form::Json] {
            assert_eq!(refused(Sender { origin: url, ..bare }, form), 403, "{url}");
            assert_eq!(refused(Sender { referer: url, ..bare }, form), 403, "{url}");
        }
    }
    let foreign =
        Sender { origin: "http://evil.example", referer: "http://www.example.com/", ..bare };
    assert_eq!(refused(foreign, Form::Browser), 403, "what the browser says first counts");
}

#[test]
fn a_name_that_somebody_else_made_point_here_is_refused() {
    for host in ["evil.example", "", "www.example.com.", "127.0.0.1.evil.example", "localhost.evil"]
    {
        let origin = format!("http://{host}");
        let sender = Sender { host, site: "same-origin", origin: &origin, referer: "" };
        assert_eq!(check(sender, Form::Browser).unwrap_err().0, 403, "{host}");
    }
}

#[test]
fn without_the_nonce_nobody_may() {
    let sender = Sender { host: "127.0.0.1", ..Sender::default() };
    for nonces in [["", "0123"], ["0124", "0123"], ["012", "0123"], ["01234", "0123"], ["", ""]] {
        assert!(sender.check(Form::Json, nonces, |_| false).is_err(), "{nonces:?}");
    }
}
