//! Times as lines have them, in UTC.

use std::io::Write;

use time::OffsetDateTime;

/// Microseconds since 1970, as httpd counts them.
pub type Micros = i64;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// RFC 3339, with milliseconds.
pub(super) fn rfc_3339(line: &mut Vec<u8>, moment: Micros) {
    let at = civil(moment);
    let (date, [hour, minute, second]) = (at.date(), clock(at));
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    // Writing to a Vec cannot fail.
    let _ = write!(
        line,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        at.millisecond()
    );
}

/// As in the common log format.
pub(super) fn clf(line: &mut Vec<u8>, moment: Micros) {
    let at = civil(moment);
    let (date, [hour, minute, second]) = (at.date(), clock(at));
    let (year, day) = (date.year(), date.day());
    let month = usize::from(u8::from(date.month())).saturating_sub(1);
    let month = MONTHS.get(month).copied().unwrap_or_default();
    // As above.
    let _ = write!(line, "[{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000]");
}

fn clock(at: OffsetDateTime) -> [u8; 3] {
    [at.hour(), at.minute(), at.second()]
}

fn civil(moment: Micros) -> OffsetDateTime {
    let nanos = i128::from(moment).saturating_mul(1_000);
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(by: fn(&mut Vec<u8>, Micros), moment: Micros) -> String {
        let mut line = Vec::new();
        by(&mut line, moment);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_moment_is_written_in_utc() {
        let moment = 1_709_210_096_789_999;
        assert_eq!(written(rfc_3339, moment), "2024-02-29T12:34:56.789Z");
        assert_eq!(written(clf, moment), "[29/Feb/2024:12:34:56 +0000]");
        assert_eq!(written(rfc_3339, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(rfc_3339, i64::MAX), "1970-01-01T00:00:00.000Z", "of no calendar");
    }
}
