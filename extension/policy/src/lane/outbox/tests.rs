//! What an outbox cuts, keeps together and gives up.

use super::*;
use crate::config::BOOKKEEPING_BYTES;
use crate::entry::Content;
use crate::span::Signal;

const BOUNDS: Bounds =
    Bounds { held_bytes: 1 << 20, spooled_bytes: 0, batch_bytes: 40, batch_items: 3, in_flight: 2 };

const LANE: LaneId = LaneId::of(Signal::Traces);

fn outbox(bounds: Bounds) -> Outbox<u32> {
    Outbox::new(LANE, bounds, bounds.held_bytes)
}

fn entry(size: u32, is_precious: bool) -> Entry<u32> {
    Entry {
        signal: Signal::Traces,
        count: 1,
        size,
        is_precious,
        content: Content::Received(size),
        stamp: None,
        shared: None,
    }
}

fn at(n: u64) -> Instant {
    Instant::from_nanos(n)
}

#[test]
fn batches_are_cut_by_bytes_and_by_items() {
    let mut outbox = outbox(BOUNDS);
    for size in [10, 10, 10, 10, 25, 30] {
        outbox.push(at(0), Source::Function, entry(size, false));
    }
    outbox.seal(false);
    let sizes: Vec<_> =
        core::iter::from_fn(|| outbox.take_ready(at(0), usize::MAX)).map(|batch| batch.size).collect();
    assert_eq!(sizes, [30, 35, 30]);
}

#[test]
fn a_batch_fits_into_memory_with_its_bookkeeping() {
    let mut outbox = outbox(Bounds { held_bytes: 2 + 2 * BOOKKEEPING_BYTES, ..BOUNDS });
    for _ in 0..3 {
        outbox.push(at(0), Source::Function, entry(1, false));
    }
    outbox.seal(false);
    let parts: Vec<_> = core::iter::from_fn(|| outbox.give_oldest()).map(|batch| batch.count).collect();
    assert_eq!(parts, [2, 1]);
}

#[test]
fn only_full_batches_leave_early() {
    let mut outbox = outbox(BOUNDS);
    for _ in 0..4 {
        outbox.push(at(0), Source::Function, entry(1, false));
    }
    outbox.seal(true);
    assert_eq!(outbox.take_ready(at(0), usize::MAX).map(|batch| batch.count), Some(3));
    assert!(outbox.take_ready(at(0), usize::MAX).is_none());
    assert_eq!(outbox.held_items(), 1);
}

#[test]
fn nothing_that_is_precious_goes_before_anything_that_is_not() {
    let mut outbox = outbox(BOUNDS);
    outbox.push(at(0), Source::Function, entry(10, true));
    outbox.push(at(0), Source::Function, entry(11, false));
    outbox.seal(false);
    outbox.push(at(1), Source::Function, entry(30, true));
    outbox.push(at(2), Source::Function, entry(20, false));
    let mut gone = Vec::new();
    for only_plain in [true, false] {
        while let Some(count) = outbox.evict(only_plain) {
            gone.push((only_plain, count, outbox.held_bytes()));
        }
    }
    let held = |sizes: &[usize]| sizes.iter().map(|size| size + BOOKKEEPING_BYTES).sum::<usize>();
    let expected =
        [(true, 1, held(&[10, 30, 20])), (true, 1, held(&[10, 30])), (false, 1, held(&[30])), (false, 1, 0)];
    assert_eq!(gone, expected);
    assert_eq!(outbox.held_items(), 0);
}

#[test]
fn our_own_metrics_never_share_a_request_with_the_functions() {
    let mut outbox = outbox(BOUNDS);
    for (at_nanos, source) in [Source::Function, Source::Own, Source::Function].into_iter().enumerate() {
        outbox.push(at(at_nanos as u64), source, entry(at_nanos as u32 + 1, false));
    }
    // A killed process put two on disk, and nobody knows whose they are.
    for size in [7, 8] {
        outbox.push_apart(at(3), Source::Unknown, false, alloc::vec![entry(size, false)]);
    }
    outbox.gather();
    let requests: Vec<Vec<_>> = core::iter::from_fn(|| {
        let batch = outbox.take_ready(at(9), usize::MAX)?;
        Some(batch.entries.iter().map(|entry| entry.size).collect())
    })
    .take(4)
    .collect();
    assert_eq!(requests, [alloc::vec![1, 3], alloc::vec![2], alloc::vec![7], alloc::vec![8]]);
}

