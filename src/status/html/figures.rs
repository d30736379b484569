//! Figures as people read them.

use std::time::Duration;

/// A count, with its thousands apart.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // A narrow space that does not break.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A share of a whole, with two digits that tell something.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = match percent {
        0.0 => 0,
        ..0.001 => return "< 0.001 %".to_owned(),
        ..0.1 => 3,
        ..1.0 => 2,
        ..99.0 => 1,
        // What is almost all is not all.
        100.0 => 0,
        _ => 2,
    };
    let floored = (percent * 10_f64.powi(digits)).floor() / 10_f64.powi(digits);
    let shown = if percent > 99.0 { floored } else { percent };
    format!("{shown:.*} %", usize::try_from(digits).unwrap_or_default())
}

/// Copies a second.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0/s".to_owned(),
        ..10.0 => format!("{rate:.1}/s"),
        _ => format!("{}/s", count(rate.round() as u64)),
    }
}

/// Bytes, in the unit that fits.
pub(super) fn bytes(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        if amount < 1024.0 || units.peek().is_none() {
            let digits = usize::from(unit != "B" && amount < 100.0 && amount.fract() > 0.04);
            return format!("{amount:.digits$} {unit}");
        }
        amount /= 1024.0;
    }
    String::new()
}

/// A time below some minutes, in the unit that fits.
pub(super) fn short(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let (amount, unit) = match nanos {
        ..1e3 => (nanos, "ns"),
        ..1e6 => (nanos / 1e3, "µs"),
        ..1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let digits = usize::from(amount < 10.0 && amount.fract() > 0.04);
    format!("{amount:.digits$} {unit}")
}

/// A time of seconds to days, in its two largest units.
pub(super) fn ago(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_do_not_lie() {
        assert_eq!(
            [0, 999, 1_000, 12_345_678].map(count),
            ["0", "999", "1\u{202f}000", "12\u{202f}345\u{202f}678"]
        );
        let shares = [0.0, 0.000_001, 0.000_34, 0.005, 0.123, 0.999_999, 1.0];
        let texts = ["0 %", "< 0.001 %", "0.034 %", "0.50 %", "12.3 %", "99.99 %", "100 %"];
        assert_eq!(shares.map(percent), texts);
        assert_eq!(
            [0.0, 0.2, 9.96, 1_234.4].map(rate),
            ["0/s", "0.2/s", "10.0/s", "1\u{202f}234/s"]
        );
        assert_eq!([0, 1023, 1536, 64 << 20].map(bytes), ["0 B", "1023 B", "1.5 KiB", "64 MiB"]);
        let times = [250, 1_250, 12_000, 1_048_576, 2_000_000_000].map(Duration::from_nanos);
        assert_eq!(times.map(short), ["250 ns", "1.2 µs", "12 µs", "1.0 ms", "2 s"]);
        assert_eq!([5, 65, 3_700, 90_000].map(ago), ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
