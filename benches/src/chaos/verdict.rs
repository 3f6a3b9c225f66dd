//! Checks that the committed output contains each result exactly once, and that the counts include each event
//! exactly once.

use super::load::{KEYS, LOADING, Load, SOURCES, checksum, key, payload, touched};
use std::path::Path;
use std::{fs, io};

/// What the output says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Results that are not there.
    pub lost: u64,
    /// Occurrences of results beyond the first.
    pub doubled: u64,
    /// Counts and sums that are missing, or there more than once, or wrong: state that lost or repeated an event.
    pub miscounted: u64,
    /// Lines that are no output of the job.
    pub malformed: u64,
}

impl Verdict {
    /// Whether all is as if nothing had failed.
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }

    /// Reads all parts in `output`, from a job that has read `load`.
    pub fn read(output: &Path, load: Load) -> io::Result<Self> {
        let mut seen = Seen::new(load);
        for entry in fs::read_dir(output)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::read_to_string(entry.path())?.lines().for_each(|line| seen.line(line));
            }
        }
        Ok(seen.verdict())
    }
}

/// How often each of a numbered kind of results was there.
type Times = Vec<u8>;

struct Seen {
    /// Each event of each counted source.
    events: Vec<Times>,
    /// Each count of each key.
    counts: Vec<Times>,
    /// The timer of each pending key.
    timers: Times,
    /// The window of each pending key, and the sum that it must have.
    windows: Times,
    sums: Vec<u64>,
    large: Times,
    slow: Times,
    malformed: u64,
    miscounted: u64,
}

impl Seen {
    fn new(load: Load) -> Self {
        let mut counts = vec![0; KEYS as usize];
        let all = (0..SOURCES).flat_map(|source| (0..load.events).map(move |index| key(source, index)));
        all.for_each(|key| counts[key as usize] += 1);
        let mut sums = vec![1; load.pending as usize];
        let touched = (LOADING..load.touches).flat_map(|index| touched(index, load.pending));
        touched.for_each(|key| sums[key as usize] += 1);
        let times = |of: u64| vec![0; of as usize];
        Self {
            events: vec![times(load.events); SOURCES as usize],
            counts: counts.into_iter().map(|count| vec![0; count]).collect(),
            timers: times(load.pending),
            windows: times(load.pending),
            sums,
            large: times(load.large),
            slow: times(load.slow),
            malformed: 0,
            miscounted: 0,
        }
    }

    /// One of `event SOURCE INDEX KEY COUNT`, `timer KEY`, `window KEY SUM`, `large INDEX CHECKSUM`, `slow INDEX`.
    fn line(&mut self, line: &str) {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let numbers: Option<Vec<u64>> = rest.split(' ').map(|number| number.parse().ok()).collect();
        let known = match (kind, numbers.as_deref()) {
            ("event", Some(&[source, index, of, count])) => self.event(source, index, of, count),
            ("timer", Some(&[key])) => once_more(&mut self.timers, key),
            ("window", Some(&[key, sum])) => {
                let known = once_more(&mut self.windows, key);
                self.miscounted += u64::from(known && self.sums[key as usize] != sum);
                known
            }
            ("large", Some(&[index, sum])) => {
                let known = once_more(&mut self.large, index);
                self.miscounted += u64::from(known && checksum(&payload(index)) != sum);
                known
            }
            ("slow", Some(&[index])) => once_more(&mut self.slow, index),
            _ => false,
        };
        self.malformed += u64::from(!known);
    }

    fn event(&mut self, source: u64, index: u64, of: u64, count: u64) -> bool {
        let events = self.events.get_mut(source as usize);
        let known = of == key(source, index) && events.is_some_and(|events| once_more(events, index));
        if known && !once_more(&mut self.counts[of as usize], count.wrapping_sub(1)) {
            self.miscounted += 1;
        }
        known
    }

