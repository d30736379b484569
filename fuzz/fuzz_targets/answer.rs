//! Any bytes as an answer, cut anywhere: one verdict, no byte beyond the end, room bounded by what came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_copy::forward::fuzzing::Answer;
use mod_copy::outcome::StatusClass;

/// What became of an answer when all bytes had come and the connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Whole: its class, whether the connection is kept, and its length.
    Whole(StatusClass, bool, usize),
    /// Ended by the connection's end.
    AtClose(StatusClass),
    CutShort,
    Malformed,
}

// The first byte tells the method, the second how the rest is cut.
fuzz_target!(|data: &[u8]| {
    let [method, seed, bytes @ ..] = data else { return };
    let to_head = method & 1 == 1;
    let whole = fed(to_head, [bytes]);
    assert_eq!(whole, oracle(to_head, bytes), "another reading of the same bytes");
    let cut = fed(to_head, Pieces { rest: bytes, seed: *seed });
    // Of a head that is not yet whole, only ends of lines are looked at.
    assert!(
        cut == whole || (whole, cut) == (Verdict::Malformed, Verdict::CutShort),
        "{whole:?} {cut:?}"
    );
    if let Verdict::Whole(.., length) = whole {
        assert_eq!(fed(to_head, [&bytes[..length]]), whole, "what follows the end changes nothing");
        let shorter = fed(to_head, [&bytes[..length - 1]]);
        assert!(!matches!(shorter, Verdict::Whole(..)), "not a byte beyond the end");
    }
});

/// Pieces of changing sizes; with 0, single bytes.
struct Pieces<'a> {
    rest: &'a [u8],
    seed: u8,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let most = usize::from(self.seed >> (self.rest.len() % 5)).max(1);
        let (piece, rest) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = rest;
        Some(piece).filter(|piece| !piece.is_empty())
    }
}

fn fed<'a>(to_head: bool, pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut answer = Answer::to(if to_head { b"HEAD" } else { b"GET" });
    let (mut used, mut came) = (0, 0);
    for piece in pieces {
        let complete = answer.is_complete();
        let Ok(taken) = answer.feed(piece) else { return Verdict::Malformed };
        assert!(taken <= piece.len(), "no more than there is");
        assert!(taken == piece.len() || answer.is_complete(), "all of it, unless complete");
        assert!(!complete || taken == 0, "nothing of what follows");
        assert_eq!(
            answer.is_complete() || answer.ends_at_close(),
            answer.class().is_some() && answer_ends(&answer)
        );
        used += taken;
        came += piece.len();
        assert!(
            answer.room() <= 64 + 2 * came.min(64 * 1024 + piece.len()),
            "{} for {came}",
            answer.room()
        );
    }
    match answer.class() {
        Some(class) if answer.is_complete() => Verdict::Whole(class, answer.is_persistent(), used),
        Some(class) if answer.ends_at_close() => Verdict::AtClose(class),
        _ => Verdict::CutShort,
    }
}

/// A connection that ends an answer is not kept.
fn answer_ends(answer: &Answer) -> bool {
    assert!(!answer.ends_at_close() || !answer.is_persistent());
    answer.is_complete() || answer.ends_at_close()
}

/// The same by RFC 9112 section 6.3, with all bytes at hand: httparse reads the heads.
fn oracle(to_head: bool, bytes: &[u8]) -> Verdict {
    let mut at = 0;
    for _ in 0..=16 {
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut head = httparse::Response::new(&mut fields);
        let mut config = httparse::ParserConfig::default();
        config
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true);
        let length = match config.parse_response(&mut head, &bytes[at..]) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() - at > 64 * 1024 => {
                return Verdict::Malformed;
            }
            Ok(httparse::Status::Partial) => return Verdict::CutShort,
            Err(_) => return Verdict::Malformed,
        };
        if length > 64 * 1024 {
            return Verdict::Malformed;
        }
        at += length;
        match head.code {
            Some(101) => return Verdict::Malformed,
            Some(100..=199) => continue,
            Some(status) => return content(to_head, status, &head, bytes, at),
            None => unreachable!("a whole head has a status"),
        }
    }
    Verdict::Malformed
}

