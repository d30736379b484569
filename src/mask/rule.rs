//! One rule as an administrator writes it: `query|form|json|cookie|header NAME… [drop|fixed[:TEXT]|hash]`.

use super::path::{self, Step};
use super::percent;
use super::standard;

/// What stands for a value where no other text is given.
pub const DEFAULT_TEXT: &str = "***";
/// The longest text, in bytes: values that come by the thousand are not to grow without measure.
const LONGEST_TEXT: usize = 256;

/// What some names, in one place of a copy, are masked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) place: Place,
    pub(super) names: Vec<Name>,
    pub(super) action: Action,
}

/// Where a rule looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The request target's query, and that of the `Referer` field.
    Query,
    /// Forms: URL-encoded, and the parts of multipart content.
    Form,
    /// Members and elements of JSON.
    Json,
    /// Pairs of `Cookie` fields.
    Cookie,
    /// Whole fields.
    Header,
}

/// What a rule looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Plain(String),
    Path(Vec<Step>),
}

/// What becomes of what a rule finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is left out, name and all.
    Drop,
    /// A text takes its value's place.
    Fixed(Text),
    /// A hash of its value takes the value's place.
    Hash,
}

/// A text that stands for values, as each place spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    plain: String,
    encoded: String,
    json: String,
}

impl Text {
    pub(super) fn of(plain: &str) -> Text {
        Text {
            plain: plain.to_owned(),
            encoded: percent::encode(plain),
            json: serde_json::Value::from(plain).to_string(),
        }
    }

    /// As it is.
    pub(super) fn plain(&self) -> &[u8] {
        self.plain.as_bytes()
    }

    /// Percent-encoded.
    pub(super) fn encoded(&self) -> &[u8] {
        self.encoded.as_bytes()
    }

    /// As a JSON string, in its quotes.
    pub(super) fn json(&self) -> &[u8] {
        self.json.as_bytes()
    }
}

/// What is wrong with a rule, told by what would have been right and what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// What was expected.
    pub expected: &'static str,
    /// What was found; empty where there was nothing.
    pub found: String,
}

impl Unclear {
    fn new(expected: &'static str, found: &str) -> Unclear {
        Unclear { expected, found: found.to_owned() }
    }
}

impl Rule {
    /// Reads a rule's words. `standard` alone means several rules: see [`standard`].
    ///
    /// The last word is the action if it is one; else the action is `fixed`. A JSON name that begins with `$.` or
    /// `$[` is a path, any other a key at any depth. All names are found whatever the case of their ASCII letters:
    /// a mask that is too wide costs a test some sense, one that is too narrow shows a password.
    pub fn parse<W: AsRef<str>>(words: &[W]) -> Result<Vec<Rule>, Unclear> {
        let words: Vec<&str> = words.iter().map(W::as_ref).collect();
        let (first, rest) =
            words.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
        let place = match first.to_ascii_lowercase().as_str() {
            "standard" => {
                return match rest {
                    [] => Ok(standard::rules()),
                    [more, ..] => Err(Unclear::new("nothing after standard", more)),
                };
            }
            "query" => Place::Query,
            "form" => Place::Form,
            "json" => Place::Json,
            "cookie" => Place::Cookie,
            "header" => Place::Header,
            _ => return Err(Unclear::new("standard, query, form, json, cookie or header", first)),
        };
        let (names, action) = match rest.split_last() {
            Some((last, names)) => match Action::parse(last, place)? {
                Some(_) if names.is_empty() => {
                    return Err(Unclear::new("a name before the action", last));
                }
                Some(action) => (names, action),
                None => (rest, Action::Fixed(Text::of(DEFAULT_TEXT))),
            },
            None => return Err(Unclear::new("a name to mask", "")),
        };
        let names = names.iter().map(|name| Name::parse(name, place)).collect::<Result<_, _>>()?;
        Ok(vec![Rule { place, names, action }])
    }
}

