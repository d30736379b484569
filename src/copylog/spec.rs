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
}

/// The place of a server's logs among those of all servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogsId(pub u32);

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Where its lines go.
    pub medium: Medium,
    /// Which copies have a line.
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

/// Which copies have a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that were not delivered.
    Errors,
}

const EXPECTED: &str = "a file or |program, then perhaps errors or all, then perhaps a format";

impl Spec {
    /// Reads the words of a line.
    pub fn parse(words: &[String]) -> Result<Spec, Fault> {
        let (medium, rest) = match words {
            [] => return Err(Fault::new(EXPECTED, "")),
            [medium, rest @ ..] => (Medium::parse(medium)?, rest),
        };
        let (which, rest) = match rest {
            [word, rest @ ..] if word.eq_ignore_ascii_case("errors") => (Which::Errors, rest),
            [word, rest @ ..] if word.eq_ignore_ascii_case("all") => (Which::All, rest),
            rest => (Which::All, rest),
        };
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
                "expected errors, all, json, or a format with %, found 'combined'".to_owned(),
            ),
        ] {
            assert_eq!(parsed(words), Err(message), "{words:?}");
        }
    }
}
