//! One answer as it is compared, and the comparison of two to the same request.

use std::borrow::Cow;
use std::hash::Hasher;
use std::time::Duration;

use twox_hash::XxHash64;

use super::content::{Kind, codings, decoded, transcoded};
use super::difference::{Change, Comparison, Differences, Latency, STATUS};
use super::rules::Rules;
use super::text::{self, Form};
use super::{fields, json};

/// A field's name and value.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// A view of an answer: status, fields, body, and the time it took to begin.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The status code; 0 where no answer came.
    pub status: u16,
    /// The fields, in their order.
    pub fields: &'a [Field<'a>],
    /// The body, with the codings that `Content-Encoding` among the fields tells.
    pub body: Body<'a>,
    /// From the request to the beginning of the answer.
    pub latency: Duration,
}

/// As much of a body as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// Its length and digest: it was too long to keep, or streamed.
    Digest(Digest),
    /// Not all of it passed, as when a client hung up: there is nothing to compare.
    Truncated,
}

/// A body's length and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// In bytes.
    pub length: u64,
    /// Of all bytes; the same in all processes of this module.
    pub hash: u64,
}

/// Makes a [`Digest`] of a body as it passes.
#[derive(Clone, Debug, Default)]
pub struct Digesting {
    hasher: XxHash64,
    length: u64,
}

impl Digesting {
    /// Takes the next part, however long.
    pub fn take(&mut self, part: &[u8]) {
        self.hasher.write(part);
        self.length = self.length.saturating_add(part.len() as u64);
    }

    /// What has passed.
    pub fn finish(&self) -> Digest {
        Digest { length: self.length, hash: self.hasher.finish() }
    }
}

impl Digest {
    /// The digest of a whole body.
    pub fn of(body: &[u8]) -> Digest {
        let mut digesting = Digesting::default();
        digesting.take(body);
        digesting.finish()
    }
}

impl<'a> Answer<'a> {
    /// The first value of a field.
    fn field(&self, name: &str) -> Option<&'a [u8]> {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }

    fn codings(&self) -> Vec<String> {
        codings(self.field("content-encoding"))
    }
}

/// Compares two answers to one request.
///
/// Bodies are compared by the kind that both media types tell: JSON by value, HTML by tags, texts by lines, others as bytes.
/// JSON that is none is text. Where a body is known by its digest alone, or a coding is not known, digests are compared if
/// both have the same codings; if not, nothing can be said, and nothing is.
pub fn compare(production: &Answer<'_>, staging: &Answer<'_>, rules: &Rules) -> Comparison {
    let mut found = Differences::default();
    let class = |answer: &Answer<'_>| answer.status / 100;
    if production.status != staging.status {
        let change = match staging.status {
            0 => Change::Missing,
            _ if class(production) == class(staging) => Change::Value,
            _ => Change::Type,
        };
        let told = |status: u16| if status == 0 { String::new() } else { status.to_string() };
        let values = (told(production.status), told(staging.status));
        found.note_at(STATUS, change, (values.0.as_bytes(), values.1.as_bytes()));
    }
    if class(production) == class(staging) {
        if rules.aspects.headers {
            fields::compare(production.fields, staging.fields, rules, &mut found);
        }
        if rules.aspects.body {
            found.extend(bodies(production, staging, rules));
        }
    }
    let latency = Latency { production: production.latency, staging: staging.latency };
    Comparison { differences: found, latency }
}

fn bodies(production: &Answer<'_>, staging: &Answer<'_>, rules: &Rules) -> Differences {
    let codings = (production.codings(), staging.codings());
    let same_codings = codings.0 == codings.1;
    let known = match (production.body, staging.body) {
        (Body::Truncated, _) | (_, Body::Truncated) => return Differences::default(),
        (Body::Whole(a), Body::Whole(b)) if same_codings && a == b => {
            return Differences::default();
        }
        (Body::Whole(a), Body::Whole(b)) => {
            decoded(a, &codings.0, rules.limit).zip(decoded(b, &codings.1, rules.limit))
        }
        _ => None,
    };
    match known {
        Some((a, b)) => {
            let types = (production.field("content-type"), staging.field("content-type"));
            contents((a, types.0), (b, types.1), rules)
        }
        None if same_codings => digests(production.body, staging.body),
        None => Differences::default(),
    }
}

