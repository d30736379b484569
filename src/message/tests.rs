//! Copies as staging is to see them.

use super::*;
use crate::outcome::{Loss, NotCopied};
use crate::target::{PathMode, Proxy, Target, Url};

const MARK: &str = "5ec2e7";
static BUDGET: Budget = Budget::new(1 << 30);

type Fields<'a> = Vec<Field<'a>>;

fn fields<'a>(lines: &'a str) -> Fields<'a> {
    let split = |line: &'a str| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
    lines
        .lines()
        .map(split)
        .map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes()))
        .collect()
}

struct Case<'a> {
    method: &'a str,
    target: &'a str,
    fields: &'a str,
    content: Option<&'a str>,
    url: &'a str,
    mode: PathMode,
    preserve_host: bool,
    forwarded: bool,
    proxy: Option<&'a str>,
    trace: &'a str,
}

const GET: Case<'static> = Case {
    method: "GET",
    target: "/",
    fields: "Host: www.example.com",
    content: None,
    url: "http://staging:8080/",
    mode: PathMode::Append,
    preserve_host: false,
    forwarded: false,
    proxy: None,
    trace: "",
};

impl Case<'_> {
    fn staged(&self) -> Result<String, GivenUp> {
        let head = self.head(&BUDGET)?;
        let content = self.content.map(|text| {
            let mut content = BUDGET.segments();
            assert!(content.append(text.as_bytes()));
            content
        });
        Ok(self.sent(&head.with_content(content)))
    }

    fn head(&self, budget: &'static Budget) -> Result<Head, GivenUp> {
        let fields = fields(self.fields);
        let mut notes = Notes::default();
        fields.iter().for_each(|field| notes.note(field.name, || field.value));
        let trace = TraceHeader::parse(self.trace).ok();
        Head::serialise(
            &Received {
                method: self.method.as_bytes(),
                target: self.target.as_bytes(),
                fields: fields.iter().copied(),
                connection: notes.connection,
                has_content: self.content.is_some(),
            },
            &Additions {
                mark: &LoopMark::new(MARK),
                forwarded: self
                    .forwarded
                    .then_some(Forwarded { client: b"192.0.2.7", proto: "https" }),
                preserve_host: self.preserve_host,
                trace: trace.as_ref(),
            },
            budget,
        )
    }

    fn sent(&self, message: &Message) -> String {
        let url = Url::parse(self.url).unwrap();
        let proxy = self.proxy.map(|proxy| Arc::new(Proxy::parse(proxy).unwrap()));
        let target = Target { path: self.mode, proxy, ..Target::at(url.clone()) };
        let aim = Aim::of(&target, url);
        let sent = message.parts(&aim).collect::<Vec<_>>().concat();
        String::from_utf8(sent).unwrap().replace("\r\n", "\n")
    }
}

#[test]
fn spelling_order_and_values_are_kept() {
    let case = Case {
        method: "PURGE",
        target: "/a/../b?c=d?e",
        fields: "uSER-aGENT: x\nhost: www.example.com\nAccept: */*\nX-Empty:\nX-Last: 1",
        ..GET
    };
    assert_eq!(
        case.staged().unwrap(),
        "PURGE /a/../b?c=d?e HTTP/1.1\nuSER-aGENT: x\nhost: staging:8080\nAccept: */*\n\
         X-Empty: \nX-Last: 1\nX-Mod-Copy: 5ec2e7\n\n"
    );
}

#[test]
fn a_trace_header_marks_the_copy_and_the_trace_is_kept() {
    const PARENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const STATE: &str = "TraceState: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";
    const OURS: &str = "X-Mod-Copy: 5ec2e7";
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("", &[PARENT, STATE], &[PARENT, STATE, OURS]),
        ("X-Shadow", &[PARENT, STATE], &[PARENT, STATE, OURS, "X-Shadow: 1"]),
        ("X-Shadow: yes", &["x-shadow: no", PARENT], &["x-shadow: yes", PARENT, OURS]),
        (
            "tracestate: copy=1",
            &[PARENT, STATE],
            &[PARENT, "TraceState: copy=1,rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", OURS],
        ),
        ("tracestate: copy=1", &["tracestate:"], &["tracestate: copy=1", OURS]),
        ("tracestate: copy=1", &[PARENT], &[PARENT, OURS, "tracestate: copy=1"]),
        // What the client's connection is to end is added for all the same.
        ("X-Shadow: yes", &["Connection: X-Shadow", "X-Shadow: no"], &[OURS, "X-Shadow: yes"]),
    ];
    for (trace, received, staged) in cases {
        // A head that fits into a small buffer, and one that does not.
        for padding in [0, 5000] {
            let padding = format!("X-Long: {}", "x".repeat(padding));
            let fields = [&["Host: a", &padding], received].concat().join("\n");
            let case = Case { fields: &fields, trace, content: Some("hello"), ..GET };
            let staged = [&["Host: staging:8080", &padding], staged, &["Content-Length: 5"]];
            let expected = format!("GET / HTTP/1.1\n{}\n\nhello", staged.concat().join("\n"));
            assert_eq!(case.staged().unwrap(), expected, "{trace} {received:?}");
        }
    }
}

