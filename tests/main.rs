//! Integration tests: a real httpd on loopback with the module loaded, and raw sockets on both sides of it.
//!
//! `make build` first: the module is taken from `MOD_COPY_SO`, else from `target/release`. The tests themselves are
//! compiled without the feature `httpd`, so they need no headers and do not link httpd.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that meets the unexpected has to stop, and say where"
)]

// The harness.
mod browser;
mod client;
mod conf;
mod files;
mod h2;
mod httpd;
mod injection;
mod load;
mod mirrored;
mod mpm;
mod processes;
mod server;
mod staging;
mod status;
mod wait;
mod wire;

// The topics.
mod accounting;
mod answers;
mod balancer;
mod breaker;
mod choose;
mod compare;
mod configtest;
mod copying;
mod copylog;
mod corpus;
mod documentation;
mod doubt;
mod dump;
mod faults;
mod fidelity;
mod fidelity_h2;
mod grpc;
mod h2_targets;
mod harness;
mod isolation;
mod life;
mod loading;
mod manager;
mod metrics;
mod notes;
mod once;
mod packaging;
mod pages;
mod pools;
mod property;
mod proxy_defaults;
mod reach;
mod scrub;
mod secure;
mod session;
mod stopping;
mod targets;
mod tls;
mod traced;
mod trail;
