//! What is compared and what is not: the aspects, and the words of `CopyCompareIgnore`.

use std::borrow::Cow;

use regex::bytes::{Regex, RegexBuilder};

use super::json::{Pattern, Step};

/// The most memory that one regular expression takes, compiled.
const REGEX_BYTES: usize = 1 << 20;
/// What takes the place of what a regular expression matches.
const BLANK: &[u8] = b"*";
/// The most bytes of a decoded body, where nothing else is said.
const LIMIT: usize = 1 << 20;

/// Which aspects of two answers are compared; status and latency always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Aspects {
    /// The fields.
    pub headers: bool,
    /// The bodies.
    pub body: bool,
}

/// How answers are compared.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What is compared.
    pub aspects: Aspects,
    /// The most bytes of a body, decoded; a larger one is compared as it is, coded.
    pub limit: usize,
    /// Names of fields that are not compared, in lower case.
    fields: Vec<String>,
    ignored: Vec<Pattern>,
    unordered: Vec<Pattern>,
    all_unordered: bool,
    blanked: Vec<Regex>,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            aspects: Aspects { headers: true, body: true },
            limit: LIMIT,
            fields: Vec::new(),
            ignored: Vec::new(),
            unordered: Vec::new(),
            all_unordered: false,
            blanked: Vec::new(),
        }
    }
}

impl Rules {
    /// Takes one word of `CopyCompareIgnore`. The error is what would have been right.
    ///
    /// - `header:Date` leaves a field out; `header:Set-Cookie` with all its cookies.
    /// - `json:$.timestamp` leaves out what is at this path and below. `[*]` is any element, `.*` any member, `..name`
    ///   a member at any depth, `['a name']` one whose name has other characters than letters, digits, `_` and `-`.
    /// - `order:$.items` takes the elements of that array in any order, `order:*` those of all arrays.
    /// - `regex:…` blanks what it matches in values, lines and fields that differ, and compares them again.
    pub fn ignore(&mut self, word: &str) -> Result<(), Cow<'static, str>> {
        const KINDS: &str = "header:NAME, json:PATH, order:PATH or regex:EXPRESSION";
        let (kind, rest) = word.split_once(':').ok_or(KINDS)?;
        match kind {
            "header" => self.fields.push(field(rest)?),
            "json" => self.ignored.push(Pattern::parse(rest)?),
            "order" if rest == "*" => self.all_unordered = true,
            "order" => self.unordered.push(Pattern::parse(rest)?),
            "regex" => self.blanked.push(expression(rest)?),
            _ => return Err(KINDS.into()),
        }
        Ok(())
    }

    /// Whether a field of this name, in lower case, is left out by rule.
    pub fn ignores_field(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field == name)
    }

    /// Whether what is at this path is left out.
    pub(super) fn ignores(&self, path: &[Step<'_>]) -> bool {
        self.ignored.iter().any(|pattern| pattern.covers(path))
    }

    /// Whether any path is left out.
    pub(super) fn ignores_paths(&self) -> bool {
        !self.ignored.is_empty()
    }

    /// Whether the order of this array's elements is left out.
    pub(super) fn ignores_order(&self, path: &[Step<'_>]) -> bool {
        self.all_unordered || self.unordered.iter().any(|pattern| pattern.is(path))
    }

    /// Whether two values that differ are the same once what the expressions match is blanked.
    pub(super) fn same_when_blanked(&self, one: &[u8], other: &[u8]) -> bool {
        !self.blanked.is_empty() && self.blank(one) == self.blank(other)
    }

    /// Whether there is anything to blank.
    pub(super) fn blanks(&self) -> bool {
        !self.blanked.is_empty()
    }

    /// A value with what the expressions match blanked.
    pub(super) fn blank<'a>(&self, value: &'a [u8]) -> Cow<'a, [u8]> {
        self.blanked.iter().fold(Cow::Borrowed(value), |value, expression| {
            match expression.replace_all(&value, regex::bytes::NoExpand(BLANK)) {
                Cow::Borrowed(_) => value,
                Cow::Owned(blanked) => Cow::Owned(blanked),
            }
        })
    }
}

fn field(name: &str) -> Result<String, &'static str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let right = !name.is_empty() && name.bytes().all(is_token);
    right.then(|| name.to_ascii_lowercase()).ok_or("a field's name after header:")
}

fn expression(text: &str) -> Result<Regex, Cow<'static, str>> {
    if text.is_empty() {
        return Err("a regular expression after regex:".into());
    }
    let made = RegexBuilder::new(text).size_limit(REGEX_BYTES).build();
    made.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "a smaller regular expression after regex:".into(),
        error => {
            let told = error.to_string();
            let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("a regular expression after regex: ({reason})").into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_word_is_told_what_would_be_right() {
        for (word, expected) in [
            ("", "header:NAME, json:PATH, order:PATH or regex:EXPRESSION"),
            ("Date", "header:NAME, json:PATH, order:PATH or regex:EXPRESSION"),
            ("cookie:a", "header:NAME, json:PATH, order:PATH or regex:EXPRESSION"),
            ("header:", "a field's name after header:"),
            ("header:a b", "a field's name after header:"),
            ("json:", "a path that begins with $, as $.items[*].price"),
            ("json:$.", "a name after the dot, as $.items[*].price"),
            ("json:$.a[0]", "[*] or ['name'], for elements have no index of their own"),
            ("json:$.a b", "a dot or a bracket after each name, as $.items[*].price"),
            ("order:items", "a path that begins with $, as $.items[*].price"),
            ("regex:", "a regular expression after regex:"),
            ("regex:(", "a regular expression after regex: (unclosed group)"),
            (r"regex:\w{1000}{1000}", "a smaller regular expression after regex:"),
        ] {
            assert_eq!(Rules::default().ignore(word).unwrap_err(), expected, "{word}");
        }
    }

    #[test]
    fn a_path_of_too_many_steps_is_refused() {
        let long = format!("json:${}", ".a".repeat(33));
        let fault = Rules::default().ignore(&long).unwrap_err();
        assert_eq!(fault, "a path of at most 31 steps");
    }

    #[test]
    fn what_an_expression_matches_is_blanked_before_values_are_compared_again() {
        let mut rules = Rules::default();
        assert!(!rules.same_when_blanked(b"a", b"a"), "nothing is asked without expressions");
        rules.ignore(r"regex:\d+ms").unwrap();
        rules.ignore("regex:id=[a-z]+").unwrap();
        assert!(rules.same_when_blanked(b"took 3ms id=x", b"took 12ms id=yy"));
        assert!(!rules.same_when_blanked(b"took 3ms", b"took 3s"));
    }
}
