//! What a stream may carry beside requests: what the server pushes unasked, and tunnels.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::h2::{Request, Session, Transport};
use crate::tls::run;
use crate::wire;

use super::THREADED;
use super::rows::Staged::Copied;
use super::setting::{Setting, assert_same_head};

#[test]
fn what_the_server_pushes_is_counted_and_not_copied() {
    for mpm in THREADED {
        let setting = Setting::start_with(mpm, Transport::Tls, |builder| {
            builder.vhost(
                "H2Push on\n<Location \"/page.html\">\nHeader add Link \"</style.css>;rel=preload\"\n\
                 Header add Link \"</script.js>;rel=preload\"\n</Location>",
            )
        });
        let request = Request::new("GET", "/page.html");
        let (mut with, mut without) = setting.sessions();
        let copy = setting.expect(Copied);
        let (response, mut pushed) = with.exchange_with_pushes(&request);
        let (plain, mut pushed_without) = without.exchange_with_pushes(&request);
        assert_eq!(response.comparable(), plain.comparable());
        pushed.sort();
        pushed_without.sort();
        assert_eq!(pushed, ["/script.js", "/style.css"]);
        assert_eq!(pushed, pushed_without);
        let copy = copy.received("the page").unwrap();
        assert_same_head("the page", &copy.head, &setting.model(&request).0);
        setting.await_not_copied("not_copyable");
        setting.await_not_copied("not_copyable");
        setting.check_totals();
    }
}

#[test]
fn a_websocket_by_extended_connect_works_and_is_not_copied() {
    for mpm in THREADED {
        let port = echoes_one_websocket_a_connection();
        let setting = Setting::start_with(mpm, Transport::Tls, |builder| {
            builder.modules(&["proxy_wstunnel"]).vhost(format!(
                "H2WebSockets on\nProxyPass \"/ws\" \"http://127.0.0.1:{port}/ws\" upgrade=websocket"
            ))
        });
        let (mut with, mut without) = setting.sessions();
        let talk = |session: &mut Session| {
            let mut tunnel = session.websocket("/ws");
            session.through(&mut tunnel, b"any frame");
            session.through(&mut tunnel, b"and more")
        };
        assert_eq!(
            (talk(&mut with), talk(&mut without)),
            (b"and more".to_vec(), b"and more".to_vec())
        );
        // The tunnels end with their connections.
        drop((with, without));
        setting.await_not_copied("not_copyable");
        setting.check_totals();
    }
}

/// An origin that grants every upgrade and sends back what it receives; its threads end with their connections.
fn echoes_one_websocket_a_connection() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
                while !head.ends_with(b"\r\n\r\n") {
                    let read = stream.read(&mut buffer[..1]).unwrap();
                    assert_eq!(read, 1, "the request broke off");
                    head.extend_from_slice(&buffer[..1]);
                }
                let accept = accept(&wire::field(&head, "Sec-WebSocket-Key").unwrap());
                let granted = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                stream.write_all(granted.as_bytes()).unwrap();
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    stream.write_all(&buffer[..read]).unwrap();
                }
            });
        }
    });
    port
}

/// The answer to a `Sec-WebSocket-Key` (RFC 6455 section 4.2.2).
fn accept(key: &str) -> String {
    let hash = "openssl dgst -sha1 -binary | openssl base64";
    run("sh", &["-c", hash], &format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
        .trim()
        .to_owned()
}
