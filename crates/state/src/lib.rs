//! Keyed and operator state, timers, snapshots, restore.
