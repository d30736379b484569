//! Production's clients: each sends one request after the other, and checks every answer.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope};

use crate::ledger::{End, Ledger};
use crate::mpm::Mpm;
use crate::traffic::{Answer, Conduct, Request};
use crate::wait::PATIENCE;
use crate::wire::{self, Wire};

/// How many clients there are: fewer than production can serve at once, or it closes the connections that it keeps.
pub fn size(mpm: Mpm) -> usize {
    match mpm {
        Mpm::Event | Mpm::Worker => 64,
        Mpm::Prefork => 24,
    }
}

/// How many processes and threads serve them, and when a process has served enough.
pub fn sizes(mpm: Mpm) -> &'static str {
    match mpm {
        Mpm::Event | Mpm::Worker => {
            "ServerLimit 32\nThreadLimit 32\nThreadsPerChild 32\nStartServers 3\nMaxRequestWorkers 128\n\
             MinSpareThreads 16\nMaxSpareThreads 128\nMaxConnectionsPerChild 1500"
        }
        Mpm::Prefork => {
            "ServerLimit 128\nStartServers 8\nMaxRequestWorkers 60\nMinSpareServers 4\nMaxSpareServers 40\n\
             MaxConnectionsPerChild 60"
        }
    }
}

/// The most children at once: those that serve, and those that restarts have left behind.
pub fn children(mpm: Mpm) -> u64 {
    match mpm {
        Mpm::Event | Mpm::Worker => 8,
        Mpm::Prefork => 80,
    }
}

/// Starts a client, which ends when all is over.
pub fn client<'scope>(
    scope: &'scope Scope<'scope, '_>,
    port: u16,
    ledger: &'scope Ledger,
    over: &'scope AtomicBool,
) {
    let mut client = Client { port, ledger, kept: None };
    let serve = move || {
        while !over.load(Ordering::Relaxed) {
            let id = ledger.issue();
            if let Err(error) = client.request(id) {
                ledger.wrong(format!("request {id}: {error}"));
                client.kept = None;
            }
        }
    };
    Builder::new().stack_size(256 * 1024).spawn_scoped(scope, serve).unwrap();
}

struct Client<'a> {
    port: u16,
    ledger: &'a Ledger,
    kept: Option<Wire>,
}

impl Client<'_> {
    fn request(&mut self, id: u64) -> io::Result<()> {
        let request = self.ledger.traffic.request(id);
        let (head, content) = (request.head(), request.framed_content());
        let end = match request.conduct {
            Conduct::Proper => self.ask(&request, &[head, content].concat())?,
            Conduct::Aborts => {
                self.send_and_leave(&[&head, &content[..content.len() / 2]])?;
                End::Aborted
            }
            Conduct::Leaves => {
                self.send_and_leave(&[&head, &content])?;
                End::Left
            }
        };
        self.ledger.end(id, end);
        Ok(())
    }

    /// Sends the request, over the connection of the one before if that was kept, and reads the answer.
    fn ask(&mut self, request: &Request, bytes: &[u8]) -> io::Result<End> {
        if let Some(mut wire) = self.kept.take() {
            let sent = wire.write(bytes);
            // A server may close a connection that it has kept, at any time.
            let answers = wire.has_more().is_ok_and(|more| more);
            if !answers {
                return Ok(End::Untaken);
            }
            // It may have answered before it read all.
            drop(sent);
            return self.read(request, wire);
        }
        let mut wire = Wire::new(self.connect()?);
        wire.write(bytes)?;
        self.read(request, wire)
    }

    fn read(&mut self, request: &Request, mut wire: Wire) -> io::Result<End> {
        let head = wire.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = String::from_utf8_lossy(&head[9..12]).into_owned();
        let content = match request.method {
            "HEAD" => Vec::new(),
            _ => wire.content(&head, true)?,
        };
        let Answer { status: expected, content: whole } = request.answer;
        if status != expected.to_string() || whole.is_some_and(|whole| whole != content) {
            let head = String::from_utf8_lossy(&head).into_owned();
            return Err(io::Error::other(format!(
                "{} {}: another answer, {} bytes of content:\n{head}",
                request.method,
                request.path,
                content.len()
            )));
        }
        let closes = wire::field(&head, "Connection")
            .is_some_and(|option| option.eq_ignore_ascii_case("close"));
        self.kept = (!closes).then_some(wire);
        Ok(End::Answered)
    }

    /// Over a connection of its own, so that production is sure to take it.
    fn send_and_leave(&self, parts: &[&[u8]]) -> io::Result<()> {
        let mut stream = self.connect()?;
        stream.write_all(&parts.concat())?;
        stream.shutdown(Shutdown::Write)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}
