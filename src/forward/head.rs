//! What an answer's head says about its framing (RFC 9112 sections 6 and 9.3).

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Response, Status};

/// Fields of most answers' heads: room for more is made only when it is needed.
const FEW: usize = 32;
/// The most fields of an answer's head.
const FIELDS: usize = 128;

/// What is wrong with an answer, never quoting it.
pub(super) type Malformed = &'static str;

/// The head of an answer, as far as it tells where the answer ends.
#[derive(Debug)]
pub(super) struct Head {
    /// How long it is.
    pub(super) bytes: usize,
    pub(super) status: u16,
    http11: bool,
    pub(super) length: Length,
    pub(super) coding: Coding,
    /// `Connection: close`
    close: bool,
    /// `Connection: keep-alive`
    keep_alive: bool,
}

/// `Content-Length`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Absent,
    Of(u64),
    /// No number, too large a one, or several that differ.
    Faulty,
}

/// The last transfer coding, which tells how the content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    None,
    Chunked,
    Other,
}

impl Head {
    /// Reads a head; `None` where it is not yet whole.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
        match Head::parse_up_to::<FEW>(bytes) {
            Err(httparse::Error::TooManyHeaders) => Head::parse_up_to::<FIELDS>(bytes),
            parsed => parsed,
        }
        .map_err(|error| match error {
            httparse::Error::TooManyHeaders => "more than 128 fields",
            httparse::Error::Version | httparse::Error::Status => "not a status line of HTTP/1.1",
            _ => "not a field line",
        })
    }

    fn parse_up_to<const MOST: usize>(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST];
        let mut response = Response::new(&mut []);
        let mut lenient = ParserConfig::default();
        lenient.allow_obsolete_multiline_headers_in_responses(true);
        lenient.allow_spaces_after_header_name_in_responses(true);
        let parsed =
            lenient.parse_response_with_uninit_headers(&mut response, bytes, &mut fields)?;
        let Status::Complete(length) = parsed else { return Ok(None) };
        let mut head = Head {
            bytes: length,
            status: response.code.unwrap_or_default(),
            http11: response.version == Some(1),
            length: Length::Absent,
            coding: Coding::None,
            close: false,
            keep_alive: false,
        };
        for field in response.headers.iter() {
            head.note(field.name, field.value);
        }
        Ok(Some(head))
    }

    fn note(&mut self, name: &str, value: &[u8]) {
        let elements = || value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        if name.eq_ignore_ascii_case("content-length") {
            self.length = elements().map(length).fold(self.length, Length::and);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            let last = elements().rfind(|element| !element.is_empty());
            self.coding = match last {
                Some(last) if last.eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
                Some(_) => Coding::Other,
                None => self.coding,
            };
        } else if name.eq_ignore_ascii_case("connection") {
            let lists = |option: &[u8]| elements().any(|item| item.eq_ignore_ascii_case(option));
            self.close |= lists(b"close");
            self.keep_alive |= lists(b"keep-alive");
        }
    }

    /// Whether the connection outlives the answer, if its content's end can be told (RFC 9112
    /// section 9.3). A coding beside a length, or in HTTP/1.0, may be a trick: section 6.1.
    pub(super) fn is_persistent(&self) -> bool {
        let plain = self.coding == Coding::None || (self.length == Length::Absent && self.http11);
        plain && !self.close && (self.http11 || self.keep_alive)
    }
}

fn length(digits: &[u8]) -> Length {
    let number = digits.iter().try_fold(0_u64, |number, &digit| {
        let value = digit.checked_sub(b'0').filter(|value| *value < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(value))
    });
    number.filter(|_| !digits.is_empty()).map_or(Length::Faulty, Length::Of)
}

impl Length {
    /// Lengths may be repeated, but must agree.
    fn and(self, other: Length) -> Length {
        match self {
            Length::Absent => other,
            same if same == other => same,
            _ => Length::Faulty,
        }
    }
}
