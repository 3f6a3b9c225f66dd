//! Decoders, which turn a record's bytes into a value.

pub use super::framing::Framing;
use super::framing::{LINE_ENDS, has_lone_carriage_return};
use csv::ByteRecord;
use csv_core::ReadRecordResult;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// Decodes the records of a file source. Each file has its own decoder, cloned from the source's.
///
/// ```
/// use reflow_connectors::FileSource;
/// use reflow_connectors::file_source::decode::{Decoder, Framing};
///
/// /// Lines of the form `name = value`. Lines that begin with `#` are comments.
/// #[derive(Clone)]
/// struct Settings;
///
/// impl Decoder for Settings {
///     type Item = (String, String);
///
///     fn framing(&self) -> Framing {
///         Framing::Lines
///     }
///
///     fn decode(&mut self, line: &[u8]) -> Result<Option<(String, String)>, String> {
///         let line = std::str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?;
///         if line.starts_with('#') {
///             return Ok(None);
///         }
///         let (name, value) = line.split_once(" = ").ok_or("there is no ` = `")?;
///         Ok(Some((name.to_owned(), value.to_owned())))
///     }
/// }
///
/// let setting = Settings.decode(b"parallelism = 3");
/// assert_eq!(setting, Ok(Some(("parallelism".to_owned(), "3".to_owned()))));
/// let settings = FileSource::new("/etc/shop", Settings);
/// ```
pub trait Decoder: Clone + Send + 'static {
    /// The type of the decoded records.
    type Item: Send + 'static;

    /// How records are delimited.
    fn framing(&self) -> Framing;

    /// Whether the first record of each file is a header.
    fn has_header(&self) -> bool {
        false
    }

    /// Whether a record may contain carriage returns that end no line. Otherwise a file with carriage returns and
    /// no line feed is refused, because its lines seem to end with carriage returns.
    fn takes_carriage_returns(&self) -> bool {
        false
    }

    /// Receives the file's header, before any record.
    ///
    /// # Errors
    /// Describes what is wrong with it.
    fn header(&mut self, _record: &[u8]) -> Result<(), String> {
        Ok(())
    }

    /// Decodes a record without its line end. Returns `None` for nothing, such as an empty line.
    ///
    /// # Errors
    /// Describes what is wrong with it.
    fn decode(&mut self, record: &[u8]) -> Result<Option<Self::Item>, String>;
}

/// Lines of UTF-8 text; see [`FileSource::lines`](super::FileSource::lines).
///
/// ```
/// use reflow_connectors::file_source::decode::{Decoder, LineDecoder};
///
/// assert_eq!(LineDecoder.decode(b"to be"), Ok(Some("to be".to_owned())));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LineDecoder;

impl Decoder for LineDecoder {
    type Item = String;

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn decode(&mut self, record: &[u8]) -> Result<Option<String>, String> {
        let text = std::str::from_utf8(record).map_err(|error| format!("not UTF-8: {error}"))?;
        Ok(Some(text.to_owned()))
    }
}

/// JSON values, one per line. Empty lines are ignored. See [`FileSource::json_lines`](super::FileSource::json_lines).
///
/// ```
/// use reflow_connectors::FileSource;
/// use reflow_connectors::file_source::decode::JsonDecoder;
///
/// fn counts(directory: &str) -> FileSource<JsonDecoder<(String, u64)>> {
///     FileSource::json_lines(directory)
/// }
/// ```
#[derive(Debug)]
pub struct JsonDecoder<T>(PhantomData<fn() -> T>);

impl<T> JsonDecoder<T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for JsonDecoder<T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T: DeserializeOwned + Send + 'static> Decoder for JsonDecoder<T> {
    type Item = T;

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    /// In JSON they are white space.
    fn takes_carriage_returns(&self) -> bool {
        true
    }

    fn decode(&mut self, record: &[u8]) -> Result<Option<T>, String> {
        if record.trim_ascii().is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(record).map(Some).map_err(|_| json_reason::<T>(record))
    }
}

