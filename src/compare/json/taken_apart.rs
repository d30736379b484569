//! Objects and arrays whose parts do not stand in the same order: listed, and matched.

use std::borrow::Cow;

use super::super::difference::{Change, digest};
use super::cursor::{Cursor, Type};
use super::path::Step;
use super::{Halt, Walk, number, string};

/// A member of an object, by its name's digest; or an element of an array, by its value's, without a name.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    digest: u64,
    name: &'a [u8],
    value: &'a [u8],
}

/// Those that only one side has, and those that both have.
#[derive(Debug)]
enum Match<'a> {
    Both(Part<'a>, Part<'a>),
    Production(Part<'a>),
    Staging(Part<'a>),
}

impl<'a> Walk<'a, '_> {
    /// The rest of two objects, members matched by name. Both are at a name, or, where not open, past the end.
    pub(super) fn members(&mut self, open: (bool, bool), room: usize) -> Result<(), Halt> {
        let a = members(&mut self.a, open.0, room)?;
        let b = members(&mut self.b, open.1, room)?;
        debug_assert!(self.same_to <= self.a.at, "the place where they differ is behind");
        for pair in matched(a, b, |one, other| string::equal(one.name, other.name)) {
            let (Match::Both(Part { name, .. }, _)
            | Match::Production(Part { name, .. })
            | Match::Staging(Part { name, .. })) = pair;
            self.path.push(Step::Member(name));
            match pair {
                Match::Both(a, b) => self.pair(a.value, b.value, room)?,
                Match::Production(a) => self.note(Change::Missing, 1, a.value, b""),
                Match::Staging(b) => self.note(Change::Extra, 1, b"", b.value),
            }
            self.path.pop();
        }
        Ok(())
    }

    /// The elements of the longer of two arrays, to which the shorter has no counterpart.
    pub(super) fn elements_left(&mut self, open: (bool, bool), room: usize) -> Result<(), Halt> {
        let (side, change) = match open {
            (true, _) => (&mut self.a, Change::Missing),
            (false, _) => (&mut self.b, Change::Extra),
        };
        let (first, count) = elements_from(side, room)?;
        debug_assert!(self.same_to <= self.a.at, "the place where they differ is behind");
        self.path.push(Step::Element);
        match change {
            Change::Missing => self.note(change, count, first, b""),
            _ => self.note(change, count, b"", first),
        }
        self.path.pop();
        Ok(())
    }

    /// Two arrays in any order: elements of equal value cancel out, the others are compared as they come.
    pub(super) fn unordered(&mut self, room: usize) -> Result<(), Halt> {
        let since = self.a.at;
        self.a.skip(room + 1)?;
        if self.followed(since) {
            return Ok(());
        }
        self.a.at = since;
        self.path.push(Step::Element);
        let (a, b) = (self.elements(self.a, room)?, self.elements(self.b, room)?);
        (self.a.at, self.b.at) = (a.1, b.1);
        debug_assert!(self.same_to <= self.a.at, "the place where they differ is behind");
        let (mut missing, mut extra) = (Vec::new(), Vec::new());
        for pair in matched(a.0, b.0, |_, _| true) {
            match pair {
                Match::Both(..) => {}
                Match::Production(part) => missing.push(part.value),
                Match::Staging(part) => extra.push(part.value),
            }
        }
        // As they stand in their texts, which the digests do not tell.
        missing.sort_unstable_by_key(|value| value.as_ptr());
        extra.sort_unstable_by_key(|value| value.as_ptr());
        self.left_over(&missing, &extra, room)?;
        self.path.pop();
        Ok(())
    }

    fn left_over(
        &mut self,
        missing: &[&'a [u8]],
        extra: &[&'a [u8]],
        room: usize,
    ) -> Result<(), Halt> {
        for (a, b) in missing.iter().zip(extra) {
            self.pair(a, b, room)?;
        }
        let both = missing.len().min(extra.len());
        if let Some(value) = missing.get(both) {
            self.note(Change::Missing, (missing.len() - both) as u64, value, b"");
        }
        if let Some(value) = extra.get(both) {
            self.note(Change::Extra, (extra.len() - both) as u64, b"", value);
        }
        Ok(())
    }

    /// The elements of the array that begins here, and where it ends. The path is the elements'.
    fn elements(
        &mut self,
        mut side: Cursor<'a>,
        room: usize,
    ) -> Result<(Vec<Part<'a>>, usize), Halt> {
        let mut elements = Vec::new();
        side.at += 1;
        while side.more(elements.is_empty(), b']')? {
            let since = side.at;
            let digest = self.digest(&mut side, room)?;
            elements.push(Part { digest, name: b"", value: side.since(since) });
        }
        Ok((elements, side.at))
    }

    /// Past a value; a digest that is the same for values that are equal under the rules.
    fn digest(&mut self, side: &mut Cursor<'a>, room: usize) -> Result<u64, Halt> {
        let (kind, since) = (side.kind()?, side.at);
        if self.rules.ignores_paths() && self.rules.ignores(&self.path) {
            side.skip(room)?;
            return Ok(0);
        }
        let digest = match kind {
            Type::Object => self.digest_of_members(side, room.checked_sub(1).ok_or(Halt::Deep)?)?,
            Type::Array => self.digest_of_elements(side, room.checked_sub(1).ok_or(Halt::Deep)?)?,
            _ => {
                side.scalar()?;
                self.digest_of_scalar(kind, side.since(since))
            }
        };
        Ok(mixed(kind as u64, digest))
    }

    fn digest_of_scalar(&self, kind: Type, scalar: &[u8]) -> u64 {
        let value = string::value(scalar);
        match self.rules.blank(&value) {
            Cow::Borrowed(_) if kind == Type::Number => number::digest(scalar),
            blanked => digest(&blanked),
        }
    }

    fn digest_of_members(&mut self, side: &mut Cursor<'a>, room: usize) -> Result<u64, Halt> {
        let (mut sum, mut first) = (0_u64, true);
        side.at += 1;
        while side.more(first, b'}')? {
            let name = side.string()?;
            side.colon()?;
            self.path.push(Step::Member(name));
            let left_out = self.rules.ignores_paths() && self.rules.ignores(&self.path);
            let value = self.digest(side, room)?;
            self.path.pop();
            if !left_out {
                sum = sum.wrapping_add(mixed(digest_of_string(name), value));
            }
            first = false;
        }
        Ok(sum)
    }

    fn digest_of_elements(&mut self, side: &mut Cursor<'a>, room: usize) -> Result<u64, Halt> {
        let in_any_order = self.rules.ignores_order(&self.path);
        let (mut sum, mut index) = (0_u64, 0_u64);
        side.at += 1;
        self.path.push(Step::Element);
        while side.more(index == 0, b']')? {
            let value = self.digest(side, room)?;
            index += 1;
            sum = sum.wrapping_add(mixed(if in_any_order { 0 } else { index }, value));
        }
        self.path.pop();
        // Elements that are left out still count.
        Ok(mixed(index, sum))
    }
}

/// One number of two, which can be added up: each bit of either changes half of its bits.
fn mixed(one: u64, other: u64) -> u64 {
    let mut bits = one.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ other;
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

fn digest_of_string(text: &[u8]) -> u64 {
    digest(&string::resolved(text))
}

/// The members from here to the object's end, which is gone past.
fn members<'a>(side: &mut Cursor<'a>, mut open: bool, room: usize) -> Result<Vec<Part<'a>>, Halt> {
    let mut members = Vec::new();
    while open {
        let name = side.string()?;
        side.colon()?;
        let since = side.at;
        side.skip(room)?;
        members.push(Part { digest: digest_of_string(name), name, value: side.since(since) });
        open = side.more(false, b'}')?;
    }
    Ok(members)
}

/// The first element from here, and how many there are to the array's end, which is gone past.
fn elements_from<'a>(side: &mut Cursor<'a>, room: usize) -> Result<(&'a [u8], u64), Halt> {
    let since = side.at;
    side.skip(room)?;
    let (first, mut count) = (side.since(since), 1);
    while side.more(false, b']')? {
        side.skip(room)?;
        count += 1;
    }
    Ok((first, count))
}

/// Matches parts with the same digest, the first with the first and so on.
fn matched<'a>(
    mut a: Vec<Part<'a>>,
    mut b: Vec<Part<'a>>,
    same: impl Fn(&Part<'a>, &Part<'a>) -> bool,
) -> impl Iterator<Item = Match<'a>> {
    a.sort_by_key(|part| part.digest);
    b.sort_by_key(|part| part.digest);
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(one), Some(other)) if one.digest == other.digest && same(one, other) => {
            a.next().zip(b.next()).map(|(one, other)| Match::Both(one, other))
        }
        (Some(one), other) if other.is_none_or(|other| one.digest <= other.digest) => {
            a.next().map(Match::Production)
        }
        _ => b.next().map(Match::Staging),
    })
}
