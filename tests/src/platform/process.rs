//! The extension's process: the environment that Lambda gives it, its output line by line, and its end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::Value;

use super::api::{CREDENTIALS, CREDENTIALS_TOKEN};
use super::script::Script;
use super::state::{Line, Output, Shared};

/// A running or ended extension.
#[derive(Debug)]
pub(super) struct Process {
    /// As the system numbers it.
    pub(super) id: u32,
    child: Arc<Mutex<Child>>,
}

impl Process {
    pub(super) fn spawn(
        shared: &Arc<Shared>,
        script: &Script,
        api: SocketAddr,
        receiver: SocketAddr,
    ) -> Self {
        let mut command = script.command();
        command.env_clear().envs(environment(script, api, receiver)).env("TMPDIR", script.scratch());
        command.env("PREFREEZE_RECEIVER_GRPC", script.grpc_receiver.address().to_string());
        command.envs(script.environment.iter().cloned());
        script.removed.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the extension can be started");
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        let id = child.id();
        let child = Arc::new(Mutex::new(child));
        let readers = [read(shared, stdout, Output::Stdout), read(shared, stderr, Output::Stderr)];
        reap(shared, &child, readers);
        Self { id, child }
    }

    /// SIGKILL; harmless when it has ended.
    pub(super) fn kill(&self) {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).kill().ok();
    }
}

/// What an extension finds in its environment; a function's own variables come on top.
fn environment(script: &Script, api: SocketAddr, receiver: SocketAddr) -> Vec<(&'static str, String)> {
    let fixed = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_NAME", "orders"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_FORMAT", "Text"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/orders"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]0123456789abcdef"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("AWS_SESSION_TOKEN", "a-session-token"),
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
        ("TZ", ":UTC"),
    ];
    let mut all: Vec<_> = fixed.map(|(name, value)| (name, value.to_owned())).into();
    all.push(("AWS_LAMBDA_RUNTIME_API", api.to_string()));
    if !script.roles.is_empty() {
        all.push(("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{api}{CREDENTIALS}")));
        all.push(("AWS_CONTAINER_AUTHORIZATION_TOKEN", CREDENTIALS_TOKEN.to_owned()));
    }
    // The function's SDK and the extension share their variables: this one is meant for the SDK.
    all.push(("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{receiver}")));
    all.push(("PREFREEZE_RECEIVER_HTTP", receiver.to_string()));
    all
}

/// Records an output line by line until it is closed.
fn read(shared: &Arc<Shared>, source: impl Read + Send + 'static, output: Output) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line).into_owned();
            shared.change(|state| {
                let is_object = serde_json::from_str(&text).is_ok_and(|value: Value| value.is_object());
                if output == Output::Stdout && !is_object {
                    state.violate(format!("a line of output is not a JSON object: {text}"));
                }
                if text.contains("panicked at") {
                    state.violate(format!("the extension panicked: {text}"));
                }
                state.lines.push(Line { at: Instant::now(), output, text });
            });
        }
    })
}

/// Notes the end of the process. Its outputs close with it, so nobody holds the lock while it runs.
fn reap(shared: &Arc<Shared>, child: &Arc<Mutex<Child>>, readers: [JoinHandle<()>; 2]) {
    let (shared, child) = (Arc::clone(shared), Arc::clone(child));
    thread::spawn(move || {
        readers.into_iter().for_each(|reader| drop(reader.join()));
        let status = child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        let status = status.expect("nobody else waits for the process");
        shared.change(|state| {
            state.exit = Some((status, Instant::now()));
            if !state.is_end_expected {
                state.violate(format!("the process ended before SHUTDOWN with {status}: Extension.Crash"));
            }
        });
    });
}