/// What one record brought: as it was sent, where the backend may have it, and else within what a request may have.
#[test]
fn what_is_apart_fits_into_its_requests_unless_it_was_one() {
    for (is_doubtful, sizes) in
        [(false, &[[10, 10, 10].as_slice(), &[10, 25, 5]][..]), (true, &[&[10, 10, 10, 10, 25, 5]])]
    {
        let mut outbox = outbox(BOUNDS);
        let entries = [10, 10, 10, 10, 25, 5].map(|size| entry(size, false));
        outbox.push_apart(at(0), Source::Unknown, is_doubtful, entries.into());
        outbox.push_apart(at(0), Source::Unknown, is_doubtful, Vec::new());
        assert_eq!(outbox.held_bytes(), 70 + 6 * BOOKKEEPING_BYTES);
        let found: Vec<Vec<u32>> = outbox
            .drain()
            .iter()
            .map(|batch| batch.entries.iter().map(|entry| entry.size).collect())
            .collect();
        assert_eq!(found, sizes, "{is_doubtful}");
    }
}

#[test]
fn a_batch_that_is_too_large_is_halved_down_to_one() {
    let mut outbox = outbox(BOUNDS);
    for _ in 0..3 {
        outbox.push(at(0), Source::Function, entry(10, false));
    }
    outbox.seal(false);
    let batch = outbox.take_ready(at(0), usize::MAX).expect("three entries are queued");
    assert!(outbox.split(batch).is_ok());
    let single = outbox.take_ready(at(0), usize::MAX).expect("the first half");
    assert_eq!(single.count, 1);
    assert!(outbox.split(single).is_err());
}

#[test]
fn what_does_not_fit_stays_for_later() {
    let mut outbox = outbox(Bounds { batch_bytes: 1 << 20, batch_items: 100, ..BOUNDS });
    for _ in 0..5 {
        outbox.push(at(0), Source::Function, entry(10_000, false));
    }
    outbox.seal(false);
    assert!(outbox.take_ready(at(0), PIECE_MIN - 1).is_none(), "not worth a request");
    let mut all = outbox.take_ready(at(0), usize::MAX).expect("all of them");
    all.attempts = 4;
    outbox.put_back(all);
    let part = outbox.take_ready(at(0), 35_000).expect("three of five fit");
    assert_eq!((part.size, part.count, part.attempts), (30_000, 3, 4));
    let rest = outbox.take_ready(at(0), usize::MAX).expect("the others");
    assert_eq!((rest.size, rest.count, rest.attempts), (20_000, 2, 4));
    assert_eq!(outbox.held_items(), 0, "both are handed out");
    outbox.put_back(rest);
    let single = outbox.take_ready(at(0), PIECE_MIN).expect("one at least");
    assert_eq!(single.count, 1);
}

#[test]
fn older_batches_are_tried_first_after_a_failure() {
    let mut outbox = outbox(BOUNDS);
    outbox.push(at(0), Source::Function, entry(1, false));
    outbox.seal(false);
    let old = outbox.take_ready(at(0), usize::MAX).expect("one is ready");
    outbox.push(at(5), Source::Function, entry(2, false));
    outbox.seal(false);
    outbox.put_back(old);
    let both = outbox.take_ready(at(5), usize::MAX).expect("two are ready, and fit into one request");
    let sizes: Vec<_> = both.entries.iter().map(|entry| entry.size).collect();
    assert_eq!((sizes, both.size, both.count), (alloc::vec![1, 2], 3, 2));
    assert!(outbox.take_ready(at(5), usize::MAX).is_none());
}

