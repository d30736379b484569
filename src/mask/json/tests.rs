//! JSON masked, beside serde_json's reading of the same.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::*;
use crate::mask::Rule;

const KEY: &[u8] = b"key";

fn rules(line: &str) -> Rules {
    let separator = if line.contains('|') { '|' } else { ' ' };
    let words: Vec<&str> = line.split(separator).collect();
    Rules::of(&Rule::parse(&words).unwrap())
}

fn run(line: &str, text: &[u8], values: Values) -> Result<Vec<u8>, Unmaskable> {
    let masked = mask(text, &rules(line), &Key::of(KEY), values, 1 << 20)?;
    Ok(masked.unwrap_or_else(|| text.to_vec()))
}

fn masked(line: &str, text: &str) -> String {
    String::from_utf8(run(line, text.as_bytes(), Values::One).unwrap()).unwrap()
}

/// Whether serde_json takes it for JSON, numbers beyond its range and lone surrogates included.
fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

#[test]
fn a_key_is_masked_at_any_depth_and_all_else_stays() {
    for (text, expected) in [
        (r#"{"pw":"x"}"#, r#"{"pw":"***"}"#),
        (r#" { "pw" : 1.50e+2 , "b" : 0.10 } "#, r#" { "pw" : "***" , "b" : 0.10 } "#),
        (r#"[[{"a":{"pw":null}}],{"pw":true}]"#, r#"[[{"a":{"pw":"***"}}],{"pw":"***"}]"#),
        (r#"{"pw":{"pw":[1,{"x":"]}"}]},"z":1}"#, r#"{"pw":"***","z":1}"#),
        (r#"{"pw":1,"PW":2,"pw":3}"#, r#"{"pw":"***","PW":"***","pw":"***"}"#),
        (r#"{"\u0070w":"x","p\u0077":[]}"#, r#"{"\u0070w":"***","p\u0077":"***"}"#),
        (r#"{"a":"pw","b":"\"pw\":1","pwd":2}"#, r#"{"a":"pw","b":"\"pw\":1","pwd":2}"#),
        (r#"{"pw":""}"#, r#"{"pw":"***"}"#),
        (r#""pw""#, r#""pw""#),
    ] {
        assert_eq!(masked("json pw", text), expected, "{text}");
    }
    assert_eq!(masked("json pw fixed:a\"b", r#"{"pw":1}"#), r#"{"pw":"a\"b"}"#);
    assert_eq!(
        masked("json schön", r#"{"sch\u00f6n":1,"schön":2}"#),
        r#"{"sch\u00f6n":"***","schön":"***"}"#
    );
}

#[test]
fn a_path_finds_what_lies_on_it() {
    for (path, text, expected) in [
        (
            "$.user.email",
            r#"{"user":{"email":1,"x":{"email":2}},"email":3}"#,
            r#"{"user":{"email":"***","x":{"email":2}},"email":3}"#,
        ),
        (
            "$.items[*].card",
            r#"{"items":[{"card":1},{"b":2},{"card":3}]}"#,
            r#"{"items":[{"card":"***"},{"b":2},{"card":"***"}]}"#,
        ),
        (
            "$.list[1].x",
            r#"{"list":[{"x":1},{"x":2},{"x":3}]}"#,
            r#"{"list":[{"x":1},{"x":"***"},{"x":3}]}"#,
        ),
        (
            "$['odd key']",
            r#"{"odd key":1,"x":{"odd key":2}}"#,
            r#"{"odd key":"***","x":{"odd key":2}}"#,
        ),
        ("$[*].*", r#"[{"a":1},[2,3],4]"#, r#"[{"a":"***"},["***","***"],4]"#),
        ("$.a[0]", r#"{"a":{"0":1}}"#, r#"{"a":{"0":1}}"#),
        ("$[0].a", r#"{"0":{"a":1}}"#, r#"{"0":{"a":1}}"#),
        ("$.a.b", r#"{"a":[{"b":1}],"\u0061":{"B":2}}"#, r#"{"a":[{"b":1}],"\u0061":{"B":"***"}}"#),
        ("$.a.a", r#"{"a":{"a":{"a":1}},"b":{"a":2}}"#, r#"{"a":{"a":"***"},"b":{"a":2}}"#),
        ("$[1]", r#"[{"x":[[],{}]},[],2]"#, r#"[{"x":[[],{}]},"***",2]"#),
    ] {
        assert_eq!(masked(&format!("json|{path}"), text), expected, "{path}");
    }
}

#[test]
fn several_paths_and_keys_go_side_by_side() {
    let text = r#"{"a":{"b":1,"c":[{"d":2,"e":3}]},"f":{"d":4,"c":5}}"#;
    let expected = r#"{"a":{"b":"***","c":[{"d":"***","e":"***"}]},"f":{"d":"***","c":5}}"#;
    assert_eq!(masked("json $.a.b $.a.c[*].e d $.*.b", text), expected);
}

#[test]
fn what_is_dropped_takes_exactly_one_comma_with_it() {
    for (text, expected) in [
        (r#"{"d":1}"#, "{}"),
        (r#"{"d":1,"d":[2,{"a":3}]}"#, "{}"),
        (r#"{"d":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":2,"d":1}"#, r#"{"a":2}"#),
        (r#"{"a":1,"d":2,"b":3}"#, r#"{"a":1,"b":3}"#),
        (r#"{"d":1,"d":2,"b":3,"d":4,"d":5}"#, r#"{"b":3}"#),
        (r#"{ "d" : 1 , "a" : 2 }"#, r#"{   "a" : 2 }"#),
        (r#"{ "a" : 1 , "d" : 2 }"#, r#"{ "a" : 1  }"#),
        (r#"[{"d":1},{"d":1}]"#, r#"[{},{}]"#),
        (r#"{"x":{"d":1},"y":[]}"#, r#"{"x":{},"y":[]}"#),
        (r#"{"x":{"a":1},"d":[],"y":{"d":{}}}"#, r#"{"x":{"a":1},"y":{}}"#),
    ] {
        assert_eq!(masked("json d drop", text), expected, "{text}");
    }
    for (path, expected) in
        [("$[0]", "[2,3]"), ("$[1]", "[1,3]"), ("$[2]", "[1,2]"), ("$[*]", "[]")]
    {
        assert_eq!(masked(&format!("json {path} drop"), "[1,2,3]"), expected, "{path}");
    }
}

#[test]
fn the_last_rule_holds_and_the_outermost_value() {
    let mut both = Rule::parse(&["json", "a", "b", "drop"]).unwrap();
    both.extend(Rule::parse(&["json", "$.b", "fixed:B"]).unwrap());
    let text = br#"{"a":{"b":1},"b":{"a":2},"c":{"b":3}}"#;
    let out = mask(text, &Rules::of(&both), &Key::of(KEY), Values::One, 100).unwrap().unwrap();
    assert_eq!(out, br#"{"b":"B","c":{}}"#);
}

#[test]
fn a_hash_is_of_what_a_value_means() {
    let hash = |value: &str| masked("json v hash", &format!("{{\"v\":{value}}}"));
    assert_eq!(hash("\"ab\""), hash(r#""\u0061b""#));
    assert_eq!(hash("12.0"), hash("\"12.0\""));
    assert_ne!(hash("12.0"), hash("12.00"));
    assert_ne!(hash("\"\\ud800\""), hash("\"\\ud801\""));
    assert_eq!(hash("[1]").len(), r#"{"v":""}"#.len() + crate::mask::HASH_DIGITS);
}

#[test]
fn what_is_no_json_is_unmaskable() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "}",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:2}",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "{}x",
        "{}{}",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "tru",
        "truex",
        "True",
        "nul",
        "NaN",
        "'a'",
        "\"a",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12\"",
        "[\"a\" \"b\"]",
        "/**/1",
        "\u{1e}1",
        "\u{a0}1",
        "1\u{feff}",
        "[1]\0",
    ] {
        assert!(!is_json(text.as_bytes()), "{text}");
        assert_eq!(run("json a", text.as_bytes(), Values::One), Err(Unmaskable::Json), "{text}");
    }
    for text in [&b"\"\xff\""[..], b"\"\xed\xa0\x80\"", b"{\"a\xc3\":1}", b"[\x00\"\x00"] {
        assert_eq!(run("json a", text, Values::One), Err(Unmaskable::Json));
    }
}

#[test]
fn what_some_readers_refuse_is_masked_all_the_same() {
    assert_eq!(masked("json a", "\u{feff}{\"a\":1}"), "\u{feff}{\"a\":\"***\"}");
    assert_eq!(masked("json a", r#"{"b":1e999,"a":"\ud800"}"#), r#"{"b":1e999,"a":"***"}"#);
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(masked("json a", &nested(DEEPEST)), nested(DEEPEST));
    let deeper = nested(DEEPEST + 1);
    assert_eq!(run("json a", deeper.as_bytes(), Values::One), Err(Unmaskable::TooDeep));
    let objects = "{\"a\":".repeat(100_000);
    assert_eq!(run("json b", objects.as_bytes(), Values::One), Err(Unmaskable::TooDeep));
}

#[test]
fn values_may_come_one_after_another() {
    for (text, expected) in [
        ("{\"a\":1}\n{\"a\":2}\r\n\n{\"b\":3}", "{\"a\":\"***\"}\n{\"a\":\"***\"}\r\n\n{\"b\":3}"),
        (
            "\u{1e}{\"a\":1}\n\u{1e}[\n{\"a\":2}]\n",
            "\u{1e}{\"a\":\"***\"}\n\u{1e}[\n{\"a\":\"***\"}]\n",
        ),
        ("\n", "\n"),
    ] {
        let out = run("json a $.a", text.as_bytes(), Values::Many).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    for text in ["{\"a\":1}\n{\"a\":", "{}\nx", "{}\u{1e}}"] {
        assert_eq!(run("json a", text.as_bytes(), Values::Many), Err(Unmaskable::Json), "{text}");
    }
}

#[test]
fn no_more_comes_out_than_may() {
    let rules = rules("json $[*] hash");
    let text = format!("[{}1]", "1,".repeat(100));
    let out = mask(text.as_bytes(), &rules, &Key::of(KEY), Values::One, 1000);
    assert_eq!(out, Err(Unmaskable::TooLarge));
}

/// Text that is JSON with blanks in it, escapes as the seed has it, and the keys that rules look for.
fn document() -> impl Strategy<Value = String> {
    let blank = prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n\t ")];
    let text = prop_oneof![
        4 => "[a-d]{1,2}",
        1 => r#"(\\u0061|\\u0062|\\n|\\"|\\\\|é|😀|[a-z,:{}\[\] ]){0,12}"#,
    ];
    let string = text.prop_map(|text| format!("\"{text}\"")).boxed();
    let number = "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?";
    let leaf = prop_oneof![
        string.clone(),
        number.prop_map(|number| number),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
    ];
    let spaced = (blank.clone(), leaf, blank.clone()).prop_map(|(a, b, c)| format!("{a}{b}{c}"));
    spaced.prop_recursive(5, 60, 6, move |inner| {
        let member = (blank.clone(), string.clone(), blank.clone(), inner.clone())
            .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
        let join = |items: Vec<String>| items.join(",");
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(move |items| format!("[{}]", join(items))),
            prop::collection::vec(member, 0..6)
                .prop_map(move |items| format!("{{{}}}", join(items))),
        ]
    })
}

/// The tree with every value replaced, or dropped, that a rule finds.
fn in_tree(value: &Value, keys: &[&str], drop: bool) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| in_tree(item, keys, drop)).collect(),
        Value::Object(members) => {
            let mut out = serde_json::Map::new();
            for (key, member) in members {
                let hit = keys.iter().any(|name| key.eq_ignore_ascii_case(name));
                match (hit, drop) {
                    (true, true) => {}
                    (true, false) => {
                        out.insert(key.clone(), Value::from("***"));
                    }
                    (false, _) => {
                        out.insert(key.clone(), in_tree(member, keys, drop));
                    }
                }
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn what_is_masked_reads_as_the_masked_tree(text in document(), drop: bool) {
        let line = if drop { "json a b drop" } else { "json a b" };
        let out = masked(line, &text);
        let tree: Value = serde_json::from_str(&text).unwrap();
        let expected = in_tree(&tree, &["a", "b"], drop);
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), expected);
        prop_assert_eq!(masked(line, &out), out.clone(), "twice is once");
        if !drop {
            let (mut rest, pieces) = (text.as_str(), out.split("\"***\""));
            prop_assert!(text.starts_with(pieces.clone().next().unwrap()));
            prop_assert!(text.ends_with(pieces.clone().last().unwrap()));
            for piece in pieces {
                let at = rest.find(piece);
                prop_assert!(at.is_some(), "{piece} was not there, in {text}");
                rest = &rest[at.unwrap() + piece.len()..];
            }
        }
    }

    #[test]
    fn without_a_hit_nothing_changes(text in document()) {
        let rules = rules("json zz $.zz.a $.a.zz[*] $[0][1][2].zz");
        prop_assert_eq!(mask(text.as_bytes(), &rules, &Key::of(KEY), Values::One, 0), Ok(None));
    }

    #[test]
    fn a_text_is_json_here_iff_it_is_to_serde_json(
        text in document(), at: prop::sample::Index, byte: u8, how in 0..3,
    ) {
        let mut text = text.into_bytes();
        let at = at.index(text.len());
        match how {
            0 => text[at] = byte,
            1 => { text.remove(at); }
            _ => text.insert(at, byte),
        }
        let found = run("json a $.a[*]", &text, Values::One);
        prop_assert_eq!(found.is_ok(), is_json(&text), "{}", text.escape_ascii());
    }

    #[test]
    fn a_path_finds_what_a_pointer_finds(text in document(), steps in prop::collection::vec(0..3usize, 1..4)) {
        let tree: Value = serde_json::from_str(&text).unwrap();
        let path: String = steps.iter().map(|step| format!("[{step}]")).collect();
        let pointer: String = steps.iter().map(|step| format!("/{step}")).collect();
        let out = masked(&format!("json ${path}"), &text);
        let mut expected = tree.clone();
        // Else a pointer's number is a member's name.
        let within_arrays = (0..steps.len()).all(|length| {
            let around: String = pointer.split_inclusive(|_| true).take(2 * length).collect();
            tree.pointer(&around).is_some_and(Value::is_array)
        });
        if let Some(value) = expected.pointer_mut(&pointer).filter(|_| within_arrays) {
            *value = Value::from("***");
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), expected);
    }
}
