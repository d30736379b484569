//! Copies to the members of a balancer that a real mod_proxy_balancer has, in the state that it has them in.
//!
//! ```text
//! manager.rs   balancer-manager, as an administrator's browser drives it
//! health.rs    members that die and return
//! scopes.rs    which server's balancer it is, and what a configuration gets wrong
//! ```

mod health;
mod manager;
mod scopes;

use std::path::Path;

use crate::client::{request, request_with};
use crate::conf::Builder;
use crate::mpm::{Mpm, on_each_mpm};
use crate::server::Server;
use crate::staging::{Mode, Received, Staging};
use crate::wait::wait_for;

use manager::{LOCATION, Manager};

on_each_mpm!(
    members_get_copies_and_one_that_is_drained_gets_none_at_once,
    balances_go_on_after_a_graceful_restart
);

const MODULES: [&str; 9] = [
    "proxy",
    "proxy_http",
    "proxy_balancer",
    "slotmem_shm",
    "lbmethod_byrequests",
    "lbmethod_bybusyness",
    "lbmethod_bytraffic",
    "watchdog",
    "proxy_hcheck",
];

/// Production with a balancer of recording members.
struct Balanced {
    server: Server,
    manager: Manager,
    members: Vec<Staging>,
    /// Copies so far.
    selected: u64,
}

/// A `<Proxy>` section with these members and the words behind each.
fn balancer(members: &[Staging], words: &[&str], lines: &str) -> String {
    let members: String = members
        .iter()
        .zip(words)
        .map(|(member, words)| format!("BalancerMember {} {words}\n", member.url("")))
        .collect();
    format!("<Proxy \"balancer://staging\">\n{members}{lines}\n</Proxy>")
}

fn production(mpm: Mpm, section: &str, keys: &str) -> Builder {
    Server::on(mpm)
        .modules(&MODULES)
        .file("htdocs/a", "a")
        .vhost(section)
        .vhost(LOCATION)
        .vhost(format!("CopyTarget balancer://staging name=staging {keys}"))
}

impl Balanced {
    /// In one child, with members that these words stand behind.
    fn with(words: &[&str], lines: &str) -> Balanced {
        Balanced::on(words, |members| {
            production(Mpm::Event, &balancer(members, words, lines), "max=1").one_child()
        })
    }

    fn on(words: &[&str], builder: impl FnOnce(&[Staging]) -> Builder) -> Balanced {
        let members: Vec<Staging> = words.iter().map(|_| Staging::start()).collect();
        let server = builder(&members).start();
        let manager = Manager::new(server.port(), "staging");
        Balanced { server, manager, members, selected: 0 }
    }

    /// A member as balancer-manager calls it.
    fn member(&self, index: usize) -> String {
        self.members[index].url("")
    }

    /// How many copies of so many requests each member gets.
    fn copies(&mut self, count: usize) -> Vec<usize> {
        self.copies_of(count, &request("GET", "/a"))
    }

    fn copies_of(&mut self, count: usize, request: &str) -> Vec<usize> {
        let before: Vec<usize> = self.members.iter().map(Staging::count).collect();
        let mut client = self.server.client();
        for _ in 0..count {
            assert_eq!(client.exchange(request).status, 200);
        }
        self.selected += count as u64;
        self.server.settled(self.selected);
        self.members.iter().zip(before).map(|(member, before)| member.count() - before).collect()
    }

    /// How many copies found no member.
    fn no_member(&self) -> u64 {
        self.server.status().target("staging").count("dropped.no_member")
    }
}

#[test]
fn members_get_copies_by_their_weights_and_new_weights_hold_at_once() {
    let mut balanced = Balanced::with(&["loadfactor=3", "", ""], "");
    assert_eq!(balanced.copies(50), [30, 10, 10]);
    balanced.manager.set(&balanced.member(2), "w_lf=6");
    let counts = balanced.copies(100);
    let due = [30, 10, 60];
    assert!(counts.iter().zip(due).all(|(count, due)| count.abs_diff(due) <= 2), "{counts:?}");
    balanced.manager.set(&balanced.member(0), "w_lf=1");
    balanced.manager.set(&balanced.member(2), "w_lf=1");
    let counts = balanced.copies(60);
    assert!(counts.iter().all(|count| count.abs_diff(20) <= 2), "{counts:?}");
    assert_eq!(balanced.no_member(), 0);
}

