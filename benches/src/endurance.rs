//! The resources of processes over many rescales and failures, for `cargo xtask bench endurance`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The resources of a process, as `/proc` reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Memory that only it uses and its part of what it shares, in KiB.
    pub memory_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Holdings {
    /// Of a process that lives.
    pub fn of(pid: u32) -> Option<Self> {
        let proc = Path::new("/proc").join(pid.to_string());
        let status = fs::read_to_string(proc.join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let descriptors = fs::read_dir(proc.join("fd")).ok()?.count() as u64;
        Some(Self { memory_kib: field("VmRSS:")?, threads: field("Threads:")?, descriptors })
    }
}

/// How many files are below a directory, and how many directories. What vanishes meanwhile does not count.
pub fn entries_below(directory: &Path) -> (u64, u64) {
    let (mut files, mut directories) = (0, 0);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let below = entries_below(&entry.path());
            files += below.0;
            directories += 1 + below.1;
        } else {
            files += 1;
        }
    }
    (files, directories)
}

/// Figures over the rounds, by name.
#[derive(Debug, Default)]
pub struct Courses(BTreeMap<String, Vec<f64>>);

/// How a figure went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// The median of the second quarter: caches and pools are full by then.
    pub early: f64,
    /// The median of the last quarter.
    pub late: f64,
    /// The largest.
    pub most: f64,
}

impl Courses {
    /// Adds a figure of this round.
    pub fn add(&mut self, name: &str, figure: f64) {
        self.0.entry(name.to_owned()).or_default().push(figure);
    }

    /// Each with its name and how it went.
    pub fn all(&self) -> impl Iterator<Item = (&str, Course)> {
        self.0.iter().map(|(name, figures)| (name.as_str(), Course::of(figures)))
    }

    /// The figures themselves.
    pub fn samples(&self) -> impl Iterator<Item = (&str, &[f64])> {
        self.0.iter().map(|(name, figures)| (name.as_str(), figures.as_slice()))
    }
}

impl Course {
    /// Of figures in the order of the rounds.
    pub fn of(figures: &[f64]) -> Self {
        let quarter = figures.len().div_ceil(4);
        let median = |part: &[f64]| {
            let mut sorted = part.to_vec();
            sorted.sort_by(f64::total_cmp);
            sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
        };
        Self {
            early: median(&figures[quarter.min(figures.len())..(2 * quarter).min(figures.len())]),
            late: median(&figures[figures.len() - quarter..]),
            most: figures.iter().copied().fold(0.0, f64::max),
        }
    }

    /// Whether it grew by more than `share` of what it was, and by more than `least`.
    pub fn grew(&self, share: f64, least: f64) -> bool {
        self.late - self.early > least.max(self.early * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_noise() {
        let grows: Vec<f64> = (0..100).map(f64::from).collect();
        let course = Course::of(&grows);
        assert_eq!((course.early, course.late, course.most), (37.0, 87.0, 99.0));
        assert!(course.grew(0.1, 2.0));
        let steady: Vec<f64> = (0..100).map(|round| f64::from(20 + round % 3)).collect();
        assert!(!Course::of(&steady).grew(0.1, 2.0));
        let warms_up: Vec<f64> = (0..100).map(|round| f64::from(round.min(20))).collect();
        assert!(!Course::of(&warms_up).grew(0.1, 2.0));
    }

    #[test]
    fn a_process_holds_something() {
        let ours = Holdings::of(std::process::id()).unwrap();
        assert!(ours.memory_kib > 0 && ours.threads > 0 && ours.descriptors > 0, "{ours:?}");
        assert_eq!(Holdings::of(u32::MAX), None);
    }

    #[test]
    fn files_and_directories_are_counted() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("a/b")).unwrap();
        fs::write(scratch.path().join("a/file"), "").unwrap();
        assert_eq!(entries_below(scratch.path()), (1, 2));
    }
}
