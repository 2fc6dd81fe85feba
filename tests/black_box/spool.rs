//! The spool: what was accepted outlives the extension's own process, a long outage and a full memory.

use std::fs;
use std::path::Path;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tests::collector::Collector;
use tests::otlp::{Ids, SpanExt};
use tests::platform::{Platform, Reason, Script};

use super::world::{World, server_span, span};

/// An environment whose `/tmp` outlives its processes.
struct Environment {
    script: Script,
    collector: Collector,
}

impl Environment {
    fn new(shape: impl FnOnce(Script) -> Script) -> Self {
        let collector = Collector::start();
        let script = Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
        Self { script: shape(script), collector }
    }

    /// A process in it.
    fn boot(self) -> (World, Script) {
        let platform = Platform::ready(&self.script);
        (World { platform, collector: self.collector }, self.script)
    }
}

/// Kills the extension as the kernel does when memory runs out, and starts a new one in the same environment.
fn reset(world: World, script: &Script) -> World {
    world.platform.kill();
    let World { platform, collector } = world;
    drop(platform);
    World { platform: Platform::ready(script), collector }
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder.join("prefreeze")).map_or(0, Iterator::count)
}

/// People clear `/tmp` in their handlers.
#[test]
fn what_a_handler_has_removed_is_there_again_with_the_next_invocation() {
    let (world, script) = Environment::new(|script| script).boot();
    world.invoke_well("r-1", 1);
    for entry in fs::read_dir(script.scratch()).expect("the scratch folder").flatten() {
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("ours");
    }
    let parent = Ids::new(2);
    world.invoke("r-2");
    // Over the port, so that INVOKE has been read when it is answered twice.
    for number in 1..=2 {
        world.platform.barrier();
        world.post_spans([span("child", parent.sibling(number)).with_parent(parent)]);
    }
    let socket = script.scratch().join("prefreeze.sock");
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok(), "the socket is there again");
    let world = reset(world, &script);
    world.invoke_well("r-3", 3);
    let summary = world.close();
    assert_eq!(summary.count("recovered"), 2, "{}", summary.0);
    assert_eq!(world.spans("child").len(), 2);
}

#[test]
fn what_was_accepted_outlives_a_kill_in_the_middle_of_an_invocation() {
    let (world, script) = Environment::new(|script| script).boot();
    let parent = Ids::new(1);
    world.invoke("r-1");
    world.post_spans([
        span("first child", parent.sibling(1)).with_parent(parent),
        span("second child", parent.sibling(2)).with_parent(parent),
    ]);
    let world = reset(world, &script);
    world.invoke_well("r-2", 2);
    let summary = world.close();
    assert_eq!(summary.count("recovered"), 2, "{}", summary.0);
    let dead = world.collector.spans().into_iter().find(|seen| seen.span.span_id == parent.span);
    let dead = dead.expect("the killed invocation has the root that its children name").span;
    assert_eq!(dead.status.map(|status| status.code), Some(StatusCode::Error as i32));
    for child in ["first child", "second child"] {
        assert_eq!(world.span(child).span.parent_span_id, dead.span_id);
    }
    assert_eq!(files(script.scratch()), 0, "all is sent, and nothing is left on disk");
}

