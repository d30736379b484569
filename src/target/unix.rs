//! The socket's path in `unix:/path|http://host/`, as mod_proxy writes targets of this machine.

/// What a URL of such a target begins with, letter case aside.
const PREFIX: &str = "unix:";

const EXPECTED: &str = "a Unix socket as unix:/path|http://host[/path]";

/// The longest path that there is room for in a socket's address.
const LONGEST: usize = 107;

/// The socket's path, and the URL behind it; no path where the text does not begin with one.
pub(super) fn split(text: &str) -> Result<(Option<&str>, &str), &'static str> {
    let prefix = text.get(..PREFIX.len());
    if !prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX)) {
        return Ok((None, text));
    }
    let behind = text.get(PREFIX.len()..).unwrap_or_default();
    let (path, url) = behind.split_once('|').ok_or(EXPECTED)?;
    if !path.starts_with('/') || path.contains(char::is_control) {
        return Err(EXPECTED);
    }
    if path.len() > LONGEST {
        return Err("a path of a Unix socket of at most 107 bytes");
    }
    Ok((Some(path), url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sockets_path_is_taken_from_a_url_as_mod_proxy_takes_it() {
        let long = format!("unix:/{}|http://h/", "x".repeat(LONGEST));
        for (text, expected) in [
            ("http://h/unix:/a|b", Ok((None, "http://h/unix:/a|b"))),
            ("unix:/a b|http://h/", Ok((Some("/a b"), "http://h/"))),
            ("UNIX:/a|http://h/|", Ok((Some("/a"), "http://h/|"))),
            ("unix:/a", Err(EXPECTED)),
            ("unix:a|http://h/", Err(EXPECTED)),
            ("unix:/a\n|http://h/", Err(EXPECTED)),
            ("unix:|http://h/", Err(EXPECTED)),
            (&long, Err("a path of a Unix socket of at most 107 bytes")),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
