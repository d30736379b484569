//! Any message under masks: twice is once, pieces change nothing, and no other reader finds a value that is masked.
#![no_main]

use std::io::Read;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use flate2::Compression;
use flate2::read::{
    DeflateDecoder, DeflateEncoder, GzEncoder, MultiGzDecoder, ZlibDecoder, ZlibEncoder,
};
use libfuzzer_sys::fuzz_target;
use mod_copy::mask::{Key, Masked, Masks, Rule};

const LIMIT: usize = 1 << 16;

#[derive(Arbitrary, Debug)]
struct Message<'a> {
    media: u8,
    coding: u8,
    action: u8,
    query: &'a [u8],
    cookie: &'a [u8],
    /// Anything, lines that are no fields included.
    field: &'a [u8],
    content: &'a [u8],
}

const MEDIA: [&str; 8] = [
    "",
    "Content-Type: application/json\r\n",
    "Content-Type: application/x-www-form-urlencoded\r\n",
    "Content-Type: multipart/form-data; boundary=b\r\n",
    "Content-Type: multipart/form-data; boundary=\"b c\"\r\n",
    "Content-Type: multipart/related; boundary=b\r\n",
    "Content-Type: application/x-ndjson\r\n",
    "Content-Type: text/plain; charset=utf-8\r\n",
];
const CODINGS: [&str; 6] = ["", "gzip", "deflate", "deflate", "gzip, deflate", "br"];

static MASKS: LazyLock<[Masks; 3]> = LazyLock::new(|| {
    ["fixed:X", "drop", "hash"].map(|action| {
        let places = ["query", "form", "json", "cookie", "header"];
        let rule = |place| Rule::parse(&[place, "pw", action]).expect("a rule");
        Masks::of(&places.map(rule).concat(), Key::of(b"key"))
    })
});

fuzz_target!(|message: Message<'_>| {
    let media = usize::from(message.media) % MEDIA.len();
    let coding = CODINGS[usize::from(message.coding) % CODINGS.len()];
    let raw = usize::from(message.coding) % CODINGS.len() == 3;
    let action = usize::from(message.action) % 3;
    let encoding =
        if coding.is_empty() { String::new() } else { format!("Content-Encoding: {coding}\r\n") };
    let visible =
        |bytes: &[u8]| bytes.iter().copied().filter(u8::is_ascii_graphic).collect::<Vec<_>>();
    let cookie: Vec<u8> = message.cookie.iter().copied().filter(|byte| *byte >= b' ').collect();
    let head = [
        b"POST /?",
        &visible(message.query)[..],
        b" HTTP/1.1\r\nCookie: ",
        &cookie,
        b"\r\nDigest: x\r\n",
        MEDIA[media].as_bytes(),
        encoding.as_bytes(),
        message.field,
        b"\r\n\r\n",
    ]
    .concat();
    let content = encode(message.content, coding, raw);

    let masks = &MASKS[action];
    let Ok(whole) = masks.apply(&[&head], [&content[..]], LIMIT) else { return };
    let heads: Vec<&[u8]> = head.chunks(5).collect();
    assert_eq!(masks.apply(&heads, content.chunks(7), LIMIT).as_ref(), Ok(&whole));
    let Masked { head: masked_head, content: changed } = whole;
    if changed.is_none() {
        assert!(
            masked_head.windows(9).any(|window| window == b"Digest: x") || message.field.len() > 9
        );
    }
    let masked = changed.as_ref().unwrap_or(&content);
    // What is left of pairs may begin as JSON does, and then is JSON, or malformed.
    let known = message.field.is_empty() && matches!(media, 1 | 3..=6);
    let steady = known || !message.content.iter().any(|byte| matches!(byte, b'{' | b'['));
    if action < 2 && steady {
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let again = masks.apply(&[&masked_head], [&masked[..]], LIMIT);
        let again = again.expect("it was masked before");
        let same = again.content.as_ref().is_none_or(|again| again == masked);
        assert!(same, "twice is once: {}", shown(message.content));
        assert_eq!(shown(&again.head), shown(&masked_head));
    }

    let sent = masked_head.split(|byte| *byte == b' ').nth(1).expect("a request target");
    let query = sent.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
    pairs(query, action);
    // A field that the fuzzer has made up may say otherwise what content is.
    if !message.field.is_empty() || message.content.is_empty() {
        return;
    }
    let plain = decode(masked, coding, raw);
    match media {
        2 if !looks_like_json(&plain) => pairs(&plain, action),
        3 => parts(&plain, "b", action),
        4 => parts(&plain, "b c", action),
        _ => {}
    }
});

fn looks_like_json(content: &[u8]) -> bool {
    let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
    matches!(content.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Whether a value is what the masks leave.
fn is_masked(value: &[u8], action: usize) -> bool {
    match action {
        0 => value == b"X",
        1 => false,
        _ => value.len() == 32 && value.iter().all(u8::is_ascii_hexdigit),
    }
}

/// As the URL standard reads a query or a form.
fn pairs(text: &[u8], action: usize) {
    for (name, value) in form_urlencoded::parse(text) {
        if name.eq_ignore_ascii_case("pw") && !value.is_empty() {
            // Other pairs may follow, for those to whom `;` or a line's end separates them.
            let value = value.split([';', '\r', '\n']).next().unwrap_or_default();
            assert!(is_masked(value.as_bytes(), action), "{}", text.escape_ascii());
        }
    }
}

/// As multer reads a form.
fn parts(content: &[u8], boundary: &str, action: usize) {
    let stream = futures_util::stream::once(async { Ok::<_, std::io::Error>(content.to_vec()) });
    let mut form = multer::Multipart::new(stream, boundary);
    futures_executor::block_on(async {
        while let Ok(Some(field)) = form.next_field().await {
            let named = field.name() == Some("pw");
            let Ok(value) = field.bytes().await else { return };
            assert!(!named || is_masked(&value, action), "{}", content.escape_ascii());
        }
    });
}

fn read(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("what was encoded is decoded");
    bytes
}

/// As coded content; now and then as it is, which is then none.
fn encode(content: &[u8], coding: &str, raw: bool) -> Vec<u8> {
    if content.first() == Some(&0xff) {
        return content.to_vec();
    }
    let fast = Compression::fast();
    match coding {
        "gzip" => read(GzEncoder::new(content, fast)),
        "deflate" if raw => read(DeflateEncoder::new(content, fast)),
        "deflate" => read(ZlibEncoder::new(content, fast)),
        "gzip, deflate" => read(ZlibEncoder::new(&read(GzEncoder::new(content, fast))[..], fast)),
        _ => content.to_vec(),
    }
}

fn decode(content: &[u8], coding: &str, raw: bool) -> Vec<u8> {
    match coding {
        "gzip" => read(MultiGzDecoder::new(content)),
        "deflate" if raw && !content.starts_with(&[0x78]) => read(DeflateDecoder::new(content)),
        "deflate" => read(ZlibDecoder::new(content)),
        "gzip, deflate" => read(MultiGzDecoder::new(&read(ZlibDecoder::new(content))[..])),
        _ => content.to_vec(),
    }
}
