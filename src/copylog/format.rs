//! A format: JSON, or `LogFormat`'s letters as far as they mean something for a copy.

use crate::config::Fault;

/// How a line is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object, with names that stay.
    Json,
    /// Text and items, in their order.
    Pattern(Vec<Part>),
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As written.
    Text(Vec<u8>),
    /// What the entry has there.
    Item(Item),
}

/// What an entry can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// The client's address.
    Client,
    /// The name of the server that answered.
    Server,
    /// When the request arrived, in CLF.
    ClfTime,
    /// The same, in RFC 3339.
    Time,
    /// The method.
    Method,
    /// The path, without the query.
    Path,
    /// The query with its `?`.
    Query,
    /// The request line.
    RequestLine,
    /// The status of staging.
    Status,
    /// The status of production.
    ProductionStatus,
    /// Microseconds of the exchange.
    Exchange,
    /// Seconds of the exchange.
    ExchangeSeconds,
    /// Microseconds in the queue.
    Wait,
    /// Microseconds that making a connection took.
    Connect,
    /// Microseconds that production took.
    ProductionTime,
    /// Bytes to staging.
    Sent,
    /// Bytes from staging.
    Received,
    /// Bytes from staging, `-` for none.
    ReceivedClf,
    /// The target's name.
    Target,
    /// `delivered`, `failed` or `dropped`.
    Outcome,
    /// Why it failed or was dropped.
    Reason,
    /// The request's id.
    Id,
    /// The child process.
    Pid,
    /// What the comparison came to.
    Verdict,
    /// The comparison's route.
    Route,
    /// Where the answers differ.
    Differences,
}

/// The letters, with what they mean for a copy.
pub const LETTERS: [(&str, Item, &str); 18] = [
    ("a", Item::Client, "the client's address"),
    ("h", Item::Client, "the same: names are not looked up"),
    ("v", Item::Server, "the `ServerName` of the virtual host"),
    ("t", Item::ClfTime, "when production received the request, in UTC"),
    ("m", Item::Method, "the method"),
    ("U", Item::Path, "the path, without the query"),
    ("q", Item::Query, "the query with its `?`, masked; nothing where there is none"),
    ("r", Item::RequestLine, "the request line as staging gets it, but for the target's own path"),
    ("s", Item::Status, "the status of staging's answer"),
    (">s", Item::Status, "the same"),
    (
        "D",
        Item::Exchange,
        "microseconds from taking the copy from the queue to the end of the answer",
    ),
    ("T", Item::ExchangeSeconds, "the same in seconds"),
    ("b", Item::ReceivedClf, "bytes that staging sent, with fields; `-` for none"),
    ("B", Item::Received, "the same; `0` for none"),
    ("I", Item::Received, "the same"),
    ("O", Item::Sent, "bytes that were sent to staging"),
    ("P", Item::Pid, "the child process"),
    ("L", Item::Id, "the request's id"),
];

/// The names of `%{NAME}copy`, with what they mean.
pub const ITEMS: [(&str, Item, &str); 18] = [
    ("target", Item::Target, "the target's name"),
    ("outcome", Item::Outcome, "`delivered`, `failed` or `dropped`"),
    ("reason", Item::Reason, "why it failed or was dropped"),
    ("status", Item::Status, "the status of staging's answer"),
    ("production-status", Item::ProductionStatus, "the status of production's answer"),
    ("wait", Item::Wait, "microseconds in the queue"),
    ("connect", Item::Connect, "microseconds that making a connection took"),
    ("exchange", Item::Exchange, "as `%D`"),
    ("production", Item::ProductionTime, "microseconds that production took"),
    ("sent", Item::Sent, "bytes that were sent to staging"),
    ("received", Item::Received, "bytes that staging sent"),
    ("id", Item::Id, "the request's id"),
    ("time", Item::Time, "when production received the request, in RFC 3339 with milliseconds"),
    ("server", Item::Server, "as `%v`"),
    ("pid", Item::Pid, "the child process"),
    ("verdict", Item::Verdict, "of a comparison: `equal`, `noise` or `differing`"),
    ("route", Item::Route, "of a comparison: method and path, with numbers and ids folded"),
    ("differences", Item::Differences, "of a comparison: the paths that differ, joined by commas"),
];

impl Format {
    /// Reads a format; escapes are those of `LogFormat`.
    pub fn parse(text: &str) -> Result<Format, Fault> {
        if text.eq_ignore_ascii_case("json") {
            return Ok(Format::Json);
        }
        if !text.contains('%') {
            return Err(Fault::new(
                "errors, all, compared, differing, json, or a format with %",
                text,
            ));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let (before, item) = rest.split_at(at);
            put(&mut parts, before);
            rest = match item.strip_prefix("%%") {
                Some(after) => {
                    put(&mut parts, "%");
                    after
                }
                None => {
                    let (item, after) = Item::parse(item)?;
                    parts.push(Part::Item(item));
                    after
                }
            };
        }
        put(&mut parts, rest);
        Ok(Format::Pattern(parts))
    }

    /// Whether it tells who the request came from, or who answered.
    pub fn names_parties(&self) -> bool {
        let Format::Pattern(parts) = self else { return false };
        let names = |part: &Part| matches!(part, Part::Item(Item::Client | Item::Server));
        parts.iter().any(names)
    }
}

