//! The call by which a process answers an inquiry about itself, so that its event loop does not wait for files.

use crate::external::{Call, CallResult, Client};
use reflow_types::inspection::{Inquiry, Inspect, Inspection, InspectionError};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a process may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A call that answers an inquiry by `inspect`.
pub fn call(inspect: Inspect, inquiry: Inquiry) -> Call {
    Call::new(&Arc::new(ThisProcess(inspect)), inquiry, TIME_LIMIT)
}

/// The answer of such a call.
pub fn answer(result: CallResult) -> Inspection {
    let answer = result.map_err(|error| InspectionError::Failed(error.to_string()))?;
    let answer: Box<dyn std::any::Any> = answer;
    *answer.downcast::<Inspection>().expect("the call of an inquiry answers with an inspection")
}

struct ThisProcess(Inspect);

impl Client for ThisProcess {
    type Request = Inquiry;
    type Answer = Inspection;
    type Error = io::Error;

    fn system(&self) -> &str {
        "this process"
    }

    async fn call(&self, inquiry: &Inquiry) -> io::Result<Inspection> {
        let (inspect, inquiry) = (self.0, inquiry.clone());
        run_blocking(move || inspect(&inquiry)).await
    }
}

#[cfg(feature = "real")]
async fn run_blocking(inspect: impl FnOnce() -> Inspection + Send + 'static) -> io::Result<Inspection> {
    tokio::task::spawn_blocking(inspect).await.map_err(io::Error::other)
}

/// Only the real driver runs clients.
#[cfg(not(feature = "real"))]
async fn run_blocking(inspect: impl FnOnce() -> Inspection) -> io::Result<Inspection> {
    Ok(inspect())
}
