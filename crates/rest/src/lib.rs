//! Flink's monitoring REST API, and the status page.