/// Why a record cannot be decoded, with the field's name. The record is decoded again, because tracking the path is
/// expensive.
fn json_reason<T: DeserializeOwned>(record: &[u8]) -> String {
    let mut decoder = serde_json::Deserializer::from_slice(record);
    let decoded = serde_path_to_error::deserialize::<_, T>(&mut decoder);
    let (path, error) = match decoded {
        Err(error) => (error.path().to_string(), error.into_inner()),
        Ok(_) => match decoder.end() {
            Err(error) => (".".to_owned(), error),
            Ok(()) => return "not the JSON expected".to_owned(),
        },
    };
    let text = error.to_string();
    // It counts lines within the record.
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let column = error.column();
    match path.as_str() {
        "." => format!("not the JSON expected, at character {column}: {reason}"),
        path => format!("field '{path}', at character {column}: {reason}"),
    }
}

/// Rows of comma-separated values. Empty lines are ignored. See [`FileSource::csv`](super::FileSource::csv).
///
/// ```
/// use reflow_connectors::FileSource;
/// use reflow_connectors::file_source::decode::CsvDecoder;
///
/// fn counts(directory: &str) -> FileSource<CsvDecoder<(String, u64)>> {
///     FileSource::csv(directory).without_header()
/// }
/// ```
#[derive(Debug)]
pub struct CsvDecoder<T> {
    pub(super) header: bool,
    /// Whether no field contains a line break.
    pub(super) one_line: bool,
    delimiter: u8,
    /// Created once, because creating its table costs as much as a hundred rows.
    parser: csv_core::Reader,
    columns: Option<ByteRecord>,
    row: ByteRecord,
    /// The fields' text, one after the other, and the end of each.
    fields: (Vec<u8>, Vec<usize>),
    makes: PhantomData<fn() -> T>,
}

impl<T> CsvDecoder<T> {
    pub(super) fn new() -> Self {
        Self {
            header: true,
            one_line: false,
            delimiter: b',',
            parser: parser(b','),
            columns: None,
            row: ByteRecord::new(),
            fields: (vec![0; 1 << 10], vec![0; 64]),
            makes: PhantomData,
        }
    }

    pub(super) fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = delimiter;
        self.parser = parser(delimiter);
    }

    /// Divides a row into fields. `record` is without its line end.
    fn parse(&mut self, record: &[u8]) -> Result<(), String> {
        let (text, ends) = &mut self.fields;
        let (mut text_len, mut ends_len) = (0, 0);
        let (mut record, mut line_end): (&[u8], &[u8]) = (record, b"\n");
        while !record.is_empty() || !line_end.is_empty() {
            let input = if record.is_empty() { &mut line_end } else { &mut record };
            let (result, read, written, fields) =
                self.parser.read_record(input, &mut text[text_len..], &mut ends[ends_len..]);
            *input = &input[read..];
            text_len += written;
            ends_len += fields;
            match result {
                ReadRecordResult::OutputFull => text.resize(text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
                ReadRecordResult::InputEmpty | ReadRecordResult::Record | ReadRecordResult::End => {}
            }
            if result == ReadRecordResult::InputEmpty && line_end.is_empty() {
                self.parser = parser(self.delimiter); // it is in the middle of a field
                return Err("a quote is not closed".to_owned());
            }
        }
        self.row.clear();
        let mut start = 0;
        for &end in &ends[..ends_len] {
            self.row.push_field(&text[start..end]);
            start = end;
        }
        Ok(())
    }
}

fn parser(delimiter: u8) -> csv_core::Reader {
    let mut builder = csv_core::ReaderBuilder::new();
    builder.delimiter(delimiter).terminator(csv_core::Terminator::Any(b'\n')).build()
}

