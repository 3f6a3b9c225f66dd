//! The report of a benchmark: a table on standard output and `target/bench/NAME.json`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Serialize;

use super::{Error, Series};

/// One metric in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The metric's name.
    pub metric: String,
    /// The unit of the three figures.
    pub unit: &'static str,
    /// The number of samples.
    pub n: usize,
    /// The smallest sample.
    pub min: f64,
    /// The middle sample, or the mean of the two in the middle.
    pub median: f64,
    /// The largest sample.
    pub max: f64,
}

impl From<&Series> for Summary {
    /// Summarizes a series, which must hold at least one sample.
    fn from(series: &Series) -> Self {
        let mut sorted = series.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        assert!(n > 0, "{} has no samples", series.metric);
        Self {
            metric: series.metric.clone(),
            unit: series.unit,
            n,
            min: sorted[0],
            median: f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]),
            max: sorted[n - 1],
        }
    }
}

/// The figures of one benchmark, with where they come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The short commit id, with `-dirty` behind it when tracked files differ from it.
    pub commit: String,
    /// Processor, cores and memory.
    pub machine: String,
    /// One entry a metric.
    pub results: Vec<Summary>,
}

impl Report {
    /// A report of `series`, taken on this machine from the project's present commit.
    pub fn new(series: &[Series]) -> Self {
        Self { commit: commit(), machine: machine(), results: series.iter().map(Summary::from).collect() }
    }

    /// Writes `target/bench/NAME.json` in the project and returns its path.
    pub fn write(&self, name: &str) -> Result<PathBuf, Error> {
        self.write_into(&project().join("target/bench"), name)
    }

    fn write_into(&self, directory: &Path, name: &str) -> Result<PathBuf, Error> {
        let path = directory.join(format!("{name}.json"));
        let json = serde_json::to_string_pretty(self).expect("a report is plain numbers and strings") + "\n";
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&path, json))
            .map_err(|source| Error::Write { path: path.clone(), source })?;
        Ok(path)
    }
}

/// The results as aligned columns, a metric a line.
pub fn summary_table(results: &[Summary]) -> String {
    let header = ["metric", "unit", "n", "min", "median", "max"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header)
        .chain(results.iter().map(|r| {
            let [min, median, max] = [r.min, r.median, r.max].map(|figure| format!("{figure:.2}"));
            [r.metric.clone(), r.unit.to_owned(), r.n.to_string(), min, median, max]
        }))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (metric_width, unit_width) = (width(0), width(1));
    let mut table = String::new();
    for [metric, unit, n, min, median, max] in &rows {
        table +=
            &format!("{metric:metric_width$}  {unit:unit_width$}  {n:>3}  {min:>9}  {median:>9}  {max:>9}\n");
    }
    table
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the project's root")
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(project()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(id) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => id,
        _ => id + "-dirty",
    }
}

fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    describe_machine(&read("/proc/cpuinfo"), &read("/proc/meminfo"))
}

/// Processor, cores and memory from the texts of `/proc/cpuinfo` and `/proc/meminfo`.
fn describe_machine(cpuinfo: &str, meminfo: &str) -> String {
    let model = field(cpuinfo, "model name").next().unwrap_or("unknown processor");
    let cores = field(cpuinfo, "processor").count();
    let memory_kib = field(meminfo, "MemTotal")
        .next()
        .and_then(|value| value.strip_suffix(" kB")?.parse::<u64>().ok())
        .unwrap_or(0);
    format!("{model}, {cores} cores, {:.1} GiB", memory_kib as f64 / f64::from(1 << 20))
}

/// The values of the lines `key : value`.
fn field<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(samples: &[f64]) -> Series {
        Series { metric: "w1_loop".to_owned(), unit: "ns/event", samples: samples.to_vec() }
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_both_middles() {
        for (samples, min, median, max) in [
            (&[7.0][..], 7.0, 7.0, 7.0),
            (&[9.0, 1.0, 4.0], 1.0, 4.0, 9.0),
            (&[9.0, 1.0, 4.0, 5.0], 1.0, 4.5, 9.0),
        ] {
            let summary = Summary::from(&series(samples));
            assert_eq!(
                (summary.n, summary.min, summary.median, summary.max),
                (samples.len(), min, median, max)
            );
        }
    }

    #[test]
    fn the_file_has_the_published_shape() {
        let report = Report {
            commit: "abc1234-dirty".to_owned(),
            machine: "one, 2 cores, 3.0 GiB".to_owned(),
            results: vec![Summary::from(&series(&[33.5, 34.0, 36.0]))],
        };
        let directory = tempfile::tempdir().unwrap();
        let path = report.write_into(&directory.path().join("bench"), "core").unwrap();
        assert!(path.ends_with("bench/core.json"));
        let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "commit": "abc1234-dirty",
                "machine": "one, 2 cores, 3.0 GiB",
                "results": [{
                    "metric": "w1_loop", "unit": "ns/event", "n": 3, "min": 33.5, "median": 34.0, "max": 36.0
                }],
            })
        );
    }

    #[test]
    fn columns_line_up() {
        let other = Series { metric: "w1_maxpar32768_ratio".to_owned(), unit: "ratio", samples: vec![1.03] };
        let table = summary_table(&[Summary::from(&series(&[33.5])), Summary::from(&other)]);
        assert_eq!(
            table,
            "metric                unit        n        min     median        max\n\
             w1_loop               ns/event    1      33.50      33.50      33.50\n\
             w1_maxpar32768_ratio  ratio       1       1.03       1.03       1.03\n"
        );
    }

    #[test]
    fn the_machine_is_described_by_its_processor_and_memory() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2.20GHz\n\n\
                       processor\t: 1\nmodel name\t: Some CPU @ 2.20GHz\n";
        let meminfo = "MemTotal:       25165824 kB\nMemFree:        1 kB\n";
        assert_eq!(describe_machine(cpuinfo, meminfo), "Some CPU @ 2.20GHz, 2 cores, 24.0 GiB");
        assert_eq!(describe_machine("", ""), "unknown processor, 0 cores, 0.0 GiB");
    }
}
