//! What the layer weighs: each megabyte of binary costs about a millisecond of a cold start.

use std::fs;
use std::path::Path;

use crate::target::Target;
use crate::{Result, elf, pack};

/// The most the stripped binary may weigh. Raise it only with a measurement of what the growth buys.
const BINARY_BYTES_MAX: u64 = 3_500_000;

/// The sections worth a line of the report.
const SECTIONS_SHOWN: usize = 6;

/// Reports the binary and the zip built last for `target`.
///
/// # Errors
/// When nothing was built yet, or the binary is over the limit.
pub(crate) fn print(target: Target) -> Result<()> {
    let binary = read(&pack::binary_path(target))?;
    let zip = read(&pack::layer_path(target))?;
    print!("{}", report(target, &binary, zip.len())?);
    within_limit(binary.len() as u64)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}; run `make layer` first", path.display()).into())
}

fn report(target: Target, binary: &[u8], zip_bytes: usize) -> Result<String> {
    let mut lines = vec![
        format!("prefreeze layer for {}", target.name()),
        format!("  binary  {:>10} bytes of at most {BINARY_BYTES_MAX}", binary.len()),
        format!("  zip     {zip_bytes:>10} bytes"),
    ];
    if let Some((major, minor)) = elf::newest_glibc(binary)? {
        lines.push(format!("  glibc   {:>10} or newer", format!("{major}.{minor}")));
    }
    for (name, bytes) in elf::sections(binary)?.into_iter().take(SECTIONS_SHOWN) {
        lines.push(format!("    {bytes:>12} {name}"));
    }
    Ok(lines.join("\n") + "\n")
}

fn within_limit(bytes: u64) -> Result<()> {
    if bytes > BINARY_BYTES_MAX {
        return Err(format!("the binary is {} bytes over its limit", bytes - BINARY_BYTES_MAX).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed() {
        assert!(within_limit(BINARY_BYTES_MAX).is_ok());
        assert!(within_limit(BINARY_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn the_report_names_size_limit_and_code() {
        let binary = fs::read(std::env::current_exe().expect("a running test has a path")).expect("readable");
        let report = report(Target::Arm64, &binary, 123).expect("an ELF file");
        assert!(report.starts_with("prefreeze layer for arm64\n"), "{report}");
        assert!(report.contains(&format!("{} bytes of at most", binary.len())), "{report}");
        assert!(report.contains(".text"), "{report}");
    }
}
