//! The names that rules look for, each with the last rule that has it.

/// Bits of the filter.
const SLOTS: usize = 1024;

/// Names, found whatever the case of their ASCII letters.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Which names may be among them, by a few of their bytes: most are told apart by this alone.
    filter: [u64; SLOTS / 64],
    entries: Vec<(Box<str>, usize)>,
}

impl Names {
    /// Adds a name with the number of its rule, which is higher than those before.
    pub(super) fn add(&mut self, name: &str, rule: usize) {
        self.entries.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.entries.push((name.into(), rule));
        let (word, bit) = slot(name.as_bytes());
        if let Some(word) = self.filter.get_mut(word) {
            *word |= bit;
        }
    }

    /// The number of the rule that has this name.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let (word, bit) = slot(name);
        if self.filter.get(word).is_some_and(|word| word & bit != 0) {
            self.search(name)
        } else {
            None
        }
    }

    /// All names, each with the number of its rule.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, usize)> {
        self.entries.iter().map(|(name, rule)| (&**name, *rule))
    }

    fn search(&self, name: &[u8]) -> Option<usize> {
        let same = |other: &str| other.as_bytes().eq_ignore_ascii_case(name);
        let entry = self.entries.iter().find(|(other, _)| same(other));
        entry.map(|(_, rule)| *rule)
    }
}

/// A name's place in the filter: the same for names that differ in the case of their letters alone.
#[inline]
fn slot(name: &[u8]) -> (usize, u64) {
    let small = |byte: Option<&u8>| byte.map_or(0, |byte| usize::from(byte | 0x20));
    let middle = small(name.get(name.len() / 2));
    let mixed = name.len() * 131 + small(name.first()) * 37 + middle * 11 + small(name.last());
    (mixed / 64 % (SLOTS / 64), 1 << (mixed % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_and_the_last_rule_holds() {
        let mut names = Names::default();
        assert_eq!(names.find(b""), None);
        for (rule, name) in ["password", "Token", "PASSWORD", "x"].iter().enumerate() {
            names.add(name, rule);
        }
        for (name, rule) in [("Password", 2), ("token", 1), ("X", 3)] {
            assert_eq!(names.find(name.as_bytes()), Some(rule), "{name}");
        }
        for name in ["passwor", "passw0rd", "tokens", "", "y"] {
            assert_eq!(names.find(name.as_bytes()), None, "{name}");
        }
    }
}
