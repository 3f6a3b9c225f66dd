//! The time of the world.

/// A moment of the world: microseconds since the Unix epoch.
pub type Time = u64;

/// When the world begins.
pub const BEGIN: Time = 1_800_000_000_000_000;
