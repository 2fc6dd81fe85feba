//! The layer's binary in a root file system with nothing but a C library: OS-only runtimes and images of all kinds.
//!
//! No `/etc`, no certificates, no shell, no `/proc`, and everything read-only.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::platform::{Platform, Script};
use tests::tls::TlsBackend;

use super::made::{Layer, skip};
use super::story;

/// Binds the root over itself, so that it can be made read-only, and starts what is in it. `$1` is the root, `$2` the
/// kind of `/tmp`.
const ENTER: &str = r#"set -e
PATH=$PATH:/usr/sbin:/sbin
mount --bind "$1" "$1"
[ "$2" = read-only ] || mount -t tmpfs tmpfs "$1/tmp"
mount -o remount,bind,ro "$1"
exec chroot "$1" /opt/extensions/prefreeze"#;

#[test]
fn it_works_with_tmp() {
    let Some(root) = Root::make("with-tmp") else { return };
    story::play(root.script("writable"));
}

#[test]
fn it_works_without_any_place_to_write() {
    let Some(root) = Root::make("read-only") else { return };
    story::play(root.script("read-only"));
}

#[test]
fn it_speaks_tls_without_a_certificate_on_disk() {
    let Some(root) = Root::make("tls") else { return };
    // By its address: `localhost` is a line of /etc/hosts, which is not there.
    let backend = TlsBackend::start_by_address();
    backend.write_authority(&root.0.join("opt/authority.pem"));
    let script = root.script("read-only").env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", backend.endpoint());

    // Without it, only the roots inside of the binary are asked, and they do not know this backend.
    let platform = Platform::ready(&script);
    story::invoke(&platform, "r-1", 1);
    let summary = story::close(&platform);
    let unsent = &summary["dropped"]["shutdown"];
    assert_eq!((&summary["exported"], unsent), (&0.into(), &1.into()), "{summary}");
    assert!(backend.bodies().is_empty(), "a stranger was trusted");

    let trusted = script.env("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", "/opt/authority.pem");
    let platform = Platform::ready(&trusted);
    story::invoke(&platform, "r-2", 2);
    assert_eq!(story::close(&platform)["exported"], 1);
    assert!(!backend.bodies().is_empty(), "metrics may come beside the span");
}

/// A folder that is a root file system: the extension, the dynamic linker, and the libraries that it loads.
struct Root(PathBuf);

impl Root {
    /// `None` where there is no layer, or the kernel does not let us have a root of our own.
    fn make(name: &str) -> Option<Self> {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("roots").join(name);
        fs::remove_dir_all(&root).ok();
        let binary = Layer::native().binary(&root.join("opt/extensions"))?;
        if !Command::new("unshare")
            .args(["--map-root-user", "--mount", "true"])
            .status()
            .is_ok_and(|status| status.success())
        {
            skip("no root file system of our own: unshare is not permitted");
            return None;
        }
        fs::create_dir_all(root.join("tmp")).expect("the target folder is ours");
        for library in libraries(&binary) {
            let copy = root.join(library.strip_prefix("/").expect("ldd names whole paths"));
            fs::create_dir_all(copy.parent().expect("a file in a folder"))
                .expect("the target folder is ours");
            fs::copy(&library, copy).expect("a library of this machine");
        }
        Some(Self(root))
    }

    fn script(&self, tmp: &str) -> Script {
        let enter = ["unshare", "--map-root-user", "--mount", "/bin/sh", "-c", ENTER, "enter"];
        let words = enter.map(PathBuf::from).into_iter().chain([self.0.clone(), tmp.into()]);
        Script::new().program(words).env("TMPDIR", "/tmp")
    }
}

/// The dynamic linker and the libraries, as `ldd` prints them: `libc.so.6 => /lib/…/libc.so.6 (0x…)`.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(binary).output().expect("ldd is beside the C library");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}
