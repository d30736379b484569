//! A session that goes through everything once; `make asan` and `make memcheck` run it with httpd under their eyes.

use std::io::Write;
use std::net::TcpStream;

use crate::client::{request, request_with};
use crate::httpd::free_port;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Staging};

on_each_mpm!(a_session_of_everything);

fn a_session_of_everything(mpm: Mpm) {
    let (origin, mut staging) = (Staging::start(), Staging::start());
    let mut server = Server::on(mpm)
        .proxy(&origin)
        .vhost(format!("CopyTarget {} name=staging", staging.url("/")))
        .vhost("CopyBodyLimit 256K")
        .vhost(format!(
            "<Location \"/two\">\nMirrorRequest staging http://127.0.0.1:{}/\n</Location>",
            free_port()
        ))
        .vhost("<Location \"/off\">\nMirrorRequest Off\n</Location>")
        .vhost("<Location \"/denied\">\nRequire all denied\n</Location>")
        .expect("AH01630:")
        .expect("AH02608:")
        .expect("AH01097:")
        .expect("CPY")
        .start();
    exchange_all(&server);
    let status = server.settled(10);
    assert_eq!(
        (status.sum("delivered.2xx"), status.sum("failed.refused")),
        (9, 1),
        "{status}\n{}",
        server.logs()
    );
    assert_eq!(status.sum("not_copied.too_large"), 1, "{status}");
    assert_eq!(status.sum("not_copied.refused"), 1, "{status}");
    assert_eq!(status.sum("not_copied.not_copyable"), 1, "{status}");
    for query in ["", "?auto", "?json"] {
        assert_eq!(server.status_page(query).status, 200);
    }

    abort(&server);
    server.status_when("the aborted upload", |status| status.sum("not_copied.incomplete") == 1);

    staging.set(Mode::Closes);
    server.client().exchange(request_with("POST", "/closed", b"x"));
    assert_eq!(server.settled(11).sum("failed.reset"), 1);
    staging.stop();
    server.client().get("/dead");
    server.settled(12);
    staging.set(Mode::Answers);
    staging.resume();

    server.graceful();
    server.client().get("/again");
    server.settled(13);
    staging.set(Mode::Stalled);
    server.client().get("/stalled");
    server.status_when("a copy in flight", |status| status.sum("in_flight") == 1);
    server.graceful_stop();
    assert!(server.left_well(), "{}", server.logs());
}

/// Ten copies, and three requests that bring none.
fn exchange_all(server: &Server) {
    let mut client = server.client();
    client.get("/get");
    client.exchange(request("HEAD", "/head"));
    client.exchange(request_with("POST", "/post", &[b'x'; 1024]));
    client.exchange(
        "POST /chunked HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n400\r\n"
            .to_owned()
            + &"x".repeat(0x400)
            + "\r\n0\r\nX-Trailer: 1\r\n\r\n",
    );
    client.exchange(request_with("PUT", "/big", &[b'x'; 200 * 1024]));
    client.exchange(
        "GET /fields HTTP/1.1\r\nHost: www.example.com\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\
         X-Forwarded-For: 192.0.2.7\r\nX-Mod-Copy: forged\r\nCookie: a=b\r\n\r\n",
    );
    client.get(&format!("/{}", "long".repeat(1500)));
    client.get("/missing");
    client.get("/two");
    client.exchange(request_with("PUT", "/toobig", &[b'x'; 300 * 1024]));
    client.get("/off");
    client.get("/denied");
    client.exchange(
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    );
}

/// Half of a body, and no more.
fn abort(server: &Server) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let upload = request_with("POST", "/aborted", &[b'x'; 100 * 1024]);
    stream.write_all(&upload[..upload.len() / 2]).unwrap();
}
