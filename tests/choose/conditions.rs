//! Each condition, on a real httpd: variables, expressions, methods, content.

use crate::choose::{Asked, Choice};
use crate::client::request_with;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;

on_each_mpm!(each_condition_chooses, no_expression_makes_productions_answer_vary);

/// A location's rule, and requests for it with whether they are copied.
type Case<'a> = (&'a str, &'a [(Asked<'a>, bool)]);

const CASES: &[Case<'_>] = &[
    (
        "env=beta",
        &[
            (("GET", "/a", ""), false),
            (("GET", "/a", "X-Beta: 1\r\n"), true),
            (("GET", "/a", "X-Beta: 0\r\n"), false),
        ],
    ),
    ("env=!beta", &[(("GET", "/a", ""), true), (("GET", "/a", "X-Beta: 1\r\n"), false)]),
    (
        "env=!robot",
        &[
            (("GET", "/a", "User-Agent: Firefox/140\r\n"), true),
            (("GET", "/a", "User-Agent: some-bot/1.0\r\n"), false),
        ],
    ),
    (
        r#""expr=%{HTTP_COOKIE} =~ /(^|; )plan=(pro|team)(;|$)/""#,
        &[
            (("GET", "/a", "Cookie: plan=pro\r\n"), true),
            (("GET", "/a", "Cookie: theme=dark; plan=team; x=1\r\n"), true),
            (("GET", "/a", "Cookie: plan=professor\r\n"), false),
            (("GET", "/a", ""), false),
        ],
    ),
    (
        r#""expr=req('X-User-ID') =~ /^[0-9]*7$/""#,
        &[
            (("GET", "/a", "X-User-ID: 17\r\n"), true),
            (("GET", "/a", "X-User-ID: 71\r\n"), false),
            (("GET", "/a", ""), false),
        ],
    ),
    (r#""expr=-R '127.0.0.0/8'""#, &[(("GET", "/a", ""), true)]),
    (r#""expr=-R '10.0.0.0/8'""#, &[(("GET", "/a", ""), false)]),
    (
        r#""expr=%{REQUEST_URI} =~ m#/a$# && %{QUERY_STRING} != 'no'""#,
        &[(("GET", "/a", ""), true), (("GET", "/a?no", ""), false), (("GET", "/none", ""), false)],
    ),
    ("expr=%{REQUEST_METHOD}=='HEAD'", &[(("HEAD", "/a", ""), true), (("GET", "/a", ""), false)]),
    (
        "methods=HEAD,OPTIONS",
        &[(("HEAD", "/a", ""), true), (("OPTIONS", "/a", ""), true), (("GET", "/a", ""), false)],
    ),
    (
        "body=off",
        &[
            (("GET", "/a", ""), true),
            (("GET", "/a", "Content-Length: 0\r\n"), true),
            (("GET", "/a", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"), false),
        ],
    ),
];

fn each_condition_chooses(mpm: Mpm) {
    let mut lines = String::from(
        "CopyTarget STAGING name=staging\nMirrorRequest Off\n\
         SetEnvIf X-Beta ^1$ beta\nBrowserMatchNoCase bot robot\n",
    );
    for (number, (rule, _)) in CASES.iter().enumerate() {
        lines += &format!("<Location \"/{number}\">\nMirrorRequest staging {rule}\n</Location>\n");
        lines += &format!("AliasMatch \"^/{number}/a$\" \"${{HTDOCS}}/a\"\n");
    }
    let choice = Choice::with(mpm, &lines, |builder| {
        let htdocs = builder.root().join("htdocs").display().to_string();
        builder.modules(&["setenvif", "alias"]).global(format!("Define HTDOCS {htdocs}"))
    });
    for (number, (rule, cases)) in CASES.iter().enumerate() {
        let paths: Vec<String> =
            cases.iter().map(|((_, path, _), _)| format!("/{number}{path}")).collect();
        let requests: Vec<Asked<'_>> = cases
            .iter()
            .zip(&paths)
            .map(|(((method, _, fields), _), path)| (*method, path.as_str(), *fields))
            .collect();
        let expected: Vec<usize> = cases.iter().map(|(_, copied)| usize::from(*copied)).collect();
        assert_eq!(choice.copies_of(&requests), expected, "{rule}");
    }
    let status = choice.server.status();
    let missed = |reason| status.sum(&format!("not_copied.{reason}"));
    assert_eq!((missed("method"), missed("body"), missed("sampled")), (1, 1, 0), "{status}");
    let missed_all: usize =
        CASES.iter().flat_map(|(_, cases)| *cases).filter(|(_, is)| !is).count();
    assert_eq!(missed("condition"), missed_all as u64 - 2, "{status}");
    status.assert_promise_3();
}

/// Without `AP_EXPR_FLAG_DONT_VARY` the copied server's answer would have `Vary: Cookie, X-User-ID`.
fn no_expression_makes_productions_answer_vary(mpm: Mpm) {
    let rules = "CopyTarget STAGING name=staging \
                 \"expr=req('X-User-ID') == '7' || %{HTTP_COOKIE} =~ /a/ || %{HTTP:Accept} == 'text/*'\"\n\
                 CopyTarget STAGING name=key sample=99.999% samplekey=%{HTTP:X-Key}";
    let choice = Choice::with(mpm, rules, |builder| builder);
    let plain = Server::on(mpm).without_copy().file("htdocs/a", "a").start();
    let requests = [("GET", "/a", "X-Key: 1\r\nX-User-ID: 8\r\nCookie: b\r\nAccept: text/*\r\n")];
    let (copies, answers) = choice.ask(&requests);
    assert_eq!(copies, [2], "both expressions were evaluated, to their ends");
    assert_eq!(answers[0].field("Vary"), None, "{}", answers[0].comparable());
    let names = |head: &[u8]| {
        let head = String::from_utf8_lossy(head).into_owned();
        head.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let answer = plain.client().get("/a");
    assert_eq!(names(&answers[0].head), names(&answer.head));
}

#[test]
fn a_request_with_content_is_chosen_as_one_without() {
    let lines = "CopyTarget STAGING name=staging methods=POST \"expr=req('X-Tenant') == 'a'\"";
    let choice = Choice::with(Mpm::Event, lines, |builder| builder);
    let posted = |tenant: &str| {
        let request = String::from_utf8(request_with("POST", "/a", b"hello")).unwrap();
        request.replace("\r\n\r\n", &format!("\r\nX-Tenant: {tenant}\r\n\r\n"))
    };
    for tenant in ["a", "b", "a"] {
        assert_eq!(choice.server.client().exchange(posted(tenant)).status, 200);
    }
    let status = choice.server.settled(2);
    assert_eq!(status.sum("not_copied.condition"), 1, "{status}");
    let copies = choice.staging.received();
    assert!(copies.iter().all(|copy| copy.content == b"hello"), "{copies:?}");
}

#[test]
fn an_expression_that_fails_copies_nothing_and_says_so_thinned() {
    // httpd gives up at a depth of 20.
    let deep = format!("{}%{{HTTP:X-User-ID}}{}", "tolower(".repeat(24), ")".repeat(24));
    let lines = format!("CopyTarget STAGING name=staging \"expr={deep} == 'a'\"");
    let choice = Choice::with(Mpm::Event, &lines, |builder| {
        builder.expect("CPY0115:").expect("Evaluation of expression from")
    });
    let requests = [("GET", "/a", "X-User-ID: a\r\n"); 5];
    let (copies, answers) = choice.ask(&requests);
    assert_eq!(copies, [0; 5]);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let status = choice.server.status();
    assert_eq!((status.sum("not_copied.condition"), status.sum("selected")), (5, 0), "{status}");
    let line = "CPY0115: a request is not copied to staging: an expression cannot be evaluated: Recursion limit \
                reached";
    assert_eq!(choice.server.logged(line), 3, "the 1st, 2nd and 4th\n{}", choice.server.logs());
}

#[test]
fn what_a_request_may_not_have_is_what_httpd_knows_when_it_decides() {
    // mod_headers' early directives, and SetEnvIf, come before; what the response sets comes after.
    let lines = "SetEnvIf Request_URI . seen\nHeader always set X-Answer 1\n\
                 CopyTarget STAGING name=staging \"expr=reqenv('seen') == '1' && resp('X-Answer') == ''\"";
    let choice =
        Choice::with(Mpm::Event, lines, |builder| builder.modules(&["setenvif", "headers"]));
    assert_eq!(choice.copies_of(&[("GET", "/a", "")]), [1]);
}
