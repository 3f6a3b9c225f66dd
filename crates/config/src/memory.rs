//! Memory sizes as Flink writes them: `1gb`, `1024m`, `64 kb`, or a plain number of bytes; powers of 1024.

use std::fmt;

const UNITS: &[(&[&str], u64)] = &[
    (&["tb", "t", "tebibytes"], 1 << 40),
    (&["gb", "g", "gibibytes"], 1 << 30),
    (&["mb", "m", "mebibytes"], 1 << 20),
    (&["kb", "k", "kibibytes"], 1 << 10),
    (&["bytes", "b"], 1),
];

/// What [`MemorySize::parse`] expects, for error texts.
pub const EXPECTED: &str = "a memory size such as `1gb`, `1024m`, `64 kb`, or a plain number of bytes";

/// An amount of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemorySize(u64);

impl MemorySize {
    /// The size of `bytes` bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// Reads a size; `None` if the text is not one or exceeds 2^64 − 1 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().ok()?;
        let unit = text[digits..].trim_start();
        let bytes = if unit.is_empty() {
            1
        } else {
            UNITS.iter().find(|(names, _)| names.contains(&unit)).map(|(_, bytes)| *bytes)?
        };
        number.checked_mul(bytes).map(Self)
    }
}

impl fmt::Display for MemorySize {
    /// The largest unit that is exact: `1 gb`, `1536 mb`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, bytes)| self.0 != 0 && self.0.is_multiple_of(*bytes));
        let (names, bytes) = exact.unwrap_or(&UNITS[UNITS.len() - 1]);
        write!(f, "{} {}", self.0 / bytes, names[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(MemorySize::parse(text).map(|size| size.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn sizes() {
        check("1gb", Some("1 gb"));
        check("1024m", Some("1 gb"));
        check("64 kb", Some("64 kb"));
        check("1536 MB", Some("1536 mb"));
        check("100", Some("100 bytes"));
        check("2 tebibytes", Some("2 tb"));
        check("0", Some("0 bytes"));
    }

    #[test]
    fn refused() {
        for text in ["", "mb", "-1 mb", "1.5g", "1 pb", "1 g b", "99999999999999999999", "99999999 tb"] {
            check(text, None);
        }
    }
}
