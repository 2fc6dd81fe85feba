//! The Python that the demo brings along: a virtual environment with pinned packages, made once.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, process::Command};

use super::{Trouble, group::Group, places::Places, progress::Progress};

/// The local SQS. Its releases are frequent; this one is the one that was read and tried.
const MINISTACK: &str = "ministack==1.5.33";
/// For a slow network: what is installed takes 100 MB.
const PATIENCE: Duration = Duration::from_secs(300);
/// Lines of what a failed command said last.
const LAST_WORDS: usize = 5;

/// The interpreter of an environment with ministack and what `receipt` requires; installs it when it is not
/// there yet, or not with these versions.
pub(super) async fn interpreter(places: &Places, progress: &Progress) -> Result<PathBuf, Trouble> {
    let requirements = requirements(&places.receipt)?;
    let venv = places.work.join("venv");
    let python = venv.join("bin/python");
    // Written last: an installation that was interrupted has none.
    let stamp = venv.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements) {
        return Ok(python);
    }

    progress.say("python: making an environment for ministack and for the Python function (once)");
    if venv.exists() {
        fs::remove_dir_all(&venv)
            .map_err(|error| Trouble::new("cannot remove the old Python environment", error))?;
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&venv);
    run(make, "make a Python environment (is python3-venv installed?)").await?;
    progress.say("python: installing ministack, awslambdaric and the OpenTelemetry SDK from PyPI");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    install.args(requirements.lines());
    run(install, "install the Python packages").await?;
    fs::write(&stamp, requirements).map_err(|error| Trouble::new("cannot note what was installed", error))?;
    Ok(python)
}

fn requirements(receipt: &Path) -> Result<String, Trouble> {
    let path = receipt.join("requirements.txt");
    let of_receipt = fs::read_to_string(&path)
        .map_err(|error| Trouble::new(format!("cannot read {}", path.display()), error))?;
    Ok(format!("{MINISTACK}\n{}", of_receipt.trim_end()))
}

async fn run(mut command: Command, what: &str) -> Result<(), Trouble> {
    let failed = |error: io::Error| Trouble::new(format!("cannot {what}"), error);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut group = Group::spawn(&mut command).map_err(failed)?;
    let mut stderr = group.leader.stderr.take().expect("it is piped");
    let mut said = String::new();
    let end = async {
        stderr.read_to_string(&mut said).await?;
        group.leader.wait().await
    };
    let status = tokio::time::timeout(PATIENCE, end)
        .await
        .map_err(|_| format!("cannot {what}: it was not done after {PATIENCE:?}"))?
        .map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let lines: Vec<&str> = said.lines().collect();
    let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
    Err(format!("cannot {what}: {status}\n{}", last.join("\n")).into())
}
