//! Any request as httpd may hand it over: its copy reads back as the same request, less what is documented.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mod_copy::capture::Capture;
use mod_copy::memory::Budget;
use mod_copy::message::{Additions, Forwarded, Head, LOOP_MARK, LoopMark, Received};
use mod_copy::outcome::{GivenUp, Loss, NotCopied};
use mod_copy::target::{Aim, PathMode, Url};

#[derive(Arbitrary, Debug)]
struct Request {
    method: Vec<u8>,
    target: Vec<u8>,
    fields: Vec<Field>,
    content: Option<u8>,
    forwarded: bool,
    preserve_host: bool,
    replace: bool,
    /// As it comes, with bytes that httpd would refuse: then only a panic is a fault.
    raw: bool,
    /// The content shares the head's buffer, where there is room.
    behind: bool,
}

#[derive(Arbitrary, Debug)]
struct Field {
    name: Name,
    value: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Name {
    Other(Vec<u8>),
    Known(u8, bool),
    Nominated,
}

const KNOWN: [&str; 19] = [
    "Host",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Expect",
    "Upgrade",
    "Proxy-Connection",
    "HTTP2-Settings",
    "Transfer-Encoding",
    "Content-Length",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Mod-Copy",
    "Cookie",
    "X-Mod-Copz",
    "Hosts",
    "T\u{65}",
];
const MARK: &str = "5ec2e7";
static AMPLE: Budget = Budget::new(1 << 30);

fuzz_target!(|request: Request| {
    let before = AMPLE.used();
    play(&request);
    assert_eq!(AMPLE.used(), before, "all memory came back");
});

fn play(request: &Request) {
    let method = if request.raw { request.method.clone() } else { token(&request.method, "GET") };
    let target = if request.raw { request.target.clone() } else { request_target(&request.target) };
    let fields: Vec<(Vec<u8>, Vec<u8>)> =
        request.fields.iter().map(|field| line(field, request.raw)).collect();
    let named = |name: &'static str| {
        fields.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
    };
    let connection =
        named("Connection").map(|(_, value)| value.as_slice()).collect::<Vec<_>>().join(&b", "[..]);
    let received_fields: Vec<mod_copy::message::Field<'_>> =
        fields.iter().map(|(name, value)| mod_copy::message::Field::new(name, value)).collect();
    let received = Received {
        method: &method,
        target: &target,
        fields: received_fields.iter().copied(),
        connection: &connection,
        has_content: request.content.is_some(),
    };
    let forwarded = request.forwarded.then_some(Forwarded { client: b"192.0.2.7", proto: "https" });
    let additions = Additions {
        mark: &LoopMark::new(MARK),
        forwarded,
        preserve_host: request.preserve_host,
        trace: None,
    };
    tight(received.method.len(), &received, &additions);
    let mut head = match Head::serialise(&received, &additions, &AMPLE) {
        Ok(head) => head,
        Err(reason) => {
            let marked = named(LOOP_MARK).any(|(_, value)| has(value, MARK));
            let upgrade = named("Upgrade")
                .any(|(_, value)| elements(value).any(|item| !item.eq_ignore_ascii_case(b"h2c")));
            let never = matches!(&method[..], b"CONNECT" | b"TRACE");
            return match reason {
                GivenUp::NotCopied(NotCopied::Loop) => assert!(marked),
                GivenUp::NotCopied(NotCopied::NotCopyable) => assert!(upgrade || never),
                other => panic!("{other:?}"),
            };
        }
    };
    let content = request.content.map(|length| {
        let mut capture = Capture::new(1 << 20, &AMPLE);
        let behind = request.behind.then(|| head.content_place()).flatten();
        capture.take(&vec![b'x'; length.into()], behind, Some(length.into()));
        capture.end();
        capture.finish(Some(length.into())).expect("ample memory")
    });
    let message = head.with_content(content);
    let content: Vec<&[u8]> = message.content_pieces().collect();
    assert_eq!(content.concat(), vec![b'x'; request.content.unwrap_or(0).into()]);
    assert_eq!(message.method(), method);
    let (url, mode) = (
        Url::parse("http://staging:8080/api").unwrap(),
        if request.replace { PathMode::Replace } else { PathMode::Append },
    );
    let aim = Aim { path: mode, ..Aim::at(url) };
    let out = &message.head_parts(&aim).concat()[..];
    let parts: Vec<&[u8]> = message.parts(&aim).collect();
    assert_eq!(parts.concat(), [out, &content.concat()].concat());
    if request.raw {
        return;
    }

    let mut headers = vec![httparse::EMPTY_HEADER; fields.len() + 8];
    let mut read = httparse::Request::new(&mut headers);
    let whole = read.parse(out).unwrap_or_else(|error| panic!("{error}: {}", out.escape_ascii()));
    assert_eq!(whole, httparse::Status::Complete(out.len()));
    assert_eq!((read.method.map(str::as_bytes), read.version), (Some(&method[..]), Some(1)));
    assert_eq!(read.path.map(str::as_bytes), Some(&staged(&target, mode)[..]));
    let got: Vec<(Vec<u8>, Vec<u8>)> = read
        .headers
        .iter()
        .map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec()))
        .collect();
    assert_eq!(show(&got), show(&expected(request, &fields, &connection)));
}

