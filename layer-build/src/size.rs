//! What the layer weighs: each megabyte of binary costs about a millisecond of a cold start.

use std::fs;
use std::path::Path;

use crate::target::Target;
use crate::{Result, elf, pack};

/// The most that a layer's zip may weigh, which is what a cold start may have to fetch: the lightest of the rivals' have
/// 2.5 MB, the heaviest 5.2.
const ZIP_BYTES_MAX: usize = 3_500_000;

/// The most the stripped binary may weigh, which is what a cold start reads pages of. With every feature in it has
/// 5.76 MB (docs/performance.md, "Size", says what came with the last of it). Raise it only with a measurement of what the
/// growth buys.
const BINARY_BYTES_MAX: usize = 5_800_000;

/// The sections worth a line of the report.
const SECTIONS_SHOWN: usize = 6;

/// Reports the binary and the zip built last for `target`.
///
/// # Errors
/// When nothing was built yet, or the binary or the zip is over its limit.
pub(crate) fn print(target: Target) -> Result<()> {
    let binary = read(&pack::binary_path(target))?;
    let zip = read(&pack::layer_path(target))?;
    print!("{}", report(target, &binary, zip.len())?);
    within_limit("the zip", zip.len(), ZIP_BYTES_MAX)?;
    within_limit("the binary", binary.len(), BINARY_BYTES_MAX)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}; run `make layer` first", path.display()).into())
}

fn report(target: Target, binary: &[u8], zip_bytes: usize) -> Result<String> {
    let mut lines = vec![
        format!("prefreeze layer for {}", target.name()),
        format!("  binary  {:>10} bytes of at most {BINARY_BYTES_MAX}", binary.len()),
        format!("  zip     {zip_bytes:>10} bytes of at most {ZIP_BYTES_MAX}"),
    ];
    if let Some((major, minor)) = elf::newest_glibc(binary)? {
        lines.push(format!("  glibc   {:>10} or newer", format!("{major}.{minor}")));
    }
    for (name, bytes) in elf::sections(binary)?.into_iter().take(SECTIONS_SHOWN) {
        lines.push(format!("    {bytes:>12} {name}"));
    }
    Ok(lines.join("\n") + "\n")
}

fn within_limit(what: &str, bytes: usize, max: usize) -> Result<()> {
    if bytes > max {
        return Err(format!("{what} is {} bytes over its limit", bytes - max).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed() {
        assert!(within_limit("it", 5, 5).is_ok());
        let refusal = within_limit("it", 7, 5).expect_err("over the limit");
        assert_eq!(refusal.to_string(), "it is 2 bytes over its limit");
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
