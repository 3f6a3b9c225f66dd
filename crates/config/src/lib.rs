//! Every option: key, type, default, doc, Flink aliases.
