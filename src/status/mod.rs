//! What copy-status shows: one reading of all that is counted, in the format that was asked for.
//!
//! ```text
//! reading.rs      all that is told, as of one moment
//! counters.rs     the counters in their groups, with the names that each format has for them
//! rates.rs        copies a second, now and of late
//! text.rs         for whoever reads it in a terminal
//! auto.rs         `Key: value`, as mod_status has it
//! json.rs         a document; docs/status.md is its schema
//! prometheus.rs   for Prometheus, and as OpenMetrics
//! compare/        where staging answers otherwise than production, and the verdict on it
//! html/           the page for a browser, and the same with controls
//! ```

mod auto;
mod compare;
mod counters;
mod html;
mod json;
mod prometheus;
mod rates;
mod reading;
mod text;

pub use compare::{CompareSource, verdict};
pub use html::{Controls, Notice};
pub use reading::{Reading, Source};

use compare::Comparisons;

/// How the counters are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A page to read.
    Text,
    /// The page for a browser.
    Html,
    /// `Key: value` lines, as mod_status has them for `?auto`.
    Auto,
    /// A JSON document.
    Json,
    /// Prometheus's text format, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format that a request asks for: by its query, or, where that names none, by its `Accept` field.
    ///
    /// Media ranges are told apart, not weighed: only browsers and Prometheus send those that matter here.
    pub fn of_request(query: &str, accept: &str) -> Format {
        let accept = accept.to_ascii_lowercase();
        let open = accept.contains("application/openmetrics-text");
        match keys(query).find_map(|(key, _)| Format::named(key)) {
            Some(Format::Prometheus) if open => Format::OpenMetrics,
            Some(format) => format,
            None if accept.contains("text/html") => Format::Html,
            None if open => Format::OpenMetrics,
            None if accept.contains("version=0.0.4") => Format::Prometheus,
            None => Format::Text,
        }
    }

    fn named(key: &str) -> Option<Format> {
        Some(match key {
            "text" => Format::Text,
            "html" => Format::Html,
            "auto" => Format::Auto,
            "json" => Format::Json,
            "prometheus" => Format::Prometheus,
            "openmetrics" => Format::OpenMetrics,
            _ => return None,
        })
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Text | Format::Auto => "text/plain; charset=utf-8",
            Format::Html => "text/html; charset=utf-8",
            Format::Json => "application/json",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The seconds of `?refresh=N`, from 1 to a day; as mod_status has it, a bare `?refresh` is every 10.
pub fn refresh(query: &str) -> Option<u32> {
    let (_, value) = keys(query).find(|(key, _)| *key == "refresh")?;
    if value.is_empty() { Some(10) } else { value.parse().ok() }
        .filter(|seconds| (1..=86_400).contains(seconds))
}

fn keys(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Whether the query asks for what was compared.
fn is_of_comparisons(query: &str) -> bool {
    keys(query).any(|(key, _)| key == "compare")
}

/// Whether the query asks for the verdict on it.
pub fn is_of_verdict(query: &str) -> bool {
    keys(query).any(|(key, _)| key == "verdict")
}

fn render_comparisons(source: &Source, format: Format, query: &str) -> Option<String> {
    let comparisons = || Comparisons::take(source);
    match format {
        Format::Text | Format::Auto => Some(compare::text::page(&comparisons())),
        Format::Html => Some(html::compare::page(&comparisons(), refresh(query))),
        Format::Json => Some(compare::json::page(&comparisons())),
        Format::Prometheus | Format::OpenMetrics => None,
    }
}

/// Renders what there is to tell.
pub fn render(source: &Source, format: Format, query: &str) -> String {
    if is_of_comparisons(query)
        && let Some(page) = render_comparisons(source, format, query)
    {
        return page;
    }
    show(&Reading::take(source), format, query)
}

fn show(reading: &Reading, format: Format, query: &str) -> String {
    match format {
        Format::Text => text::page(reading),
        Format::Html => html::page(reading, refresh(query), None),
        Format::Auto => auto::page(reading),
        Format::Json => json::page(reading),
        Format::Prometheus => prometheus::page(reading, prometheus::Dialect::Prometheus),
        Format::OpenMetrics => prometheus::page(reading, prometheus::Dialect::OpenMetrics),
    }
}

/// Renders the page with controls.
pub fn render_controls(source: &Source, query: &str, controls: &Controls<'_>) -> String {
    html::page(&Reading::take(source), refresh(query), Some(controls))
}

/// What mod_status shows of us: a part of its page, or the lines of its `?auto`.
pub fn section(source: &Source, is_auto: bool) -> String {
    let reading = Reading::take(source);
    if is_auto { auto::page(&reading) } else { html::section(&reading) }
}

#[cfg(test)]
mod tests;
