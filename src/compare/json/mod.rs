//! Two JSON texts compared by value, side by side.
//!
//! Both are read at once. Where their bytes are the same, one of them is read and the other follows; where they are the
//! same to the end, nothing more is read. Only an object whose members stand in another order, or are not the
//! same, is taken apart: its members are listed and matched by name.
//!
//! Equal by value means: numbers by their exact decimal value (`1` is `1.0` and `1e0`), strings unescaped,
//! objects whatever their order. Where an object has a name more than once, which readers take in different
//! ways, the first is compared with the first, the second with the second, and so on. Elements of arrays
//! are compared by their index, or, where a rule says so, in any order.

mod cursor;
mod number;
mod path;
mod string;
mod taken_apart;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub(super) use path::{Pattern, Step};

use super::difference::{Change, Differences};
use super::rules::Rules;
use cursor::{Cursor, Type};

/// How many objects and arrays deep a JSON text may be.
pub const DEPTH: usize = 128;

/// Why reading two texts stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halt {
    /// What is left of both is the same.
    Same,
    /// One is no JSON text.
    Invalid,
    /// One is deeper than [`DEPTH`].
    Deep,
}

/// One of the texts is no JSON, or deeper than [`DEPTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

/// Where two JSON texts differ. Texts that are the same byte by byte are equal whatever they are; and what
/// is the same at the end of both need not be valid.
pub fn compare(production: &[u8], staging: &[u8], rules: &Rules) -> Result<Differences, NotJson> {
    let mut walk = Walk {
        a: Cursor::new(production),
        b: Cursor::new(staging),
        same_to: 0,
        path: Vec::new(),
        rules,
        found: Differences::default(),
    };
    match walk.texts() {
        Ok(()) | Err(Halt::Same) => Ok(walk.found),
        Err(Halt::Invalid | Halt::Deep) => Err(NotJson),
    }
}

/// Whether this is one JSON text that can be compared.
pub fn is_json(text: &[u8]) -> bool {
    Cursor::check(text).is_ok()
}

/// Two texts, read to places that correspond.
struct Walk<'a, 'r> {
    a: Cursor<'a>,
    b: Cursor<'a>,
    /// Up to which place of `a` the bytes are known to be the same.
    same_to: usize,
    path: Vec<Step<'a>>,
    rules: &'r Rules,
    found: Differences,
}

