//! Channels between subtasks: partitioning, batches, credit and alignment.
//!
//! A channel has one sender and one receiver. It carries batches of records and, in order with them, watermarks,
//! idleness signals, barriers and the end. Within a process the batch itself is passed on; between processes it
//! is encoded once and sent as a frame. *Credit* bounds what is under way: the receiver grants only as many
//! records and bytes as it consumes in a short time, so that few records are queued in front of a slow operator
//! and a barrier passes quickly.
//!
//! Reading order: [`batch`] (the elements of a channel), [`codec`] (their encoding), [`channel`] (queue and
//! credit), [`sender`], [`receiver`], [`rate`] (how much credit to grant), [`gate`] (a task's inputs, aligned),
//! [`output`] (a task's outputs, partitioned), [`hub`] (the channels of a process). Apart from channels:
//! [`bandwidth`] (how fast state is read for a live rescale).

pub mod bandwidth;
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

pub use bandwidth::Bandwidth;
pub use batch::{Batch, Element, Row};
pub use channel::Channel;
pub use codec::CodecError;
pub use gate::{Channels, Gate, GateEvent};
pub use hub::{Hub, LocalChannelId, Outgoing};
pub use output::{Output, OutputEdge, Partitioner, Routes};
pub use receiver::Receiver;
pub use sender::Sender;