    fn verdict(&self) -> Verdict {
        let results = self.events.iter().chain([&self.timers, &self.windows, &self.large, &self.slow]);
        let (mut lost, mut doubled) = (0, 0);
        for times in results.flatten() {
            lost += u64::from(*times == 0);
            doubled += u64::from(times.saturating_sub(1));
        }
        let counts = self.counts.iter().flatten().filter(|times| **times != 1).count() as u64;
        Verdict { lost, doubled, miscounted: self.miscounted + counts, malformed: self.malformed }
    }
}

/// Counts result `number`; whether there is one of that number.
fn once_more(times: &mut Times, number: u64) -> bool {
    let counted = usize::try_from(number).ok().and_then(|number| times.get_mut(number));
    counted.map(|times| *times = times.saturating_add(1)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const LOAD: Load = Load { events: 5_000, pending: 3_000, touches: LOADING + 500, large: 5, slow: 7 };

    fn exact() -> Vec<String> {
        let mut counts = BTreeMap::new();
        let all = (0..LOAD.events).flat_map(|index| (0..SOURCES).map(move |source| (source, index)));
        let mut lines: Vec<String> = all
            .map(|(source, index)| {
                let key = key(source, index);
                let count = counts.entry(key).or_insert(0);
                *count += 1;
                format!("event {source} {index} {key} {count}")
            })
            .collect();
        let mut sums = BTreeMap::new();
        for key in (0..LOAD.touches).flat_map(|index| touched(index, LOAD.pending)) {
            *sums.entry(key).or_insert(0) += 1;
        }
        lines.extend(sums.keys().map(|key| format!("timer {key}")));
        lines.extend(sums.iter().map(|(key, sum)| format!("window {key} {sum}")));
        lines.extend((0..LOAD.slow).map(|index| format!("slow {index}")));
        lines.extend((0..LOAD.large).map(|index| format!("large {index} {}", checksum(&payload(index)))));
        lines
    }

    fn check(lines: &[String]) -> Verdict {
        let mut seen = Seen::new(LOAD);
        lines.iter().for_each(|line| seen.line(line));
        seen.verdict()
    }

    #[test]
    fn each_result_is_awaited_once() {
        let lines = exact();
        assert!(check(&lines).is_exact());
        for kind in ["timer", "window", "slow", "large"] {
            let at = lines.iter().position(|line| line.starts_with(kind)).unwrap();
            let mut without = lines.clone();
            let line = without.remove(at);
            assert_eq!(check(&without), Verdict { lost: 1, ..Default::default() }, "without {line}");
            without.extend([line.clone(), line.clone()]);
            assert_eq!(check(&without), Verdict { doubled: 1, ..Default::default() }, "{line} twice");
        }
    }

    #[test]
    fn a_gap_in_a_key_shows_in_its_count() {
        let mut lines = exact();
        let last = lines.iter().rposition(|line| line.starts_with("event")).unwrap();
        let line = lines.remove(last);
        assert_eq!(check(&lines), Verdict { lost: 1, miscounted: 1, ..Default::default() });
        let (event, _) = line.rsplit_once(' ').unwrap();
        lines.push(format!("{event} 1"));
        assert_eq!(check(&lines), Verdict { miscounted: 2, ..Default::default() });
        *lines.last_mut().unwrap() = event.to_owned();
        assert_eq!(check(&lines), Verdict { lost: 1, miscounted: 1, malformed: 1, ..Default::default() });
    }

    #[test]
    fn a_wrong_sum_or_payload_counts() {
        let mut lines = exact();
        for kind in ["window", "large"] {
            let at = lines.iter().position(|line| line.starts_with(kind)).unwrap();
            let (result, _) = lines[at].rsplit_once(' ').unwrap();
            lines[at] = format!("{result} 7777");
        }
        assert_eq!(check(&lines), Verdict { miscounted: 2, ..Default::default() });
        lines.push("timer".to_owned());
        lines.push(format!("timer {}", LOAD.pending));
        assert_eq!(check(&lines), Verdict { miscounted: 2, malformed: 2, ..Default::default() });
    }
}
