//! When a connection is opened ahead, and when the old ones are forgotten.

use policy::{
    Agent, Config, Duration, InitType, Input, Instant, Invoke, Output, Shutdown, ShutdownReason, UnixNanos,
};

/// What an agent that waits says to an event after `waited`, as far as it is about connections.
fn after(waited: Duration, event: impl FnOnce(Duration) -> Input<()>) -> Vec<&'static str> {
    after_in(Config::default(), waited, event)
}

fn after_in(
    config: Config,
    waited: Duration,
    event: impl FnOnce(Duration) -> Input<()>,
) -> Vec<&'static str> {
    let mut agent = Agent::<()>::new(config);
    agent.handle(Instant::from_nanos(0), Input::Ready);
    connections(&mut agent);
    agent.handle(Instant::from_nanos(0) + waited, event(waited));
    connections(&mut agent)
}

fn connections(agent: &mut Agent<()>) -> Vec<&'static str> {
    let outputs = std::iter::from_fn(|| agent.poll());
    outputs
        .filter_map(|output| match output {
            Output::Next => Some("next"),
            Output::Connect(lane) if lane.signal == policy::Signal::Traces => Some("connect"),
            Output::Reconnect => Some("reconnect"),
            _ => None,
        })
        .collect()
}

fn invoke(waited: Duration) -> Input<()> {
    Input::Invoke(Invoke {
        request_id: "request-1".into(),
        deadline: Instant::from_nanos(0) + waited + Duration::from_secs(60),
        deadline_at: UnixNanos(0),
        received_at: UnixNanos(0),
        arn: "".into(),
        xray: None,
        waited,
    })
}

fn shutdown(waited: Duration) -> Input<()> {
    Input::Shutdown(Shutdown {
        reason: ShutdownReason::Spindown,
        deadline: Instant::from_nanos(0) + waited + Duration::from_secs(2),
        received_at: UnixNanos(0),
        waited,
    })
}

#[test]
fn connections_are_opened_when_the_platform_has_been_asked() {
    let mut agent = Agent::<()>::new(Config::default());
    agent.handle(Instant::from_nanos(0), Input::Ready);
    assert_eq!(connections(&mut agent), ["next", "connect"]);
}

#[test]
fn what_was_open_is_trusted_after_a_short_wait_only() {
    let gap = Config::default().thaw_gap;
    assert_eq!(after(gap - Duration::from_nanos(1), invoke), [""; 0]);
    assert_eq!(after(gap, invoke), ["reconnect", "connect"]);
}

#[test]
fn a_snapshot_holds_no_connection_and_a_restored_environment_trusts_none() {
    let config = || Config { init_type: InitType::SnapStart, ..Config::default() };
    let mut agent = Agent::<()>::new(config());
    agent.handle(Instant::from_nanos(0), Input::Ready);
    assert_eq!(connections(&mut agent), ["next"]);
    // On another host, the clocks may say that no time has passed.
    assert_eq!(after_in(config(), Duration::ZERO, invoke), ["reconnect", "connect"]);
}

#[test]
fn nothing_is_opened_ahead_of_the_end() {
    assert_eq!(after(Duration::from_secs(3_600), shutdown), ["reconnect"]);
}
