//! Framing: how records are delimited.

/// How the end of a record is found.
///
/// ```
/// use reflow_connectors::file_source::decode::{Decoder, Framing, LineDecoder};
///
/// // Files of lines can be divided into splits, those with quotes cannot.
/// assert_eq!(LineDecoder.framing(), Framing::Lines);
/// let semicolons = Framing::Quoted { delimiter: b';' };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A line feed ends it.
    Lines,
    /// A line feed outside quotes ends it; `delimiter` ends a field.
    Quoted {
        /// The separator of fields.
        delimiter: u8,
    },
}

impl Framing {
    /// Whether the start of a record can be found from any position in a file.
    pub(super) fn is_splittable(self) -> bool {
        self == Framing::Lines
    }

    /// The length of the record at the start of `bytes`, including its line feed, if its end is in `bytes`.
    pub(super) fn record_len(self, bytes: &[u8]) -> Option<usize> {
        let line = memchr::memchr(b'\n', bytes)? + 1;
        match self {
            Framing::Quoted { delimiter } if memchr::memchr(b'"', &bytes[..line]).is_some() => {
                quoted_record_len(bytes, delimiter)
            }
            _ => Some(line),
        }
    }
}

/// Parses fields as `csv` does: quotes count only at the start of a field, and doubled quotes within it.
fn quoted_record_len(bytes: &[u8], delimiter: u8) -> Option<usize> {
    enum At {
        FieldStart,
        Plain,
        Quoted,
        QuoteInQuoted,
    }
    let mut at = At::FieldStart;
    for (index, &byte) in bytes.iter().enumerate() {
        at = match (at, byte) {
            (At::Quoted, b'"') => At::QuoteInQuoted,
            (At::Quoted, _) | (At::QuoteInQuoted | At::FieldStart, b'"') => At::Quoted,
            (_, b'\n') => return Some(index + 1),
            (_, byte) if byte == delimiter => At::FieldStart,
            _ => At::Plain,
        };
    }
    None
}

/// A record without its line end.
pub(super) fn without_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// The advice in errors about line ends.
pub(super) const LINE_ENDS: &str = "lines must end with a line feed, or a carriage return and a line feed";

/// Whether `record` contains a carriage return that is not followed by a line feed. Those at its end do not count.
pub(super) fn has_lone_carriage_return(record: &[u8]) -> bool {
    let within = record.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    memchr::memchr_iter(b'\r', &record[..within]).any(|at| record.get(at + 1) != Some(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<usize>) {
        let framing = Framing::Quoted { delimiter: b',' };
        assert_eq!(framing.record_len(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn line_feeds_within_quotes_do_not_end_a_record() {
        check("a,b\nc", Some(4));
        check("a,\"b\nc\"\nd", Some(8));
        check("a,\"b\"\"\nc\"\nd", Some(10));
        check("\"a\nb\"", None);
        check("a\"b\nc\"\n", Some(4));
        check("\"a\"b\nc", Some(5));
        check("", None);
        check("\r\n", Some(2));
    }

    #[test]
    fn carriage_returns_belong_to_line_feeds() {
        for (record, lone) in
            [("a\rb", true), ("a\r\nb\rc", true), ("a\r\nb", false), ("a\r\r", false), ("\r", false)]
        {
            assert_eq!(has_lone_carriage_return(record.as_bytes()), lone, "{record:?}");
        }
    }

    #[test]
    fn line_feeds_end_lines() {
        assert_eq!(Framing::Lines.record_len(b"\"a\nb\"\n"), Some(3));
        assert_eq!(without_line_end(b"a\r\n"), b"a");
        assert_eq!(without_line_end(b"a\n"), b"a");
        assert_eq!(without_line_end(b"a"), b"a");
    }
}
