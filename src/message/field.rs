//! The fields of a request, told apart by their names.

use std::iter::Copied;
use std::slice;

/// A field as received.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name, spelt as received.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    pub(super) role: Role,
}

/// A request's fields, in order, each of which is looked at when it is come to.
pub trait HeaderSection<'a>: Iterator<Item = Field<'a>> + Clone {
    /// Those whose names begin so; the others need not be measured.
    fn beginning(self, so: impl Fn([u8; 2]) -> bool) -> impl Iterator<Item = Field<'a>> {
        self.filter(move |field| field.name.first_chunk().is_some_and(|begin| so(*begin)))
    }
}

impl<'a> HeaderSection<'a> for Copied<slice::Iter<'a, Field<'a>>> {}

/// What a field's name means to a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Copied as it is.
    EndToEnd,
    /// Belongs to the client's connection (RFC 9110 section 7.6.1), or to its framing.
    HopByHop,
    Connection,
    ContentLength,
    Host,
    Te,
    TransferEncoding,
    Upgrade,
    LoopMark,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
}

impl<'a> Field<'a> {
    /// A field of this name and value.
    #[inline(always)]
    pub fn new(name: &'a [u8], value: &'a [u8]) -> Field<'a> {
        Field { name, value, role: Role::of(name) }
    }
}

/// Whether a field of this name means nothing to a copy but to be copied.
pub(super) fn is_end_to_end(name: &[u8]) -> bool {
    Role::of(name) == Role::EndToEnd
}

/// The names that mean something to a copy: all that [`Role::of`] knows.
const KNOWN: [&[u8]; 15] = [
    b"te",
    b"host",
    b"expect",
    b"upgrade",
    b"trailer",
    b"connection",
    b"keep-alive",
    b"x-mod-copy",
    b"content-length",
    b"http2-settings",
    b"x-forwarded-for",
    b"proxy-connection",
    b"x-forwarded-host",
    b"transfer-encoding",
    b"x-forwarded-proto",
];

/// The first letters of these, a bit each, by their lengths: most fields are told apart without a look at the rest.
const INITIALS: [u32; 18] = initials();

const fn initials() -> [u32; 18] {
    let mut initials = [0; 18];
    let mut known: &[&[u8]] = &KNOWN;
    while let [name, rest @ ..] = known {
        if let [initial, ..] = name {
            #[allow(clippy::indexing_slicing, reason = "checked when it is compiled")]
            {
                initials[name.len()] |= 1 << (*initial & 0x1f);
            }
        }
        known = rest;
    }
    initials
}

impl Role {
    #[inline(always)]
    fn of(name: &[u8]) -> Role {
        let initial = name.first().map_or(0, |initial| initial | 0x20);
        let initials = INITIALS.get(name.len()).copied().unwrap_or(0);
        if initials >> (initial & 0x1f) & 1 == 0 {
            return Role::EndToEnd;
        }
        match (name.len(), initial) {
            (2, b't') if is(name, b"te") => Role::Te,
            (4, b'h') if is(name, b"host") => Role::Host,
            (6, b'e') if is(name, b"expect") => Role::HopByHop,
            (7, b'u') if is(name, b"upgrade") => Role::Upgrade,
            (7, b't') if is(name, b"trailer") => Role::HopByHop,
            (10, b'c') if is(name, b"connection") => Role::Connection,
            (10, b'k') if is(name, b"keep-alive") => Role::HopByHop,
            (10, b'x') if is(name, b"x-mod-copy") => Role::LoopMark,
            (14, b'c') if is(name, b"content-length") => Role::ContentLength,
            (14, b'h') if is(name, b"http2-settings") => Role::HopByHop,
            (15, b'x') if is(name, b"x-forwarded-for") => Role::ForwardedFor,
            (16, b'p') if is(name, b"proxy-connection") => Role::HopByHop,
            (16, b'x') if is(name, b"x-forwarded-host") => Role::ForwardedHost,
            (17, b't') if is(name, b"transfer-encoding") => Role::TransferEncoding,
            (17, b'x') if is(name, b"x-forwarded-proto") => Role::ForwardedProto,
            _ => Role::EndToEnd,
        }
    }
}

/// Whether a token is the known one, whose letters are small, letter case aside.
///
/// The bit that is set turns capitals into small letters and leaves `-` and digits alone; what else it
/// would make alike (control characters) no token has. The known length lets this be a few instructions,
/// on as many bytes at a time as it has, the last of which may be looked at twice.
#[inline(always)]
pub(super) fn is<const N: usize>(token: &[u8], known: &[u8; N]) -> bool {
    if token.len() != N {
        return false;
    }
    match N {
        8..=16 => ends::<8>(token) == ends::<8>(known),
        4..=7 => ends::<4>(token) == ends::<4>(known),
        _ => token.eq_ignore_ascii_case(known),
    }
}

/// The first and the last bytes of a token, in small letters; they are all of it up to twice their number.
#[inline(always)]
fn ends<const N: usize>(token: &[u8]) -> Option<[[u8; N]; 2]> {
    let small = |bytes: &[u8; N]| bytes.map(|byte| byte | 0x20);
    Some([small(token.first_chunk()?), small(token.last_chunk()?)])
}

