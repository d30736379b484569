//! A small SOCKS 5 server (RFC 1928, RFC 1929), which connects to one staging server whatever the name.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use socket2::{Domain, Socket, Type};

use super::relay::join;

/// The server, as long as the test runs.
pub struct Socks {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What it asks of clients, and does for them.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The only user, with a password; anybody where there is none.
    pub user: Option<(&'static str, &'static str)>,
    /// Its reply: 0 connects.
    pub reply: u8,
}

impl Socks {
    /// In front of the port on loopback.
    pub fn to(staging: u16, manner: Manner) -> Socks {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socks = Socks { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let asked = Arc::clone(&socks.asked);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, asked) = (Socket::from(client.unwrap()), Arc::clone(&asked));
                thread::spawn(move || serve(client, staging, manner, &asked));
            }
        });
        socks
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it was asked to connect to, as `name:port`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A client that goes away is nothing to report.
fn serve(
    client: Socket,
    staging: u16,
    manner: Manner,
    asked: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut stream = &client;
    let [version, count] = take::<2>(stream)?;
    assert_eq!(version, 5);
    let mut methods = vec![0; usize::from(count)];
    stream.read_exact(&mut methods)?;
    let wanted = if manner.user.is_some() { 2 } else { 0 };
    if !methods.contains(&wanted) {
        return stream.write_all(&[5, 0xff]);
    }
    stream.write_all(&[5, wanted])?;
    if let Some((name, password)) = manner.user {
        let [version] = take::<1>(stream)?;
        let given = [text(stream)?, text(stream)?];
        let is_known = version == 1 && given == [name, password];
        stream.write_all(&[1, u8::from(!is_known)])?;
        if !is_known {
            return Ok(());
        }
    }
    let [version, command, _, kind] = take::<4>(stream)?;
    assert_eq!((version, command), (5, 1));
    let host = match kind {
        1 => take::<4>(stream)?.map(|byte| byte.to_string()).join("."),
        3 => text(stream)?,
        other => panic!("an address of kind {other}"),
    };
    let port = u16::from_be_bytes(take::<2>(stream)?);
    asked.lock().unwrap().push(format!("{host}:{port}"));
    // It connects from a name, which is of any length.
    let from = [&[5, manner.reply, 0, 3, 5][..], b"proxy", &[0, 80]].concat();
    if manner.reply != 0 {
        return stream.write_all(&from);
    }
    let server = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    server.connect(&SocketAddr::from(([127, 0, 0, 1], staging)).into())?;
    stream.write_all(&from)?;
    join(Arc::new(client), Arc::new(server));
    Ok(())
}

fn take<const N: usize>(mut stream: &Socket) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).map(|()| bytes)
}

/// Text behind its length.
fn text(mut stream: &Socket) -> io::Result<String> {
    let [length] = take::<1>(stream)?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap())
}
