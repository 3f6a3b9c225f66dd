//! Injected faults (failpoints), which are built in on purpose to test that the simulator finds them.
//!
//! The code at each place calls [`is_active`]. Only builds with `--cfg reflow_injected_faults` contain them; in all others
//! the call is `false` at compile time.

#[cfg(reflow_injected_faults)]
static ACTIVE: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Activates a fault until the process ends.
///
/// # Panics
/// If a fault is active already.
#[cfg(reflow_injected_faults)]
pub fn activate(name: &str) {
    assert!(ACTIVE.set(name.to_owned()).is_ok(), "one injected fault at a time");
}

/// Whether the fault with this name is active.
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
