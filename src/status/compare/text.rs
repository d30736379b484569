//! What was compared for whoever reads it in a terminal.

use std::fmt::{Result, Write};

use super::{Comparisons, Stood, TargetComparisons};
use crate::compare::Verdict;
use crate::compare::report::Counts;
use crate::comparing::Count;

pub(in super::super) fn page(comparisons: &Comparisons) -> String {
    let mut page = String::new();
    if comparisons.targets.is_empty() {
        page.push_str("nothing was compared\n");
    }
    for target in &comparisons.targets {
        // Writing to a String cannot fail.
        let _ = of_target(&mut page, target);
    }
    page
}

fn of_target(page: &mut String, target: &TargetComparisons) -> Result {
    let Counts { compared, equal, noise, differing } = target.total();
    writeln!(page, "{}", plain(&target.name))?;
    write!(page, "  compared   {compared} ({equal} equal, {noise} noise, {differing} differing)")?;
    let [shed, unpaired] = [Count::Shed, Count::Unpaired].map(|count| target.counted(count));
    writeln!(page, ", {shed} shed, {unpaired} unpaired")?;
    if let Some(ratio) = target.report.median_ratio() {
        writeln!(page, "  latency    {ratio:.2} times production's, in the middle")?;
    }
    match &target.verdict {
        Verdict::Pass => writeln!(page, "  verdict    pass")?,
        Verdict::Fail(reasons) => {
            for reason in reasons {
                writeln!(page, "  verdict    fail: {}", plain(&reason.to_string()))?;
            }
        }
    }
    for (route, counts) in target.routes() {
        let Counts { compared, noise, differing, .. } = counts;
        let name = plain(route.route.as_str());
        writeln!(page, "\n  {name}: {differing} of {compared} differ, {noise} in noise alone")?;
        for row in target.differences(route) {
            of_row(page, &row)?;
        }
    }
    writeln!(page)
}

fn of_row(page: &mut String, (row, standing): &Stood<'_>) -> Result {
    let (path, change, standing) = (plain(&row.path), row.change.name(), standing.name());
    write!(page, "    {:>7}  {path} ({change}, {standing})", row.differing)?;
    if let Some(example) = row.examples.iter().flatten().next() {
        write!(page, ": {} | {}", plain(&example.production), plain(&example.staging))?;
    }
    writeln!(page)
}

/// A text without what would mean something to a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
