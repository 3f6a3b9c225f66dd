//! The real driver: threads, TCP, object stores, child processes.