#[test]
fn fields_of_the_connection_stay_behind() {
    let case = Case {
        fields: "Host: a\nConnection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 5\nTE: trailers\n\
                 Trailer: X\nExpect: 100-continue\nProxy-Connection: x\nUpgrade: h2c\n\
                 HTTP2-Settings: AA\nTransfer-Encoding: chunked\nX-End: 1",
        content: Some("hello"),
        ..GET
    };
    assert_eq!(
        case.staged().unwrap(),
        "GET / HTTP/1.1\nHost: staging:8080\nX-End: 1\nX-Mod-Copy: 5ec2e7\n\
         Content-Length: 5\n\nhello"
    );
}

#[test]
fn a_forwarded_field_that_ends_here_begins_anew() {
    let case = Case {
        fields: "Host: a\nX-Forwarded-For: 6.6.6.6\nConnection: X-Forwarded-For, X-Mod-Copy",
        forwarded: true,
        ..GET
    };
    assert!(case.staged().unwrap().contains("\nX-Forwarded-For: 192.0.2.7\n"));
}

#[test]
fn a_long_head_is_whole() {
    let fields: String = (0..500).map(|at| format!("X-Field-{at}: {at}\n")).collect();
    let staged = Case { fields: &fields, ..GET }.staged().unwrap();
    assert!(staged.contains(&fields), "{staged}");
}

#[test]
fn small_content_shares_the_heads_buffer() {
    static OWN: Budget = Budget::new(1 << 20);
    let chunked = Case { fields: "Host: a", content: Some("hello"), ..GET };
    assert!(chunked.head(&OWN).unwrap().content_place().is_none(), "its length is not known");
    let case = Case { fields: "Host: a\nContent-Length: 5", ..chunked };
    let mut head = case.head(&OWN).unwrap();
    let used = OWN.used();
    assert!(head.content_place().unwrap().append(b"hello"));
    let message = head.with_content(Some(OWN.segments()));
    assert_eq!(message.content_pieces().collect::<Vec<_>>(), [b"hello"]);
    assert_eq!(case.sent(&message), case.staged().unwrap());
    assert_eq!(OWN.used(), used);
    drop(message);
    assert_eq!(OWN.used(), 0);
}

#[test]
fn a_received_content_length_stays_in_its_place() {
    let fields = "Content-Length: 5\nHost: a";
    let with = Case { fields, content: Some("hello"), ..GET };
    let expected = "GET / HTTP/1.1\nContent-Length: 5\nHost: staging:8080\n\
                    X-Mod-Copy: 5ec2e7\n\nhello";
    assert_eq!(with.staged().unwrap(), expected);
    let zero = Case { fields: "Content-Length: 0\nHost: a", ..GET };
    assert!(zero.staged().unwrap().contains("Content-Length: 0\n"));
}

#[test]
fn the_host_is_the_targets_unless_preserved() {
    let preserved = Case { preserve_host: true, ..GET };
    assert!(preserved.staged().unwrap().contains("\nHost: www.example.com\n"));
    let without = Case { fields: "Accept: */*", preserve_host: true, ..GET };
    assert!(without.staged().unwrap().starts_with("GET / HTTP/1.1\nHost: staging:8080\n"));
}

#[test]
fn forwarded_fields_are_appended_to_what_was_received() {
    let added = Case { forwarded: true, ..GET };
    assert!(added.staged().unwrap().ends_with(
        "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: www.example.com\n\
         X-Forwarded-Proto: https\nX-Mod-Copy: 5ec2e7\n\n"
    ));
    let joined = Case {
        forwarded: true,
        fields: "X-Forwarded-For: 10.0.0.1\nHost: h\nx-forwarded-host: front",
        ..GET
    };
    assert_eq!(
        joined.staged().unwrap(),
        "GET / HTTP/1.1\nX-Forwarded-For: 10.0.0.1, 192.0.2.7\nHost: staging:8080\n\
         x-forwarded-host: front, h\nX-Forwarded-Proto: https\nX-Mod-Copy: 5ec2e7\n\n"
    );
    let early = Case { fields: "X-Forwarded-Host: front\nHost: h\nHost: other", ..joined };
    assert!(early.staged().unwrap().starts_with(
        "GET / HTTP/1.1\nX-Forwarded-Host: front, h\nHost: staging:8080\nX-Forwarded-For: "
    ));
}

#[test]
fn an_empty_host_is_forwarded_as_mod_proxy_does() {
    let alone = Case { forwarded: true, fields: "Host: ", ..GET };
    assert!(alone.staged().unwrap().contains("\nX-Forwarded-Host: \n"));
    let joined = Case { fields: "Host: \nX-Forwarded-Host: front", ..alone };
    assert!(joined.staged().unwrap().contains("\nX-Forwarded-Host: front, \n"));
}

