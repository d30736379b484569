//! HMAC-SHA-256 in place of a value: who has not the key learns no value, but equal values stay equal.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// How many hexadecimal digits stand for a value.
///
/// Half of the 64: short enough for a column that held a UUID, and with 128 bits no two values of a
/// lifetime have the same.
pub const HASH_DIGITS: usize = 32;

/// The block of SHA-256, in bytes: a longer key is hashed first (RFC 2104 section 2).
const BLOCK: usize = 64;

/// The key of `hash`, ready for use.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// A key of any length.
    pub fn of(secret: &[u8]) -> Key {
        let digest = Sha256::digest(secret);
        let short = if secret.len() > BLOCK { digest.as_slice() } else { secret };
        let mut block = [0; BLOCK];
        for (place, byte) in block.iter_mut().zip(short) {
            *place = *byte;
        }
        Key(Hmac::new(&block.into()))
    }

    /// What stands for the value: the beginning of its HMAC-SHA-256, as hexadecimal digits.
    pub(super) fn hash(&self, value: &[u8]) -> [u8; HASH_DIGITS] {
        let mut mac = self.0.clone();
        mac.update(value);
        let digest = mac.finalize().into_bytes();
        let mut digits = [0; HASH_DIGITS];
        for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(digest) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        digits
    }
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_beginning_of_hmac_sha_256() {
        // RFC 4231, test cases 1, 2 and 6.
        for (key, value, digits) in [
            (&[0x0b; 20][..], "Hi There", "b0344c61d8db38535ca8afceaf0bf12b"),
            (b"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c7"),
            (
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f",
            ),
        ] {
            assert_eq!(Key::of(key).hash(value.as_bytes()), digits.as_bytes());
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", Key::of(b"secret")), "Key(…)");
    }
}
