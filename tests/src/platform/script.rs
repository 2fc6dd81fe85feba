//! What a test decides before the extension starts: its environment, and how the platform answers its first calls.

use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::aws::Role;
use crate::http1::Reserved;

/// How `POST /register` is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// As usual: 200 and an identifier.
    Accept,
    /// 403 to whoever asks for INVOKE, as on Lambda Managed Instances; 200 without it.
    RefuseInvoke,
    /// Always this status.
    Status(u16),
    /// As usual for this name, which is that of the file; 403 for any other.
    Named(&'static str),
}

/// How `PUT /telemetry` is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// This status with the platform's own body; only 200 subscribes.
    Status(u16),
    /// This status to the first request, 200 to the ones after it.
    First(u16),
    /// The connection of the first request is closed without an answer; 200 to the ones after it.
    FirstHangUp,
    /// The connection of every request is closed without an answer.
    HangUp,
    /// 400 to this schema and to every newer one, 200 to older ones.
    Before(&'static str),
    /// Never.
    Silence,
}

/// The start of a story. The binary is `PREFREEZE_BIN`, or else `prefreeze` in the directory above the test's own;
/// a test of another one names it.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) environment: Vec<(String, String)>,
    pub(super) removed: Vec<String>,
    pub(super) registration: Registration,
    pub(super) subscription: Subscription,
    pub(super) is_strict: bool,
    pub(super) roles: VecDeque<Role>,
    pub(super) receiver: Arc<Reserved>,
    pub(super) grpc_receiver: Arc<Reserved>,
    pub(super) scratch: Arc<Scratch>,
    pub(super) program: Option<Vec<OsString>>,
}

impl Script {
    /// A function `orders` with 128 MB in us-east-1, started on demand, without metrics, and a platform without surprises.
    pub fn new() -> Self {
        Self {
            // Metrics leave in requests of their own, which most stories would have to tell apart from what they count.
            environment: vec![("PREFREEZE_METRICS".to_owned(), "none".to_owned())],
            removed: Vec::new(),
            registration: Registration::Accept,
            subscription: Subscription::Status(200),
            is_strict: true,
            roles: VecDeque::new(),
            receiver: Arc::default(),
            grpc_receiver: Arc::default(),
            scratch: Arc::default(),
            program: None,
        }
    }

    /// With this environment variable, in place of a usual one of the same name.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// With metrics as they are by default.
    #[must_use]
    pub fn with_metrics(mut self) -> Self {
        self.environment.retain(|(name, _)| name != "PREFREEZE_METRICS");
        self
    }

    /// Without this variable, which is usually there.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.removed.push(name.to_owned());
        self
    }

    /// With this answer to the registration.
    #[must_use]
    pub fn registration(mut self, registration: Registration) -> Self {
        self.registration = registration;
        self
    }

    /// With credentials at the platform's API, as with SnapStart: these one after the other, and the last for ever.
    #[must_use]
    pub fn credentials(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.roles = roles.into_iter().collect();
        self
    }

    /// With this answer to the subscription.
    #[must_use]
    pub fn subscription(mut self, subscription: Subscription) -> Self {
        self.subscription = subscription;
        self
    }

    /// The address that the extension is told to receive spans on.
    pub fn receiver(&self) -> SocketAddr {
        self.receiver.address()
    }

    /// The environment's `/tmp`, given to the extension as `TMPDIR`. It outlives a process that is killed: a second
    /// platform of the same script is the same environment after a reset.
    pub fn scratch(&self) -> &Path {
        &self.scratch.0
    }

    /// Violations are recorded as always, but do not fail the test.
    #[must_use]
    pub fn with_violations(mut self) -> Self {
        self.is_strict = false;
        self
    }

    /// With a shell script in place of the extension.
    #[must_use]
    pub fn stand_in(self, script: &str) -> Self {
        self.program(["/bin/sh", "-c", script])
    }

    /// With the extension started by a shell that has run this: `ulimit -n 20`.
    #[must_use]
    pub fn within(self, shell: &str) -> Self {
        let script = format!("{shell} && exec \"$0\"");
        let extension = self.command().get_program().to_owned();
        self.program(["/bin/sh".into(), "-c".into(), OsString::from(script), extension])
    }

    /// With this program and its arguments in place of the binary just built: another build of it, or what runs one.
    #[must_use]
    pub fn program<Word: Into<OsString>>(mut self, words: impl IntoIterator<Item = Word>) -> Self {
        self.program = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// The extension's binary.
    ///
    /// # Panics
    /// Where there is none.
    pub fn binary(&self) -> PathBuf {
        let built = || {
            let test = env::current_exe().expect("a test knows its own path");
            test.parent()
                .and_then(|deps| deps.parent())
                .expect("tests lie in <profile>/deps")
                .join("prefreeze")
        };
        let path = env::var_os("PREFREEZE_BIN").map_or_else(built, PathBuf::from);
        assert!(path.is_file(), "no extension at {}: build it first, or set PREFREEZE_BIN", path.display());
        path
    }

    /// Runs the extension's binary as a person does, with these arguments and the variables of the script and nothing
    /// else.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.binary());
        command.args(arguments).env_clear().env("TMPDIR", self.scratch());
        command.envs(self.environment.iter().cloned());
        command.output().expect("it starts")
    }

    /// What to start.
    pub(super) fn command(&self) -> Command {
        if let Some([program, arguments @ ..]) = self.program.as_deref() {
            let mut command = Command::new(program);
            command.args(arguments);
            return command;
        }
        Command::new(self.binary())
    }
}

/// A folder that is taken away with the last script that uses it.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Default for Scratch {
    fn default() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("prefreeze-black-box-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}
