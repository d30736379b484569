//! Programs that httpd starts (CGIs, piped logs) inherit nothing of ours: what they have open is what they have open
//! under httpd without the module.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Staging};
use crate::wait::wait_for;

on_each_mpm!(
    a_cgi_inherits_nothing,
    a_piped_log_inherits_nothing,
    a_cgi_that_starts_drains_no_queue_of_its_child,
);

/// A shell script that prints what it has open, one a line, as `4 socket:[123]`.
const LIST: &str = "for file in /proc/$$/fd/*; do echo \"${file##*/} $(readlink $file)\"; done\n";

/// httpd with a CGI that lists what it has open.
fn with_cgi(mpm: Mpm, module: &'static str) -> Builder {
    let mut builder = Server::on(mpm).modules(&["alias", module]);
    let root = builder.root().display().to_string();
    builder = builder
        .vhost(format!("ScriptAlias \"/cgi/\" \"{root}/cgi/\""))
        .file("cgi/list", format!("#!/bin/sh\necho 'Content-Type: text/plain'\necho\n{LIST}"));
    if module == "cgid" {
        builder = builder.global(format!("ScriptSock \"{root}/cgid.sock\""));
    }
    make_executable(&builder.root().join("cgi/list"));
    builder
}

fn make_executable(file: &Path) {
    fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
}

/// A list of what is open, less what differs between two processes of the same kind.
fn comparable(list: &str, root: &Path) -> Vec<String> {
    let list = list.replace(&root.display().to_string(), "ROOT");
    let kind = |line: &str| line.split(":[").next().unwrap().to_owned();
    list.lines().map(kind).collect()
}

fn a_cgi_inherits_nothing(mpm: Mpm) {
    for module in ["cgi", "cgid"] {
        let plain = with_cgi(mpm, module).without_copy().start();
        let response = plain.client().get("/cgi/list");
        assert_eq!(response.status, 200, "{}", plain.logs());
        let expected = comparable(&response.text(), plain.root());
        assert!(expected.len() >= 3 && expected[0].starts_with("0 "), "{expected:?}");

        let staging = Staging::start();
        let server =
            with_cgi(mpm, module).vhost(format!("CopyTarget {} min=2", staging.url("/"))).start();
        // On one connection, so that under prefork the CGI's child is the one that is connected to staging.
        let mut client = server.client();
        for round in 1..=3 {
            client.get("/");
            server.settled(2 * round - 1);
            assert!(staging.connections() > 0);
            let response = client.get("/cgi/list");
            server.settled(2 * round);
            assert_eq!(comparable(&response.text(), server.root()), expected, "mod_{module}");
        }
    }
}

fn a_piped_log_inherits_nothing(mpm: Mpm) {
    let logging = || {
        // What httpd says of the old logger's end.
        let builder = Server::on(mpm).expect("long lost child came home!");
        let (program, list) = (builder.root().join("logger"), builder.root().join("logger.list"));
        // The list appears whole, and so does the next one after a restart.
        let script = format!(
            "#!/bin/sh\n{{ {LIST}}} >{0}.new\nmv {0}.new {0}\ncat >/dev/null\n",
            list.display()
        );
        let builder = builder
            .vhost(format!("CustomLog \"|{}\" common", program.display()))
            .file("logger", script);
        make_executable(&program);
        builder
    };
    let list_of = |server: &Server| {
        let list = server.root().join("logger.list");
        let text = wait_for("the logger's list", || fs::read_to_string(&list).ok());
        fs::remove_file(&list).unwrap();
        comparable(&text, server.root())
    };
    let plain = logging().without_copy().start();
    let first = list_of(&plain);
    plain.graceful();
    let again = list_of(&plain);
    assert!(first.len() >= 3, "{first:?}");

    let staging = Staging::start();
    let server = logging().vhost(format!("CopyTarget {} min=2", staging.url("/"))).start();
    assert_eq!(list_of(&server), first);
    server.client().get("/");
    server.settled(1);
    server.graceful();
    assert_eq!(list_of(&server), again);
}

fn a_cgi_that_starts_drains_no_queue_of_its_child(mpm: Mpm) {
    for module in ["cgi", "cgid"] {
        let staging = Staging::start();
        staging.set(Mode::Stalled);
        let server = with_cgi(mpm, module)
            .vhost(format!("CopyTarget {} max=1 timeout=60s", staging.url("/")))
            .start();
        let mut client = server.client();
        for _ in 0..3 {
            client.get("/");
        }
        assert_eq!(client.get("/cgi/list").status, 200);
        let status = server.status_when("four copies", |status| status.sum("selected") == 4);
        let under_way = status.sum("queued") + status.sum("in_flight");
        assert_eq!((under_way, status.sum("dropped")), (4, 0), "mod_{module}\n{status}");
        staging.set(Mode::Answers);
        assert_eq!(server.settled(4).sum("delivered"), 4, "mod_{module}");
    }
}
