//! Asynchronous calls from operators to systems outside the cluster, such as look-ups in a database.
//!
//! An [`AsyncFunction`] makes a request of each record and emits results when the answer arrives. Meanwhile the operator
//! takes further records, up to its [capacity](AsyncCalls::capacity). The calls are made as those of sources and sinks are
//! ([`io`](crate::io)): by a [`Client`], which runs on the process's runtime and not on the slot's thread.
//!
//! **Calls must be repeatable.** Records whose calls are under way are part of each checkpoint, which does not wait for the
//! answers. After a restore, or when a record moves to another subtask, its call is made again. Results are emitted
//! exactly once all the same.

use crate::{RuntimeContext, UnkeyedContext, UserError};
use reflow_env::{CallError, Client};
use reflow_types::Data;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// How an operator makes its calls.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::async_calls::{AsyncCalls, Retry};
/// use std::time::Duration;
///
/// let calls = AsyncCalls::unordered()
///     .capacity(1_000)
///     .time_limit(Duration::from_secs(30))
///     .call_time_limit(Duration::from_secs(5))
///     .retry(Retry::exponential(4, Duration::from_millis(100), Duration::from_secs(2)));
/// # let _ = calls;
/// ```
#[derive(Clone, Debug)]
pub struct AsyncCalls {
    order: ResultOrder,
    capacity: usize,
    capacity_bytes: u64,
    time_limit: Duration,
    call_time_limit: Duration,
    retry: Retry,
    system: Arc<str>,
}

/// The order in which results are emitted.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultOrder {
    /// That of the records.
    Ordered,
    /// That of the answers, but no result overtakes a watermark.
    Unordered,
}

impl AsyncCalls {
    /// Emits results in the order of their records, so a result waits for those of earlier records. The order is that
    /// within a subtask; by key it is also kept when the parallelism changes.
    pub fn ordered() -> Self {
        Self::new(ResultOrder::Ordered)
    }

    /// Emits results as answers arrive. Records between two watermarks stay between them.
    pub fn unordered() -> Self {
        Self::new(ResultOrder::Unordered)
    }

    fn new(order: ResultOrder) -> Self {
        Self {
            order,
            capacity: 100,
            capacity_bytes: 16 << 20,
            time_limit: Duration::from_secs(60),
            call_time_limit: Duration::MAX,
            retry: Retry::none(),
            system: "async".into(),
        }
    }

    /// Sets how many records a subtask has under way before it takes no more, 100 by default.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn capacity(self, records: usize) -> Self {
        assert!(records > 0, "the capacity of asynchronous calls must be at least one record");
        Self { capacity: records, ..self }
    }

    /// Sets how many bytes the encoded records that a subtask has under way may take before it takes no more, 16 MiB by
    /// default. One record may always be under way.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::async_calls::{AsyncCalls, Retry};
    /// use std::time::Duration;
    ///
    /// let calls = AsyncCalls::ordered().capacity_bytes(64 << 20).retry(Retry::fixed(3, Duration::from_millis(100)));
    /// let once = AsyncCalls::unordered().retry(Retry::none());
    /// ```
    #[must_use]
    pub fn capacity_bytes(self, bytes: u64) -> Self {
        Self { capacity_bytes: bytes, ..self }
    }

    /// Sets the time within which a record must have its answer, a minute by default. It includes all retries, and begins
    /// anew after a restore.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        Self { time_limit: limit, ..self }
    }

    /// Sets the time limit of each single call. The default is the whole [`time_limit`](Self::time_limit), so that a lost
    /// answer is not retried.
    #[must_use]
    pub fn call_time_limit(self, limit: Duration) -> Self {
        Self { call_time_limit: limit, ..self }
    }

    /// Sets how failed calls are repeated. By default they are not.
    #[must_use]
    pub fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Sets the name of the system that an asynchronous closure calls. Errors name it, and the simulator finds its system
    /// by it. A [`Client`] has a [name](Client::system) of its own.
    #[must_use]
    pub fn system(self, name: &str) -> Self {
        Self { system: name.into(), ..self }
    }

    /// The order of results.
    #[doc(hidden)]
    pub fn order(&self) -> ResultOrder {
        self.order
    }

    /// Whether a subtask may take one more record if it has this many, of this many bytes, under way.
    #[doc(hidden)]
    pub fn has_capacity(&self, records: usize, bytes: u64) -> bool {
        records == 0 || records < self.capacity && bytes < self.capacity_bytes
    }

    /// The number of calls that a subtask has under way at most.
    #[doc(hidden)]
    pub fn most_calls(&self) -> usize {
        self.capacity
    }

    /// The time limit of a record.
    #[doc(hidden)]
    pub fn limit(&self) -> Duration {
        self.time_limit
    }

    /// The time limit of a call for a record that has `left` of its time.
    #[doc(hidden)]
    pub fn limit_of_call(&self, left: Duration) -> Duration {
        self.call_time_limit.min(left)
    }

    /// When a call is repeated after `calls` of them have failed; `None` if it is not.
    #[doc(hidden)]
    pub fn retry_after(&self, calls: u32) -> Option<Duration> {
        self.retry.after(calls)
    }

    pub(crate) fn name(&self) -> Arc<str> {
        self.system.clone()
    }
}

