//! Every directive as it is written, and where: what the printed configuration tells origins by.

use super::directives::{BLOCK, Directive, find};
use super::draft::{Origin, Server};
use super::lines::is_keyed;
use super::settings::ScopeSettings;
use super::values;
use crate::target::Destination;

/// A section around a directive: `<Location "/a">`, or several within each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// As it is written, outermost first.
    pub title: String,
    /// The file and line of the innermost.
    pub at: String,
    /// Which one it is: two may be written alike.
    pub id: usize,
    /// Those that it stands in, innermost first.
    pub within: Vec<usize>,
    /// Its settings, as httpd has them.
    pub settings: usize,
}

/// One directive of the configuration.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which one.
    pub directive: &'static Directive,
    /// What follows its name.
    pub arguments: String,
    /// Where it stands.
    pub origin: Origin,
    /// The server or virtual host around it.
    pub server: Server,
    /// The target in whose block it stands.
    pub block: Option<String>,
    /// The settings of its scope, as far as that was read with it.
    pub scope: ScopeSettings,
}

/// The directives that say which requests are copied where, rather than how.
const NAMING: [&[u8]; 3] = [b"CopyTarget", BLOCK.to_bytes(), b"MirrorRequest"];

impl Line {
    /// Whether it is a directive of that name.
    pub fn is(&self, name: &str) -> bool {
        self.directive.name.to_bytes() == name.as_bytes()
    }

    /// Whether it says which requests are copied where.
    pub fn names_targets(&self) -> bool {
        names_targets(self.directive)
    }

    /// The words of its arguments; a block's line less its `>`.
    pub fn words(&self) -> Vec<String> {
        let arguments = self.arguments.trim();
        let is_block = self.directive.name == BLOCK;
        let open = arguments.strip_suffix('>').filter(|_| is_block);
        values::keyed_words(open.unwrap_or(arguments))
    }

    /// The value of a key on it.
    pub fn key(&self, key: &str) -> Option<String> {
        let words = self.words();
        let value = |word: &String| Some(word.strip_prefix(key)?.strip_prefix('=')?.to_owned());
        words.iter().find_map(value)
    }

    /// The name of the target that it defines.
    pub fn defines(&self) -> Option<String> {
        if !self.names_targets() || self.is("MirrorRequest") {
            return None;
        }
        let url = || Destination::parse(self.words().first()?).ok().map(|url| url.to_string());
        self.key("name").or_else(url)
    }

    /// Whether it selects the target of this name, and at this place.
    pub fn selects(&self, name: &str, destination: &Destination) -> bool {
        let is_meant = |word: &String| {
            !is_keyed(word)
                && (word == name || Destination::parse(word).as_ref() == Ok(destination))
        };
        self.is("MirrorRequest") && self.words().iter().any(is_meant)
    }

    /// Whether it switches copying on or off in its scope.
    pub fn switches(&self) -> bool {
        let words = self.words();
        self.is("MirrorRequest") && matches!(&words[..], [word] if values::switch(word).is_some())
    }
}

/// Whether a directive says which requests are copied where.
pub fn names_targets(directive: &Directive) -> bool {
    NAMING.contains(&directive.name.to_bytes())
}

/// Whether lines of a directive add up, as their arguments tell: those of others replace each other.
pub fn adds_up(directive: &Directive) -> bool {
    directive.arguments.contains('…')
}

/// What of a directive's default is mod_proxy's, and what holds where that has nothing.
pub fn defaults(directive: &Directive) -> (Option<&'static str>, &'static str) {
    match directive.default.split_once(" where mod_proxy has one, else ") {
        Some((theirs, ours)) => (Some(theirs), ours),
        None => (None, directive.default),
    }
}

/// A key's default, where it is a value; or the directive whose value it is.
pub fn key_default(default: &'static str) -> Result<&'static str, Option<&'static Directive>> {
    match default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        Some(directive) => Err(find(directive)),
        None => Ok(default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DIRECTIVES, TARGET_KEYS};

    #[test]
    fn what_mod_proxy_has_is_told_from_what_we_have() {
        let proxys = DIRECTIVES.iter().filter(|directive| directive.default.contains("mod_proxy"));
        for directive in proxys {
            let (theirs, ours) = defaults(directive);
            assert!(theirs.is_some_and(|name| name.starts_with("Proxy") && !name.contains(' ')));
            assert!(!ours.contains("mod_proxy"), "{ours}");
        }
        assert_eq!(defaults(find("CopyTimeout").unwrap()), (Some("ProxyTimeout"), "5s"));
        assert_eq!(defaults(find("CopyConnectTimeout").unwrap()), (None, "1s"));
    }

    #[test]
    fn a_keys_default_is_a_value_or_a_directives() {
        let of = |key| TARGET_KEYS.iter().find(|(name, ..)| *name == key).unwrap().2;
        assert!(matches!(key_default(of("max")), Ok("20")));
        assert!(
            matches!(key_default(of("timeout")), Err(Some(directive)) if directive.name == c"CopyTimeout")
        );
        for (_, _, default, _) in TARGET_KEYS {
            assert!(!matches!(key_default(default), Err(None)), "{default}");
        }
    }
}
