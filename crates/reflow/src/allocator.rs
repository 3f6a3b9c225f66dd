//! The allocator, and when it gives memory back to the system.
//!
//! Many small objects live as long as their key: an allocator that is made for that is worth a factor.
//!
//! By default mimalloc gives memory back that has been free for a second, on whichever thread allocates next. Of
//! a checkpoint each second, that is the memory that the next one needs again: page faults within the steps of a
//! slot, each of up to 2 MiB to be zeroed, and found first if a host lends this machine its memory. A longer delay only
//! makes these pauses rarer. So an executor keeps what it has had, and gives back what is free when it knows that it
//! holds less than before (`GiveBack` in `crates/taskmanager/src/executor/watch.rs`): on its own thread, not a slot's.
//!
//! Why unsafe: mimalloc is C. Why sound: an option is a number, which is set while there is one thread only; giving
//! back may be asked for on any thread.
#![expect(unsafe_code, reason = "mimalloc's options have no safe form")]

use libmimalloc_sys::{mi_collect, mi_option_set_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in `mimalloc.h`: milliseconds after which free memory is given back.
const PURGE_DELAY: mi_option_t = 15;
/// A month. A delay for ever would also forbid giving memory back when asked to.
const ONLY_WHEN_ASKED: std::ffi::c_long = 30 * 24 * 60 * 60 * 1_000;

/// Gives memory back only when asked to, from now on, unless `MIMALLOC_PURGE_DELAY` is in the environment. To be called
/// before there are other threads.
pub(crate) fn keep_memory() {
    // SAFETY: see the module.
    unsafe { mi_option_set_default(PURGE_DELAY, ONLY_WHEN_ASKED) }
}

/// Gives back what is free now.
pub(crate) fn give_back() {
    // SAFETY: see the module.
    unsafe { mi_collect(true) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::machine;
    use libmimalloc_sys::mi_option_get;

    #[test]
    fn memory_is_kept_until_it_is_asked_for() {
        // SAFETY: see the module.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1_000, "the number of another option, or mimalloc has another default");
        keep_memory();
        assert_eq!(delay(), ONLY_WHEN_ASKED);

        const BYTES: u64 = 200 << 20;
        let before = machine::memory();
        // As a slot does: on a thread that goes on.
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let (done, is_done) = std::sync::mpsc::channel();
        let slot = std::thread::spawn(move || {
            let held: Vec<Vec<u8>> = (0..BYTES >> 10).map(|_| vec![1; 1 << 10]).collect();
            done.send(()).unwrap();
            asked.recv().unwrap();
            drop(held);
            done.send(()).unwrap();
            let _ = asked.recv();
        });
        is_done.recv().unwrap();
        assert!(machine::memory() > before + BYTES * 9 / 10);
        ask.send(()).unwrap();
        is_done.recv().unwrap();
        give_back();
        let after = machine::memory();
        assert!(after < before + BYTES / 4, "{before} before, {after} after giving back");
        drop(ask);
        slot.join().unwrap();
    }
}
