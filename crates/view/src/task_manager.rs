//! The view of a TaskManager.

use reflow_types::{JobId, TaskManagerId};

use crate::ResourceProfileView;

/// A registered TaskManager.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskManagerView {
    /// Its id.
    pub id: TaskManagerId,
    /// `host:port` of its connection to the JobManager.
    pub address: String,
    /// The port of its data connections.
    pub data_port: u16,
    /// When its last heartbeat arrived.
    pub last_heartbeat_ms: i64,
    /// The number of its slots.
    pub slots: u32,
    /// The slots that jobs use.
    pub allocated: Vec<AllocatedSlotView>,
    /// The resources of each slot.
    pub slot_profile: ResourceProfileView,
    /// Cores of its machine.
    pub cpu_cores: u32,
    /// Physical memory of its machine.
    pub physical_memory: u64,
    /// Its memory.
    pub memory: MemoryView,
}

impl TaskManagerView {
    /// The number of slots that no job uses.
    pub fn free_slots(&self) -> u32 {
        self.slots.saturating_sub(u32::try_from(self.allocated.len()).unwrap_or(u32::MAX))
    }

    /// The number of subtasks that it runs.
    pub fn assigned_tasks(&self) -> u32 {
        self.allocated.iter().map(|slot| slot.assigned_tasks).sum()
    }
}

/// A slot that a job uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocatedSlotView {
    /// The job.
    pub job: JobId,
    /// The number of subtasks in the slot.
    pub assigned_tasks: u32,
}

/// The memory of a TaskManager and its task executors, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryView {
    /// The limit of all memory.
    pub limit: u64,
    /// The part for user code.
    pub task: u64,
    /// The part for keyed state.
    pub managed: u64,
    /// The part for network buffers.
    pub network: u64,
    /// The memory that the whole process tree uses now.
    pub resident: u64,
    /// The memory of network buffers that is used now.
    pub network_used: u64,
}
