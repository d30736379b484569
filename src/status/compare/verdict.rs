//! Whether staging may go live, as its thresholds have it: an answer that a deployment's pipeline can gate on.

use serde_json::{Value, json};

use super::super::{Format, Source, keys};
use super::Comparisons;
use super::json;
use super::text::plain;
use crate::compare::Verdict;

/// The status and the page: 200 where all targets that are compared pass, or the one that `?verdict=NAME` names; 409
/// where one does not, or nothing was compared.
pub fn verdict(source: &Source, format: Format, query: &str) -> (u16, String) {
    let mut comparisons = Comparisons::take(source);
    let wanted = keys(query).find(|(key, _)| *key == "verdict").map_or("", |(_, name)| name);
    let wanted: String =
        form_urlencoded::parse(wanted.as_bytes()).map(|(name, _)| name.into_owned()).collect();
    if !wanted.is_empty() {
        comparisons.targets.retain(|target| target.name == wanted);
    }
    let targets = &comparisons.targets;
    let passes = !targets.is_empty() && targets.iter().all(|t| t.verdict == Verdict::Pass);
    let page = match format {
        Format::Json => {
            let verdicts = targets.iter().map(|target| {
                let mut verdict = json::verdict(&target.verdict);
                if let Value::Object(members) = &mut verdict {
                    members.insert("name".to_owned(), target.name.as_str().into());
                }
                verdict
            });
            json!({ "pass": passes, "targets": verdicts.collect::<Vec<_>>() }).to_string()
        }
        _ if targets.is_empty() => "fail: nothing was compared\n".to_owned(),
        _ => targets.iter().map(|target| of_target(&target.name, &target.verdict)).collect(),
    };
    (if passes { 200 } else { 409 }, page)
}

fn of_target(name: &str, verdict: &Verdict) -> String {
    let name = plain(name);
    match verdict {
        Verdict::Pass => format!("{name}: pass\n"),
        Verdict::Fail(reasons) => {
            let line = |reason: &_| format!("{name}: fail: {}\n", plain(&format!("{reason}")));
            reasons.iter().map(line).collect::<String>()
        }
    }
}
