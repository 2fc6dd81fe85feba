//! SHUTDOWN: how long the platform's last words are waited for, and what then leaves.

use policy::{EndStatus, Input, Instant, Output, ShutdownReason, UnixNanos};

use crate::story::{MS, Story, on_demand};

/// After how many milliseconds the shell is asked for the last of what it has, with a backend that answers at once.
fn closes_after(mut story: Story, reason: ShutdownReason) -> u64 {
    let began = story.now;
    let shutdown = policy::Shutdown {
        reason,
        deadline: Instant::from_nanos(began) + policy::Duration::from_secs(2),
        received_at: UnixNanos(began),
        waited: policy::Duration::ZERO,
    };
    let mut inputs = vec![Input::Shutdown(shutdown)];
    loop {
        for input in std::mem::take(&mut inputs) {
            story.agent.handle(Instant::from_nanos(story.now), input);
            while let Some(output) = story.agent.poll() {
                match output {
                    Output::Close => return (story.now - began) / MS,
                    Output::Export { id, .. } => {
                        let outcome = policy::Outcome::Delivered { rejected: 0 };
                        inputs.push(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
                    }
                    _ => {}
                }
            }
        }
        if inputs.is_empty() {
            story.now = story.agent.deadline().expect("it has not ended").as_nanos().max(story.now);
            inputs.push(Input::Tick);
        }
    }
}

#[test]
fn the_platforms_last_words_are_waited_for_where_there_may_be_any() {
    let none = on_demand;
    let open = || {
        let mut story = on_demand();
        story.invoke();
        story
    };
    let explained = || {
        let mut story = open();
        let request_id = story.request_id();
        story.hear(Input::Receiving);
        story.tell_done(&request_id, 2, EndStatus::Timeout, None);
        story.hear(Input::Received(policy::Receipt::EMPTY));
        story.answer();
        story
    };
    let named = || {
        let mut story = on_demand();
        story.tell_start("r-0", 1);
        story.tell_done("r-0", 2, EndStatus::Error, Some("Runtime.ExitError"));
        story
    };
    let receiving = || {
        let mut story = on_demand();
        story.hear(Input::Receiving);
        story
    };
    let rows: [(&str, Story, ShutdownReason, u64); 8] = [
        ("nothing ran", none(), ShutdownReason::Spindown, 0),
        (
            "its runtime may have died in an invocation that nobody told of",
            none(),
            ShutdownReason::Failure,
            200,
        ),
        ("the same", none(), ShutdownReason::Timeout, 200),
        ("that one was told of", named(), ShutdownReason::Failure, 0),
        ("one is open", open(), ShutdownReason::Spindown, 200),
        ("one is open, and cut off", open(), ShutdownReason::Timeout, 200),
        ("its end is known", explained(), ShutdownReason::Timeout, 0),
        ("a request is on its way to us", receiving(), ShutdownReason::Spindown, 200),
    ];
    for (what, story, reason, after) in rows {
        assert_eq!(closes_after(story, reason), after, "{what}, {reason:?}");
    }
}
