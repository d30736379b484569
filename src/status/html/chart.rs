//! Drawings as inline SVG: the last 15 minutes, and latencies. Made of numbers alone; colours are the sheet's.

use std::fmt::Write;
use std::time::Duration;

use maud::{Markup, PreEscaped, html};

use super::figures::{count, rate, short};
use crate::stats::{Growth, SPAN, SPANS, Totals};

/// How high a drawing of the series is, in units of its own: whole numbers are drawn with.
const HEIGHT: u64 = 100;

/// A line of the last 15 minutes that fits into a row.
pub(super) fn spark(series: &[Option<Growth>]) -> Markup {
    let peak = peak(series);
    html! {
        svg.spark viewBox={ "0 0 " (SPANS) " " (HEIGHT) } width="120" height="24" preserveAspectRatio="none"
            role="img" aria-label={ "copies of the last 15 minutes, at most " (rate(peak)) } {
            (areas(series))
        }
    }
}

/// The last 15 minutes, with what became of the copies, and a scale.
pub(super) fn history(series: &[Option<Growth>]) -> Markup {
    let peak = peak(series);
    html! {
        figure {
            figcaption {
                "copies with an outcome, the last 15 minutes "
                span.key { i.good {} "delivered " i.bad {} "failed " i.warn {} "dropped" }
            }
            svg.history viewBox={ "0 0 " (SPANS) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ "what became of the copies of the last 15 minutes, at most " (rate(peak)) } {
                path.grid d={ "M0 0H" (SPANS) "M0 " (HEIGHT / 2) "H" (SPANS) "M0 " (HEIGHT) "H" (SPANS) } {}
                (areas(series))
            }
            div.scale { span { "15 min ago" } span { "top: " (rate(peak)) } span { "now" } }
        }
    }
}

/// Latencies of delivered copies, in buckets that double.
pub(super) fn latencies(totals: &Totals) -> Markup {
    let buckets: Vec<(Duration, u64)> = totals.latency_histogram().collect();
    let is_counted = |(_, count): &(Duration, u64)| *count > 0;
    let (Some(first), Some(last)) =
        (buckets.iter().position(is_counted), buckets.iter().rposition(is_counted))
    else {
        return html! { p.small { "No copy was delivered yet." } };
    };
    // Room for its neighbours, so that one bucket alone is no wall.
    let (first, last) = (first.saturating_sub(2), (last + 2).min(buckets.len() - 1));
    let shown = buckets.get(first..=last).unwrap_or_default();
    let most = shown.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let edge = |bucket: Option<&(Duration, u64)>| {
        bucket.map_or_else(String::new, |(below, _)| short(*below))
    };
    html! {
        figure {
            figcaption { "latency of delivered copies, each bar twice as slow as the one before" }
            svg.latencies viewBox={ "0 0 " (shown.len() * 10) " 80" } preserveAspectRatio="none" role="img"
                aria-label="histogram of latencies" {
                @for (index, (below, number)) in shown.iter().enumerate() {
                    @let height = *number as f64 / most as f64 * 80.0;
                    // What is there is seen, however little.
                    @let height = if *number > 0 { height.max(1.0) } else { 0.0 };
                    rect x=(index * 10 + 1) y={ (format_args!("{:.1}", 80.0 - height)) } width="8"
                        height={ (format_args!("{height:.1}")) } {
                        title { (count(*number)) " below " (short(*below)) }
                    }
                }
            }
            div.scale {
                span { "< " (edge(shown.first())) }
                span { "< " (edge(shown.get(shown.len() / 2))) }
                span { "< " (edge(shown.last())) }
            }
        }
    }
}

/// The most copies a second that had an outcome.
fn peak(series: &[Option<Growth>]) -> f64 {
    let most = series.iter().flatten().map(total).fold(0, u64::max);
    most as f64 * 1_000.0 / SPAN as f64
}

fn total(growth: &Growth) -> u64 {
    [growth.delivered, growth.failed, growth.dropped].map(u64::from).iter().sum()
}

/// Delivered, failed and dropped copies, one upon the other, of [`HEIGHT`].
fn areas(series: &[Option<Growth>]) -> Markup {
    let most = series.iter().flatten().map(total).fold(1, u64::max);
    let mut areas = String::new();
    // The highest first, so that the others are drawn over it.
    for (layer, class) in ["good", "bad", "warn"].iter().enumerate().rev() {
        let heights = series.iter().map(|growth| {
            let Some(Growth { delivered, failed, dropped, .. }) = growth else { return 0 };
            let stacked = [delivered, failed, dropped].into_iter().take(layer + 1);
            stacked.map(|copies| u64::from(*copies)).sum::<u64>() * HEIGHT / most
        });
        let start = areas.len();
        let _ = write!(areas, "<path class=\"{class}\" d=\"");
        match steps(&mut areas, heights) {
            true => areas.push_str("\"/>"),
            false => areas.truncate(start),
        }
    }
    PreEscaped(areas)
}

/// The outline of an area of steps, one unit wide each; whether there is anything in it.
fn steps(path: &mut String, heights: impl Iterator<Item = u64>) -> bool {
    let mut last = 0;
    let mut is_empty = true;
    for (x, step) in heights.enumerate().filter(|(_, step)| *step <= HEIGHT) {
        if step != last {
            // Writing to a String cannot fail.
            let _ = match is_empty {
                true => write!(path, "M{x} {HEIGHT}V{}", HEIGHT - step),
                false => write!(path, "H{x}V{}", HEIGHT - step),
            };
            (last, is_empty) = (step, false);
        }
    }
    if !is_empty {
        let _ = write!(path, "H{SPANS}V{HEIGHT}Z");
    }
    !is_empty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_has_a_corner_only_where_something_changes() {
        let outline = |heights: &[u64]| {
            let mut path = String::new();
            let is_drawn = steps(&mut path, heights.iter().copied());
            assert_eq!(is_drawn, !path.is_empty());
            path
        };
        assert_eq!(outline(&[0, 0]), "");
        assert_eq!(outline(&[0, 40, 40, 20]), "M1 100V60H3V80H180V100Z");
    }
}
