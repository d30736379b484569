//! The directives that have staging's answers compared with production's.

use super::draft::Place;
use super::values::{self, Fault};
use crate::compare::{Aspects, Rules, Thresholds};
use crate::comparing::{Asked, LONGEST};
use crate::select::{Methods, Share};
use crate::target::Destination;

const WORDS: &str = "Off, or some of status, headers and body";

/// `CopyCompare`
pub(super) fn compare(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    let asked = asked(&values::keyed_words(arguments))?;
    match place.block() {
        Some(block) => block.target.compare = Some(asked),
        None => place.scope.compare.asked = Some(place.draft.asked(asked)?),
    }
    Ok(())
}

fn asked(words: &[String]) -> Result<Asked, Fault> {
    let mut asked = Asked::OFF;
    let (mut is_off, mut keys) = (false, [false; 2]);
    for word in words {
        let aspects = asked.aspects.unwrap_or(Aspects { headers: false, body: false });
        let once = |is_known: &mut bool, key: &str| match std::mem::replace(is_known, true) {
            true => Err(Fault::new(format!("{key}= once"), word)),
            false => Ok(()),
        };
        let [sample, methods] = &mut keys;
        match word.split_once('=') {
            Some(("sample", value)) => {
                once(sample, "sample")?;
                let expected = "a share from 0.001% to 100% with at most 3 decimals";
                let share = Share::parse(value).ok_or_else(|| Fault::new(expected, value));
                asked.sample = share.map_err(|fault| fault.at_key("sample"))?;
            }
            Some(("methods", value)) => {
                once(methods, "methods")?;
                let methods = Methods::parse(value);
                let methods = methods.ok_or_else(|| Fault::new("methods, as GET,POST", value));
                asked.methods = Some(methods.map_err(|fault| fault.at_key("methods"))?);
            }
            Some(_) => return Err(Fault::new("one of the keys sample=, methods=", word)),
            None => match word.to_ascii_lowercase().as_str() {
                "off" => is_off = true,
                "status" => asked.aspects = Some(aspects),
                "headers" => asked.aspects = Some(Aspects { headers: true, ..aspects }),
                "body" => asked.aspects = Some(Aspects { body: true, ..aspects }),
                _ => return Err(Fault::new(WORDS, word)),
            },
        }
    }
    match (is_off, asked.aspects) {
        (true, None) if words.len() == 1 => Ok(asked),
        (false, Some(_)) => Ok(asked),
        _ => Err(Fault::new(WORDS, words.join(" "))),
    }
}

/// `CopyCompareIgnore`
pub(super) fn ignore(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    let words = values::words(arguments);
    each(&words, |word| Rules::default().ignore(word))?;
    if place.is_in_section_alone() {
        let line = place.draft.ignored_line(words)?;
        place.scope.compare.ignored = place.scope.compare.ignored.and(line);
    } else {
        place.terms().compare.ignored.extend(words);
    }
    Ok(())
}

/// `CopyCompareLimit`
pub(super) fn limit(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    let size = values::size(&values::single(arguments, "one size")?, 1 << 10..=LONGEST)?;
    match place.is_in_section_alone() {
        true => place.scope.compare.limit = Some(size),
        false => place.terms().compare.limit = Some(size),
    }
    Ok(())
}

/// `CopyCompareThreshold`
pub(super) fn threshold(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    let words = values::words(arguments);
    each(&words, |word| Thresholds::default().set(word))?;
    place.terms().compare.thresholds.extend(words);
    Ok(())
}

/// Has each word read, of which there is at least one.
fn each(
    words: &[String],
    read: impl Fn(&str) -> Result<(), std::borrow::Cow<'static, str>>,
) -> Result<(), Fault> {
    let nothing = [String::new()];
    let words = if words.is_empty() { &nothing[..] } else { words };
    words.iter().try_for_each(|word| read(word).map_err(|expected| Fault::new(expected, word)))
}

/// `CopyControl`
pub(super) fn control(place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
    let url = values::single(arguments, "one URL")?;
    match Destination::parse(&url) {
        Ok(Destination::Url(control)) => place.terms().compare.control = Some(control),
        Ok(Destination::Balancer(_)) => return Err(Fault::new("the URL of one server", url)),
        Err(expected) => return Err(Fault::new(expected, url)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::keyed_words;

    #[test]
    fn what_is_compared_is_said_in_words_and_of_what_in_keys() {
        let read = |line: &str| asked(&keyed_words(line)).unwrap();
        let aspects = |headers, body| Some(Aspects { headers, body });
        for (line, expected) in [
            ("Off", None),
            ("status", aspects(false, false)),
            ("Headers status", aspects(true, false)),
            ("status headers body sample=5% methods=GET,POST", aspects(true, true)),
        ] {
            assert_eq!(read(line).aspects, expected, "{line}");
        }
        let keyed = read("body sample=5% methods=POST");
        assert_eq!(
            (keyed.sample, keyed.methods),
            (Share::parse("5%").unwrap(), Methods::parse("POST"))
        );
    }

    #[test]
    fn a_wrong_word_is_told_with_what_would_be_right() {
        for (line, message) in [
            ("", "expected Off, or some of status, headers and body, found nothing"),
            ("On", "expected Off, or some of status, headers and body, found 'On'"),
            ("Off body", "expected Off, or some of status, headers and body, found 'Off body'"),
            ("sample=5%", "expected Off, or some of status, headers and body, found 'sample=5%'"),
            (
                "body sample=0%",
                "sample=: expected a share from 0.001% to 100% with at most 3 decimals, found '0%'",
            ),
            ("body methods=,", "methods=: expected methods, as GET,POST, found ','"),
            ("body sample=5% sample=6%", "expected sample= once, found 'sample=6%'"),
            ("body rate=5", "expected one of the keys sample=, methods=, found 'rate=5'"),
        ] {
            assert_eq!(asked(&keyed_words(line)).unwrap_err().to_string(), message, "{line}");
        }
    }
}
