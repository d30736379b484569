//! What is left out of comparisons, and how long bodies may be, as sections say it.

use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::Staging;

use super::reading::compared;

on_each_mpm!(sections_leave_out_what_their_servers_and_targets_do_not);

/// A server that has its release in every field, and in its body of more than 5 KiB.
fn release(number: u32) -> Staging {
    let fields = ["Server-Own", "Block", "Outer", "Inner", "Odd"];
    let fields: String = fields.iter().map(|name| format!("X-{name}: {number}\r\n")).collect();
    let list = "1,".repeat(2_500);
    let body = format!(r#"{{"release":{number},"list":[{list}1]}}"#);
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    Staging::with_answer(&format!("{head}{fields}Content-Length: {length}\r\n\r\n{body}"))
}

fn sections_leave_out_what_their_servers_and_targets_do_not(mpm: Mpm) {
    let (today, next, other) = (release(1), release(2), release(2));
    let server = Server::on(mpm)
        .proxy(&today)
        .vhost("CopyCompare headers body\nCopyCompareIgnore header:X-Server-Own")
        .vhost(format!("CopyTarget {} name=next", next.url("/")))
        .vhost(format!("<CopyTarget {} name=other>", other.url("/")))
        .vhost("CopyCompareIgnore header:X-Block\nCopyCompareLimit 1M\n</CopyTarget>")
        .vhost("<Location /outer>\nCopyCompareIgnore header:X-Outer\n</Location>")
        .vhost(
            "<Location /outer/inner>\nCopyCompareIgnore header:X-Inner json:$.release\n</Location>",
        )
        .vhost("<Location /short>\nCopyCompareLimit 1K\n</Location>")
        .vhost("<If \"%{QUERY_STRING} == 'odd'\">\nCopyCompareIgnore header:X-Odd\n</If>")
        .start();
    let mut client = server.client();
    for path in ["/a", "/outer/a", "/outer/inner/a", "/short?odd"] {
        assert_eq!(client.get(path).status, 200);
    }
    let found = |target: &str| compared(&server, target, 4).differences("real").join("\n");
    let expected = |block: bool, short: &str| {
        let rows = [
            ("/a", "header:x-block"),
            ("/a", "header:x-inner"),
            ("/a", "header:x-odd"),
            ("/a", "header:x-outer"),
            ("/outer/a", "header:x-block"),
            ("/outer/a", "header:x-inner"),
            ("/outer/a", "header:x-odd"),
            ("/outer/inner/a", "header:x-block"),
            ("/outer/inner/a", "header:x-odd"),
            ("/short", "header:x-block"),
            ("/short", "header:x-inner"),
            ("/short", "header:x-outer"),
            ("/a", "$.release"),
            ("/outer/a", "$.release"),
            ("/short", short),
        ];
        let rows = rows.iter().filter(|(_, place)| !block || *place != "header:x-block");
        let mut rows: Vec<_> =
            rows.map(|(path, place)| format!("GET {path} {place} value")).collect();
        rows.sort();
        rows.join("\n")
    };
    assert_eq!(found("next"), expected(false, "body"));
    assert_eq!(found("other"), expected(true, "$.release"), "a block goes before a section");
    server.settled(8);
}

#[test]
fn sections_say_what_means_something_there_and_so_many_lines() {
    let section = |lines: &str| {
        let lines = format!("CopyTarget http://127.0.0.1:1/\n<Location /a>\n{lines}\n</Location>");
        Server::on(Mpm::Event).vhost(lines).configtest()
    };
    for line in ["CopyCompareThreshold differ=1%", "CopyControl http://127.0.0.1:2/"] {
        let (name, _) = line.split_once(' ').unwrap();
        let verdict = section(line);
        let said = format!("{name} not allowed in <Location> context");
        assert!(!verdict.passed && verdict.stderr.contains(&said), "{}", verdict.stderr);
    }
    let lines = |count: usize| -> String {
        (0..count).map(|number| format!("CopyCompareIgnore header:X-{number}\n")).collect()
    };
    // Those that say the same are one.
    assert!(section(&(lines(64) + &lines(64))).passed);
    let verdict = section(&lines(65));
    let said = "CopyCompareIgnore: at most 64 different lines in the sections of a configuration";
    assert!(!verdict.passed && verdict.stderr.contains(said), "{}", verdict.stderr);
}