fn content(
    to_head: bool,
    status: u16,
    head: &httparse::Response<'_, '_>,
    bytes: &[u8],
    at: usize,
) -> Verdict {
    let Some(class) = StatusClass::of(status) else { return Verdict::Malformed };
    let elements = |name: &str| -> Vec<Vec<u8>> {
        let named = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        let elements = named.flat_map(|field| field.value.split(|&byte| byte == b','));
        elements.map(|element| element.trim_ascii().to_ascii_lowercase()).collect()
    };
    let lengths = elements("Content-Length");
    let codings: Vec<_> =
        elements("Transfer-Encoding").into_iter().filter(|coding| !coding.is_empty()).collect();
    let options = elements("Connection");
    let has = |option: &[u8]| options.iter().any(|other| other == option);
    let new = head.version == Some(1);
    let kept = !has(b"close")
        && (new || has(b"keep-alive"))
        && (codings.is_empty() || (lengths.is_empty() && new));
    if to_head || status == 204 || status == 304 {
        return Verdict::Whole(class, kept, at);
    }
    if let Some(coding) = codings.last() {
        if coding != b"chunked" {
            return Verdict::AtClose(class);
        }
        return match chunked(&bytes[at..]) {
            Ok(Some(length)) => Verdict::Whole(class, kept, at + length),
            Ok(None) => Verdict::CutShort,
            Err(()) => Verdict::Malformed,
        };
    }
    let Some(first) = lengths.first() else { return Verdict::AtClose(class) };
    let number = |digits: &[u8]| -> Option<u64> {
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| std::str::from_utf8(digits).ok()?.parse().ok())
            .flatten()
    };
    let numbers: Vec<_> = lengths.iter().map(|digits| number(digits)).collect();
    match number(first) {
        None => Verdict::Malformed,
        same if numbers.iter().any(|other| *other != same) => Verdict::Malformed,
        Some(length) if length <= (bytes.len() - at) as u64 => {
            Verdict::Whole(class, kept, at + length as usize)
        }
        Some(_) => Verdict::CutShort,
    }
}

/// The length of chunked content; `None` where it is not whole.
fn chunked(bytes: &[u8]) -> Result<Option<usize>, ()> {
    const LINE: usize = 8 * 1024;
    let line = |at: usize| -> Result<Option<&[u8]>, ()> {
        let rest = &bytes[at..];
        let end = rest.iter().position(|&byte| byte == b'\n').map(|end| end + 1);
        match end {
            Some(end) if end <= LINE => Ok(Some(&rest[..end])),
            None if rest.len() <= LINE => Ok(None),
            _ => Err(()),
        }
    };
    let mut at = 0;
    loop {
        let Some(size_line) = line(at)? else { return Ok(None) };
        let digits = size_line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0
            || !matches!(httparse::parse_chunk_size(size_line), Ok(httparse::Status::Complete(_)))
        {
            return Err(());
        }
        let digits = std::str::from_utf8(&size_line[..digits]).map_err(drop)?;
        let size = u64::from_str_radix(digits, 16).map_err(drop)?;
        at += size_line.len();
        if size == 0 {
            break;
        }
        if (bytes.len() - at) as u64 <= size {
            return Ok(None);
        }
        at += size as usize;
        match line(at)? {
            None => return Ok(None),
            Some(b"\r\n") => at += 2,
            Some(_) => return Err(()),
        }
    }
    loop {
        match line(at)? {
            None => return Ok(None),
            Some(line) => {
                at += line.len();
                if line == b"\r\n" || line == b"\n" {
                    return Ok(Some(at));
                }
            }
        }
    }
}
