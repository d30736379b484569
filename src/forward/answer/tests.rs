//! What an answer is told apart by, byte for byte.

use std::time::Duration;

use super::*;
use crate::compare::Body;
use crate::comparing::Kept;
use crate::memory::Budget;

/// What became of an answer: its class and persistence, and how many bytes were not its own.
type End = Result<(Option<StatusClass>, bool, usize), Malformed>;

/// Feeds pieces of `size` bytes until the answer is complete or the connection closes.
fn fed(method: &str, bytes: &[u8], size: usize) -> End {
    let mut answer = Answer::to(method.as_bytes());
    let mut used = 0;
    for piece in bytes.chunks(size) {
        if answer.is_complete() {
            break;
        }
        used += answer.feed(piece)?;
    }
    if answer.is_complete() || answer.ends_at_close() {
        Ok((answer.class(), answer.is_persistent(), bytes.len() - used))
    } else {
        Err("cut short")
    }
}

/// Skips what may be skipped, in pieces of `size` bytes, and feeds the rest one by one.
fn skipped(method: &str, bytes: &[u8], size: usize) -> End {
    let mut answer = Answer::to(method.as_bytes());
    let mut used = 0;
    while used < bytes.len() && !answer.is_complete() {
        let ahead = answer.ahead().min(bytes.len() - used).min(size);
        match ahead {
            0 => used += answer.feed(&bytes[used..=used])?,
            _ => {
                answer.skip(ahead as u64);
                used += ahead;
            }
        }
    }
    match answer.is_complete() || answer.ends_at_close() {
        true => Ok((answer.class(), answer.is_persistent(), bytes.len() - used)),
        false => Err("cut short"),
    }
}

/// The same however the bytes are cut, or the test fails.
fn end(method: &str, text: &str) -> End {
    let bytes = text.replace('\n', "\r\n").into_bytes();
    let whole = fed(method, &bytes, bytes.len());
    for size in 1..bytes.len() {
        assert_eq!(fed(method, &bytes, size), whole, "{text} in pieces of {size}");
        assert_eq!(skipped(method, &bytes, size), whole, "{text}, skipping {size}");
    }
    whole
}

const KEPT: End = Ok((Some(StatusClass::Successful), true, 0));
const CLOSED: End = Ok((Some(StatusClass::Successful), false, 0));

#[test]
fn the_end_of_the_content_is_found() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", KEPT),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", KEPT),
        ("HTTP/1.1 200\nContent-Length: 0\n\n", KEPT),
        ("HTTP/1.1 200 OK\ncontent-length : 5, 5\nContent-Length: 5\n\nhello", KEPT),
        ("HTTP/1.1 200 OK\nX-Folded: a\n b\nContent-Length: 0\n\n", KEPT),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n", KEPT),
        (
            "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n5;x=\"y\"\nhello\nA\n0123456789\n0\n\n",
            KEPT,
        ),
        (
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n1\nx\n00\nDigest: x\nX: y\n\n",
            KEPT,
        ),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: gzip\nTransfer-Encoding: chunked\n\n0\n\n", KEPT),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked, gzip\n\nwhatever", CLOSED),
        ("HTTP/1.1 200 OK\n\nuntil the end", CLOSED),
        ("HTTP/1.1 200 OK\n\n", CLOSED),
        ("HTTP/1.0 200 OK\n\nuntil the end", CLOSED),
    ] {
        assert_eq!(end("GET", answer), expected, "{answer}");
    }
}

#[test]
fn answers_without_content_end_with_their_head() {
    let classified = |class| Ok((Some(class), true, 0));
    for (method, answer, expected) in [
        ("HEAD", "HTTP/1.1 200 OK\nContent-Length: 5\n\n", KEPT),
        ("HEAD", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", KEPT),
        ("HEAD", "HTTP/1.1 200 OK\n\n", KEPT),
        ("GET", "HTTP/1.1 204 No Content\n\n", KEPT),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n",
            classified(StatusClass::Redirection),
        ),
    ] {
        assert_eq!(end(method, answer), expected, "{method} {answer}");
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let answer = "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: x\n\n\
                  HTTP/1.1 404 Not Found\nContent-Length: 1\n\nx";
    assert_eq!(end("GET", answer), Ok((Some(StatusClass::ClientError), true, 0)));
    let endless = "HTTP/1.1 100 Continue\n\n".repeat(17);
    assert_eq!(end("GET", &endless), Err("more than 16 interim answers"));
    let switch = "HTTP/1.1 101 Switching Protocols\n\n";
    assert_eq!(end("GET", switch), Err("a switch of protocols that was not asked for"));
}

#[test]
fn the_connection_is_kept_only_where_both_sides_know_it() {
    for (head, kept) in [
        ("HTTP/1.1 200 OK\nContent-Length: 0", true),
        ("HTTP/1.1 200 OK\nContent-Length: 0\nConnection: x, Close", false),
        ("HTTP/1.0 200 OK\nContent-Length: 0", false),
        ("HTTP/1.0 200 OK\nContent-Length: 0\nConnection: Keep-Alive", true),
        ("HTTP/1.0 200 OK\nContent-Length: 0\nConnection: keep-alive, close", false),
        ("HTTP/1.1 204 No Content\nContent-Length: 3\nTransfer-Encoding: chunked", false),
    ] {
        assert_eq!(end("GET", &format!("{head}\n\n")).unwrap().1, kept, "{head}");
    }
    let both = "HTTP/1.1 200 OK\nContent-Length: 1\nTransfer-Encoding: chunked\n\n2\nab\n0\n\n";
    assert_eq!(end("GET", both), CLOSED, "the coding overrules the length, but is no good sign");
    let old = "HTTP/1.0 200 OK\nConnection: keep-alive\nTransfer-Encoding: chunked\n\n0\n\n";
    assert_eq!(end("GET", old), CLOSED, "HTTP/1.0 knows no codings");
}

#[test]
fn what_follows_the_answer_is_not_its_own() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(fed("GET", answer, answer.len()), Ok((Some(StatusClass::Successful), true, 19)));
}

