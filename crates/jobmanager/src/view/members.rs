//! The part of the view with the TaskManagers.

use crate::executor::Executor;
use crate::leader::Leader;
use crate::task_manager::TaskManager;
use reflow_types::{JobId, SlotId, TaskManagerId};
use reflow_view::{AllocatedSlotView, MemoryView, ResourceProfileView, TaskManagerView};
use std::collections::BTreeMap;

pub(super) fn view(job: JobId, leader: &Leader) -> Vec<TaskManagerView> {
    let mut tasks: BTreeMap<SlotId, u32> = BTreeMap::new();
    let scheduler = leader.scheduler.view();
    for record in scheduler.attempt.iter().flat_map(|attempt| attempt.subtasks().values()) {
        *tasks.entry(record.slot).or_default() += 1;
    }
    let of_one = |(id, task_manager): (TaskManagerId, &TaskManager)| {
        let executor = task_manager.executor.and_then(|id| leader.members.executor(id));
        let held = tasks.iter().filter(|(slot, _)| Some(slot.executor) == task_manager.executor);
        let allocated = held.map(|(_, &assigned_tasks)| AllocatedSlotView { job, assigned_tasks }).collect();
        task_manager_view(id, task_manager, executor, allocated)
    };
    leader.members.task_managers().map(of_one).collect()
}

fn task_manager_view(
    id: TaskManagerId,
    task_manager: &TaskManager,
    executor: Option<&Executor>,
    allocated: Vec<AllocatedSlotView>,
) -> TaskManagerView {
    let data_port = executor.and_then(Executor::data_address).and_then(port).unwrap_or(0);
    let hardware = &task_manager.hardware;
    let slots = task_manager.slots.max(1);
    let limit = hardware.process_memory;
    TaskManagerView {
        id,
        address: format!("{}:{data_port}", task_manager.host),
        data_port,
        last_heartbeat_ms: task_manager.last_message_at.as_millis(),
        slots: task_manager.slots,
        allocated,
        slot_profile: ResourceProfileView {
            cpu_cores: f64::from(hardware.cpu_cores) / f64::from(slots),
            task_mib: (limit / u64::from(slots)) >> 20,
            ..ResourceProfileView::default()
        },
        cpu_cores: hardware.cpu_cores,
        physical_memory: hardware.physical_memory,
        memory: MemoryView {
            limit,
            task: limit,
            resident: task_manager.memory_bytes.max(executor.map_or(0, |executor| executor.memory_bytes)),
            ..MemoryView::default()
        },
    }
}

/// The port of `host:port`.
fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}
