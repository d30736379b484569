//! An HTML document as a sequence of tags, comments, and what is between them.

use std::borrow::Cow;

use super::fold;

/// The most bytes of a tag's name, and of what names it among others.
const NAME: usize = 32;

/// Elements whose content has no tags.
const RAW: [&[u8]; 2] = [b"script", b"style"];

/// Gives each piece with the tag that it is or that is before it, and its line. What comes behind `most` pieces is
/// one. A document that ends inside a tag or a comment ends it.
pub(super) fn pieces<'a>(
    document: &'a [u8],
    most: usize,
    take: &mut impl FnMut(&'a [u8], &'a [u8], usize),
) {
    let (mut rest, mut tag, mut line) = (document, &b""[..], 1);
    for _ in 1..most {
        if rest.is_empty() {
            return;
        }
        let text = text_before_tag(rest, tag);
        let length = if text > 0 { text } else { tag_at(rest) };
        let (piece, behind) = rest.split_at_checked(length).unwrap_or((rest, b""));
        if text == 0 {
            tag = piece;
        }
        take(piece, tag, line);
        line += piece.iter().filter(|byte| **byte == b'\n').count();
        rest = behind;
    }
    if !rest.is_empty() {
        take(rest, tag, line);
    }
}

/// How many bytes of text come before the next tag.
fn text_before_tag(rest: &[u8], tag: &[u8]) -> usize {
    let raw = RAW.into_iter().find(|name| is_named(tag.get(1..).unwrap_or_default(), name));
    let begins = |at: usize| match raw {
        Some(name) => rest
            .get(at + 1..)
            .is_some_and(|tag| tag.strip_prefix(b"/").is_some_and(|tag| is_named(tag, name))),
        None => rest
            .get(at + 1)
            .is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'/' | b'!' | b'?')),
    };
    let mut brackets = rest.iter().enumerate().filter(|(_, byte)| **byte == b'<');
    brackets.find(|(at, _)| begins(*at)).map_or(rest.len(), |(at, _)| at)
}

fn is_named(tag: &[u8], name: &[u8]) -> bool {
    tag.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        && !tag.get(name.len()).is_some_and(u8::is_ascii_alphanumeric)
}

/// How many bytes the tag or comment has that begins here.
fn tag_at(rest: &[u8]) -> usize {
    const COMMENT: (&[u8], &[u8]) = (b"<!--", b"-->");
    if let Some(inside) = rest.strip_prefix(COMMENT.0) {
        let end = inside.windows(COMMENT.1.len()).position(|bytes| bytes == COMMENT.1);
        return end.map_or(rest.len(), |end| COMMENT.0.len() + end + COMMENT.1.len());
    }
    let mut quote = None;
    for (at, byte) in rest.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    rest.len()
}

/// A piece's bytes with runs of whitespace as one blank, and none at its ends.
pub(super) fn fold(text: &[u8], folded: &mut Vec<u8>) {
    folded.clear();
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        if !folded.is_empty() {
            folded.push(b' ');
        }
        folded.extend_from_slice(word);
    }
}

/// `html:` and the tag's name, with its `id`, its `name`, or the first of its classes: `html:span.price`.
pub(super) fn path(tag: &[u8]) -> String {
    let inside = tag.strip_prefix(b"<").unwrap_or(tag);
    if inside.starts_with(b"!--") {
        return "html:!--".to_owned();
    }
    let end = inside.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'>');
    let (name, attributes) = inside.split_at(end.unwrap_or(inside.len()));
    let mut path = String::from("html:");
    path.push_str(&plain(name).unwrap_or_default().to_ascii_lowercase());
    for (attribute, before, after) in [("id", "#", ""), ("name", "[", "]"), ("class", ".", "")] {
        let value = attribute_of(attributes, attribute.as_bytes());
        if let Some(value) = value.and_then(plain) {
            path.extend([before, &value, after]);
            break;
        }
    }
    path
}

/// The first word of an attribute's value.
fn attribute_of<'a>(attributes: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut words = attributes.split(|byte| byte.is_ascii_whitespace() || *byte == b'>');
    let value = words.find_map(|word| {
        let (name, value) = word.split_at_checked(wanted.len())?;
        name.eq_ignore_ascii_case(wanted).then(|| value.strip_prefix(b"="))?
    })?;
    let value = value.strip_prefix(b"\"").or(value.strip_prefix(b"'")).unwrap_or(value);
    value.split(|byte| matches!(byte, b'"' | b'\'')).next()
}

/// A name that says where and not what: short, and folded where it is an id.
fn plain(name: &[u8]) -> Option<Cow<'_, str>> {
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'!');
    let fits = (1..=NAME).contains(&name.len()) && name.iter().all(plain);
    fits.then(|| std::str::from_utf8(name).ok()).flatten().map(fold::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(document: &str) -> Vec<(String, String)> {
        let mut taken = Vec::new();
        let mut all = Vec::new();
        pieces(document.as_bytes(), 100, &mut |piece, tag, _| {
            all.extend_from_slice(piece);
            taken.push((String::from_utf8_lossy(piece).into_owned(), path(tag)));
        });
        assert_eq!(all, document.as_bytes(), "nothing is lost");
        taken
    }

    #[test]
    fn a_document_is_taken_apart_at_its_tags() {
        let page = "<!DOCTYPE html><div id=main><p>a < b</p><!-- <b> --><script>if(a<b){'</p>'}</script>end";
        let pieces: Vec<_> = taken(page).into_iter().map(|(piece, _)| piece).collect();
        assert_eq!(
            pieces,
            [
                "<!DOCTYPE html>",
                "<div id=main>",
                "<p>",
                "a < b",
                "</p>",
                "<!-- <b> -->",
                "<script>",
                "if(a<b){'</p>'}",
                "</script>",
                "end"
            ]
        );
    }

    #[test]
    fn tags_that_do_not_end_end_with_the_document() {
        for page in ["<p", "<p a='", "<!-- x", "<script>x", "<", "<>", "a<"] {
            taken(page);
        }
    }

    #[test]
    fn a_piece_is_named_by_its_tag() {
        for (tag, named) in [
            ("<span class=\"price big\">", "html:span.price"),
            ("<INPUT type=hidden NAME='csrf' value='a>b'>", "html:input[csrf]"),
            ("<div class=x id=row-42>", "html:div#row-{n}"),
            ("</p>", "html:/p"),
            ("<!-- built -->", "html:!--"),
            ("<p data-id=\"7\">", "html:p"),
            ("<p id=\"a b\">", "html:p#a"),
            ("", "html:"),
        ] {
            assert_eq!(path(tag.as_bytes()), named, "{tag}");
        }
    }

    #[test]
    fn lines_are_counted() {
        let mut lines = Vec::new();
        pieces(b"<p>\n\nx</p>\n<b>", 100, &mut |_, _, line| lines.push(line));
        assert_eq!(lines, [1, 1, 3, 3, 4]);
    }
}
