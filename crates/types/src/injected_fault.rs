//! Injected faults (failpoints), which are built in on purpose to test that the simulator finds them.
//!
//! The code at each place calls [`is_active`]. Only builds with the feature `injected-faults` contain them; in all others
//! the call is `false` at compile time. The simulator's dev-dependencies ask for the feature, so the tests of the workspace
//! are built with it, once for all; executables for users are not.

#[cfg(feature = "injected-faults")]
static ACTIVE: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Activates a fault until the process ends.
///
/// # Panics
/// If a fault is active already.
#[cfg(feature = "injected-faults")]
pub fn activate(name: &str) {
    assert!(ACTIVE.set(name.to_owned()).is_ok(), "one injected fault at a time");
}

/// Whether the fault with this name is active.
#[inline]
pub fn is_active(name: &str) -> bool {
    #[cfg(feature = "injected-faults")]
    let active = ACTIVE.get().is_some_and(|active| active == name);
    #[cfg(not(feature = "injected-faults"))]
    let active = {
        let _ = name;
        false
    };
    active
}
