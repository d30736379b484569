//! The instruction counts that are kept in the repository, so that what a change costs is seen in its review.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;

/// What is kept: `benches/instructions.toml`.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");
const UPDATE: &str = "UPDATE_INSTRUCTIONS";
/// A count may grow by this share; where it is small, by so many instructions, which other code paths of the C
/// library may take.
const SHARE: f64 = 0.03;
const FEW: f64 = 30.0;

/// Counts by processing model, then by kind of request.
pub type Counts = BTreeMap<&'static str, BTreeMap<&'static str, f64>>;

/// How these counts compare with what is kept, and whether none has grown too much; or keeps them.
pub fn compare(counts: &Counts, machine: &str) -> (String, bool) {
    if env::var_os(UPDATE).is_some() {
        fs::write(FILE, written(counts, machine)).unwrap();
        return (format!("{FILE}: written anew"), true);
    }
    let kept = fs::read_to_string(FILE).unwrap_or_default();
    let (mut said, mut met) = (String::new(), true);
    for (model, counts) in counts {
        for (kind, now) in counts {
            let Some(before) = kept_count(&kept, model, kind) else {
                met = false;
                writeln!(said, "  {model} {kind}: {now:.0}, none is kept").unwrap();
                continue;
            };
            let percent = 100.0 * (now - before) / before.max(1.0);
            let grown = now - before > (before * SHARE).max(FEW);
            met &= !grown;
            let verdict = if grown { "  TOO MUCH" } else { "" };
            writeln!(
                said,
                "  {:28}{before:>8.0} -> {now:>6.0}  {percent:+.1} %{verdict}",
                format!("{model} {kind}")
            )
            .unwrap();
        }
    }
    let hint = if met { "" } else { "  UPDATE_INSTRUCTIONS=1 make bench writes them anew\n" };
    (format!("instructions against benches/instructions.toml\n{said}{hint}"), met)
}

fn written(counts: &Counts, machine: &str) -> String {
    let mut text = format!(
        "# User instructions that mod_copy adds to a request, on the request path, counted by callgrind.\n\
         # `make bench` fails where one has grown by more than 3 %; UPDATE_INSTRUCTIONS=1 make bench writes them anew.\n\
         # {machine}\n"
    );
    for (model, counts) in counts {
        writeln!(text, "\n[{model}]").unwrap();
        for (kind, count) in counts {
            writeln!(text, "{kind} = {count:.0}").unwrap();
        }
    }
    text
}

/// The count under a section's heading.
fn kept_count(text: &str, model: &str, kind: &str) -> Option<f64> {
    let heading = format!("[{model}]");
    let section = text.lines().skip_while(|line| *line != heading).skip(1);
    let mut section = section.take_while(|line| !line.starts_with('['));
    section.find_map(|line| line.strip_prefix(kind)?.strip_prefix(" = ")?.trim().parse().ok())
}
