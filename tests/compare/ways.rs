//! Whatever clients speak to production, and production to staging: the report is the same.

use crate::client::request;
use crate::conf::Builder;
use crate::h2::{Request, Session, Transport};
use crate::mpm::{Mpm, on_each_mpm};
use crate::secure::authority::Authority;
use crate::secure::staging::Secure;
use crate::server::Server;
use crate::staging::Staging;
use crate::tls::{run, with_tls};

use super::planted::{REQUESTS, ROUND, assert_planted, release};

on_each_mpm!(
    answers_to_clients_with_tls_are_compared,
    answers_of_https_targets_are_compared,
    answers_of_balancers_are_compared,
);

const ROUNDS: u64 = 6;

/// Production of the first release, compared with what that target answers.
fn comparing(mpm: Mpm, today: &Staging, target: &str) -> Builder {
    Server::on(mpm)
        .proxy(today)
        .vhost(format!("CopyTarget {target} name=next"))
        .vhost("CopyCompare headers body")
}

fn drive(server: &Server) {
    for _ in 0..ROUNDS {
        let mut client = server.client();
        ROUND.iter().for_each(|(method, path)| drop(client.exchange(request(method, path))));
    }
}

/// The report is right, and so is the account of the copies.
fn check(server: &Server) {
    assert_planted(server, ROUNDS, "probable noise");
    let status = server.settled(ROUNDS * REQUESTS);
    let delivered = ["delivered.2xx", "delivered.4xx"].map(|outcome| status.sum(outcome));
    assert_eq!(delivered, [ROUNDS * (REQUESTS - 1), ROUNDS], "{status}");
}

#[test]
fn answers_to_http2_clients_are_compared() {
    for mpm in [Mpm::Event, Mpm::Worker] {
        for transport in [Transport::Plain, Transport::Tls] {
            let (today, next) = (release(1), release(2));
            let builder = comparing(mpm, &today, &next.url("/")).modules(&["http2"]);
            let server = match transport {
                Transport::Plain => builder.vhost("Protocols h2c http/1.1"),
                Transport::Tls => with_tls(builder).vhost("Protocols h2 http/1.1"),
            };
            let server = server.start();
            let requests: Vec<Request> = (0..ROUNDS)
                .flat_map(|_| ROUND.map(|(method, path)| Request::new(method, path)))
                .collect();
            let mut session = Session::connect(transport, server.port());
            let answers = session.concurrently(&requests, ROUND.len());
            assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
            check(&server);
        }
    }
}

fn answers_to_clients_with_tls_are_compared(mpm: Mpm) {
    let (today, next) = (release(1), release(2));
    let server = with_tls(comparing(mpm, &today, &next.url("/"))).start();
    for _ in 0..ROUNDS {
        for (method, path) in ROUND {
            let url = format!("https://127.0.0.1:{}{path}", server.port());
            let head: &[&str] = if method == "HEAD" { &["--head"] } else { &[] };
            let fixed =
                ["--silent", "--show-error", "--fail", "--insecure", "--max-time", "20", &url];
            run("curl", &[&fixed[..], head].concat(), "");
        }
    }
    check(&server);
}

/// Production that trusts who signed staging's certificate.
fn trusting(mpm: Mpm, today: &Staging, authority: &Authority, target: &str) -> Server {
    comparing(mpm, today, target)
        .vhost("CopyTLSCACertificateFile ca.pem\nCopyTLSServerName staging.test")
        .file("ca.pem", authority.pem())
        .start()
}

fn answers_of_https_targets_are_compared(mpm: Mpm) {
    let authority = Authority::named("staging's");
    let secure = Secure::before(release(2), &authority, "");
    let today = release(1);
    let target = format!("https://127.0.0.1:{}/", secure.port());
    let server = trusting(mpm, &today, &authority, &target);
    drive(&server);
    check(&server);
}

#[test]
fn answers_of_http2_targets_with_tls_are_compared() {
    let authority = Authority::named("staging's");
    let secure = Secure::before(release(2), &authority, "Protocols h2");
    let today = release(1);
    let target = format!("h2://127.0.0.1:{}/", secure.port());
    let server = trusting(Mpm::Event, &today, &authority, &target);
    drive(&server);
    check(&server);
}

#[test]
fn answers_of_http2_targets_in_the_clear_are_compared() {
    let (today, next) = (release(1), release(2));
    let front = Server::on(Mpm::Event)
        .without_copy()
        .modules(&["http2"])
        .proxy(&next)
        .vhost("Protocols h2c http/1.1")
        .start();
    let target = format!("h2c://127.0.0.1:{}/", front.port());
    let server = comparing(Mpm::Event, &today, &target).start();
    drive(&server);
    check(&server);
}

fn answers_of_balancers_are_compared(mpm: Mpm) {
    let (today, members) = (release(1), [release(2), release(2)]);
    let lines: String =
        members.iter().map(|member| format!("BalancerMember {}\n", member.url(""))).collect();
    let server = comparing(mpm, &today, "balancer://next")
        .modules(&["proxy_balancer", "slotmem_shm", "lbmethod_byrequests"])
        .vhost(format!("<Proxy \"balancer://next\">\n{lines}</Proxy>"))
        .start();
    drive(&server);
    check(&server);
    let counts = members.each_ref().map(Staging::count);
    assert!(counts.iter().all(|count| *count > 0), "both answered: {counts:?}");
}

#[test]
fn controls_are_reached_as_targets_are() {
    let authority = Authority::named("staging's");
    let [next, control] = [2, 1].map(|number| Secure::before(release(number), &authority, ""));
    let h2c = release(1);
    let front = Server::on(Mpm::Event)
        .without_copy()
        .modules(&["http2"])
        .proxy(&h2c)
        .vhost("Protocols h2c http/1.1")
        .start();
    let today = release(1);
    let target = format!("https://127.0.0.1:{}/", next.port());
    for control in [
        format!("https://127.0.0.1:{}/", control.port()),
        format!("h2c://127.0.0.1:{}/", front.port()),
    ] {
        let server = comparing(Mpm::Event, &today, &target)
            .vhost(format!("CopyControl {control}"))
            .vhost("CopyTLSCACertificateFile ca.pem\nCopyTLSServerName staging.test")
            .file("ca.pem", authority.pem())
            .start();
        drive(&server);
        let compared = assert_planted(&server, ROUNDS, "noise");
        assert_eq!(compared.controlled(), ROUNDS * REQUESTS, "{control}: {}", compared.0);
        let status = server.settled(2 * ROUNDS * REQUESTS);
        assert_eq!(status.target(&control).count("delivered.2xx"), ROUNDS * REQUESTS, "{status}");
    }
}
