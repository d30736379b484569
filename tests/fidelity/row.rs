//! One row of the conformance table: what a client sends, what production answers, what staging receives.

use super::client::Transcript;
use crate::mpm::Mpm;

/// A request, whatever the protocol that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Vec<u8>,
    /// The request target, byte for byte; over HTTP/2 `:path`.
    pub target: Vec<u8>,
    /// Name and value of each field in order, `Host` (HTTP/2's `:authority`) and a length among them.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Every byte of the content; `None` where none follows.
    pub content: Option<Vec<u8>>,
}

/// The versions of HTTP that rows of this binary are played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// What the client does.
#[derive(Clone)]
pub enum Act {
    /// Sends one request, over any protocol.
    Asks(Request),
    /// Sends these bytes of HTTP/1 and reads as many responses as there are requests in them.
    Sends(Vec<u8>),
    /// Plays a dialogue over HTTP/1.
    Plays(fn(&mut Transcript)),
}

/// What has to reach staging, and which counter has to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staged {
    /// One copy of each of the row's requests, to the bit.
    Copied,
    /// As `Copied` over HTTP/1, where httpd reads what production does not use, for the next request's sake;
    /// over HTTP/2 nothing, counted as `incomplete`.
    CopiedIfKept,
    /// Nothing, and this counter of `not_copied` has moved by one for each of the row's requests.
    NotCopied(&'static str),
    /// Nothing: the request never reached the module, and no counter has moved.
    Unseen,
    /// Nothing: the copy went back to production itself, which knew it by its mark and counted it as `loop`.
    CameBack,
}

/// The ports of production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// By plain HTTP, with virtual hosts told apart by name.
    Main,
    /// By TLS 1.2.
    Tls,
    /// A forward proxy.
    Forward,
    /// A virtual host that soon loses patience (mod_reqtimeout).
    Impatient,
}

/// What a copy depends on beside its request: the settings of the place in production it goes to.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The path of the target's URL.
    pub path: &'static str,
    /// `path=replace`.
    pub replace: bool,
    /// `CopyPreserveHost On`.
    pub preserve_host: bool,
    /// `CopyAddHeaders On`.
    pub add_headers: bool,
    /// `http` or `https`, as `X-Forwarded-Proto` says.
    pub scheme: &'static str,
}

/// A place with every default.
pub const PLAIN: Place =
    Place { path: "/", replace: false, preserve_host: false, add_headers: true, scheme: "http" };

/// One row.
#[derive(Clone)]
pub struct Row {
    pub group: &'static str,
    /// What the row is about, as the document prints it.
    pub name: String,
    pub act: Act,
    /// The requests that staging may receive, as the client sent them.
    pub requests: Vec<Request>,
    /// The status of each final answer that the client waits for.
    pub answers: Vec<u16>,
    pub staged: Staged,
    pub place: Place,
    /// What httpd makes different before any module can see it, or what else a reader should know.
    pub note: &'static str,
    pub versions: &'static [Version],
    pub door: Door,
    pub mpms: &'static [Mpm],
    /// Production without the module answers the same; false only where the module is what is asked for.
    pub compared: bool,
}

const ALL: &[Mpm] = &[Mpm::Event, Mpm::Worker, Mpm::Prefork];

impl Row {
    /// One request, answered by 200 and copied, on HTTP/1.1 and 1.0.
    pub fn asks(group: &'static str, name: impl Into<String>, request: Request) -> Row {
        Row {
            group,
            name: name.into(),
            act: Act::Asks(request.clone()),
            requests: vec![request],
            answers: vec![200],
            staged: Staged::Copied,
            place: PLAIN,
            note: "",
            versions: &[Version::Http11, Version::Http10],
            door: Door::Main,
            mpms: ALL,
            compared: true,
        }
    }

