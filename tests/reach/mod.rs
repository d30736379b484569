//! Targets that are reached in other ways than by a connection from anywhere to an IPv4 address.
//!
//! ```text
//! relay.rs      what listens there
//! socks.rs      a proxy of SOCKS
//! sockets.rs    Unix sockets, addresses to leave from, receive buffers, IPv6
//! names.rs      names with several addresses, and with other ones than before
//! proxies.rs    forward proxies
//! examples.rs   the examples that show it
//! ```

mod examples;
mod names;
mod proxies;
mod relay;
mod sockets;
mod socks;
