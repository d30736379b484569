//! Many streams of one connection, and streams and connections that break off.

use std::collections::HashSet;

use crate::h2::{Request, Session, Transport};

use super::THREADED;
use super::rows::Staged::Copied;
use super::setting::{Setting, assert_same_head};

/// What mod_proxy says of uploads that break off.
const BROKEN: [&str; 3] = ["AH01095:", "AH01097:", "AH02608:"];

/// On cleartext and TLS, under each model that serves HTTP/2.
fn everywhere(test: impl Fn(&Setting)) {
    for mpm in THREADED {
        for transport in [Transport::Plain, Transport::Tls] {
            let setting = Setting::start_with(mpm, transport, |builder| {
                BROKEN.iter().fold(builder, |builder, line| builder.expect(line))
            });
            test(&setting);
            setting.check_totals();
        }
    }
}

#[test]
fn two_hundred_requests_fifty_at_a_time_are_two_hundred_true_copies() {
    everywhere(|setting| {
        let requests: Vec<Request> = (0..200)
            .map(|n| {
                let target = format!("/app/stream/{n}");
                let content = format!("content of {target} ").repeat(1 + n * 7);
                match n % 4 {
                    0 => Request::new("GET", &target).field("x-stream", n.to_string()),
                    1 => Request::new("PUT", &target).content(content),
                    _ => Request::new("POST", &target).sized(content),
                }
            })
            .collect();
        let (mut with, mut without) = setting.sessions();
        let comparable = |responses: Vec<crate::h2::Response>| -> Vec<_> {
            responses.into_iter().map(crate::h2::Response::comparable).collect()
        };
        let responses = comparable(with.concurrently(&requests, 50));
        assert_eq!(responses, comparable(without.concurrently(&requests, 50)));
        setting.count("selected", 200);
        let copies = setting.staging.wait_for(200);
        let mut seen = HashSet::new();
        for copy in &copies {
            let line = copy.request_line();
            let n = line.split(['/', ' ']).nth(4).unwrap().parse::<usize>().unwrap();
            assert!(seen.insert(n), "{line} twice");
            let (head, content) = setting.model(&requests[n]);
            assert_same_head(&line, &copy.head, &head);
            assert!(copy.content == content, "{line}: another's content");
        }
    });
}

#[test]
fn an_upload_that_is_reset_is_incomplete() {
    everywhere(|setting| {
        let (mut with, _) = setting.sessions();
        let request = Request::new("POST", "/app/upload").field("content-length", "1000000");
        let upload = with.upload(&request);
        with.reset(upload);
        let copy = setting.expect(Copied);
        assert_eq!(with.exchange(&Request::new("GET", "/app/next")).status, 200);
        copy.received("the request after it");
        setting.await_not_copied("incomplete");
    });
}

#[test]
fn an_upload_of_untold_length_that_breaks_off_is_copied_only_if_production_takes_it_for_whole() {
    everywhere(|setting| {
        for breaks in [Session::reset, |_: &mut Session, upload| drop(upload)] {
            let (mut with, _) = setting.sessions();
            let upload = with.upload(&Request::new("POST", "/app/upload"));
            breaks(&mut with, upload);
            drop(with);
            setting.await_broken_upload();
        }
    });
}

#[test]
fn an_upload_that_ends_short_of_its_length_is_incomplete() {
    everywhere(|setting| {
        let request = Request::new("POST", "/app/short").field("content-length", "1000000");
        let (mut with, mut without) = setting.sessions();
        let short = |session: &mut Session| {
            let upload = session.upload(&request);
            session.end(upload)
        };
        assert_eq!(short(&mut with), short(&mut without));
        setting.await_not_copied("incomplete");
        let copy = setting.expect(Copied);
        let (mut with, _) = setting.sessions();
        assert_eq!(with.exchange(&Request::new("GET", "/app/next")).status, 200);
        copy.received("the request after it");
    });
}

#[test]
fn a_client_that_leaves_during_the_response_is_copied_once() {
    everywhere(|setting| {
        let (mut with, _) = setting.sessions();
        let copy = setting.expect(Copied);
        let (status, download) = with.download(&Request::new("GET", "/large"));
        assert_eq!(status, 200);
        drop((download, with));
        let copy = copy.received("the download").unwrap();
        assert_eq!(copy.request_line(), "GET /large HTTP/1.1");
    });
}

#[test]
fn a_response_that_the_client_resets_is_of_a_request_copied_once() {
    everywhere(|setting| {
        let (mut with, _) = setting.sessions();
        let copy = setting.expect(Copied);
        // Dropped, it is reset.
        drop(with.download(&Request::new("GET", "/large")));
        copy.received("the download");
        let next = setting.expect(Copied);
        assert_eq!(with.exchange(&Request::new("GET", "/app/next")).status, 200);
        let copy = next.received("the request after it").unwrap();
        assert_eq!(copy.request_line(), "GET /app/next HTTP/1.1");
    });
}
