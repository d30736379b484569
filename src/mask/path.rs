//! Simple paths into JSON: `$.user.email`, `$.items[*].card`, `$.list[0].x`, `$['odd key']`.

/// One step of a path, from a value to values in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the member of this name, whatever the case of its ASCII letters.
    Member(String),
    /// To the element at this index.
    Element(usize),
    /// To every member or element.
    Every,
}

/// Whether a name is meant to be a path: `$ref` and `$` alone are ordinary keys.
pub(super) fn is_path(name: &str) -> bool {
    name.starts_with("$.") || name.starts_with("$[")
}

/// Reads a path; `None` where it is none.
pub(super) fn parse(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('.') {
            Some(dotted) => after_dot(dotted)?,
            None => in_brackets(rest.strip_prefix('[')?)?,
        };
        steps.push(step);
        rest = after;
    }
    (!steps.is_empty()).then_some(steps)
}

fn after_dot(rest: &str) -> Option<(Step, &str)> {
    let (name, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
    match name {
        "*" => Some((Step::Every, after)),
        "" => None,
        // What would be a filter, a slice or a mistake.
        _ if name.contains(['*', ']', '\'', '"', '?', '(', ')']) => None,
        _ => Some((Step::Member(name.to_owned()), after)),
    }
}

fn in_brackets(rest: &str) -> Option<(Step, &str)> {
    if let Some(quote @ ('\'' | '"')) = rest.chars().next() {
        let (name, after) = quoted(rest.get(1..)?, quote)?;
        return Some((Step::Member(name), after.strip_prefix(']')?));
    }
    let (index, after) = rest.split_once(']')?;
    let digits = index.bytes().all(|byte| byte.is_ascii_digit());
    match index {
        "*" => Some((Step::Every, after)),
        _ if digits => Some((Step::Element(index.parse().ok()?), after)),
        _ => None,
    }
}

/// A name up to its quote, where `\` takes the next character's meaning away.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '\\' => name.push(characters.next()?),
            character if character == quote => return Some((name, characters.as_str())),
            character => name.push(character),
        }
    }
}

/// Where in a tree of paths a value lies.
pub(super) type Place = usize;

/// Paths as a tree: those that begin alike share their beginning.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    /// The first is the document.
    places: Vec<Branches>,
}

#[derive(Clone, Debug, Default)]
struct Branches {
    steps: Vec<(Step, Place)>,
    /// The rule whose path ends here.
    rule: Option<usize>,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths { places: vec![Branches::default()] }
    }
}

impl Paths {
    /// The place of the document itself.
    pub(super) const DOCUMENT: Place = 0;

    /// Adds a path with the number of its rule, which is higher than those before.
    pub(super) fn add(&mut self, path: &[Step], rule: usize) {
        let mut place = Self::DOCUMENT;
        for step in path {
            place = self.branch(place, step);
        }
        if let Some(end) = self.places.get_mut(place) {
            end.rule = Some(rule);
        }
    }

    fn branch(&mut self, place: Place, step: &Step) -> Place {
        let next = self.places.len();
        let Some(branches) = self.places.get_mut(place) else { return place };
        if let Some((_, known)) = branches.steps.iter().find(|(other, _)| other == step) {
            return *known;
        }
        branches.steps.push((step.clone(), next));
        self.places.push(Branches::default());
        next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.len() == 1
    }

    /// The rules of the paths that begin as these steps do, or end before.
    pub(super) fn covering<'a, T>(
        &'a self,
        steps: &'a [T],
        matches: impl Fn(&Step, &T) -> bool,
    ) -> Vec<usize> {
        let (mut rules, mut places) = (Vec::new(), vec![Self::DOCUMENT]);
        for taken in steps {
            let from = places.iter().filter_map(|place| self.places.get(*place));
            let next = from.flat_map(|branches| &branches.steps);
            let next = next.filter(|(step, _)| matches(step, taken)).map(|(_, to)| *to);
            places = next.collect();
            let ends = places.iter().filter_map(|place| self.places.get(*place)?.rule);
            rules.extend(ends);
        }
        rules
    }

    /// The places that one step leads to from this one, each with the rule that ends there.
    pub(super) fn from<'a>(
        &'a self,
        place: Place,
        taken: Taken<'a>,
    ) -> impl Iterator<Item = (Place, Option<usize>)> + 'a {
        let steps = self.places.get(place).map_or(&[][..], |branches| &branches.steps);
        let steps = steps.iter().filter(move |(step, _)| taken.is(step));
        steps.map(|(_, to)| (*to, self.places.get(*to).and_then(|branches| branches.rule)))
    }
}

/// A step that a document takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken<'a> {
    Member(&'a [u8]),
    Element(usize),
}

impl Taken<'_> {
    fn is(self, step: &Step) -> bool {
        match (self, step) {
            (_, Step::Every) => true,
            (Taken::Member(key), Step::Member(name)) => key.eq_ignore_ascii_case(name.as_bytes()),
            (Taken::Element(at), Step::Element(index)) => at == *index,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let member = |name: &str| Step::Member(name.to_owned());
        for (path, steps) in [
            ("$.user.email", vec![member("user"), member("email")]),
            ("$.items[*].card", vec![member("items"), Step::Every, member("card")]),
            ("$.list[0].x", vec![member("list"), Step::Element(0), member("x")]),
            ("$['odd key']", vec![member("odd key")]),
            (r#"$["a'\"\\"].*"#, vec![member(r#"a'"\"#), Step::Every]),
            ("$[*][12]", vec![Step::Every, Step::Element(12)]),
        ] {
            assert_eq!(parse(path), Some(steps), "{path}");
        }
    }

    #[test]
    fn what_is_no_simple_path_is_none() {
        for path in [
            "$",
            "$.",
            "$..a",
            "$.a.",
            "$.a[",
            "$.a[]",
            "$.a[-1]",
            "$.a[1:2]",
            "$.a[?(@.b)]",
            "$['a]",
            "$['a'",
            "$[a]",
            "$a",
            "a.b",
            "$.a*",
            "$.a]",
            "$[99999999999999999999]",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
        assert!(!is_path("$ref") && !is_path("$") && is_path("$.a") && is_path("$[0]"));
    }
}
