//! A live rescale, as a task with inputs takes part in it: reading ahead, the cut's consequences, leaving.

use super::{InputTask, Phase};
use crate::keyed::Head;
use crate::task::arriving::Step;
use crate::task::moving::Signal;
use crate::task::next_chunk;
use crate::task::{TaskEvent, TaskStep};
use reflow_protocol::control::Fault;
use reflow_protocol::rescale::Part;
use reflow_types::{CheckpointId, Instant, MIN_WATERMARK, canary};
use serde::de::DeserializeOwned;

impl<T, H> InputTask<T, H>
where
    T: DeserializeOwned + Send + 'static,
    H: Head<T>,
{
    /// The first step of a task that comes with a rescale.
    pub(super) fn begin(&mut self, checkpoint: CheckpointId, now: Instant, events: &mut Vec<TaskEvent>) {
        let Some(preparation) = self.prepared.take() else {
            crate::fail(
                Fault::Engine,
                &self.name,
                format!("cut {checkpoint} came for which nothing was prepared"),
            )
        };
        self.phase = Phase::Running;
        events.push(TaskEvent::Running);
        if self.gate.watermark() > MIN_WATERMARK {
            self.head.watermark(self.gate.watermark());
        }
        if self.restoring.keeps_state() {
            self.head.tables(&mut |table| table.remember(None));
        }
        self.begin_moving((checkpoint, now), &preparation, true);
    }

    /// Reads what checkpoints have of groups that are to come.
    pub(super) fn read_ahead(&mut self, events: &mut Vec<TaskEvent>) -> bool {
        let Some(version) = self.prepared.as_ref().map(|preparation| preparation.version) else {
            return false;
        };
        match self.arriving.step(&mut self.head) {
            Ok(Step::Rests) => false,
            Ok(Step::Worked) => true,
            Ok(Step::Ready(checkpoint)) => {
                events.push(TaskEvent::Prepared { version, checkpoint });
                true
            }
            Err(reason) => {
                self.arriving.stop();
                events.push(TaskEvent::Refused { version, reason });
                true
            }
        }
    }

    /// Sends key groups that go, takes in those that come; says whether there was something to do.
    pub(super) fn step_moving(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> bool {
        let Some(moving) = &mut self.moving else { return false };
        let mut worked = false;
        if moving.is_giving() {
            let (parts, all) = self.snapshots.take_hand_overs();
            let checkpoint = moving.checkpoint;
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
            if all && let Some(gone) = moving.gone() {
                let (cut_at_us, watermark) = (moving.cut_at.0, moving.watermark);
                for to in std::mem::take(&mut moving.heirs) {
                    let part = Part::Done { cut_at_us, watermark };
                    events.push(TaskEvent::HandOver { checkpoint, to, part });
                }
                if !canary::sings("group_owned_twice") {
                    self.head.tables(&mut |table| table.release(&gone));
                }
                self.discarding = true;
            }
        }
        match moving.step(now, &mut self.head) {
            Ok((moved, arrived)) => {
                worked |= moved;
                if let Some(arrived) = arrived {
                    self.not_before = self.not_before.max(arrived.cut_at);
                    self.gate.raise(arrived.watermark);
                }
            }
            Err(reason) => crate::fail(Fault::Engine, &self.name, format!("cannot take over: {reason}")),
        }
        if moving.all_in() && !moving.announced {
            moving.announced = true;
            events.push(TaskEvent::Installed { version: moving.version, installation: moving.report() });
            worked = true;
        }
        worked
    }

    /// Tells the chain, which has nothing left to do, what waited for key groups: one thing a step, as it may have to
    /// fire windows for several steps before it can take the next.
    pub(super) fn release_held(&mut self, events: &mut Vec<TaskEvent>) -> bool {
        let Some(moving) = &mut self.moving else { return false };
        let signal = moving.next_signal();
        if signal.is_none() && !moving.is_over() {
            return false;
        }
        if matches!(signal, None | Some(Signal::End)) {
            self.moving = None;
        }
        match signal {
            Some(Signal::Watermark(time)) => self.head.watermark(time),
            Some(Signal::Idle(idle)) => self.head.idle(idle),
            Some(Signal::End) => self.end(events),
            None => {}
        }
        true
    }

    /// Frees a piece of the memory of what has gone.
    pub(super) fn discard(&mut self) -> bool {
        if !self.discarding {
            return false;
        }
        let (mut more, slots) = (false, self.bounds.discarded_slots);
        self.head.tables(&mut |table| more |= table.discard(slots));
        self.discarding = more;
        more
    }

    /// Records that have waited for their group.
    pub(super) fn process_ready(&mut self, now: Instant) -> bool {
        let Some(moving) = self.moving.as_mut().filter(|moving| moving.has_ready() && !moving.is_giving())
        else {
            return false;
        };
        let mut taken = 0;
        while taken < self.chunk && !self.head.has_rest() && !self.head.is_full() {
            let Some(row) = moving.next_ready() else { break };
            self.head.row(row);
            taken += 1;
        }
        self.chunk = next_chunk(self.chunk, taken, self.clock.now().since(now));
        self.unflushed = true;
        self.flush_if_due(now, false);
        true
    }

    /// The task has left: it takes part in checkpoints until what it had to commit is committed.
    pub(super) fn after_leaving(
        &mut self,
        complete: bool,
        now: Instant,
        wrote: bool,
        events: &mut Vec<TaskEvent>,
    ) -> TaskStep {
        if self.moving.is_some() {
            return if wrote { TaskStep::Worked } else { TaskStep::Idle(None) };
        }
        if complete || canary::sings("leaving_commit_lost") {
            return self.finish(wrote, events);
        }
        self.after_end(now, wrote)
    }
}
