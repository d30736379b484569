//! A `CopyLog` line as written: where to, which copies, in which format.

use std::path::PathBuf;

use super::format::Format;
use crate::config::Fault;

/// The logs of one server, in the draft or the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logs {
    /// Which they are.
    pub id: LogsId,
    /// Whether some of them tell who requests came from, or who answered.
    pub name_parties: bool,
    /// Whether some of them have lines of copies.
    pub of_copies: bool,
    /// Whether some of them have lines of comparisons.
    pub of_comparisons: bool,
}

/// The place of a server's logs among those of all servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogsId(pub u32);

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Where its lines go.
    pub medium: Medium,
    /// What has a line.
    pub which: Which,
    /// How a line is made.
    pub format: Format,
}

/// Where a log's lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A file.
    File(PathBuf),
    /// What follows the `|`: a program as httpd starts it for its piped logs.
    Pipe(String),
}

/// What has a line: some of the copies, or some of the comparisons of their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All copies.
    All,
    /// Copies that were not delivered.
    Errors,
    /// All comparisons.
    Compared,
    /// Comparisons that found a difference that is no noise.
    Differing,
}

impl Which {
    const WORDS: [(&str, Which); 4] = [
        ("errors", Which::Errors),
        ("all", Which::All),
        ("compared", Which::Compared),
        ("differing", Which::Differing),
    ];

    fn parse(word: &str) -> Option<Which> {
        let known = Which::WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known));
        known.map(|(_, which)| *which)
    }

    /// Whether it is about comparisons, and not about copies.
    pub fn is_of_comparisons(self) -> bool {
        matches!(self, Which::Compared | Which::Differing)
    }
}

const EXPECTED: &str =
    "a file or |program, then perhaps errors, all, compared or differing, then perhaps a format";

impl Spec {
    /// Reads the words of a line.
    pub fn parse(words: &[String]) -> Result<Spec, Fault> {
        let (medium, rest) = match words {
            [] => return Err(Fault::new(EXPECTED, "")),
            [medium, rest @ ..] => (Medium::parse(medium)?, rest),
        };
        let named = rest.split_first().and_then(|(word, rest)| Some((Which::parse(word)?, rest)));
        let (which, rest) = named.unwrap_or((Which::All, rest));
        let format = match rest {
            [] => Format::Json,
            [format] => Format::parse(format)?,
            _ => return Err(Fault::new(EXPECTED, words.join(" "))),
        };
        Ok(Spec { medium, which, format })
    }
}

impl Medium {
    fn parse(word: &str) -> Result<Medium, Fault> {
        match word.strip_prefix('|') {
            None if word.is_empty() => Err(Fault::new(EXPECTED, "")),
            None => Ok(Medium::File(word.into())),
            // As in httpd's own: "||" has no shell either, and "|$" has one.
            Some(program) if program.trim_start_matches(['|', '$']).trim().is_empty() => {
                Err(Fault::new("a program after the |", word))
            }
            Some(program) => Ok(Medium::Pipe(program.to_owned())),
        }
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Medium::File(path) => path.display().to_string(),
            Medium::Pipe(program) => format!("|{program}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Spec, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Spec::parse(&words).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_line_names_a_file_or_a_program_then_which_copies_then_a_format() {
        let file = || Medium::File("copy.log".into());
        let json = |medium, which| Ok(Spec { medium, which, format: Format::Json });
        assert_eq!(parsed(&["copy.log"]), json(file(), Which::All));
        assert_eq!(parsed(&["copy.log", "Errors"]), json(file(), Which::Errors));
        assert_eq!(parsed(&["copy.log", "all", "json"]), json(file(), Which::All));
        assert_eq!(parsed(&["copy.log", "compared"]), json(file(), Which::Compared));
        assert_eq!(parsed(&["copy.log", "Differing", "json"]), json(file(), Which::Differing));
        let pipe = Medium::Pipe("/bin/rotatelogs -l copy.log 86400".to_owned());
        assert_eq!(parsed(&["|/bin/rotatelogs -l copy.log 86400"]), json(pipe, Which::All));
        assert_eq!(parsed(&["||cat"]).map(|spec| spec.medium.name()), Ok("||cat".to_owned()));
        let Ok(Spec { format: Format::Pattern(_), .. }) = parsed(&["copy.log", "%m %U"]) else {
            panic!("a format without errors or all");
        };
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (words, message) in [
            (&[][..], format!("expected {EXPECTED}, found nothing")),
            (&[""], format!("expected {EXPECTED}, found nothing")),
            (&["a", "all", "%m", "%U"], format!("expected {EXPECTED}, found 'a all %m %U'")),
            (&["|"], "expected a program after the |, found '|'".to_owned()),
            (&["|$ "], "expected a program after the |, found '|$ '".to_owned()),
            (
                &["a", "combined"],
                "expected errors, all, compared, differing, json, or a format with %, found 'combined'"
                    .to_owned(),
            ),
        ] {
            assert_eq!(parsed(words), Err(message), "{words:?}");
        }
    }
}
