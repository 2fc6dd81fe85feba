//! AWS's runtime interface emulator, which `sam local` runs, with Prefreeze in its `/opt/extensions`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::collector::Collector;
use tests::http1::{self, Headers};
use tests::platform::Script;

use super::installed::{has_namespaces, program};

/// What Prefreeze may add to an invocation.
const MORE_MAX: Duration = Duration::from_millis(30);
/// An end was waited for: that takes a second and more.
const HELD: Duration = Duration::from_millis(900);
const INVOCATIONS: usize = 9;
/// A machine that is busy is measured again.
const TRIES: usize = 4;
/// The receiver's port is the default one, and there is one `/opt/extensions` in each world.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The emulator, with the function of `function.py`.
struct Emulator {
    process: Child,
    address: SocketAddr,
}

impl Emulator {
    /// Starts it; with `backend`, Prefreeze is in its `/opt/extensions`.
    fn start(program: &Path, backend: Option<&Collector>) -> Self {
        let opt = folder_with(backend.is_some());
        let [address, api] = [(); 2].map(|()| free_address());
        // Its folder of extensions has a fixed name.
        let within = "mount --bind \"$0\" /opt && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", within]).arg(&opt).arg(program);
        command.args(["--log-level", "error", "--runtime-api-address", &api.to_string()]);
        command.args([
            "--runtime-interface-emulator-address",
            &address.to_string(),
            "/usr/bin/env",
            "python3",
        ]);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/foreign/function.py"));
        command.env("AWS_LAMBDA_FUNCTION_TIMEOUT", "10").env("PREFREEZE_METRICS", "off");
        if let Some(backend) = backend {
            // Variables that set up an SDK: its spans are waited for before any is made in their place.
            command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
                .env("OTEL_TRACES_EXPORTER", "otlp");
            command.env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", backend.endpoint());
        }
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        // The lines of ours that tell of trouble are worth seeing in a failure.
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "the emulator does not listen");
            sleep(Duration::from_millis(20));
        }
        Self { process, address }
    }

    /// How long the caller waits for an answer, and which status it has.
    fn invoke(&self, event: &Value) -> (Duration, u16) {
        let began = Instant::now();
        let path = "/2015-03-31/functions/function/invocations";
        let body = event.to_string();
        let answer =
            http1::send(self.address, "POST", path, &Headers::default(), body.as_bytes()).expect("an answer");
        (began.elapsed(), answer.status)
    }

    /// How long it takes to end when it is asked to, as `docker stop` asks.
    fn end(mut self) -> Duration {
        let began = Instant::now();
        let id = i32::try_from(self.process.id()).expect("a process id");
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("it lives");
        self.process.wait().expect("it ends");
        began.elapsed()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// What becomes `/opt`.
fn folder_with(extension: bool) -> PathBuf {
    let name = if extension { "with" } else { "without" };
    let opt = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign").join(name);
    fs::remove_dir_all(&opt).ok();
    fs::create_dir_all(opt.join("extensions")).expect("the target folder is ours");
    if extension {
        symlink(Script::new().binary(), opt.join("extensions/prefreeze")).expect("the folder is ours");
    }
    opt
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// Invocations that work for so many seconds and send in this way, or in these ways by turns: how long each took, the first and
/// its init left out.
fn times(emulator: &Emulator, ways: &[&str], works: f64) -> Vec<Duration> {
    let took = (0..=INVOCATIONS).map(|turn| {
        let way = ways[turn % ways.len()];
        let event = json!({ "sends": way, "name": format!("{way} {turn}"), "sleep": works });
        let (took, status) = emulator.invoke(&event);
        assert_eq!(status, 200, "{way}");
        took
    });
    took.skip(1).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Every way of sending costs the caller nothing, and everything that was sent arrives, without a false failure.
#[test]
fn no_invocation_takes_longer_than_without_us() {
    let Some(program) = program("aws-lambda-rie").filter(|_| has_namespaces()) else { return };
    let _alone = ONE_AT_A_TIME.lock();
    for ways in [&["nothing"][..], &["at its end"], &["by a timer"], &["at its end", "nothing"]] {
        // The timer of an invocation fires while a later one works.
        let works = if ways.contains(&"by a timer") { 0.7 } else { 0.02 };
        let held = HELD + Duration::from_secs_f64(works);
        let mut more = Duration::MAX;
        for _ in 0..TRIES {
            let without = Emulator::start(&program, None);
            let floor = median(times(&without, &["nothing"], works));
            without.end();
            let backend = Collector::start();
            let with = Emulator::start(&program, Some(&backend));
            let taken = times(&with, ways, works);
            let longest = *taken.iter().max().expect("some");
            more = more.min(median(taken).saturating_sub(floor));
            if ways.contains(&"by a timer") {
                // Those of the last invocations fire after them.
                backend.expect("every span", |state| state.spans().len() > INVOCATIONS);
            }
            let ended = with.end();
            assert!(ended < Duration::from_millis(1_900), "{ways:?}: it was killed after {ended:?}");
            assert_told(&backend, ways);
            if more <= MORE_MAX && longest < held {
                break;
            }
        }
        assert!(more <= MORE_MAX, "{ways:?}: {more:?} longer than without us");
    }
}

/// One span for each invocation, and none is a failure.
#[track_caller]
fn assert_told(backend: &Collector, ways: &[&str]) {
    let spans = backend.spans();
    assert_eq!(spans.len(), INVOCATIONS + 1, "{ways:?}: {:?}", names(backend));
    assert!(spans.iter().all(|span| span.text("error.type").is_none()), "{ways:?}: a failure that was none");
}

fn names(backend: &Collector) -> Vec<String> {
    backend.spans().iter().map(|span| span.span.name.clone()).collect()
}

/// A crash is answered at once and told of, and the next process of ours goes on.
#[test]
fn a_crash_costs_no_time_and_is_told() {
    let Some(program) = program("aws-lambda-rie").filter(|_| has_namespaces()) else { return };
    let _alone = ONE_AT_A_TIME.lock();
    for way in ["nothing", "at its end"] {
        let backend = Collector::start();
        let emulator = Emulator::start(&program, Some(&backend));
        for _ in 0..3 {
            assert_eq!(emulator.invoke(&json!({ "sends": way })).1, 200);
        }
        let (took, status) = emulator.invoke(&json!({ "sends": way, "crash": true }));
        assert_eq!(status, 502, "{way}");
        assert!(took < HELD, "{way}: the crash took {took:?}");
        assert_eq!(emulator.invoke(&json!({ "sends": way })).1, 200);
        emulator.end();
        let failed: Vec<_> =
            backend.spans().iter().filter_map(|span| span.text("error.type").map(str::to_owned)).collect();
        assert_eq!(failed.len(), 1, "{way}: {:?}", names(&backend));
        assert_eq!(backend.spans().len(), 5, "{way}: {:?}", names(&backend));
    }
}
