//! The conformance table over HTTP/2: cleartext and TLS, against a production with the module and one without.

mod presented;
pub mod rows;
mod setting;
mod streams;
mod unasked;
mod upgrade;

use crate::h2::{Session, Transport};
use crate::mpm::Mpm;

use rows::{Row, rows};
use setting::Setting;

/// Where mod_http2 serves HTTP/2: the models that have threads. Under prefork it says that it does not.
const THREADED: [Mpm; 2] = [Mpm::Event, Mpm::Worker];

#[test]
fn rows_over_cleartext_hold() {
    THREADED.iter().for_each(|&mpm| play(mpm, Transport::Plain));
}

#[test]
fn rows_over_tls_hold() {
    THREADED.iter().for_each(|&mpm| play(mpm, Transport::Tls));
}

/// Sends every row to both productions, and holds responses and copies to what is expected of them.
fn play(mpm: Mpm, transport: Transport) {
    let setting = Setting::start(mpm, transport);
    for rows in rows().chunks(10) {
        let (mut with, mut without) = setting.sessions();
        for row in rows {
            check(&setting, row, [&mut with, &mut without]);
        }
    }
    setting.check_totals();
}

fn check(setting: &Setting, row: &Row, [with, without]: [&mut Session; 2]) {
    let name = &row.name;
    let staged = setting.expect(row.staged);
    let response = with.exchange(&row.request).comparable();
    assert_eq!(response, without.exchange(&row.request).comparable(), "{name}: the responses");
    assert_eq!(response.status, row.status, "{name}: {}", response.text());
    if let Some(copy) = staged.received(name) {
        let (head, content) = setting.model(&row.request);
        setting::assert_same_head(name, &copy.head, &head);
        assert!(copy.content == content, "{name}: {} bytes of content", copy.content.len());
    }
}
