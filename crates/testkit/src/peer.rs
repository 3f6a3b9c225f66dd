//! A system outside the cluster whose answers the test chooses.

use reflow_env::{Call, CallError, CallResult};
use std::any::Any;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A system outside the cluster. Clones are the same system, so a test can let it wait, and count its requests.
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_testkit::*; }
/// # }
/// use reflow::testing::{Harness, Peer, PeerError};
///
/// // Answers what a client with the name `prices://shop` asks.
/// let prices = Peer::new("prices://shop", |product: &String| match product.as_str() {
///     "tea" => Some(Ok(3u32)),
///     "salt" => None, // it never answers
///     other => Some(Err(PeerError(format!("there is no {other}")))),
/// });
///
/// /// The answers come late, in a job that was made by `Harness::new(…).with_peer(&prices)`.
/// fn answer_late(job: &mut Harness<'_>, prices: &Peer) {
///     prices.hold();
///     job.settle();
///     assert!(prices.requests() > 0);
///     prices.release();
///     job.settle();
/// }
/// ```
#[derive(Clone)]
pub struct Peer(Arc<Mutex<Inner>>);

struct Inner {
    name: String,
    answer: Answering,
    is_held: bool,
    requests: usize,
}

/// What it answers to a request, if anything.
type Answering = Box<dyn FnMut(&dyn Any) -> Option<CallResult> + Send>;

/// What a [`Peer`] refuses. [`Peer`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PeerError(pub String);

impl Peer {
    /// The system that clients reach by `name`. It answers requests of type `Q` by `answer`; one for which that returns
    /// `None` is never answered.
    pub fn new<Q, A>(
        name: &str,
        mut answer: impl FnMut(&Q) -> Option<Result<A, PeerError>> + Send + 'static,
    ) -> Self
    where
        Q: 'static,
        A: Debug + Send + 'static,
    {
        let system = name.to_owned();
        let answer = move |request: &dyn Any| {
            let request = request.downcast_ref().expect("the client sends requests of this type");
            let answer = answer(request)?;
            Some(
                answer.map(|answer| Box::new(answer) as _).map_err(|error| CallError::failed(&system, error)),
            )
        };
        Self(Arc::new(Mutex::new(Inner {
            name: name.to_owned(),
            answer: Box::new(answer),
            is_held: false,
            requests: 0,
        })))
    }

    /// Lets it answer nothing until it is released. The calls wait.
    pub fn hold(&self) {
        self.lock().is_held = true;
    }

    /// Lets it answer again.
    pub fn release(&self) {
        self.lock().is_held = false;
    }

    /// The number of requests that it has got.
    pub fn requests(&self) -> usize {
        self.lock().requests
    }

    /// Whether it is the system that a call is for.
    pub(crate) fn is_for(&self, call: &Call) -> bool {
        self.lock().name == call.system()
    }

    /// A request has arrived.
    pub(crate) fn arrived(&self) {
        self.lock().requests += 1;
    }

    pub(crate) fn is_held(&self) -> bool {
        self.lock().is_held
    }

    /// The answer to a call, if there is one.
    pub(crate) fn answer(&self, call: &Call) -> Option<CallResult> {
        (self.lock().answer)(call.request())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
