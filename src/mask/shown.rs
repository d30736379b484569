//! What may be shown of values in answers: the same names that are masked in copies are masked in reports.

use super::Masks;
use super::path::Step;
use super::rule::Action;
use super::rules::Rules;

/// What marks a value, or a path, of which only the beginning is known.
const CUT: char = '…';

/// How reports write a name: folded where it stands for one of many, and cut where it is long.
///
/// Which of those that it stands for a value had is not known: it is hidden where any of them is named by a rule.
pub type Written = fn(&str) -> String;

impl Masks {
    /// A value of JSON at a path as reports write it (`$.items[*].price`), as it may be shown; `None` where it may not be.
    ///
    /// A value that has others inside is not shown at all where any rule is about JSON: names in it may be masked.
    pub fn shown_json(&self, path: &str, value: &str, written: Written) -> Option<String> {
        if self.json.is_empty() {
            return Some(value.to_owned());
        }
        let steps = steps(path)?;
        let of = |same: &dyn Fn(&str, &str) -> bool| rules_at(&self.json, &steps, same);
        let named = of(&|rule, name| rule.eq_ignore_ascii_case(name));
        if named != of(&|rule, name| may_be(rule, name, written)) {
            return None;
        }
        match last(&self.json, &named) {
            Some(action) => self.shown_by(action, value.trim_matches('"'), value),
            None if value.starts_with(['{', '[']) => None,
            None => Some(value.to_owned()),
        }
    }

    /// A field's value. Where queries or forms are masked, one that may have such pairs in it is not shown.
    pub fn shown_field(&self, name: &str, value: &str, written: Written) -> Option<String> {
        let has_pairs = value.contains('=') && !(self.query.is_empty() && self.form.is_empty());
        match self.header.find(name.as_bytes()) {
            Some(action) => self.shown_by(action, value, value),
            None if has_pairs || may_name(&self.header, name, written) => None,
            None => Some(value.to_owned()),
        }
    }

    /// A cookie, `NAME=VALUE`, that an answer sets: what hides those that requests bring hides it too.
    pub fn shown_cookie(&self, name: &str, cookie: &str, written: Written) -> Option<String> {
        let value = cookie.split_once('=').map_or(cookie, |(_, value)| value);
        let field = self.header.find(b"set-cookie").or_else(|| self.header.find(b"cookie"));
        match field.or_else(|| self.cookie.find(name.as_bytes())) {
            Some(action) => self.shown_by(action, value, cookie),
            None if may_name(&self.cookie, name, written) => None,
            None => Some(cookie.to_owned()),
        }
    }

    /// What has no names that rules could look for, as the lines of a text: shown where there are no rules at all.
    pub fn shown_text(&self, text: &str) -> Option<String> {
        self.is_empty().then(|| text.to_owned())
    }

    fn shown_by(&self, action: &Action, value: &str, whole: &str) -> Option<String> {
        match action {
            // Where there was nothing, nothing stands for it.
            _ if whole.is_empty() => Some(String::new()),
            Action::Drop => None,
            Action::Fixed(text) => Some(String::from_utf8_lossy(text.plain()).into_owned()),
            // The hash of a beginning would be no value's.
            Action::Hash if whole.ends_with(CUT) => None,
            Action::Hash => {
                Some(String::from_utf8_lossy(&self.key.hash(value.as_bytes())).into_owned())
            }
        }
    }
}

/// Whether a name as reports write it may be the one that a rule has.
fn may_be(rule: &str, name: &str, written: Written) -> bool {
    rule.eq_ignore_ascii_case(name) || written(rule).eq_ignore_ascii_case(name)
}

/// Whether any rule may name it.
fn may_name(rules: &Rules, name: &str, written: Written) -> bool {
    rules.names.all().any(|(rule, _)| may_be(rule, name, written))
}

/// The steps of a path as reports write it, `None` for an element; `None` where the path was cut.
fn steps(path: &str) -> Option<Vec<Option<&str>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(after) = rest.strip_prefix("[*]") {
            (None, after)
        } else if let Some(quoted) = rest.strip_prefix("['") {
            let (name, after) = quoted.split_once("']")?;
            (Some(name), after)
        } else {
            let dotted = rest.strip_prefix('.')?;
            let (name, after) = dotted.split_at(dotted.find(['.', '[']).unwrap_or(dotted.len()));
            (Some(name), after)
        };
        if step.is_some_and(|name| name.ends_with(CUT)) {
            return None;
        }
        steps.push(step);
        rest = after;
    }
    Some(steps)
}

