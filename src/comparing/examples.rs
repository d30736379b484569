//! The examples of differences, with what masks hide hidden.

use crate::compare::{Differences, Example, cookie_in_paths, field_in_paths, folded};
use crate::mask::Masks;

/// Hides, in all examples, what the masks of the target hide in its copies; where they drop it there is no example.
pub(super) fn mask_examples(differences: &mut Differences, masks: &Masks) {
    for difference in differences.list_mut() {
        let path = &difference.path;
        difference.example = difference.example.take().and_then(|example| {
            let production = shown(path, &example.production, masks)?;
            Some(Example { production, staging: shown(path, &example.staging, masks)? })
        });
    }
}

fn shown(path: &str, value: &str, masks: &Masks) -> Option<String> {
    if path.starts_with('$') {
        return masks.shown_json(path, value, |name| folded(name).into_owned());
    }
    if let Some(name) = path.strip_prefix("header:") {
        return match name.strip_prefix("set-cookie:") {
            Some(cookie) => {
                let name = cookie.strip_suffix(";attributes").unwrap_or(cookie);
                masks.shown_cookie(name, value, |name| cookie_in_paths(name.as_bytes()))
            }
            None => masks.shown_field(name, value, |name| field_in_paths(name.as_bytes())),
        };
    }
    match path {
        // Numbers, kinds and digests.
        "status" | "body" => Some(value.to_owned()),
        _ => masks.shown_text(value),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::compare::{Answer, Body, Rules, compare};
    use crate::mask::{Key, Rule};

    #[test]
    fn an_example_shows_no_more_than_a_copy_does() {
        let fields = |cookie: &'static [u8]| {
            [(&b"Content-Type"[..], &b"application/json"[..]), (b"Set-Cookie", cookie)]
        };
        let fields = [fields(b"sid=1"), fields(b"sid=2")];
        let bodies = [
            r#"{"a":1,"b":2,"c":3,"last_4":7,"d_1":9}"#,
            r#"{"a":4,"b":5,"c":6,"last_4":8,"d_1":0}"#,
        ];
        let answer = |side: usize| Answer {
            status: 200,
            fields: &fields[side],
            body: Body::Whole(bodies[side].as_bytes()),
            latency: Duration::ZERO,
        };
        let mut found = compare(&answer(0), &answer(1), &Rules::default()).differences;
        let rules = [
            ["json", "a", "drop"],
            ["json", "b", "fixed:x"],
            ["json", "last_4", "fixed:x"],
            ["cookie", "sid", "drop"],
        ];
        let rules = rules.iter().flat_map(|words| Rule::parse(words).unwrap());
        mask_examples(&mut found, &Masks::of(&rules.collect::<Vec<_>>(), Key::of(b"a key")));
        let shown = found.list().iter().map(|found| {
            let values = found
                .example
                .as_ref()
                .map(|Example { production, staging }| format!("{production} {staging}"));
            (found.path.as_str(), values)
        });
        let shown: Vec<_> = shown.collect();
        let expected = [
            ("header:set-cookie:sid", None),
            ("$.a", None),
            ("$.b", Some("x x".to_owned())),
            ("$.c", Some("3 6".to_owned())),
            ("$.last_{n}", None),
            ("$.d_{n}", Some("9 0".to_owned())),
        ];
        assert_eq!(shown, expected);
    }
}