impl Action {
    /// The action that a word means, if it means one.
    fn parse(word: &str, place: Place) -> Result<Option<Action>, Unclear> {
        let (kind, text) = match word.split_once(':') {
            Some((kind, text)) => (kind, Some(text)),
            None => (word, None),
        };
        match (kind.to_ascii_lowercase().as_str(), text) {
            ("drop", None) => Ok(Some(Action::Drop)),
            ("hash", None) => Ok(Some(Action::Hash)),
            ("fixed", None) => Ok(Some(Action::Fixed(Text::of(DEFAULT_TEXT)))),
            ("fixed", Some(text)) => {
                let fits = |c: char| match place {
                    // What a cookie's value may hold (RFC 6265 section 4.1.1).
                    Place::Cookie => c.is_ascii_graphic() && !matches!(c, '"' | ',' | ';' | '\\'),
                    _ => !c.is_control(),
                };
                if text.len() > LONGEST_TEXT {
                    return Err(Unclear::new("a text of at most 256 bytes", text));
                }
                if !text.chars().all(fits) {
                    let expected = match place {
                        Place::Cookie => "a text that a cookie's value may be",
                        _ => "a text without control characters",
                    };
                    return Err(Unclear::new(expected, text));
                }
                Ok(Some(Action::Fixed(Text::of(text))))
            }
            _ => Ok(None),
        }
    }
}

/// Fields that a copy cannot be sent without, or that say how to read it; small letters.
const KEPT: [&str; 4] = ["host", "content-length", "transfer-encoding", "x-mod-copy"];

impl Name {
    fn parse(name: &str, place: Place) -> Result<Name, Unclear> {
        let is_tchar =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match place {
            _ if name.is_empty() => Err(Unclear::new("a name to mask", "")),
            Place::Json if path::is_path(name) => match path::parse(name) {
                Some(steps) => Ok(Name::Path(steps)),
                None => Err(Unclear::new(
                    "a path as $.user.email, $.items[*].card, $.list[0].x or $['odd key']",
                    name,
                )),
            },
            Place::Cookie | Place::Header if !name.bytes().all(is_tchar) => {
                Err(Unclear::new("the name of a field or a cookie", name))
            }
            Place::Header if KEPT.contains(&name.to_ascii_lowercase().as_str()) => {
                Err(Unclear::new("a field that a copy can do without", name))
            }
            _ => Ok(Name::Plain(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Vec<Rule>, Unclear> {
        Rule::parse(&line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>())
    }

    #[test]
    fn a_rule_is_a_place_names_and_an_action() {
        let plain =
            |names: &[&str]| names.iter().map(|name| Name::Plain(name.to_string())).collect();
        for (line, place, names, action) in [
            ("query a b", Place::Query, plain(&["a", "b"]), Action::Fixed(Text::of("***"))),
            ("form a fixed:", Place::Form, plain(&["a"]), Action::Fixed(Text::of(""))),
            ("Header a Drop", Place::Header, plain(&["a"]), Action::Drop),
            ("cookie hash x hash", Place::Cookie, plain(&["hash", "x"]), Action::Hash),
            ("json $ref fixed:a:b", Place::Json, plain(&["$ref"]), Action::Fixed(Text::of("a:b"))),
            (
                "json $.a",
                Place::Json,
                vec![Name::Path(vec![Step::Member("a".to_owned())])],
                Action::Fixed(Text::of("***")),
            ),
        ] {
            assert_eq!(parsed(line), Ok(vec![Rule { place, names, action }]), "{line}");
        }
    }

    #[test]
    fn an_unclear_rule_is_refused_with_what_was_expected() {
        let places = "standard, query, form, json, cookie or header";
        let path = "a path as $.user.email, $.items[*].card, $.list[0].x or $['odd key']";
        let name = "the name of a field or a cookie";
        for (line, expected, found) in [
            ("", places, ""),
            ("body a", places, "body"),
            ("standard drop", "nothing after standard", "drop"),
            ("json", "a name to mask", ""),
            ("json drop", "a name before the action", "drop"),
            ("json $..a", path, "$..a"),
            ("header a:b", name, "a:b"),
            ("cookie a=b", name, "a=b"),
            ("header host", "a field that a copy can do without", "host"),
            ("header X-Mod-Copy", "a field that a copy can do without", "X-Mod-Copy"),
            ("form a fixed:x\u{7}", "a text without control characters", "x\u{7}"),
            ("cookie a fixed:x;y", "a text that a cookie's value may be", "x;y"),
        ] {
            assert_eq!(parsed(line), Err(Unclear::new(expected, found)), "{line}");
        }
        assert_eq!(Rule::parse(&["query", ""]), Err(Unclear::new("a name to mask", "")));
        let long = parsed(&format!("query a fixed:{}", "x".repeat(257))).unwrap_err();
        assert_eq!(long.expected, "a text of at most 256 bytes");
    }
}
