//! The header `Range`: a part of a file (RFC 9110, section 14).

use std::ops::Range;

/// The part of a file that a request selects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it: there is no such header, or one that a server may ignore, such as several ranges or an unknown unit.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Bytes that the file does not have.
    Unsatisfiable,
}

/// The part of a file of `size` bytes that the value of the header selects.
pub(super) fn select(header: Option<&str>, size: u64) -> Selection {
    let range = header.and_then(|header| header.trim().strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.trim().split_once('-')) else {
        return Selection::Whole;
    };
    let number = |text: &str| match text.as_bytes().iter().all(u8::is_ascii_digit) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    let range = match (first, number(first), number(last)) {
        ("", _, Some(length)) => size.saturating_sub(length)..size,
        (_, Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (_, Some(first), None) if last.is_empty() => first..size,
        _ => return Selection::Whole,
    };
    if range.is_empty() { Selection::Unsatisfiable } else { Selection::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: Selection) {
        assert_eq!(select(Some(header), 100), expected, "{header}");
    }

    #[test]
    fn a_range_selects_bytes_that_are_there() {
        check("bytes=0-9", Selection::Part(0..10));
        check("bytes=99-", Selection::Part(99..100));
        check("bytes=-1", Selection::Part(99..100));
        check("bytes=-1000", Selection::Part(0..100));
        check("bytes=90-18446744073709551615", Selection::Part(90..100));
        assert_eq!(select(None, 100), Selection::Whole);
    }

    #[test]
    fn bytes_behind_the_end_are_refused() {
        check("bytes=100-", Selection::Unsatisfiable);
        check("bytes=100-200", Selection::Unsatisfiable);
        check("bytes=-0", Selection::Unsatisfiable);
        assert_eq!(select(Some("bytes=-5"), 0), Selection::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for header in
            ["lines=1-2", "bytes=", "bytes=-", "bytes=9-1", "bytes=1-2,4-5", "bytes=+1-2", "bytes=a-"]
        {
            check(header, Selection::Whole);
        }
    }
}
