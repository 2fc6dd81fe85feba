//! What the kernel tells about a running process.

use std::fs;

use crate::Result;

/// What a process has used so far.
pub(crate) struct Usage {
    /// Resident memory, its own and shared pages alike.
    pub(crate) rss_kib: u64,
    /// The most of it that there ever was.
    pub(crate) peak_kib: u64,
    /// Time on a processor, all threads.
    pub(crate) cpu_us: u64,
    /// Pages mapped on first touch: what the size of a binary costs.
    pub(crate) page_faults: u64,
}

pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(Usage {
        rss_kib: kib(&status, "VmRSS:").ok_or("no VmRSS")?,
        peak_kib: kib(&status, "VmHWM:").ok_or("no VmHWM")?,
        cpu_us: cpu_ns(pid)? / 1000,
        page_faults: page_faults(&stat).ok_or("no minflt")?,
    })
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Fields 10 and 12 of `stat`, minor and major faults; the name in field 2 may hold blanks.
fn page_faults(stat: &str) -> Option<u64> {
    let after_name = stat.rsplit(") ").next()?;
    let fields: Vec<&str> = after_name.split(' ').collect();
    Some(fields.get(7)?.parse::<u64>().ok()? + fields.get(9)?.parse::<u64>().ok()?)
}

/// The first number of each thread's `schedstat`; `stat` itself counts in hundredths of a second.
fn cpu_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the look; what it used is then not told any more.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_forms() {
        assert_eq!(kib("Name:\tx\nVmRSS:\t    1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(page_faults("7 (a ) b) S 1 7 7 0 -1 4194304 90 0 3 0 0 0"), Some(93));
    }

    #[test]
    fn tells_of_this_process() {
        let usage = usage(std::process::id()).expect("this process is there");
        assert!(usage.rss_kib > 0 && usage.page_faults > 0 && usage.cpu_us > 0);
    }
}
