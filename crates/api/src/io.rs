//! Requests of sources and sinks to the outside: to object storage and to other systems.
//!
//! A slot's thread never waits for an answer: operators submit a request and take its answer in a later step. The
//! slot passes requests to the executor and returns the answers; an answer wakes the slot. The enumerators of the
//! JobManager have the same interface.

use reflow_env::{Answer, Call, CallError, Client, Request, RequestError, StoreOp, StoreResult, Ticket};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Requests of one task, and their answers. Clones share them; used from the slot's thread.
///
/// When the last clone is dropped, answers that were not taken are dropped, including later ones, calls are
/// cancelled, and so are uploads whose last part was not submitted. So a task that ends at any point leaves nothing
/// behind in its slot and its process, which outlive it.
///
/// The requests of a source or sink go through here. A test of a source or sink does what the slot does: it takes the
/// requests, and answers them.
///
/// ```
/// # mod reflow { pub use reflow_api::*; pub use reflow_env::*; }
/// use bytes::Bytes;
/// use reflow::Io;
/// use reflow::store::{Location, StoreOp, StoreReply};
///
/// let io = Io::default();
/// let prices = StoreOp::Get { at: Location("s3://shop/prices.csv".to_owned()), range: None };
/// let ticket = io.submit(prices);
/// assert!(io.take(ticket).is_none(), "not answered yet");
///
/// for (ticket, request) in io.drain_submitted() {
///     assert!(matches!(request.into_store(), Some(StoreOp::Get { .. })));
///     io.answer(ticket, Ok(StoreReply::Bytes(Bytes::from("tea,3"))));
/// }
/// assert_eq!(io.take(ticket), Some(Ok(StoreReply::Bytes(Bytes::from("tea,3")))));
/// ```
///
/// A large object is uploaded in parts. What is not needed any more is forgotten or cancelled:
///
/// ```
/// # mod reflow { pub use reflow_api::*; pub use reflow_env::*; }
/// use bytes::Bytes;
/// use reflow::store::{Location, StoreOp, StoreReply};
/// use reflow::{Io, RequestError};
///
/// fn upload(io: &Io, at: &Location, parts: Vec<Bytes>) -> Vec<reflow::store::Ticket> {
///     let upload = io.new_upload();
///     let (at, last) = (at.clone(), parts.len() - 1);
///     let part = |(index, part)| StoreOp::Upload { upload, at: at.clone(), part, last: index == last };
///     parts.into_iter().enumerate().map(part).map(|part| io.submit(part)).collect()
/// }
///
/// let io = Io::default();
/// let parts = vec![Bytes::from("one"), Bytes::from("two")];
/// let tickets = upload(&io, &Location("s3://shop/report".to_owned()), parts);
/// io.answer(tickets[0], Ok(StoreReply::Done));
/// let outcome: Option<Result<(), RequestError>> = io.take_outcome(tickets[0]);
/// assert!(matches!(outcome, Some(Ok(()))));
/// io.forget(tickets[1]);
/// io.submit_and_forget(StoreOp::Delete { at: Location("s3://shop/report.old".to_owned()) });
/// ```
#[derive(Clone, Default)]
pub struct Io(Arc<Scope>);

