//! The copy itself: one request, serialised once and owned, shared by all its targets.

mod request_target;
mod writer;

pub use writer::is;

use std::ops::Range;

use crate::capture::Content;
use crate::memory::{Budget, Buffer};
use crate::outcome::GivenUp;

use crate::target::{PathMode, Url};
use request_target::map_target;

/// The field that marks our own copies; its value is a secret of this server, so clients cannot forge it.
pub const LOOP_MARK: &str = "X-Mod-Copy";

/// What a message takes beside its bytes: the record, its reference count, its place in the queues.
const OVERHEAD: usize = 256;

/// A request as httpd received it, before any other module touched it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a, F> {
    /// The method, spelt as received.
    pub method: &'a [u8],
    /// The request target, byte for byte.
    pub target: &'a [u8],
    /// Name and value of each field, in order.
    pub fields: F,
    /// The value of `Host`, if received.
    pub host: Option<&'a [u8]>,
    /// The value of `Connection`; empty if not received.
    pub connection: &'a [u8],
    /// Whether content follows (RFC 9112 section 6.3).
    pub has_content: bool,
}

/// What is added to a copy's fields.
#[derive(Clone, Copy, Debug)]
pub struct Additions<'a> {
    /// This server's loop mark.
    pub mark: &'a str,
    /// `CopyAddHeaders On`: what the `X-Forwarded-*` fields say.
    pub forwarded: Option<Forwarded<'a>>,
    /// `CopyPreserveHost On`: staging sees the client's `Host`, else its own.
    pub preserve_host: bool,
}

/// What `X-Forwarded-For` and `X-Forwarded-Proto` say; `X-Forwarded-Host` repeats the received `Host`.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// The client's address.
    pub client: &'a [u8],
    /// The scheme the client used.
    pub proto: &'a str,
}

/// The head of a copy: method, request target and fields, each target's own part left open.
#[derive(Debug)]
pub struct Head {
    /// Method, request target and field lines, one after another.
    bytes: Buffer,
    method: usize,
    target: Range<usize>,
    /// Where the value of the received `Host` lies.
    host: Option<Range<usize>>,
    end: usize,
    preserve_host: bool,
    /// A `Content-Length` was received, and stands among the fields.
    has_length: bool,
}

impl Head {
    /// Serialises the head of a request for staging, less what belongs to the client's connection.
    pub fn serialise<'a>(
        received: Received<'a, impl Iterator<Item = (&'a [u8], &'a [u8])>>,
        additions: &Additions<'a>,
        budget: &'static Budget,
    ) -> Result<Head, GivenUp> {
        writer::serialise(received, additions, budget)
    }

    /// Lends its buffer for content of this length to follow, if it has room for so much.
    pub fn lend(&mut self, content: u64) -> Option<Buffer> {
        // Else its last line is still to be written.
        let fits = self.has_length && content <= self.bytes.room() as u64;
        fits.then(|| self.bytes.take())
    }

    /// Completes the copy with the request's content, if it had any.
    pub fn with_content(mut self, content: Option<Content>) -> Message {
        let apart = match content {
            Some(Content { bytes, start }) if start > 0 => {
                self.bytes = bytes;
                None
            }
            content => content.map(|content| content.bytes),
        };
        if let Some(content) = apart.as_ref().filter(|_| !self.has_length) {
            self.bytes.extend(format!("Content-Length: {}\r\n", content.len()).as_bytes());
            self.end = self.bytes.len();
        }
        Message { head: self, apart }
    }
}

/// One copy, ready for any target.
#[derive(Debug)]
pub struct Message {
    head: Head,
    /// The content, where it does not follow the head.
    apart: Option<Buffer>,
}

/// How many parts a message has: see [`Message::parts`].
pub const PARTS: usize = 11;

impl Message {
    /// The message as `url` is to see it, in parts that lie here and there: request line, fields, the empty
    /// line, and, as the last part, the content.
    ///
    /// Nothing is joined: what a target changes, it changes without a copy of the rest.
    pub fn parts<'a>(&'a self, url: &'a Url, mode: PathMode) -> [&'a [u8]; PARTS] {
        let head = &self.head;
        let [path, rest] = map_target(head.slice(head.target.clone()), url.path().as_bytes(), mode);
        let fields = head.target.end..head.end;
        let authority = url.authority().as_bytes();
        let [first, second, third, fourth]: [&[u8]; 4] = match &head.host {
            Some(_) if head.preserve_host => [head.slice(fields), b"", b"", b""],
            Some(host) => {
                let (before, after) = (fields.start..host.start, host.end..fields.end);
                [head.slice(before), authority, head.slice(after), b""]
            }
            None => [b"Host: ", authority, b"\r\n", head.slice(fields)],
        };
        let (method, content) = (self.method(), self.content());
        let (line, end) = (b" HTTP/1.1\r\n", b"\r\n");
        [method, b" ", path, rest, line, first, second, third, fourth, end, content]
    }

    /// The method, as received.
    pub fn method(&self) -> &[u8] {
        self.head.slice(0..self.head.method)
    }

    /// The content; empty where there was none.
    pub fn content(&self) -> &[u8] {
        match &self.apart {
            Some(content) => content,
            None => self.head.bytes.get(self.head.end..).unwrap_or_default(),
        }
    }

    /// Whether sending it twice does what sending it once does (RFC 9110 section 9.2.1).
    pub fn is_safe(&self) -> bool {
        matches!(self.method(), b"GET" | b"HEAD" | b"OPTIONS")
    }
}

