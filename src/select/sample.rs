//! The sample: which share of the requests is copied, and where each falls.
//!
//! Every request has a place, a number of 64 bits, and is in a sample of a share *s* if its place is below
//! *s* · 2^64. So a smaller sample is a part of each larger one. With a key the place is the key's XXH64 (seed
//! 0), which is the same in every child, on every server and after each restart; without one it is by chance.

use std::cell::Cell;

use fastrand::Rng;
use rustix::rand::{GetRandomFlags, getrandom};
use twox_hash::XxHash64;

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
