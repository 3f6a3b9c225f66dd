//! Slots, tasks, alignment, watermarks, timers, window operators.