/// Identifies a call to a system outside the cluster, and knows the types of its answer.
///
/// ```
/// # mod reflow { pub use reflow_api::*; pub use reflow_env::*; }
/// use reflow::{Answer, CallTicket, Client, Io};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// /// Looks up the price of a product.
/// #[derive(Debug)]
/// struct Prices;
///
/// impl Client for Prices {
///     type Request = String;
///     type Answer = u32;
///     type Error = std::io::Error;
///
///     fn system(&self) -> &str {
///         "prices://shop"
///     }
///
///     async fn call(&self, product: &String) -> Result<u32, std::io::Error> {
///         Ok(product.len() as u32) // a request over the network
///     }
/// }
///
/// let io = Io::default();
/// let client = Arc::new(Prices);
/// let tea: CallTicket<Prices> = io.call(&client, "tea".to_owned(), Duration::from_secs(1));
/// let salt = io.call(&client, "salt".to_owned(), Duration::from_secs(1));
/// io.cancel(salt.untyped());
/// // What the slot does.
/// let submitted = io.drain_submitted();
/// assert_eq!(submitted.len(), 1, "a call that was cancelled is not made");
/// io.answer(submitted[0].0, Answer::External(Ok(Box::new(3u32))));
/// assert!(matches!(io.take_answer(&tea), Some(Ok(3))));
/// ```
pub struct CallTicket<C> {
    ticket: Ticket,
    client: PhantomData<fn() -> C>,
}

impl<C> CallTicket<C> {
    /// The ticket without the types, for [`Prepared::wait_for`](crate::sink::Prepared::wait_for) and
    /// [`Io::cancel`].
    #[must_use]
    pub fn untyped(&self) -> Ticket {
        self.ticket
    }
}

impl<C> std::fmt::Debug for CallTicket<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.ticket.fmt(f)
    }
}

/// Calls of one client whose answers are taken in the order in which they arrive. With many calls under way, it takes long
/// to look for the answer to each.
///
/// ```
/// # extern crate reflow_api as reflow;
/// # use reflow_env::Ticket;
/// use reflow::{Client, Io, io::Calls};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// fn ask_all<C: Client>(io: &Io, client: &Arc<C>, requests: Vec<C::Request>) -> Calls<C> {
///     let calls = Calls::new(io.clone());
///     for request in requests {
///         calls.call(client, request, Duration::from_secs(1));
///     }
///     calls
/// }
///
/// /// Prints the answers that have arrived, and cancels the others once one has failed.
/// fn take_answers<C: Client>(calls: &Calls<C>, mut unanswered: Vec<Ticket>) {
///     while let Some((ticket, answer)) = calls.next_answer() {
///         unanswered.retain(|other| *other != ticket);
///         match answer {
///             Ok(answer) => println!("{answer:?}"),
///             Err(_) => unanswered.drain(..).for_each(|ticket| calls.cancel(ticket)),
///         }
///     }
/// }
/// ```
pub struct Calls<C> {
    io: Io,
    arrived: Arrived,
    client: PhantomData<fn() -> C>,
}

/// The tickets of answers, in the order in which they have arrived.
type Arrived = Arc<Mutex<VecDeque<Ticket>>>;

impl<C: Client> Calls<C> {
    /// Calls that are made by `io`.
    pub fn new(io: Io) -> Self {
        Self { io, arrived: Arrived::default(), client: PhantomData }
    }

    /// As [`Io::call`].
    pub fn call(&self, client: &Arc<C>, request: C::Request, time_limit: Duration) -> Ticket {
        let ticket = self.io.call(client, request, time_limit).untyped();
        self.io.0.slot().notified.insert(ticket, self.arrived.clone());
        ticket
    }

    /// Takes the next answer, if one has arrived.
    pub fn next_answer(&self) -> Option<(Ticket, Result<C::Answer, CallError>)> {
        loop {
            let ticket = lock(&self.arrived).pop_front()?;
            // Cancelled calls leave their tickets.
            if let Some(answer) = self.io.take_answer(&CallTicket::<C> { ticket, client: PhantomData }) {
                return Some((ticket, answer));
            }
        }
    }

    /// As [`Io::cancel`].
    pub fn cancel(&self, ticket: Ticket) {
        self.io.cancel(ticket);
    }
}

