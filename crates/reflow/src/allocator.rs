//! The allocator, and that it keeps what it has got from the system.
//!
//! Many small objects live as long as their key: an allocator that is made for that is worth a factor.
//!
//! By default mimalloc gives memory back that has been free for a second, on whichever thread allocates next. Of
//! a checkpoint each second, that is the memory that the next one needs again: page faults within the steps of a
//! slot, each of up to 2 MiB to be zeroed, and found first if a host lends this machine its memory. An executor
//! comes to need the same memory again with each checkpoint, so it keeps what it has had; its use is bounded by
//! its highest so far.
//!
//! Why unsafe: mimalloc is C. Why sound: an option is a number, which is set while there is one thread only.
#![expect(unsafe_code, reason = "mimalloc's options have no safe form")]

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in `mimalloc.h`: milliseconds after which free memory is given back.
const PURGE_DELAY: mi_option_t = 15;
/// A delay for ever.
const NEVER: std::ffi::c_long = -1;

/// Gives no memory back from now on, unless `MIMALLOC_PURGE_DELAY` is in the environment. To be called before
/// there are other threads.
pub(crate) fn keep_memory() {
    // SAFETY: see the module.
    unsafe { mi_option_set_default(PURGE_DELAY, NEVER) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libmimalloc_sys::mi_option_get;

    #[test]
    fn memory_is_kept() {
        // SAFETY: see the module.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1_000, "the number of another option, or mimalloc has another default");
        keep_memory();
        assert_eq!(delay(), NEVER);
    }
}
