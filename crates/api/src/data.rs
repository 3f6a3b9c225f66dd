//! Types of records.

use serde::{Serialize, de::DeserializeOwned};

/// A type whose records may go from one task to another, and so between processes. Implemented for all types that
/// can be serialized; within a process records are passed without serialization.
pub trait Data: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Data for T {}
