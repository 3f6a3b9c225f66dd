//! Calls to systems outside the cluster.

use crate::probe::Probe;
use reflow_env::external::ClientPanicked;
use reflow_env::real::Options;
use reflow_env::{Call, CallError, CallResult, Client, Input, Output, Ticket};
use std::any::Any;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Far above what an answer takes.
const LONG: Duration = Duration::from_secs(60);

/// A system that answers with the square.
struct Squares {
    /// Disconnects when the test and all calls have dropped the client.
    _alive: mpsc::Sender<()>,
}

fn squares() -> (Arc<Squares>, mpsc::Receiver<()>) {
    let (alive, ended) = mpsc::channel();
    (Arc::new(Squares { _alive: alive }), ended)
}

/// Waits until all calls of a client have ended.
fn wait_for_end(client: Arc<Squares>, ended: &mpsc::Receiver<()>) {
    drop(client);
    assert_eq!(ended.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[derive(Debug, PartialEq)]
enum Ask {
    Square(u32),
    Nothing,
    Panic,
    Refusal,
}

impl Client for Squares {
    type Request = Ask;
    type Answer = u32;
    type Error = std::fmt::Error;

    fn system(&self) -> &str {
        "squares://here"
    }

    async fn call(&self, request: &Ask) -> Result<u32, std::fmt::Error> {
        match request {
            Ask::Square(number) => Ok(number * number),
            Ask::Nothing => std::future::pending().await,
            Ask::Panic => panic!("no such number"),
            Ask::Refusal => Err(std::fmt::Error),
        }
    }
}

fn call(probe: &Probe, client: &Arc<Squares>, ticket: u64, ask: Ask, limit: Duration) {
    probe.ask(Output::Call { ticket: Ticket(ticket), call: Call::new(client, ask, limit) });
}

fn called(probe: &Probe, which: u64) -> Result<u32, CallError> {
    let number = |result: &CallResult| match result {
        Ok(answer) => {
            let answer: &dyn Any = &**answer;
            Ok(*answer.downcast_ref::<u32>().unwrap())
        }
        Err(error) => Err(error.clone()),
    };
    probe.wait_for(|input| match input {
        Input::Called { ticket, result } if ticket.0 == which => Some(number(result)),
        _ => None,
    })
}

#[test]
fn calls_are_answered_refused_or_end_in_time() {
    let probe = Probe::start(Options::default());
    let (client, ended) = squares();
    call(&probe, &client, 1, Ask::Nothing, Duration::from_millis(50));
    call(&probe, &client, 2, Ask::Square(7), LONG);
    call(&probe, &client, 3, Ask::Refusal, LONG);
    call(&probe, &client, 4, Ask::Panic, LONG);
    assert_eq!(called(&probe, 2).unwrap(), 49);
    let refused = called(&probe, 3).unwrap_err();
    assert_eq!(refused.client_error(), Some(&std::fmt::Error));
    let panicked = called(&probe, 4).unwrap_err();
    assert!(panicked.client_error::<ClientPanicked>().is_some(), "{panicked}");
    let late = called(&probe, 1).unwrap_err();
    assert_eq!(late.to_string(), "squares://here has not answered within 50ms");
    wait_for_end(client, &ended);
}

#[test]
fn a_cancelled_call_is_dropped_and_not_answered() {
    let probe = Probe::start(Options::default());
    let (client, ended) = squares();
    call(&probe, &client, 1, Ask::Nothing, LONG);
    probe.ask(Output::CancelCall { ticket: Ticket(1) });
    probe.ask(Output::CancelCall { ticket: Ticket(9) });
    call(&probe, &client, 2, Ask::Square(3), LONG);
    assert_eq!(called(&probe, 2).unwrap(), 9);
    wait_for_end(client, &ended);
    let (_, rest) = probe.exit();
    assert!(!rest.iter().any(|input| matches!(input, Input::Called { .. })), "{rest:?}");
}

#[test]
fn the_end_of_a_process_ends_its_calls() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let probe = Probe::start(Options { runtime: Some(runtime.handle().clone()), ..Options::default() });
    let (client, ended) = squares();
    call(&probe, &client, 1, Ask::Nothing, LONG);
    call(&probe, &client, 2, Ask::Square(3), LONG);
    assert_eq!(called(&probe, 2).unwrap(), 9);
    probe.exit();
    wait_for_end(client, &ended);
}
