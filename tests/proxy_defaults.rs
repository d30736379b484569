//! What is configured for mod_proxy is the default for copies.

use std::time::{Duration, Instant};

use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::{Mode, Staging};

/// How long a copy to stalled staging is waited for with these lines.
fn given_up_after(configure: impl FnOnce(Builder) -> Builder, keys: &str) -> Duration {
    let staging = Staging::start();
    staging.set(Mode::Stalled);
    let builder = configure(Server::on(Mpm::Event)).expect("CPY");
    let server = builder.vhost(format!("CopyTarget {} {keys}", staging.url("/"))).start();
    let begun = Instant::now();
    server.client().get("/");
    let status = server.settled(1);
    assert_eq!(status.sum("failed.timeout"), 1, "{status}");
    begun.elapsed()
}

fn assert_about_a_second(took: Duration) {
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn proxy_timeout_limits_a_copy() {
    let proxy = ["proxy", "proxy_http"];
    assert_about_a_second(given_up_after(
        |builder| builder.modules(&proxy).vhost("ProxyTimeout 1"),
        "",
    ));
    assert_about_a_second(given_up_after(
        |builder| builder.modules(&proxy).global("ProxyTimeout 1"),
        "",
    ));
}

#[test]
fn the_modules_own_timeout_goes_before_proxy_timeout() {
    let proxy = ["proxy", "proxy_http"];
    let with_both =
        |builder: Builder| builder.modules(&proxy).vhost("ProxyTimeout 60\nCopyTimeout 1");
    assert_about_a_second(given_up_after(with_both, ""));
    let with_proxys = |builder: Builder| builder.modules(&proxy).vhost("ProxyTimeout 60");
    assert_about_a_second(given_up_after(with_proxys, "timeout=1s"));
}

#[test]
fn without_mod_proxy_a_copy_has_its_own_timeout() {
    assert_about_a_second(given_up_after(|builder| builder.global("CopyTimeout 1000ms"), ""));
    assert_about_a_second(given_up_after(
        |builder| builder.vhost("CopyTimeout 60"),
        "timeout=1000ms",
    ));
}
