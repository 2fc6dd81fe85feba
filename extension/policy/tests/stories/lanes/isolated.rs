//! What a lane has, whatever the others do: room, the disk, and a window beside the handler.

use super::*;

/// The traces are well and keep within their share, with those that wait to be judged. An ill lane holds the rest of memory.
#[test]
fn an_ill_lane_gives_room_before_spans_that_wait_to_be_judged() {
    for ill in [Signal::Metrics, Signal::Logs] {
        let bounds = Bounds { held_bytes: 12_000, ..Config::default().bounds };
        let sampling = share(0.5);
        let mut world = World::new(Config { bounds, sampling, spool: SpoolMode::Off, ..Config::default() });
        world.fall_ill(ill);
        world.invoke();
        world.send(ill, &[500; 16]);
        world.send(Signal::Traces, &[100; 4]);
        let [spans, others] = [Signal::Traces, ill]
            .map(|signal| world.agent.ledger().of(signal).dropped_for(DropReason::OutboxFull));
        assert!(spans == 0 && others > 0, "{ill:?}: {spans} spans and {others} others had to go");
    }
}

/// What is queued may be larger than a batch of several.
#[test]
fn no_more_is_put_on_disk_than_may_be_however_large_the_pieces_are() {
    let bounds =
        Bounds { held_bytes: 7_000, spooled_bytes: 10_000, batch_bytes: 1_000, ..Config::default().bounds };
    let mut world = World::new(Config { bounds, spool: SpoolMode::Always, ..Config::default() });
    world.fall_ill(Signal::Metrics);
    world.invoke();
    for _ in 0..5 {
        world.send(Signal::Metrics, &[6_000]);
        let on_disk: u32 = world.disk.values().flat_map(|(_, record)| record).map(|(_, size)| size).sum();
        assert!(on_disk as usize <= bounds.spooled_bytes, "{on_disk} bytes");
    }
    assert!(!world.disk.is_empty());
}

/// Nothing holds an invocation, and none of its ends is awaited: metrics and logs leave beside its handler all the same.
#[test]
fn where_next_is_asked_early_metrics_and_logs_leave_beside_the_handler() {
    for signal in [Signal::Metrics, Signal::Logs] {
        let mut world = World::with(Config { flush: FlushMode::Continuous, ..Config::default() });
        world.invoke();
        world.tell_done(1);
        assert!(world.is_asked_early());
        world.send(signal, &[100]);
        assert!(world.is_asked_early(), "of the invocation before, nothing was told yet");
        assert_eq!(world.flying()[signal as usize], 1, "{signal:?}");
    }
}

/// The backend hangs, and no flush ever begins.
#[test]
fn where_next_is_asked_early_a_request_without_an_answer_is_given_up() {
    let mut world = World::with(Config { flush: FlushMode::Continuous, ..Config::default() });
    world.invoke();
    world.send(Signal::Metrics, &[100]);
    world.tell_done(1);
    let mut under_way = None;
    for number in 2..12 {
        assert!(world.is_asked_early(), "{number}");
        let now = world.flying.iter().map(|(id, _)| id.number).min();
        if under_way.is_some() && now != under_way {
            return;
        }
        under_way = now;
        world.tell_done(number);
    }
    panic!("{under_way:?} is under way for ever");
}
