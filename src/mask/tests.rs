//! Whole messages, as staging is to see them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const KEY: &[u8] = b"a key that nobody sees";
const LIMIT: usize = 1 << 20;

fn masks(lines: &[&str]) -> Masks {
    let parse = |line: &&str| Rule::parse(&line.split(' ').collect::<Vec<_>>()).unwrap();
    Masks::of(&lines.iter().flat_map(parse).collect::<Vec<_>>(), Key::of(KEY))
}

/// Head and content with lines that end in `\n` here.
fn apply(
    lines: &[&str],
    head: &str,
    content: &[u8],
) -> Result<(String, Option<Vec<u8>>), Unmaskable> {
    let head = format!("{head}\n\n").replace('\n', "\r\n");
    let Masked { head, content } = masks(lines).apply(&[head.as_bytes()], [content], LIMIT)?;
    let head = String::from_utf8(head).unwrap().replace("\r\n", "\n");
    Ok((head.strip_suffix("\n\n").unwrap().to_owned(), content))
}

fn head(lines: &[&str], head: &str) -> String {
    apply(lines, head, b"").unwrap().0
}

/// Masks content of this type; gives it as it was where nothing was found.
fn content(lines: &[&str], fields: &str, content: &str) -> Result<String, Unmaskable> {
    let head = format!("POST / HTTP/1.1\nHost: a{fields}");
    let masked = apply(lines, &head, content.as_bytes())?.1;
    Ok(masked.map_or(content.to_owned(), |masked| String::from_utf8(masked).unwrap()))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_query_is_masked_and_the_path_stays() {
    for (target, expected) in [
        ("/token=1/x?token=2&a=?token=3", "/token=1/x?token=***&a=?token=3"),
        ("http://www/x?token=1", "http://www/x?token=***"),
        ("/x?", "/x?"),
        ("*", "*"),
    ] {
        let line = |target| format!("GET {target} HTTP/1.1\nX: /?token=1");
        assert_eq!(head(&["query token"], &line(target)), line(expected));
    }
    assert_eq!(head(&["query token drop"], "GET /x?token=1 HTTP/1.1"), "GET /x HTTP/1.1");
    assert_eq!(head(&["query token drop"], "GET /x?token=1&a HTTP/1.1"), "GET /x?a HTTP/1.1");
}

#[test]
fn the_referers_query_is_masked_too() {
    let fields =
        |token| format!("GET / HTTP/1.1\nreferer:  http://www/reset?token={token}&a=1 \nA: b");
    assert_eq!(head(&["query token"], &fields("1")), fields("***"));
    assert_eq!(head(&["form token"], &fields("1")), fields("1"));
}

#[test]
fn a_field_is_dropped_replaced_or_hashed_whatever_its_case() {
    let line = "GET / HTTP/1.1\n";
    let fields =
        format!("{line}AUTHORIZATION: Basic x\nA: 1\nX-User:  me \nauthorization:y\nX-User:");
    assert_eq!(
        head(&["header Authorization drop", "header x-user"], &fields),
        format!("{line}A: 1\nX-User:  *** \nX-User:***")
    );
    let hash = String::from_utf8(Key::of(KEY).hash(b"me").to_vec()).unwrap();
    assert_eq!(
        head(&["header x-user hash"], &format!("{line}X-User: me")),
        format!("{line}X-User: {hash}")
    );
}

#[test]
fn cookies_are_masked_in_every_field() {
    let fields = "GET / HTTP/1.1\nCookie: a=1; sid=2\nX: sid=1\ncookie: sid=3";
    let replaced = "GET / HTTP/1.1\nCookie: a=1; sid=***\nX: sid=1\ncookie: sid=***";
    assert_eq!(head(&["cookie sid"], fields), replaced);
    assert_eq!(head(&["cookie sid drop"], fields), "GET / HTTP/1.1\nCookie: a=1\nX: sid=1");
}

#[test]
fn content_is_masked_as_what_it_is() {
    let lines = ["json pw", "form pw"];
    let (json, json_masked) = ("{\"pw\":1}", "{\"pw\":\"***\"}");
    let (form, form_masked) = ("a=1&pw=2", "a=1&pw=***");
    let json_types =
        ["application/json", "application/problem+json", "text/json", "application/csp-report"];
    for content_type in json_types {
        let field = format!("\nContent-Type: {content_type}");
        assert_eq!(content(&lines, &field, json).unwrap(), json_masked, "{content_type}");
        assert_eq!(content(&lines, &field, form), Err(Unmaskable::Json), "{content_type}");
    }
    let text_types =
        ["application/x-www-form-urlencoded", "text/plain", "application/octet-stream", "x"];
    for field in
        text_types.map(|name| format!("\nContent-Type: {name}")).iter().chain([&String::new()])
    {
        assert_eq!(content(&lines, field, json).unwrap(), json_masked, "{field}");
        assert_eq!(content(&lines, field, form).unwrap(), form_masked, "{field}");
        assert_eq!(content(&lines, field, "[cut"), Err(Unmaskable::Json), "{field}");
        assert_eq!(content(&lines[1..], field, "[cut&pw=1").unwrap(), "[cut&pw=***", "{field}");
    }
    let file = format!("[cut\0{}", "x".repeat(100));
    assert_eq!(content(&lines, "\nContent-Type: application/octet-stream", &file).unwrap(), file);
    for field in ["\nContent-Type: image/png", "\nContent-Type: application/xml"] {
        assert_eq!(content(&lines, field, json).unwrap(), json, "{field}");
    }
    let lines_of_json = "\nContent-Type: application/x-ndjson";
    assert_eq!(
        content(&lines, lines_of_json, &[json, json].join("\n")).unwrap(),
        [json_masked; 2].join("\n")
    );
    let multipart = "\nContent-Type: multipart/form-data; boundary=b";
    let part =
        |value| format!("--b\r\nContent-Disposition: form-data; name=pw\r\n\r\n{value}\r\n--b--");
    assert_eq!(content(&lines, multipart, &part("1")).unwrap(), part("***"));
}

#[test]
fn content_that_no_rule_looks_into_passes_whatever_it_is() {
    for fields in [
        "\nContent-Type: application/json",
        "\nContent-Type: application/json\nContent-Encoding: br",
        "\nContent-Type: a, b",
    ] {
        for lines in [&["query pw", "cookie pw", "header pw"][..], &[]] {
            assert_eq!(content(lines, fields, "{\"pw\":").unwrap(), "{\"pw\":", "{fields}");
        }
    }
    assert_eq!(
        content(&["form pw"], "\nContent-Type: application/json", "{\"pw\":").unwrap(),
        "{\"pw\":"
    );
    assert_eq!(
        content(&["json pw"], "\nContent-Type: image/png\nContent-Encoding: br", "x").unwrap(),
        "x"
    );
    assert_eq!(content(&["json pw"], "\nContent-Type: application/json", "").unwrap(), "");
}

#[test]
fn content_in_several_types_or_an_unknown_coding_is_unmaskable() {
    let lines = ["json pw"];
    for (fields, why) in [
        ("\nContent-Type: image/png\nContent-Type: application/json", Unmaskable::ContentType),
        ("\nContent-Type: image/png, application/json", Unmaskable::ContentType),
        ("\nContent-Encoding: br", Unmaskable::Coding),
        ("\nContent-Encoding: gzip\nContent-Encoding: zstd", Unmaskable::Coding),
        ("\nContent-Encoding: gzip", Unmaskable::Encoded),
    ] {
        assert_eq!(content(&lines, fields, "{}"), Err(why), "{fields}");
    }
}

#[test]
fn encoded_content_is_masked_and_encoded_again() {
    let coded = gzip(&gzip(b"{\"pw\":1,\"b\":2}"));
    let head = "POST / HTTP/1.1\nContent-Type: application/json\nContent-Encoding: gzip\n\
                content-encoding: x-gzip\nContent-Length: 1";
    let (masked_head, masked) = apply(&["json pw drop"], head, &coded).unwrap();
    let masked = masked.unwrap();
    assert_eq!(masked_head, head.replace(": 1", &format!(": {}", masked.len())));
    let mut plain = Vec::new();
    let outer = flate2::read::GzDecoder::new(&masked[..]);
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(outer), &mut plain).unwrap();
    assert_eq!(plain, b"{\"b\":2}");
    let (same_head, same) = apply(&["json x"], head, &coded).unwrap();
    assert_eq!((same_head.as_str(), same), (head, None), "nothing was found: it stays as it was");
}

