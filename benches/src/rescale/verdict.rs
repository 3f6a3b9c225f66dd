//! Whether the committed output holds each record exactly once, and whether each key counted each of them.
//!
//! The job is stopped somewhere; each split ends at its last record that is there.

use super::schedule::{SPLITS, Schedule};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::{fs, io};

/// What the output says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records that are there.
    pub records: u64,
    /// Records that are not there, though later ones of their split are.
    pub lost: u64,
    /// Occurrences of records beyond the first.
    pub doubled: u64,
    /// Keys whose counts are not 1, 2, … up to the number of their records.
    pub miscounted: u64,
    /// Lines that are no output of the job.
    pub malformed: u64,
}

impl Verdict {
    /// Whether all is as if nothing had happened.
    pub fn is_exact(&self) -> bool {
        *self == Self { records: self.records, ..Self::default() } && self.records > 0
    }

    /// Reads all parts in `output`. Flink's parts that were not committed are hidden.
    pub fn read(output: &Path, schedule: &Schedule) -> io::Result<Self> {
        let mut found = Found::new(schedule);
        for entry in fs::read_dir(output)? {
            let entry = entry?;
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if entry.file_type()?.is_file() && !is_hidden {
                for line in BufReader::new(fs::File::open(entry.path())?).lines() {
                    found.line(&line?);
                }
            }
        }
        Ok(found.verdict())
    }
}

/// The counts of a key: how many, their sum, the highest.
#[derive(Clone, Copy, Default)]
struct Counts {
    number: u64,
    sum: u64,
    highest: u64,
}

struct Found<'a> {
    schedule: &'a Schedule,
    /// How often each record is there.
    records: Vec<u8>,
    keys: Vec<Counts>,
    malformed: u64,
}

impl<'a> Found<'a> {
    fn new(schedule: &'a Schedule) -> Self {
        let keys = vec![Counts::default(); schedule.keys as usize];
        Self { schedule, records: Vec::new(), keys, malformed: 0 }
    }

    /// `record count`
    fn line(&mut self, line: &str) {
        let numbers = line
            .split_once(' ')
            .and_then(|(record, count)| Some((record.parse().ok()?, count.parse().ok()?)));
        let Some((record, count)) = numbers.filter(|(record, _): &(u64, u64)| u32::try_from(*record).is_ok())
        else {
            self.malformed += 1;
            return;
        };
        let index = record as usize;
        if self.records.len() <= index {
            self.records.resize(index + 1, 0);
        }
        self.records[index] = self.records[index].saturating_add(1);
        let counts = &mut self.keys[self.schedule.key(record) as usize];
        counts.number += 1;
        counts.sum += count;
        counts.highest = counts.highest.max(count);
    }

    fn verdict(&self) -> Verdict {
        let mut verdict = Verdict { malformed: self.malformed, ..Verdict::default() };
        let mut expected = vec![0; self.keys.len()];
        for split in 0..SPLITS {
            let of_split = self.records.iter().enumerate().skip(split as usize).step_by(SPLITS as usize);
            let last =
                of_split.clone().filter(|(_, times)| **times > 0).map(|(record, _)| record).next_back();
            for (record, times) in of_split.take_while(|(record, _)| Some(*record) <= last) {
                verdict.records += 1;
                verdict.lost += u64::from(*times == 0);
                verdict.doubled += u64::from(times.saturating_sub(1));
                expected[self.schedule.key(record as u64) as usize] += 1;
            }
        }
        let wrong = |(counts, expected): &(&Counts, &u64)| {
            let Counts { number, sum, highest } = **counts;
            (number, highest, sum) != (**expected, **expected, **expected * (**expected + 1) / 2)
        };
        verdict.miscounted = self.keys.iter().zip(&expected).filter(wrong).count() as u64;
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule { keys: 7, rate: 1, begin_us: 0 };

    fn exact(records: u64) -> Vec<String> {
        let mut counts = [0; 7];
        let mut line = |record| {
            let count = &mut counts[SCHEDULE.key(record) as usize];
            *count += 1;
            format!("{record} {count}")
        };
        (0..records).map(&mut line).collect()
    }

    #[track_caller]
    fn check(lines: &[String], expected: Verdict) {
        let mut found = Found::new(&SCHEDULE);
        lines.iter().for_each(|line| found.line(line));
        assert_eq!(found.verdict(), expected);
        assert_eq!(
            expected.is_exact(),
            expected.lost + expected.doubled + expected.miscounted + expected.malformed == 0
        );
    }

    #[test]
    fn what_is_missing_or_twice_is_found() {
        let all = Verdict { records: 200, ..Verdict::default() };
        let lines = exact(200);
        check(&lines, all);
        let mut fewer = lines.clone();
        let gone = fewer.remove(100);
        check(&fewer, Verdict { lost: 1, miscounted: 1, ..all });
        let mut more = lines.clone();
        more.push(gone);
        check(&more, Verdict { doubled: 1, miscounted: 1, ..all });
        let mut wrong = lines.clone();
        wrong[150] = format!("150 {}", 1_000);
        check(&wrong, Verdict { miscounted: 1, ..all });
        wrong[150] = "150".to_owned();
        check(&wrong, Verdict { lost: 1, miscounted: 1, malformed: 1, ..all });
        check(&lines[..199], Verdict { records: 199, ..all });
    }
}