#[test]
fn malformed_answers_are_told() {
    let head = "HTTP/1.1 200 OK\n";
    for (answer, expected) in [
        ("SSH-2.0-OpenSSH_9.2\n", "not a status line of HTTP/1.1"),
        ("\u{15}\u{3}\u{1}", "not a status line of HTTP/1.1"),
        ("HTTP/2.0 200 OK\n\n", "not a status line of HTTP/1.1"),
        ("HTTP/1.1 20 OK\n\n", "not a status line of HTTP/1.1"),
        ("HTTP/1.1 600 Odd\n\n", "a status code beyond 599"),
        ("HTTP/1.1 000 Odd\n\n", "a status code beyond 599"),
        (&format!("{head}no field\n\n"), "not a field line"),
        (&format!("{head}Content-Length: 1\nContent-Length: 2\n\n"), "a faulty Content-Length"),
        (&format!("{head}Content-Length: 1, 2\n\n"), "a faulty Content-Length"),
        (&format!("{head}Content-Length: +1\n\n"), "a faulty Content-Length"),
        (&format!("{head}Content-Length:\n\n"), "a faulty Content-Length"),
        (&format!("{head}Content-Length: 99999999999999999999\n\n"), "a faulty Content-Length"),
        (&format!("{head}Transfer-Encoding: chunked\n\n\n"), "a faulty chunk size"),
        (&format!("{head}Transfer-Encoding: chunked\n\nx\n"), "a faulty chunk size"),
        (&format!("{head}Transfer-Encoding: chunked\n\n-1\n"), "a faulty chunk size"),
        (
            &format!("{head}Transfer-Encoding: chunked\n\n10000000000000000\n"),
            "a faulty chunk size",
        ),
        (&format!("{head}Transfer-Encoding: chunked\n\n1\nxy\n"), "a chunk longer than its size"),
        (&format!("{head}{}\n", "X: y\n".repeat(129)), "more than 128 fields"),
    ] {
        assert_eq!(end("GET", answer), Err(expected), "{answer}");
    }
    let fed = |bytes: Vec<u8>| fed("GET", &bytes, 4096);
    let huge = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; HEAD_LIMIT]].concat();
    assert_eq!(fed(huge), Err("a head of more than 64 KiB"));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;".to_vec();
    let endless = [chunked, vec![b'x'; LINE_LIMIT]].concat();
    assert_eq!(fed(endless), Err("an endless line in chunked content"));
}

#[test]
fn answers_that_are_cut_short_are_not_complete() {
    for whole in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    ] {
        for cut in 1..whole.len() {
            let bytes = &whole.as_bytes()[..cut];
            assert_eq!(fed("GET", bytes, cut), Err("cut short"), "{cut} bytes of {whole}");
        }
    }
}

#[test]
fn no_more_than_the_limit_is_read() {
    let content = vec![b'x'; 2 * DISCARD_LIMIT as usize];
    for head in ["Content-Length: 9999999999", "X: until the end"] {
        let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").into_bytes();
        let mut answer = Answer::to(b"GET");
        assert_eq!(answer.feed(&head), Ok(head.len()));
        for piece in content.chunks(1000).take(DISCARD_LIMIT as usize / 1000) {
            assert_eq!(answer.feed(piece), Ok(1000));
            assert!(!answer.is_complete());
            if answer.is_beyond_allowed() {
                answer.allow();
            }
        }
        assert_eq!(answer.ahead(), DISCARD_LIMIT as usize % 1000 + 1);
        assert_eq!(answer.feed(&content[..1000]), Ok(1000));
        assert!(answer.is_complete() && !answer.is_persistent());
    }
}