/// The requests of one [`Io`] and its clones.
#[derive(Default)]
struct Scope {
    slot: Arc<Mutex<Inner>>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Requests whose answers have been neither taken nor forgotten.
    requests: BTreeSet<Ticket>,
    /// Uploads that have started and whose last part was not submitted.
    uploads: BTreeSet<u64>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    submitted: Vec<(Ticket, Request)>,
    canceled: Vec<Ticket>,
    /// Requests whose answers are wanted and have not arrived, and whether they are calls, which can be cancelled.
    unanswered: BTreeMap<Ticket, Kind>,
    answered: BTreeMap<Ticket, Answer>,
    /// Where the tickets of unanswered [`Calls`] are put when they are answered.
    notified: BTreeMap<Ticket, Arrived>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Store,
    Call,
}

impl Io {
    /// For the slot: a new [`Io`] in the same slot, with its own requests.
    #[doc(hidden)]
    #[must_use]
    pub fn for_task(&self) -> Self {
        Self(Arc::new(Scope { slot: self.0.slot.clone(), open: Mutex::default() }))
    }

    /// Submits a request. Take its answer, or call [`Io::forget`] or [`Io::cancel`]; otherwise it stays in memory for
    /// as long as the task.
    pub fn submit(&self, request: impl Into<Request>) -> Ticket {
        let request = request.into();
        let mut open = self.0.open();
        match request {
            Request::Store(StoreOp::Upload { upload, last: false, .. }) => drop(open.uploads.insert(upload)),
            Request::Store(StoreOp::Upload { upload, last: true, .. } | StoreOp::CancelUpload { upload }) => {
                open.uploads.remove(&upload);
            }
            _ => {}
        }
        let ticket = self.0.slot().submit(request);
        open.requests.insert(ticket);
        ticket
    }

    /// Calls a system outside the cluster: submits a request that fails if there is no answer within `time_limit`.
    pub fn call<C: Client>(
        &self,
        client: &Arc<C>,
        request: C::Request,
        time_limit: Duration,
    ) -> CallTicket<C> {
        let ticket = self.submit(Call::new(client, request, time_limit));
        CallTicket { ticket, client: PhantomData }
    }

    /// An id for [`StoreOp::Upload`] that is unique in the slot.
    pub fn new_upload(&self) -> u64 {
        let mut slot = self.0.slot();
        slot.next += 1;
        slot.next
    }

    /// Takes the answer to a storage request, if it has arrived.
    ///
    /// # Panics
    /// If the request was a call.
    pub fn take(&self, ticket: Ticket) -> Option<StoreResult> {
        match self.take_any(ticket)? {
            Answer::Store(result) => Some(result),
            Answer::External(result) => {
                panic!("the answer to a call was taken as that of storage: {result:?}")
            }
        }
    }

    /// Takes the answer to a call, if it has arrived.
    ///
    /// # Panics
    /// If the answer is not of the client's type, which only a simulated system can cause.
    pub fn take_answer<C: Client>(&self, call: &CallTicket<C>) -> Option<Result<C::Answer, CallError>> {
        let Answer::External(result) = self.take_any(call.ticket)? else {
            panic!("storage has answered a call");
        };
        Some(result.map(|answer| {
            let answer: Box<dyn Any> = answer;
            *answer.downcast().expect("an answer has the type that its client names")
        }))
    }

    /// Takes whether a request was carried out, if it has been answered. The answer itself is dropped.
    pub fn take_outcome(&self, ticket: Ticket) -> Option<Result<(), RequestError>> {
        self.take_any(ticket).map(Answer::outcome)
    }

    fn take_any(&self, ticket: Ticket) -> Option<Answer> {
        let answer = self.0.slot().answered.remove(&ticket)?;
        self.0.open().requests.remove(&ticket);
        Some(answer)
    }

    /// Submits a request and ignores its answer. It is carried out even if the task ends meanwhile.
    pub fn submit_and_forget(&self, request: impl Into<Request>) {
        let ticket = self.submit(request);
        self.forget(ticket);
    }

    /// Ignores a request's answer.
    pub fn forget(&self, ticket: Ticket) {
        if self.0.open().requests.remove(&ticket) {
            self.0.slot().forget(ticket);
        }
    }

