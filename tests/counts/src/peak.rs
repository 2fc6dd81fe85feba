//! How much memory a request takes at most, at one length, at twice and at four times that: in a process of its own each,
//! by what the kernel says of it.

use std::process::Command;

use crate::Result;
use crate::payload::{
    empty_groups, empty_groups_json, empty_points, hidden_values, long_buckets, small_hashes, small_spans,
    small_texts,
};

/// One kind of request, and the most that receiving one of the longest may take, in KiB: it, and what is made of it.
pub(crate) struct Peak {
    pub(crate) name: &'static str,
    pub(crate) run: fn(usize),
    pub(crate) max_kib: u64,
}

/// What was 471 MB for 16 MiB of empty groups, 329 MB for such a JSON, 1.2 GB for small spans under a large resource, 550 MB for
/// empty points, 242 MB for an array of small texts, and 249 MB for long buckets.
pub(crate) const PEAKS: &[Peak] = &[
    Peak { name: "empty-groups", run: empty_groups, max_kib: 24 << 10 },
    Peak { name: "empty-groups-json", run: empty_groups_json, max_kib: 44 << 10 },
    Peak { name: "small-spans", run: small_spans, max_kib: 60 << 10 },
    Peak { name: "empty-points", run: empty_points, max_kib: 24 << 10 },
    Peak { name: "small-texts", run: small_texts, max_kib: 24 << 10 },
    Peak { name: "small-hashes", run: small_hashes, max_kib: 44 << 10 },
    Peak { name: "hidden-values", run: hidden_values, max_kib: 44 << 10 },
    Peak { name: "long-buckets", run: long_buckets, max_kib: 44 << 10 },
];
/// The last one is the longest body that is received.
pub(crate) const LENGTHS: [usize; 3] = [4 << 20, 8 << 20, 16 << 20];

/// The most memory that this process has had, in KiB.
pub(crate) fn of_this_process() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no such line")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

/// Measures every kind at every length.
pub(crate) fn measure() -> Result<Vec<(&'static Peak, [u64; 3])>> {
    let peak = |name: &str, length: usize| -> Result<u64> {
        let words = ["peak", name, &length.to_string()];
        let output = Command::new(std::env::current_exe()?).args(words).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    let of = |kind: &'static Peak| -> Result<(&'static Peak, [u64; 3])> {
        let mut peaks = [0; 3];
        for (found, length) in peaks.iter_mut().zip(LENGTHS) {
            *found = peak(kind.name, length)?;
        }
        Ok((kind, peaks))
    };
    PEAKS.iter().map(of).collect()
}

/// A line for each kind, and whether none takes more than it may, or grows faster than the request.
pub(crate) fn compare(measured: &[(&Peak, [u64; 3])]) -> (String, bool) {
    let (mut lines, mut is_held) = (String::new(), true);
    for (kind, peaks) in measured {
        let grows = peaks.windows(2).any(|pair| pair[1] * 10 >= pair[0] * crate::growth::RATIO_MAX);
        let is_large = peaks[2] > kind.max_kib;
        is_held &= !grows && !is_large;
        let word = match (grows, is_large) {
            (true, _) => "  grows faster than the request",
            (_, true) => "  takes more than it may",
            _ => "",
        };
        let of = format!("{} and {} and {} KiB of {}", peaks[0], peaks[1], peaks[2], kind.max_kib);
        lines += &format!("  {:24} {of}{word}\n", kind.name);
    }
    (lines, is_held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_and_too_fast_are_found() {
        let kind = Peak { name: "x", run: |_| {}, max_kib: 400 };
        let rows = [([100, 200, 400], true), ([100, 260, 300], false), ([200, 300, 401], false)];
        for (peaks, expected) in rows {
            assert_eq!(compare(&[(&kind, peaks)]).1, expected, "{peaks:?}");
        }
    }
}
