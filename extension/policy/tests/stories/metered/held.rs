//! For how long Prefreeze has held an invocation, as its metrics report it.

use super::*;

#[test]
fn an_invocation_is_held_from_its_end_to_next_whatever_its_span_claims() {
    // The end that the function's own span claims, in ms; and for how long the invocation was held. INVOKE is read at
    // 5,000, the span at 5,030, and the backend answers at 5,040.
    for (end, held) in
        [(5_010, 30), (5_030, 10), (6_000, 10), (4_500, 540), (4_000, 1_040), (3_999, 10), (0, 10)]
    {
        let mut life = Metered::new(Config::default());
        life.now = 5_000;
        life.invoke("r-1");
        life.now = 5_030;
        let start = UnixNanos(end.min(5_000) * MS);
        let own = Span {
            kind: Kind::Server,
            start,
            end: UnixNanos(end * MS),
            ..made::span([1; 8], Some("r-1"), 100, ())
        };
        life.hear(Input::Receiving);
        life.hear(Input::Received(Receipt { spans: vec![own], parcels: Vec::new() }));
        life.pass(10);
        life.answer_all();
        assert_eq!(life.agent.ledger().held, Duration::from_millis(held), "it claims {end}");
        // What the platform tells later changes nothing.
        life.hear(done("r-1", 5_001));
        assert_eq!(life.agent.ledger().held, Duration::from_millis(held));
    }
}

#[test]
fn an_end_that_is_told_after_next_counts_all_the_same() {
    // When the platform says that it ended, and for how long it was held then: /next was asked at 64,500.
    for (request_id, end, held) in [
        ("r-1", 64_000, 500),
        ("r-1", 64_500, 0),
        ("r-2", 64_000, 0),
        ("r-1", 4_000, 60_500),
        // So long before INVOKE ended an earlier try.
        ("r-1", 3_999, 0),
    ] {
        let mut life = Metered::new(Config::default());
        life.now = 5_000;
        life.invoke("r-1");
        life.pass(59_500);
        assert_eq!(
            life.agent.phase(),
            policy::Phase::Waiting,
            "nothing was heard until its deadline less the margin"
        );
        assert_eq!(life.agent.ledger().held, Duration::ZERO);
        life.hear(done(request_id, end));
        assert_eq!(life.agent.ledger().held, Duration::from_millis(held), "{request_id} ended at {end}");
    }
}

/// The end of a first try is told in its retry, and nothing of the end of that one, which is given up in time.
#[test]
fn the_end_of_a_first_try_is_no_time_for_which_its_retry_was_held() {
    for is_told in [false, true] {
        let mut life = Metered::new(Config::default());
        life.now = 1_000;
        life.invoke("r-1");
        life.now += 5;
        life.send(1, "r-1", 0);
        life.answer_all();
        life.now += 60_000;
        life.invoke("r-1");
        if is_told {
            life.hear(done("r-1", 1_005));
        }
        life.pass(59_600);
        assert_eq!(life.agent.phase(), policy::Phase::Waiting, "it was given up");
        assert_eq!(life.agent.ledger().held, Duration::ZERO, "told: {is_told}");
    }
}

/// Its span claims an end before `/next` was asked after the invocation before: it cannot have been held for longer than that.
#[test]
fn an_invocation_is_not_held_before_the_one_before_it_is_over() {
    let mut life = Metered::new(Config::default());
    life.now = 4_695;
    life.invoke("r-0");
    life.now = 4_700;
    life.send(1, "r-0", 0);
    life.answer_all();
    life.now = 5_000;
    life.invoke("r-1");
    life.now = 5_030;
    let own = Span {
        kind: Kind::Server,
        start: UnixNanos(4_400 * MS),
        end: UnixNanos(4_500 * MS),
        ..made::span([2; 8], Some("r-1"), 100, ())
    };
    life.hear(Input::Receiving);
    life.hear(Input::Received(Receipt { spans: vec![own], parcels: Vec::new() }));
    life.pass(10);
    life.answer_all();
    assert_eq!(life.agent.ledger().held, Duration::from_millis(340), "since 4,700");
}
