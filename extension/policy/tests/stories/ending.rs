//! SHUTDOWN: how long the platform's last words are waited for, and what then leaves.

use policy::{EndStatus, Input, Instant, Output, ShutdownReason, UnixNanos};

use crate::story::{MS, Story, on_demand};

const DELIVERED: policy::Outcome = policy::Outcome::Delivered { rejected: 0 };

/// After how many milliseconds the shell is asked for the last of what it has, with a backend that answers so at once.
fn closes_after(mut story: Story, reason: ShutdownReason, outcome: policy::Outcome) -> u64 {
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
        assert_eq!(closes_after(story, reason, DELIVERED), after, "{what}, {reason:?}");
    }
}

#[test]
fn nothing_is_waited_for_that_the_backend_does_not_want_before_the_end() {
    // What the backend asks for, and when the environment ends: at once, or when it had its second try.
    for (pause, after) in [(Some(60_000), 0), (Some(1_799), 1_799), (Some(1_800), 0)] {
        let mut story = on_demand();
        story.invoke();
        let request_id = story.request_id();
        story.send(Some(&request_id));
        story.answer();
        story.send(None);
        let outcome = policy::Outcome::Retry { after: pause.map(policy::Duration::from_millis) };
        assert_eq!(closes_after(story, ShutdownReason::Spindown, outcome), after, "{pause:?}");
    }
}
