//! Who watches faulty staging is told of all that it is sent, however late it reads it.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use super::staging::{Fault, FaultyStaging, Witness};
use crate::client::request_with;
use crate::wait::wait_for;

/// The contents of what was received.
#[derive(Default)]
struct Contents(Mutex<Vec<Vec<u8>>>);

impl Witness for Contents {
    fn received(&self, _: &[u8], content: &[u8]) {
        self.0.lock().unwrap().push(content.to_vec());
    }
}

#[test]
fn what_is_not_read_in_time_is_read_when_its_sender_has_gone() {
    let contents = Arc::new(Contents::default());
    let staging = FaultyStaging::watched(Fault::NeverReads, Arc::clone(&contents) as _);
    let mut client = TcpStream::connect(staging.address()).unwrap();
    client.write_all(&request_with("POST", "/", b"hello")).unwrap();
    wait_for("the connection", || (staging.open() == 1).then_some(()));
    assert_eq!((staging.received_whole(), staging.shut()), (0, 0));
    drop(client);
    wait_for("the connection's end", || (staging.open() == 0).then_some(()));
    assert_eq!(*contents.0.lock().unwrap(), [b"hello"]);
    staging.set(Fault::Dead);
    assert_eq!(staging.shut(), 1);
}
