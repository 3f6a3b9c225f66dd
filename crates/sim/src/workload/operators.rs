//! The operators of [`reflow_testkit::operators`] as jobs. The expected output of each is what an undisturbed
//! harness writes with one subtask for each vertex; the harness's own tests compare that with models.

use super::reading::{Reading, Readings};
use super::sink::{COMMITTED, LineSink, SLOWEST};
use super::{Lines, Workload, lines};
use crate::faults::Probe;
use crate::world::{Storage, System, Time};
use reflow_env::CallResult;
use reflow_stream::StreamEnv;
use reflow_testkit::Harness;
use reflow_testkit::operators::{self, Disorder, Operator, called};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn build(env: &mut StreamEnv, workload: &Workload, operator: Operator) {
    let readings = &workload.readings;
    let between_splits = readings.lead_ms + readings.per_split * readings.step_ms;
    let disorder = Disorder {
        in_split: Duration::from_millis(readings.disorder_ms),
        overall: Duration::from_millis(readings.disorder_ms + between_splits),
    };
    let readings = workload.readings(env, "readings").map(|Reading { split, key, time, amount, .. }| {
        operators::Reading { split: split.into(), key, time, value: amount - 500 }
    });
    operator.build(readings.boxed(), disorder).sink("out", LineSink);
}

pub(super) fn expected(workload: &Workload) -> Lines {
    // All records are available at once, because the clock of the harness does not advance.
    let readings = Readings { interval: Duration::ZERO, ..(*workload.readings).clone() };
    let calm = Workload {
        readings: Arc::new(readings),
        probe: Probe::default(),
        alignment: None,
        ..workload.clone()
    };
    let mut harness = Harness::new(move |env| calm.build(env)).with_peer(&called::peer());
    harness.start(1);
    if !harness.finish() {
        harness.advance(SLOWEST);
    }
    assert!(harness.is_finished(), "{workload}, undisturbed: {}", harness.state());
    let committed = harness.store().below(COMMITTED);
    lines(committed.flat_map(|(_, body)| {
        let body = String::from_utf8_lossy(body).into_owned();
        body.lines().map(str::to_owned).collect::<Vec<_>>()
    }))
}

/// The system that operators call.
pub(super) struct Called;

impl System for Called {
    fn answer(&mut self, _: Time, request: &(dyn Any + Send + Sync), _: &mut Storage) -> Option<CallResult> {
        let reading = request.downcast_ref().expect("operators send readings");
        Some(Ok(Box::new(called::answer(reading))))
    }
}
