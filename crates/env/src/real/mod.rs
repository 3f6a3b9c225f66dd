//! The driver on real threads, sockets, object stores and child processes.
//!
//! A process is driven on the thread that calls [`run`]: it takes one input after another from its inbox and
//! carries out the outputs in order. A tokio runtime with few threads does sockets, storage and child processes
//! and puts what happens into the inbox; slots run on threads of their own. Nothing here decides anything:
//! whatever can go wrong outside becomes an [`Input`](crate::Input).
//!
//! Every queue is bounded. What a peer sends waits in the socket once its share of the inbox is used up
//! ([`Options::read_bytes`]), so that a slow process pushes back on its peers; what is sent to a peer that does
//! not read is bounded per connection ([`Options::write_bytes`]), and then the connection is closed.
//!
//! Reading order: `driver` (the loop), `exit`, `alive`, `options`, `clock`, `inbox`, `connection`, `silence`, `tls`, `newcomers`, `outlet`, `descriptors`, `storage`, `calls`, `child`, `parent`
//! (the child's side), `slot`, `interrupt`, and, apart, `init` (a process that only starts another) and `probes`.

mod alive;
mod calls;
mod child;
mod clock;
mod connection;
mod descriptors;
mod driver;
mod exit;
mod inbox;
mod init;
mod interrupt;
mod newcomers;
mod options;
mod outlet;
mod parent;
mod probes;
mod silence;
mod slot;
mod storage;
#[cfg(feature = "tls")]
mod tls;

pub use clock::Clock;
pub use descriptors::{descriptor_limit, raise_descriptor_limit};
pub use driver::{Handle, run, spawn};
pub use exit::Exit;
pub use init::{is_first_process, run_as_first_process};
pub use interrupt::Interrupts;
pub use options::{ChildFactory, ChildMode, Options};
pub use parent::{end_when_stdin_closes, read_stdin};
pub use probes::{Probed, serve_probes};
pub use storage::{BlockingStorage, HttpsClients, Storage, StorageOptions};
#[cfg(feature = "tls")]
pub use tls::{
    Clients, ExternalTls, ExternalTlsFiles, Identity, Tls, TlsClient, TlsClientFiles, TlsError, TlsFiles,
    TlsServer, TlsServerFiles,
};
