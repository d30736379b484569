//! Multipart content, part by part.

use super::*;
use crate::mask::{Key, Rule};

fn masks(lines: &[&str]) -> Masks {
    let parse = |line: &&str| Rule::parse(&line.split(' ').collect::<Vec<_>>()).unwrap();
    Masks::of(&lines.iter().flat_map(parse).collect::<Vec<_>>(), Key::of(b"key"))
}

/// Lines end in `\n` here; the boundary is `b`.
fn run(lines: &[&str], content: &str) -> Result<String, Unmaskable> {
    let content = content.replace('\n', "\r\n");
    let out = mask(content.as_bytes(), b"b", true, &masks(lines), 10_000)?;
    let out = out.map_or(content, |out| String::from_utf8(out).unwrap());
    Ok(out.replace("\r\n", "\n"))
}

/// A form of these parts, each a name and its content.
fn form(parts: &[(&str, &str)]) -> String {
    let part = |(name, content): &(&str, &str)| {
        format!("--b\nContent-Disposition: form-data; name={name}\n\n{content}\n")
    };
    parts.iter().map(part).collect::<String>() + "--b--\n"
}

#[test]
fn parts_are_replaced_by_name_and_the_rest_stays() {
    let parts = |pw| [("\"a\"", "1\n\n--c\n-- b\nx--b"), ("\"pw\"", pw), ("pw", ""), ("\"z\"", "")];
    let mut expected = parts("***");
    expected[2].1 = "***";
    assert_eq!(run(&["form pw"], &form(&parts("x\ny--b-"))).unwrap(), form(&expected));
    assert_eq!(run(&["form none"], &form(&parts("x"))).unwrap(), form(&parts("x")));
    assert_eq!(run(&["form pw"], "--b--").unwrap(), "--b--");
}

#[test]
fn a_name_is_found_however_it_is_written() {
    for name in [
        "\"pw\"",
        "pw",
        "\"PW\"",
        "\"user[pw]\"",
        "\"p%77\"",
        r#""p\w""#,
        "x; filename=\"a;b\"; NAME = \"pw\"",
        r#""C:\"; name="pw""#,
        "\"x\"; name*=utf-8''%70w",
        "\"pw\"; filename=\"secret.txt\"\nContent-Type: text/plain",
    ] {
        let expected = form(&[(name, "***")]);
        assert_eq!(run(&["form pw"], &form(&[(name, "x")])).unwrap(), expected, "{name}");
    }
    for name in ["\"pwd\"", "\"x\"; filename=\"pw\"", "\"x; name=pw\"", "x\nX-Name: pw"] {
        let form = form(&[(name, "x")]);
        assert_eq!(run(&["form pw"], &form).unwrap(), form, "{name}");
    }
}

#[test]
fn a_dropped_part_takes_its_delimiter_with_it() {
    let (a, d) = (("a", "1"), ("d", "2"));
    for (parts, left) in [
        (vec![d], vec![]),
        (vec![d, d], vec![]),
        (vec![d, a], vec![a]),
        (vec![a, d, a, d, d], vec![a, a]),
    ] {
        let preamble = |parts: &[_]| format!("preamble\n{}epilogue", form(parts));
        assert_eq!(run(&["form d drop"], &form(&parts)).unwrap(), form(&left));
        assert_eq!(run(&["form d drop"], &preamble(&parts)).unwrap(), preamble(&left));
    }
}

#[test]
fn a_part_that_says_it_is_json_is_masked_as_json() {
    let part = |text| form(&[("meta\nContent-Type: application/json", text)]);
    let lines = ["json pw"];
    assert_eq!(run(&lines, &part("{\"pw\":1}")).unwrap(), part("{\"pw\":\"***\"}"));
    assert_eq!(run(&lines, &part("{\"pw\":1")), Err(Unmaskable::Json));
    assert_eq!(run(&["form x"], &part("{\"pw\":1")).unwrap(), part("{\"pw\":1"));
    assert_eq!(run(&["form meta", "json pw"], &part("{\"pw\":1")).unwrap(), part("***"));
    let content = "--b\r\nContent-Type: application/json\r\n\r\n{\"pw\":1}\r\n--b--";
    let related = mask(content.as_bytes(), b"b", false, &masks(&lines), 1000).unwrap().unwrap();
    assert_eq!(String::from_utf8(related).unwrap(), content.replace('1', "\"***\""));
}

#[test]
fn a_hash_is_of_the_content_as_it_is() {
    let hash = String::from_utf8(Key::of(b"key").hash(b"x y").to_vec()).unwrap();
    assert_eq!(run(&["form a hash"], &form(&[("a", "x y")])).unwrap(), form(&[("a", &hash)]));
    let encoded = form(&[("a\nContent-Transfer-Encoding: base64", "eCB5")]);
    assert_eq!(run(&["form a hash"], &encoded), Err(Unmaskable::Multipart));
    let plain = form(&[("a\nContent-Transfer-Encoding: Binary", "eCB5")]);
    assert!(run(&["form a hash"], &plain).is_ok());
}

#[test]
fn what_is_malformed_or_read_in_several_ways_is_unmaskable() {
    let head = "Content-Disposition: form-data; name=a\n\n";
    for content in [
        "".to_owned(),
        "no parts".to_owned(),
        format!("--b\n{head}cut short"),
        format!("--b\n{head}cut short\n--b"),
        format!("--b\n{head}1\n--b\n"),
        format!("--b\n{head}1\n--b-\n"),
        format!("--b\n{head}1\n--b--more\n"),
        format!("--b\n{head}1\n--bb\n{head}\n2\n--b--\n"),
        format!("--b\n{head}1\n--b--\n{head}2\n--b--\n"),
        format!("--b\n{head}--b--\n"),
        "--b\n\nno name\n--b--\n".to_owned(),
        "--b\nContent-Disposition: form-data; name=a\n--b--\n".to_owned(),
        "--b\nContent-Disposition: form-data;\n name=a\n\n1\n--b--\n".to_owned(),
        format!("--b\nno field\n{head}1\n--b--\n"),
        "--b\n--b--".to_owned(),
        format!("--b\nX: y\rX: y\n{head}1\n--b--\n"),
        format!("--b\nX: y\u{0}\n{head}1\n--b--\n"),
        format!("--b\n{head}1\r--b\n{head}2\n--b--\n"),
    ] {
        assert_eq!(run(&["form x"], &content), Err(Unmaskable::Multipart), "{content}");
    }
    let bare = format!("--b\n{head}1\n--b--\n");
    let bare = mask(bare.as_bytes(), b"b", true, &masks(&["form x"]), 1000);
    assert_eq!(bare, Err(Unmaskable::Multipart), "a line ends in CR LF");
    let text = run(&["form a fixed:--b--"], &form(&[("a", "1")]));
    assert_eq!(text, Err(Unmaskable::Multipart), "a text that would be a delimiter");
    let types = form(&[("a\nContent-Type: a/b\nContent-Type: application/json", "1")]);
    assert_eq!(run(&["json x"], &types), Err(Unmaskable::Multipart));
}