/// How often and after which delays a failed call is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    calls: u32,
    delay: Duration,
    max_delay: Duration,
    factor: u32,
}

impl Retry {
    /// A failed call is not repeated.
    pub fn none() -> Self {
        Self::fixed(1, Duration::ZERO)
    }

    /// Calls at most `calls` times, with the same delay before each repetition.
    ///
    /// # Panics
    /// If `calls` is 0.
    pub fn fixed(calls: u32, delay: Duration) -> Self {
        assert!(calls > 0, "there is at least one call");
        Self { calls, delay, max_delay: delay, factor: 1 }
    }

    /// Calls at most `calls` times. The delay doubles with each repetition, up to `max_delay`.
    ///
    /// # Panics
    /// If `calls` is 0.
    pub fn exponential(calls: u32, first_delay: Duration, max_delay: Duration) -> Self {
        assert!(calls > 0, "there is at least one call");
        Self { calls, delay: first_delay, max_delay, factor: 2 }
    }

    fn after(&self, calls: u32) -> Option<Duration> {
        let factor = self.factor.saturating_pow(calls.saturating_sub(1));
        (calls < self.calls).then(|| self.delay.saturating_mul(factor).min(self.max_delay))
    }
}

/// A function that calls a system outside the cluster for each record.
///
/// It has the life cycle of a [`ProcessFunction`](crate::ProcessFunction). The clones of a process share what is behind an
/// [`Arc`], such as the client with its connections. An answer that needs several requests to the system is one call:
/// the client's function sends them, one after the other or at the same time.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::async_calls::AsyncFunction;
/// use reflow::{CallError, Client, UnkeyedContext, UserError};
/// use std::sync::Arc;
///
/// /// A directory of customers.
/// struct Directory;
///
/// impl Client for Directory {
///     type Request = u64;
///     type Answer = Option<String>;
///     type Error = std::io::Error;
///
///     fn system(&self) -> &str {
///         "directory://customers"
///     }
///
///     async fn call(&self, id: &u64) -> Result<Option<String>, std::io::Error> {
///         Ok(Some(format!("customer {id}"))) // an asynchronous client library is called here
///     }
/// }
///
/// /// Adds the name of the customer to each order.
/// #[derive(Clone)]
/// struct AddName(Arc<Directory>);
///
/// impl AsyncFunction for AddName {
///     type In = (u64, i64);
///     type Out = (String, i64);
///     type Client = Directory;
///
///     fn client(&self) -> &Arc<Directory> {
///         &self.0
///     }
///
///     fn request(&mut self, (customer, _): &(u64, i64)) -> Result<u64, UserError> {
///         Ok(*customer)
///     }
///
///     fn answered(
///         &mut self,
///         context: &mut impl UnkeyedContext<(String, i64)>,
///         (customer, cents): (u64, i64),
///         name: Option<String>,
///     ) -> Result<(), UserError> {
///         let name = name.ok_or_else(|| format!("there is no customer {customer}"))?;
///         context.emit((name, cents));
///         Ok(())
///     }
///
///     fn failed(
///         &mut self,
///         context: &mut impl UnkeyedContext<(String, i64)>,
///         (_, cents): (u64, i64),
///         error: CallError,
///     ) -> Result<(), UserError> {
///         if !matches!(error, CallError::TimedOut { .. }) {
///             return Err(error.into());
///         }
///         context.emit(("unknown".to_owned(), cents));
///         Ok(())
///     }
/// }
/// ```
pub trait AsyncFunction: Clone + Send + 'static {
    /// The type of its input records.
    type In: Data;
    /// The type of the records that it emits.
    type Out;
    /// The client that makes the calls.
    type Client: Client;

    /// See [`ProcessFunction::open`](crate::ProcessFunction::open).
    fn open(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// See [`ProcessFunction::rescaled`](crate::ProcessFunction::rescaled).
    fn rescaled(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// See [`ProcessFunction::close`](crate::ProcessFunction::close).
    fn close(&mut self) -> Result<(), UserError> {
        Ok(())
    }

    /// The client that makes the calls.
    fn client(&self) -> &Arc<Self::Client>;

    /// The request for a record. Called again for each repetition and after a restore.
    fn request(&mut self, record: &Self::In) -> Result<<Self::Client as Client>::Request, UserError>;

    /// Emits the results of a record.
    fn answered(
        &mut self,
        context: &mut impl UnkeyedContext<Self::Out>,
        record: Self::In,
        answer: <Self::Client as Client>::Answer,
    ) -> Result<(), UserError>;

    /// Handles a record whose calls have failed for the last time, or which has no answer within its time limit. By default
    /// it returns the error, which the operator's error policy handles.
    fn failed(
        &mut self,
        _context: &mut impl UnkeyedContext<Self::Out>,
        _record: Self::In,
        error: CallError,
    ) -> Result<(), UserError> {
        Err(error.into())
    }

    /// Whether a call with this result is repeated, if the [`Retry`] allows one more. By default any error is.
    fn is_retried(&self, result: &Result<<Self::Client as Client>::Answer, CallError>) -> bool {
        result.is_err()
    }
}

/// An [`AsyncFunction`] of a client and two closures: the first makes the request of a record, the second the result of the
/// record and its answer.
#[doc(hidden)]
pub struct ClientCalls<C, T, U, F, G> {
    client: Arc<C>,
    request: F,
    result: G,
    types: PhantomData<fn(T) -> U>,
}

impl<C, T, U, F, G> ClientCalls<C, T, U, F, G> {
    /// The function.
    #[doc(hidden)]
    pub fn new(client: Arc<C>, request: F, result: G) -> Self {
        Self { client, request, result, types: PhantomData }
    }
}

impl<C, T, U, F: Clone, G: Clone> Clone for ClientCalls<C, T, U, F, G> {
    fn clone(&self) -> Self {
        Self::new(self.client.clone(), self.request.clone(), self.result.clone())
    }
}

impl<C, T, U, F, G> AsyncFunction for ClientCalls<C, T, U, F, G>
where
    C: Client,
    T: Data,
    U: 'static,
    F: FnMut(&T) -> C::Request + Clone + Send + 'static,
    G: FnMut(T, C::Answer) -> Result<U, UserError> + Clone + Send + 'static,
{
    type In = T;
    type Out = U;
    type Client = C;

    fn client(&self) -> &Arc<C> {
        &self.client
    }

    fn request(&mut self, record: &T) -> Result<C::Request, UserError> {
        Ok((self.request)(record))
    }

    fn answered(
        &mut self,
        context: &mut impl UnkeyedContext<U>,
        record: T,
        answer: C::Answer,
    ) -> Result<(), UserError> {
        context.emit((self.result)(record, answer)?);
        Ok(())
    }
}

/// An [`AsyncFunction`] that is one asynchronous closure.
#[doc(hidden)]
pub struct AsyncClosure<T, U, F>(Arc<ClosureClient<T, U, F>>);

impl<T, U, F> AsyncClosure<T, U, F> {
    /// The function, which calls the [system](AsyncCalls::system) that `calls` name.
    #[doc(hidden)]
    pub fn new(calls: &AsyncCalls, function: F) -> Self {
        Self(Arc::new(ClosureClient { system: calls.name(), function, types: PhantomData }))
    }
}

impl<T, U, F> Clone for AsyncClosure<T, U, F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The client of an [`AsyncClosure`]. Its request is the record, so that a simulated system can read it.
#[doc(hidden)]
pub struct ClosureClient<T, U, F> {
    system: Arc<str>,
    function: F,
    types: PhantomData<fn(T) -> U>,
}

/// The request of an [`AsyncClosure`]: the record.
#[doc(hidden)]
pub struct Asked<T>(pub T);

/// The answer to an [`AsyncClosure`]: the result.
#[doc(hidden)]
pub struct Answered<U>(pub U);

impl<T> fmt::Debug for Asked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<T>())
    }
}

