//! A source that reads files: CSV, JSON lines or plain lines, once or as they arrive.
//!
//! The enumerator lists the files and divides large ones into byte ranges, the splits. A record belongs to the
//! split in which its first byte is. A reader reads ahead, cuts what it gets into records and decodes them; its
//! position is the byte at which the next record begins.
//!
//! Reading order: `split`, `enumerator`, `framing` (where records end), `decode`, `window` (reading ahead),
//! `active` (one split being read), `reader`.

pub mod decode;
pub mod reader;
pub mod split;

mod active;
mod enumerator;
mod framing;
mod window;

#[cfg(test)]
mod tests;

use decode::{CsvDecoder, Decoder, JsonDecoder, LineDecoder};
use enumerator::FileEnumerator;
use reader::FileReader;
use reflow_api::source::ReaderContext;
use reflow_api::{Enumerator, Source};
use reflow_env::Location;
use serde::de::DeserializeOwned;
use split::FileSplit;
use std::time::Duration;

/// What becomes of a record that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Malformed {
    /// The job fails, with the file, the line, the byte and the reason, each time that it comes to the record.
    #[default]
    Fail,
    /// It is left out, counted and, now and then, logged. So is the rest of a file that has gone, or become shorter, since
    /// it was found: it counts as one, and is always logged. Of a record of more than 16 MiB the first line is left out.
    Skip,
}

/// Reads a file, or all files in a directory and below it, except those that have a name beginning with `.` or
/// `_` on their way.
///
/// Files are read as long as they were when they were found: what is appended later is not read. Records carry
/// no event time; assign it downstream. A reader reads up to 32 splits in turn, in the order of their names.
///
/// ```
/// use reflow_connectors::{FileSource, Malformed};
/// use serde::Deserialize;
/// use std::time::Duration;
///
/// #[derive(Deserialize)]
/// struct Flight {
///     carrier: String,
///     dep_delay: Option<f64>,
/// }
///
/// let once = FileSource::csv::<Flight>("/data/flights.csv").splittable(true);
/// let forever = FileSource::json_lines::<Flight>("s3://bucket/flights")
///     .watch(Duration::from_secs(10))
///     .on_malformed(Malformed::Skip);
/// let lines = FileSource::lines("/data/words");
/// ```
#[derive(Clone, Debug)]
pub struct FileSource<D> {
    location: Location,
    decoder: D,
    split_size: u64,
    watch: Option<Duration>,
    malformed: Malformed,
}

impl FileSource<()> {
    /// Reads rows of comma-separated values. The first row of each file names the columns, which become fields
    /// of `T` by name. Fields may be quoted and then hold line breaks, so that a file is one split, unless it is
    /// said to be [splittable](FileSource::splittable).
    pub fn csv<T: DeserializeOwned + Send + 'static>(at: impl Into<String>) -> FileSource<CsvDecoder<T>> {
        FileSource::new(at, CsvDecoder::new())
    }

    /// Reads a JSON value a line.
    pub fn json_lines<T: DeserializeOwned + Send + 'static>(
        at: impl Into<String>,
    ) -> FileSource<JsonDecoder<T>> {
        FileSource::new(at, JsonDecoder::new())
    }

    /// Reads lines of text, without their ends.
    pub fn lines(at: impl Into<String>) -> FileSource<LineDecoder> {
        FileSource::new(at, LineDecoder)
    }
}

impl<D: Decoder> FileSource<D> {
    /// Reads records of another kind. `at` is an absolute path, or a URL such as `s3://bucket/prefix`; all
    /// TaskManagers and the JobManager must reach it.
    pub fn new(at: impl Into<String>, decoder: D) -> Self {
        let location = Location(at.into());
        Self { location, decoder, split_size: 64 << 20, watch: None, malformed: Malformed::Fail }
    }

    /// Divides larger files into splits of so many bytes, if records can be found in the middle of a file. 64
    /// MiB by default.
    ///
    /// # Panics
    /// If `bytes` is 0.
    #[must_use]
    pub fn split_size(mut self, bytes: u64) -> Self {
        assert!(bytes > 0, "a split of 0 bytes holds nothing: give at least 1");
        self.split_size = bytes;
        self
    }

    /// Looks for new files again and again, and never ends. A file must appear whole: move it to its place when
    /// it is written. The names of all files ever read stay in the source's state.
    #[must_use]
    pub fn watch(mut self, interval: Duration) -> Self {
        self.watch = Some(interval);
        self
    }

    /// What becomes of a record that cannot be read.
    #[must_use]
    pub fn on_malformed(mut self, malformed: Malformed) -> Self {
        self.malformed = malformed;
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> FileSource<CsvDecoder<T>> {
    /// Files have no header row: columns become fields by their order.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.decoder.header = false;
        self
    }

    /// Whether no field holds a line break, so that several readers can share a file.
    #[must_use]
    pub fn splittable(mut self, splittable: bool) -> Self {
        self.decoder.one_line = splittable;
        self
    }

    /// What separates columns, instead of a comma: an ASCII character.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.decoder.set_delimiter(delimiter);
        self
    }
}

impl<D: Decoder> Source for FileSource<D> {
    type Item = D::Item;
    type Split = FileSplit;
    type Reader = FileReader<D>;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        let split_size = self.decoder.framing().is_splittable().then_some(self.split_size);
        Box::new(FileEnumerator::new(self.location.clone(), split_size, self.watch))
    }

    fn reader(&self, context: &ReaderContext) -> FileReader<D> {
        FileReader::new(self.decoder.clone(), self.malformed, context.io.clone())
    }
}
