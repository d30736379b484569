//! A staging server with one fault at a time, which can be switched while it runs; the same each time.
//!
//! It needs nothing of the tests but `wire`, so that other programs can take it in by its path. A fault that
//! breaks TLS is not here: `secure/relay.rs` has it.

use std::collections::HashMap;
use std::io::{self, PipeWriter, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

mod connection;
mod door;
mod fault;

use door::Door;
pub use fault::{Fault, Length, Then, Witness};

/// The server, on a port of 127.0.0.1 that it keeps whatever its fault; stopped when dropped, with all its threads.
pub struct FaultyStaging {
    address: SocketAddr,
    shared: Arc<Shared>,
    wake: PipeWriter,
    door: Option<JoinHandle<()>>,
}

struct Shared {
    witness: Arc<dyn Witness>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// What was asked for, and how often something was.
    wanted: Fault,
    asked: u64,
    /// How much of that is in force.
    obeyed: u64,
    /// The fault at this moment, and how often it has changed.
    fault: Fault,
    changes: u64,
    stopped: bool,
    received_whole: u64,
    answered: u64,
    connections: u64,
    shut: u64,
    open: HashMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

/// How often those who wait look whether their peer has gone.
const LOOK: Duration = Duration::from_millis(20);

impl FaultyStaging {
    pub fn start(fault: Fault) -> FaultyStaging {
        FaultyStaging::watched(fault, Arc::new(()))
    }

    pub fn watched(fault: Fault, witness: Arc<dyn Witness>) -> FaultyStaging {
        let reserve = door::bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = reserve.local_addr().unwrap().as_socket().unwrap();
        let (woken, wake) = io::pipe().unwrap();
        let state = State {
            wanted: fault,
            asked: 1,
            obeyed: 0,
            fault: Fault::Dead,
            changes: 0,
            stopped: false,
            received_whole: 0,
            answered: 0,
            connections: 0,
            shut: 0,
            open: HashMap::new(),
            threads: Vec::new(),
        };
        let shared =
            Arc::new(Shared { witness, state: Mutex::new(state), changed: Condvar::new() });
        let door = Door::new(reserve, address, woken, Arc::clone(&shared));
        let door = Some(thread::spawn(move || door.keep()));
        let staging = FaultyStaging { address, shared, wake, door };
        staging.wait_until_obeyed();
        staging
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a fault in the place of the one before, at once: for requests that it holds back too.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.lock();
        (state.wanted, state.asked) = (fault, state.asked + 1);
        drop(state);
        self.wait_until_obeyed();
    }

    /// Requests whose head and announced content were read to their end, while the connection was not closed.
    pub fn received_whole(&self) -> u64 {
        self.shared.lock().received_whole
    }

    /// Answers that were written to their end.
    pub fn answered(&self) -> u64 {
        self.shared.lock().answered
    }

    /// Connections that were accepted until now.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    /// How often the port was shut, and connections reset that were not yet accepted.
    pub fn shut(&self) -> u64 {
        self.shared.lock().shut
    }

    /// Connections that have not ended on both sides.
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    fn wait_until_obeyed(&self) {
        (&self.wake).write_all(b"!").unwrap();
        const PATIENCE: Duration = Duration::from_secs(20);
        let waits = |state: &mut State| state.obeyed < state.asked;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), PATIENCE, waits);
        let (state, waited) = waited.unwrap();
        drop(state);
        assert!(!waited.timed_out(), "staging does not change its fault");
    }
}

impl Drop for FaultyStaging {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        let _ = self.wake.write_all(b"!");
        if let Some(door) = self.door.take() {
            let _ = door.join();
        }
        let mut state = self.shared.lock();
        state.hang_up(Shutdown::Both);
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl State {
    fn hang_up(&mut self, how: Shutdown) {
        for stream in self.open.values() {
            let _ = stream.shutdown(how);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}
