//! `?prometheus` as promtool and a real Prometheus take it, and mod_status's page with our part.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{self, request};
use crate::conf::Builder;
use crate::httpd::free_port;
use crate::load;
use crate::mpm::Mpm;
use crate::server::Server;
use crate::staging::Staging;
use crate::wait::poll;

fn mirroring(staging: &Staging) -> Builder {
    Server::on(Mpm::Event)
        .vhost(format!("CopyTarget {} name=next", staging.url("/")))
        .vhost(format!("CopyTarget http://127.0.0.1:{}/ status=D", free_port()))
        .file("htdocs/a", "a")
}

fn busy(builder: Builder) -> Server {
    let server = builder.start();
    load::run(server.port(), 4, 100, request("GET", "/a").as_bytes());
    server.settled(400);
    server
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let staging = Staging::start();
    let server = busy(mirroring(&staging));
    let page = server.status_page("?prometheus");
    let media_type = page.field("Content-Type").unwrap();
    assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool: {error}: run `make test-deps`"));
    promtool.stdin.take().unwrap().write_all(&page.content).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}\n{}", page.text());
}

#[test]
fn a_prometheus_scrapes_the_metrics_in_both_of_its_formats() {
    let staging = Staging::start();
    let server = busy(mirroring(&staging));
    let prometheus = Prometheus::scraping(server.status_port());
    for job in ["by-query", "by-accept"] {
        let of_job = format!("{{job=\"{job}\",target=\"next\"}}");
        let value = |query: &str| prometheus.value(query);
        assert_eq!(value(&format!("mod_copy_selected_total{of_job}")), 400.0);
        assert_eq!(value(&format!("sum(mod_copy_delivered_total{of_job})")), 400.0);
        assert_eq!(value(&format!("mod_copy_latency_seconds_count{of_job}")), 400.0);
        let p50 = format!("histogram_quantile(0.5, mod_copy_latency_seconds_bucket{of_job})");
        assert!((1e-6..10.0).contains(&value(&p50)), "{}", value(&p50));
        assert_eq!(value(&format!("count(mod_copy_on{{job=\"{job}\"}} == 0)")), 1.0);
        let kind = prometheus.kind("mod_copy_selected_total", "mod_copy_selected");
        assert_eq!(kind, "counter");
    }
}

#[test]
fn every_panel_of_the_dashboard_asks_for_metrics_that_there_are() {
    let staging = Staging::start();
    let server = busy(mirroring(&staging));
    let names = metric_names(&server.status_page("?prometheus").text());
    let dashboard = Path::new(env!("CARGO_MANIFEST_DIR")).join("apache-conf/examples/grafana.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(dashboard).unwrap()).unwrap();
    let mut expressions = Vec::new();
    collect(&dashboard, &mut expressions);
    assert!(expressions.len() >= 10, "{expressions:?}");
    let prometheus = Prometheus::scraping(server.status_port());
    for expression in expressions {
        let used: Vec<&str> = expression
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("mod_copy_"))
            .collect();
        assert!(!used.is_empty() && used.iter().all(|name| names.contains(*name)), "{expression}");
        let filled = expression.replace("$__rate_interval", "1m").replace("$target", ".*");
        // Prometheus says so where it cannot read one.
        prometheus.ask(&filled);
    }
}

/// What is asked for anywhere in the dashboard.
fn collect(value: &Value, expressions: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if key == "expr" => expressions.push(text.clone()),
                    value => collect(value, expressions),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, expressions)),
        _ => {}
    }
}

