//! What staging may not see is told nowhere else either: in no log, at whatever level, and on no page.

use super::post;
use crate::client::{self, Client, request_with};
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Staging};

on_each_mpm!(nothing_that_is_hidden_is_told_anywhere);

/// Part of every value that is masked, of the key of hashes, and of what a block sets.
const SECRET: &str = "s3cr3t";

const BLOCK: &str = "CopyMask standard\nCopyMask query user token hash\nCopyMask form user hash\n\
    CopyMask json user $.list[*].card hash\nCopyMask cookie session fixed:s3cr3t-no-more\nCopyMask header X-Client hash\n\
    RequestHeader set X-Staging s3cr3t\nRequestHeader edit X-Edit s3cr3t hidden";

/// A request for each place that is looked into, and some that cannot be.
fn requests() -> Vec<Vec<u8>> {
    let with = |fields: &str| {
        format!("GET /field?page=1 HTTP/1.1\r\nHost: www.example.com\r\n{fields}\r\n").into_bytes()
    };
    let json = br#"{"user":"s3cr3t","list":[{"card":"s3cr3t"}],"password":"s3cr3t"}"#;
    let form = b"user=s3cr3t&password=s3cr3t&rest=1";
    let parts =
        b"--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\ns3cr3t\r\n--b--\r\n";
    vec![
        with("Cookie: session=s3cr3t\r\n"),
        with("Authorization: Basic s3cr3t\r\nX-Api-Key: s3cr3t\r\nX-Client: s3cr3t\r\n"),
        with("X-Edit: s3cr3t\r\nReferer: https://www.example.com/?token=s3cr3t\r\n"),
        request_with("GET", "/query?user=s3cr3t&token=s3cr3t&page=1", b""),
        post("/json", "application/json", json),
        post("/form", "application/x-www-form-urlencoded", form),
        post("/parts", "multipart/form-data; boundary=b", parts),
        post("/malformed", "application/json", br#"{"user":"s3cr3t","#),
        post("/malformed", "multipart/form-data; boundary=b", b"--b\r\ns3cr3t"),
    ]
}

fn nothing_that_is_hidden_is_told_anywhere(mpm: Mpm) {
    let [origin, healthy, broken] = [(); 3].map(|()| Staging::start());
    broken.set(Mode::Closes);
    let target = |staging: &Staging, name: &str| {
        let url = staging.url("/");
        format!("<CopyTarget {url} name={name} failures=0>\n{BLOCK}\n</CopyTarget>")
    };
    let page = |path: &str, lines: &str| {
        format!("ProxyPass \"{path}\" \"!\"\n<Location \"{path}\">\n{lines}\n</Location>")
    };
    let server = Server::on(mpm)
        .modules(&["headers", "status"])
        .secret("mask.key", format!("{SECRET} and ten more bytes"))
        .global("CopyMaskKeyFile mask.key\nLogLevel copy:trace8\nExtendedStatus Off")
        .vhost(target(&healthy, "healthy"))
        .vhost(target(&broken, "broken"))
        .vhost(page("/copy-manager", "SetHandler copy-manager\nCopyManagerOpen On"))
        .vhost(page("/server-status", "SetHandler server-status"))
        .proxy(&origin)
        .expect("CPY01")
        .start();
    let requests = requests();
    for request in &requests {
        assert_eq!(Client::connect(server.port()).exchange(request).status, 200);
    }
    let status = server.settled(2 * requests.len() as u64);
    assert_eq!(status.sum("dropped.unmaskable"), 4, "{status}");
    assert_eq!(status.target("healthy").count("delivered.2xx"), 7, "{status}");
    assert_eq!(status.target("broken").count("failed.reset"), 7, "{status}");
    for copy in healthy.received() {
        let all = [copy.head.as_slice(), &copy.content].concat();
        let all = String::from_utf8_lossy(&all).replace("X-Staging: s3cr3t", "");
        assert!(!all.replace("s3cr3t-no-more", "").contains(SECRET), "{all}");
    }
    assert!(server.logged("CPY0119:") > 0 && server.logged("CPY0104:") > 0, "{}", server.logs());
    assert!(!server.logs().contains(SECRET), "{}", server.logs());
    for query in ["", "?text", "?auto", "?json", "?prometheus", "?openmetrics", "?html"] {
        let mut pages = vec![server.status_page(query)];
        for path in ["/copy-manager", "/server-status"] {
            pages.push(client::get(server.port(), &format!("{path}{query}")));
        }
        for page in pages {
            assert_eq!(page.status, 200);
            assert!(!page.text().contains(SECRET), "{query}\n{}", page.text());
            assert!(page.text().to_lowercase().contains("copy"), "{query}\n{}", page.text());
        }
    }
}
