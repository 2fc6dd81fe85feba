//! The memory that requests under way may take together: from their first byte until policy holds them, or they are refused.

use std::sync::atomic::{AtomicUsize, Ordering};

/// All requests together may take so many times the longest body that is allowed.
const BODIES: usize = 2;
/// One request may take so many times what it leaves for all others: alone three quarters of all, which is the longest
/// body with what it was unpacked from or is converted to.
const SHARES: usize = 3;

/// What all requests of this process take. One process has one memory, whatever listens in it.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// There is no room for more of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Not even if it were alone.
    Ever,
    /// While others are received.
    Now,
}

/// What one request takes. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    taken: &'static AtomicUsize,
    max: usize,
    bytes: usize,
}

impl Share {
    /// Nothing yet, of a memory that is sized by the longest body allowed.
    pub(super) fn new(max_body: usize) -> Self {
        Self::of(&TAKEN, max_body)
    }

    const fn of(taken: &'static AtomicUsize, max_body: usize) -> Self {
        Self { taken, max: max_body.saturating_mul(BODIES), bytes: 0 }
    }

    /// Takes `more` bytes.
    ///
    /// A request may take three times what it leaves for all others. So there is always room for a short one, however many
    /// long ones have stalled, and nobody has to be thrown out.
    ///
    /// # Errors
    /// When that is more than there is.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), Full> {
        let own = self.bytes.saturating_add(more);
        if own > self.alone() {
            return Err(Full::Ever);
        }
        let fits = |taken: usize| {
            let all = taken.saturating_add(more);
            (own <= SHARES * self.max.saturating_sub(all)).then_some(all)
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Full::Now)?;
        self.bytes = own;
        Ok(())
    }

    /// Takes what `length` bytes are copied to while they are searched, should something in them change: as much of it as
    /// there would be, were the request alone. Only one request is searched at a time, so that no more than one copy of
    /// the longest body comes on top.
    ///
    /// # Errors
    /// While others take it.
    pub(super) fn make_room_for_copy(&mut self, length: usize) -> Result<(), Full> {
        self.shrink_to(length);
        self.grow(length.min(self.room()))
    }

    /// How much more it could take, were it alone.
    pub(super) const fn room(&self) -> usize {
        self.alone().saturating_sub(self.bytes)
    }

    const fn alone(&self) -> usize {
        self.max / (SHARES + 1) * SHARES
    }

    /// Gives back all but `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.taken.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_stall_leave_room_for_short_ones() {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let mut stalled = Vec::new();
        for _ in 0..50 {
            let mut share = Share::of(&TAKEN, 1 << 20);
            while share.grow(1 << 10).is_ok() {}
            stalled.push(share);
        }
        assert!(TAKEN.load(Ordering::Relaxed) <= 2 << 20);
        assert!(Share::of(&TAKEN, 1 << 20).grow(1 << 8).is_ok(), "a short one passes");
        assert_eq!(Share::of(&TAKEN, 1 << 20).grow(1 << 20), Err(Full::Now));
        drop(stalled);
        assert_eq!(TAKEN.load(Ordering::Relaxed), 0);
        assert_eq!(Share::of(&TAKEN, 1 << 20).grow((3 << 19) + 1), Err(Full::Ever));
        assert_eq!(Share::of(&TAKEN, 1 << 20).grow(3 << 19), Ok(()), "alone it passes");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let mut share = Share::of(&TAKEN, 100);
        assert_eq!((share.grow(110), share.grow(41)), (Ok(()), Err(Full::Ever)));
        share.shrink_to(10);
        assert_eq!((share.grow(41), share.room()), (Ok(()), 99));
    }
}
