//! TaskManagers: `/taskmanagers` and `/taskmanagers/:id`.

use std::collections::BTreeMap;

use reflow_types::{JobId, TaskManagerId};
use serde::Serialize;

use super::UNSET;
use reflow_view::{ClusterView, MemoryView, ResourceProfileView, TaskManagerView};

/// What one or more slots offer, memory in MiB. -1 where nothing is asked.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResourceProfile {
    cpu_cores: f64,
    task_heap_memory: i64,
    task_off_heap_memory: i64,
    managed_memory: i64,
    network_memory: i64,
    extended_resources: BTreeMap<String, f64>,
}

impl ResourceProfile {
    /// Nothing is asked.
    pub(crate) const UNKNOWN: Self = Self {
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
#[derive(Serialize)]
pub(crate) struct TaskManagers<'a> {
    taskmanagers: Vec<TaskManager<'a>>,
}

impl<'a> TaskManagers<'a> {
    pub(crate) fn of(view: &'a ClusterView) -> Self {
        Self { taskmanagers: view.task_managers.iter().map(TaskManager::of).collect() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskManager<'a> {
    id: TaskManagerId,
    path: &'a str,
    data_port: u16,
    jmx_port: i64,
    /// In spite of its name the moment of the last heartbeat, as in Flink.
    time_since_last_heartbeat: i64,
    slots_number: u32,
    free_slots: u32,
    assigned_tasks: u32,
    total_resource: ResourceProfile,
    free_resource: ResourceProfile,
    hardware: Hardware,
    memory_configuration: MemoryConfiguration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hardware {
    cpu_cores: u32,
    physical_memory: u64,
    free_memory: u64,
    managed_memory: u64,
}

/// How memory is divided. Reflow's processes have a task, a managed and a network part, and a remainder.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemoryConfiguration {
    framework_heap: u64,
    task_heap: u64,
    framework_off_heap: u64,
    task_off_heap: u64,
    network_memory: u64,
    managed_memory: u64,
    jvm_metaspace: u64,
    jvm_overhead: u64,
    total_flink_memory: u64,
    total_process_memory: u64,
}

impl<'a> TaskManager<'a> {
    fn of(task_manager: &'a TaskManagerView) -> Self {
        let MemoryView { limit, task, managed, network, .. } = task_manager.memory;
        let divided = task + managed + network;
        Self {
            id: task_manager.id,
            path: &task_manager.address,
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
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskManagerDetails<'a> {
    #[serde(flatten)]
    task_manager: TaskManager<'a>,
    allocated_slots: Vec<AllocatedSlot>,
    metrics: ProcessMetrics,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AllocatedSlot {
    job_id: JobId,
    resource: ResourceProfile,
    assigned_tasks: u32,
}

/// The process's memory: what a JVM calls its heap is all of it here.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessMetrics {
    heap_used: u64,
    heap_committed: u64,
    heap_max: u64,
    non_heap_used: u64,
    non_heap_committed: u64,
    non_heap_max: u64,
    direct_count: u64,
    direct_used: u64,
    direct_max: u64,
    mapped_count: u64,
    mapped_used: u64,
    mapped_max: u64,
    netty_shuffle_memory_segments_available: u64,
    netty_shuffle_memory_segments_used: u64,
    netty_shuffle_memory_segments_total: u64,
    netty_shuffle_memory_available: u64,
    netty_shuffle_memory_used: u64,
    netty_shuffle_memory_total: u64,
    garbage_collectors: [(); 0],
}

impl<'a> TaskManagerDetails<'a> {
    pub(crate) fn of(task_manager: &'a TaskManagerView) -> Self {
        let memory = task_manager.memory;
        let allocated_slots = task_manager.allocated.iter().map(|slot| AllocatedSlot {
            job_id: slot.job,
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
