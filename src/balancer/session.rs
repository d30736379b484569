//! The route that a request's session names, found where mod_proxy_balancer finds it.

use memchr::memchr;

/// A balancer's `stickysession=`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sticky {
    /// The name of the cookie.
    pub cookie: Vec<u8>,
    /// The name of the parameter in a path or a query, which goes before.
    pub parameter: Vec<u8>,
    /// What the route stands behind in the session's id; 0 where it is all of it.
    pub separator: u8,
    /// Whether `;` too ends a parameter's value.
    pub semicolons: bool,
}

/// A request, as far as it tells its session.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its request target.
    pub target: &'a [u8],
    /// Its field lines.
    pub fields: &'a [u8],
}

impl Sticky {
    /// The route of a request's session, if it has one.
    pub fn route<'a>(&self, request: Request<'a>) -> Option<&'a [u8]> {
        let id = self.in_target(request.target).or_else(|| self.in_cookies(request.fields))?;
        let route = match self.separator {
            0 => Some(id),
            separator => id.splitn(2, |byte| *byte == separator).nth(1),
        };
        route.filter(|route| !route.is_empty())
    }

    /// The id where the parameter's name is followed by `=`, wherever it stands.
    fn in_target<'a>(&self, target: &'a [u8]) -> Option<&'a [u8]> {
        let ends = |byte: &u8| matches!(byte, b'?' | b'&') || (self.semicolons && *byte == b';');
        let value = occurrences(target, &self.parameter)
            .find_map(|(_, behind)| behind.strip_prefix(b"=").filter(|value| !value.is_empty()))?;
        // Delimiters before it are passed over.
        let begin = value.iter().position(|byte| !ends(byte))?;
        value.get(begin..)?.split(ends).next()
    }

    fn in_cookies<'a>(&self, fields: &'a [u8]) -> Option<&'a [u8]> {
        const NAME: &[u8] = b"cookie:";
        let lines = Lines(fields);
        let is_cookie = |line: &&[u8]| {
            line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
        };
        let cookies = lines.filter(is_cookie).filter_map(|line| line.get(NAME.len()..));
        cookies.into_iter().find_map(|cookies| self.in_cookie(cookies.trim_ascii()))
    }

    fn in_cookie<'a>(&self, cookies: &'a [u8]) -> Option<&'a [u8]> {
        let begins = |before: &[u8]| {
            before
                .last()
                .is_none_or(|byte| matches!(byte, b';' | b',') || byte.is_ascii_whitespace())
        };
        let value = occurrences(cookies, &self.cookie).find_map(|(before, behind)| {
            let value = behind.trim_ascii_start().strip_prefix(b"=")?;
            (begins(before) && !value.is_empty()).then_some(value)
        })?;
        value.split(|byte| matches!(byte, b';' | b',')).next()
    }
}

/// What stands before and behind each place where `name` stands; nothing has no place.
fn occurrences<'a>(text: &'a [u8], name: &[u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let first = name.first().copied();
    let mut from = 0_usize;
    std::iter::from_fn(move || {
        loop {
            let at = from.saturating_add(memchr(first?, text.get(from..)?)?);
            from = at.saturating_add(1);
            let (before, behind) = text.split_at_checked(at)?;
            if let Some(behind) = behind.strip_prefix(name) {
                return Some((before, behind));
            }
        }
    })
}

/// Lines, each without its end.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr(b'\n', self.0).unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some(line)
    }
}
