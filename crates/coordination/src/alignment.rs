//! The alignment of event time: readers of a group do not read on while they are too far ahead of the slowest one.
//!
//! Readers report their watermarks ([`EventTimeReport`]) and decide themselves whether they are too far ahead of the lowest
//! one in their group. They are notified of it: in answer to a report that shows that they know another one, and as soon as
//! a reader that waits may read on. So each reader gets about as many messages as it sends, and a message that is lost is
//! replaced with the next report. A reader that has not reported in this attempt holds nobody back.

use reflow_protocol::report::EventTimeReport;
use reflow_types::{MAX_WATERMARK, SubtaskId, Timestamp};
use std::collections::BTreeMap;

/// The latest reports of an attempt's readers.
#[derive(Debug, Default)]
pub struct EventTimeAlignment {
    readers: BTreeMap<SubtaskId, EventTimeReport>,
}

impl EventTimeAlignment {
    /// Takes a reader's report. Returns the readers that are to be notified of the lowest watermark of the group, with it.
    pub fn report(&mut self, reader: SubtaskId, report: EventTimeReport) -> Vec<(SubtaskId, Timestamp)> {
        let group = report.group.clone();
        self.readers.insert(reader, report);
        let of_group = self.readers.values().filter(|other| other.group == group);
        // If all hold nobody back, they keep what they know, because those that come back may be far apart.
        let lowest = of_group.map(|other| other.watermark).min().filter(|lowest| *lowest != MAX_WATERMARK);
        let Some(lowest) = lowest else { return Vec::new() };
        let mut notified = Vec::new();
        for (id, other) in self.readers.iter_mut().filter(|(_, other)| other.group == group) {
            let may_read = other.waits_for.take_if(|waits_for| *waits_for <= lowest).is_some();
            if may_read || *id == reader && other.lowest != lowest {
                notified.push((*id, lowest));
            }
        }
        notified
    }

    /// Forgets all readers but these, because the others have left or an attempt has begun.
    pub fn retain(&mut self, is_there: impl Fn(SubtaskId) -> bool) {
        self.readers.retain(|reader, _| is_there(*reader));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::MIN_WATERMARK;

    const DRIFT: Timestamp = 100;
    const UNKNOWN: Timestamp = MIN_WATERMARK;

    /// A reader that has been notified `lowest`.
    fn report(group: &str, watermark: Timestamp, lowest: Timestamp) -> EventTimeReport {
        let waits = watermark != MAX_WATERMARK && watermark > lowest.saturating_add(DRIFT);
        EventTimeReport {
            group: group.to_owned(),
            watermark,
            lowest,
            waits_for: waits.then_some(watermark - DRIFT),
        }
    }

    /// What each reader is notified of.
    fn notified(
        alignment: &mut EventTimeAlignment,
        reader: u64,
        report: EventTimeReport,
    ) -> Vec<(u64, Timestamp)> {
        let notified = alignment.report(SubtaskId(reader), report).into_iter();
        notified.map(|(reader, lowest)| (reader.0, lowest)).collect()
    }

    #[test]
    fn a_reader_that_is_ahead_is_told_when_it_may_read_on() {
        let mut alignment = EventTimeAlignment::default();
        assert_eq!(
            notified(&mut alignment, 1, report("a", 500, UNKNOWN)),
            [(1, 500)],
            "nobody else is known"
        );
        assert_eq!(notified(&mut alignment, 2, report("a", 10, UNKNOWN)), [(2, 10)]);
        assert_eq!(notified(&mut alignment, 3, report("b", 0, UNKNOWN)), [(3, 0)], "of another group");
        assert_eq!(notified(&mut alignment, 1, report("a", 520, 500)), [(1, 10)]);
        assert_eq!(notified(&mut alignment, 1, report("a", 520, 10)), [], "it knows");
        assert_eq!(notified(&mut alignment, 2, report("a", 419, 10)), [(2, 419)], "not enough");
        assert_eq!(notified(&mut alignment, 2, report("a", 420, 419)), [(1, 420), (2, 420)]);
        assert_eq!(notified(&mut alignment, 2, report("a", 430, 420)), [(2, 430)], "it is notified once");
    }

    /// Or nobody would read any more, after a message that was lost.
    #[test]
    fn a_lost_answer_is_repeated() {
        let mut alignment = EventTimeAlignment::default();
        notified(&mut alignment, 1, report("a", 0, UNKNOWN));
        notified(&mut alignment, 2, report("a", 500, 0));
        assert_eq!(notified(&mut alignment, 1, report("a", 450, 0)), [(1, 450), (2, 450)]);
        assert_eq!(notified(&mut alignment, 2, report("a", 500, 0)), [(2, 450)]);
    }

    #[test]
    fn readers_that_are_idle_at_their_end_or_gone_hold_nobody_back() {
        let mut alignment = EventTimeAlignment::default();
        notified(&mut alignment, 1, report("a", 0, UNKNOWN));
        notified(&mut alignment, 2, report("a", 20, 0));
        notified(&mut alignment, 3, report("a", 900, 0));
        assert_eq!(notified(&mut alignment, 1, report("a", MAX_WATERMARK, 0)), [(1, 20)]);
        alignment.retain(|reader| reader != SubtaskId(2));
        assert_eq!(notified(&mut alignment, 3, report("a", 900, 20)), [(3, 900)]);
        assert_eq!(notified(&mut alignment, 1, report("a", 800, 20)), [(1, 800)], "it is back");
    }
}
