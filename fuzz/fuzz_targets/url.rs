//! Any text as a target's URL: what is accepted is printed and read back the same, and fits into a request.
#![no_main]

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use mod_copy::target::Url;

fuzz_target!(|text: &str| {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(expected) => {
            return assert!(expected.starts_with("a") || expected.starts_with("the "));
        }
    };
    let printed = url.to_string();
    assert_eq!(Url::parse(&printed).as_ref(), Ok(&url), "printed {printed}");
    let printed = url.behind_socket();
    assert!(printed.bytes().all(|byte| byte.is_ascii_graphic()), "{printed}");

    let (host, port) = (url.host(), url.port());
    assert!(!host.is_empty() && port > 0);
    match url.authority().strip_prefix('[') {
        Some(_) => assert!(host.parse::<Ipv6Addr>().is_ok(), "{host} is no address"),
        None => assert!(!host.contains(['[', ']', ':', '/', '@']), "{host} is no name"),
    }
    let uri: http::Uri = printed.parse().expect("what connects reads it too");
    let usual = if matches!(uri.scheme_str(), Some("https" | "h2")) { 443 } else { 80 };
    assert_eq!((uri.path(), uri.port_u16().unwrap_or(usual)), (url.path(), port));

    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", url.path(), url.authority());
    let mut fields = [httparse::EMPTY_HEADER; 2];
    let mut read = httparse::Request::new(&mut fields);
    let whole = httparse::Status::Complete(request.len());
    assert_eq!(read.parse(request.as_bytes()), Ok(whole));
    assert_eq!(read.path, Some(url.path()));
    assert_eq!(read.headers[0].value, url.authority().as_bytes());
});
