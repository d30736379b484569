//! Which server's balancer it is, and what a configuration gets wrong.

use crate::client::Client;
use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;

use super::manager::{LOCATION, Manager};
use super::{MODULES, balancer};

fn verdict(builder: Builder) -> String {
    let verdict = builder.configtest();
    assert!(!verdict.passed, "{}", verdict.stderr);
    verdict.stderr
}

#[test]
fn a_balancer_that_does_not_exist_fails_the_configuration_test() {
    let section = "<Proxy \"balancer://other\">\nBalancerMember http://127.0.0.1:1\n</Proxy>";
    let expected = "a balancer that <Proxy> or ProxyPass defines in this server, with mod_proxy_balancer loaded";
    let with = |line: &str| Server::on(Mpm::Event).modules(&MODULES).vhost(section).vhost(line);
    for (line, name) in [
        ("CopyTarget balancer://staging", "balancer://staging/"),
        ("CopyTarget balancer://staging/x name=beta", "beta"),
        ("MirrorRequest balancer://staging", "balancer://staging/"),
    ] {
        let builder = with(line);
        let file = builder.root().join("httpd.conf").display().to_string();
        let said = verdict(builder);
        let message = format!("CPY0001: CopyTarget: expected {expected}, found '{name}' ({file}:");
        assert!(said.contains(&message), "{line}\n{said}");
    }
    let elsewhere = format!("{section}\nCopyTarget balancer://other");
    let tail = format!("<VirtualHost 127.0.0.1:1>\n{section}\n</VirtualHost>");
    let builder = Server::on(Mpm::Event).modules(&MODULES);
    let said = verdict(builder.vhost("CopyTarget balancer://other").tail(tail));
    assert!(said.contains(expected), "another virtual host's\n{said}");
    for modules in [&[][..], &["proxy"], &["proxy", "slotmem_shm"]] {
        let builder = Server::on(Mpm::Event).modules(modules);
        let said = verdict(builder.vhost("CopyTarget balancer://other"));
        assert!(said.contains(expected), "{modules:?}\n{said}");
    }
    let builder = Server::on(Mpm::Event).modules(&MODULES).vhost(elsewhere);
    assert!(builder.configtest().passed);
    let passes = "ProxyPass \"/x\" \"balancer://Other/\"\nCopyTarget balancer://OTHER";
    let builder = Server::on(Mpm::Event).modules(&MODULES).vhost(passes);
    assert!(builder.configtest().passed, "defined by ProxyPass, in any case");
}

#[test]
fn a_balancer_none_of_whose_members_is_spoken_to_fails_the_configuration_test() {
    let with = |members: &[&str]| {
        let members: String =
            members.iter().map(|member| format!("BalancerMember {member}\n")).collect();
        let section = format!("<Proxy \"balancer://staging\">\n{members}</Proxy>");
        let builder = Server::on(Mpm::Event).modules(&MODULES).vhost(section);
        builder.vhost("CopyTarget balancer://staging")
    };
    for member in ["h2c://127.0.0.1:1", "h2://127.0.0.1:1", "ajp://127.0.0.1:1"] {
        let said = verdict(with(&[member, "h2c://127.0.0.1:2"]));
        let expected =
            "CPY0001: CopyTarget: expected a member of the balancer with http:// or https://";
        assert!(said.contains(&format!("{expected}, found '{member}'")), "{said}");
    }
    // Those that are spoken to get all copies.
    let verdict = with(&["h2c://127.0.0.1:1", "http://127.0.0.1:2"]).configtest();
    assert!(verdict.passed, "{verdict:?}");
}

#[test]
fn each_virtual_host_has_a_target_of_its_own() {
    let section = "<Proxy \"balancer://staging\">\nBalancerMember http://127.0.0.1:1\n</Proxy>";
    let tail = "<VirtualHost 127.0.0.1:1>\nCopyTarget balancer://staging\n</VirtualHost>";
    let builder = Server::on(Mpm::Event).modules(&MODULES).global(section);
    let said = verdict(builder.vhost("CopyTarget balancer://staging").tail(tail));
    let expected = "expected a name= of its own in each virtual host, for each has a balancer's state of its \
                    own, found 'balancer://staging/'";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn virtual_hosts_that_inherit_a_balancer_share_the_state_of_its_members() {
    let members = [Staging::start(), Staging::start()];
    let builder = Server::on(Mpm::Event).one_child().modules(&MODULES).file("htdocs/a", "a");
    let port = builder.port();
    // A directive of mod_proxy's of its own makes mod_proxy copy what the virtual host inherits.
    let lines = |name: &str| {
        format!("ProxyTimeout 60\n{LOCATION}\nCopyTarget balancer://staging name={name} max=1")
    };
    let server = builder
        .global(balancer(&members, &["", ""], ""))
        .vhost(format!("ServerName first.example.com\n{}", lines("first")))
        .tail(format!(
            "<VirtualHost 127.0.0.1:{port}>\nServerName www.example.com\n{}\n</VirtualHost>",
            lines("second")
        ))
        .start();
    let manager = Manager::new(port, "staging");
    let mut client = Client::connect(port);
    let mut copies = |host: &str, selected: u64| {
        let before = members.each_ref().map(Staging::count);
        for _ in 0..10 {
            client.exchange(format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        }
        server.settled(selected);
        let after = members.each_ref().map(Staging::count);
        [0, 1].map(|at| after[at] - before[at])
    };
    assert_eq!(copies("first.example.com", 10), [5, 5]);
    assert_eq!(copies("www.example.com", 20), [5, 5]);
    // The manager's requests are for the second virtual host.
    manager.set(&members[0].url(""), "w_status_D=1");
    assert_eq!(copies("www.example.com", 30), [0, 10]);
    assert_eq!(copies("first.example.com", 40), [0, 10]);
}

#[test]
fn a_virtual_host_without_directives_of_mod_proxy_shares_the_main_servers_balancer() {
    let members = [Staging::start(), Staging::start()];
    let server = Server::on(Mpm::Event)
        .one_child()
        .modules(&MODULES)
        .file("htdocs/a", "a")
        .global(balancer(&members, &["", ""], ""))
        .global("CopyTarget balancer://staging max=1")
        .vhost(LOCATION)
        .start();
    let manager = Manager::new(server.port(), "staging");
    manager.set(&members[0].url(""), "w_status_D=1");
    let mut client = server.client();
    (0..6).for_each(|_| drop(client.get("/a")));
    server.settled(6);
    assert_eq!(members.each_ref().map(Staging::count), [0, 6]);
}