    /// Ends a call and ignores its answer. The system may carry the request out all the same. Storage requests cannot
    /// be cancelled, so their answers are only ignored.
    pub fn cancel(&self, ticket: Ticket) {
        if self.0.open().requests.remove(&ticket) {
            self.0.slot().cancel(ticket);
        }
    }

    /// For the slot, and for tests: takes the requests submitted since the last call.
    pub fn drain_submitted(&self) -> Vec<(Ticket, Request)> {
        std::mem::take(&mut self.0.slot().submitted)
    }

    /// For the slot: takes the calls cancelled since the last call. They were submitted before what
    /// [`drain_submitted`](Self::drain_submitted) returned last.
    #[doc(hidden)]
    pub fn drain_canceled(&self) -> Vec<Ticket> {
        std::mem::take(&mut self.0.slot().canceled)
    }

    /// For the slot, and for tests: delivers an answer. Dropped if nobody waits for it.
    pub fn answer(&self, ticket: Ticket, answer: impl Into<Answer>) {
        let mut slot = self.0.slot();
        if slot.unanswered.remove(&ticket).is_some() {
            slot.answered.insert(ticket, answer.into());
            if let Some(arrived) = slot.notified.remove(&ticket) {
                lock(&arrived).push_back(ticket);
            }
        }
    }
}

impl Inner {
    fn submit(&mut self, request: Request) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        let kind = if matches!(request, Request::External(_)) { Kind::Call } else { Kind::Store };
        self.unanswered.insert(ticket, kind);
        self.submitted.push((ticket, request));
        ticket
    }

    fn forget(&mut self, ticket: Ticket) -> Option<Kind> {
        self.answered.remove(&ticket);
        self.notified.remove(&ticket);
        self.unanswered.remove(&ticket)
    }

    fn cancel(&mut self, ticket: Ticket) {
        if self.forget(ticket) == Some(Kind::Call) {
            match self.submitted.iter().position(|(submitted, _)| *submitted == ticket) {
                Some(place) => drop(self.submitted.remove(place)),
                None => self.canceled.push(ticket),
            }
        }
    }
}

