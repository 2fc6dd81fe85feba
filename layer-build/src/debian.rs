//! A Rust compiler and an emulator for the other architecture, from Debian's packages.
//!
//! The packages are unpacked below `target/tools` and never installed: the system stays as it was, and no
//! privilege is needed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::target::Target;
use crate::tools::{output, run};

/// Debian's build of a recent Rust, kept up to date for the browsers; it brings its own LLVM.
const COMPILER: &str = "rustc-web";
const STD: &str = "libstd-rust-web-dev";
/// Runs programs of another processor; linked statically, so that it needs nothing beside it.
const EMULATOR: &str = "qemu-user-static";
/// What the compiler loads at run time: its own library, and LLVM. Their names hold version numbers.
const LIBRARIES: &[&str] = &["libstd-rust-web-", "libllvm"];

/// Whether this is a system with Debian's package tools.
pub(crate) fn is_here() -> bool {
    ["apt-get", "apt-cache", "dpkg"].iter().all(|tool| output(Command::new(tool).arg("--version")).is_ok())
}

/// The path of a `rustc` in `folder` that has the standard library of `target`; fetched when it is not there yet.
pub(crate) fn rustc(folder: &Path, target: Target) -> Result<PathBuf> {
    let wrapper = folder.join("rustc");
    if !wrapper.exists() {
        say_fetching("a Rust compiler", target, folder);
        let apt = Apt::new(folder, target)?;
        apt.fetch(&apt.compiler()?)?;
        let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
        let root = folder.join("root");
        let root = root.display();
        // The unpacked compiler looks for its libraries where they would be if it were installed.
        let line = format!("LD_LIBRARY_PATH='{root}/usr/lib/{multiarch}' exec '{root}/usr/bin/rustc' \"$@\"");
        write_wrapper(&wrapper, &line)?;
    }
    Ok(wrapper)
}

/// The path of a program in `folder` that runs a binary for `target`; fetched when it is not there yet.
pub(crate) fn emulator(folder: &Path, target: Target) -> Result<PathBuf> {
    let wrapper = folder.join("run");
    if !wrapper.exists() {
        say_fetching("an emulator and a C library", target, folder);
        let apt = Apt::new(folder, target)?;
        let library = |name: &str| format!("{name}:{}", target.debian());
        apt.fetch(&[EMULATOR.to_owned(), library("libc6"), library("libgcc-s1")])?;
        let root = folder.join("root");
        let root = root.display();
        let line = format!("exec '{root}/usr/bin/{}' -L '{root}' \"$@\"", target.emulator());
        write_wrapper(&wrapper, &line)?;
    }
    Ok(wrapper)
}

fn say_fetching(what: &str, target: Target, folder: &Path) {
    eprintln!("fetching {what} for {} from Debian into {} (once)", target.name(), folder.display());
}

/// The package tools, with lists and a cache of their own, so that both architectures can be looked up.
struct Apt {
    folder: PathBuf,
    native: String,
    foreign: &'static str,
}

impl Apt {
    fn new(folder: &Path, target: Target) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial", "debs", "root"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let native = output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned();
        let apt = Self { folder: folder.to_owned(), native, foreign: target.debian() };
        apt.get(&["update"])?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.folder.display();
        let mut command = Command::new(program);
        command.current_dir(self.folder.join("debs")).args(["-qq", "-o", "Debug::NoLocking=1"]);
        command.args([
            "-o",
            &format!("Dir::State::Lists={folder}/lists"),
            "-o",
            &format!("Dir::Cache={folder}/cache"),
        ]);
        command.args(["-o", &format!("APT::Architectures::={}", self.native)]);
        command.args(["-o", &format!("APT::Architectures::={}", self.foreign)]);
        // Its own user for downloads cannot write here, and need not.
        command.args(["-o", "APT::Sandbox::User=root"]);
        command
    }

    fn get(&self, args: &[&str]) -> Result<()> {
        run(self.command("apt-get").args(args))
    }

    /// Downloads and unpacks.
    fn fetch(&self, packages: &[String]) -> Result<()> {
        self.download(packages)?;
        self.unpack()
    }

    /// The compiler, the libraries it loads, and both standard libraries.
    fn compiler(&self) -> Result<Vec<String>> {
        let recursive =
            ["depends", "--recurse", "--important", "--no-conflicts", "--no-breaks", "--no-replaces"];
        let text = output(self.command("apt-cache").args(recursive).arg(COMPILER))?;
        let mut packages = vec![COMPILER.to_owned(), format!("{STD}:{}", self.foreign)];
        let names = text.lines().filter(|line| !line.starts_with(char::is_whitespace));
        let loaded = names.filter(|name| LIBRARIES.iter().any(|prefix| name.starts_with(prefix)));
        packages.extend(loaded.filter(|name| !name.contains(':')).map(str::to_owned));
        Ok(packages)
    }

    fn download(&self, packages: &[String]) -> Result<()> {
        let mut args = vec!["download"];
        args.extend(packages.iter().map(String::as_str));
        self.get(&args)
    }

    fn unpack(&self) -> Result<()> {
        for package in fs::read_dir(self.folder.join("debs"))? {
            run(Command::new("dpkg").arg("-x").arg(package?.path()).arg(self.folder.join("root")))?;
        }
        Ok(())
    }
}

/// A shell script of one line that can be started like the program it starts.
fn write_wrapper(wrapper: &Path, line: &str) -> Result<()> {
    fs::write(wrapper, format!("#!/bin/sh\n{line}\n"))?;
    fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
