//! gRPC: calls that production proxies by mod_proxy_http2 reach a gRPC staging too, their messages byte for byte.
//!
//! The peers are grpcio's own (`peer.py`), in a virtual environment that `make test-deps` makes.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::server::Server;

/// Starting an interpreter takes long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn python() -> Command {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = env::var_os("MOD_COPY_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| directory.join("target/python/bin/python"));
    assert!(python.exists(), "no {}: run `make test-deps`", python.display());
    let mut command = Command::new(python);
    command.arg(directory.join("tests/grpc/peer.py"));
    command
}

/// A gRPC server.
struct Peer {
    process: Child,
    port: u64,
    calls: mpsc::Receiver<Value>,
}

impl Peer {
    fn start() -> Peer {
        let mut command = python();
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, calls) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        let first: Value = calls.recv_timeout(PATIENCE).unwrap();
        Peer { process, port: first["port"].as_u64().unwrap(), calls }
    }

    /// The next calls, as many, in an order that does not depend on which came first.
    fn calls(&self, count: usize) -> Vec<Value> {
        let next = |_| self.calls.recv_timeout(PATIENCE).unwrap();
        let mut calls: Vec<Value> = (0..count).map(next).collect();
        calls.sort_by_key(|call| field(call, "x-request-id"));
        calls
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn field(call: &Value, name: &str) -> Option<String> {
    let mut fields = call["fields"].as_array().unwrap().iter();
    let field = fields.find(|field| field[0] == name);
    field.map(|field| field[1].as_str().unwrap().to_owned())
}

/// Calls these methods, one after another: what each was answered.
fn call(port: u16, names: &[&str]) -> Vec<Value> {
    let output = python().arg("call").arg(port.to_string()).args(names).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const CALLS: [&str; 6] = ["Say", "Say", "Fail", "Say", "Stream", "Say"];

/// The example, with these two in place of production's and staging's servers.
fn production(origin: &Peer, staging: &Peer) -> Builder {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("apache-conf/examples/grpc.conf");
    let mut text = fs::read_to_string(file).unwrap();
    let builder = Server::on(Mpm::Event).modules(&["http2", "proxy", "proxy_http2"]);
    for (word, instead) in [
        ("*:80>", format!("127.0.0.1:{}>", builder.port())),
        ("127.0.0.1:50051", format!("127.0.0.1:{}", origin.port)),
        ("staging.example.com:50051", format!("127.0.0.1:{}", staging.port)),
    ] {
        assert!(text.contains(word), "{word}");
        text = text.replace(word, &instead);
    }
    // A connection in the clear has the protocols of the port's first host.
    builder.vhost("Protocols h2c http/1.1").tail(text)
}

#[test]
fn calls_that_production_proxies_reach_staging_too() {
    let [origin, staging] = [(); 2].map(|()| Peer::start());
    let server = production(&origin, &staging).start();
    let answers = call(server.port(), &CALLS);
    let codes: Vec<&str> = answers.iter().map(|answer| answer["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["OK", "OK", "NOT_FOUND", "OK", "OK", "OK"], "{answers:#?}");
    let [served, copied] = [&origin, &staging].map(|peer| peer.calls(CALLS.len()));
    for (number, (served, copied)) in served.iter().zip(&copied).enumerate() {
        assert_eq!(copied["method"], format!("/copy.test.Echo/{}", CALLS[number]));
        for part in ["method", "request", "requests"] {
            assert_eq!(copied[part], served[part], "{part} of call {number}");
        }
        for name in ["x-request-id", "trace-bin", "user-agent"] {
            assert!(field(copied, name).is_some(), "{name} of call {number}");
            assert_eq!(field(copied, name), field(served, name), "{name} of call {number}");
        }
        // What is left of the client's own deadline.
        assert!(copied["left"].is_null() == served["left"].is_null(), "call {number}");
    }
    let request = copied[0]["request"].as_str().unwrap();
    assert_eq!(request.len(), 2 * ("Say".len() + 256), "a whole message");
    let status = server.settled(CALLS.len() as u64);
    assert_eq!(status.sum("delivered.2xx"), CALLS.len() as u64, "{status}");
}

#[test]
fn calls_are_answered_as_without_a_staging_that_is_gone() {
    let [origin, staging] = [(); 2].map(|()| Peer::start());
    let server = production(&origin, &staging).expect("CPY").start();
    drop(staging);
    let answers = call(server.port(), &CALLS);
    let direct = call(u16::try_from(origin.port).unwrap(), &CALLS);
    assert_eq!(answers, direct);
    let status = server.settled(CALLS.len() as u64);
    assert_eq!(status.sum("delivered.2xx"), 0, "{status}");
}
