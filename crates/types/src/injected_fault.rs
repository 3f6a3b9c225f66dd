//! Faults on purpose, to see that the simulator finds them.
//!
//! The places ask [`is_active`]. Only the simulator's build with `--cfg reflow_injected_faults` has them; in any other the answer is
//! no at compile time.

#[cfg(reflow_injected_faults)]
static ACTIVE: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Turns a fault on, for as long as the process lives.
///
/// # Panics
/// If one is on already.
#[cfg(reflow_injected_faults)]
pub fn activate(name: &str) {
    assert!(ACTIVE.set(name.to_owned()).is_ok(), "one injected fault at a time");
}

/// Whether the fault of this name is on.
#[inline]
pub fn is_active(name: &str) -> bool {
    #[cfg(reflow_injected_faults)]
    let active = ACTIVE.get().is_some_and(|active| active == name);
    #[cfg(not(reflow_injected_faults))]
    let active = {
        let _ = name;
        false
    };
    active
}
