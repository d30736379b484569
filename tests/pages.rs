//! copy-status and copy-manager in a real browser; what they look like is kept in `target/screenshots`.

use crate::browser::{Browser, Look};
use crate::client::{self, request};
use crate::compare::reading::compared;
use crate::httpd::free_port;
use crate::load;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::{Mode, Received, Staging};
use crate::wait::wait_for;

/// Wide and narrow, light and dark.
const LOOKS: [Look; 4] = [
    Look { width: 1280, is_dark: false },
    Look { width: 1280, is_dark: true },
    Look { width: 420, is_dark: false },
    Look { width: 420, is_dark: true },
];

/// Production with targets in every state, and some traffic behind it.
struct Scene {
    server: Server,
    _stagings: [Staging; 2],
}

impl Scene {
    fn set() -> Scene {
        let stagings = [Staging::start(), Staging::start()];
        stagings[1].set(Mode::Stalled);
        let [next, slow] = [stagings[0].url("/"), stagings[1].url("/")];
        let gone = format!("http://127.0.0.1:{}/a/path/that/is/quite/long/for/a/name", free_port());
        let server = Server::on(Mpm::Event)
            .vhost(format!("CopyTarget {next} name=next"))
            .vhost(format!("CopyTarget {slow} name=slow max=2 timeout=60s queue=4096"))
            .vhost(format!("CopyTarget {gone} retry=1h"))
            .vhost(format!("CopyTarget {next} name=later status=D"))
            .modules(&["authz_host"])
            .vhost("<Location /copy-manager>\nSetHandler copy-manager\nRequire local\n</Location>")
            .file("htdocs/a", "a")
            .expect("CPY01")
            .expect("CPY02")
            .start();
        load::run(server.port(), 4, 500, request("GET", "/a").as_bytes());
        server.status_when("rates", |status| {
            status.0["targets"][0]["rates"]["now"]["delivered"].as_f64() > Some(0.0)
                && status.0["targets"][1]["oldest_queued_ms"].as_u64() > Some(0)
        });
        Scene { server, _stagings: stagings }
    }

    fn status(&self) -> String {
        format!("http://127.0.0.1:{}/copy-status", self.server.status_port())
    }

    fn manager(&self) -> String {
        format!("http://127.0.0.1:{}/copy-manager", self.server.port())
    }
}

#[test]
fn both_pages_are_shown_without_complaint_and_the_controls_work() {
    let scene = Scene::set();
    let browser = Browser::start();
    browser.open(&format!("{}?refresh=3600", scene.status()));
    let text = browser.text();
    for part in [
        "Is it hurting production?",
        "Is it working?",
        "copying",
        "paused",
        "switched off",
        "2\u{202f}000",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert_eq!(browser.find("return document.scripts.length"), 0);
    assert_eq!(browser.find("return document.querySelectorAll('svg path.good').length > 0"), true);
    show(&browser, "status");

    browser.open(&scene.manager());
    show(&browser, "manager");
    let section = |name: &str| format!("//section[h2/bdi[.='{name}']]");
    let wait_until = |name: &str, on: bool| {
        scene.server.status_when(name, |status| status.target(name).is_on() == on);
    };
    let wait_for_text = |text: &str| {
        wait_for(text, || browser.text().contains(text).then_some(()));
    };
    browser.click(&section("next"), "Switch off");
    wait_for_text("next: switched off (was on)");
    wait_until("next", false);
    browser.click(&section("later"), "Switch on");
    wait_until("later", true);
    wait_for_text("later: switched on (was off)");
    browser.submit(&section("slow"), "sample", "12.5%");
    wait_for_text("slow: sample 12.5% (was as configured)");
    browser.submit(&section("slow"), "rate", "<script>alert(1)</script>");
    wait_for_text("Nothing was changed: rate is a rate");
    browser.click("//section[h2[.='All targets']]", "Reset all breakers");
    wait_for_text("breaker closed");
    show(&browser, "manager-changed");
    browser.click("//section[h2[.='All targets']]", "All as configured");
    wait_until("next", true);
    wait_until("later", false);
    let complaints = browser.complaints();
    // The answer to the change that was refused; and browsers ask for an icon.
    let is_expected =
        |line: &String| line.contains("400 (Bad Request)") || line.contains("favicon");
    assert!(complaints.iter().all(is_expected), "{complaints:#?}");
    assert!(scene.server.logged("CPY0201:") >= 4, "{}", scene.server.logs());
    assert_eq!(client::get(scene.server.port(), "/a").status, 200);
}

#[test]
fn the_page_of_comparisons_is_shown_without_complaint() {
    let body = |price: &'static str, moment: &'static str| {
        move |received: &Received| {
            let path = received.request_line();
            let content = match path.split(' ').nth(1).unwrap() {
                "/same" => r#"{"same":true}"#.to_owned(),
                _ => format!(
                    r#"{{"items":[{{"price":{price}}}],"served_at":"2026-05-20T10:00:{moment}Z","<b>":{price}}}"#
                ),
            };
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
            format!("{head}: {}\r\n\r\n{content}", content.len()).into_bytes()
        }
    };
    let (origin, staging) =
        (Staging::with_answers(body("1", "00")), Staging::with_answers(body("\"1\"", "01")));
    let server = Server::on(Mpm::Event)
        .proxy(&origin)
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost(format!("CopyTarget {} name=same", origin.url("/")))
        .vhost("CopyCompare headers body\nCopyCompareThreshold differ=1% least=10")
        .start();
    for path in ["/same", "/users/7/orders", "/a/path/that/is/quite/long/for/a/route/and/goes/on"] {
        (0..20).for_each(|_| drop(client::get(server.port(), path)));
    }
    for name in ["next", "same"] {
        compared(&server, name, 60);
    }
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/copy-status?compare", server.status_port()));
    let text = browser.text();
    for part in
        ["Copy compare", "fail", "pass", "GET /users/{n}/orders", "$.items[*].price", "$['<b>']"]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert_eq!(browser.find("return document.scripts.length"), 0);
    show(&browser, "compare");
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|line| line.contains("favicon")), "{complaints:#?}");
}

fn show(browser: &Browser, name: &str) {
    for look in LOOKS {
        browser.picture(name, look);
        assert!(browser.overflow() <= 0, "{name} is wider than {} pixels", look.width);
    }
}
