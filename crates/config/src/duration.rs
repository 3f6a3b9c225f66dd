//! Durations as Flink writes them: `1 s`, `500 ms`, `1min`, ISO-8601 `PT1M30S`, or a plain number of
//! milliseconds.
//!
//! Only parsing and printing. The declarations of options define which of them may be negative, zero or `none`.

use std::time::Duration;

const NANOS_PER_MS: u128 = 1_000_000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// All units with their names (Flink's) and their length in nanoseconds, the longest first.
const UNITS: &[(&[&str], u128)] = &[
    (&["d", "day", "days"], 86_400 * NANOS_PER_SECOND),
    (&["h", "hour", "hours"], 3_600 * NANOS_PER_SECOND),
    (&["min", "m", "minute", "minutes"], 60 * NANOS_PER_SECOND),
    (&["s", "sec", "secs", "second", "seconds"], NANOS_PER_SECOND),
    (&["ms", "milli", "millis", "millisecond", "milliseconds"], NANOS_PER_MS),
    (&["us", "µs", "micro", "micros", "microsecond", "microseconds"], 1_000),
    (&["ns", "nano", "nanos", "nanosecond", "nanoseconds"], 1),
];

/// What [`parse`] expects, for error texts.
pub const EXPECTED: &str =
    "a duration such as `500 ms`, `1 s`, `10 min`, `PT1M30S`, or a plain number of milliseconds";

/// Reads a duration; `None` if the text is not one or does not fit into a [`Duration`].
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let nanos = match text.strip_prefix('p') {
        Some(iso) => parse_iso(iso)?,
        None => parse_with_unit(&text)?,
    };
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
    let rest = u32::try_from(nanos % NANOS_PER_SECOND).ok()?;
    Some(Duration::new(seconds, rest))
}

/// Prints the shortest exact text in one unit: `90 s`, `1500 ms`, `0 ms`. [`parse`] reads it back.
pub fn print(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let shown = UNITS.iter().find(|(_, length)| nanos != 0 && nanos.is_multiple_of(*length));
    match shown {
        Some((names, length)) => format!("{} {}", nanos / length, names[0]),
        None => "0 ms".to_owned(),
    }
}

fn parse_with_unit(text: &str) -> Option<u128> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u128 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    let length = if unit.is_empty() { NANOS_PER_MS } else { unit_length(unit)? };
    number.checked_mul(length)
}

fn unit_length(unit: &str) -> Option<u128> {
    UNITS.iter().find(|(names, _)| names.contains(&unit)).map(|(_, length)| *length)
}

/// The part after `P`: days, then after `T` hours, minutes and seconds, each at most once and in order.
fn parse_iso(text: &str) -> Option<u128> {
    let (date, time) = match text.split_once('t') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None => (text, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = parse_iso_fields(date, &[('d', 86_400)])?;
    let clock = parse_iso_fields(time, &[('h', 3_600), ('m', 60), ('s', 1)])?;
    days.checked_add(clock)
}

fn parse_iso_fields(mut text: &str, mut fields: &[(char, u128)]) -> Option<u128> {
    let mut nanos = 0u128;
    while !text.is_empty() {
        let end = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, rest) = text.split_at(end);
        let unit = rest.chars().next()?;
        let position = fields.iter().position(|(name, _)| *name == unit)?;
        let seconds = fields[position].1;
        let length = seconds * NANOS_PER_SECOND;
        let is_whole = !number.contains('.');
        if !is_whole && unit != 's' {
            return None; // as in Java's durations
        }
        nanos = nanos.checked_add(scaled(number, length)?)?;
        fields = &fields[position + 1..];
        text = &rest[1..];
    }
    Some(nanos)
}

/// `number` times `length`. A fraction is one of a second, whatever the length.
fn scaled(number: &str, length: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u128>().ok()?.checked_mul(length)?;
    if fraction.is_empty() {
        return (!number.contains('.')).then_some(whole);
    }
    let nanos: u128 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(parse(text).map(print).as_deref(), expected, "{text}");
    }

    #[test]
    fn numbers_with_units() {
        check("1 s", Some("1 s"));
        check("1s", Some("1 s"));
        check(" 500 ms ", Some("500 ms"));
        check("1min", Some("1 min"));
        check("90 seconds", Some("90 s"));
        check("1 DAY", Some("1 d"));
        check("10 µs", Some("10 us"));
        check("7 nanos", Some("7 ns"));
        check("0", Some("0 ms"));
        check("1500", Some("1500 ms"));
    }

    #[test]
    fn iso() {
        check("PT1S", Some("1 s"));
        check("pt1m30s", Some("90 s"));
        check("P1DT2H", Some("26 h"));
        check("PT0.5S", Some("500 ms"));
        check("P2D", Some("2 d"));
    }

    #[test]
    fn refused() {
        for text in ["", "s", "1 fortnight", "-1 s", "1.5 s", "1 s 2 ms", "P", "PT", "PT1", "PT1S1M", "PT1.S"]
        {
            check(text, None);
        }
        check("99999999999999999999999999999999999 d", None);
        check("400000000000000000 d", None);
    }
}
