//! What is to change in a request: stretches and what takes their place, made good in one pass.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// One stretch of the request and its replacement in [`Edits::with`]. Four bytes per number: a request is bounded far
/// below 4 GiB, and a hostile one has an edit for every dozen bytes.
#[derive(Clone, Copy, Debug)]
struct Edit {
    old: (u32, u32),
    new: (u32, u32),
}

fn narrow(range: &Range<usize>) -> (u32, u32) {
    let narrow = |at: usize| u32::try_from(at).expect("a request is bounded far below 4 GiB");
    (narrow(range.start), narrow(range.end))
}

const fn wide(range: (u32, u32)) -> Range<usize> {
    range.0 as usize..range.1 as usize
}

/// Changes of one request at most: each takes sixteen bytes beside what takes the place of something, and a hostile request
/// has three for seven of its own. A request of 16 MiB whose values are all hidden has more only where they are shorter than
/// twenty bytes.
pub(crate) const EDITS_MAX: usize = 1 << 20;

/// Changes in the order of their places, none overlapping another.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    edits: Vec<Edit>,
    /// All replacements, one after the other.
    with: Vec<u8>,
}

impl Edits {
    pub(crate) const fn len(&self) -> usize {
        self.edits.len()
    }

    /// Replaces `old`; says by how much that lengthens the request.
    ///
    /// The place among the other edits follows from `old` alone: behind every edit that ends where it begins, or before.
    /// So an empty stretch, whose value is replaced, stands before the field that begins at the same byte.
    pub(crate) fn put(&mut self, old: Range<usize>, new: &[u8]) -> isize {
        let delta = new.len().cast_signed() - old.len().cast_signed();
        let start = self.with.len();
        self.with.extend_from_slice(new);
        let edit = Edit { old: narrow(&old), new: narrow(&(start..self.with.len())) };
        // Nearly every edit comes in order.
        let is_last = self.edits.last().is_none_or(|last| last.old.1 <= edit.old.0);
        let index = if is_last {
            self.edits.len()
        } else {
            self.edits.partition_point(|other| other.old.1 <= edit.old.0)
        };
        debug_assert!(
            self.edits.get(index).is_none_or(|next| edit.old.1 <= next.old.0),
            "two edits of one stretch"
        );
        self.edits.insert(index, edit);
        delta
    }

    /// `within` of `bytes` with the changes from the `mark`th on, all of which lie in it.
    pub(crate) fn applied_since(&self, mark: usize, bytes: &[u8], within: &Range<usize>) -> Vec<u8> {
        let mut out = Vec::with_capacity(within.len() + self.with.len());
        let mut done = within.start;
        for edit in &self.edits[mark..] {
            let old = wide(edit.old);
            out.extend_from_slice(&bytes[done..old.start]);
            out.extend_from_slice(&self.with[wide(edit.new)]);
            done = old.end;
        }
        out.extend_from_slice(&bytes[done..within.end]);
        out
    }

    /// Takes back the changes from the `mark`th on.
    pub(crate) fn truncate(&mut self, mark: usize) {
        // They are the last that were put, in whatever order.
        let first = self.edits[mark..].iter().map(|edit| edit.new.0 as usize).min();
        self.with.truncate(first.unwrap_or(self.with.len()));
        self.edits.truncate(mark);
    }

    /// The request with all changes: the same bytes when there are none, patched where it lies when no length
    /// changes and nobody else holds it, and copied once otherwise.
    pub(crate) fn apply(&self, bytes: Bytes) -> Bytes {
        if self.edits.is_empty() {
            return bytes;
        }
        if self.edits.iter().all(|edit| wide(edit.old).len() == wide(edit.new).len()) {
            let mut patched = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            for edit in &self.edits {
                patched[wide(edit.old)].copy_from_slice(&self.with[wide(edit.new)]);
            }
            return patched.freeze();
        }
        let mut out = self.applied_since(0, &bytes, &(0..bytes.len()));
        // Kept for as long as a backend is down: what was reserved and not used is given back.
        out.shrink_to_fit();
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_length_is_patched_in_place() {
        let bytes = Bytes::from(b"one two".to_vec());
        let place = bytes.as_ptr();
        let mut edits = Edits::default();
        assert_eq!(edits.put(4..7, b"***"), 0);
        let patched = edits.apply(bytes);
        assert_eq!((&patched[..], patched.as_ptr()), (&b"one ***"[..], place));
    }

    #[test]
    fn what_others_hold_is_copied() {
        let bytes = Bytes::from(b"one two".to_vec());
        let mut edits = Edits::default();
        edits.put(0..3, b"***");
        let patched = edits.apply(bytes.clone());
        assert_eq!((&patched[..], &bytes[..]), (&b"*** two"[..], &b"one two"[..]));
    }

    #[test]
    fn lengths_may_change_and_order_does_not_matter() {
        let mut edits = Edits::default();
        edits.put(4..7, b"");
        assert_eq!(edits.put(0..3, b"three"), 2);
        assert_eq!(&edits.apply(Bytes::from_static(b"one two"))[..], b"three ");
    }
}
