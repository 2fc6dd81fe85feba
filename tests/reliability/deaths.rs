//! Functions that die, or never begin, without having sent anything: what the backend has of them in the end.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use sandbox::{FunctionSpec, ShutdownReason};
use tests::collector::SpanSeen;

use super::play::{caller, event};
use super::stage::{self, Stage};

/// How a function ends, and what is to be said of it.
struct Death {
    send: &'static str,
    end: &'static str,
    shape: fn(&mut FunctionSpec),
    /// What its caller sees, which is the platform's word for it.
    caller: &'static str,
    error_type: &'static str,
}

const USUAL: fn(&mut FunctionSpec) = |_| {};

fn all() -> Vec<Death> {
    let dies = |send, end, caller| Death { send, end, shape: USUAL, caller, error_type: caller };
    let timeout = |send| Death {
        shape: |spec| spec.timeout = Duration::from_secs(1),
        error_type: "timeout",
        ..dies(send, "hang", "Sandbox.Timedout")
    };
    let memory = |send| Death {
        shape: |spec| (spec.faults.enforces_memory, spec.memory_mb) = (true, 256),
        ..dies(send, "grow", "Runtime.OutOfMemory")
    };
    let init = Death {
        shape: |spec| stage::fail_every_init(spec),
        ..dies("nothing", "respond", "Runtime.ExitError")
    };
    let mut all = vec![init];
    for send in ["nothing", "child"] {
        all.push(timeout(send));
        all.push(memory(send));
        for end in ["exit", "exit0", "abort", "forget"] {
            all.push(dies(send, end, "Runtime.ExitError"));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_death_is_told_truly_even_when_the_function_sent_nothing() {
    for death in all() {
        let Death { send, end, shape, caller: expected, error_type } = death;
        let stage = Stage::set(2_000, shape).await;
        let (outcome, record) = stage.invoke(&event("dead", 1, send, end)).await;
        let story = || format!("{send}, {end}\n{}", stage.timeline());
        assert_eq!(caller(&outcome), expected, "{}", story());
        stage.strike(ShutdownReason::Spindown).await;
        let spans = stage.collector.spans();
        let is_root = |seen: &&SpanSeen| {
            seen.span.kind == i32::from(SpanKind::Server)
                && seen.text("faas.invocation_id") == Some(&record.request_id)
        };
        let roots: Vec<_> = spans.iter().filter(is_root).collect();
        let [root] = roots.as_slice() else { panic!("{} roots: {}", roots.len(), story()) };
        let code = root.span.status.as_ref().map_or(0, |status| status.code);
        assert_eq!(code, i32::from(StatusCode::Error), "{}", story());
        assert_eq!(root.text("error.type"), Some(error_type), "{}", story());
        let took = Duration::from_nanos(root.span.end_time_unix_nano - root.span.start_time_unix_nano);
        let lasted = Duration::from_secs_f64(record.duration_ms / 1_000.0);
        // The children are of another day, and their parent began no later than they did.
        assert!(
            send == "child" || took <= lasted + Duration::from_millis(2),
            "{took:?} of {lasted:?}: {}",
            story()
        );
        for child in spans.iter().filter(|seen| seen.span.name == "dead") {
            assert_eq!(child.span.parent_span_id, root.span.span_id, "an orphan: {}", story());
            assert_eq!(child.span.trace_id, root.span.trace_id, "{}", story());
        }
        assert_eq!(
            spans.iter().filter(|seen| seen.span.name == "dead").count(),
            usize::from(send == "child")
        );
    }
}