#[test]
fn content_that_grows_without_end_is_unmaskable() {
    let bomb = gzip(&gzip(&vec![b' '; LIMIT + 1]));
    let head = "POST / HTTP/1.1\nContent-Type: application/json\nContent-Encoding: gzip, gzip";
    assert_eq!(apply(&["json pw"], head, &bomb), Err(Unmaskable::TooLarge));
}

#[test]
fn a_changed_content_changes_its_length_and_takes_its_digests_away() {
    let fields = "POST / HTTP/1.1\nContent-Length:  8 \ncontent-md5: x\nDigest: x\nContent-Digest: x\n\
                  Repr-Digest: x\nSignature: x\nSignature-Input: x\nX-Signature: x";
    let (masked, content) = apply(&["json pw"], fields, b"{\"pw\":1}").unwrap();
    assert_eq!(masked, "POST / HTTP/1.1\nContent-Length:  12 \nX-Signature: x");
    assert_eq!(content.unwrap(), b"{\"pw\":\"***\"}");
    assert_eq!(apply(&["json b"], fields, b"{\"pw\":1}").unwrap(), (fields.to_owned(), None));
    let (masked, _) = apply(&["form a"], "POST / HTTP/1.1\nA: b", b"a=1").unwrap();
    assert_eq!(masked, "POST / HTTP/1.1\nA: b\nContent-Length: 5");
}

