//! Process groups: stopped, continued, measured, through signals and /proc.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Longest wait for the kernel to stop every thread; only a thread stuck in a device driver takes longer.
const STOP_MAX: Duration = Duration::from_secs(2);
/// Looks at /proc without a pause between them: an idle process stops within microseconds, a timer takes 1 ms.
const LOOKS_AT_ONCE: u32 = 20;
/// Pause between two later looks.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Sends `signal` to a group; a group that is gone is none of our business.
pub(super) fn signal(group: i32, signal: Signal) {
    let _ = killpg(Pid::from_raw(group), signal);
}

/// Stops every process of `groups` and returns them once each of their threads is in state T.
pub(crate) async fn freeze(groups: &[i32]) -> Vec<i32> {
    let began = Instant::now();
    groups.iter().for_each(|group| signal(*group, Signal::SIGSTOP));
    // The signal reaches a whole group at once, and a fork does not complete while it is pending: there will
    // be no more members than there are now.
    let members = members(groups);
    for look in 0u32.. {
        if members.iter().all(|pid| is_stopped(*pid)) || began.elapsed() > STOP_MAX {
            break;
        }
        if look < LOOKS_AT_ONCE {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    members
}

/// Stops every process of `groups`, without waiting for it.
pub(crate) fn stop(groups: &[i32]) {
    groups.iter().for_each(|group| signal(*group, Signal::SIGSTOP));
}

/// Lets every process of `groups` run again.
pub(crate) fn thaw(groups: &[i32]) {
    groups.iter().for_each(|group| signal(*group, Signal::SIGCONT));
}

/// Peak resident memory of processes, summed up, in MB rounded up.
pub(crate) fn resident_mb(pids: &[i32]) -> u64 {
    let kilobytes: u64 = pids.iter().filter_map(|pid| peak_kb(*pid)).sum();
    kilobytes.div_ceil(1024)
}

/// Resident memory of a process now, in MB rounded up.
pub(crate) fn resident_now_mb(pid: i32) -> u64 {
    status_kb(pid, "VmRSS:").unwrap_or_default().div_ceil(1024)
}

fn peak_kb(pid: i32) -> Option<u64> {
    status_kb(pid, "VmHWM:")
}

fn status_kb(pid: i32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The living processes of `groups`. Looks at every process of the host.
pub(crate) fn members(groups: &[i32]) -> Vec<i32> {
    let Ok(all) = fs::read_dir("/proc") else { return vec![] };
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        stat(&format!("/proc/{pid}/stat")).is_some_and(|s| s.state != 'Z' && groups.contains(&s.group))
    })
    .collect()
}

/// Whether every thread of `pid` is stopped, or gone.
fn is_stopped(pid: i32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let path = thread.path().join("stat");
        stat(&path.to_string_lossy()).is_none_or(|s| matches!(s.state, 'T' | 't' | 'Z' | 'X'))
    })
}

struct Stat {
    state: char,
    group: i32,
}

fn stat(path: &str) -> Option<Stat> {
    parse_stat(&fs::read_to_string(path).ok()?)
}

/// `pid (name) state parent group …`; the name may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some(Stat { state, group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let stat = parse_stat("42 (a) b (c)) T 1 77 77 0 -1").unwrap();
        assert_eq!((stat.state, stat.group), ('T', 77));
        assert!(parse_stat("").is_none());
    }
}
