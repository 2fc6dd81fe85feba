//! One story for every place that a binary must work in: it registers, takes spans, delivers them, and leaves.

use std::time::Duration;

use prost::Message;
use tests::collector::Collector;
use tests::http1::Headers;
use tests::otlp::{Ids, server_span, traces};
use tests::platform::{Invoke, Platform, Script};

/// Longer than the story lasts under an emulator.
const LONG: Duration = Duration::from_secs(60);

/// Plays it with the extension that `script` starts; the backend is plain HTTP on this machine.
///
/// # Panics
/// When anything is not as it should be.
pub(super) fn play(script: Script) {
    let backend = Collector::start();
    let platform = Platform::ready(&script.env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", backend.endpoint()));
    for (request_id, seed) in [("r-1", 1), ("r-2", 2)] {
        invoke(&platform, request_id, seed);
        backend.expect(request_id, |state| state.has_span(request_id));
    }
    let summary = close(&platform);
    assert_eq!((&summary["received"], &summary["exported"]), (&2.into(), &2.into()), "{summary}");
}

/// An invocation that sends one span, up to the next `/next`.
pub(super) fn invoke(platform: &Platform, request_id: &str, seed: u64) {
    platform.answer_next(&Invoke::new(request_id, LONG));
    let request = traces([server_span(request_id, Ids::new(seed), request_id)]);
    let protobuf = Headers::from([("Content-Type", "application/x-protobuf")]);
    let answer = platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf);
    assert_eq!(answer.status, 200, "the answer to spans");
    platform.wait_next();
}

/// SHUTDOWN, and the books that the extension closed with.
pub(super) fn close(platform: &Platform) -> serde_json::Value {
    platform.spin_down();
    platform.log("summary").remove(0)
}
