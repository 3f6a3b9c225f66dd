//! Formats, which encode a sink's records.

use reflow_api::UserError;
use serde::Serialize;
use std::fmt::Display;
use std::io::Write;

/// Encodes records into files. A closure `Fn(&T, &mut Vec<u8>)` is a format, too.
///
/// ```
/// use reflow_connectors::FileSink;
///
/// // Big-endian numbers, without anything between them.
/// let sink = FileSink::new("/data/numbers", |n: &u32, out: &mut Vec<u8>| out.extend(n.to_be_bytes()));
/// ```
///
/// A format that can fail, or that writes a header, is a type:
///
/// ```
/// use reflow_api::UserError;
/// use reflow_connectors::Format;
///
/// /// Percentages.
/// #[derive(Clone)]
/// struct Percent;
///
/// impl Format<f64> for Percent {
///     fn extension(&self) -> &'static str {
///         "txt"
///     }
///
///     fn encode(&mut self, share: &f64, out: &mut Vec<u8>) -> Result<(), UserError> {
///         if !(0.0..=1.0).contains(share) {
///             return Err(format!("{share} is not a share").into());
///         }
///         out.extend(format!("{:.1} %\n", share * 100.0).bytes());
///         Ok(())
///     }
/// }
///
/// let mut out = Vec::new();
/// Percent.encode(&0.125, &mut out)?;
/// assert_eq!(out, b"12.5 %\n");
/// assert!(Percent.encode(&2.0, &mut out).is_err());
/// # Ok::<(), UserError>(())
/// ```
pub trait Format<T>: Clone + Send + 'static {
    /// The extension of its files' names, without the dot. Empty for none.
    fn extension(&self) -> &'static str {
        ""
    }

    /// Called at the start of each file.
    fn begin_file(&mut self) {}

    /// Called instead of [`begin_file`](Self::begin_file) when records are added to a file that has some.
    fn resume_file(&mut self) {}

    /// Appends a record to `out`.
    ///
    /// # Errors
    /// If the record cannot be written in this format.
    fn encode(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), UserError>;
}

impl<T, F> Format<T> for F
where
    F: Fn(&T, &mut Vec<u8>) + Clone + Send + 'static,
{
    fn encode(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), UserError> {
        self(value, out);
        Ok(())
    }
}

/// Each record as its text ([`Display`]) and a line feed.
///
/// ```
/// use reflow_connectors::{FileSink, Lines};
///
/// let sink: FileSink<String, _> = FileSink::new("/data/words", Lines);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

impl<T: Display> Format<T> for Lines {
    fn extension(&self) -> &'static str {
        "txt"
    }

    fn encode(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), UserError> {
        writeln!(out, "{value}")?;
        Ok(())
    }
}

/// Each record as a line of JSON.
///
/// ```
/// use reflow_connectors::{FileSink, JsonLines};
///
/// let sink: FileSink<(String, u64), _> = FileSink::new("/data/counts", JsonLines);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLines;

impl<T: Serialize> Format<T> for JsonLines {
    fn extension(&self) -> &'static str {
        "jsonl"
    }

    fn encode(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), UserError> {
        serde_json::to_writer(&mut *out, value)?;
        out.push(b'\n');
        Ok(())
    }
}

/// Each record as a row of comma-separated values: its fields in their order, quoted where necessary.
///
/// ```
/// use reflow_connectors::{Csv, FileSink};
///
/// let sink: FileSink<(String, u64), _> = FileSink::new("/data/counts", Csv::rows());
/// let with_names_of_columns: FileSink<(String, u64), _> = FileSink::new("/data/counts", Csv::with_header());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Csv {
    header: bool,
    header_due: bool,
}

/// A row's buffer; larger rows are written in pieces.
const ROW_BYTES: usize = 512;

impl Csv {
    /// Writes rows without a header.
    #[must_use]
    pub const fn rows() -> Self {
        Self { header: false, header_due: false }
    }

    /// Writes the names of the record's fields at the start of each file.
    #[must_use]
    pub const fn with_header() -> Self {
        Self { header: true, header_due: true }
    }
}

impl<T: Serialize> Format<T> for Csv {
    fn extension(&self) -> &'static str {
        "csv"
    }

    fn begin_file(&mut self) {
        self.header_due = self.header;
    }

    fn resume_file(&mut self) {
        self.header_due = false;
    }

    fn encode(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), UserError> {
        let mut builder = csv::WriterBuilder::new();
        let mut row = builder.has_headers(self.header_due).buffer_capacity(ROW_BYTES).from_writer(out);
        row.serialize(value)?;
        row.flush()?;
        self.header_due = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Reading {
        name: &'static str,
        value: Option<f64>,
    }

    fn check(mut format: impl Format<Reading>, expected: &str) {
        let mut out = Vec::new();
        format.encode(&Reading { name: "a \"b\", c", value: Some(1.5) }, &mut out).unwrap();
        format.encode(&Reading { name: "d", value: None }, &mut out).unwrap();
        format.begin_file();
        format.encode(&Reading { name: "e", value: None }, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn csv_quotes_where_necessary_and_begins_each_file_with_a_header_if_asked() {
        check(Csv::rows(), "\"a \"\"b\"\", c\",1.5\nd,\ne,\n");
        check(Csv::with_header(), "name,value\n\"a \"\"b\"\", c\",1.5\nd,\nname,value\ne,\n");
    }

    #[test]
    fn json_is_one_line_a_record() {
        let expected = r#"{"name":"a \"b\", c","value":1.5}
{"name":"d","value":null}
{"name":"e","value":null}
"#;
        check(JsonLines, expected);
    }
}
