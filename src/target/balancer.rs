//! `balancer://name[/path]`: a target whose members mod_proxy_balancer knows.

use std::fmt;

use super::Url;

/// What such a URL begins with.
pub(super) const BALANCER: &str = "balancer://";

/// A checked `balancer://name[/path]`.
#[derive(Clone, PartialEq, Eq)]
pub struct BalancerUrl {
    name: String,
    path: String,
}

impl BalancerUrl {
    /// Reads what follows the scheme.
    pub(super) fn parse(rest: &str) -> Result<BalancerUrl, &'static str> {
        let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(
                "a balancer's name of letters, digits, -, _ and ., as balancer://name[/path]",
            );
        }
        // A path is what it is elsewhere.
        let path = Url::parse(&format!("http://name{path}"))?.path().to_owned();
        // mod_proxy too knows balancers by their names in lower case.
        Ok(BalancerUrl { name: name.to_ascii_lowercase(), path })
    }

    /// The balancer's name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path, at least `/`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for BalancerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BALANCER}{}{}", self.name, self.path)
    }
}

impl fmt::Debug for BalancerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BalancerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use crate::target::Destination;

    #[test]
    fn a_balancer_has_a_name_and_a_path() {
        let parsed = |text| Destination::parse(text).map(|destination| destination.to_string());
        assert_eq!(parsed("balancer://Staging_1"), Ok("balancer://staging_1/".to_owned()));
        assert_eq!(parsed("balancer://a.b/v2/x"), Ok("balancer://a.b/v2/x".to_owned()));
        assert_eq!(parsed("http://a"), Ok("http://a/".to_owned()));
        let name = "a balancer's name of letters, digits, -, _ and ., as balancer://name[/path]";
        for (text, expected) in [
            ("balancer://", name),
            ("balancer:///path", name),
            ("balancer://a:80/", name),
            ("balancer://a?b", name),
            ("balancer://a/?b", "a URL without query and fragment"),
        ] {
            assert_eq!(parsed(text), Err(expected), "{text}");
        }
    }
}