impl<U> fmt::Debug for Answered<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<U>())
    }
}

/// The error that an asynchronous closure has returned.
#[doc(hidden)]
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ClosureFailed(pub UserError);

impl<T, U, F, A> Client for ClosureClient<T, U, F>
where
    T: Clone + Send + Sync + 'static,
    U: Send + 'static,
    F: Fn(T) -> A + Send + Sync + 'static,
    A: Future<Output = Result<U, UserError>> + Send,
{
    type Request = Asked<T>;
    type Answer = Answered<U>;
    type Error = ClosureFailed;

    fn system(&self) -> &str {
        &self.system
    }

    fn call(
        &self,
        Asked(record): &Asked<T>,
    ) -> impl Future<Output = Result<Answered<U>, ClosureFailed>> + Send {
        let mut future = Box::pin((self.function)(record.clone()));
        let wrapped = |result: Result<U, UserError>| result.map(Answered).map_err(ClosureFailed);
        std::future::poll_fn(move |context| future.as_mut().poll(context).map(wrapped))
    }
}

impl<T, U, F, A> AsyncFunction for AsyncClosure<T, U, F>
where
    T: Data + Clone + Sync,
    U: Send + 'static,
    F: Fn(T) -> A + Send + Sync + 'static,
    A: Future<Output = Result<U, UserError>> + Send,
{
    type In = T;
    type Out = U;
    type Client = ClosureClient<T, U, F>;

    fn client(&self) -> &Arc<Self::Client> {
        &self.0
    }

    fn request(&mut self, record: &T) -> Result<Asked<T>, UserError> {
        Ok(Asked(record.clone()))
    }

    fn answered(
        &mut self,
        context: &mut impl UnkeyedContext<U>,
        _: T,
        Answered(result): Answered<U>,
    ) -> Result<(), UserError> {
        context.emit(result);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_of_retries() {
        let ms = Duration::from_millis;
        let delays = |retry: Retry| (1..6).map_while(|calls| retry.after(calls)).collect::<Vec<_>>();
        assert_eq!(delays(Retry::none()), []);
        assert_eq!(delays(Retry::fixed(3, ms(10))), [ms(10), ms(10)]);
        assert_eq!(delays(Retry::exponential(5, ms(10), ms(30))), [ms(10), ms(20), ms(30), ms(30)]);
        assert_eq!(Retry::exponential(u32::MAX, ms(10), ms(30)).after(1_000_000), Some(ms(30)));
    }

    #[test]
    fn one_record_is_always_taken() {
        let calls = AsyncCalls::ordered().capacity(2).capacity_bytes(10);
        assert!(calls.has_capacity(0, 0));
        assert!(calls.has_capacity(1, 9));
        assert!(!calls.has_capacity(1, 10), "the bytes");
        assert!(!calls.has_capacity(2, 2), "the records");
    }
}