fn members_get_copies_and_one_that_is_drained_gets_none_at_once(mpm: Mpm) {
    let mut balanced =
        Balanced::on(&["", ""], |members| production(mpm, &balancer(members, &["", ""], ""), ""));
    let counts = balanced.copies(40);
    assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
    balanced.manager.set(&balanced.member(0), "w_status_N=1");
    assert_eq!(balanced.copies(20), [0, 20]);
    balanced.manager.set(&balanced.member(0), "w_status_N=0");
    balanced.manager.set(&balanced.member(1), "w_status_S=1");
    assert_eq!(balanced.copies(20), [20, 0]);
}

#[test]
fn the_state_that_balancer_manager_sets_holds_for_the_next_copy() {
    let mut balanced = Balanced::with(&["", "", "status=+H", "status=+R"], "");
    let (first, second) = (balanced.member(0), balanced.member(1));
    let set =
        |balanced: &Balanced, member: &str, change: &str| balanced.manager.set(member, change);
    assert_eq!(balanced.copies(10), [5, 5, 0, 0]);
    for flag in ["N", "D", "S", "C"] {
        set(&balanced, &first, &format!("w_status_{flag}=1"));
        assert_eq!(balanced.copies(10), [0, 5, 0, 5], "{flag}: the spare takes its place");
        set(&balanced, &first, &format!("w_status_{flag}=0"));
        assert_eq!(balanced.copies(10), [5, 5, 0, 0], "{flag} taken back");
    }
    set(&balanced, &first, "w_status_H=1");
    assert_eq!(balanced.copies(10), [0, 10, 0, 0], "it stands by");
    set(&balanced, &second, "w_status_D=1");
    let spare = balanced.member(3);
    assert_eq!(balanced.copies(10), [0, 0, 0, 10], "spares go before standbys");
    set(&balanced, &spare, "w_status_D=1");
    assert_eq!(balanced.copies(10), [5, 0, 5, 0], "two stand by");
}

#[test]
fn where_all_members_are_out_copies_are_dropped_and_counted() {
    let mut balanced = Balanced::on(&["", ""], |members| {
        let section = balancer(members, &["status=+D", "status=+D"], "");
        production(Mpm::Event, &section, "").expect("CPY0116:")
    });
    assert_eq!(balanced.copies(5), [0, 0]);
    let status = balanced.server.status();
    let staging = status.target("staging");
    assert_eq!(staging.count("dropped.no_member"), 5, "{status}");
    assert_eq!((staging.count("failed"), staging.text("breaker.state")), (0, "closed"), "{status}");
    let page = balanced.server.status_page("?auto").text();
    assert!(page.contains("CopyTarget[0]DroppedNoMember: 5\n"), "{page}");
    let line = "CPY0116: a copy to staging was dropped: no member (4 so far)";
    assert_eq!(balanced.server.logged(line), 1, "{}", balanced.server.logs());
    balanced.manager.set(&balanced.member(1), "w_status_D=0");
    assert_eq!(balanced.copies(5), [0, 5]);
}

#[test]
fn a_member_that_is_added_at_run_time_gets_copies() {
    let mut balanced = Balanced::with(&[""], "ProxySet growth=2");
    assert_eq!(balanced.copies(4), [4]);
    let added = Staging::start();
    balanced.manager.add(&added.url(""));
    balanced.members.push(added);
    assert_eq!(balanced.copies(10), [5, 5]);
    let added = Staging::start();
    balanced.manager.add(&added.url("/below"));
    balanced.members.push(added);
    assert_eq!(balanced.copies(9), [3, 3, 3]);
    assert_eq!(balanced.members[2].received()[0].request_line(), "GET /below/a HTTP/1.1");
}