impl<'a> Walk<'a, '_> {
    fn texts(&mut self) -> Result<(), Halt> {
        self.a.blank();
        self.b.blank();
        self.value(DEPTH)?;
        self.a.end()?;
        self.b.end()
    }

    /// Compares two values by themselves.
    fn pair(&mut self, a: &'a [u8], b: &'a [u8], room: usize) -> Result<(), Halt> {
        if a == b {
            return Ok(());
        }
        let saved = (self.a, self.b, self.same_to, self.path.len());
        (self.a, self.b, self.same_to) = (Cursor::new(a), Cursor::new(b), 0);
        let result = self.value(room);
        (self.a, self.b, self.same_to) = (saved.0, saved.1, saved.2);
        self.path.truncate(saved.3);
        match result {
            Err(Halt::Same) => Ok(()),
            result => result,
        }
    }

    /// Looks how far the bytes are the same from here.
    #[inline]
    fn look_ahead(&mut self) -> Result<(), Halt> {
        if self.a.at < self.same_to {
            return Ok(());
        }
        let (a, b) = (self.a.rest(), self.b.rest());
        let same = common(a, b);
        if same == a.len() && same == b.len() {
            return Err(Halt::Same);
        }
        self.same_to = self.a.at + same;
        Ok(())
    }

    /// Takes `b` as far as `a` has gone since, if all that `a` read is the same in both.
    #[inline]
    fn followed(&mut self, since: usize) -> bool {
        let same = self.a.at <= self.same_to;
        if same {
            self.b.at += self.a.at - since;
        }
        same
    }

    /// The same for what ends where another byte follows, which must be the same too.
    #[inline]
    fn followed_beyond(&mut self, since: usize) -> bool {
        self.a.at < self.same_to && self.followed(since)
    }

    /// Both are at the first byte of a value.
    fn value(&mut self, room: usize) -> Result<(), Halt> {
        self.look_ahead()?;
        let (one, other) = (self.a.kind()?, self.b.kind()?);
        match (one, other) {
            (Type::Object, Type::Object) => self.object(room.checked_sub(1).ok_or(Halt::Deep)?),
            (Type::Array, Type::Array) => self.array(room.checked_sub(1).ok_or(Halt::Deep)?),
            _ => self.leaf(one, other, room),
        }
    }

    /// Two values of which one is neither object nor array.
    fn leaf(&mut self, one: Type, other: Type, room: usize) -> Result<(), Halt> {
        let since = (self.a.at, self.b.at);
        self.a.skip(room)?;
        if self.followed_beyond(since.0) {
            return Ok(());
        }
        self.b.skip(room)?;
        let (a, b) = (self.a.since(since.0), self.b.since(since.1));
        if one != other {
            self.note(Change::Type, 1, a, b);
            return Ok(());
        }
        let equal = match one {
            Type::String => string::equal(a, b),
            Type::Number => number::equal(a, b),
            _ => a == b,
        };
        if !equal {
            self.note_value(a, b);
        }
        Ok(())
    }

    fn object(&mut self, room: usize) -> Result<(), Halt> {
        self.enter();
        let mut first = true;
        loop {
            let open = self.more(first, b'}')?;
            let names = (self.a.at, self.b.at);
            match open {
                (false, false) => return Ok(()),
                (true, true) if self.same_name()? => {}
                _ => {
                    (self.a.at, self.b.at) = names;
                    return self.members(open, room);
                }
            }
            self.colon()?;
            self.value(room)?;
            self.path.pop();
            first = false;
        }
    }

    /// Past two names, and into the path, where they are the same.
    #[inline]
    fn same_name(&mut self) -> Result<bool, Halt> {
        let since = self.a.at;
        let name = self.a.string()?;
        let same = self.followed(since) || string::equal(name, self.b.string()?);
        if same {
            self.path.push(Step::Member(name));
        }
        Ok(same)
    }

    fn array(&mut self, room: usize) -> Result<(), Halt> {
        if self.rules.ignores_order(&self.path) {
            return self.unordered(room);
        }
        self.enter();
        let mut first = true;
        loop {
            match self.more(first, b']')? {
                (false, false) => return Ok(()),
                (true, true) => {}
                open => return self.elements_left(open, room),
            }
            self.path.push(Step::Element);
            self.value(room)?;
            self.path.pop();
            first = false;
        }
    }

    /// Past the brackets that both are at.
    #[inline]
    fn enter(&mut self) {
        self.a.at += 1;
        self.b.at += 1;
    }

    #[inline]
    fn colon(&mut self) -> Result<(), Halt> {
        let since = self.a.at;
        self.a.colon()?;
        if self.followed_beyond(since) { Ok(()) } else { self.b.colon() }
    }

    /// To the next of both, where there is one.
    #[inline]
    fn more(&mut self, first: bool, close: u8) -> Result<(bool, bool), Halt> {
        let since = self.a.at;
        let more = self.a.more(first, close)?;
        if self.followed_beyond(since) {
            Ok((more, more))
        } else {
            Ok((more, self.b.more(first, close)?))
        }
    }

    /// Notes two values of one type that differ, unless they do not when blanked.
    fn note_value(&mut self, a: &[u8], b: &[u8]) {
        let same = || self.rules.same_when_blanked(&string::value(a), &string::value(b));
        if !self.rules.blanks() || !same() {
            self.note(Change::Value, 1, a, b);
        }
    }

    /// Notes a difference here, unless a rule leaves it out.
    fn note(&mut self, change: Change, count: u64, a: &[u8], b: &[u8]) {
        if !self.rules.ignores(&self.path) {
            let path = &self.path;
            self.found.note(path::place(path), change, count, (a, b), || path::written(path));
        }
    }
}

/// How many bytes both begin with.
fn common(one: &[u8], other: &[u8]) -> usize {
    const STRIDE: usize = 64;
    let strides = one.as_chunks::<STRIDE>().0.iter().zip(other.as_chunks::<STRIDE>().0);
    let at = strides.take_while(|(one, other)| one == other).count() * STRIDE;
    let (one, other) = (one.get(at..).unwrap_or_default(), other.get(at..).unwrap_or_default());
    at + one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
