//! Pure state machines: scheduler, checkpoints, slots, restart strategies.
