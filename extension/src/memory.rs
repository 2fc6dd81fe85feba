//! What the allocator gives back to the kernel, and what it had better keep.

use std::hint::black_box;

/// How much memory may lie unused at the end of the heap: what an invocation of some hundred spans takes and leaves.
const KEPT_BYTES: usize = 2 << 20;

/// Lets the allocator keep [`KEPT_BYTES`] that were freed, where it would keep 128 KiB.
///
/// Without this each invocation of 500 spans gives half a megabyte back and takes it again, page fault by page fault: a
/// sixth of its CPU (docs/performance.md). glibc learns from the first block that it maps by itself and gets back: from
/// then on it keeps twice as much. Nothing is ever written to that block, so it costs two system calls.
///
/// # Source
/// The dynamic threshold of `M_MMAP_THRESHOLD` in mallopt(3).
pub(crate) fn keep_what_is_freed() {
    drop(black_box(Vec::<u8>::with_capacity(KEPT_BYTES / 2)));
}