#[test]
fn a_session_stays_with_the_member_of_its_route() {
    let sticky = "ProxySet stickysession=SID|sid";
    let mut balanced = Balanced::with(&["route=a", "route=b", "route=c"], sticky);
    let with_cookie = |cookie: &str| {
        format!("GET /a HTTP/1.1\r\nHost: www.example.com\r\nCookie: x=y; SID={cookie}\r\n\r\n")
    };
    assert_eq!(balanced.copies_of(6, &with_cookie("5ec2e7.b")), [0, 6, 0]);
    assert_eq!(balanced.copies_of(6, &request("GET", "/a?sid=5ec2e7.c")), [0, 0, 6]);
    assert_eq!(balanced.copies_of(6, &with_cookie("5ec2e7.unknown")), [2, 2, 2]);
    balanced.manager.set(&balanced.member(1), "w_status_D=1");
    assert_eq!(balanced.copies_of(6, &with_cookie("5ec2e7.b")), [3, 0, 3]);
    balanced.manager.set(&balanced.member(0), "w_wr=b");
    assert_eq!(balanced.copies_of(6, &with_cookie("5ec2e7.b")), [6, 0, 0], "its new route");
}

#[test]
fn what_is_masked_tells_no_route() {
    let mut balanced = Balanced::on(&["route=a", "route=b"], |members| {
        let section = balancer(members, &["route=a", "route=b"], "ProxySet stickysession=SID");
        Server::on(Mpm::Event)
            .one_child()
            .modules(&MODULES)
            .file("htdocs/a", "a")
            .vhost(section)
            .vhost(
                "<CopyTarget balancer://staging max=1>\nCopyMask cookie SID fixed:none\n</CopyTarget>",
            )
    });
    let request = "GET /a HTTP/1.1\r\nHost: www.example.com\r\nCookie: SID=5ec2e7.b\r\n\r\n";
    assert_eq!(balanced.copies_of(6, request), [3, 3]);
    let received = balanced.members[0].received();
    assert_eq!(received[0].field("Cookie").as_deref(), Some("SID=none"));
}

#[test]
fn the_method_is_mod_proxys_and_changes_when_it_does() {
    let mut balanced = Balanced::on(&["", ""], |members| {
        production(
            Mpm::Event,
            &balancer(members, &["", ""], "ProxySet lbmethod=bybusyness"),
            "timeout=60s",
        )
        .one_child()
    });
    balanced.members[0].set(Mode::Stalled);
    let mut client = balanced.server.client();
    // One copy waits for the first member's answer: all others go to the second.
    for delivered in 0..12 {
        client.get("/a");
        balanced.server.status_when("each copy by itself", |status| {
            (status.sum("selected"), status.sum("delivered")) == (delivered + 1, delivered)
        });
    }
    assert_eq!((balanced.members[0].count(), balanced.members[1].count()), (1, 11));
    balanced.members[0].set(Mode::Answers);
    balanced.selected = 12;
    balanced.server.settled(12);
    balanced.manager.set_balancer("b_lbm=bytraffic");
    // The second has had eleven copies: the first gets its share until it has had as much.
    assert_eq!(balanced.copies(10), [10, 0]);
    balanced.manager.set_balancer("b_lbm=byrequests");
    assert_eq!(balanced.copies(10).iter().sum::<usize>(), 10);
}

#[test]
fn copies_are_written_as_to_the_member_itself() {
    let words = &[""];
    let below = |keys: &str, section: &str| {
        let members: Vec<Staging> = words.iter().map(|_| Staging::start()).collect();
        let section = section.replace("MEMBER", &members[0].url("/own"));
        let server = Server::on(Mpm::Event)
            .modules(&MODULES)
            .file("htdocs/a", "a")
            .vhost(section)
            .vhost(format!("CopyTarget balancer://staging/v2 {keys}"))
            .start();
        server.client().exchange(request_with("POST", "/a?b=c", b"content"));
        let copy: Received = members[0].wait_for(1).remove(0);
        server.settled(1);
        assert_eq!(copy.content, b"content");
        assert_eq!(copy.field("Host"), Some(members[0].authority()));
        (copy.request_line(), server.status().targets()[0].name().to_owned())
    };
    let section = "<Proxy \"balancer://staging\">\nBalancerMember \"MEMBER\"\n</Proxy>";
    assert_eq!(
        below("", section),
        ("POST /own/v2/a?b=c HTTP/1.1".to_owned(), "balancer://staging/v2".to_owned())
    );
    let line = below("path=replace name=x", section).0;
    assert_eq!(line, "POST /own/v2?b=c HTTP/1.1");
}

