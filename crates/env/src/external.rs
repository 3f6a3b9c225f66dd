//! Calls to systems outside the cluster, such as brokers, databases and services.
//!
//! A connector defines a [`Client`]: the types of requests and answers, and an asynchronous function that sends a
//! request and waits for its answer. A [`Call`] is one request with its client and its time limit. It is a value:
//! code that decides or runs records makes it and gets the answer by its [`Ticket`](crate::Ticket). The real driver
//! runs the client's function on the process's runtime. The simulator does not run it: it gives the
//! [request](Call::request) to a simulated system, so that what a connector does with requests and answers runs
//! there unchanged.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A client of a system outside the cluster.
///
/// It is made where no runtime runs, so it opens its connections in its first call. The subtasks of a process can
/// share one client and its connections; their calls then run concurrently.
///
/// ```
/// # extern crate reflow_env as reflow;
/// use reflow::Client;
/// use std::io;
///
/// /// Looks up the host that serves a shard.
/// struct Directory {
///     url: String,
/// }
///
/// impl Client for Directory {
///     type Request = u32;
///     type Answer = String;
///     type Error = io::Error;
///
///     fn system(&self) -> &str {
///         &self.url
///     }
///
///     async fn call(&self, shard: &u32) -> io::Result<String> {
///         if *shard >= 16 {
///             return Err(io::Error::other("there are 16 shards"));
///         }
///         Ok(format!("host-{shard}")) // a request over the network
///     }
/// }
/// ```
pub trait Client: Send + Sync + 'static {
    /// A request, as plain data: the simulator's system reads it, too.
    type Request: fmt::Debug + Send + Sync + 'static;
    /// The answer to a request that was carried out.
    type Answer: fmt::Debug + Send + 'static;
    /// The reason why there is no answer, or what the system refused.
    type Error: Error + Send + Sync + 'static;

    /// The system's name, such as `kafka://broker:9092`. It is part of errors, and the simulator finds its system by
    /// it.
    fn system(&self) -> &str;

    /// Sends a request and waits for the answer. Runs on the process's runtime and must not block its threads.
    ///
    /// It is dropped at any await point when the call's time is up or its task has ended, so a connection on which an
    /// answer is outstanding must not be used again.
    fn call(&self, request: &Self::Request)
    -> impl Future<Output = Result<Self::Answer, Self::Error>> + Send;

    /// How many bytes of memory a request holds, for the bounds of data that waits to be sent.
    fn bytes(&self, _request: &Self::Request) -> usize {
        0
    }
}

/// The answer to a call, whose type only its connector knows.
pub trait AnyAnswer: Any + fmt::Debug + Send {}

impl<T: Any + fmt::Debug + Send> AnyAnswer for T {}

/// The result of a call.
pub type CallResult = Result<Box<dyn AnyAnswer>, CallError>;

/// A call that is being carried out.
pub type CallFuture = Pin<Box<dyn Future<Output = CallResult> + Send>>;

/// A request to a system outside the cluster. Clones are the same request, which can be submitted again.
///
/// ```
/// # extern crate reflow_env as reflow;
/// use reflow::{Call, CallError, Client};
/// use std::sync::Arc;
/// use std::time::Duration;
/// # struct Directory;
/// # impl Client for Directory {
/// #     type Request = u32;
/// #     type Answer = String;
/// #     type Error = std::io::Error;
/// #     fn system(&self) -> &str { "directory://shop" }
/// #     async fn call(&self, _: &u32) -> Result<String, std::io::Error> { Ok(String::new()) }
/// #     fn bytes(&self, _: &u32) -> usize { 4 }
/// # }
///
/// let call = Call::new(&Arc::new(Directory), 7, Duration::from_secs(1));
/// assert_eq!((call.system(), call.bytes()), ("directory://shop", 4));
/// // What a test that plays the directory looks at.
/// assert_eq!(call.request().downcast_ref(), Some(&7u32));
/// assert_eq!(call.time_limit(), Duration::from_secs(1));
/// assert_eq!(call.timed_out().to_string(), "directory://shop has not answered within 1s");
///
/// let refused = CallError::failed("directory://shop", std::io::Error::other("there are 16 shards"));
/// let reason = refused.client_error::<std::io::Error>().map(ToString::to_string);
/// assert_eq!(reason.as_deref(), Some("there are 16 shards"));
/// ```
#[derive(Clone)]
pub struct Call {
    time_limit: Duration,
    bound: Arc<dyn Bound>,
}

/// A request with its client, without their types.
trait Bound: Send + Sync {
    fn system(&self) -> &str;
    fn bytes(&self) -> usize;
    fn request(&self) -> &(dyn Any + Send + Sync);
    fn start(self: Arc<Self>) -> CallFuture;
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

struct Typed<C: Client> {
    client: Arc<C>,
    request: C::Request,
}

impl<C: Client> Bound for Typed<C> {
    fn system(&self) -> &str {
        self.client.system()
    }

    fn bytes(&self) -> usize {
        self.client.bytes(&self.request)
    }

    fn request(&self) -> &(dyn Any + Send + Sync) {
        &self.request
    }

    fn start(self: Arc<Self>) -> CallFuture {
        Box::pin(async move {
            match self.client.call(&self.request).await {
                Ok(answer) => Ok(Box::new(answer) as Box<dyn AnyAnswer>),
                Err(error) => Err(CallError::failed(self.system(), error)),
            }
        })
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.system(), self.request)
    }
}

impl Call {
    /// A request that fails if there is no answer within `time_limit`.
    pub fn new<C: Client>(client: &Arc<C>, request: C::Request, time_limit: Duration) -> Self {
        Self { time_limit, bound: Arc::new(Typed { client: client.clone(), request }) }
    }

    /// The name of the system.
    pub fn system(&self) -> &str {
        self.bound.system()
    }

    /// How long the answer may take.
    pub fn time_limit(&self) -> Duration {
        self.time_limit
    }

    /// How many bytes of memory the request holds.
    pub fn bytes(&self) -> usize {
        self.bound.bytes()
    }

    /// The request, a [`Client::Request`].
    pub fn request(&self) -> &(dyn Any + Send + Sync) {
        self.bound.request()
    }

    /// Begins to carry the call out, without its time limit. For drivers.
    #[doc(hidden)]
    pub fn start(&self) -> CallFuture {
        self.bound.clone().start()
    }

    /// The error of a call that was not answered in time.
    pub fn timed_out(&self) -> CallError {
        CallError::TimedOut { system: self.system().to_owned(), limit: self.time_limit }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bound.describe(f)
    }
}

/// Whether two calls are clones of each other.
impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bound, &other.bound)
    }
}

impl Eq for Call {}

/// The error of a call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// There was no answer within the call's time. The system may have carried the request out, or may still do so.
    #[error("{system} has not answered within {limit:?}")]
    TimedOut {
        /// The name of the system.
        system: String,
        /// The call's time limit.
        limit: Duration,
    },
    /// The client has returned an error.
    #[error("{system}: {error}")]
    Failed {
        /// The name of the system.
        system: String,
        /// The client's error.
        error: Arc<dyn Error + Send + Sync>,
    },
}

impl CallError {
    /// The error of a client of this system.
    pub fn failed(system: &str, error: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed { system: system.to_owned(), error: Arc::new(error) }
    }

    /// The client's error, if it is of this type.
    pub fn client_error<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::TimedOut { .. } => None,
            Self::Failed { error, .. } => error.downcast_ref(),
        }
    }
}

/// The client's function panicked.
#[derive(Debug, thiserror::Error)]
#[error("the client panicked: {0}")]
pub struct ClientPanicked(pub String);
