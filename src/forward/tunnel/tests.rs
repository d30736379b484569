//! Proxies that say what they should, what they should not, and nothing.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use super::super::dial::Dial;
use super::super::pace::OnSlow;
use super::super::tcp::{Base, TcpConnector};
use super::super::testing::LONG;
use super::*;

/// What a proxy that answers with these bytes is sent first, and why the way through it is not open, if it is not.
fn open(
    url: &str,
    proxy: &str,
    answers: &[&'static [u8]],
) -> (Vec<u8>, Result<(), (Failure, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (answers, (sender, sent)) = (answers.to_vec(), mpsc::channel());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        for answer in answers {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).unwrap_or_default();
            request.extend_from_slice(&buffer[..read]);
            let _ = stream.write_all(answer);
        }
        let _ = stream.shutdown(Shutdown::Write);
        sender.send((request, stream)).unwrap();
    });
    let proxy = proxy.replace("PROXY", &address.to_string());
    let tunnel =
        Tunnel::through(Arc::new(Proxy::parse(&proxy).unwrap()), &Url::parse(url).unwrap());
    let mut socket = socket(address);
    let opened = tunnel.open(&mut socket, LONG);
    drop(socket);
    let (request, _stream): (Vec<u8>, TcpStream) = sent.recv_timeout(LONG).unwrap();
    let opened = opened.map_err(|error| {
        let Error::Io(error) = error else { panic!("{error}") };
        let Refused(failure, what) = error.downcast().unwrap();
        (failure, what.replace(&address.to_string(), "PROXY"))
    });
    (request, opened)
}

fn socket(address: SocketAddr) -> TcpTransport {
    let connector = TcpConnector::new(OnSlow::new(|| {}), Base::default(), Arc::default());
    let peers = Dial::default().peers(&[address]).unwrap();
    connector.reach(&peers[0], LONG).unwrap()
}

#[test]
fn a_proxy_of_http_is_asked_for_staging_and_for_nothing_where_requests_tell_it() {
    let answer = &[&b"HTTP/1.1 200 Connection established\r\nVia: a\r\n\r\nmore"[..]];
    let (request, opened) = open("https://[::1]/path", "http://u:p@PROXY", answer);
    assert_eq!(opened, Ok(()));
    assert_eq!(
        String::from_utf8(request).unwrap(),
        "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
    );
    let (request, opened) = open("http://staging/path", "http://PROXY", &[]);
    assert_eq!((request, opened), (Vec::new(), Ok(())));
}

#[test]
fn what_staging_says_first_is_left_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nfirst").unwrap();
        stream
    });
    let proxy = Proxy::parse(&format!("http://{address}")).unwrap();
    let tunnel = Tunnel::through(Arc::new(proxy), &Url::parse("https://staging/").unwrap());
    let mut socket = socket(address);
    tunnel.open(&mut socket, LONG).unwrap();
    let mut first = [0; 5];
    Talk { socket: &mut socket, since: Instant::now(), patience: LONG }
        .read_exact(&mut first)
        .unwrap();
    assert_eq!(&first, b"first");
    drop(server.join());
}

#[test]
fn a_proxy_of_socks_is_asked_for_staging_by_its_name_or_address() {
    let ok: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80];
    let (request, opened) = open("http://staging/", "socks5://PROXY", &[&[5, 0], ok]);
    assert_eq!(opened, Ok(()));
    let expected = [&[5, 1, 0, 5, 1, 0, 3, 7][..], b"staging", &[0, 80]].concat();
    assert_eq!(request, expected);
    let (request, opened) =
        open("https://127.0.0.2/", "socks5://a:bc@PROXY", &[&[5, 2], &[1, 0], ok]);
    assert_eq!(opened, Ok(()));
    let expected =
        [&[5, 2, 0, 2, 1, 1][..], b"a", &[2], b"bc", &[5, 1, 0, 1, 127, 0, 0, 2, 1, 187]];
    assert_eq!(request, expected.concat());
    let six: &[u8] = &[5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80];
    let (request, opened) = open("http://[::1]:8080/", "socks5://PROXY", &[&[5, 0], six]);
    assert_eq!(opened, Ok(()));
    assert_eq!((request[6], request.len()), (4, 3 + 4 + 16 + 2));
}

#[test]
fn what_a_proxy_does_wrong_is_told_and_is_no_fault_of_stagings() {
    let (https, http, socks) = ("https://staging/", "http://PROXY", "socks5://a:b@PROXY");
    let long: &'static [u8] = Vec::leak(vec![b'x'; 2 * HEAD_LIMIT]);
    for (proxy, answers, failure, why) in [
        (http, &[&b"HTTP/1.1 403 Forbidden\r\n\r\n"[..]][..], Failure::Proxy, "it answered 403"),
        (
            http,
            &[b"HTTP/1.1 502 Bad Gateway\r\n\r\n"],
            Failure::Connect,
            "it answered 502: it does not reach staging",
        ),
        (http, &[b"SSH-2.0\r\n\r\n"], Failure::Proxy, "what it answered is not HTTP/1.1"),
        (http, &[long], Failure::Proxy, "its answer is too long"),
        (http, &[b"HTTP/1.1 200"], Failure::Proxy, "it closed the connection"),
        (socks, &[b"HT"], Failure::Proxy, NOT_SOCKS5),
        (socks, &[&[5, 1]], Failure::Proxy, NOT_SOCKS5),
        (socks, &[&[5, 0xff]], Failure::Proxy, "it asks for another authentication"),
        (socks, &[&[5, 2], &[1, 1]], Failure::Proxy, "it refused the user or the password"),
        (socks, &[&[5, 0], &[5, 5, 0, 1]], Failure::Refused, "staging refused its connection"),
        (socks, &[&[5, 0], &[4, 0]], Failure::Proxy, NOT_SOCKS5),
        (socks, &[&[5, 0], &[5, 0, 0, 9]], Failure::Proxy, NOT_SOCKS5),
        (socks, &[&[5, 0], &[5, 0, 0, 1]], Failure::Proxy, "it closed the connection"),
    ] {
        let (_, opened) = open(https, proxy, answers);
        let told = opened.unwrap_err();
        let shown = proxy.replace("a:b@", "");
        assert_eq!(told, (failure, format!("the proxy {shown}: {why}")));
    }
}

#[test]
fn a_proxy_that_says_nothing_is_not_waited_for_longer_than_may_be() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for scheme in ["http", "socks5"] {
        let proxy = Proxy::parse(&format!("{scheme}://{address}")).unwrap();
        let tunnel = Tunnel::through(Arc::new(proxy), &Url::parse("https://staging/").unwrap());
        let error = tunnel.open(&mut socket(address), Duration::from_millis(30)).unwrap_err();
        let Error::Io(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), format!("the proxy {scheme}://{address}: not done in time"));
    }
}
