//! Which targets of a list a request goes to.

use crate::config::ListId;

/// The targets of a list that a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub(super) list: ListId,
    /// A bit for each place in the list; those beyond its end mean nothing.
    places: [u64; 2],
}

const _: () = assert!(crate::stats::TARGETS <= 2 * u64::BITS as usize);

impl Chosen {
    /// None of them.
    pub(super) fn none(list: ListId) -> Chosen {
        Chosen { list, places: [0; 2] }
    }

    /// All of them.
    pub fn all(list: ListId) -> Chosen {
        Chosen { list, places: [u64::MAX; 2] }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places == [0; 2]
    }

    /// Leaves out the one at that place.
    pub fn remove(&mut self, place: usize) {
        let [low, high] = &mut self.places;
        let word = if place < 64 { low } else { high };
        *word &= !(1 << (place % 64));
    }

    /// The one place, where there is no other.
    pub(super) fn only(&self) -> Option<usize> {
        let [low, high] = self.places;
        let places = u128::from(high) << 64 | u128::from(low);
        places.is_power_of_two().then(|| places.trailing_zeros() as usize)
    }

    pub(super) fn has(&self, place: usize) -> bool {
        let [low, high] = self.places;
        let word = if place < 64 { low } else { high };
        word >> (place % 64) & 1 == 1
    }

    pub(super) fn add(&mut self, place: usize) {
        let [low, high] = &mut self.places;
        let word = if place < 64 { low } else { high };
        *word |= 1 << (place % 64);
    }
}
