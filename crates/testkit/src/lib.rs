//! The operator harness: snapshot, repartition, restore.