#[test]
fn request_targets_are_mapped() {
    use PathMode::{Append, Replace};
    for (target, url, mode, staged) in [
        ("/x?y", "http://s/", Append, "/x?y"),
        ("/x?y", "http://s/api/v1", Append, "/api/v1/x?y"),
        ("//x", "http://s/api/", Append, "/api//x"),
        ("/x?y?z", "http://s/api", Replace, "/api?y?z"),
        ("/x", "http://s/api", Replace, "/api"),
        ("*", "http://s/api", Append, "*"),
        ("http://www.example.com/x", "http://s/", Append, "/x"),
        ("http://www.example.com", "http://s/", Append, "/"),
        ("http://www.example.com?x", "http://s/api", Append, "/api/?x"),
    ] {
        let case = Case { target, url, mode, ..GET };
        let line = case.staged().unwrap();
        assert_eq!(line.split(' ').nth(1).unwrap(), staged, "{target} at {url}");
    }
}

#[test]
fn what_cannot_be_copied_is_refused() {
    let refused = |case: Case<'_>| match case.staged() {
        Err(GivenUp::NotCopied(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Case { method: "CONNECT", ..GET }), NotCopied::NotCopyable);
    assert_eq!(refused(Case { method: "TRACE", ..GET }), NotCopied::NotCopyable);
    assert_eq!(refused(Case { fields: "Upgrade: websocket", ..GET }), NotCopied::NotCopyable);
    assert_eq!(refused(Case { fields: "x-mod-copy: 1, 5ec2e7", ..GET }), NotCopied::Loop);
}

#[test]
fn a_forged_loop_mark_is_a_field_like_any_other() {
    let forged = Case { fields: "Host: a\nX-Mod-Copy: 0000", ..GET };
    assert!(forged.staged().unwrap().contains("X-Mod-Copy: 0000, 5ec2e7\n"));
}

#[test]
fn a_head_beyond_the_budget_is_dropped() {
    static SMALL: Budget = Budget::new(280);
    let received = Received {
        method: b"GET",
        target: b"/",
        fields: fields("Host: a").into_iter(),
        connection: b"",
        has_content: false,
    };
    let additions = Additions {
        mark: &LoopMark::new(MARK),
        forwarded: None,
        preserve_host: false,
        trace: None,
    };
    let dropped = Head::serialise(&received, &additions, &SMALL).unwrap_err();
    assert_eq!(dropped, GivenUp::Dropped(Loss::Memory));
    assert_eq!(SMALL.used(), 0);
}

#[test]
fn a_proxy_of_http_is_told_where_a_plain_request_goes_and_who_asks() {
    let sent = |target: &str, url: &str, proxy: &str| {
        let case = Case { target, url, proxy: Some(proxy), ..GET };
        let sent = case.staged().unwrap();
        sent.strip_suffix("X-Mod-Copy: 5ec2e7\n\n").unwrap().to_owned()
    };
    let (plain, asking) = ("http://proxy:3128", "http://u:p@proxy:3128");
    assert_eq!(
        sent("/a?b", "http://staging:8080/v2", asking),
        "GET http://staging:8080/v2/a?b HTTP/1.1\nProxy-Authorization: Basic dTpw\nHost: staging:8080\n"
    );
    assert_eq!(
        sent("http://www.example.com/a", "http://[::1]/", plain),
        "GET http://[::1]/a HTTP/1.1\nHost: [::1]\n"
    );
    assert_eq!(sent("*", "http://staging/", plain), "GET http://staging HTTP/1.1\nHost: staging\n");
    let tunnelled = "GET /a HTTP/1.1\nHost: staging\n";
    assert_eq!(sent("/a", "https://staging/", asking), tunnelled);
    assert_eq!(sent("/a", "http://staging/", "socks5://u:p@proxy:1080"), tunnelled);
    assert_eq!(sent("/a", "unix:/a|http://staging/", asking), tunnelled);
}

#[test]
fn what_a_client_said_to_a_proxy_is_not_told_to_ours() {
    let (before, after) =
        ("proxy-authorization: Basic eDp5\nHost: a", "Host: a\nProxy-Authorization: Basic eDp5");
    let none = "proxy-authorization: Basic eDp5";
    for fields in [before, after, none] {
        let sent = |url, proxy| Case { target: "/a", url, fields, proxy, ..GET }.staged().unwrap();
        assert_eq!(
            sent("http://staging/", Some("http://u:p@proxy:3128")),
            "GET http://staging/a HTTP/1.1\nProxy-Authorization: Basic dTpw\nHost: staging\n\
             X-Mod-Copy: 5ec2e7\n\n"
        );
        for (url, proxy) in
            [("http://staging/", None), ("https://staging/", Some("http://u:p@proxy:3128"))]
        {
            assert!(
                sent(url, proxy).contains("Basic eDp5\n"),
                "staging sees it as production does"
            );
        }
    }
}
