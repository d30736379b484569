//! Random batches of requests as bytes of HTTP/1.

use std::fmt;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What must become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Copied,
    /// An upgrade: counted as such.
    NotCopyable,
    /// httpd itself answers 400: no copy, no count. Ends its connection.
    Refused,
}

/// One request's bytes.
#[derive(Clone)]
pub struct Sent {
    pub bytes: Vec<u8>,
    pub fate: Fate,
}

/// What one connection carries.
#[derive(Clone, Debug)]
pub struct Batch {
    pub requests: Vec<Sent>,
    /// Sent without waiting for answers, cut into pieces at these places.
    pub pipelined: bool,
    cuts: Vec<Index>,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} \"{}\"", self.fate, self.bytes.escape_ascii())
    }
}

impl Batch {
    /// All bytes, in pieces.
    pub fn pieces(&self) -> impl Iterator<Item = Vec<u8>> {
        let bytes: Vec<u8> =
            self.requests.iter().flat_map(|sent| sent.bytes.iter().copied()).collect();
        let mut cuts: Vec<usize> = self.cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<Vec<u8>> =
            cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec()).collect();
        pieces.into_iter()
    }
}

/// Requests that are kept alive, perhaps one at the end that httpd refuses.
pub fn batches() -> impl Strategy<Value = Batch> {
    let last = proptest::option::weighted(0.1, refused());
    (vec(valid(), 1..8), last, any::<bool>(), vec(any::<Index>(), 0..4)).prop_map(
        |(mut requests, last, pipelined, cuts)| {
            requests.extend(last);
            Batch { requests, pipelined, cuts }
        },
    )
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    value: Vec<u8>,
    /// White space before and after the value, which is no part of it.
    around: (&'static str, &'static str),
}

#[derive(Clone, Debug)]
enum Framing {
    None,
    Length(Vec<u8>),
    Chunked { chunks: Vec<Chunk>, trailers: Vec<Field> },
}

#[derive(Clone, Debug)]
struct Chunk {
    data: Vec<u8>,
    extension: &'static str,
    zeros: usize,
    capitals: bool,
}

fn valid() -> impl Strategy<Value = Sent> {
    let upgrade = proptest::option::weighted(
        0.05,
        select(&["h2c", "H2C, h2c", "websocket", "h2c, websocket"][..]),
    );
    let fields = vec(field(), 0..40);
    let nominated = vec(any::<Index>(), 0..4);
    (method(), target(), fields, nominated, upgrade, framing(), vec(any::<Index>(), 4)).prop_map(
        |(method, target, mut fields, nominated, upgrade, framing, places)| {
            let own = |name: &str, value: &str| Field {
                name: name.to_owned(),
                value: value.as_bytes().to_vec(),
                around: (" ", ""),
            };
            let mut special = vec![own("Host", "www.example.com")];
            if !nominated.is_empty() && !fields.is_empty() {
                let names = nominated.iter().map(|index| index.get(&fields).name.as_str());
                let names: Vec<&str> = names.collect();
                special.push(own("connection", &names.join(", ")));
            }
            special.extend(upgrade.map(|protocols| own("Upgrade", protocols)));
            match &framing {
                Framing::None => {}
                Framing::Length(content) => {
                    special.push(own("Content-Length", &content.len().to_string()))
                }
                Framing::Chunked { .. } => special.push(own("transfer-encoding", "Chunked")),
            }
            for (field, place) in special.into_iter().zip(&places) {
                fields.insert(place.index(fields.len() + 1), field);
            }
            let refused_upgrade = upgrade.is_some_and(|protocols| protocols.contains("websocket"));
            let fate = if refused_upgrade { Fate::NotCopyable } else { Fate::Copied };
            Sent { bytes: bytes(&method, &target, &fields, &framing), fate }
        },
    )
}

fn bytes(method: &str, target: &str, fields: &[Field], framing: &Framing) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    fields.iter().for_each(|field| field.write(&mut bytes));
    bytes.extend_from_slice(b"\r\n");
    match framing {
        Framing::None => {}
        Framing::Length(content) => bytes.extend_from_slice(content),
        Framing::Chunked { chunks, trailers } => {
            chunks.iter().for_each(|chunk| chunk.write(&mut bytes));
            bytes.extend_from_slice(b"0\r\n");
            trailers.iter().for_each(|field| field.write(&mut bytes));
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}

impl Field {
    fn write(&self, out: &mut Vec<u8>) {
        let (before, after) = self.around;
        out.extend(
            [self.name.as_bytes(), b":", before.as_bytes(), &self.value, after.as_bytes(), b"\r\n"]
                .concat(),
        );
    }
}

impl Chunk {
    fn write(&self, out: &mut Vec<u8>) {
        let size = self.data.len();
        let size = if self.capitals { format!("{size:X}") } else { format!("{size:x}") };
        let head = format!("{}{size}{}\r\n", "0".repeat(self.zeros), self.extension);
        out.extend([head.as_bytes(), &self.data, b"\r\n"].concat());
    }
}

/// So many bytes of this alphabet. One number makes them all: a strategy for each byte takes its time.
fn text(lengths: Range<usize>, alphabet: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    (lengths, any::<u64>()).prop_map(|(length, seed)| {
        let steps = std::iter::successors(Some(seed), |state| {
            Some(
                state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407),
            )
        });
        let high = steps.skip(1).map(|state| usize::try_from(state >> 33).unwrap());
        high.take(length).map(|at| alphabet[at % alphabet.len()]).collect()
    })
}

