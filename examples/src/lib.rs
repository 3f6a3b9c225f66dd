//! Examples live in their own binaries.