    /// Bytes that are no request: answered with this status, and of no concern to the module.
    pub fn malformed(
        group: &'static str,
        name: impl Into<String>,
        bytes: impl AsRef<[u8]>,
        status: u16,
    ) -> Row {
        Row {
            act: Act::Sends(bytes.as_ref().to_vec()),
            requests: Vec::new(),
            answers: vec![status],
            staged: Staged::Unseen,
            versions: &[Version::Http11],
            ..Row::asks(group, name, Request::get("/"))
        }
    }

    /// Bytes of HTTP/1.1, each request in them answered by 200 and copied.
    pub fn sends(group: &'static str, name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Row {
        let bytes = bytes.as_ref().to_vec();
        let requests = super::http1::parse_all(&bytes);
        Row {
            answers: vec![200; requests.len()],
            requests,
            act: Act::Sends(bytes),
            versions: &[Version::Http11],
            ..Row::asks(group, name, Request::new("GET", "/"))
        }
    }

    /// A dialogue over HTTP/1.1 that has to bring forth a copy of this request.
    pub fn plays(
        group: &'static str,
        name: impl Into<String>,
        request: Request,
        play: fn(&mut Transcript),
    ) -> Row {
        Row {
            act: Act::Plays(play),
            answers: Vec::new(),
            versions: &[Version::Http11],
            ..Row::asks(group, name, request)
        }
    }

    pub fn answered(mut self, status: u16) -> Row {
        self.answers = vec![status; self.answers.len()];
        self
    }

    pub fn staged(mut self, staged: Staged) -> Row {
        self.staged = staged;
        self
    }

    pub fn not_copied(self, reason: &'static str) -> Row {
        self.staged(Staged::NotCopied(reason))
    }

    pub fn at(mut self, place: Place) -> Row {
        self.place = place;
        self
    }

    pub fn note(mut self, note: &'static str) -> Row {
        self.note = note;
        self
    }

    /// The final answers that a dialogue reads.
    pub fn answers(mut self, statuses: &[u16]) -> Row {
        self.answers = statuses.to_vec();
        self
    }

    pub fn through(mut self, door: Door) -> Row {
        self.door = door;
        self
    }

    pub fn under(mut self, mpms: &'static [Mpm]) -> Row {
        self.mpms = mpms;
        self
    }

    pub fn uncompared(mut self) -> Row {
        self.compared = false;
        self
    }

    pub fn only(mut self, versions: &'static [Version]) -> Row {
        self.versions = versions;
        self
    }
}

impl Request {
    /// A request without content to the main virtual host.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Request {
        Request {
            method: method.into(),
            target: target.as_ref().to_vec(),
            fields: vec![(b"Host".to_vec(), b"www.example.com".to_vec())],
            content: None,
        }
    }

    pub fn get(target: impl AsRef<[u8]>) -> Request {
        Request::new("GET", target)
    }

    /// Appends a field.
    pub fn with(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Request {
        self.fields.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Gives content, and its length as the next field.
    pub fn content(self, content: impl AsRef<[u8]>) -> Request {
        let content = content.as_ref();
        let with_length = self.with("Content-Length", content.len().to_string());
        Request { content: Some(content.to_vec()), ..with_length }
    }

    /// Another virtual host than the main one.
    pub fn host(mut self, host: &str) -> Request {
        for (name, value) in &mut self.fields {
            if name.eq_ignore_ascii_case(b"host") {
                *value = host.into();
            }
        }
        self
    }

    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        fields
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }
}

impl Row {
    /// Another request in the same place of the table.
    pub fn asking(mut self, request: Request) -> Row {
        self.act = Act::Asks(request.clone());
        self.requests = vec![request];
        self
    }

    /// The row's request with this content.
    pub fn having(self, content: &str) -> Row {
        let request = self.requests[0].clone().content(content);
        self.asking(request)
    }

    /// A dialogue that asks the row's request so many times.
    pub fn times(mut self, count: usize) -> Row {
        self.requests = vec![self.requests[0].clone(); count];
        self
    }

    /// The bytes that go over the wire, where they are not just the row's requests.
    pub fn sent(mut self, bytes: impl AsRef<[u8]>) -> Row {
        self.act = Act::Sends(bytes.as_ref().to_vec());
        self
    }
}
