//! Invariants that can be seen in what processes say to each other, and counts of what happened.
//!
//! - Within an attempt all executors have the same subtasks, and each key group has one owner.
//! - Attempts only grow at each executor, and no subtask id is used by two of them.
//! - Checkpoint ids only grow: at each executor, and in each channel.
//! - A channel's watermark never goes back.

use crate::faults::RescalePhase;
use crate::world::Seen;
use reflow_env::ConnId;
use reflow_graph::ExecutionGraph;
use reflow_protocol::control::ToExecutor;
use reflow_protocol::data::{ChannelId, DataFrame, Payload, ToSender};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::rescale::{HandOver, Preparation};
use reflow_types::{CheckpointId, GraphVersion, SubtaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How names of executors begin.
pub const EXECUTOR: &str = "executor";

/// Watches frames.
#[derive(Default)]
pub struct Watch {
    attempts: BTreeMap<Attempt, ExecutionGraph>,
    /// The last attempt that each executor was told of.
    deployed: BTreeMap<String, Attempt>,
    subtasks: BTreeSet<SubtaskId>,
    rescales: u64,
    /// Live rescales that were begun.
    begun: BTreeSet<(Attempt, GraphVersion)>,
    /// Those that came to their end.
    committed: BTreeSet<(Attempt, GraphVersion)>,
    phase: RescalePhase,
    triggered: BTreeMap<String, CheckpointId>,
    channels: BTreeMap<(String, ConnId, ChannelId), (Timestamp, CheckpointId)>,
    violations: Vec<String>,
}

impl Watch {
    /// Looks at a frame that a process has got.
    pub fn look(&mut self, seen: &Seen) {
        if !seen.process.starts_with(EXECUTOR) || seen.conn.0 >= ConnId::ACCEPTED {
            return;
        }
        if seen.conn == ConnId(0) {
            match reflow_protocol::decode::<ToExecutor>(&seen.frame) {
                Ok(ToExecutor::Deploy(deployment)) => {
                    self.phase = RescalePhase::None;
                    self.deployed(&seen.process, deployment.attempt, deployment.graph);
                }
                Ok(ToExecutor::TriggerCheckpoint { checkpoint, kind, .. }) => {
                    if kind.cut.is_some() {
                        self.phase = RescalePhase::Cut;
                    }
                    self.triggered(&seen.process, checkpoint)
                }
                Ok(ToExecutor::PrepareRescale(preparation)) => self.prepared(&preparation),
                Ok(ToExecutor::CatchUp { .. }) => self.phase = RescalePhase::CatchUp,
                Ok(ToExecutor::CommitRescale { attempt, version }) => {
                    self.phase = RescalePhase::None;
                    self.committed.insert((attempt, version));
                }
                Ok(ToExecutor::AbandonRescale { .. } | ToExecutor::CancelAttempt { .. }) => {
                    self.phase = RescalePhase::None;
                }
                _ => {}
            }
        } else if HandOver::is_one(&seen.frame) {
            // State on its way to its new owner.
        } else if let Ok(frame) = DataFrame::decode(seen.frame.clone()) {
            self.data(seen, &frame);
        }
    }

    fn deployed(&mut self, executor: &str, attempt: Attempt, graph: ExecutionGraph) {
        if let Some(last) = self.deployed.insert(executor.to_owned(), attempt)
            && last >= attempt
        {
            self.violations.push(format!("{executor} got attempt {attempt} after attempt {last}"));
        }
        if let Some(known) = self.attempts.get(&attempt) {
            if *known != graph {
                self.violations.push(format!("attempt {attempt} was deployed in two ways"));
            }
            return;
        }
        for table in graph.vertices.iter().filter_map(|vertex| vertex.table.as_ref()) {
            table.check_invariants();
        }
        for (_, _, subtask) in graph.subtasks() {
            if !self.subtasks.insert(subtask.id) {
                self.violations.push(format!("subtask id {} is used again in attempt {attempt}", subtask.id));
            }
        }
        if let Some((_, before)) = self.attempts.range(..attempt).next_back() {
            self.rescales += u64::from(parallelisms(before) != parallelisms(&graph));
        }
        self.attempts.insert(attempt, graph);
    }

    /// A graph to come: subtasks that stay keep their ids, others are new, and each group has one owner.
    fn prepared(&mut self, preparation: &Preparation) {
        let Preparation { attempt, version, former, graph, .. } = preparation;
        self.phase = RescalePhase::Prepare;
        if !self.begun.insert((*attempt, *version)) {
            return;
        }
        for table in graph.vertices.iter().filter_map(|vertex| vertex.table.as_ref()) {
            table.check_invariants();
        }
        for (_, _, subtask) in graph.subtasks().filter(|(_, _, subtask)| former.find(subtask.id).is_none()) {
            if !self.subtasks.insert(subtask.id) {
                let text = format!(
                    "subtask id {} is used again in rescale {version} of attempt {attempt}",
                    subtask.id
                );
                self.violations.push(text);
            }
        }
    }

    /// How many live rescales were begun, and how many came to their end.
    pub fn live_rescales(&self) -> (u64, u64) {
        (self.begun.len() as u64, self.committed.len() as u64)
    }

    /// Where a live rescale is.
    pub fn phase(&self) -> RescalePhase {
        self.phase
    }

    fn triggered(&mut self, executor: &str, checkpoint: CheckpointId) {
        if let Some(last) = self.triggered.insert(executor.to_owned(), checkpoint)
            && last >= checkpoint
        {
            self.violations
                .push(format!("{executor} got the trigger of checkpoint {checkpoint} after {last}"));
        }
    }

    fn data(&mut self, seen: &Seen, frame: &DataFrame) {
        let channel = (seen.process.clone(), seen.conn, frame.channel);
        let (watermark, barrier) = self.channels.entry(channel).or_insert((Timestamp::MIN, CheckpointId(0)));
        match frame.payload {
            Payload::Watermark(time) if time < *watermark => {
                let text =
                    format!("the watermark of {:?} goes back from {watermark} to {time}", frame.channel);
                self.violations.push(text);
            }
            Payload::Watermark(time) => *watermark = time,
            Payload::Barrier { checkpoint, .. } if checkpoint <= *barrier => {
                let text =
                    format!("barrier {checkpoint} of {:?} comes after barrier {barrier}", frame.channel);
                self.violations.push(text);
            }
            Payload::Barrier { checkpoint, resets } => {
                *barrier = checkpoint;
                // The sender gets splits of others: it says anew where it is. The receiver's watermark stays.
                if resets {
                    *watermark = Timestamp::MIN;
                }
            }
            _ => {}
        }
    }

    /// Takes what was found wrong since the last call.
    pub fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    /// How many attempts followed the first.
    pub fn restarts(&self) -> u64 {
        (self.attempts.len() as u64).saturating_sub(1)
    }

    /// How many of them had another parallelism than the one before.
    pub fn rescales(&self) -> u64 {
        self.rescales
    }

    /// The attempt at hand.
    pub fn describe(&self) -> String {
        match self.attempts.last_key_value() {
            Some((attempt, graph)) => format!("attempt {attempt} at parallelisms {:?}", parallelisms(graph)),
            None => "no attempt".to_owned(),
        }
    }
}

fn parallelisms(graph: &ExecutionGraph) -> Vec<u32> {
    graph.vertices.iter().map(|vertex| vertex.parallelism()).collect()
}

/// A frame for people, as far as it can be told what it is.
pub fn read_frame(process: &str, conn: ConnId, frame: &[u8]) -> String {
    if process.starts_with(EXECUTOR) {
        if conn == ConnId(0) {
            return reflow_protocol::decode::<ToExecutor>(frame)
                .map_or_else(|e| e.to_string(), |m| format!("{m:?}"));
        }
        if HandOver::is_one(frame) {
            let decoded = HandOver::decode(bytes::Bytes::copy_from_slice(frame));
            return decoded.map_or_else(
                |e| e.to_string(),
                |part| format!("{} to {}: {:?}", part.from, part.to, part.part),
            );
        }
        if conn.0 < ConnId::ACCEPTED {
            let decoded = DataFrame::decode(bytes::Bytes::copy_from_slice(frame));
            return decoded.map_or_else(|e| e.to_string(), |frame| data_in_words(&frame));
        }
        return reflow_protocol::decode::<ToSender>(frame)
            .map_or_else(|_| "hello".to_owned(), |m| format!("{m:?}"));
    }
    let from_executor = reflow_protocol::decode::<reflow_protocol::control::FromExecutor>(frame);
    from_executor.map_or_else(|_| format!("{} bytes", frame.len()), |message| format!("{message:?}"))
}

fn data_in_words(frame: &DataFrame) -> String {
    let channel = frame.channel;
    let what = match &frame.payload {
        Payload::Records { count, .. } => format!("{count} records"),
        other => format!("{other:?}"),
    };
    format!("edge {} {}→{}: {what}", channel.edge.0, channel.from, channel.to)
}
