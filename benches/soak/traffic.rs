//! What each request is, and its answer: made from the seed and the request's number alone.

use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::chance::Chance;
use crate::wire;

/// `CopyBodyLimit`.
pub const LIMIT: usize = 1 << 20;
/// Production's own files: their beginnings of the noise.
pub const FILES: [(&str, usize); 3] = [("empty", 0), ("small", 1 << 10), ("large", 64 << 10)];
/// The field that carries a request's number.
const NUMBER: &str = "X-Request-Id";

/// All requests of one soak.
#[derive(Clone, Copy)]
pub struct Traffic {
    seed: u64,
}

/// One request.
pub struct Request {
    pub id: u64,
    pub method: &'static str,
    pub path: String,
    /// All but those that frame the content.
    fields: String,
    pub content: &'static [u8],
    framing: Framing,
    pub conduct: Conduct,
    pub answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length,
    Chunked,
}

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Sends the request and reads the answer.
    Proper,
    /// Closes when half of the content is sent.
    Aborts,
    /// Closes when the request is sent.
    Leaves,
}

/// What production answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// `None` where it does not matter.
    pub content: Option<&'static [u8]>,
}

#[derive(Clone, Copy)]
enum Size {
    None,
    Small,
    Kibi,
    Medium,
    Mebi,
    TooLarge,
}

impl Traffic {
    pub fn of(seed: u64) -> Traffic {
        Traffic { seed }
    }

    /// The request of this number.
    pub fn request(&self, id: u64) -> Request {
        let mut chance = Chance::of(self.seed, id);
        let method = chance.weighted(&[
            (50, "GET"),
            (6, "HEAD"),
            (28, "POST"),
            (8, "PUT"),
            (4, "DELETE"),
            (4, "OPTIONS"),
        ]);
        let size = match method {
            "POST" | "PUT" => chance.weighted(&[
                (20, Size::Small),
                (640, Size::Kibi),
                (300, Size::Small),
                (60, Size::Medium),
                (8, Size::Mebi),
                (4, Size::TooLarge),
            ]),
            "DELETE" => chance.weighted(&[(3, Size::None), (1, Size::Small)]),
            _ => Size::None,
        };
        let length = match size {
            Size::None => 0,
            Size::Small => chance.between(0, 3000),
            Size::Kibi => 1 << 10,
            Size::Medium => 64 << 10,
            Size::Mebi => LIMIT,
            Size::TooLarge => LIMIT + chance.between(1, 64 << 10),
        };
        let framing = match size {
            Size::None => Framing::None,
            _ => chance.weighted(&[(3, Framing::Length), (1, Framing::Chunked)]),
        };
        let conduct = match framing {
            Framing::None => chance.weighted(&[(99, Conduct::Proper), (1, Conduct::Leaves)]),
            _ if length < 2 => Conduct::Proper,
            _ => chance.weighted(&[
                (98, Conduct::Proper),
                (1, Conduct::Aborts),
                (1, Conduct::Leaves),
            ]),
        };
        let content = some_noise(&mut chance, length);
        let is_file = matches!(method, "GET" | "HEAD" | "POST") && chance.below(4) == 0;
        let (path, answer) = match is_file {
            true => {
                let (name, length) = FILES[chance.below(FILES.len())];
                (format!("/file/{name}?{:x}", chance.next()), Answer::ok(&noise()[..length]))
            }
            false => {
                let length = chance.weighted(&[(6, 100), (3, 2000), (1, 20_000)]);
                let content = some_noise(&mut chance, length);
                (format!("/app/%7E{:x}/a//b?q={:x}&x=%20", chance.next(), id), Answer::ok(content))
            }
        };
        let answer = match method {
            "HEAD" => Answer::ok(b""),
            _ => answer,
        };
        let fields = fields(&mut chance, id);
        Request { id, method, path, fields, content, framing, conduct, answer }
    }

