//! Numbers by value: `1`, `1.0` and `10e-1` are one number, however many digits it has.

/// A number as its digits without zeros around them, and the power of ten that they count.
struct Decimal<'a> {
    negative: bool,
    /// The digits, before and after the point.
    digits: [&'a [u8]; 2],
    /// The power of ten of the last digit; `None` where it is beyond any that one computes with.
    scale: Option<i128>,
}

impl<'a> Decimal<'a> {
    fn of(text: &'a [u8]) -> Decimal<'a> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let split = |text: &'a [u8], at: &[u8]| match text.iter().position(|byte| at.contains(byte))
        {
            Some(found) => (text.get(..found).unwrap_or(text), text.get(found + 1..)),
            None => (text, None),
        };
        let (mantissa, exponent) = split(text, b"eE");
        let (whole, fraction) = split(mantissa, b".");
        let fraction = fraction.unwrap_or_default();
        let (mut head, mut tail) = (without_leading(whole), fraction);
        if head.is_empty() {
            tail = without_leading(tail);
        }
        let before = head.len() + tail.len();
        tail = without_trailing(tail);
        if tail.is_empty() {
            head = without_trailing(head);
        }
        let dropped = before - head.len() - tail.len();
        let scale = power(exponent)
            .map(|power| i128::from(power) - fraction.len() as i128 + dropped as i128);
        Decimal { negative, digits: [head, tail], scale }
    }

    fn is_zero(&self) -> bool {
        self.digits.iter().all(|digits| digits.is_empty())
    }

    fn digits(&self) -> impl Iterator<Item = u8> + use<'a> {
        let [head, tail] = self.digits;
        head.iter().chain(tail).copied()
    }
}

/// Whether two numbers of JSON's grammar have the same value. Powers of ten beyond 64 bits are compared as
/// they are written.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    let (one, other) = (Decimal::of(one), Decimal::of(other));
    if one.is_zero() || other.is_zero() {
        return one.is_zero() && other.is_zero();
    }
    one.scale.is_some()
        && one.scale == other.scale
        && one.negative == other.negative
        && one.digits().eq(other.digits())
}

/// A digest that is the same for all ways to write a number: FNV-1a, for numbers are short and come in parts.
pub(super) fn digest(text: &[u8]) -> u64 {
    let take = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let decimal = Decimal::of(text);
    if decimal.is_zero() {
        return 0;
    }
    let hash = decimal.digits().fold(0xcbf2_9ce4_8422_2325 ^ u64::from(decimal.negative), take);
    match decimal.scale {
        Some(scale) => scale.to_le_bytes().into_iter().fold(hash, take),
        None => text.iter().copied().fold(hash, take),
    }
}

fn power(exponent: Option<&[u8]>) -> Option<i64> {
    let Some(exponent) = exponent else { return Some(0) };
    std::str::from_utf8(exponent).ok()?.parse().ok()
}

fn without_leading(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

fn without_trailing(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    digits.get(..digits.len() - zeros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        for group in [
            &["1", "1.0", "1e0", "1E+0", "0.1e1", "10e-1", "0.0001e4", "1.000e-0"][..],
            &["0", "-0", "0.0", "0e99", "-0.0e-7", "0e99999999999999999999"],
            &["1200", "12e2", "1.2e3", "120.0e1", "0.00012e7"],
            &[
                "123456789012345678901234567890",
                "123456789012345678901234567890.0",
                "12345678901234567890123456789e1",
            ],
            &["-0.05", "-5e-2", "-0.050"],
        ] {
            for (one, other) in
                group.iter().flat_map(|one| group.iter().map(move |other| (one, other)))
            {
                assert!(equal(one.as_bytes(), other.as_bytes()), "{one} {other}");
                assert_eq!(digest(one.as_bytes()), digest(other.as_bytes()), "{one} {other}");
            }
        }
    }

    #[test]
    fn numbers_of_other_values_differ() {
        for (one, other) in [
            ("1", "-1"),
            ("1", "10"),
            ("1", "0"),
            ("12", "1.2"),
            ("0.1", "0.01"),
            ("101", "11"),
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("0.1", "0.10000000000000000001"),
            ("1e400", "1e401"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ] {
            assert!(!equal(one.as_bytes(), other.as_bytes()), "{one} {other}");
            assert_ne!(digest(one.as_bytes()), digest(other.as_bytes()), "{one} {other}");
        }
    }
}
