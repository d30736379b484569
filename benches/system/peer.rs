//! The same work done by nginx with its `mirror`, as a peer that anyone can install.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::exchange::all;
use crate::httpd::free_port;
use crate::load::{self, Pace, request};
use crate::pair::{Pair, Subject, cpu, pair, rate};
use crate::production::{CONNECTIONS, Request};
use crate::sink::Backends;
use crate::table::{Required, Table};
use crate::wait::poll;
use crate::{Plan, client, cores};

const SIZES: [usize; 3] = [1, 64, 1024];
/// Locations that mirror: to a staging whose answers have no content, and to the one that httpd has.
const MIRRORED: [(&str, &str); 2] =
    [("/terse/", "answers without content"), ("/full/", "answers of 2 bytes")];

/// Measures each size of POST with each kind of answer.
pub fn measure(plan: &Plan, table: &mut Table) {
    let backends = Backends::start();
    let nginx = Nginx::start(&backends);
    let mut patience = plan.patience;
    for kib in SIZES {
        eprintln!("nginx, {} …", Request::Post(kib));
        let subject = |location: &str, copies| Subject {
            pid: nginx.process.id(),
            port: nginx.port,
            request: request("POST", &format!("{location}orders?id=42"), kib * 1024),
            copies,
        };
        let off = subject("/off/", 0);
        for (location, answers) in MIRRORED {
            let on = subject(location, 1);
            for subject in [&off, &on] {
                let few = Pace::Count(300);
                load::run(subject.port, &subject.request, few, CONNECTIONS, &backends);
            }
            cores::wait_for_quiet(&mut patience);
            let pairs: Vec<Pair> = (0..plan.rounds)
                .map(|_| pair(&off, &on, &backends, Pace::Saturate(plan.run)))
                .collect();
            table.title(format!("nginx, {}, staging {answers}", Request::Post(kib)));
            let throughput = all(&pairs, |pair| pair.off(rate));
            table.row("requests/s, off", throughput, Required::Nothing);
            let throughput = all(&pairs, |pair| pair.ratio(rate));
            table.row("throughput ratio", throughput, Required::Nothing);
            table.row("CPU ratio", all(&pairs, |pair| pair.ratio(cpu)), Required::Nothing);
            let delivered = all(&pairs, |pair| pair.on.delivered);
            table.row("copies delivered, %", delivered, Required::Nothing);
            let noise = all(&pairs, |pair| pair.noise(cpu));
            table.row("noise: CPU ratio, off", noise, Required::Nothing);
            table.others(all(&pairs, |pair| pair.on.others.max(pair.off(|run| run.others))));
        }
    }
}

/// Its version, as it tells it; `None` where it is not installed.
pub fn version() -> Option<String> {
    let said = Command::new("nginx").arg("-v").output().ok()?.stderr;
    let said = String::from_utf8_lossy(&said).into_owned();
    Some(said.trim().rsplit(' ').next()?.to_owned())
}

/// nginx with one worker, on production's core; stopped when dropped.
struct Nginx {
    root: TempDir,
    port: u16,
    process: Child,
}

impl Nginx {
    fn start(backends: &Backends) -> Nginx {
        let root = TempDir::with_prefix("mod_copy-bench-").unwrap();
        let port = free_port();
        let file = root.path().join("nginx.conf");
        fs::write(&file, configuration(&root, port, backends)).unwrap();
        let console = File::create(root.path().join("console.log")).unwrap();
        let process = cores::on_productions(|| {
            Command::new("nginx")
                .arg("-p")
                .arg(root.path())
                .arg("-c")
                .arg(&file)
                .arg("-e")
                .arg(root.path().join("error.log"))
                .stdin(Stdio::null())
                .stdout(console.try_clone().unwrap())
                .stderr(console)
                .process_group(0)
                .spawn()
                .unwrap()
        });
        let mut nginx = Nginx { root, port, process };
        let ready = poll(Duration::from_secs(20), || {
            let ended = nginx.process.try_wait().unwrap().is_some();
            (ended || client::accepts(port)).then_some(!ended)
        });
        assert!(ready == Some(true), "nginx did not start\n{}", nginx.said());
        nginx
    }

    fn said(&self) -> String {
        ["console.log", "error.log"]
            .map(|file| fs::read_to_string(self.root.path().join(file)).unwrap_or_default())
            .concat()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let ended = poll(Duration::from_secs(20), || self.process.try_wait().unwrap());
        if ended.is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Connections are kept on all sides, and bodies stay in memory, both of which its defaults do not see to.
fn configuration(root: &TempDir, port: u16, backends: &Backends) -> String {
    let root = root.path().display();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let authority = |url: String| url["http://".len()..].trim_end_matches('/').to_owned();
    let upstreams = [
        ("origin", backends.origin()),
        ("terse", backends.terse_staging()),
        ("full", backends.staging()),
    ]
    .map(|(name, url)| {
        let server = authority(url);
        format!(
            "upstream {name} {{ server {server}; keepalive 64; keepalive_requests 1000000000; }}\n"
        )
    })
    .concat();
    let locations: String = MIRRORED
        .iter()
        .map(|(location, _)| {
            let name = location.trim_matches('/');
            format!(
                "location {location} {{ mirror /to-{name}; proxy_pass http://origin; }}\n\
                 location = /to-{name} {{ internal; proxy_pass http://{name}$request_uri; }}\n"
            )
        })
        .collect();
    format!(
        "daemon off;\nworker_processes 1;\npid {root}/nginx.pid;\nerror_log {root}/error.log;\n{user}\
         events {{ worker_connections 4096; }}\n\
         http {{\naccess_log off;\nkeepalive_timeout 60;\nkeepalive_requests 1000000000;\n\
         client_body_buffer_size 2m;\nclient_max_body_size 0;\nclient_body_temp_path {root}/body;\n\
         proxy_temp_path {root}/proxy;\nfastcgi_temp_path {root}/fastcgi;\nuwsgi_temp_path {root}/uwsgi;\n\
         scgi_temp_path {root}/scgi;\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\n{upstreams}\
         server {{\nlisten 127.0.0.1:{port};\nlocation /off/ {{ proxy_pass http://origin; }}\n{locations}}}\n}}\n"
    )
}
