//! The tails of chains whose records go to other tasks.

use crate::stage::{Control, EndOfChain, SnapshotContext, Stage};
use crate::wiring::Wiring;
use reflow_network::batch::BATCH_ROWS;
use reflow_network::output::KeySelector;
use reflow_network::{Output, Partitioner, Routes, Row};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::data::LatencyMarker;
use reflow_state::SnapshotKind;
use reflow_types::{CheckpointId, Data, KeyHash, Timestamp};

/// The tail of a chain with one outgoing edge, which passes records on directly.
pub struct Tail<T, F> {
    output: Output<T, F>,
    end: EndOfChain,
}

impl<T, F> Tail<T, F> {
    /// A tail that sends to `output`.
    pub fn new(output: Output<T, F>) -> Self {
        Self { output, end: EndOfChain }
    }
}

impl<T: Data, F: KeySelector<T>> Stage<T> for Tail<T, F> {
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        self.output.push(value, time);
    }
}

/// An edge of a [`SharedTail`]. Called once for each batch.
pub trait Edge<T>: Send {
    /// Sends copies of these records.
    fn push_copies(&mut self, rows: &[Row<T>]);
    /// Sends these records, because no other edge needs them.
    fn push_all(&mut self, rows: &mut Vec<Row<T>>);
    /// Its output.
    fn output(&self) -> &dyn AnyOutput;
    /// Its output.
    fn output_mut(&mut self) -> &mut dyn AnyOutput;
}

/// An [`Output`] of records of any type. Called once for each batch or signal.
pub trait AnyOutput {
    /// See [`Output::has_room`].
    fn has_room(&mut self) -> bool;
    /// See [`Output::is_full`].
    fn is_full(&self) -> bool;
    /// See [`Output::room`].
    fn room(&self) -> usize;
    /// See [`Output::flush`].
    fn flush(&mut self);
    /// See [`Output::watermark`].
    fn watermark(&mut self, time: Timestamp);
    /// See [`Output::idle`].
    fn idle(&mut self, idle: bool);
    /// See [`Output::latency_marker`].
    fn latency_marker(&mut self, marker: LatencyMarker);
    /// See [`Output::barrier`].
    fn barrier(&mut self, checkpoint: CheckpointId);
    /// See [`Output::prepare`].
    fn prepare(&mut self, wiring: Option<&Wiring>);
    /// See [`Output::abandon`].
    fn abandon(&mut self);
    /// See [`Output::cut`].
    fn cut(&mut self, checkpoint: CheckpointId, resets: bool);
    /// See [`Output::end`].
    fn end(&mut self);
    /// See [`Output::sent`].
    fn sent(&self) -> (u64, u64);
}

impl<T: Data + Clone + Sync, F: KeySelector<T>> Edge<T> for Output<T, F> {
    fn push_copies(&mut self, rows: &[Row<T>]) {
        rows.iter().for_each(|row| self.push(row.value.clone(), row.time));
    }
    fn push_all(&mut self, rows: &mut Vec<Row<T>>) {
        rows.drain(..).for_each(|row| self.push(row.value, row.time));
    }
    fn output(&self) -> &dyn AnyOutput {
        self
    }
    fn output_mut(&mut self) -> &mut dyn AnyOutput {
        self
    }
}

/// An edge that gets only the records for which a condition holds. The others are not copied.
pub struct FilteredEdge<T, C> {
    output: Output<T>,
    condition: C,
}

impl<T, C> FilteredEdge<T, C> {
    /// An edge that sends the records for which `condition` holds to `output`.
    pub fn new(output: Output<T>, condition: C) -> Self {
        Self { output, condition }
    }
}

impl<T, C> Edge<T> for FilteredEdge<T, C>
where
    T: Data + Clone + Sync,
    C: FnMut(&T) -> bool + Send,
{
    fn push_copies(&mut self, rows: &[Row<T>]) {
        for row in rows {
            if (self.condition)(&row.value) {
                self.output.push(row.value.clone(), row.time);
            }
        }
    }
    fn push_all(&mut self, rows: &mut Vec<Row<T>>) {
        for row in rows.drain(..) {
            if (self.condition)(&row.value) {
                self.output.push(row.value, row.time);
            }
        }
    }
    fn output(&self) -> &dyn AnyOutput {
        &self.output
    }
    fn output_mut(&mut self) -> &mut dyn AnyOutput {
        &mut self.output
    }
}

impl<T: Data, F: KeySelector<T>> AnyOutput for Output<T, F> {
    fn has_room(&mut self) -> bool {
        self.has_room()
    }
    fn is_full(&self) -> bool {
        self.is_full()
    }
    fn room(&self) -> usize {
        self.room()
    }
    fn flush(&mut self) {
        self.flush();
    }
    fn watermark(&mut self, time: Timestamp) {
        self.watermark(time);
    }
    fn idle(&mut self, idle: bool) {
        self.idle(idle);
    }
    fn latency_marker(&mut self, marker: LatencyMarker) {
        self.latency_marker(marker);
    }
    fn barrier(&mut self, checkpoint: CheckpointId) {
        self.barrier(checkpoint);
    }
    fn prepare(&mut self, wiring: Option<&Wiring>) {
        prepare(self, wiring);
    }
    fn abandon(&mut self) {
        self.abandon();
    }
    fn cut(&mut self, checkpoint: CheckpointId, resets: bool) {
        self.cut(checkpoint, resets);
    }
    fn end(&mut self) {
        self.end();
    }
    fn sent(&self) -> (u64, u64) {
        self.sent()
    }
}

