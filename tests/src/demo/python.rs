//! The Python that the demo brings along: a virtual environment with pinned packages, made once.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

use super::{Trouble, places::Places, progress::Progress};

/// The local SQS. Its releases are frequent; this one is the one that was read and tried.
const MINISTACK: &str = "ministack==1.5.33";
/// For a slow network; the packages are 30 MB together.
const INSTALL_PATIENCE: Duration = Duration::from_secs(300);

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

    progress.say("python: installing ministack, awslambdaric and the OpenTelemetry SDK from PyPI (once)");
    if venv.exists() {
        fs::remove_dir_all(&venv)
            .map_err(|error| Trouble::new("cannot remove the old Python environment", error))?;
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&venv);
    run(make, "make a Python environment (is python3-venv installed?)").await?;
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
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(INSTALL_PATIENCE, command.output())
        .await
        .map_err(|error| Trouble::new(format!("gave up to {what}"), error))?
        .map_err(|error| Trouble::new(format!("cannot {what}"), error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!("cannot {what}: {}\n{}", output.status, last.join("\n")).into())
}
