//! The seam to the outside world: clock, transport, storage, processes.
