//! Whether the committed output holds each event exactly once, and whether the counts saw each exactly once.

use std::path::Path;
use std::{fs, io};

/// How many keys the events of both sources share.
pub const KEYS: u64 = 1_000;
/// How many sources there are.
pub const SOURCES: u64 = 2;

/// The key of event `index` of `source`.
pub const fn key(source: u64, index: u64) -> u64 {
    crate::workloads::splitmix64(index.wrapping_mul(SOURCES).wrapping_add(source)) % KEYS
}

/// What the output says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Events that are not there.
    pub lost: u64,
    /// Occurrences of events beyond the first.
    pub doubled: u64,
    /// Counts of keys that are missing, or there more than once, or too high: state that lost or repeated an event.
    pub miscounted: u64,
    /// Lines that are no output of the job.
    pub malformed: u64,
}

impl Verdict {
    /// Whether all is as if nothing had failed.
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }

    /// Reads all parts in `output`, where each source had so many events.
    pub fn read(output: &Path, events: u64) -> io::Result<Self> {
        let mut seen = Seen::new(events);
        for entry in fs::read_dir(output)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::read_to_string(entry.path())?.lines().for_each(|line| seen.line(line));
            }
        }
        Ok(seen.verdict())
    }
}

struct Seen {
    /// How often each event of each source was there.
    events: Vec<Vec<u8>>,
    /// How often each count of each key was there.
    counts: Vec<Vec<u8>>,
    malformed: u64,
    miscounted: u64,
}

impl Seen {
    fn new(events: u64) -> Self {
        let mut counts = vec![0; KEYS as usize];
        let all = (0..SOURCES).flat_map(|source| (0..events).map(move |index| key(source, index)));
        all.for_each(|key| counts[key as usize] += 1);
        Self {
            events: vec![vec![0; events as usize]; SOURCES as usize],
            counts: counts.into_iter().map(|count| vec![0; count]).collect(),
            malformed: 0,
            miscounted: 0,
        }
    }

    /// `source index key count`
    fn line(&mut self, line: &str) {
        let numbers: Vec<u64> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [source, index, of, count] = numbers[..] else {
            self.malformed += 1;
            return;
        };
        let event = self.events.get_mut(source as usize).and_then(|events| events.get_mut(index as usize));
        let Some(event) = event.filter(|_| of == key(source, index)) else {
            self.malformed += 1;
            return;
        };
        *event = event.saturating_add(1);
        match self.counts[of as usize].get_mut((count as usize).wrapping_sub(1)) {
            Some(count) => *count = count.saturating_add(1),
            None => self.miscounted += 1,
        }
    }

    fn verdict(&self) -> Verdict {
        let times = |of: &[Vec<u8>], figure: fn(u64) -> u64| -> u64 {
            of.iter().flatten().map(|times| figure(u64::from(*times))).sum()
        };
        Verdict {
            lost: times(&self.events, |times| u64::from(times == 0)),
            doubled: times(&self.events, |times| times.saturating_sub(1)),
            miscounted: self.miscounted + times(&self.counts, |times| u64::from(times != 1)),
            malformed: self.malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn exact(events: u64) -> Vec<String> {
        let mut counts = BTreeMap::new();
        let all = (0..events).flat_map(|index| (0..SOURCES).map(move |source| (source, index)));
        all.map(|(source, index)| {
            let key = key(source, index);
            let count = counts.entry(key).or_insert(0);
            *count += 1;
            format!("{source} {index} {key} {count}")
        })
        .collect()
    }

    fn check(lines: &[String]) -> Verdict {
        let mut seen = Seen::new(5_000);
        lines.iter().for_each(|line| seen.line(line));
        seen.verdict()
    }

    #[test]
    fn what_is_missing_or_twice_is_found() {
        let mut lines = exact(5_000);
        assert!(check(&lines).is_exact());
        let last = lines.pop().unwrap();
        assert_eq!(check(&lines), Verdict { lost: 1, miscounted: 1, ..Default::default() });
        lines.extend([last.clone(), last]);
        assert_eq!(check(&lines), Verdict { doubled: 1, miscounted: 1, ..Default::default() });
        lines.pop();
        let event = format!("1 4999 {}", key(1, 4_999));
        *lines.last_mut().unwrap() = format!("{event} 1");
        assert_eq!(check(&lines), Verdict { miscounted: 2, ..Default::default() });
        *lines.last_mut().unwrap() = event;
        assert_eq!(check(&lines), Verdict { lost: 1, miscounted: 1, malformed: 1, ..Default::default() });
    }
}
