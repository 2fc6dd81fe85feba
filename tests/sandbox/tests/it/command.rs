//! The command, from outside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::is_alive;

/// A scratch directory with one extension in it.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sandbox-command-{}-{name}", std::process::id()));
        std::fs::create_dir_all(dir.join("extensions")).unwrap();
        let link = dir.join("extensions/tracer");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fixture-extension"), link).unwrap();
        Self(dir)
    }

    fn command(&self, action: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        let extensions = self.0.join("extensions").display().to_string();
        let out = format!("FIXTURE_OUT={}", self.0.display());
        command.env("TMPDIR", self.0.join("tmp"));
        command.args([action, "--extensions", &extensions, "--env", &out, "--env", "RUNTIME_INIT=log"]);
        command
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn wait_until_gone(pids: &[u32]) {
    let began = Instant::now();
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(began.elapsed() < Duration::from_secs(10), "left behind: {pids:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts `sandbox run` with one provisioned environment; returns once that is frozen.
fn running(dir: &Dir) -> (Child, Vec<u32>) {
    let mut child = dir
        .command("run")
        .args(["--provisioned", "1", "--", env!("CARGO_BIN_EXE_fixture-runtime")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut pids = vec![];
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    for line in &mut lines {
        if let Some((_, pid)) = line.split_once("started, pid ") {
            pids.push(pid.parse().unwrap());
        }
        if line.contains("frozen (2 processes)") {
            break;
        }
    }
    assert_eq!(pids.len(), 2);
    // Somebody has to read what else it says.
    std::thread::spawn(move || lines.count());
    (child, pids)
}

fn signal(child: &Child, signal: &str) {
    Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
}

#[test]
fn invoke_prints_the_answer_and_the_story() {
    let dir = Dir::new("invoke");
    let run = ["--payload", r#"{"do":"log"}"#, "--count", "2", "--", env!("CARGO_BIN_EXE_fixture-runtime")];
    let output = dir.command("invoke").args(run).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\"logged\"\n\"logged\"\n");
    assert!(output.status.success());
    let story = String::from_utf8_lossy(&output.stderr);
    for part in ["INVOKE (cold)", "INVOKE (warm)", "function | line 0", "frozen", "SHUTDOWN handed to tracer"]
    {
        assert!(story.contains(part), "{part}\n{story}");
    }
}

/// Two environments on one machine: a frozen one keeps its ports, and the other has others.
#[test]
fn each_environment_has_ports_of_its_own() {
    let dir = Dir::new("ports");
    let options = ["--port", "http", "--port", "grpc", "--env", "ADDRESS=127.0.0.1:{http},{grpc},{more}"];
    let busy = ["--payload", r#"{"do":"env","ms":200}"#, "--count", "2", "--at-once"];
    let mut command = dir.command("invoke");
    let output = command
        .args(options)
        .args(busy)
        .args(["--", env!("CARGO_BIN_EXE_fixture-runtime")])
        .output()
        .unwrap();
    let answers = String::from_utf8_lossy(&output.stdout).into_owned();
    let address = |line: &str| -> String {
        let variables: serde_json::Value = serde_json::from_str(line).unwrap();
        variables["ADDRESS"].as_str().unwrap().to_owned()
    };
    let addresses: Vec<_> = answers.lines().map(address).collect();
    let ports: std::collections::BTreeSet<&str> =
        addresses.iter().flat_map(|address| address["127.0.0.1:".len()..].split(',')).collect();
    let numbers = ports.iter().filter(|port| port.parse::<u16>().is_ok()).count();
    assert_eq!((numbers, ports.len()), (4, 5), "four ports, and what names none stays: {addresses:?}");
}

#[test]
fn each_of_several_functions_has_variables_of_its_own() {
    let dir = Dir::new("functions");
    let function = format!("name=one,command={},env.TABLE=orders", env!("CARGO_BIN_EXE_fixture-runtime"));
    let output = dir
        .command("invoke")
        .args(["--env", "SHARED=yes", "--payload", r#"{"do":"env"}"#, "--function", &function])
        .output()
        .unwrap();
    let variables: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((variables["TABLE"].as_str(), variables["SHARED"].as_str()), (Some("orders"), Some("yes")));
}

/// As AWS's emulator: the extension is refused telemetry, and nothing is frozen.
#[test]
fn an_emulator_tells_nothing_and_freezes_nothing() {
    let dir = Dir::new("emulator");
    let run = ["--emulator", "--count", "2", "--", env!("CARGO_BIN_EXE_fixture-runtime")];
    let output = dir.command("invoke").args(run).output().unwrap();
    let story = String::from_utf8_lossy(&output.stderr);
    assert!(story.contains("INVOKE (warm)") && !story.contains("frozen"), "{story}");
    let seen = std::fs::read_to_string(dir.0.join("tracer.events")).unwrap();
    assert!(seen.contains("\"shutdownReason\":\"SandboxTerminated\""), "{seen}");
}

#[test]
fn invoke_fails_when_the_function_fails() {
    let dir = Dir::new("fail");
    let run = ["--payload", r#"{"do":"error"}"#, "--", env!("CARGO_BIN_EXE_fixture-runtime")];
    let output = dir.command("invoke").args(run).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn wrong_options_are_named() {
    for (arguments, part) in [
        (vec!["run"], "no function"),
        (vec!["run", "--nonsense"], "--nonsense"),
        (vec!["run", "--function", "name=a,command=true,colour=red"], "colour"),
        (vec!["run", "--memory", "1", "--", "true"], "memory must be"),
        (vec!["run", "--vm-freeze", "lost", "--", "true"], "needs --uplink"),
        (vec!["run", "--uplink", "URL", "--vm-freeze", "soon", "--", "true"], "soon"),
        (vec!["run", "--uplink", "URL", "--vm-freeze", "late:30", "--", "true"], "no variable URL"),
        (vec!["fly"], "fly"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_sandbox")).args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
}

#[test]
fn an_interrupt_ends_everything_in_order() {
    let dir = Dir::new("interrupt");
    let (mut child, pids) = running(&dir);
    signal(&child, "-INT");
    assert!(child.wait().unwrap().success());
    wait_until_gone(&pids);
    assert!(
        std::fs::read_dir(dir.0.join("tmp")).unwrap().next().is_none(),
        "the scratch directory is gone too"
    );
    let seen = std::fs::read_to_string(dir.0.join("tracer.events")).unwrap();
    assert!(seen.contains("\"shutdownReason\":\"spindown\""), "{seen}");
}

#[test]
fn nothing_survives_a_sandbox_that_is_killed() {
    let dir = Dir::new("kill");
    let (mut child, pids) = running(&dir);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    signal(&child, "-KILL");
    child.wait().unwrap();
    wait_until_gone(&pids);
    let began = Instant::now();
    while std::fs::read_dir(dir.0.join("tmp")).unwrap().next().is_some() {
        assert!(began.elapsed() < Duration::from_secs(10), "the scratch directory is left behind");
        std::thread::sleep(Duration::from_millis(2));
    }
}
