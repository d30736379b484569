//! What cannot be copied is counted, and works as ever.

use crate::fidelity::client::Transcript;
use crate::fidelity::row::{Door, Request, Row, Staged, Version};

const GROUP: &str = "Not copied";

fn upgrade(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: www.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Sends bytes through a tunnel that gives them back, twice; then hangs up.
fn echo(client: &mut Transcript) {
    for part in ["hello", "\0\x01\x02 and more\r\n\r\n"] {
        client.send(part);
        assert_eq!(client.raw(part.len()), part.as_bytes());
    }
    client.hang_up();
}

/// Less than it says.
const UPLOAD: &str = "POST /proxy/x?uncounted HTTP/1.1\r\nHost: www.example.com\r\n\
                      Content-Length: 100000\r\n\r\nhello";

pub fn rows() -> Vec<Row> {
    vec![
        Row::plays(GROUP, "a WebSocket (mod_proxy_wstunnel)", Request::get("/ws/x"), |client| {
            client.send(upgrade("/ws/x"));
            client.response();
            echo(client);
        })
        .answers(&[101])
        .not_copied("not_copyable")
        .note("the tunnel carries bytes both ways as before"),
        Row::plays(GROUP, "a WebSocket (mod_proxy_http)", Request::get("/upgrade/x"), |client| {
            client.send(upgrade("/upgrade/x"));
            client.response();
            echo(client);
        })
        .answers(&[101])
        .not_copied("not_copyable"),
        Row::sends(GROUP, "an upgrade that production ignores", upgrade("/a.html"))
            .not_copied("not_copyable")
            .note("not told apart from one that succeeds: the copy would ask staging for something else"),
        Row::plays(GROUP, "CONNECT (mod_proxy_connect)", Request::get("/"), |client| {
            let authority = format!("127.0.0.1:{}", client.backends().tunnels);
            client.send(format!(
                "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\
                 Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"
            ));
            client.response_to("CONNECT");
            echo(client);
        })
        .answers(&[200])
        .through(Door::Forward)
        .not_copied("not_copyable"),
        Row::asks(GROUP, "CONNECT to no proxy", Request::new("CONNECT", "www.example.com:443")).answered(405)
            .not_copied("not_copyable"),
        Row::asks(GROUP, "TRACE", Request::new("TRACE", "/a.html").with("X-A", "1")).not_copied("not_copyable"),
        Row::asks(GROUP, "the module's own handler", Request::get("/copy-status?auto&uncounted"))
            .not_copied("not_copyable")
            .uncompared(),
        Row::asks(GROUP, "our own loop: production as its own target", Request::get("/proxy/loop/x?uncounted"))
            .staged(Staged::CameBack)
            .uncompared()
            .only(&[Version::Http11]),
        Row::asks(GROUP, "`MirrorRequest Off`", Request::get("/proxy/off/x")).not_copied("off"),
        Row::plays(GROUP, "an upload that breaks off", Request::get("/proxy/x"), |client| {
            client.send(UPLOAD);
            client.hang_up();
        })
        .not_copied("incomplete"),
    ]
}
