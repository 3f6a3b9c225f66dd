//! Builds an attempt's tasks in turns of the executor's loop.

use super::{Executor, builder};
use crate::attempt::Building;
use reflow_env::Output;
use reflow_protocol::deployment::Deployment;
use reflow_types::Instant;

impl Executor {
    /// Begins to build the tasks of a deployment.
    pub(super) fn begin_building(&mut self, now: Instant, deployment: Deployment, out: &mut Vec<Output>) {
        let builder = builder(&self.options, &self.credentials, &self.regions, &self.hub, &self.slots);
        let (running, building) = Building::begin(now, &builder, deployment);
        let refused = builder.check_memory(&building.graph);
        (self.running, self.building) = (Some(running), Some(building));
        if let Some((subtask, failure)) = refused {
            self.fail(subtask, failure, out);
        }
    }

    /// Builds some more tasks. When all are built, hands them to the slots and handles the messages that have
    /// waited for them.
    pub(super) fn continue_building(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(mut building) = self.building.take() else { return };
        let builder = builder(&self.options, &self.credentials, &self.regions, &self.hub, &self.slots);
        let proceeded = building.proceed(&builder);
        if proceeded.is_ok() && building.is_complete() {
            building.deploy(&builder);
            return self.take_deferred(now, out);
        }
        building.log(now);
        self.building = Some(building);
        match proceeded {
            Ok(()) => self.options.signal.raise(),
            Err((subtask, failure)) => {
                self.fail(subtask, failure, out);
                // Before the next message.
                self.take_deferred(now, out);
            }
        }
    }

    /// Drops all tasks, also those that are built and not deployed.
    pub(super) fn clear(&mut self) {
        if let Some(building) = self.building.take() {
            building.discard(self.slots());
        }
        self.slots().clear();
    }
}