/// The numbers of the rules for a value there, or for one that it is inside of, in order. `same` tells whether the name
/// in a rule is one in the path.
fn rules_at(
    rules: &Rules,
    steps: &[Option<&str>],
    same: &dyn Fn(&str, &str) -> bool,
) -> Vec<usize> {
    let is_taken = |rule: &str| steps.iter().flatten().any(|name| same(rule, name));
    let names = rules.names.all().filter(|(rule, _)| is_taken(rule)).map(|(_, number)| number);
    let matches = |step: &Step, taken: &Option<&str>| match (step, taken) {
        (Step::Every, _) | (Step::Element(_), None) => true,
        (Step::Member(name), Some(taken)) => same(name, taken),
        _ => false,
    };
    let mut found: Vec<usize> = names.chain(rules.paths.covering(steps, matches)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What these rules do together: what is dropped is dropped whatever is done inside; of others the last that was
/// written holds.
fn last<'a>(rules: &'a Rules, numbers: &[usize]) -> Option<&'a Action> {
    let is_dropped = |rule: &&usize| matches!(rules.action(Some(**rule)), Some(Action::Drop));
    let found = numbers.iter().find(is_dropped).or(numbers.last());
    rules.action(found.copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::{Key, Rule};

    /// As reports write names with a number, and long ones.
    fn written(name: &str) -> String {
        let folded = name.replace("_4", "_{n}").replace("8f14e45f", "{hex}");
        folded.chars().take(64).collect()
    }

    fn masks(lines: &[&str]) -> Masks {
        let parse = |line: &&str| Rule::parse(&line.split(' ').collect::<Vec<_>>()).unwrap();
        Masks::of(&lines.iter().flat_map(parse).collect::<Vec<_>>(), Key::of(b"a key"))
    }

    #[test]
    fn json_is_shown_by_the_names_and_paths_that_masks_have() {
        let masks = masks(&[
            "json email fixed:hidden",
            "json token hash",
            "json secret drop",
            "json $.users[0].name drop",
            "json $.meta.* drop",
        ]);
        let shown = |path, value| masks.shown_json(path, value, written);
        assert_eq!(shown("$.price", "12").as_deref(), Some("12"));
        assert_eq!(shown("$.a[*].Email", "\"a@b\"").as_deref(), Some("hidden"));
        assert_eq!(shown("$.email.host", "\"b\"").as_deref(), Some("hidden"), "and what is inside");
        assert_eq!(shown("$.secret", "1"), None);
        assert_eq!(shown("$.secret", "").as_deref(), Some(""), "staging has none");
        assert_eq!(shown("$.users[*].name", "\"x\""), None, "reports do not know which element");
        assert_eq!(shown("$.users[*].age", "1").as_deref(), Some("1"));
        assert_eq!(shown("$.meta.a.b", "1"), None);
        assert_eq!(shown("$['token']", "\"x\""), shown("$.token", "\"x\""));
        assert_eq!(shown("$.token", "\"x\"").map(|hash| hash.len()), Some(32));
        assert_eq!(shown("$.token", "\"long…"), None);
        assert_eq!(shown("$.user", "{\"secret\":1}"), None, "it may have any name inside");
        assert_eq!(shown("$.a.b…", "1"), None);
    }

    #[test]
    fn fields_and_cookies_are_shown_by_their_names() {
        let masks = masks(&["header X-User", "cookie sid hash", "query token drop"]);
        assert_eq!(masks.shown_field("x-user", "anna", written).as_deref(), Some("***"));
        assert_eq!(masks.shown_field("x-other", "anna", written).as_deref(), Some("anna"));
        assert_eq!(masks.shown_field("location", "/a?token=x", written), None);
        assert_eq!(masks.shown_cookie("sid", "sid=1", written).map(|hash| hash.len()), Some(32));
        assert_eq!(masks.shown_cookie("lang", "lang=de", written).as_deref(), Some("lang=de"));
        assert_eq!(masks.shown_text("a line"), None);
    }

    #[test]
    fn what_has_a_folded_name_is_hidden_from_rules_that_may_name_it() {
        for rule in ["json last_4", "json LAST_4 fixed:x", "json $.card.last_4"] {
            let masks = masks(&[rule]);
            let shown = |path| masks.shown_json(path, "1234", written);
            assert_eq!(shown("$.card.last_{n}"), None, "{rule}");
            assert_eq!(shown("$.card.Last_{n}.a"), None, "{rule}");
            assert_eq!(shown("$.card.first_{n}").as_deref(), Some("1234"), "{rule}");
            assert_eq!(shown("$['{email}'].name").as_deref(), Some("1234"), "{rule}");
        }
        let path = masks(&["json $.card.last_4"]);
        assert_eq!(path.shown_json("$.last_{n}", "1", written).as_deref(), Some("1"));
        let (folded, cookie) = ("wordpress_logged_in_{hex}", "wordpress_logged_in_8f14e45f=x");
        let named = masks(&["cookie wordpress_logged_in_8f14e45f drop"]);
        assert_eq!(named.shown_cookie(folded, cookie, written), None);
        for rule in ["json a", "cookie other"] {
            let shown = masks(&[rule]).shown_cookie(folded, cookie, written);
            assert_eq!(shown.as_deref(), Some(cookie), "{rule}");
        }
    }

    #[test]
    fn what_has_a_long_name_is_hidden_from_rules_that_may_name_it() {
        let (long, cut) = ("x".repeat(70), "x".repeat(64));
        let masks = masks(&[&format!("cookie {long}"), &format!("header {long}")]);
        assert_eq!(masks.shown_cookie(&cut, &format!("{long}=1"), written), None);
        assert_eq!(masks.shown_field(&cut, "1", written), None);
        assert!(masks.shown_field(&cut[1..], "1", written).is_some());
    }

    #[test]
    fn a_mask_on_the_whole_of_cookies_hides_those_that_answers_set() {
        for (rule, shown) in
            [("standard", None), ("header Cookie", Some("***")), ("header Set-Cookie drop", None)]
        {
            assert_eq!(
                masks(&[rule]).shown_cookie("sid", "sid=1", written).as_deref(),
                shown,
                "{rule}"
            );
        }
    }

    #[test]
    fn without_rules_all_is_shown() {
        let masks = masks(&[]);
        assert_eq!(masks.shown_json("$.a", "{}", written).as_deref(), Some("{}"));
        assert_eq!(masks.shown_text("a line").as_deref(), Some("a line"));
    }
}
