//! A helper process that outlives us just long enough to clear away what we would leave behind.
//!
//! It reads the numbers of live process groups from a pipe. When the pipe closes, however we end, it kills them
//! and removes the scratch directory. PR_SET_PDEATHSIG would reach the direct child only, and needs code between fork and exec.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

/// Signals meant for the terminal's foreground group must not end it before its work is done.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=
while read -r change group; do
    kept=
    for g in $groups; do [ "$g" = "$group" ] || kept="$kept $g"; done
    groups=$kept
    [ "$change" = + ] && groups="$groups $group"
done
for g in $groups; do kill -s KILL -- "-$g" 2>/dev/null; done
rm -rf -- "$1"
"#;

#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
    /// `None` only while dropping. The lock is held for one short write to a pipe.
    pipe: Option<Mutex<ChildStdin>>,
}

impl Watchdog {
    pub(crate) fn start(scratch: &Path) -> std::io::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sandbox-watchdog"])
            .arg(scratch)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take().expect("stdin is piped");
        Ok(Self { child, pipe: Some(Mutex::new(pipe)) })
    }

    /// From now on `group` is killed if we vanish.
    pub(crate) fn watch(&self, group: i32) {
        self.write(&format!("+ {group}\n"));
    }

    /// `group` is gone; its number may belong to somebody else soon.
    pub(crate) fn forget(&self, group: i32) {
        self.write(&format!("- {group}\n"));
    }

    fn write(&self, line: &str) {
        let pipe = self.pipe.as_ref().expect("it is open until the drop");
        let mut pipe = pipe.lock().expect("nothing panics while it writes");
        // A watchdog that somebody killed cannot help any more; the normal ways of stopping still do.
        let _ = pipe.write_all(line.as_bytes());
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It ends at once: the pipe is closed.
        let _ = self.child.wait();
    }
}