/// Puts text behind what is there, with `\n` and `\t` as what they mean; other escapes stay as they are written.
fn put(parts: &mut Vec<Part>, text: &str) {
    let text = text.replace("\\t", "\t").replace("\\n", "\n");
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.extend_from_slice(text.as_bytes()),
        _ => parts.push(Part::Text(text.into_bytes())),
    }
}

impl Item {
    /// Reads an item from its `%` on, and gives what follows it.
    fn parse(text: &str) -> Result<(Item, &str), Fault> {
        let directive = text.get(1..).unwrap_or_default();
        if let Some(named) = directive.strip_prefix('{') {
            return Item::named(text, named);
        }
        let known = LETTERS.iter().find(|(letter, ..)| directive.starts_with(letter));
        if let Some((letter, item, _)) = known {
            return Ok((*item, directive.get(letter.len()..).unwrap_or_default()));
        }
        let letters: Vec<String> =
            LETTERS.iter().map(|(letter, ..)| format!("%{letter}")).collect();
        let expected = format!("one of {}, %% and %{{NAME}}copy", letters.join(", "));
        // With its modifiers, as `%!200u`.
        let end = directive.find(|c: char| c.is_ascii_alphabetic() || c.is_whitespace());
        let end = end.map_or(text.len(), |end| end.saturating_add(2)).min(text.len());
        Err(Fault::new(expected, text.get(..end).unwrap_or(text)))
    }

    fn named<'a>(text: &'a str, named: &'a str) -> Result<(Item, &'a str), Fault> {
        let (name, after) = named.split_once('}').unwrap_or((named, ""));
        let kind: &str = after.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let found = || {
            let length = "%{}".len() + name.len() + kind.len();
            text.get(..length).unwrap_or(text).to_owned()
        };
        // httpd's letters are one long, so this is none of its.
        let Some(after) = after.strip_prefix("copy") else {
            let letter = &kind.get(..1).unwrap_or_default();
            return Err(Fault::new("%{NAME}copy", format!("%{{{name}}}{letter}")));
        };
        let known = ITEMS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
        let (_, item, _) = known.ok_or_else(|| {
            let names: Vec<&str> = ITEMS.iter().map(|(name, ..)| *name).collect();
            Fault::new(format!("one of {} in %{{NAME}}copy", names.join(", ")), found())
        })?;
        Ok((*item, after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        match Format::parse(text) {
            Ok(Format::Pattern(parts)) => parts,
            other => panic!("{other:?}"),
        }
    }

    fn text(text: &str) -> Part {
        Part::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn a_format_is_text_and_items() {
        assert_eq!(Format::parse("JSON"), Ok(Format::Json));
        let expected = [
            text("["),
            Part::Item(Item::Target),
            text("] 100% \""),
            Part::Item(Item::RequestLine),
            text("\"\t"),
            Part::Item(Item::Status),
            Part::Item(Item::Status),
        ];
        assert_eq!(parts(r#"[%{target}copy] 100%% "%r"\t%>s%s"#), expected);
        assert_eq!(parts("%m"), [Part::Item(Item::Method)]);
    }

    #[test]
    fn every_letter_and_every_name_is_understood() {
        for (letter, item, _) in LETTERS {
            assert_eq!(parts(&format!("%{letter}")), [Part::Item(item)]);
        }
        for (name, item, _) in ITEMS {
            assert_eq!(parts(&format!("%{{{name}}}copy")), [Part::Item(item)]);
        }
    }

    #[test]
    fn what_means_nothing_for_a_copy_is_refused_by_name() {
        let letters = "expected one of %a, %h, %v, %t, %m, %U, %q, %r, %s, %>s, %D, %T, %b, %B, %I, %O, %P, %L, \
                       %% and %{NAME}copy";
        let names = "expected one of target, outcome, reason, status, production-status, wait, connect, exchange, \
                     production, sent, received, id, time, server, pid, verdict, route, differences in %{NAME}copy";
        for (format, message) in [
            ("%m %u", format!("{letters}, found '%u'")),
            ("%", format!("{letters}, found '%'")),
            ("%!200s", format!("{letters}, found '%!200s'")),
            ("%<s x", format!("{letters}, found '%<s'")),
            ("%\u{e9}", format!("{letters}, found '%\u{e9}'")),
            ("%{User-Agent}i x", "expected %{NAME}copy, found '%{User-Agent}i'".to_owned()),
            ("%{Cookie}C", "expected %{NAME}copy, found '%{Cookie}C'".to_owned()),
            ("%{User-Agent", "expected %{NAME}copy, found '%{User-Agent}'".to_owned()),
            ("%{speed}copy", format!("{names}, found '%{{speed}}copy'")),
            ("%{}copy", format!("{names}, found '%{{}}copy'")),
        ] {
            let fault = Format::parse(format).map_err(|fault| fault.to_string());
            assert_eq!(fault, Err(message), "{format}");
        }
    }

    #[test]
    fn parties_are_asked_for_where_they_are_written() {
        let names = |format| Format::parse(format).unwrap().names_parties();
        assert_eq!(["json", "%m", "%h", "%m %v"].map(names), [false, false, true, true]);
    }
}