    /// The request that a head belongs to.
    pub fn of_head(&self, head: &[u8]) -> Option<Request> {
        Some(self.request(number(head)?))
    }
}

/// The number of the request that a head belongs to.
pub fn number(head: &[u8]) -> Option<u64> {
    wire::field(head, NUMBER)?.parse().ok()
}

impl Request {
    /// The bytes that a client sends.
    pub fn head(&self) -> Vec<u8> {
        let framing = match self.framing {
            Framing::None => String::new(),
            Framing::Length => format!("Content-Length: {}\r\n", self.content.len()),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        };
        let Request { method, path, fields, .. } = self;
        format!("{method} {path} HTTP/1.1\r\nHost: www.example.com\r\n{fields}{framing}\r\n")
            .into_bytes()
    }

    /// The content as a client sends it.
    pub fn framed_content(&self) -> Vec<u8> {
        if self.framing != Framing::Chunked {
            return self.content.to_vec();
        }
        let mut framed = Vec::with_capacity(self.content.len() + 64);
        let size = 1000 + usize::try_from(self.id % 30_000).unwrap();
        for chunk in self.content.chunks(size) {
            framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        framed
    }

    /// Whether sending it twice does no harm.
    pub fn is_safe(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS")
    }

    /// Whether it is copied, if production served it.
    pub fn is_copied(&self) -> bool {
        self.conduct != Conduct::Aborts && !self.is_too_large()
    }

    /// Whether its content is longer than what is copied.
    pub fn is_too_large(&self) -> bool {
        self.content.len() > LIMIT
    }

    /// What is wrong with this as the request that production hands to its origin, with a path of its own making.
    pub fn differs_at_origin(&self, head: &[u8], content: &[u8]) -> Option<String> {
        if !head.starts_with(format!("{} /app/", self.method).as_bytes()) {
            return Some("another request line".to_owned());
        }
        self.differs_in_content(content)
    }

    /// What is wrong with this as a copy of the request.
    pub fn differs_from(&self, head: &[u8], content: &[u8]) -> Option<String> {
        let head = String::from_utf8_lossy(head);
        let (line, rest) = head.split_once("\r\n")?;
        if line != format!("{} {} HTTP/1.1", self.method, self.path) {
            return Some(format!("another request line: {line}"));
        }
        if let Some(difference) = self.differs_in_content(content) {
            return Some(difference);
        }
        // Those before and after are the sender's: Host, and what is appended.
        (!rest.contains(&self.fields)).then(|| format!("other fields:\n{rest}"))
    }

    fn differs_in_content(&self, content: &[u8]) -> Option<String> {
        let (had, has) = (self.content.len(), content.len());
        (content != self.content).then(|| format!("other content: {has} bytes, not the {had} sent"))
    }
}

impl Answer {
    fn ok(content: &'static [u8]) -> Answer {
        Answer { status: 200, content: Some(content) }
    }
}

fn fields(chance: &mut Chance, id: u64) -> String {
    let mut fields = format!("{NUMBER}: {id}\r\nAccept: */*\r\n");
    let names = ["Cookie", "uSER-aGENT", "Referer", "X-Empty", "Accept-Language"];
    for name in &names[..chance.below(names.len() + 1)] {
        let length = match *name {
            "X-Empty" => 0,
            _ => chance.weighted(&[(8, 4), (3, 20), (1, 200)]),
        };
        let value: String = (0..length).map(|_| format!("{:x}=", chance.next())).collect();
        write!(fields, "{name}: {value}\r\n").unwrap();
    }
    fields
}

/// Some part of the noise.
fn some_noise(chance: &mut Chance, length: usize) -> &'static [u8] {
    let start = chance.below(64 << 10);
    &noise()[start..start + length]
}

/// Bytes of every value, in no order: all contents are parts of them.
pub fn noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| {
        let mut chance = Chance::of(0, 0);
        (0..LIMIT / 8 + (32 << 10)).flat_map(|_| chance.next().to_le_bytes()).collect()
    })
}