/// A content without its codings, and its media type.
type Content<'a> = (Cow<'a, [u8]>, Option<&'a [u8]>);

fn contents(production: Content<'_>, staging: Content<'_>, rules: &Rules) -> Differences {
    let kinds = (Kind::of(production.1, &production.0), Kind::of(staging.1, &staging.0));
    let (a, b) = (transcoded(production.0, production.1), transcoded(staging.0, staging.1));
    let mut found = Differences::default();
    if a == b {
        return found;
    }
    let change = match (a.is_empty(), b.is_empty()) {
        (false, true) => Some(Change::Missing),
        (true, false) => Some(Change::Extra),
        _ => (kinds.0 != kinds.1).then_some(Change::Type),
    };
    if let Some(change) = change {
        found.note_at("body", change, (kinds.0.name().as_bytes(), kinds.1.name().as_bytes()));
        return found;
    }
    match kinds.0 {
        Kind::Json => json_contents(&a, &b, rules),
        Kind::Html => text::compare(&a, &b, Form::Html, rules),
        Kind::Text => text::compare(&a, &b, Form::Lines, rules),
        Kind::Opaque => digests(Body::Whole(&a), Body::Whole(&b)),
    }
}

fn json_contents(a: &[u8], b: &[u8], rules: &Rules) -> Differences {
    json::compare(a, b, rules).unwrap_or_else(|json::NotJson| {
        let mut found = Differences::default();
        match (json::is_json(a), json::is_json(b)) {
            (true, false) => found.note_at("body", Change::Type, (b"JSON", b"invalid JSON")),
            (false, true) => found.note_at("body", Change::Type, (b"invalid JSON", b"JSON")),
            _ => return text::compare(a, b, Form::Lines, rules),
        }
        found
    })
}

