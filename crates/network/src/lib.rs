//! Channels between subtasks.
//!
//! A channel has one sender and one receiver, and carries batches of records and what stands between them:
//! watermarks, idleness, barriers, the end. Within a process a batch is handed over by ownership; between
//! processes it is encoded once and travels in a frame. How much may be under way is bounded by *credit*: the
//! receiver says how many records it will take, so that a slow operator has few records queued before it, and a
//! barrier passes quickly.
//!
//! Reading order: [`batch`] (what is carried), [`codec`] (how it is encoded),
//! [`channel`] (queue and credit), [`sender`], [`receiver`], [`rate`] (how much credit), [`gate`] (a task's inputs,
//! aligned), [`output`] (a task's outputs, partitioned), [`hub`] (where a process's channels meet).

pub mod batch;
pub mod channel;
pub mod codec;
pub mod gate;
pub mod hub;
pub mod output;
pub mod rate;
pub mod receiver;
pub mod sender;
mod size;

pub use batch::{Batch, Element, Row};
pub use channel::Channel;
pub use codec::CodecError;
pub use gate::{Channels, Gate, GateEvent};
pub use hub::{Hub, LocalChannelId, Outgoing};
pub use output::{Output, OutputEdge, Partitioner, Routes};
pub use receiver::Receiver;
pub use sender::Sender;
