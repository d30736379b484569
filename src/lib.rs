//! `mod_copy`: an Apache httpd module that sends a copy of production requests to staging servers.
//!
//! # The promises
//!
//! Each is a law of this code, and each has tests that are named after it.
//!
//! 1. **Production never waits, fails or changes because of us.** The request path takes no lock that a
//!    forwarder holds while it works, blocks on nothing, reads nothing ahead, alters no bucket and adds
//!    no field to the response. When in doubt the copy is lost, never the request.
//! 2. **The copy is true.** Method, request target, fields with their order and spelling, and content
//!    are the client's, byte for byte. What differs is named in [`message`]. A copy is sent whole or
//!    not at all.
//! 3. **Every copy has exactly one outcome.** Once drained, `selected = delivered + failed + dropped`,
//!    for each target, over all child processes and graceful restarts ([`outcome`], [`stats`]).
//! 4. **Memory is bounded** by configuration, for each child, whatever clients and staging do ([`memory`]).
//! 5. **After the hand-over nothing points into httpd's memory.** Forwarders own their bytes.
//! 6. **No client can steer it**: no field switches copying on or off, and the loop mark cannot be forged.
//!
//! # The journey of a request
//!
//! ```text
//!  client ──► httpd ──────────────────────────────────────────────► production's handler
//!               │ post_read_request   insert_filter    log_transaction
//!               ▼                     ▼                ▼
//!            Journey::begin ──► Journey::choose ──► Journey::conclude        httpd/, journey
//!               │  the tee sees       │ Mirror::choose: which targets        select
//!               │  content pass    Journey::select
//!               │                     │ Head::serialise                      message, capture
//!               │                     ▼
//!               └───────────────► Mirror::offer                              mirror
//!                                     │ one shared Message, a Job for each target whose
//!                                     │ breaker is closed                            breaker
//!                                     ▼
//!                                  queue (bounded, offering takes no lock)   queue, memory
//!                                     ▼
//!                                  forwarder ──► staging                     forward/
//!                                     ▼
//!                                  Outcome ──► counters ──► copy-status      outcome, stats, status
//! ```
//!
//! # Rooms and walls
//!
//! Imports run one way: `httpd` knows everything, `mirror` and `journey` know the core, and the core
//! ([`message`], [`target`], [`outcome`], [`breaker`], [`select`], [`stats`], [`memory`], [`queue`]) knows none of these.
//! [`balancer`] chooses among a balancer's members, and [`route`] is what copies reach a target by.
//! [`channel`] is what all hand-overs go through. [`alarm`] wakes a thread when enough waits for it, [`bell`] one that
//! waits for more than a queue.
//! [`adapt`] is a thread beside them, which lowers samples under pressure; [`pulse`] one that shows gauges and records
//! the last 15 minutes. [`status`] tells all that is counted, [`manager`] changes what may be changed while httpd runs.
//! [`meeting`] is where the end of a request and that of its copy meet: [`copylog`] writes a line of both, [`compare`]
//! tells where two answers differ, [`comparing`] brings them to it. [`edit`] is what the server changes for one target
//! alone. [`fates`] is what production's own logs can say of its copies.
//! [`boundary`] is where a fault must stop, [`clock`] the time that all children agree on. [`config`] is what
//! the administrator asked for: one table of directives, settings as written, and the policy they resolve
//! to; [`tls`] reads the files that it names. [`mask`] is what staging may not see: bytes in, bytes out.
//! The core never names an httpd type, and logs through `log`; `httpd` is the only room with `unsafe`.
//! Without the feature `httpd` all but that room is built, and its tests run without httpd.

pub mod adapt;
pub mod alarm;
pub mod balancer;
pub mod bell;
pub mod boundary;
pub mod breaker;
pub mod capture;
pub mod channel;
pub mod clock;
pub mod compare;
pub mod comparing;
pub mod config;
pub mod copylog;
pub mod edit;
pub mod fates;
pub mod forward;
pub mod journey;
pub mod manager;
pub mod mask;
pub mod meeting;
pub mod memory;
pub mod message;
pub mod mirror;
pub mod outcome;
pub mod pulse;
pub mod queue;
pub mod route;
pub mod select;
pub mod stats;
pub mod status;
mod sync;
pub mod target;
pub mod tls;
#[cfg(test)]
mod wait;

#[cfg(all(feature = "httpd", not(test)))]
#[allow(unsafe_code, reason = "the one room where httpd's C interface is met")]
mod httpd;