fn digests(production: Body<'_>, staging: Body<'_>) -> Differences {
    let digest = |body| match body {
        Body::Whole(bytes) => Some(Digest::of(bytes)),
        Body::Digest(digest) => Some(digest),
        Body::Truncated => None,
    };
    let mut found = Differences::default();
    if let Some((a, b)) = digest(production).zip(digest(staging))
        && a != b
    {
        let told = |digest: Digest| format!("{} bytes, {:016x}", digest.length, digest.hash);
        found.note_at("body", Change::Value, (told(a).as_bytes(), told(b).as_bytes()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::GzEncoder;
    use std::io::Read;

    const JSON: Field<'static> = (b"Content-Type", b"application/json");

    fn answer<'a>(fields: &'a [Field<'a>], body: &'a [u8]) -> Answer<'a> {
        Answer { status: 200, fields, body: Body::Whole(body), latency: Duration::from_millis(5) }
    }

    fn found(production: &Answer<'_>, staging: &Answer<'_>) -> Vec<(String, Change)> {
        let comparison = compare(production, staging, &Rules::default());
        assert!(compare(production, production, &Rules::default()).is_equal());
        let list = comparison.differences.list();
        list.iter().map(|found| (found.path.clone(), found.change)).collect()
    }

    fn is(path: &str, change: Change) -> [(String, Change); 1] {
        [(path.to_owned(), change)]
    }

    #[test]
    fn another_class_of_status_is_another_type_and_nothing_further_is_compared() {
        let production = answer(&[JSON], b"{}");
        let staging = Answer { status: 500, ..answer(&[], b"<h1>") };
        assert_eq!(found(&production, &staging), is("status", Change::Type));
        let created = Answer { status: 201, ..answer(&[JSON], b"{}") };
        assert_eq!(found(&production, &created), is("status", Change::Value));
    }

    #[test]
    fn where_no_answer_came_the_status_is_missing_and_nothing_else_is_told() {
        let none = Answer { status: 0, ..answer(&[], b"") };
        assert_eq!(found(&answer(&[JSON], b"{}"), &none), is("status", Change::Missing));
    }

    #[test]
    fn bodies_are_compared_by_their_kind() {
        for (media_type, one, other, differ) in [
            ("application/json", r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#, None),
            ("application/json", r#"{"a":1}"#, r#"{"a":2}"#, Some(("$.a", Change::Value))),
            ("application/json", r#"{"a":1}"#, "{'a':1}", Some(("body", Change::Type))),
            ("application/json", "no\njson", "no\nJSON", Some(("text", Change::Value))),
            ("text/html", "<b> a</b>", "<b>a </b>", None),
            ("text/html", "<b>a</b>", "<b>b</b>", Some(("html:b", Change::Value))),
            ("text/plain", "a\nb", "a\nc", Some(("text", Change::Value))),
            ("image/png", "a", "b", Some(("body", Change::Value))),
            ("image/png", "a", "", Some(("body", Change::Missing))),
            ("image/png", "", "a", Some(("body", Change::Extra))),
        ] {
            let fields = [(&b"content-type"[..], media_type.as_bytes())];
            let found = found(&answer(&fields, one.as_bytes()), &answer(&fields, other.as_bytes()));
            let differ = differ.map(|(path, change)| (path.to_owned(), change));
            assert_eq!(found, Vec::from_iter(differ), "{one} {other}");
        }
    }

    #[test]
    fn content_of_another_kind_is_told_once() {
        let html = [(&b"Content-Type"[..], &b"text/html"[..])];
        let found = found(&answer(&[JSON], b"{}"), &answer(&html, b"<p>"));
        assert_eq!(found[1..], is("body", Change::Type), "beside the media type's field");
    }

    #[test]
    fn codings_and_charsets_are_no_differences() {
        let mut coded = Vec::new();
        GzEncoder::new(&br#"{"a":1}"#[..], Compression::fast()).read_to_end(&mut coded).unwrap();
        let gzip = [JSON, (b"Content-Encoding", b"gzip")];
        assert_eq!(found(&answer(&[JSON], br#"{"a":1}"#), &answer(&gzip, &coded)), []);
        let latin = [(&b"content-type"[..], &b"text/plain; charset=iso-8859-1"[..])];
        let utf_8 = [(&b"content-type"[..], &b"text/plain; charset=utf-8"[..])];
        let found = found(&answer(&latin, b"\xfc"), &answer(&utf_8, "ü".as_bytes()));
        assert_eq!(found, is("header:content-type", Change::Value));
    }

    #[test]
    fn what_is_coded_in_an_unknown_way_is_compared_as_it_is_or_not_at_all() {
        let brotli = [(&b"Content-Encoding"[..], &b"br"[..])];
        let differ = found(&answer(&brotli, b"1"), &answer(&brotli, b"2"));
        assert_eq!(differ, is("body", Change::Value));
        assert_eq!(found(&answer(&brotli, b"1"), &answer(&[], b"2")), []);
    }

    #[test]
    fn digests_stand_for_bodies_that_were_not_kept() {
        let digest = |body: &[u8]| {
            let mut digesting = Digesting::default();
            body.chunks(3).for_each(|part| digesting.take(part));
            Answer { body: Body::Digest(digesting.finish()), ..answer(&[], b"") }
        };
        assert_eq!(found(&digest(b"hello world"), &answer(&[], b"hello world")), []);
        assert_eq!(found(&digest(b"hello"), &digest(b"hellO")), is("body", Change::Value));
        let cut = Answer { body: Body::Truncated, ..answer(&[], b"") };
        assert_eq!(found(&digest(b"hello"), &cut), []);
    }
}
