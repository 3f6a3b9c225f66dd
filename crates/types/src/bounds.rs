//! Bounds on work per step, on memory and on messages.
//!
//! Work that grows with a job's state is done in pieces, so that a slot's step stays about a millisecond long and
//! memory stays bounded. The size of a piece does not change what a job computes, because the code between two
//! pieces must be correct at any size. Production uses the defaults; the simulator and the operator harness draw
//! other values, often 1 to 3, so that even little state exceeds each bound.

/// The bounds. Each is at least 1. "A step" is one step of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Records of a batch between two subtasks.
    pub batch_records: usize,
    /// A batch is sent once its records take this many bytes; it exceeds that by at most one record.
    pub batch_bytes: u64,
    /// Records that a channel grants its sender before the receiver's rate is known.
    pub first_credit: u64,
    /// Records that a channel grants at most.
    pub most_credit: u64,
    /// Bytes that all channels of a subtask grant together; each grants at least those of a batch.
    pub credit_bytes: u64,
    /// Bytes of a record, encoded; a longer one fails the job.
    pub record_bytes: u64,
    /// Timers that a process function fires at most in a step. A step also ends by time.
    pub fired_timers: usize,
    /// Panes that a window operator fires at most in a step.
    pub fired_panes: usize,
    /// Records that a flat map emits at most in a step.
    pub flat_map_records: usize,
    /// Entries that a new owner installs in its tables in a step. An empty segment is installed as a whole,
    /// whatever its size.
    pub installed_entries: usize,
    /// Records that are buffered for incoming key groups. Beyond that the task reads no more.
    pub parked_records: usize,
    /// Slots of tables that are freed in a step.
    pub discarded_slots: usize,
    /// Slots of a table that the walk for expired entries looks at in a step.
    pub swept_slots: usize,
    /// A hand-over part is sent once it has this many bytes; it exceeds that by at most one run.
    pub hand_over_part_bytes: usize,
    /// Reads under way of the state prefetch.
    pub prefetch_reads: usize,
    /// Bytes of a snapshot that a step writes; at least one entry.
    pub snapshot_step_bytes: usize,
    /// A block of a snapshot is closed once its entries have this many bytes.
    pub block_bytes: usize,
    /// Bytes that a snapshot may write of a segment, at most 4 GiB less a byte. More fail the checkpoint.
    pub run_bytes: u64,
    /// Bytes of a part of a snapshot's upload.
    pub upload_part_bytes: usize,
    /// A part of an upload that has grown to this many bytes by doubling is then allocated at its full size.
    pub small_part_bytes: usize,
    /// Parts of an upload under way. Beyond that the snapshot waits for storage.
    pub upload_parts: usize,
    /// Reads under way of a restore.
    pub restore_reads: usize,
    /// Adjacent runs are read together up to this many bytes, because a checkpoint has thousands of short runs and
    /// each read is a request.
    pub restore_read_bytes: u64,
    /// Bytes of restored state that a step loads; at least one run.
    pub restore_step_bytes: u64,
    /// Bytes that removed keys of a segment may take while checkpoints fail, beyond those of its live entries. Then
    /// the segment is written in full.
    pub tombstone_bytes: usize,
    /// Bytes of a piece of a table's undo log.
    pub undo_chunk_bytes: usize,
    /// Bytes that a table's undo log may always have. A larger log may have a quarter of what the live entries take
    /// in a snapshot.
    pub undo_log_bytes: u64,
    /// Bytes of a sink's transactions that are not yet stored. Beyond that the sink accepts no more records.
    pub unstored_bytes: usize,
    /// Memory of the records that an operator with asynchronous calls takes in all, if it is at its capacity and a barrier is
    /// behind them.
    pub reserved_bytes: u64,
    /// Splits in a message to a reader.
    pub message_splits: usize,
    /// Deletions of a job's objects under way.
    pub deletions: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            batch_records: 1024,
            batch_bytes: 256 << 10,
            first_credit: 8,
            most_credit: 16 * 1024,
            credit_bytes: 16 << 20,
            record_bytes: 1 << 30,
            fired_timers: 1024,
            fired_panes: 1024,
            flat_map_records: 1024,
            installed_entries: 4 * 1024,
            parked_records: 64 * 1024,
            discarded_slots: 2 * 1024,
            swept_slots: 256,
            hand_over_part_bytes: 128 << 10,
            prefetch_reads: 4,
            // About a millisecond of work.
            snapshot_step_bytes: 512 << 10,
            block_bytes: 256 << 10,
            run_bytes: u32::MAX as u64,
            // Object stores do not accept smaller parts than 5 MiB.
            upload_part_bytes: 8 << 20,
            // If it grew further by doubling, up to 4 MiB would be copied within one step.
            small_part_bytes: 1 << 20,
            upload_parts: 4,
            restore_reads: 8,
            restore_read_bytes: 4 << 20,
            // A few milliseconds of work.
            restore_step_bytes: 1 << 20,
            tombstone_bytes: 1 << 10,
            undo_chunk_bytes: 64 << 10,
            undo_log_bytes: 4 << 20,
            unstored_bytes: 32 << 20,
            reserved_bytes: 32 << 20,
            message_splits: 1_000,
            deletions: 32,
        }
    }
}
