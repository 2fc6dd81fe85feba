//! Process groups: stopped, continued, measured, through signals and /proc.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Longest wait for the kernel to stop every thread; only a thread stuck in a device driver takes longer.
const STOP_MAX: Duration = Duration::from_secs(2);
/// Pause between two looks at /proc.
const LOOK_AGAIN: Duration = Duration::from_micros(100);

/// Sends `signal` to a group; a group that is gone is none of our business.
pub(super) fn signal(group: i32, signal: Signal) {
    let _ = killpg(Pid::from_raw(group), signal);
}

/// Stops every process of `groups` and returns how many there are once each of their threads is in state T.
pub(crate) async fn freeze(groups: &[i32]) -> usize {
    let began = Instant::now();
    groups.iter().for_each(|group| signal(*group, Signal::SIGSTOP));
    loop {
        let members = members(groups);
        if members.iter().all(|pid| is_stopped(*pid)) || began.elapsed() > STOP_MAX {
            return members.len();
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Lets every process of `groups` run again.
pub(crate) fn thaw(groups: &[i32]) {
    groups.iter().for_each(|group| signal(*group, Signal::SIGCONT));
}

/// Peak resident memory of all processes of `groups`, summed up, in MB rounded up.
pub(crate) fn resident_mb(groups: &[i32]) -> u64 {
    let kilobytes: u64 = members(groups).iter().filter_map(|pid| peak_kb(*pid)).sum();
    kilobytes.div_ceil(1024)
}

fn peak_kb(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The living processes of `groups`.
fn members(groups: &[i32]) -> Vec<i32> {
    let Ok(all) = fs::read_dir("/proc") else { return vec![] };
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| stat(&format!("/proc/{pid}/stat")).is_some_and(|s| s.state != 'Z' && groups.contains(&s.group)))
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