impl<T> Clone for CsvDecoder<T> {
    fn clone(&self) -> Self {
        Self {
            parser: parser(self.delimiter), // csv-core 0.1.13 clones its readers wrong
            columns: self.columns.clone(),
            row: ByteRecord::new(),
            fields: self.fields.clone(),
            makes: PhantomData,
            ..*self
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> Decoder for CsvDecoder<T> {
    type Item = T;

    fn framing(&self) -> Framing {
        if self.one_line { Framing::Lines } else { Framing::Quoted { delimiter: self.delimiter } }
    }

    fn has_header(&self) -> bool {
        self.header
    }

    fn header(&mut self, record: &[u8]) -> Result<(), String> {
        if record.is_empty() {
            return Err("the first line, which should name the columns, is empty".to_owned());
        }
        if record.starts_with(b"\xff\xfe") || record.starts_with(b"\xfe\xff") {
            return Err("the file is UTF-16, by its byte order mark; it must be UTF-8".to_owned());
        }
        if has_lone_carriage_return(record) {
            return Err(format!("the header has a carriage return without a line feed; {LINE_ENDS}"));
        }
        self.parse(record)?;
        self.columns = Some(self.row.clone());
        Ok(())
    }

    fn decode(&mut self, record: &[u8]) -> Result<Option<T>, String> {
        if record.is_empty() {
            return Ok(None);
        }
        self.parse(record)?;
        let columns = self.columns.as_ref();
        if let Some(columns) = columns
            && columns.len() != self.row.len()
        {
            return Err(format!("the row has {} fields, the header {}", self.row.len(), columns.len()));
        }
        self.row.deserialize(columns).map(Some).map_err(|error| reason(&error, columns))
    }
}

/// Why a row cannot be decoded, with the column's name.
fn reason(error: &csv::Error, columns: Option<&ByteRecord>) -> String {
    let csv::ErrorKind::Deserialize { err, .. } = error.kind() else { return error.to_string() };
    let Some(field) = err.field() else { return err.kind().to_string() };
    let name = columns.and_then(|columns| columns.get(field as usize)).map(String::from_utf8_lossy);
    match name {
        Some(name) => format!("column '{name}': {}", err.kind()),
        None => format!("column {}: {}", field + 1, err.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        b: Option<u32>,
        a: String,
    }

    fn check(record: &str, expected: Result<Option<(&str, Option<u32>)>, &str>) {
        let mut decoder = CsvDecoder::<Row>::new();
        decoder.header(b"a,b").unwrap();
        let expected = expected.map(|row| row.map(|(a, b)| Row { a: a.to_owned(), b }));
        assert_eq!(decoder.decode(record.as_bytes()), expected.map_err(str::to_owned), "{record:?}");
    }

    #[test]
    fn rows_become_values_by_the_names_of_columns() {
        check("x,1", Ok(Some(("x", Some(1)))));
        check("\"x \"\"y\"\"\nz\",", Ok(Some(("x \"y\"\nz", None))));
        check(",", Ok(Some(("", None))));
        check("", Ok(None));
        check("x", Err("the row has 1 fields, the header 2"));
        check("x,y", Err("column 'b': invalid digit found in string"));
    }

    #[test]
    fn what_is_wrong_with_a_json_value_has_a_place() {
        let check = |record: &str, expected: &str| {
            let error = JsonDecoder::<Vec<Row>>::new().decode(record.as_bytes()).unwrap_err();
            assert_eq!(error, expected, "{record}");
        };
        check(
            r#"[{"a":"x","b":"y"}]"#,
            "field '[0].b', at character 17: invalid type: string \"y\", expected u32",
        );
        check(r#"[{"b":1}]"#, "field '[0]', at character 8: missing field `a`");
        check(r#"[{"a":"#, "field '[0].a', at character 6: EOF while parsing a value");
        check("x", "not the JSON expected, at character 1: expected value");
        check("[] x", "not the JSON expected, at character 4: trailing characters");
    }

    #[test]
    fn rows_of_any_size_are_parsed() {
        let mut decoder = CsvDecoder::<Vec<String>>::new();
        for len in (1000..1100).chain(2040..2060) {
            let field = "x".repeat(len);
            assert_eq!(decoder.decode(field.as_bytes()), Ok(Some(vec![field])));
        }
        for count in 1..300 {
            let fields: Vec<String> = (0..count).map(|n| "x".repeat(n + 1)).collect();
            assert_eq!(decoder.decode(fields.join(",").as_bytes()), Ok(Some(fields)));
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_does_not_reach_the_next_row() {
        let mut decoder = CsvDecoder::<(String, u32)>::new();
        assert_eq!(decoder.decode(b"\"x,1"), Err("a quote is not closed".to_owned()));
        assert_eq!(decoder.decode(b"x,1"), Ok(Some(("x".to_owned(), 1))));
        assert_eq!(decoder.decode(b"x\ry,1"), Ok(Some(("x\ry".to_owned(), 1))));
    }
}
