//! `CopyTraceHeader`: a field by which tracing systems tell copies from what they are copies of.

use super::field::is_end_to_end;

/// A field that each copy has, whatever the client sent under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceHeader {
    name: String,
    value: String,
}

/// The list of a trace's vendors, which copies add a member to (W3C Trace Context section 3.3).
const TRACESTATE: &str = "tracestate";
/// The trace itself, which copies keep (section 3.2).
const TRACEPARENT: &str = "traceparent";

impl TraceHeader {
    /// Reads `name[: value]`; the error says what was expected, and what was found.
    pub fn parse(text: &str) -> Result<TraceHeader, (&'static str, String)> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let (name, value) = (name.trim(), value.trim());
        let found = |found: &str| found.to_owned();
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return Err(("a field's name, as X-Shadow or \"X-Shadow: 1\"", found(name)));
        }
        if !is_end_to_end(name.as_bytes()) || name.eq_ignore_ascii_case(TRACEPARENT) {
            return Err(("the name of a field that copies do not have already", found(name)));
        }
        if !value.chars().all(|c| matches!(c, ' '..='~')) {
            return Err(("a value of visible ASCII characters", found(value)));
        }
        let is_member = |value: &str| {
            let (key, value) = value.split_once('=').unwrap_or_default();
            let is_key =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-*/@".contains(c);
            !key.is_empty() && key.chars().all(is_key) && !value.contains([',', '=', ' '])
        };
        if name.eq_ignore_ascii_case(TRACESTATE) && !is_member(value) {
            return Err(("a member for tracestate, as \"tracestate: copy=1\"", found(value)));
        }
        let value = if value.is_empty() { "1" } else { value };
        Ok(TraceHeader { name: found(name), value: found(value) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether it is a list whose received members stay, behind its own.
    pub(super) fn leads_others(&self) -> bool {
        self.name.eq_ignore_ascii_case(TRACESTATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_a_value() {
        for (text, name, value) in [
            ("X-Shadow", "X-Shadow", "1"),
            ("X-Shadow:", "X-Shadow", "1"),
            ("X-Shadow: yes, a copy", "X-Shadow", "yes, a copy"),
            ("X-Shadow:a:b", "X-Shadow", "a:b"),
            ("tracestate: copy=1", "tracestate", "copy=1"),
            ("TraceState:team@copy=a-b", "TraceState", "team@copy=a-b"),
        ] {
            let header = TraceHeader::parse(text).unwrap();
            assert_eq!((header.name(), header.value()), (name, value), "{text}");
        }
    }

    #[test]
    fn what_would_change_what_a_copy_is_no_trace_header_may() {
        for (text, found) in [
            ("", ""),
            (": 1", ""),
            ("X Shadow: 1", "X Shadow"),
            ("Host: a", "Host"),
            ("content-length: 0", "content-length"),
            ("X-Forwarded-For: a", "X-Forwarded-For"),
            ("X-Mod-Copy: a", "X-Mod-Copy"),
            ("Connection: close", "Connection"),
            ("traceparent: 00-1", "traceparent"),
            ("X-Shadow: \u{e4}", "\u{e4}"),
            ("X-Shadow: a\tb", "a\tb"),
            ("tracestate", ""),
            ("tracestate: shadow", "shadow"),
            ("tracestate: a=1,b=2", "a=1,b=2"),
            ("tracestate: A=1", "A=1"),
        ] {
            assert_eq!(TraceHeader::parse(text).unwrap_err().1, found, "{text}");
        }
    }
}
