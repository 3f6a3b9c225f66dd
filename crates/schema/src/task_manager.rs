//! The JSON form of TaskManagers: `/taskmanagers` and `/taskmanagers/:id`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::UNSET;
use reflow_view::{ClusterView, MemoryView, ResourceProfileView, TaskManagerView};

/// The resources of one or more slots, with memory in MiB; -1 if no amount is requested.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceProfile {
    pub cpu_cores: f64,
    pub task_heap_memory: i64,
    pub task_off_heap_memory: i64,
    pub managed_memory: i64,
    pub network_memory: i64,
    pub extended_resources: BTreeMap<String, f64>,
}

impl ResourceProfile {
    /// No amount is requested.
    pub const UNKNOWN: Self = Self {
        cpu_cores: -1.0,
        task_heap_memory: UNSET,
        task_off_heap_memory: UNSET,
        managed_memory: UNSET,
        network_memory: UNSET,
        extended_resources: BTreeMap::new(),
    };

    fn of_slots(slot: ResourceProfileView, slots: u32) -> Self {
        let mib = |of_one: u64| i64::try_from(of_one.saturating_mul(slots.into())).unwrap_or(i64::MAX);
        Self {
            cpu_cores: slot.cpu_cores * f64::from(slots),
            task_heap_memory: mib(slot.task_mib),
            task_off_heap_memory: 0,
            managed_memory: mib(slot.managed_mib),
            network_memory: mib(slot.network_mib),
            extended_resources: BTreeMap::new(),
        }
    }
}

impl From<ResourceProfileView> for ResourceProfile {
    fn from(slot: ResourceProfileView) -> Self {
        Self::of_slots(slot, 1)
    }
}

/// `GET /taskmanagers`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskManagers {
    pub taskmanagers: Vec<TaskManager>,
}

impl TaskManagers {
    pub fn of(view: &ClusterView) -> Self {
        Self { taskmanagers: view.task_managers.iter().map(TaskManager::of).collect() }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskManager {
    pub id: String,
    pub path: String,
    pub data_port: u16,
    pub jmx_port: i64,
    /// The time of the last heartbeat. The name is Flink's.
    pub time_since_last_heartbeat: i64,
    pub slots_number: u32,
    pub free_slots: u32,
    pub assigned_tasks: u32,
    pub total_resource: ResourceProfile,
    pub free_resource: ResourceProfile,
    pub hardware: Hardware,
    pub memory_configuration: MemoryConfiguration,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hardware {
    pub cpu_cores: u32,
    pub physical_memory: u64,
    pub free_memory: u64,
    pub managed_memory: u64,
}

/// The division of memory. Reflow's processes have a task, a managed and a network part, and a remainder.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryConfiguration {
    pub framework_heap: u64,
    pub task_heap: u64,
    pub framework_off_heap: u64,
    pub task_off_heap: u64,
    pub network_memory: u64,
    pub managed_memory: u64,
    pub jvm_metaspace: u64,
    pub jvm_overhead: u64,
    pub total_flink_memory: u64,
    pub total_process_memory: u64,
}

impl TaskManager {
    /// Its address without the port.
    pub fn host(&self) -> &str {
        self.path.rsplit_once(':').map_or(self.path.as_str(), |(host, _)| host)
    }

    fn of(task_manager: &TaskManagerView) -> Self {
        let MemoryView { limit, task, managed, network, .. } = task_manager.memory;
        let divided = task + managed + network;
        Self {
            id: task_manager.id.to_string(),
            path: task_manager.address.clone(),
            data_port: task_manager.data_port,
            jmx_port: UNSET,
            time_since_last_heartbeat: task_manager.last_heartbeat_ms,
            slots_number: task_manager.slots,
            free_slots: task_manager.free_slots(),
            assigned_tasks: task_manager.assigned_tasks(),
            total_resource: ResourceProfile::of_slots(task_manager.slot_profile, task_manager.slots),
            free_resource: ResourceProfile::of_slots(task_manager.slot_profile, task_manager.free_slots()),
            hardware: Hardware {
                cpu_cores: task_manager.cpu_cores,
                physical_memory: task_manager.physical_memory,
                free_memory: task,
                managed_memory: managed,
            },
            memory_configuration: MemoryConfiguration {
                framework_heap: 0,
                task_heap: task,
                framework_off_heap: limit.saturating_sub(divided),
                task_off_heap: 0,
                network_memory: network,
                managed_memory: managed,
                jvm_metaspace: 0,
                jvm_overhead: 0,
                total_flink_memory: limit,
                total_process_memory: limit,
            },
        }
    }
}

/// `GET /taskmanagers/:id`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskManagerDetails {
    #[serde(flatten)]
    pub task_manager: TaskManager,
    pub allocated_slots: Vec<AllocatedSlot>,
    pub metrics: ProcessMetrics,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocatedSlot {
    pub job_id: String,
    pub resource: ResourceProfile,
    pub assigned_tasks: u32,
}

/// The memory of the process, all of which counts as what a JVM calls its heap.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessMetrics {
    pub heap_used: u64,
    pub heap_committed: u64,
    pub heap_max: u64,
    pub non_heap_used: u64,
    pub non_heap_committed: u64,
    pub non_heap_max: u64,
    pub direct_count: u64,
    pub direct_used: u64,
    pub direct_max: u64,
    pub mapped_count: u64,
    pub mapped_used: u64,
    pub mapped_max: u64,
    pub netty_shuffle_memory_segments_available: u64,
    pub netty_shuffle_memory_segments_used: u64,
    pub netty_shuffle_memory_segments_total: u64,
    pub netty_shuffle_memory_available: u64,
    pub netty_shuffle_memory_used: u64,
    pub netty_shuffle_memory_total: u64,
    pub garbage_collectors: Vec<String>,
}

impl TaskManagerDetails {
    pub fn of(task_manager: &TaskManagerView) -> Self {
        let memory = task_manager.memory;
        let allocated_slots = task_manager.allocated.iter().map(|slot| AllocatedSlot {
            job_id: slot.job.to_string(),
            resource: task_manager.slot_profile.into(),
            assigned_tasks: slot.assigned_tasks,
        });
        Self {
            task_manager: TaskManager::of(task_manager),
            allocated_slots: allocated_slots.collect(),
            metrics: ProcessMetrics {
                heap_used: memory.resident,
                heap_committed: memory.resident,
                heap_max: memory.limit,
                netty_shuffle_memory_available: memory.network.saturating_sub(memory.network_used),
                netty_shuffle_memory_used: memory.network_used,
                netty_shuffle_memory_total: memory.network,
                ..ProcessMetrics::default()
            },
        }
    }
}