impl Head {
    fn slice(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Loss, NotCopied};

    const MARK: &str = "5ec2e7";
    static BUDGET: Budget = Budget::new(1 << 30);

    type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

    fn fields<'a>(lines: &'a str) -> Fields<'a> {
        let split =
            |line: &'a str| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        lines.lines().map(split).map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    fn value_of<'a>(fields: &Fields<'a>, name: &[u8]) -> Option<&'a [u8]> {
        let named = fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| *value)
    }

    struct Case<'a> {
        method: &'a str,
        target: &'a str,
        fields: &'a str,
        content: Option<&'a str>,
        url: &'a str,
        mode: PathMode,
        preserve_host: bool,
        forwarded: bool,
    }

    const GET: Case<'static> = Case {
        method: "GET",
        target: "/",
        fields: "Host: www.example.com",
        content: None,
        url: "http://staging:8080/",
        mode: PathMode::Append,
        preserve_host: false,
        forwarded: false,
    };

    impl Case<'_> {
        fn staged(&self) -> Result<String, GivenUp> {
            let head = self.head(&BUDGET)?;
            let content = self.content.map(|text| BUDGET.filled(text.as_bytes()));
            let content = content.map(|bytes| Content { bytes, start: 0 });
            Ok(self.sent(&head.with_content(content)))
        }

        fn head(&self, budget: &'static Budget) -> Result<Head, GivenUp> {
            let fields = fields(self.fields);
            Head::serialise(
                Received {
                    method: self.method.as_bytes(),
                    target: self.target.as_bytes(),
                    fields: fields.iter().copied(),
                    host: value_of(&fields, b"Host"),
                    connection: value_of(&fields, b"Connection").unwrap_or_default(),
                    has_content: self.content.is_some(),
                },
                &Additions {
                    mark: MARK,
                    forwarded: self
                        .forwarded
                        .then_some(Forwarded { client: b"192.0.2.7", proto: "https" }),
                    preserve_host: self.preserve_host,
                },
                budget,
            )
        }

        fn sent(&self, message: &Message) -> String {
            let url = Url::parse(self.url).unwrap();
            let sent = message.parts(&url, self.mode).concat();
            String::from_utf8(sent).unwrap().replace("\r\n", "\n")
        }
    }

    #[test]
    fn spelling_order_and_values_are_kept() {
        let case = Case {
            method: "PURGE",
            target: "/a/../b?c=d?e",
            fields: "uSER-aGENT: x\nhost: www.example.com\nAccept: */*\nX-Empty:\nX-Last: 1",
            ..GET
        };
        assert_eq!(
            case.staged().unwrap(),
            "PURGE /a/../b?c=d?e HTTP/1.1\nuSER-aGENT: x\nhost: staging:8080\nAccept: */*\n\
             X-Empty: \nX-Last: 1\nX-Mod-Copy: 5ec2e7\n\n"
        );
    }

    #[test]
    fn fields_of_the_connection_stay_behind() {
        let case = Case {
            fields: "Host: a\nConnection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 5\nTE: trailers\n\
                     Trailer: X\nExpect: 100-continue\nProxy-Connection: x\nUpgrade: h2c\n\
                     HTTP2-Settings: AA\nTransfer-Encoding: chunked\nX-End: 1",
            content: Some("hello"),
            ..GET
        };
        assert_eq!(
            case.staged().unwrap(),
            "GET / HTTP/1.1\nHost: staging:8080\nX-End: 1\nX-Mod-Copy: 5ec2e7\n\
             Content-Length: 5\n\nhello"
        );
    }

    #[test]
    fn a_forwarded_field_that_ends_here_begins_anew() {
        let case = Case {
            fields: "Host: a\nX-Forwarded-For: 6.6.6.6\nConnection: X-Forwarded-For, X-Mod-Copy",
            forwarded: true,
            ..GET
        };
        assert!(case.staged().unwrap().contains("\nX-Forwarded-For: 192.0.2.7\n"));
    }

    #[test]
    fn a_long_head_is_whole() {
        let fields: String = (0..500).map(|at| format!("X-Field-{at}: {at}\n")).collect();
        let staged = Case { fields: &fields, ..GET }.staged().unwrap();
        assert!(staged.contains(&fields), "{staged}");
    }

    #[test]
    fn small_content_shares_the_heads_buffer() {
        static OWN: Budget = Budget::new(1 << 20);
        let chunked = Case { fields: "Host: a", content: Some("hello"), ..GET };
        assert!(chunked.head(&OWN).unwrap().lend(5).is_none(), "its length is not known");
        let case = Case { fields: "Host: a\nContent-Length: 5", ..chunked };
        let mut head = case.head(&OWN).unwrap();
        assert!(head.lend(1 << 20).is_none(), "there is no room for so much");
        let mut bytes = head.lend(5).unwrap();
        let (start, used) = (bytes.len(), OWN.used());
        bytes.extend(b"hello");
        let message = head.with_content(Some(Content { bytes, start }));
        assert_eq!(message.content(), b"hello");
        assert_eq!(case.sent(&message), case.staged().unwrap());
        assert_eq!(OWN.used(), used);
        drop(message);
        assert_eq!(OWN.used(), 0);
    }

    #[test]
    fn a_received_content_length_stays_in_its_place() {
        let fields = "Content-Length: 5\nHost: a";
        let with = Case { fields, content: Some("hello"), ..GET };
        let expected = "GET / HTTP/1.1\nContent-Length: 5\nHost: staging:8080\n\
                        X-Mod-Copy: 5ec2e7\n\nhello";
        assert_eq!(with.staged().unwrap(), expected);
        let zero = Case { fields: "Content-Length: 0\nHost: a", ..GET };
        assert!(zero.staged().unwrap().contains("Content-Length: 0\n"));
    }

    #[test]
    fn the_host_is_the_targets_unless_preserved() {
        let preserved = Case { preserve_host: true, ..GET };
        assert!(preserved.staged().unwrap().contains("\nHost: www.example.com\n"));
        let without = Case { fields: "Accept: */*", preserve_host: true, ..GET };
        assert!(without.staged().unwrap().starts_with("GET / HTTP/1.1\nHost: staging:8080\n"));
    }

    #[test]
    fn forwarded_fields_are_appended_to_what_was_received() {
        let added = Case { forwarded: true, ..GET };
        assert!(added.staged().unwrap().ends_with(
            "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: www.example.com\n\
             X-Forwarded-Proto: https\nX-Mod-Copy: 5ec2e7\n\n"
        ));
        let joined = Case {
            forwarded: true,
            fields: "X-Forwarded-For: 10.0.0.1\nHost: h\nx-forwarded-host: front",
            ..GET
        };
        assert_eq!(
            joined.staged().unwrap(),
            "GET / HTTP/1.1\nX-Forwarded-For: 10.0.0.1, 192.0.2.7\nHost: staging:8080\n\
             x-forwarded-host: front, h\nX-Forwarded-Proto: https\nX-Mod-Copy: 5ec2e7\n\n"
        );
    }

    #[test]
    fn request_targets_are_mapped() {
        use PathMode::{Append, Replace};
        for (target, url, mode, staged) in [
            ("/x?y", "http://s/", Append, "/x?y"),
            ("/x?y", "http://s/api/v1", Append, "/api/v1/x?y"),
            ("//x", "http://s/api/", Append, "/api//x"),
            ("/x?y?z", "http://s/api", Replace, "/api?y?z"),
            ("/x", "http://s/api", Replace, "/api"),
            ("*", "http://s/api", Append, "*"),
            ("http://www.example.com/x", "http://s/", Append, "/x"),
            ("http://www.example.com", "http://s/", Append, "/"),
            ("http://www.example.com?x", "http://s/api", Append, "/api/?x"),
        ] {
            let case = Case { target, url, mode, ..GET };
            let line = case.staged().unwrap();
            assert_eq!(line.split(' ').nth(1).unwrap(), staged, "{target} at {url}");
        }
    }

    #[test]
    fn what_cannot_be_copied_is_refused() {
        let refused = |case: Case<'_>| match case.staged() {
            Err(GivenUp::NotCopied(reason)) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(Case { method: "CONNECT", ..GET }), NotCopied::NotCopyable);
        assert_eq!(refused(Case { method: "TRACE", ..GET }), NotCopied::NotCopyable);
        assert_eq!(refused(Case { fields: "Upgrade: websocket", ..GET }), NotCopied::NotCopyable);
        assert_eq!(refused(Case { fields: "x-mod-copy: 1, 5ec2e7", ..GET }), NotCopied::Loop);
    }

    #[test]
    fn a_forged_loop_mark_is_a_field_like_any_other() {
        let forged = Case { fields: "Host: a\nX-Mod-Copy: 0000", ..GET };
        assert!(forged.staged().unwrap().contains("X-Mod-Copy: 0000, 5ec2e7\n"));
    }

    #[test]
    fn a_head_beyond_the_budget_is_dropped() {
        static SMALL: Budget = Budget::new(280);
        let received = Received {
            method: b"GET",
            target: b"/",
            fields: fields("Host: a").into_iter(),
            host: Some(b"a"),
            connection: b"",
            has_content: false,
        };
        let additions = Additions { mark: MARK, forwarded: None, preserve_host: false };
        let dropped = Head::serialise(received, &additions, &SMALL).unwrap_err();
        assert_eq!(dropped, GivenUp::Dropped(Loss::Memory));
        assert_eq!(SMALL.used(), 0);
    }
}
