//! Faults on purpose, to see that the simulator finds them.
//!
//! The places ask [`sings`]. Only the simulator's build with `--cfg reflow_canary` has them; in any other the answer is
//! no at compile time.

#[cfg(reflow_canary)]
static SINGING: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Turns a fault on, for as long as the process lives.
///
/// # Panics
/// If one is on already.
#[cfg(reflow_canary)]
pub fn release(name: &str) {
    assert!(SINGING.set(name.to_owned()).is_ok(), "one canary at a time");
}

/// Whether the fault of this name is on.
#[inline]
pub fn sings(name: &str) -> bool {
    #[cfg(reflow_canary)]
    let singing = SINGING.get().is_some_and(|singing| singing == name);
    #[cfg(not(reflow_canary))]
    let singing = {
        let _ = name;
        false
    };
    singing
}
