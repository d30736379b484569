//! The rule keys of `CopyTarget` and `MirrorRequest` lines: which requests a target gets.

use std::ffi::CString;

use super::draft::{Draft, Kind};
use super::values::{self, Fault};
use crate::select::{Condition, Methods, Rate, Rule, Share};

/// The keys: name, value and default as the reference shows them, and meaning.
pub const RULE_KEYS: [(&str, &str, &str, &str); 8] = [
    ("methods", "list", "all", "only requests with one of these methods, as `GET,HEAD`"),
    ("body", "`on` or `off`", "on", "whether requests with content are copied"),
    ("sample", "0.001% to 100%", "100%", "this share of the requests, each drawn for by chance"),
    (
        "samplekey",
        "text with `%{…}`",
        "",
        "a request whose key has this text always falls on the same side of the sample",
    ),
    ("env", "`[!]VAR`", "", "only requests that have (`!`: have not) this environment variable"),
    ("expr", "expression", "", "only requests that this expression of httpd's is true of"),
    (
        "rate",
        "1/s to 1000000/s",
        "",
        "at most so many copies a second to the target, over all child processes, and as many at once",
    ),
    ("adapt", "`on` or `off`", "off", "whether pressure lowers the sample for a while"),
];

/// Whether a rule has a key of that name.
pub(super) fn has(key: &str) -> bool {
    RULE_KEYS.iter().any(|(known, ..)| *known == key)
}

/// Sets a key of a rule, which must not be set yet.
pub(super) fn set(rule: &mut Rule, draft: &mut Draft, key: &str, value: &str) -> Result<(), Fault> {
    let mut expression = |kind| match value {
        "" => Err(Fault::new("an expression", "")),
        text => Ok(draft.expression(kind, key, text)),
    };
    match key {
        "methods" => {
            let methods = Methods::parse(value);
            rule.methods = Some(methods.ok_or_else(|| expected("methods, as GET,HEAD", value))?);
        }
        "body" => rule.body = Some(switch(value)?),
        "sample" => {
            let share = Share::parse(value).ok_or_else(|| {
                expected("a share from 0.001% to 100% with at most 3 decimals", value)
            })?;
            rule.sample = Some(share);
        }
        "samplekey" => rule.key = Some(expression(Kind::Text)?),
        "env" => rule.condition = Some(variable(value)?),
        "expr" => rule.condition = Some(Condition::Expression(expression(Kind::Condition)?)),
        "rate" => {
            let rate = Rate::parse(value);
            rule.rate = Some(rate.ok_or_else(|| expected("a rate from 1/s to 1000000/s", value))?);
        }
        "adapt" => rule.adapt = Some(switch(value)?),
        _ => return Err(expected("a known key", key)),
    }
    Ok(())
}

fn expected(what: &'static str, found: &str) -> Fault {
    Fault::new(what, found)
}

fn switch(value: &str) -> Result<bool, Fault> {
    values::switch(value).ok_or_else(|| expected("on or off", value))
}

fn variable(value: &str) -> Result<Condition, Fault> {
    let name = value.strip_prefix('!').unwrap_or(value);
    let text = CString::new(name).ok().filter(|_| !name.is_empty());
    let name = text.ok_or_else(|| expected("a variable's name, perhaps after !", value))?;
    Ok(if value.starts_with('!') { Condition::Unset(name) } else { Condition::Set(name) })
}
