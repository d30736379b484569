//! A share of the requests, and what an operator sets in the place of a rule's.

use std::fmt;

use super::valve::Rate;

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

    /// The share of so many parts of a hundred thousand, if there is one.
    pub fn of(parts: u32) -> Option<Share> {
        (1..=Share::PARTS).contains(&parts).then_some(Share(parts))
    }

    /// The parts of a hundred thousand.
    pub fn parts(self) -> u32 {
        self.0
    }

    /// Places below this are in the sample, 2^64 · share of them; `None` for all.
    #[inline]
    pub fn limit(self) -> Option<u64> {
        // 2^64 = PARTS · EACH + REST, with which no step is beyond 64 bits.
        const EACH: u64 = u64::MAX / Share::PARTS as u64;
        const REST: u64 = u64::MAX % Share::PARTS as u64 + 1;
        let parts = u64::from(self.0);
        (self < Share::ALL).then(|| parts * EACH + parts * REST / u64::from(Share::PARTS))
    }
}

/// As the configuration has it.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000, self.0 % 1_000);
        let part = format!("{part:03}");
        match part.trim_end_matches('0') {
            "" => write!(f, "{whole}%"),
            part => write!(f, "{whole}.{part}%"),
        }
    }
}

/// What an operator has set of a target, in the place of what any rule for it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In the place of `sample=`.
    pub sample: Option<Share>,
    /// In the place of `rate=`.
    pub rate: Option<Rate>,
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
    fn a_limit_is_the_share_of_all_places() {
        for parts in 1..=Share::PARTS {
            let limit = (u128::from(parts) << 64) / u128::from(Share::PARTS);
            assert_eq!(Share(parts).limit(), u64::try_from(limit).ok(), "{parts}");
        }
    }

    #[test]
    fn a_share_is_shown_as_it_is_configured() {
        for text in ["100%", "10%", "2.5%", "0.001%", "1.02%"] {
            assert_eq!(Share::parse(text).unwrap().to_string(), text);
        }
    }
}