#[test]
fn a_message_may_come_in_pieces() {
    let masks = masks(&["json pw", "query pw"]);
    let (head, content) = (b"POST /?pw=1 HTTP/1.1\r\nContent-Length: 8\r\n\r\n", b"{\"pw\":1}");
    let whole = masks.apply(&[head], [&content[..]], LIMIT).unwrap();
    let head: Vec<&[u8]> = head.chunks(3).collect();
    assert_eq!(masks.apply(&head, content.chunks(1), LIMIT).unwrap(), whole);
}

#[test]
fn a_head_that_is_none_is_unmaskable() {
    for head in [
        "GET /",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nx\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\nmore",
    ] {
        let masked = masks(&["query a"]).apply(&[head.as_bytes()], [], LIMIT);
        assert_eq!(masked, Err(Unmaskable::Head), "{head}");
    }
}

#[test]
fn the_same_value_has_the_same_hash_wherever_it_is() {
    let lines = ["query v hash", "form v hash", "json v hash", "cookie v hash", "header V hash"];
    let hash = String::from_utf8(Key::of(KEY).hash(b"a b").to_vec()).unwrap();
    assert_eq!(head(&lines, "GET /?v=a+b HTTP/1.1"), format!("GET /?v={hash} HTTP/1.1"));
    assert_eq!(head(&lines, "GET / HTTP/1.1\nV: a b"), format!("GET / HTTP/1.1\nV: {hash}"));
    assert_eq!(
        head(&lines, "GET / HTTP/1.1\nCookie: v=a%20b"),
        format!("GET / HTTP/1.1\nCookie: v={hash}")
    );
    assert_eq!(content(&lines, "", "v=a%20b").unwrap(), format!("v={hash}"));
    assert_eq!(
        content(&lines, "", r#"{"v":"a\u0020b"}"#).unwrap(),
        format!("{{\"v\":\"{hash}\"}}")
    );
}

#[test]
fn standard_takes_credentials_away() {
    let (masked, content) = apply(
        &["standard"],
        "POST /?Access_Token=1&page=2 HTTP/1.1\nHost: a\nauthorization: Bearer x\nCookie: sid=1\n\
         Proxy-Authorization: y\nX-API-Key: z\nAccept: */*\nContent-Type: application/json\nContent-Length: 0",
        br#"{"user":{"name":"n","newPassword":"p","tokens":3}}"#,
    )
    .unwrap();
    let content = String::from_utf8(content.unwrap()).unwrap();
    assert_eq!(content, r#"{"user":{"name":"n","newPassword":"***","tokens":3}}"#);
    assert_eq!(
        masked,
        format!(
            "POST /?Access_Token=***&page=2 HTTP/1.1\nHost: a\nAccept: */*\n\
             Content-Type: application/json\nContent-Length: {}",
            content.len()
        )
    );
}

#[test]
fn each_line_of_a_name_is_masked() {
    let fields = "GET / HTTP/1.1\nProxy-Authorization: one\nHost: a\nproxy-authorization: two";
    let mask = |action| head(&[&format!("header Proxy-Authorization {action}")], fields);
    assert_eq!(mask("drop"), "GET / HTTP/1.1\nHost: a");
    let fixed = "GET / HTTP/1.1\nProxy-Authorization: x\nHost: a\nproxy-authorization: x";
    assert_eq!(mask("fixed:x"), fixed);
    let hashed = mask("hash");
    assert!(!hashed.contains("one") && !hashed.contains("two"), "{hashed}");
    assert_eq!(hashed.lines().count(), 4);
}

#[test]
fn a_later_rule_takes_the_place_of_an_earlier() {
    let fields = "GET /?token=1 HTTP/1.1\nAuthorization: x";
    let masked = head(&["standard", "query token fixed:T", "header Authorization fixed:A"], fields);
    assert_eq!(masked, "GET /?token=T HTTP/1.1\nAuthorization: A");
    assert!(!masks(&["standard"]).is_empty() && masks(&[]).is_empty());
}

#[test]
fn nothing_masked_is_shown() {
    let masks = masks(&["json pw hash"]);
    assert!(!format!("{masks:?}").contains("nobody"));
    let head = b"POST /secret HTTP/1.1\r\n\r\n";
    let masked = masks.apply(&[head], [&b"{\"pw\":1,\"a\":\"secret\"}"[..]], LIMIT).unwrap();
    assert_eq!(format!("{masked:?}"), "Masked { head: 45 bytes, content: Some(54) bytes }");
}

proptest! {
    #[test]
    fn no_masked_value_is_left_in_any_place(
        secret in "[a-zA-Z0-9]{8,20}", noise in "[ -~é]{0,12}", quoted: bool, coded: bool, hash: bool,
    ) {
        let action = if hash { "hash" } else { "fixed" };
        let lines = ["query", "form", "json", "cookie", "header"].map(|place| format!("{place} pw {action}"));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let noise_in_json = serde_json::Value::from(noise.as_str());
        let key = if quoted { r"\u0070w" } else { "pw" };
        let json = format!("{{{noise_in_json}:[{noise_in_json},{{\"{key}\":{{\"x\":\"{secret}\"}}}}]}}");
        let sent = if coded { gzip(json.as_bytes()) } else { json.into_bytes() };
        let head = format!(
            "POST /?pw={secret}&x=1 HTTP/1.1\nReferer: /?a;pw={secret}\nCookie: a=b; pw={secret}\n\
             pw: {secret}{}", if coded { "\nContent-Encoding: gzip" } else { "" }
        );
        let (head, content) = apply(&lines, &head, &sent).unwrap();
        prop_assert!(!head.contains(&secret), "{head}");
        let mut content = content.unwrap();
        if coded {
            let mut plain = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&content[..]), &mut plain).unwrap();
            content = plain;
        }
        let content = String::from_utf8(content).unwrap();
        prop_assert!(!content.contains(&secret), "{content}");
        let read: serde_json::Value = serde_json::from_str(&content).unwrap();
        prop_assert_eq!(&read[noise.as_str()][0], &noise_in_json);
    }

    #[test]
    fn any_bytes_are_masked_or_refused(head: Vec<u8>, content: Vec<u8>, multipart: bool) {
        let lines = ["standard", "json $.a[*] drop", "cookie a hash", "form a drop", "query b hash"];
        let masks = masks(&lines);
        let _ = masks.apply(&[&head], [&content[..]], 100);
        let kind = if multipart { "multipart/form-data; boundary=b" } else { "application/json" };
        let head = format!("POST / HTTP/1.1\r\nContent-Type: {kind}\r\n\r\n");
        if let Ok(Masked { content: Some(content), .. }) = masks.apply(&[head.as_bytes()], [&content[..]], 100) {
            prop_assert!(content.len() <= 100);
        }
    }
}
