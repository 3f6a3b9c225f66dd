//! The allocator's settings, which determine when it returns memory to the system.
//!
//! State consists of many small objects that live as long as their key; an allocator that is made for that is
//! several times faster.
//!
//! By default mimalloc returns memory that has been free for a second, on the thread that allocates next. With a
//! checkpoint each second, the next checkpoint needs the same memory again. It then causes page faults within the
//! steps of a slot, each of which zeroes up to 2 MiB, and on a virtual machine the host may have to find the memory
//! first. A longer delay only makes these pauses less frequent. So an executor keeps its memory, and returns what
//! is free when it has less state than before (`GiveBack` in `crates/executor/src/watch.rs`). It does
//! so on its own thread, not on a slot's.
//!
//! Why unsafe: mimalloc is written in C. Why sound: an option is a number, which is set while there is only one
//! thread; returning memory is allowed on any thread.
#![expect(unsafe_code, reason = "mimalloc's options have no safe form")]

use libmimalloc_sys::{mi_collect, mi_option_set_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in `mimalloc.h`: milliseconds after which free memory is returned.
const PURGE_DELAY: mi_option_t = 15;
/// A month. An infinite delay would also prevent returning memory on request.
const ONLY_WHEN_ASKED: std::ffi::c_long = 30 * 24 * 60 * 60 * 1_000;

/// From now on, returns memory only on request, unless `MIMALLOC_PURGE_DELAY` is set in the environment. Must be
/// called before there are other threads.
pub(crate) fn keep_memory() {
    // SAFETY: see the module.
    unsafe { mi_option_set_default(PURGE_DELAY, ONLY_WHEN_ASKED) }
}

/// Returns the memory that is free now.
pub(crate) fn give_back() {
    // SAFETY: see the module.
    unsafe { mi_collect(true) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libmimalloc_sys::mi_option_get;
    use reflow_launch::machine;

    #[test]
    fn memory_is_kept_until_it_is_asked_for() {
        // SAFETY: see the module.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1_000, "the number of another option, or mimalloc has another default");
        keep_memory();
        assert_eq!(delay(), ONLY_WHEN_ASKED);

        const BYTES: u64 = 200 << 20;
        let before = machine::memory();
        // Like a slot, the thread allocates and continues to run.
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