fn balances_go_on_after_a_graceful_restart(mpm: Mpm) {
    let mut balanced =
        Balanced::on(&["", ""], |members| production(mpm, &balancer(members, &["", ""], ""), ""));
    assert_eq!(balanced.copies(10).iter().sum::<usize>(), 10);
    balanced.manager.set(&balanced.member(0), "w_status_D=1");
    assert_eq!(balanced.copies(10), [0, 10]);
    balanced.server.graceful();
    // Without BalancerPersist mod_proxy begins anew.
    let counts = balanced.copies(40);
    assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
    balanced.manager.set(&balanced.member(1), "w_status_S=1");
    assert_eq!(balanced.copies(10), [10, 0]);
}

#[test]
fn members_that_speak_tls_are_met_with_the_targets_settings() {
    use crate::secure::{authority::Authority, staging::Secure};

    let authority = Authority::named("staging's");
    let secure = Secure::start(&authority);
    let plain = Staging::start();
    let server = Server::on(Mpm::Event)
        .one_child()
        .modules(&MODULES)
        .file("htdocs/a", "a")
        .file("ca.pem", authority.pem())
        .vhost(format!(
            "<Proxy \"balancer://staging\">\nBalancerMember https://127.0.0.1:{}\nBalancerMember {}\n\
             BalancerMember ajp://127.0.0.1:1\n</Proxy>",
            secure.port(),
            plain.url("")
        ))
        .vhost("CopyTLSCACertificateFile ca.pem\nCopyTarget balancer://staging name=staging")
        .expect("CPY0117: a member of the balancer of staging gets no copies: ajp://127.0.0.1:1")
        .start();
    let mut client = server.client();
    for _ in 0..6 {
        client.get("/a");
    }
    assert_eq!(server.settled(6).sum("delivered.2xx"), 6);
    assert_eq!((secure.staging().count(), plain.count()), (3, 3));
    assert_eq!(server.logged("CPY0117:"), 1, "{}", server.logs());
}

#[test]
fn the_example_balances_and_its_manager_shows_the_members() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("apache-conf/examples/balancer.conf");
    let text = std::fs::read_to_string(example).unwrap();
    let members = [Staging::start(), Staging::start(), Staging::start()];
    let builder = Server::on(Mpm::Event).one_child();
    let origin = Staging::start();
    let names = ["one", "two", "three"];
    let mut text = text
        .replace("*:80", &format!("127.0.0.1:{}", builder.port()))
        .replace("http://127.0.0.1:8086/", &origin.url("/"))
        .replace("hcmethod=HEAD hcuri=/healthz", "hcmethod=TCP");
    for (name, member) in names.iter().zip(&members) {
        text = text.replace(&format!("http://{name}.staging.example.com:8080"), &member.url(""));
    }
    assert!(!text.contains("staging.example.com:"), "{text}");
    let server = builder
        .modules(&MODULES)
        .modules(&["authz_host"])
        .vhost("ServerName other.example.com")
        .tail(text)
        .start();
    let request = "GET /x HTTP/1.1\r\nHost: balanced.example.com\r\n\r\n";
    let mut client = server.client();
    for _ in 0..9 {
        assert_eq!(client.exchange(request).status, 200);
    }
    assert_eq!(server.settled(9).sum("delivered.2xx"), 9);
    wait_for("the weights of the example", || {
        (members.each_ref().map(Staging::count) == [6, 3, 0]).then_some(())
    });
}
