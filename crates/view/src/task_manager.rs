//! TaskManagers.

use reflow_types::{JobId, TaskManagerId};

use crate::ResourceProfileView;

/// A registered TaskManager.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskManagerView {
    /// Its id.
    pub id: TaskManagerId,
    /// `host:port` by which the JobManager talks to it.
    pub address: String,
    /// The port of its data connections.
    pub data_port: u16,
    /// When it was last heard.
    pub last_heartbeat_ms: i64,
    /// How many slots it has.
    pub slots: u32,
    /// The slots that a job holds.
    pub allocated: Vec<AllocatedSlotView>,
    /// What each of its slots offers.
    pub slot_profile: ResourceProfileView,
    /// Cores of its machine.
    pub cpu_cores: u32,
    /// Physical memory of its machine.
    pub physical_memory: u64,
    /// Its memory.
    pub memory: MemoryView,
}

impl TaskManagerView {
    /// Slots that no job holds.
    pub fn free_slots(&self) -> u32 {
        self.slots.saturating_sub(u32::try_from(self.allocated.len()).unwrap_or(u32::MAX))
    }

    /// Subtasks that run here.
    pub fn assigned_tasks(&self) -> u32 {
        self.allocated.iter().map(|slot| slot.assigned_tasks).sum()
    }
}

/// A slot that a job holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocatedSlotView {
    /// The job.
    pub job: JobId,
    /// Subtasks in this slot.
    pub assigned_tasks: u32,
}

/// The memory of a TaskManager and its task executors, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryView {
    /// The limit for everything.
    pub limit: u64,
    /// Of it, for user code.
    pub task: u64,
    /// Of it, for keyed state.
    pub managed: u64,
    /// Of it, for network buffers.
    pub network: u64,
    /// In use now, by the whole process tree.
    pub resident: u64,
    /// Of the network buffers, in use now.
    pub network_used: u64,
}
