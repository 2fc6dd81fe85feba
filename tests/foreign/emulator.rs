//! AWS's runtime interface emulator, which `sam local` runs, with Prefreeze in its `/opt/extensions`, around functions in several
//! languages.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::collector::Collector;
use tests::http1::{self, Headers, Reserved};
use tests::platform::Script;

use super::installed::{has_namespaces, is_there, program};

/// An end was waited for: that takes a second and more.
const HELD: Duration = Duration::from_millis(900);
/// After two seconds the emulator kills what has not ended.
const END_MAX: Duration = Duration::from_millis(1_900);
const INVOCATIONS: usize = 9;
/// How functions send: with their end, by a timer that fires while a later invocation works, or not at all; by turns.
const WAYS: [&[&str]; 4] = [&["nothing"], &["at its end"], &["by a timer"], &["at its end", "nothing"]];

/// A function that sends as its event says.
struct Function {
    language: &'static str,
    command: Vec<OsString>,
}

/// Those whose language is installed here.
fn functions() -> Vec<Function> {
    let source = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/functions").join(name);
    let run = |tool: &str, name: &str| {
        is_there(tool).then(|| vec!["/usr/bin/env".into(), tool.into(), source(name).into()])
    };
    let all = [
        ("Python", run("python3", "function.py")),
        ("Node", run("node", "function.mjs")),
        ("Java", run("java", "Function.java")),
        ("Go", program("go-function").map(|path| vec![path.into()])),
        ("Rust", Some(vec![env!("CARGO_BIN_EXE_rust-function").into()])),
    ];
    let there =
        all.into_iter().filter_map(|(language, command)| Some(Function { language, command: command? }));
    there.collect()
}

/// The emulator with a function and Prefreeze.
struct Emulator {
    process: Child,
    address: Reserved,
    opt: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Emulator {
    fn start(program: &Path, function: &Function, backend: &Collector) -> Self {
        let [address, api, receiver] = [(); 3].map(|()| Reserved::new());
        let opt = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign").join(address.address().to_string());
        fs::create_dir_all(opt.join("extensions")).expect("the target folder is ours");
        // An environment has its own `/tmp`: what one has kept there must not be another's.
        fs::create_dir_all(opt.join("tmp")).expect("the folder is ours");
        symlink(Script::new().binary(), opt.join("extensions/prefreeze")).expect("the folder is ours");
        // Its folder of extensions has a fixed name.
        let within = "mount --bind \"$0\" /opt && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", within]).arg(&opt).arg(program);
        command.args(["--log-level", "info", "--runtime-api-address", &api.address().to_string()]);
        command.args(["--runtime-interface-emulator-address", &address.address().to_string()]);
        command.args(&function.command);
        command.env("TMPDIR", opt.join("tmp"));
        command.env("AWS_LAMBDA_FUNCTION_TIMEOUT", "10").env("PREFREEZE_METRICS", "none");
        // Variables that set up an SDK: its spans are waited for before any is made in their place.
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", receiver.address()));
        command.env("OTEL_TRACES_EXPORTER", "otlp");
        command.env("PREFREEZE_RECEIVER_HTTP", receiver.address().to_string());
        command.env("PREFREEZE_RECEIVER_GRPC", "none");
        command.env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", backend.endpoint());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = Arc::default();
        let readers = vec![
            read(process.stdout.take().expect("it is piped"), &lines),
            read(process.stderr.take().expect("it is piped"), &lines),
        ];
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address.address()).is_err() {
            assert!(Instant::now() < until, "the emulator does not listen");
            sleep(Duration::from_millis(20));
        }
        Self { process, address, opt, lines, readers }
    }

    /// The status that the caller gets.
    fn invoke(&self, event: &Value) -> u16 {
        let path = "/2015-03-31/functions/function/invocations";
        let (headers, body) = (Headers::default(), event.to_string());
        let answer = http1::send(self.address.address(), "POST", path, &headers, body.as_bytes());
        answer.expect("an answer").status
    }

    /// Asks it to end, as `docker stop` does: how long that takes, and all that it and Prefreeze have logged.
    fn end(mut self) -> (Duration, Log) {
        let began = Instant::now();
        let id = i32::try_from(self.process.id()).expect("a process id");
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("it lives");
        self.process.wait().expect("it ends");
        let took = began.elapsed();
        self.readers.drain(..).for_each(|reader| reader.join().expect("it only reads"));
        (took, Log(self.lines.lock().expect("no panic").clone()))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        fs::remove_dir_all(&self.opt).ok();
        if thread::panicking() {
            self.lines.lock().map(|lines| lines.iter().for_each(|line| eprintln!("{line}"))).ok();
        }
    }
}

fn read(output: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            lines.lock().expect("no panic").push(line);
        }
    })
}

/// What the emulator and Prefreeze have logged.
struct Log(Vec<String>);