fn prepare<T, F>(output: &mut Output<T, F>, wiring: Option<&Wiring>)
where
    T: Data,
    F: KeySelector<T>,
{
    let gone = || Routes { channels: Vec::new(), partitioner: Partitioner::Forward };
    let routes = wiring.map_or_else(gone, |wiring| wiring.outputs(output.edge(), |id| output.has(id)));
    output.prepare(routes);
}

/// The tail of a chain with several outgoing edges, each of which gets every record; the last one without a copy.
/// Records are collected first, so that an edge is called once for each batch.
pub struct SharedTail<T> {
    rows: Vec<Row<T>>,
    edges: Vec<Box<dyn Edge<T>>>,
    /// The number of records to collect before the edges get them: no more than all edges have room for.
    most: usize,
    full: bool,
    end: EndOfChain,
}

impl<T> SharedTail<T> {
    /// A tail that sends to all of `edges`.
    pub fn new(edges: Vec<Box<dyn Edge<T>>>) -> Self {
        Self { rows: Vec::with_capacity(BATCH_ROWS), edges, most: 1, full: false, end: EndOfChain }
    }

    fn hand_over(&mut self) {
        let Some((last, others)) = self.edges.split_last_mut() else { return self.rows.clear() };
        for edge in others {
            edge.push_copies(&self.rows);
            self.full |= edge.output().is_full();
        }
        last.push_all(&mut self.rows);
        self.full |= last.output().is_full();
    }

    /// Calls each output, behind the records that were collected.
    fn control(&mut self, call: impl Fn(&mut dyn AnyOutput)) {
        self.hand_over();
        self.outputs().for_each(call);
    }

    fn outputs(&mut self) -> impl Iterator<Item = &mut dyn AnyOutput> {
        self.edges.iter_mut().map(|edge| edge.output_mut())
    }
}

impl<T: Send> Stage<T> for SharedTail<T> {
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        self.rows.push(Row { hash: KeyHash(0), time, value });
        if self.rows.len() >= self.most {
            self.hand_over();
        }
    }
}

impl<T: Data, F: KeySelector<T>> Control for Tail<T, F> {
    type Next = EndOfChain;

    fn next_stage(&self) -> &EndOfChain {
        &self.end
    }

    fn next_stage_mut(&mut self) -> &mut EndOfChain {
        &mut self.end
    }
    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        if context.kind == SnapshotKind::Cut {
            self.output.cut(context.checkpoint, context.resets);
        } else {
            self.barrier(context.checkpoint);
        }
    }
    fn watermark(&mut self, time: Timestamp) {
        self.output.watermark(time);
    }
    fn idle(&mut self, idle: bool) {
        self.output.idle(idle);
    }
    fn latency_marker(&mut self, marker: LatencyMarker) {
        self.output.latency_marker(marker);
    }
    fn barrier(&mut self, checkpoint: CheckpointId) {
        self.output.barrier(checkpoint);
    }
    fn prepare(&mut self, wiring: Option<&Wiring>) {
        prepare(&mut self.output, wiring);
    }
    fn abandon(&mut self) {
        self.output.abandon();
    }
    fn end(&mut self) {
        self.output.end();
    }
    fn has_room(&mut self) -> bool {
        self.output.has_room()
    }
    #[inline]
    fn is_full(&self) -> bool {
        self.output.is_full()
    }
    fn flush(&mut self) {
        self.output.flush();
    }
    fn count(&self, metrics: &mut SubtaskMetrics) {
        let (records, bytes) = self.output.sent();
        metrics.records_out += records;
        metrics.bytes_out += bytes;
    }
}

impl<T: Send> Control for SharedTail<T> {
    type Next = EndOfChain;

    fn next_stage(&self) -> &EndOfChain {
        &self.end
    }

    fn next_stage_mut(&mut self) -> &mut EndOfChain {
        &mut self.end
    }
    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        if context.kind == SnapshotKind::Cut {
            self.control(|output| output.cut(context.checkpoint, context.resets));
        } else {
            self.barrier(context.checkpoint);
        }
    }
    fn watermark(&mut self, time: Timestamp) {
        self.control(|output| output.watermark(time));
    }
    fn idle(&mut self, idle: bool) {
        self.control(|output| output.idle(idle));
    }
    fn latency_marker(&mut self, marker: LatencyMarker) {
        self.control(|output| output.latency_marker(marker));
    }
    fn barrier(&mut self, checkpoint: CheckpointId) {
        self.control(|output| output.barrier(checkpoint));
    }
    fn prepare(&mut self, wiring: Option<&Wiring>) {
        self.outputs().for_each(|output| output.prepare(wiring));
    }
    fn abandon(&mut self) {
        self.outputs().for_each(|output| output.abandon());
    }
    fn end(&mut self) {
        self.control(|output| output.end());
    }
    fn has_room(&mut self) -> bool {
        let mut all = true;
        for output in self.outputs() {
            all &= output.has_room();
        }
        let room = self.edges.iter().map(|edge| edge.output().room()).min();
        self.most = room.unwrap_or(BATCH_ROWS).clamp(1, BATCH_ROWS);
        if all && self.rows.len() >= self.most {
            self.hand_over();
            return self.has_room();
        }
        self.full = !all;
        all
    }
    #[inline]
    fn is_full(&self) -> bool {
        self.full
    }
    fn flush(&mut self) {
        self.control(|output| output.flush());
    }
    fn count(&self, metrics: &mut SubtaskMetrics) {
        for (records, bytes) in self.edges.iter().map(|edge| edge.output().sent()) {
            metrics.records_out += records;
            metrics.bytes_out += bytes;
        }
    }
}
