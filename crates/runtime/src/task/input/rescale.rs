//! Live rescale in a task with inputs: state prefetch, key-group migration after the cut, removal.

use super::{InputTask, Phase};
use crate::keyed::Head;
use crate::task::migration::Signal;
use crate::task::next_chunk;
use crate::task::prefetch::Step;
use crate::task::{TaskEvent, TaskStep};
use reflow_protocol::control::Fault;
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::Part;
use reflow_types::{CheckpointId, Instant, MIN_WATERMARK, injected_fault};
use serde::de::DeserializeOwned;

impl<T, H> InputTask<T, H>
where
    T: DeserializeOwned + Send + 'static,
    H: Head<T>,
{
    /// The first step of an added task, after the cut.
    pub(super) fn begin(&mut self, checkpoint: CheckpointId, now: Instant, events: &mut Vec<TaskEvent>) {
        let Some(preparation) = self.prepared.take() else {
            crate::fail(
                Fault::Engine,
                &self.name,
                format!("checkpoint {checkpoint} is a cut, but no rescale was prepared"),
            )
        };
        self.phase = Phase::Running;
        events.push(SubtaskEvent::Running.into());
        if self.gate.watermark() > MIN_WATERMARK {
            self.head.watermark(self.gate.watermark());
        }
        if self.restoring.retains_state() {
            self.head.tables(&mut |table| table.remember(None));
        }
        self.begin_migration((checkpoint, now), &preparation, true);
    }

    /// Prefetches some state of incoming groups. Returns whether there was something to do.
    pub(super) fn prefetch_step(&mut self, events: &mut Vec<TaskEvent>) -> bool {
        let Some(version) = self.prepared.as_ref().map(|preparation| preparation.version) else {
            return false;
        };
        match self.prefetch.step(&mut self.head) {
            Ok(Step::Waiting) => false,
            Ok(Step::Worked) => true,
            Ok(Step::Complete(checkpoint)) => {
                events.push(TaskEvent::Prepared { version, checkpoint });
                true
            }
            Err(reason) => {
                self.prefetch.stop();
                events.push(TaskEvent::Refused { version, reason });
                true
            }
        }
    }

    /// Sends outgoing state and installs incoming state. Returns whether there was something to do.
    pub(super) fn step_migration(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> bool {
        let Some(migration) = &mut self.migration else { return false };
        let mut worked = false;
        if migration.has_outgoing() {
            let (parts, all) = self.snapshots.take_hand_overs();
            let checkpoint = migration.checkpoint;
            worked |= !parts.is_empty() || all;
            let most = self.bounds.record_bytes;
            if let Some(bytes) = parts.iter().map(|(_, part)| part.state_bytes()).find(|bytes| *bytes > most)
            {
                let error = format!(
                    "cannot hand over {bytes} bytes of keyed state at once, the limit is {most}: the state of a key \
                     has become too large; the job goes on from its last checkpoint"
                );
                crate::fail(Fault::Engine, &self.name, error);
            }
            let hand_over = |(to, part)| TaskEvent::HandOver { checkpoint, to, part };
            events.extend(parts.into_iter().map(hand_over));
            if all && let Some(outgoing) = migration.take_outgoing() {
                let (cut_at_us, watermark) = (migration.cut_at.0, migration.watermark);
                for to in std::mem::take(&mut migration.new_owners) {
                    let part = Part::Done { cut_at_us, watermark };
                    events.push(TaskEvent::HandOver { checkpoint, to, part });
                }
                if !injected_fault::is_active("group_owned_twice") {
                    self.head.tables(&mut |table| table.release(&outgoing));
                }
                self.discarding = true;
            }
        }
        match migration.step(now, &mut self.head) {
            Ok((moved, installed)) => {
                worked |= moved;
                if let Some(installed) = installed {
                    self.not_before = self.not_before.max(installed.cut_at);
                    if !injected_fault::is_active("late_record_taken_by_the_new_owner") {
                        self.gate.raise(installed.watermark);
                    }
                }
            }
            Err(reason) => {
                crate::fail(Fault::Engine, &self.name, format!("cannot install key groups: {reason}"))
            }
        }
        if migration.is_installed() && !migration.reported {
            migration.reported = true;
            let (version, installation) = (migration.version, migration.report());
            events.push(SubtaskEvent::Installed { version, installation }.into());
            worked = true;
        }
        worked
    }

    /// Emits one deferred signal to the chain, which must have nothing left to do: it may fire windows over several steps
    /// before it can take the next one. Returns whether there was something to do.
    pub(super) fn emit_deferred(&mut self, events: &mut Vec<TaskEvent>) -> bool {
        let Some(migration) = &mut self.migration else { return false };
        let mut signal = migration.next_signal();
        if let Some(Signal::Watermark(time)) = signal
            && injected_fault::is_active("input_ends_while_windows_fire")
        {
            self.head.watermark(time);
            signal = migration.next_signal();
        }
        if signal.is_none() && !migration.is_complete() {
            return false;
        }
        if matches!(signal, None | Some(Signal::End)) {
            self.migration = None;
        }
        match signal {
            Some(Signal::Watermark(time)) => self.head.watermark(time),
            Some(Signal::Idle(idle)) => self.head.idle(idle),
            Some(Signal::End) => self.end(events),
            None => {}
        }
        true
    }

    /// Frees a part of the memory of released key groups.
    pub(super) fn discard(&mut self) -> bool {
        if !self.discarding {
            return false;
        }
        let (mut more, slots) = (false, self.bounds.discarded_slots);
        self.head.tables(&mut |table| more |= table.discard(slots));
        self.discarding = more;
        more
    }

    /// Processes buffered records whose groups are installed. Not while groups go out.
    pub(super) fn process_ready(&mut self, now: Instant) -> bool {
        let Some(migration) =
            self.migration.as_mut().filter(|migration| migration.has_ready() && !migration.has_outgoing())
        else {
            return false;
        };
        let mut taken = 0;
        while taken < self.chunk && !self.head.has_rest() && !self.head.is_full() {
            let Some(row) = migration.next_ready() else { break };
            self.head.row(row);
            taken += 1;
        }
        self.chunk = next_chunk(self.chunk, taken, self.clock.now().since(now));
        self.unflushed = true;
        self.flush_if_due(now, false);
        true
    }

    /// A removed task takes part in checkpoints until its transactions are committed.
    pub(super) fn after_removal(
        &mut self,
        complete: bool,
        now: Instant,
        wrote: bool,
        events: &mut Vec<TaskEvent>,
    ) -> TaskStep {
        if self.migration.is_some() {
            return if wrote { TaskStep::Worked } else { TaskStep::Idle(None) };
        }
        if complete || injected_fault::is_active("leaving_commit_lost") {
            return self.finish(wrote, events);
        }
        self.after_end(now, wrote)
    }
}
