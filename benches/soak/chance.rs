//! Numbers from a seed: the same each time.

/// A sequence of numbers (SplitMix64).
pub struct Chance(u64);

impl Chance {
    /// The sequence of a seed and a number.
    pub fn of(seed: u64, number: u64) -> Chance {
        let mut mixed = Chance(seed);
        Chance(mixed.next() ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// A number from `first` to `last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// One of these, each as often as its weight says.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u32, T)]) -> T {
        let sum: u32 = choices.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.below(sum as usize) as u32;
        for (weight, choice) in choices {
            match drawn.checked_sub(*weight) {
                None => return *choice,
                Some(rest) => drawn = rest,
            }
        }
        unreachable!("the weights' sum is above every number drawn")
    }
}