#[test]
fn what_was_sent_least_often_comes_first_and_of_those_the_oldest() {
    let mut outbox = outbox(BOUNDS);
    outbox.rotate();
    for size in [1, 2, 3] {
        outbox.push(at(size), Source::Function, entry(size as u32, false));
        outbox.seal(false);
        outbox.ready.back_mut().expect("it was just cut").is_doubtful = true;
    }
    let mut sizes = Vec::new();
    for _ in 0..5 {
        outbox.rotate();
        let mut batch = outbox.take_ready(at(9), usize::MAX).expect("one is ready");
        sizes.push(batch.size);
        batch.launches += 1;
        outbox.put_back(batch);
    }
    assert_eq!(sizes, [1, 2, 3, 1, 2]);
}

#[test]
fn a_batch_that_is_exactly_full_leaves_early() {
    for (sizes, leaves) in [([20, 20], true), ([20, 19], false)] {
        let mut outbox = outbox(BOUNDS);
        sizes.into_iter().for_each(|size| outbox.push(at(0), Source::Function, entry(size, false)));
        outbox.seal(true);
        assert_eq!(outbox.take_ready(at(0), usize::MAX).is_some(), leaves, "{sizes:?} of 40 bytes");
    }
}

#[test]
fn what_is_gathered_fits_into_a_batch_by_its_bytes_and_by_its_items() {
    for (batch_bytes, expected) in [(40, [3, 3, 1].as_slice()), (20, &[2, 2, 2, 1])] {
        let mut outbox = outbox(Bounds { batch_bytes, ..BOUNDS });
        for _ in 0..7 {
            outbox.push_apart(at(0), Source::Function, false, alloc::vec![entry(10, false)]);
        }
        outbox.gather();
        let counts: Vec<_> = core::iter::from_fn(|| outbox.give_oldest()).map(|batch| batch.count).collect();
        assert_eq!(counts, expected, "{batch_bytes} bytes");
    }
}

/// What was tried, and may be with the backend already, is no younger because a part of it had to go.
#[test]
fn what_is_left_of_a_batch_has_its_past() {
    let mut outbox = outbox(BOUNDS);
    outbox.push(at(0), Source::Function, entry(10, false));
    outbox.push(at(0), Source::Function, entry(11, true));
    outbox.seal(false);
    let batch = outbox.take_ready(at(0), usize::MAX).expect("both");
    let not_before = Some(at(50));
    outbox.put_back(Batch {
        attempts: 3,
        launches: 4,
        not_before,
        is_doubtful: true,
        was_cut_off: true,
        ..batch
    });
    assert_eq!(outbox.evict(true), Some(1));
    assert!(outbox.take_ready(at(49), usize::MAX).is_none(), "its pause goes on");
    let left = outbox.take_ready(at(50), usize::MAX).expect("the other one");
    assert_eq!((left.count, left.attempts, left.launches), (1, 3, 4));
    assert!(left.is_doubtful && left.was_cut_off);
}

/// A queue is not searched from its front again for each plain entry that is given up.
#[test]
fn many_precious_entries_before_a_plain_one_are_cut_into_a_batch() {
    const BOUND: usize = 64;
    // Precious entries, plain ones behind them, what is queued after a plain one was given up, and batches.
    for (precious, plain, queued, batches) in
        [(BOUND - 1, 2, BOUND, 0), (BOUND, 0, BOUND, 0), (BOUND, 2, 1, 1), (BOUND + 1, 0, 0, 1)]
    {
        let mut outbox = outbox(Bounds { batch_bytes: 1 << 20, batch_items: 1_000, ..BOUNDS });
        for n in 0..precious + plain {
            outbox.push(at(0), Source::Function, entry(1, n < precious));
        }
        assert_eq!(outbox.evict(true), (plain > 0).then_some(1));
        let lengths = (outbox.queues[0].entries().len(), outbox.ready.len());
        assert_eq!(lengths, (queued, batches), "{precious} precious, {plain} plain");
    }
}
