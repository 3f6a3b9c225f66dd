//! The one place with unsafe code: the processor's hint that memory will be read.
//!
//! Why unsafe: without the instruction, only loads can bring lines into the cache, and a load that misses blocks
//! the processor's window until it returns; docs/design/state.md has the figures.
//!
//! Why sound: the instruction takes any address, mapped or not, and neither faults nor changes anything that a
//! program can see. The address given is one of a live slice all the same.
#![expect(unsafe_code, reason = "prefetching has no safe form")]

/// Asks for the line of `slice[index]`, if there is such an element, and does not wait for it.
#[inline]
pub(crate) fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = slice.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: see the module. SSE is part of the x86-64 baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, index);
}
