//! The sample: which share of the requests is copied, and where each falls.
//!
//! Every request has a place, a number of 64 bits, and is in a sample of a share *s* if its place is below
//! *s* · 2^64. So a smaller sample is a part of each larger one. With a key the place is the key's XXH64 (seed
//! 0), which is the same in every child, on every server and after each restart; without one it is by chance.

use std::cell::Cell;

use fastrand::Rng;
use rustix::rand::{GetRandomFlags, getrandom};
use twox_hash::XxHash64;

/// A share of the requests, in thousandths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// How many parts the whole has.
    const PARTS: u32 = 100_000;

    /// Every request.
    pub const ALL: Share = Share(Share::PARTS);

    /// Reads a percentage from `0.001%` to `100%`, with at most three decimals.
    pub fn parse(text: &str) -> Option<Share> {
        let number = text.strip_suffix('%')?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |digits: &str, most: usize| {
            (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole, 3) || !is_number(part, 3) {
            return None;
        }
        let share = format!("{whole}{part:0<3}").parse().ok()?;
        (1..=Share::PARTS).contains(&share).then_some(Share(share))
    }

    /// The parts of a hundred thousand.
    pub fn parts(self) -> u32 {
        self.0
    }

    /// Places below this are in the sample; `None` for all.
    pub fn limit(self) -> Option<u64> {
        let limit = (u128::from(self.0) << 64) / u128::from(Share::PARTS);
        u64::try_from(limit).ok()
    }
}

/// Where a request with that key falls; `None` where the key is empty, which is no key.
pub fn place(key: &[u8]) -> Option<u64> {
    (!key.is_empty()).then(|| XxHash64::oneshot(0, key))
}

/// A number by chance: no two threads have the same ones. Each thread asks the system once.
pub fn chance() -> u64 {
    thread_local! {
        static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    }
    STATE.with(|state| {
        let mut rng = Rng::with_seed(state.get().unwrap_or_else(seed));
        let number = rng.u64(..);
        state.set(Some(rng.get_seed()));
        number
    })
}

#[cold]
fn seed() -> u64 {
    let mut bytes = [0; 8];
    // The request path waits for nothing: where the system has none yet, the clock and the thread make one.
    match getrandom(&mut bytes, GetRandomFlags::NONBLOCK) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => fastrand::u64(..),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_has_three_decimals_at_most() {
        for (text, parts) in [
            ("100%", 100_000),
            ("100.000%", 100_000),
            ("10%", 10_000),
            ("2.5%", 2_500),
            ("0.001%", 1),
            ("00.1%", 100),
        ] {
            assert_eq!(Share::parse(text), Some(Share(parts)), "{text}");
        }
        for text in [
            "", "%", "10", "0%", "0.0001%", "100.001%", "101%", "-1%", "+1%", ".5%", "5.%", "1e1%",
            "10 %", "10%%", "1,5%",
        ] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
    }

    #[test]
    fn places_are_those_that_xxh64_has_everywhere() {
        assert_eq!(place(b"abc"), Some(0x44bc_2cf5_ad77_0999));
        assert_eq!(place(b""), None);
    }

    #[test]
    fn no_two_threads_draw_the_same() {
        let draws = || (0..4).map(|_| chance()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draws)).collect();
        let mut all: Vec<u64> =
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 16);
    }
}
