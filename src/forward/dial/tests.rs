//! Sockets as the system made them.

use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::pace::OnSlow;
use super::super::testing::LONG;
use super::*;

fn dial(url: &str, from: Option<&str>) -> Dial {
    Dial::to(&Url::parse(url).unwrap(), from.map(|from| from.parse().unwrap()))
}

fn connect(dial: &Dial, peer: &Peer, receive_buffer: u32) -> io::Result<Socket> {
    dial.connect(peer, receive_buffer, Patience::new(LONG, &OnSlow::new(|| {})))
}

#[test]
fn a_connection_leaves_from_the_address_it_is_bound_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = Peer::At(listener.local_addr().unwrap());
    let socket = connect(&dial("http://staging/", Some("127.0.0.2")), &peer, 0).unwrap();
    let (_, from) = listener.accept().unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.2");
    assert_eq!(Peer::of(&socket).unwrap(), peer);
}

#[test]
fn an_address_of_another_machine_is_no_address_to_leave_from() {
    let peer = Peer::At("127.0.0.1:1".parse().unwrap());
    let error = connect(&dial("http://staging/", Some("192.0.2.1")), &peer, 0).unwrap_err();
    assert_eq!(error.to_string(), "from 192.0.2.1: Cannot assign requested address (os error 99)");
    assert!(!is_local("192.0.2.1".parse().unwrap()) && is_local("127.0.0.2".parse().unwrap()));
}

#[test]
fn only_addresses_of_the_same_family_are_tried_from_a_bound_one() {
    let [four, six] = ["127.0.0.1:80", "[::1]:80"].map(|address| address.parse().unwrap());
    let peers = |from, addresses: &[SocketAddr]| {
        dial("http://staging/", from).peers(addresses).map_err(|error| error.to_string())
    };
    assert_eq!(peers(None, &[six, four]), Ok(vec![Peer::At(six), Peer::At(four)]));
    assert_eq!(peers(Some("127.0.0.2"), &[six, four]), Ok(vec![Peer::At(four)]));
    assert_eq!(peers(Some("::1"), &[six, four]), Ok(vec![Peer::At(six)]));
    let none = Err("none of its addresses can be reached from 127.0.0.2".to_owned());
    assert_eq!(peers(Some("127.0.0.2"), &[six]), none);
}

#[test]
fn the_receive_buffer_is_set_before_the_connection_is_made() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = Peer::At(listener.local_addr().unwrap());
    let of = |size| connect(&dial("http://staging/", None), &peer, size).unwrap();
    let [set, systems] = [4096, 0].map(|size| of(size).recv_buffer_size().unwrap());
    // Linux doubles it, for what it keeps beside the bytes.
    assert!((4096..=8192).contains(&set), "{set}");
    assert!(systems > 8192, "{systems}");
}

#[test]
fn a_path_stands_for_all_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let dial = dial(&format!("unix:{}|http://localhost/", path.display()), None);
    let peers = dial.peers(&[]).unwrap();
    assert_eq!(peers, [Peer::Behind(path.clone())]);
    let socket = connect(&dial, &peers[0], 4096).unwrap();
    assert_eq!(Peer::of(&socket).unwrap().to_string(), format!("unix:{}", path.display()));
    drop(listener);
    let refused = connect(&dial, &peers[0], 0).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_path_that_too_many_wait_at_is_waited_for_and_no_longer_than_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    full.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    full.listen(0).unwrap();
    let _waits = UnixStream::connect(&path).unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let tells = Arc::clone(&told);
    let on_slow = OnSlow::new(move || {
        tells.fetch_add(1, Ordering::Relaxed);
    });
    let dial = dial(&format!("unix:{}|http://localhost/", path.display()), None);
    let patience = Patience::new(Duration::from_millis(30), &on_slow);
    let error = dial.connect(&Peer::Behind(path), 0, patience).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(told.load(Ordering::Relaxed), 1);
}
