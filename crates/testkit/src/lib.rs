//! The operator harness: it runs a job on the test's own thread, so that rescaling can be a unit test.
//!
//! A [`Harness`] deploys a job's tasks into slots, over one executor or several, and steps them one at a time, in
//! turn or in an order drawn from a seed. The test controls everything: records come from a [`Feed`], time from a
//! [`ManualClock`], objects go to a [`MemoryStore`], output to a [`Collect`]. Checkpoints are coordinated, and
//! state is redistributed at another parallelism, by the production code; only processes, threads and sockets are
//! missing.
//!
//! ```
//! use reflow_testkit::{Collect, Feed, Harness};
//! let (feed, out) = (Feed::new(1), Collect::new("out"));
//! let mut job = Harness::new(|env| {
//!     env.source("in", feed.clone()).key_by(|n: &u64| *n % 2).reduce(|a, b| a + b).sink("out", out.clone());
//! });
//! job.start(1);
//! feed.push(0, [1, 2, 3]);
//! job.rescale(2);
//! feed.push(0, [4, 5]);
//! feed.end();
//! assert!(job.finish());
//! assert_eq!(out.committed(&job), [1, 2, 4, 6, 9]);
//! ```
//!
//! Users get it as `reflow::testing`.
//!
//! Reading order: [`harness`] (the calls of a test), [`feed`], [`timed_feed`] and [`collect`] (its ends),
//! [`operator_harness`] (the shortest form, for users), [`operators`] (every stateful operator), [`scenario`] (one check
//! for all of them), [`peer`] (systems that it calls), `attempt` and `executor` (what runs), [`store`], [`clock`], `order`; [`broker`] is apart: a system
//! outside the cluster, with its source and sink.
#![warn(missing_docs)]

extern crate reflow_api as reflow; // the name in derived code

mod attempt;
pub mod broker;
pub mod clock;
pub mod collect;
mod executor;
pub mod feed;
pub mod harness;
pub mod operator_harness;
pub mod operators;
mod order;
pub mod peer;
pub mod scenario;
pub mod store;
pub mod timed_feed;

pub use clock::ManualClock;
pub use collect::Collect;
pub use feed::Feed;
pub use harness::Harness;
pub use operator_harness::OperatorHarness;
pub use peer::{Peer, PeerError};
pub use scenario::check_rescales;
pub use store::MemoryStore;
pub use timed_feed::TimedFeed;