impl Log {
    /// How long each invocation was held after its function was done: what the emulator reports as the duration, less what it
    /// has reported as the runtime's. The first is left out: its duration has the init in it.
    fn held(&self) -> Vec<Duration> {
        let of = |mark: &str, before: &str| -> Vec<f64> {
            let lines = self.0.iter().filter(|line| line.contains(mark));
            let number = |line: &String| {
                let rest = line.split_once(before)?.1;
                rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '.')?].parse().ok()
            };
            lines.filter_map(number).collect()
        };
        let (done, reported) = (of("INVOKE RTDONE", "duration: "), of("REPORT RequestId", "\tDuration: "));
        assert_eq!(done.len(), reported.len(), "{:?}", self.0);
        let held = done.iter().zip(reported).skip(1);
        held.map(|(done, reported)| Duration::from_secs_f64((reported - done).max(0.0) / 1_000.0)).collect()
    }

    /// The books that Prefreeze closed with.
    fn summary(&self) -> Value {
        let mut lines = self.0.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = lines.rfind(|line| line["event"] == "summary");
        found.unwrap_or_else(|| panic!("it was killed before it closed its books: {:?}", self.0))
    }
}

/// Every way of sending costs the caller nothing, and everything that was sent arrives, without a false failure.
#[test]
fn no_invocation_is_held_whatever_the_language_and_the_way() {
    let Some(program) = program("aws-lambda-rie").filter(|_| has_namespaces()) else { return };
    for function in functions() {
        for ways in WAYS {
            let what = format!("{}, {ways:?}", function.language);
            let backend = Collector::start();
            let emulator = Emulator::start(&program, &function, &backend);
            let works = if ways.contains(&"by a timer") { 0.7 } else { 0.02 };
            for turn in 0..=INVOCATIONS {
                let way = ways[turn % ways.len()];
                let event = json!({ "sends": way, "name": format!("{way} {turn}"), "sleep": works });
                assert_eq!(emulator.invoke(&event), 200, "{what}");
            }
            if ways.contains(&"by a timer") {
                // Those of the last invocations fire after them.
                backend.expect("every span", |state| state.spans().len() > INVOCATIONS);
            }
            let (took, log) = emulator.end();
            let held = log.held();
            println!("{what}: held for {held:?}, ended in {took:?}");
            assert_eq!(held.len(), INVOCATIONS, "{what}");
            assert!(held.iter().all(|held| *held < HELD), "{what}: an end was waited for: {held:?}");
            assert!(took < END_MAX, "{what}: it was killed after {took:?}");
            assert_told(&backend, &log.summary(), &what);
        }
    }
}

/// One span for each invocation, none is a failure, and the books say so.
#[track_caller]
fn assert_told(backend: &Collector, summary: &Value, what: &str) {
    let spans = backend.spans();
    assert_eq!(spans.len(), INVOCATIONS + 1, "{what}: {:?}", names(backend));
    assert!(spans.iter().all(|span| span.text("error.type").is_none()), "{what}: a failure that was none");
    let errors = spans.iter().filter_map(|span| span.span.status.as_ref()).filter(|status| status.code == 2);
    assert_eq!(errors.count(), 0, "{what}: a status that is none");
    assert_eq!(summary["exported"], INVOCATIONS + 1, "{what}: {summary}");
    assert_eq!((&summary["held"], &summary["dropped"]), (&json!(0), &json!({})), "{what}: {summary}");
    assert_eq!(summary["cost"]["billed_for_flushes_ms"], 0.0, "{what}: {summary}");
}

fn names(backend: &Collector) -> Vec<String> {
    backend.spans().iter().map(|span| span.span.name.clone()).collect()
}

/// A crash is answered at once and told of, and the next process of ours goes on.
#[test]
fn a_crash_costs_no_time_and_is_told() {
    let Some(program) = program("aws-lambda-rie").filter(|_| has_namespaces()) else { return };
    for function in functions() {
        for way in ["nothing", "at its end"] {
            let what = format!("{}, {way}", function.language);
            let backend = Collector::start();
            let emulator = Emulator::start(&program, &function, &backend);
            for _ in 0..3 {
                assert_eq!(emulator.invoke(&json!({ "sends": way })), 200, "{what}");
            }
            let began = Instant::now();
            assert_eq!(emulator.invoke(&json!({ "sends": way, "crash": true })), 502, "{what}");
            assert!(began.elapsed() < HELD, "{what}: the crash took {:?}", began.elapsed());
            assert_eq!(emulator.invoke(&json!({ "sends": way })), 200, "{what}");
            emulator.end();
            let spans = backend.spans();
            let failed = spans.iter().filter(|span| span.text("error.type").is_some());
            assert_eq!((failed.count(), spans.len()), (1, 5), "{what}: {:?}", names(&backend));
        }
    }
}
