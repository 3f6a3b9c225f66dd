//! Derives Key for users' key types.
