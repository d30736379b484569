//! Bytes that are not masked yet, made for masking alone: wiped as soon as that is done.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::memory::wipe;

/// A message, or a part of it, as the client sent it.
///
/// What grows leaves its former places behind as they were: room is made before, where that is known.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Cleartext(Vec<u8>);

impl Cleartext {
    /// These pieces, joined.
    pub(super) fn joined(pieces: &[&[u8]]) -> Cleartext {
        Cleartext(pieces.concat())
    }
}

impl Drop for Cleartext {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl Deref for Cleartext {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Cleartext {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl fmt::Debug for Cleartext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "what Miri has for memory is not the process's")]
    fn cleartext_is_wiped_before_it_is_freed() {
        let [short, long] = [b"secret", &[b'#'; 2048][..]];
        let cleartext = Cleartext::joined(&[short, long]);
        assert_eq!(format!("{cleartext:?}"), "2054 bytes");
        let place = cleartext.as_ptr().addr();
        drop(cleartext);
        let mut left = [0; 2048];
        File::open("/proc/self/mem").unwrap().read_exact_at(&mut left, place as u64).unwrap();
        assert_eq!(memchr::memmem::find(&left, &[b'#'; 32]), None);
    }
}
