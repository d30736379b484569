//! The shell: httpd's callbacks on one side, the core on the other. The only room with `unsafe`.
//!
//! Lifetimes it leans on: `pconf` lives from one configuration to the next, and in a child until it
//! exits; `r->pool` as long as the request; the shared segment as long as the server. What outlives a
//! callback is owned by one of those pools (through [`pool`]) or is leaked for the child's life.

mod answer;
mod balancer;
mod block;
mod child;
mod config;
mod copylog;
mod dump;
mod edit;
mod expr;
mod ffi;
mod guard;
mod handlers;
mod kept;
mod log;
mod manager;
mod meter;
mod module;
mod notes;
mod open;
mod pool;
mod proxy;
mod request;
mod retained;
mod scoreboard;
mod segment;
mod shelf;
mod status;
mod stranger;
mod sys;
mod tee;
mod threads;
mod traffic;
mod trail;
mod tree;
mod witness;
