//! Process functions (stub until timers are there).
pub struct Process;
