//! The processor's prefetch instruction, in one of the two files with unsafe code.
//!
//! Why it is unsafe: Rust has no safe form of the instruction. Without it, only loads can bring lines into the
//! cache, and a load that misses blocks the processor's window until it returns; docs/design/state.md has the
//! figures.
//!
//! Why it is sound: the instruction accepts any address, mapped or not; it neither faults nor changes anything
//! that a program can observe. The address is always that of an element of a live slice.
#![expect(unsafe_code, reason = "prefetching has no safe form")]

/// Requests the cache line of `slice[index]`, if there is such an element, without waiting for it.
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
