//! One process in a group of its own, with its output in a pipe.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use super::group;
use super::logs::{LogPipe, LogWatch};
use super::variables::Variables;
use super::watchdog::Watchdog;
use crate::machine::Exit;

/// Attempts to exec a file that somebody else still has open for writing: a fork of a neighbour's thread can
/// inherit such a descriptor for the moment until its own exec.
const BUSY_ATTEMPTS: u32 = 50;

/// What to start.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) command: Vec<OsString>,
    pub(crate) variables: Variables,
    pub(crate) working_dir: PathBuf,
}

/// Why a process could not be started, in the words of `platform.extension`.
#[derive(Debug)]
pub(crate) struct LaunchError {
    pub(crate) error_type: &'static str,
    pub(crate) message: String,
}

impl From<io::Error> for LaunchError {
    fn from(error: io::Error) -> Self {
        let error_type = match error.kind() {
            io::ErrorKind::PermissionDenied => "PermissionDenied",
            _ => "UnknownError",
        };
        Self { error_type, message: error.to_string() }
    }
}

/// A process and its group; the group is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    /// Process id of the leader, and the number of the group.
    pub(crate) group: i32,
    pub(crate) output: LogPipe,
    alive: bool,
    watchdog: Arc<Watchdog>,
}

impl Process {
    /// Starts the process. The second value waits for its output, the third for its end.
    pub(crate) async fn start(
        launch: &Launch,
        watchdog: &Arc<Watchdog>,
    ) -> Result<(Self, LogWatch, impl Future<Output = Exit> + Send + use<>), LaunchError> {
        let (reader, writer) = io::pipe()?;
        let (output, watch) = LogPipe::new(reader)?;
        let mut child = spawn(launch, writer).await?;
        let id = child.id().expect("it has not been waited for");
        let group = i32::try_from(id).expect("process ids are positive and fit");
        watchdog.watch(group);
        let exit = async move {
            let status = child.wait().await.expect("a child can be waited for");
            exit_of(status)
        };
        Ok((Self { group, output, alive: true, watchdog: Arc::clone(watchdog) }, watch, exit))
    }

    pub(crate) fn terminate(&self) {
        group::signal(self.group, Signal::SIGTERM);
    }

    /// A stopped group dies of SIGKILL as well.
    pub(crate) fn kill(&self) {
        group::signal(self.group, Signal::SIGKILL);
    }

    /// Stops for so long. Whoever is killed meanwhile is not there to be continued, and does not mind.
    pub(crate) fn stall(&self, pause: Duration) {
        group::signal(self.group, Signal::SIGSTOP);
        let group = self.group;
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            group::signal(group, Signal::SIGCONT);
        });
    }

    /// Its leader has exited: whatever the leader started goes too.
    pub(crate) fn ended(&mut self) {
        if std::mem::replace(&mut self.alive, false) {
            self.kill();
            self.watchdog.forget(self.group);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ended();
    }
}

async fn spawn(launch: &Launch, writer: io::PipeWriter) -> io::Result<Child> {
    let program = launch.command.first().expect("a command has a program");
    let mut command = Command::new(resolve(Path::new(program)));
    command
        .args(&launch.command[1..])
        .env_clear()
        .envs(&launch.variables)
        .current_dir(&launch.working_dir)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    for _ in 1..BUSY_ATTEMPTS {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            result => return result,
        }
    }
    command.spawn()
}

/// A path is meant relative to our own directory, not to the child's; a bare name is looked up in PATH.
fn resolve(program: &Path) -> PathBuf {
    if program.components().count() < 2 {
        return program.to_owned();
    }
    std::path::absolute(program).unwrap_or_else(|_| program.to_owned())
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => unreachable!("a process that ended has a code or a signal"),
    }
}