impl Scope {
    fn slot(&self) -> MutexGuard<'_, Inner> {
        lock(&self.slot)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        lock(&self.open)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Scope {
    fn drop(&mut self) {
        let open = std::mem::take(&mut *self.open());
        let mut slot = self.slot();
        for upload in open.uploads {
            let ticket = slot.submit(StoreOp::CancelUpload { upload }.into());
            slot.forget(ticket);
        }
        open.requests.into_iter().for_each(|ticket| slot.cancel(ticket));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reflow_env::{Location, StoreReply};

    fn part(upload: u64, last: bool) -> StoreOp {
        StoreOp::Upload { upload, at: Location("object".to_owned()), part: Bytes::from_static(b"x"), last }
    }

    #[test]
    fn a_task_that_is_gone_leaves_no_upload_and_no_answer() {
        let slot = Io::default();
        let task = slot.for_task();
        let (begun, complete, cancelled) = (task.new_upload(), task.new_upload(), task.new_upload());
        let ops = [part(begun, false), part(complete, false), part(complete, true), part(cancelled, false)];
        let tickets: Vec<_> = ops.into_iter().map(|op| task.submit(op)).collect();
        task.submit_and_forget(StoreOp::CancelUpload { upload: cancelled });
        slot.drain_submitted();
        slot.answer(tickets[0], Ok(StoreReply::Done));
        let clone = task.clone();
        drop(task);
        assert_eq!(slot.drain_submitted(), [], "a clone is there");
        drop(clone);
        let left: Vec<_> = slot.drain_submitted().into_iter().map(|(_, request)| request).collect();
        assert_eq!(left, [StoreOp::CancelUpload { upload: begun }.into()]);
        // Later answers are dropped when they arrive.
        tickets[1..].iter().for_each(|ticket| slot.answer(*ticket, Ok(StoreReply::Done)));
        assert!(slot.0.slot().answered.is_empty());
    }

    #[derive(Debug)]
    struct Echo;

    impl Client for Echo {
        type Request = u32;
        type Answer = u32;
        type Error = std::fmt::Error;

        fn system(&self) -> &str {
            "echo://here"
        }

        fn call(&self, request: &u32) -> impl Future<Output = Result<u32, std::fmt::Error>> + Send {
            std::future::ready(Ok(*request))
        }
    }

    #[test]
    fn answers_to_calls_have_their_types() {
        let io = Io::default();
        let first = io.call(&Arc::new(Echo), 7, Duration::from_secs(1));
        let second = io.call(&Arc::new(Echo), 8, Duration::from_secs(1));
        assert!(io.take_answer(&first).is_none());
        let submitted = io.drain_submitted();
        let Request::External(call) = &submitted[0].1 else { panic!("it is a call") };
        assert_eq!((call.system(), call.request().downcast_ref()), ("echo://here", Some(&7u32)));
        io.answer(submitted[0].0, Answer::External(Ok(Box::new(7u32))));
        io.answer(submitted[1].0, Answer::External(Err(CallError::failed("echo://here", std::fmt::Error))));
        assert!(matches!(io.take_answer(&first), Some(Ok(7))));
        let Some(Err(error)) = io.take_answer(&second) else { panic!("it has failed") };
        assert!(error.client_error::<std::fmt::Error>().is_some());
    }

    #[test]
    fn answers_are_taken_in_the_order_of_their_arrival() {
        let slot = Io::default();
        let calls = Calls::<Echo>::new(slot.for_task());
        let [first, second, third, fourth] =
            [1, 2, 3, 4].map(|number| calls.call(&Arc::new(Echo), number, Duration::from_secs(1)));
        let answer = |ticket, number: u32| slot.answer(ticket, Answer::External(Ok(Box::new(number))));
        answer(third, 3);
        answer(second, 2);
        calls.cancel(second);
        calls.cancel(fourth);
        answer(fourth, 4);
        assert!(matches!(calls.next_answer(), Some((ticket, Ok(3))) if ticket == third));
        assert!(calls.next_answer().is_none(), "the others are cancelled or not answered");
        answer(first, 1);
        assert!(matches!(calls.next_answer(), Some((ticket, Ok(1))) if ticket == first));
        assert!(slot.0.slot().notified.is_empty());
    }

    #[test]
    fn a_task_that_is_gone_cancels_its_calls() {
        let slot = Io::default();
        let task = slot.for_task();
        let call = |number| task.call(&Arc::new(Echo), number, Duration::from_secs(1)).untyped();
        let (answered, under_way, forgotten) = (call(1), call(2), call(3));
        task.forget(forgotten);
        slot.drain_submitted();
        slot.answer(answered, Answer::External(Ok(Box::new(1u32))));
        call(4); // not passed on yet
        drop(task);
        assert_eq!(slot.drain_submitted(), []);
        assert_eq!(slot.drain_canceled(), [under_way]);
        slot.answer(under_way, Answer::External(Ok(Box::new(2u32))));
        assert!(slot.0.slot().answered.is_empty() && slot.0.slot().unanswered.is_empty());
    }

    #[test]
    fn tasks_of_a_slot_do_not_share_tickets() {
        let slot = Io::default();
        let (gone, stays) = (slot.for_task(), slot.for_task());
        let theirs = stays.submit(part(stays.new_upload(), true));
        assert_ne!(gone.submit(part(gone.new_upload(), true)), theirs);
        drop(gone);
        slot.answer(theirs, Ok(StoreReply::Done));
        assert_eq!(stays.take(theirs), Some(Ok(StoreReply::Done)));
    }
}