/// The first letters of a name as one number, letter case aside.
pub(super) const fn small(begin: [u8; 2]) -> u16 {
    u16::from_le_bytes(begin) | u16::from_le_bytes([0x20; 2])
}

/// What a request's way depends on, as its fields say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notes<'a> {
    /// The value of `Connection`; empty if not received.
    pub connection: &'a [u8],
    /// Whether the client asks for another protocol on this connection.
    pub asks_for_upgrade: bool,
    /// `Content-Length`, if received.
    length: Option<u64>,
    is_chunked: bool,
}

impl<'a> Notes<'a> {
    /// Whether a name that begins with these four letters, as capitals, may be of interest: most are passed over.
    #[inline(always)]
    pub fn concern(begin: u32) -> bool {
        const CONN: u32 = u32::from_be_bytes(*b"CONN");
        const CONT: u32 = u32::from_be_bytes(*b"CONT");
        const TRAN: u32 = u32::from_be_bytes(*b"TRAN");
        const UPGR: u32 = u32::from_be_bytes(*b"UPGR");
        matches!(begin, CONN | CONT | TRAN | UPGR)
    }

    /// Takes note of a field, whose value is looked at only where it is of interest.
    #[inline(always)]
    pub fn note(&mut self, name: &[u8], value: impl FnOnce() -> &'a [u8]) {
        match Role::of(name) {
            Role::Connection => self.connection = value(),
            Role::Upgrade => self.asks_for_upgrade = true,
            Role::ContentLength => self.length = number(value()),
            Role::TransferEncoding => self.is_chunked = true,
            _ => {}
        }
    }

    /// What follows the head: nothing, so many bytes, or (where chunked) an unknown number. The same
    /// for `HEAD` as for any method: httpd reads what is announced.
    pub fn content(&self) -> Option<Option<u64>> {
        let declared = self.length.filter(|length| *length > 0).map(Some);
        if self.is_chunked { Some(None) } else { declared }
    }
}

/// What digits say; httpd has refused a `Content-Length` of anything else.
#[inline(always)]
fn number(digits: &[u8]) -> Option<u64> {
    // So many always fit.
    const FEW: usize = 19;
    if digits.len() > FEW {
        return long_number(digits);
    }
    digits.iter().try_fold(0, |sum: u64, byte| Some(sum * 10 + digit(*byte)?))
}

#[cold]
fn long_number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum: u64, byte| sum.checked_mul(10)?.checked_add(digit(*byte)?))
}

fn digit(byte: u8) -> Option<u64> {
    byte.checked_sub(b'0').filter(|digit| *digit <= 9).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes<'a>(fields: &[(&'a str, &'a str)]) -> Notes<'a> {
        let mut notes = Notes::default();
        for (name, value) in fields {
            let name = name.as_bytes();
            let begin = name.first_chunk::<4>().map(|begin| begin.map(|byte| byte & 0xdf));
            if begin.is_some_and(|begin| Notes::concern(u32::from_be_bytes(begin))) {
                notes.note(name, || value.as_bytes());
            }
        }
        notes
    }

    #[test]
    fn what_follows_is_what_the_fields_announce() {
        assert_eq!(notes(&[("Host", "a")]).content(), None);
        assert_eq!(notes(&[("content-LENGTH", "1024")]).content(), Some(Some(1024)));
        assert_eq!(notes(&[("Content-Length", "0")]).content(), None);
        let most = "9999999999999999999";
        assert_eq!(notes(&[("Content-Length", most)]).content(), Some(Some(most.parse().unwrap())));
        assert_eq!(notes(&[("Content-Length", "99999999999999999999")]).content(), None);
        let padded = "000000000000000000000000005";
        assert_eq!(notes(&[("Content-Length", padded)]).content(), Some(Some(5)));
        assert_eq!(notes(&[("Transfer-Encoding", "chunked")]).content(), Some(None));
    }

    #[test]
    fn every_known_name_has_its_role_and_its_neighbours_have_none() {
        for known in KNOWN {
            for name in [known.to_vec(), known.to_ascii_uppercase()] {
                assert_ne!(Role::of(&name), Role::EndToEnd, "{known:?}");
                let mut longer = name.clone();
                longer.push(b's');
                assert_eq!(Role::of(&longer), Role::EndToEnd, "{known:?}");
                let mut other = name;
                *other.last_mut().unwrap() = b'~';
                assert_eq!(Role::of(&other), Role::EndToEnd, "{known:?}");
            }
        }
        assert_eq!(Role::of(b""), Role::EndToEnd);
    }

    #[test]
    fn names_are_told_apart_whatever_their_spelling() {
        let notes = notes(&[
            ("cOnnection", "close"),
            ("connections", "x"),
            ("Upgrade", "h2c"),
            ("Content-Lengths", "5"),
        ]);
        assert_eq!((notes.connection, notes.content()), (&b"close"[..], None));
        assert!(notes.asks_for_upgrade);
    }
}