fn metric_names(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

#[test]
fn the_documentation_lists_every_metric_and_every_member_of_the_json() {
    let staging = Staging::start();
    let server = busy(mirroring(&staging));
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/status.md");
    let page = fs::read_to_string(page).unwrap();
    let documented = |word: &str| page.contains(&format!("`{word}`"));
    let metrics = server.status_page("?prometheus").text();
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for family in families.map(|line| line.split(' ').next().unwrap()) {
        assert!(documented(family), "docs/status.md lacks the metric {family}");
    }
    let mut members = BTreeSet::new();
    let status =
        server.status_when("rates", |status| !status.0["targets"][1]["rates"]["now"].is_null());
    paths(&status.0, "", &mut members);
    for member in &members {
        assert!(documented(member), "docs/status.md lacks the member {member}");
    }
    let words = page.split('`').skip(1).step_by(2);
    for word in words {
        let is_metric = word.starts_with("mod_copy_") && !word.contains(['{', ' ']);
        assert!(!is_metric || metrics.contains(&format!("# TYPE {word} ")), "there is no {word}");
        let is_member = word.starts_with("targets[].");
        assert!(!is_member || members.contains(word), "there is no {word}");
    }
}

/// The paths of all members, as `targets[].name`.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                paths(value, &path, found);
            }
        }
        Value::Array(values) => {
            values.iter().for_each(|value| paths(value, &format!("{path}[]"), found));
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn mod_status_shows_our_part_on_its_page_and_in_its_lines() {
    let staging = Staging::start();
    let server = busy(mirroring(&staging).modules(&["status"]).vhost(
        "<Location \"/server-status\">\nSetHandler server-status\nMirrorRequest Off\n</Location>",
    ));
    let page = client::get(server.port(), "/server-status").text();
    assert!(page.contains("<h2>mod_copy</h2>") && page.contains("next"), "{page}");
    let auto = client::get(server.port(), "/server-status?auto").text();
    for line in ["CopyTargets: 2", "CopyTarget[0]Name: next", "CopyTarget[0]Delivered2xx: 400"] {
        assert!(auto.lines().any(|other| other == line), "{line} in\n{auto}");
    }
    assert!(auto.contains("\nServerMPM: "), "{auto}");
}

#[test]
fn what_requests_cost_is_measured_and_shown() {
    let staging = Staging::start();
    let server = Server::on(Mpm::Event)
        .vhost(format!("CopyTarget {} name=next queue=100000", staging.url("/")))
        .file("htdocs/a", "a")
        .start();
    let timed = |status: &crate::status::Status| status.0["cost"]["requests"].as_u64().unwrap();
    let mut sent = 0;
    let status = poll(crate::wait::PATIENCE, || {
        load::run(server.port(), 2, 500, request("GET", "/a").as_bytes());
        sent += 1000;
        Some(server.status()).filter(|status| timed(status) >= 30)
    })
    .expect("no request was timed");
    // One in 64, by chance: thrice as many are not to be expected in all eternity.
    assert!(timed(&status) < sent / 64 * 3 + 60, "{} of {sent}", timed(&status));
    let cost = &status.0["cost"];
    let share = cost["share"].as_f64().unwrap();
    assert!(share > 0.0 && share < 1.0, "{cost}");
    let [p50, p99, p999] =
        ["p50_ns", "p99_ns", "p999_ns"].map(|quantile| cost[quantile].as_u64().unwrap());
    assert!(0 < p50 && p50 <= p99 && p99 <= p999, "{cost}");
    eprintln!("{cost}");
    let page = server.status_page("?html").text();
    assert!(page.contains("requests timed, one in 64"), "{page}");
}

/// A Prometheus of the test's own, which scrapes one server's metrics all the time.
struct Prometheus {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Prometheus {
    fn scraping(status_port: u16) -> Prometheus {
        let folder = TempDir::with_prefix("mod_copy-prometheus-").unwrap();
        let job = |name: &str, more: &str| {
            format!(
                "  - job_name: {name}\n    metrics_path: /copy-status\n{more}    static_configs:\n      \
                 - targets: ['127.0.0.1:{status_port}']\n"
            )
        };
        let jobs = job("by-query", "    params: {prometheus: ['']}\n") + &job("by-accept", "");
        let configuration = format!("global: {{scrape_interval: 100ms}}\nscrape_configs:\n{jobs}");
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, configuration).unwrap();
        let port = free_port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus: {error}: run `make test-deps`"));
        let prometheus = Prometheus { child, port, _folder: folder };
        let up = || prometheus.try_value("sum(up)").filter(|up| *up >= 2.0);
        poll(Duration::from_secs(60), up).expect("Prometheus scraped nothing");
        prometheus
    }

    /// The one value that a query gives.
    fn value(&self, query: &str) -> f64 {
        self.try_value(query).unwrap_or_else(|| panic!("no one value for {query}"))
    }

    fn try_value(&self, query: &str) -> Option<f64> {
        if !client::accepts(self.port) {
            return None;
        }
        let answer = client::get(self.port, &path(query));
        let answer: Value = serde_json::from_slice(&answer.content).ok()?;
        let results = answer["data"]["result"].as_array()?;
        let [result] = results.as_slice() else { return None };
        result["value"][1].as_str()?.parse().ok()
    }

    /// Asks something that may have no result, but must be a question.
    fn ask(&self, query: &str) {
        let answer = client::get(self.port, &path(query));
        assert_eq!(answer.status, 200, "{query}\n{}", answer.text());
    }

    /// The kind that Prometheus was told of a metric, in whichever format it came.
    fn kind(&self, name: &str, in_open_metrics: &str) -> String {
        for name in [name, in_open_metrics] {
            let answer = client::get(self.port, &format!("/api/v1/metadata?metric={name}"));
            let answer: Value = serde_json::from_slice(&answer.content).unwrap();
            if let Some(kind) = answer["data"][name][0]["type"].as_str() {
                return kind.to_owned();
            }
        }
        panic!("Prometheus knows nothing of {name}")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path that asks a query, which is encoded whole.
fn path(query: &str) -> String {
    let encoded = query.bytes().map(|byte| format!("%{byte:02x}"));
    format!("/api/v1/query?query={}", encoded.collect::<String>())
}
