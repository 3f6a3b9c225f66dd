//! What may flow between tasks.

use serde::{Serialize, de::DeserializeOwned};

/// A type that may cross from one task to another, and so between processes. Implemented for all that can be
/// serialized; within a process records are handed over as they are.
pub trait Data: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Data for T {}
