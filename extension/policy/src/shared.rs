//! What several lanes hold one copy of: how many of them do, so that its bytes count once.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

/// One copy that several lanes hold, each with bookkeeping of its own.
#[derive(Debug)]
pub struct Shared {
    /// Encoded bytes of it.
    size: usize,
    /// Lanes that hold it. Clones of an entry within one lane are one holder.
    holders: AtomicUsize,
}

impl Shared {
    /// Nobody holds it yet.
    pub(crate) fn new(size: u32) -> Arc<Self> {
        Arc::new(Self { size: size as usize, holders: AtomicUsize::new(0) })
    }
}

/// Bytes that count twice in the sum over all lanes, because several hold them; clones are the same.
///
/// Policy is asked by one thread, in a fixed order: the atomics are there to be shared, and decide nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Twice(Arc<AtomicUsize>);

impl Twice {
    /// How many.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A lane holds `shared` from now on.
    pub(crate) fn hold(&self, shared: &Shared) {
        if shared.holders.fetch_add(1, Ordering::Relaxed) > 0 {
            self.0.fetch_add(shared.size, Ordering::Relaxed);
        }
    }

    /// A lane lets go of it.
    pub(crate) fn let_go(&self, shared: &Shared) {
        if shared.holders.fetch_sub(1, Ordering::Relaxed) > 1 {
            self.0.fetch_sub(shared.size, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_one_copy_count_twice_while_two_lanes_hold_it() {
        let (twice, [one, other]) = (Twice::default(), [Shared::new(100), Shared::new(7)]);
        for (shared, is_held, expected) in [
            (&one, true, 0),
            (&other, true, 0),
            (&one, true, 100),
            (&one, true, 200),
            (&other, false, 200),
            (&one, false, 100),
            (&one, false, 0),
            (&one, false, 0),
            (&one, true, 0),
        ] {
            if is_held {
                twice.hold(shared);
            } else {
                twice.let_go(shared);
            }
            assert_eq!(twice.clone().bytes(), expected);
        }
    }
}
