//! The examples of `apache-conf/examples`, with the tests' own servers in place of those they name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use twox_hash::XxHash64;

use crate::client::Client;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;

/// An example, running.
struct Example {
    server: Server,
    _origin: Staging,
    stagings: BTreeMap<&'static str, Staging>,
}

impl Example {
    /// The example of this name, whose targets are at `http://NAME.example.com/`.
    fn start(name: &str, targets: &[&'static str]) -> Example {
        let file = format!("apache-conf/examples/{name}.conf");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let mut text = fs::read_to_string(&file).unwrap();
        let stagings: BTreeMap<_, _> =
            targets.iter().map(|target| (*target, Staging::start())).collect();
        for (target, staging) in &stagings {
            let named = format!("http://{target}.example.com/");
            assert!(text.contains(&named), "{named} in {}", file.display());
            text = text.replace(&named, &staging.url("/"));
        }
        let origin = Staging::start();
        for port in 8080..8090 {
            text = text.replace(&format!("127.0.0.1:{port}/"), &format!("{}/", origin.authority()));
        }
        let builder =
            Server::on(Mpm::Event).modules(&["proxy", "proxy_http", "setenvif", "headers"]);
        let text = text.replace("*:80>", &format!("127.0.0.1:{}>", builder.port()));
        Example { server: builder.tail(text).start(), _origin: origin, stagings }
    }

    /// The targets that get a copy of a request to this host: those fields, an empty line, and content after it.
    fn copied_to(&self, host: &str, method: &str, path: &str, fields: &str) -> Vec<&'static str> {
        let fields =
            if fields.contains("\r\n\r\n") { fields.to_owned() } else { format!("{fields}\r\n") };
        let counts = || self.stagings.values().map(Staging::count).collect::<Vec<_>>();
        let before = counts();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}.example.com\r\n{fields}");
        assert_eq!(Client::connect(self.server.port()).exchange(request).status, 200);
        let drained = |status: &crate::status::Status| status.is_drained();
        self.server.status_when("an outcome for each copy", drained).assert_promise_3();
        let changed = counts().into_iter().zip(before).map(|(after, before)| after > before);
        self.stagings.keys().zip(changed).filter(|(_, is)| *is).map(|(name, _)| *name).collect()
    }
}

#[test]
fn sampling() {
    let example = Example::start("sampling", &["next", "tiny"]);
    for _ in 0..60 {
        assert_eq!(
            example.copied_to("sampling", "GET", "/checkout/pay", "").first(),
            Some(&"next"),
            "everything"
        );
        example.copied_to("sampling", "GET", "/", "");
    }
    let status = example.server.status();
    let [next, tiny] = ["next", "tiny"].map(|name| status.target(name));
    assert!(next.count("not_copied.sampled") > 30, "one in ten\n{status}");
    assert!(tiny.count("not_copied.sampled") > 40, "one in a hundred\n{status}");
    assert_eq!(next.count("dropped.rate"), 0, "{status}");
    assert_eq!(
        tiny.count("selected"),
        tiny.count("delivered") + tiny.count("dropped.rate"),
        "{status}"
    );
}

#[test]
fn sticky() {
    let targets = ["beta", "canary", "clients", "office", "session"];
    let example = Example::start("sticky", &targets);
    let is_in = |key: &str, share: f64| {
        (XxHash64::oneshot(0, key.as_bytes()) as f64) < share * 2f64.powi(64)
    };
    let mut seen = [0; 3];
    for number in 0..80 {
        let user = format!("user-{number}");
        let mut expected = Vec::new();
        expected.extend(is_in(&user, 0.2).then_some("beta"));
        expected.extend(is_in(&user, 0.05).then_some("canary"));
        seen[expected.len()] += 1;
        let fields = format!("X-User-ID: {user}\r\n");
        assert_eq!(example.copied_to("sticky", "GET", "/", &fields), expected, "{user}");
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    for number in 0..10 {
        let fields = format!("Cookie: theme=dark; session=s{number}\r\n");
        let expected: &[_] = if is_in(&format!("s{number}"), 0.5) { &["session"] } else { &[] };
        assert_eq!(example.copied_to("session", "GET", "/", &fields), expected, "{fields}");
    }
    let none: [&str; 0] = [];
    assert_eq!(example.copied_to("session", "GET", "/", "Cookie: session=\r\n"), none);
    let mut expected = vec!["office"];
    if is_in("127.0.0.1", 0.2) {
        expected.insert(0, "clients");
    }
    assert_eq!(example.copied_to("office", "GET", "/", ""), expected);
}

#[test]
fn read_only() {
    let example = Example::start("read-only", &["readonly"]);
    let content = "Content-Length: 1\r\n\r\nx";
    let robot = "User-Agent: some-bot\r\n";
    for (method, path, fields, copied) in [
        ("GET", "/", "", true),
        ("DELETE", "/", "", false),
        ("POST", "/", content, false),
        ("GET", "/", content, false),
        ("GET", "/", robot, false),
        ("GET", "/logout", "", false),
        ("GET", "/search", "", true),
        ("POST", "/search", content, true),
        ("GET", "/search", robot, false),
    ] {
        let expected: &[&str] = if copied { &["readonly"] } else { &[] };
        let to = example.copied_to("read-only", method, path, fields);
        assert_eq!(to, expected, "{method} {path} {fields}");
    }
}

#[test]
fn locations() {
    let example = Example::start("locations", &["next", "load", "search", "catalog"]);
    for (host, method, path, fields, expected) in [
        ("api", "GET", "/", "", vec!["load", "next"]),
        ("api", "GET", "/orders", "", vec!["next"]),
        ("api", "GET", "/search", "", vec!["next", "search"]),
        ("api", "GET", "/login", "", vec![]),
        ("api", "GET", "/reports", "", vec!["next"]),
        ("api", "GET", "/reports?a=b&export=csv", "", vec![]),
        ("api", "DELETE", "/reports", "X-Tenant: acme\r\n", vec!["load"]),
        ("www", "GET", "/", "", vec![]),
        ("www", "GET", "/catalog/1", "", vec!["catalog"]),
    ] {
        assert_eq!(
            example.copied_to(host, method, path, fields),
            expected,
            "{method} {host}{path}"
        );
    }
}

#[test]
fn scrub() {
    let example = Example::start("scrub", &["next"]);
    let content =
        r#"{"user":{"email":"a@b.c","name":"A","id":7},"password":"secret","note":"kept"}"#;
    let fields = format!(
        "Authorization: Basic secret\r\nCookie: secret\r\nX-Internal-Route: secret\r\nX-Client-Id: 42\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    );
    let path = "/orders?token=secret&email=a%40b.c&page=2";
    assert_eq!(example.copied_to("scrub", "POST", path, &fields), ["next"]);
    let copy = example.stagings["next"].wait_for(1).remove(0);
    let (head, content) = (copy.head_without_mark(), String::from_utf8_lossy(&copy.content));
    assert!(!head.contains("secret") && !content.contains("secret"), "{head}{content}");
    let hash = content.split('"').nth(5).unwrap();
    assert_eq!(copy.request_line(), format!("POST /orders?token=***&email={hash}&page=2 HTTP/1.1"));
    assert!(content.ends_with(r#""id":7},"password":"***","note":"kept"}"#), "{content}");
    assert_eq!(copy.field("X-Staging-Access").as_deref(), Some("for-staging-only"));
    assert_eq!((copy.field("Authorization"), copy.field("Cookie")), (None, None));
}
