//! Asynchronous calls of a system that the harness and the simulator each play.

use super::Reading;
use crate::Peer;
use reflow_api::async_calls::{AsyncCalls, Retry};
use reflow_api::{Client, UserError};
use std::sync::Arc;
use std::time::Duration;

/// The name of the system.
pub const CALLED: &str = "numbers://called";

/// A client of the system, whose answer to a reading is its value and its time.
pub(super) struct Numbers;

impl Client for Numbers {
    type Request = Reading;
    type Answer = i64;
    type Error = std::io::Error;

    fn system(&self) -> &str {
        CALLED
    }

    async fn call(&self, reading: &Reading) -> Result<i64, std::io::Error> {
        Ok(answer(reading))
    }
}

/// What the system answers.
pub fn answer(reading: &Reading) -> i64 {
    reading.value + reading.time
}

/// The system in the harness.
pub fn peer() -> Peer {
    Peer::new(CALLED, |reading: &Reading| Some(Ok(answer(reading))))
}

/// Calls that are repeated for as long as the system may be down.
pub(super) fn patient(calls: AsyncCalls) -> AsyncCalls {
    calls
        .time_limit(Duration::from_secs(3_600))
        .call_time_limit(Duration::from_secs(5))
        .retry(Retry::exponential(u32::MAX, Duration::from_millis(20), Duration::from_secs(1)))
}

/// What is emitted for a reading: itself, with the value that the answer tells.
pub(super) fn result(reading: Reading, answer: i64) -> Result<Reading, UserError> {
    Ok(Reading { value: answer - reading.time, ..reading })
}

pub(super) fn client() -> Arc<Numbers> {
    Arc::new(Numbers)
}