fn content(lengths: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    const BYTES: [u8; 256] = {
        let mut bytes = [0; 256];
        let mut at = 0;
        while at < 256 {
            bytes[at] = at as u8;
            at += 1;
        }
        bytes
    };
    text(lengths, &BYTES)
}

/// A token (RFC 9110 section 5.6.2).
fn token(lengths: Range<usize>) -> impl Strategy<Value = String> {
    const TCHAR: &[u8] =
        b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    text(lengths, TCHAR).prop_map(|token| String::from_utf8(token).unwrap())
}

fn method() -> impl Strategy<Value = String> {
    let known = select(
        &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"][..],
    );
    let other = token(1..13)
        .prop_filter("another matter", |method| !["CONNECT", "TRACE"].contains(&method.as_str()));
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => other]
}

/// Origin-forms, and a few absolute-forms.
fn target() -> impl Strategy<Value = String> {
    let segment = r"(/[A-Za-z0-9_~!$&'()*+,;=:@-]([A-Za-z0-9._~!$&'()*+,;=:@-]|%20|%7E|%C3%A9|%41){0,8}){1,3}/?";
    let query = r"\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2}){0,40}";
    let path = prop_oneof![8 => segment.boxed(), 1 => Just("/".to_owned()).boxed(), 1 => "//x{1,4}".boxed()];
    let authority = proptest::option::weighted(0.05, Just("http://www.example.com"));
    (authority, path, proptest::option::of(query)).prop_map(|(authority, path, query)| {
        [authority.unwrap_or_default(), &path, &query.unwrap_or_default()].concat()
    })
}

fn field() -> impl Strategy<Value = Field> {
    let known = select(
        &[
            "Accept",
            "accept",
            "Cookie",
            "cookie",
            "User-Agent",
            "X-Two",
            "x-two",
            "X-TWO",
            "Cache-Control",
            "Authorization",
            "Range",
            "If-None-Match",
            "Referer",
            "Forwarded",
            "Via",
            "Content-Type",
            "Content-Encoding",
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "te",
            "Trailer",
            "HTTP2-Settings",
            "X-Forwarded-For",
            "x-forwarded-host",
            "X-Forwarded-Proto",
            "X-Mod-Copy",
        ][..],
    );
    let other = token(1..21).prop_filter("of a meaning to production", |name| {
        let meant = ["host", "content-length", "transfer-encoding", "expect", "upgrade"];
        !meant.contains(&name.to_ascii_lowercase().as_str())
    });
    let name = prop_oneof![known.prop_map(str::to_owned), other];
    let spaces = || select(&["", " ", "  ", "\t", " \t "][..]);
    (name, value(), spaces(), spaces()).prop_map(|(name, value, before, after)| {
        // A keep-alive of the client's, or an end: not what this test is about.
        let ends = name.eq_ignore_ascii_case("connection") && !value.is_ascii();
        let value = if ends { b"keep-alive".to_vec() } else { value };
        Field { name, value, around: (before, after) }
    })
}

/// Visible characters and bytes from 0x80, white space within.
fn value() -> impl Strategy<Value = Vec<u8>> {
    const LEGAL: [u8; 230] = {
        let mut bytes = [b' '; 230];
        let (mut at, mut byte) = (0, 0x21);
        while byte <= 0xff {
            if byte != 0x7f {
                bytes[at] = byte as u8;
                at += 1;
            }
            byte += 1;
        }
        bytes[at] = b'\t';
        bytes
    };
    text(0..60, &LEGAL).prop_map(|value| value.trim_ascii().to_vec())
}

fn framing() -> impl Strategy<Value = Framing> {
    let extensions = ["", ";a", ";a=b", ";name=\"quoted text\"", ";a=1;b=2"];
    let chunk = (content(1..600), select(extensions.to_vec()), 0..3_usize, any::<bool>())
        .prop_map(|(data, extension, zeros, capitals)| Chunk { data, extension, zeros, capitals });
    prop_oneof![
        2 => Just(Framing::None),
        1 => content(0..3000).prop_map(Framing::Length),
        1 => (vec(chunk, 0..8), vec(field(), 0..3))
            .prop_map(|(chunks, trailers)| Framing::Chunked { chunks, trailers }),
    ]
}

/// What httpd answers with 400 before any module sees a request.
fn refused() -> impl Strategy<Value = Sent> {
    let heads = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: www.example.com\r\nHost: www.example.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: www.example.com\r\nX Y: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: www.example.com\r\nX-Y : 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: www.example.com\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: www.example.com\r\nX-Y: \x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: www.example.com\r\nX(Y): 1\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "GET / HTTP/1.x\r\nHost: www.example.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: www.exa mple.com\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: gzip\r\n\r\n",
    ];
    select(heads.to_vec()).prop_map(|head| Sent { bytes: head.into(), fate: Fate::Refused })
}
