//! A source that reads files: CSV, JSON lines or plain lines, once or as they appear.
//!
//! The enumerator lists the files and divides large ones into byte ranges, the splits. A record belongs to the
//! split that contains its first byte. A reader reads ahead, divides the bytes into records and decodes them; its
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
use reflow_api::source::{Malformed, ReaderContext};
use reflow_api::{Enumerator, Source};
use reflow_env::Location;
use serde::de::DeserializeOwned;
use split::FileSplit;
use std::time::Duration;

/// Reads a file, or all files in a directory and its subdirectories. Files and directories whose names begin with
/// `.` or `_` are ignored.
///
/// A file is read up to the length that it had when it was found; data that is appended later is not read. Records
/// carry no event time; assign it downstream. A reader reads up to 32 splits in turn, in the order of their names.
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
    /// Reads rows of comma-separated values. The first row of each file names the columns, which become fields of
    /// `T` by name. Quoted fields may contain line breaks, so a file is one split, unless it is declared
    /// [splittable](FileSource::splittable).
    pub fn csv<T: DeserializeOwned + Send + 'static>(at: impl Into<String>) -> FileSource<CsvDecoder<T>> {
        FileSource::new(at, CsvDecoder::new())
    }

    /// Reads a JSON value from each line.
    pub fn json_lines<T: DeserializeOwned + Send + 'static>(
        at: impl Into<String>,
    ) -> FileSource<JsonDecoder<T>> {
        FileSource::new(at, JsonDecoder::new())
    }

    /// Reads lines of text, without their line ends.
    pub fn lines(at: impl Into<String>) -> FileSource<LineDecoder> {
        FileSource::new(at, LineDecoder)
    }
}

impl<D: Decoder> FileSource<D> {
    /// Reads records with another decoder. `at` is an absolute path, or a URL such as `s3://bucket/prefix`; all
    /// TaskManagers and the JobManager must reach it.
    ///
    /// ```
    /// use reflow_connectors::{FileSource, file_source::decode::LineDecoder};
    ///
    /// // The same as `FileSource::lines`. `Decoder` has an example with a decoder of one's own.
    /// let lines = FileSource::new("/data/words", LineDecoder);
    /// ```
    pub fn new(at: impl Into<String>, decoder: D) -> Self {
        let location = Location(at.into());
        Self { location, decoder, split_size: 64 << 20, watch: None, malformed: Malformed::Fail }
    }

    /// Divides larger files into splits of this many bytes, if the format allows to find records in the middle of a
    /// file. The default is 64 MiB.
    ///
    /// # Panics
    /// If `bytes` is 0.
    #[must_use]
    pub fn split_size(mut self, bytes: u64) -> Self {
        assert!(bytes > 0, "a split of 0 bytes holds nothing: give at least 1");
        self.split_size = bytes;
        self
    }

    /// Looks for new files at this interval, and never ends. A file must appear as a whole: write it elsewhere and
    /// move it to its place. The names of all files ever read are kept in the source's state.
    #[must_use]
    pub fn watch(mut self, interval: Duration) -> Self {
        self.watch = Some(interval);
        self
    }

    /// What happens to records that cannot be read. [`Malformed::Skip`] skips also the rest of a file that was deleted or became
    /// shorter after it was found, which counts as one record and is always logged, and of a record of more than 16 MiB its
    /// first line.
    #[must_use]
    pub fn on_malformed(mut self, malformed: Malformed) -> Self {
        self.malformed = malformed;
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> FileSource<CsvDecoder<T>> {
    /// Reads files without a header row. Columns become fields by their order.
    ///
    /// ```
    /// use reflow_connectors::FileSource;
    ///
    /// let rows = FileSource::csv::<(String, u64)>("/data/counts").without_header().delimiter(b';').split_size(1 << 20);
    /// ```
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.decoder.header = false;
        self
    }

    /// Declares that no field contains a line break, so that several readers can share a file.
    #[must_use]
    pub fn splittable(mut self, splittable: bool) -> Self {
        self.decoder.one_line = splittable;
        self
    }

    /// Sets the separator of columns, an ASCII character, instead of a comma.
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
