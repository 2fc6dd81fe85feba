//! A backend that takes data slowly: what fits into the time of a flush is sent in it, and the rest later.

use std::time::Duration;

use tests::collector::Answer;
use tests::otlp::Ids;

use super::world::{World, server_span, span};

/// Bytes a second, as they come over the wire: some 70 kB a second before compression.
const PACE: f64 = 2_500.0;

/// `kilobytes` spans of about a kilobyte, and the one that ends the invocation; up to the next `/next`.
fn invoke(world: &World, name: &str, seed: u64, kilobytes: u64) {
    world.invoke(name);
    let long = format!("{name} {}", "x".repeat(900));
    let root = Ids::new(seed);
    let mut spans: Vec<_> = (1..=kilobytes).map(|number| span(&long, root.sibling(number))).collect();
    spans.push(server_span(name, root, name));
    world.post_spans(spans);
    world.platform.wait_next();
}

fn arrived(world: &World, name: &str) -> usize {
    world.collector.spans().iter().filter(|seen| seen.span.name.starts_with(&format!("{name} "))).count()
}

#[test]
fn what_fits_is_sent_in_time_and_the_rest_later() {
    let world = World::with(|script| script.env("PREFREEZE_FLUSH", "end"));
    world.collector.always_with(|request| {
        let size = request.headers.get("content-length").and_then(|text| text.parse().ok());
        Answer::after(Duration::from_secs_f64(size.unwrap_or(0.0) / PACE))
    });
    invoke(&world, "first", 1, 0);
    invoke(&world, "learns", 2, 40);
    // Two seconds of it, and a flush lasts one at the most.
    invoke(&world, "much", 3, 200);
    let state = world.collector.state();
    let is_answered = |number: usize| state.requests[number].status.is_some();
    assert!((0..state.requests.len()).all(is_answered), "something is under way:\n{state}");
    let in_time = arrived(&world, "much");
    assert!((20..200).contains(&in_time), "{in_time} of 200 in time:\n{state}");
    world.collector.always(Answer::ok());
    invoke(&world, "last", 4, 0);
    let summary = world.close();
    assert_eq!((arrived(&world, "learns"), arrived(&world, "much")), (40, 200));
    assert_eq!(summary.dropped(), 0);
}