#[test]
fn what_is_not_allowed_is_done_without_and_so_is_the_connection() {
    for (length, beyond) in [(PORTION, false), (PORTION + 1, true)] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let mut answer = Answer::to(b"GET");
        answer.feed(head.as_bytes()).unwrap();
        assert_eq!(answer.ahead() as u64, length);
        answer.skip(PORTION);
        assert!(!answer.is_beyond_allowed());
        assert_eq!(answer.is_complete(), !beyond);
        if beyond {
            answer.cut();
            assert!(answer.is_complete() && !answer.is_persistent());
        }
        assert_eq!(answer.class(), Some(StatusClass::Successful));
    }
    let mut endless = Answer::to(b"GET");
    endless.feed(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    endless.skip(PORTION + 1);
    assert!(endless.is_beyond_allowed());
    endless.allow();
    assert_eq!((endless.is_beyond_allowed(), endless.ahead() as u64), (false, PORTION));
}

#[test]
fn a_head_ends_with_an_empty_line_wherever_it_is_cut() {
    let fields = "X-Filler: 0123456789\r\n".repeat(100);
    for end in ["\r\n", "\n"] {
        let head = format!("\r\nHTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n{fields}{end}ok");
        for bytes in [head.clone(), head.replace(&fields, &fields.replace("0", &"0".repeat(100)))] {
            let bytes = bytes.as_bytes();
            assert_eq!(fed("GET", bytes, bytes.len()), Err("more than 128 fields"));
        }
        let head = head.replace(&fields, &format!("X: {}\r\n", "0123456789".repeat(1000)));
        for size in [1, 7, 1000, 5000, head.len()] {
            assert_eq!(fed("GET", head.as_bytes(), size), KEPT, "in pieces of {size}");
        }
    }
}

#[test]
fn no_bytes_make_it_panic_or_stand_still() {
    let seeds: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\nff\r\nx\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 304 Not Modified\r\nX: \r\n y\r\n\r\n",
        b"\r\n\nHTTP/1.1 500 \r\n\r\nuntil the end",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize % below
    };
    for _ in 0..50_000 {
        let mut bytes = seeds[random(seeds.len())].to_vec();
        for _ in 0..random(6) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b"\r\n0;: fF\x00"[random(9)]),
            }
        }
        let size = 1 + random(bytes.len());
        let method = ["GET", "HEAD"][random(2)];
        assert_eq!(fed(method, &bytes, size).is_ok(), fed(method, &bytes, 1).is_ok());
    }
}

/// What is kept of an answer that comes in pieces of this size.
fn kept(answer: &[u8], piece: usize, budget: &'static Budget) -> (Answer, Kept) {
    let keeping = Keeping::new(budget, Some(1 << 20));
    let mut reading = Answer::to(b"GET").keeping(Some(Box::new(keeping)));
    for part in answer.chunks(piece) {
        assert_eq!(reading.ahead(), 0, "what is kept must be read");
        reading.feed(part).unwrap();
    }
    let kept = reading.take_kept().unwrap();
    (reading, kept.finish(Duration::ZERO))
}

#[test]
fn an_answer_is_kept_without_its_framing_whatever_pieces_it_comes_in() {
    const CHUNKED: &[u8] = b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 201 Made\r\nX: y \r\n\
        Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\nTrailer: z\r\n\r\n";
    static BUDGET: Budget = Budget::new(1 << 20);
    for piece in 1..=CHUNKED.len() {
        let (reading, kept) = kept(CHUNKED, piece, &BUDGET);
        assert!(reading.is_complete());
        let fields = kept.fields();
        let body = kept.body();
        assert_eq!(kept.answer(&fields, &body).body, Body::Whole(b"hello world"), "{piece}");
        assert_eq!(kept.status, 201);
        assert_eq!(fields, [(&b"X"[..], &b"y"[..]), (b"Transfer-Encoding", b"chunked")]);
    }
    assert_eq!(BUDGET.used(), 0);
}

#[test]
fn an_answer_begins_with_its_final_head() {
    static BUDGET: Budget = Budget::new(1 << 20);
    let asked = std::time::Instant::now();
    let begun = |answer: &[u8]| {
        let keeping = Keeping::new(&BUDGET, None);
        let mut reading = Answer::to(b"GET").keeping(Some(Box::new(keeping)));
        reading.feed(answer).unwrap();
        reading.take_kept().unwrap().took_since(asked)
    };
    assert_eq!(begun(b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n"), None);
    assert!(begun(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").is_some());
}

#[test]
fn an_answer_that_was_cut_is_not_compared() {
    static BUDGET: Budget = Budget::new(1 << 20);
    let keeping = Keeping::new(&BUDGET, Some(1 << 20));
    let mut reading = Answer::to(b"GET").keeping(Some(Box::new(keeping)));
    reading.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    reading.cut();
    let kept = reading.take_kept().unwrap().finish(Duration::ZERO);
    assert_eq!(kept.answer(&[], b"").body, Body::Truncated);
}
