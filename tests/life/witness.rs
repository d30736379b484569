//! A panic amid production's answer costs its comparison: half of an answer is never taken for the whole of it.

use crate::compare::reading::now;
use crate::injection::Faults;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Received, Staging};
use crate::wait::wait_for;

on_each_mpm!(half_an_answer_is_compared_with_nothing);

/// What is longer than mod_proxy passes on at once, so that several brigades bring it.
fn answer(_: &Received) -> Vec<u8> {
    let content = format!("[{}1]", "1,".repeat(300_000));
    let length = content.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {length}\r\n\r\n{content}").into_bytes()
}

fn half_an_answer_is_compared_with_nothing(mpm: Mpm) {
    let (origin, staging) = (Staging::with_answers(answer), Staging::with_answers(answer));
    let server = Server::on(mpm)
        .with_faults()
        .proxy(&origin)
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost("CopyCompare headers body")
        .expect("CPY0091:")
        .expect("on purpose")
        .start();
    let faults = Faults::of(server.root());
    let whole = server.client().get("/a").text();
    let points = ["Witness-enter", "Witness-leave"];
    for (point, count) in points.into_iter().zip(1..) {
        faults.panic_at(point);
        assert_eq!(server.client().get("/a").text(), whole, "{point}");
        assert!(faults.has_panicked(point), "{point}");
        wait_for("a comparison that is not made", || {
            now(&server, "next").filter(|compared| compared.counted("unpaired") == count)
        });
    }
    assert_eq!(server.client().get("/a").text(), whole);
    let compared = wait_for("two comparisons", || {
        now(&server, "next").filter(|compared| compared.counted("equal") == 2)
    });
    assert_eq!(compared.differences("real"), [""; 0], "{}", compared.0);
}