#[test]
fn what_a_dead_backend_did_not_take_outlives_a_kill() {
    let (world, script) = Environment::new(|script| script).boot();
    world.collector.stop();
    for number in 1..=5 {
        world.invoke_well(&format!("r-{number}"), number);
    }
    let world = reset(world, &script);
    world.collector.resume();
    world.invoke_well("r-6", 6);
    let summary = world.close();
    assert_eq!((summary.count("recovered"), summary.dropped()), (5, 0), "{}", summary.0);
    let mut names = world.names();
    names.sort();
    names.dedup();
    assert_eq!(names, ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6"]);
}

#[test]
fn what_shutdown_could_not_send_waits_for_the_next_process() {
    let (world, script) = Environment::new(|script| script).boot();
    world.collector.stop();
    world.invoke_well("r-1", 1);
    // It has not failed; what happens to the environment comes later.
    world.runtime_done("r-1");
    world.platform.shutdown(Reason::Failure, Duration::from_millis(600));
    assert!(world.platform.wait_exit().0.success());
    let held = world.platform.log("summary").remove(0)["held"].as_u64();
    assert_eq!(held, Some(1), "it is neither sent nor dropped");
    let World { platform, collector } = world;
    drop(platform);
    collector.resume();
    let world = World { platform: Platform::ready(&script), collector };
    world.invoke_well("r-2", 2);
    let summary = world.close();
    assert_eq!((summary.count("recovered"), summary.count("held")), (1, 0), "{}", summary.0);
    world.span("r-1");
}

#[test]
fn what_memory_cannot_hold_goes_to_disk_and_comes_back() {
    let tight =
        |script: Script| script.env("PREFREEZE_BUFFER_BYTES", "65536").env("PREFREEZE_BATCH_BYTES", "16384");
    let (world, _script) = Environment::new(tight).boot();
    world.collector.stop();
    world.invoke("r-1");
    let root = Ids::new(1);
    for hundred in 0..20 {
        world.post_spans((0..100).map(|one| span("ordinary", root.sibling(2 + hundred * 100 + one))));
    }
    world.post_spans([server_span("r-1", root, "r-1")]);
    world.platform.wait_next();
    world.collector.resume();
    // A dead backend is probed after a second at the earliest; what is on disk then follows beside the handlers.
    for number in 2..40 {
        world.invoke(&format!("r-{number}"));
        if number > 2 {
            world.runtime_done(&format!("r-{number}"));
        } else {
            world.collector.expect("a probe", |state| state.has_span("ordinary"));
            world.runtime_done("r-2");
        }
        world.platform.wait_next();
    }
    let summary = world.close();
    assert_eq!((summary.dropped(), summary.count("held")), (0, 0), "{}", summary.0);
    let arrived = world.names().iter().filter(|name| *name == "ordinary").count();
    assert_eq!(arrived, 2_000);
}

#[test]
fn a_disk_that_cannot_be_written_costs_one_line() {
    let nowhere = |script: Script| script.env("PREFREEZE_SPOOL_DIR", "/proc/no/such/folder");
    let (world, _script) = Environment::new(nowhere).boot();
    world.invoke_well("r-1", 1);
    world.invoke_well("r-2", 2);
    let summary = world.close();
    assert_eq!(summary.count("exported"), 2);
    assert_eq!(world.platform.log("spool_unusable").len(), 1);
}

#[test]
fn nothing_is_written_where_the_spool_is_off() {
    let (world, script) = Environment::new(|script| script.env("PREFREEZE_SPOOL", "off")).boot();
    world.invoke("r-1");
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    assert!(!script.scratch().join("prefreeze").exists());
    world.close();
}

#[test]
fn hostile_files_in_the_folder_harm_nothing() {
    let (world, script) = {
        let environment = Environment::new(|script| script);
        let folder = environment.script.scratch().join("prefreeze");
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("1.spool"), b"PFZ2\x01\0\0\0garbage that looks like a record").expect("a file");
        fs::write(folder.join("7.spool"), vec![0xff; 100_000]).expect("a file");
        std::os::unix::fs::symlink("/etc/passwd", folder.join("8.spool")).expect("a link");
        environment.boot()
    };
    world.invoke_well("r-1", 1);
    let summary = world.close();
    assert_eq!((summary.count("exported"), summary.count("recovered")), (1, 0), "{}", summary.0);
    assert!(
        script.scratch().join("prefreeze/8.spool").is_symlink(),
        "a link is neither followed nor removed"
    );
}

/// One request brings spans of many traces, of which sampling keeps the one that failed. Its record holds all of them.
#[test]
fn what_sampling_has_left_out_does_not_come_back_after_a_kill() {
    for flush in ["end", "continuous", "adaptive"] {
        let nothing = ["COLD_STARTS", "SLOW", "RARE"];
        let (world, script) = Environment::new(|script| {
            nothing
                .into_iter()
                .fold(script, |script, name| script.env(&format!("PREFREEZE_SAMPLING_{name}"), "off"))
                .env("PREFREEZE_SAMPLING_RATIO", "0")
                .env("PREFREEZE_FLUSH", flush)
        })
        .boot();
        world.collector.stop();
        world.invoke("r-1");
        let plain = (2..=40).map(|seed| span("plain", Ids::new(seed)));
        let failed = span("failed", Ids::new(50)).with_status(StatusCode::Error, "it failed");
        world.post_spans(plain.chain([failed, server_span("own", Ids::new(1), "r-1")]));
        world.runtime_done("r-1");
        world.platform.wait_next();
        // In `continuous` it may have been asked before the end was told: what was told is read by now.
        world.platform.barrier();
        world.platform.barrier();
        let world = reset(world, &script);
        world.collector.resume();
        world.invoke_well("r-2", 60);
        let summary = world.close();
        assert_eq!(summary.count("recovered"), 1, "{flush}: {}", summary.0);
        assert_eq!(world.names(), ["failed"], "{flush}");
        assert_eq!(files(script.scratch()), 0, "{flush}: nothing is left on disk");
    }
}
