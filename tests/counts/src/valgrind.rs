//! Counting instructions: one case twice under valgrind, and the difference.

use std::process::Command;

use crate::Result;

/// How often a case runs in each of two processes. What is in both, from the loader to the making of the payload, is
/// in neither's difference.
const TIMES: [u64; 2] = [20, 120];

/// Whether there is one.
pub(crate) fn is_here() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Instructions of one run of `case`.
pub(crate) fn count(case: &str) -> Result<u64> {
    let [few, many] = TIMES.map(|times| count_process(&["run", case, &times.to_string()]));
    Ok((many? - few?) / (TIMES[1] - TIMES[0]))
}

/// Instructions of this program with these words.
pub(crate) fn count_process(words: &[&str]) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(words)
        // The C library copies memory as the processor likes it best: here, all are alike.
        .env(
            "GLIBC_TUNABLES",
            "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load",
        )
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("valgrind: {text}").into());
    }
    Ok(instructions(&text).ok_or_else(|| format!("no count in: {text}"))?)
}

/// The number in `==12== I refs:  1,234`, or `I   refs:` as older ones write.
fn instructions(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("refs:"))?;
    line.rsplit(' ').next()?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        assert_eq!(instructions("==1== Cachegrind\n==1== I   refs:      1,234,567\n"), Some(1_234_567));
        assert_eq!(instructions("==1== I refs: 12"), Some(12));
        assert_eq!(instructions("nothing"), None);
    }
}