/// Under a tight budget a head is serialised or dropped, and all memory comes back.
fn tight<'a>(
    method: usize,
    received: &Received<'a, impl Iterator<Item = mod_copy::message::Field<'a>> + Clone>,
    additions: &Additions<'a>,
) {
    static TIGHT: [Budget; 3] =
        [const { Budget::new(64) }, const { Budget::new(500) }, const { Budget::new(2500) }];
    let budget = &TIGHT[method % 3];
    match Head::serialise(received, additions, budget) {
        Ok(head) => assert!(
            budget.used() > 0 && !head.with_content(None).method().is_empty() || method == 0
        ),
        Err(GivenUp::Dropped(Loss::Memory) | GivenUp::NotCopied(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
    assert_eq!(budget.used(), 0);
}

fn token(bytes: &[u8], otherwise: &str) -> Vec<u8> {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let token: Vec<u8> = bytes.iter().copied().filter(is_tchar).collect();
    if token.is_empty() { otherwise.as_bytes().to_vec() } else { token }
}

/// Origin-form, absolute-form or `*`, as httpd lets it pass.
fn request_target(bytes: &[u8]) -> Vec<u8> {
    let visible: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii_graphic).collect();
    match visible.split_first() {
        Some((b'*', _)) => b"*".to_vec(),
        Some((b'h', rest)) => [
            &b"http://www.example.com"[..],
            if matches!(rest.first(), None | Some(b'/' | b'?')) { rest } else { b"" },
        ]
        .concat(),
        _ => [b"/", &visible[..]].concat(),
    }
}

fn staged(target: &[u8], mode: PathMode) -> Vec<u8> {
    let origin = match target.strip_prefix(b"http://www.example.com") {
        Some(rest) if rest.first() == Some(&b'/') => rest.to_vec(),
        Some(rest) => [b"/", rest].concat(),
        None => target.to_vec(),
    };
    if origin == b"*" {
        return origin;
    }
    match mode {
        PathMode::Append => [b"/api", &origin[..]].concat(),
        PathMode::Replace => {
            let query = origin.iter().position(|&byte| byte == b'?').unwrap_or(origin.len());
            [b"/api", &origin[query..]].concat()
        }
    }
}

fn line(field: &Field, raw: bool) -> (Vec<u8>, Vec<u8>) {
    let name = match &field.name {
        Name::Other(name) if raw => name.clone(),
        Name::Other(name) => token(name, "X"),
        Name::Known(at, upper) => {
            let name = KNOWN[usize::from(*at) % KNOWN.len()];
            if *upper { name.to_ascii_uppercase() } else { name.to_owned() }.into_bytes()
        }
        Name::Nominated => b"X-Nominated".to_vec(),
    };
    let value = if raw {
        field.value.clone()
    } else {
        let words: Vec<u8> = field
            .value
            .iter()
            .map(|byte| if *byte < b' ' || *byte == 0x7f { b' ' } else { *byte })
            .collect();
        // A few bytes choose words that mean something.
        match (words.first(), name.to_ascii_lowercase().as_slice()) {
            (Some(b'a'), b"connection") => b"close, x-nominated".to_vec(),
            (Some(b'b'), b"connection") => b"X-Forwarded-For,x-mod-copy , cookie".to_vec(),
            (Some(b'a'), b"upgrade") => b"h2c".to_vec(),
            (Some(b'a'), b"x-mod-copy") => b"1, 5ec2e7".to_vec(),
            (Some(b'a'), b"content-length") => b"0".to_vec(),
            _ => words.trim_ascii().to_vec(),
        }
    };
    (name, value)
}

fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn has(list: &[u8], element: &str) -> bool {
    elements(list).any(|item| item.eq_ignore_ascii_case(element.as_bytes()))
}

/// The copy's fields by what the documentation says.
fn expected(
    request: &Request,
    fields: &[(Vec<u8>, Vec<u8>)],
    connection: &[u8],
) -> Vec<(Vec<u8>, Vec<u8>)> {
    const HOP_BY_HOP: [&str; 9] = [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "expect",
        "upgrade",
        "proxy-connection",
        "http2-settings",
        "transfer-encoding",
    ];
    let host = fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(b"host"))
        .map(|(_, value)| value.clone());
    let mut added: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("X-Forwarded-For", request.forwarded.then(|| b"192.0.2.7".to_vec())),
        ("X-Forwarded-Host", host.clone().filter(|_| request.forwarded)),
        ("X-Forwarded-Proto", request.forwarded.then(|| b"https".to_vec())),
        (LOOP_MARK, Some(MARK.as_bytes().to_vec())),
    ];
    let mut out = Vec::new();
    let (mut hosts, mut lengths) = (0, 0);
    for (name, value) in fields {
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        let own = matches!(lower.as_str(), "host" | "content-length" | "x-mod-copy");
        if HOP_BY_HOP.contains(&lower.as_str()) || (!own && has(connection, &lower)) {
            continue;
        }
        if lower == "host" {
            hosts += 1;
            if hosts > 1 {
                continue;
            }
            let seen = if request.preserve_host { value.clone() } else { b"staging:8080".to_vec() };
            out.push((name.clone(), seen));
            continue;
        }
        if lower == "content-length" {
            if request.content.is_none() && value != b"0" {
                continue;
            }
            lengths += 1;
        }
        let more = added
            .iter_mut()
            .find(|(other, _)| other.eq_ignore_ascii_case(&lower))
            .and_then(|(_, more)| more.take());
        let value = match more {
            Some(more) if value.is_empty() => more,
            Some(more) => [&value[..], b", ", &more].concat().trim_ascii_end().to_vec(),
            None => value.clone(),
        };
        out.push((name.clone(), value));
    }
    if hosts == 0 {
        out.insert(0, (b"Host".to_vec(), b"staging:8080".to_vec()));
    }
    for (name, value) in added {
        out.extend(value.map(|value| (name.as_bytes().to_vec(), value.trim_ascii().to_vec())));
    }
    if let Some(length) = request.content.filter(|_| lengths == 0) {
        out.push((b"Content-Length".to_vec(), length.to_string().into_bytes()));
    }
    out
}

fn show(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
    fields
        .iter()
        .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
        .collect()
}
