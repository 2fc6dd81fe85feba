//! What an ELF binary asks of the machine it will run on.

use std::collections::BTreeSet;

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};

use crate::Result;
use crate::target::Target;

/// A glibc version, as (major, minor).
pub(crate) type Version = (u32, u32);

/// Refuses a binary that Lambda could not start: for another processor, or for a newer glibc than `glibc`.
///
/// Lambda would say so only at the first cold start, as a failed launch of the customer's function.
pub(crate) fn check(bytes: &[u8], target: Target, glibc: Version) -> Result<()> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let machine = header.e_machine(header.endian()?);
    if machine != target.machine() {
        return Err(format!("the binary is not for {}: ELF machine {}", target.name(), machine.0).into());
    }
    match newest_glibc(bytes)? {
        Some(needed) if needed > glibc => {
            let (major, minor) = needed;
            Err(format!("the binary needs glibc {major}.{minor}, Lambda has {}.{}", glibc.0, glibc.1).into())
        }
        _ => Ok(()),
    }
}

/// The newest glibc whose symbols the binary imports; `None` when it imports none.
pub(crate) fn newest_glibc(bytes: &[u8]) -> Result<Option<Version>> {
    Ok(needed_versions(bytes)?.iter().filter_map(|name| glibc_version(name)).max())
}

/// The names in `.gnu.version_r`: `GLIBC_2.25`, `GCC_3.0` and the like.
fn needed_versions(bytes: &[u8]) -> Result<BTreeSet<String>> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let mut names = BTreeSet::new();
    let Some((mut libraries, strings)) = sections.gnu_verneed(endian, bytes)? else { return Ok(names) };
    let strings = sections.strings(endian, bytes, strings)?;
    while let Some((_, mut versions)) = libraries.next()? {
        while let Some(version) = versions.next()? {
            names.insert(String::from_utf8_lossy(version.name(endian, strings)?).into_owned());
        }
    }
    Ok(names)
}

/// `GLIBC_2.2.5` is 2.2: the third number never decided anything after 1999.
fn glibc_version(name: &str) -> Option<Version> {
    let mut numbers = name.strip_prefix("GLIBC_")?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The sections that are loaded from the file, largest first: (name, bytes).
pub(crate) fn sections(bytes: &[u8]) -> Result<Vec<(String, u64)>> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let table = header.sections(endian, bytes)?;
    let mut sizes: Vec<(String, u64)> = table
        .iter()
        .filter_map(|section| {
            let (_, size) = section.file_range(endian)?;
            let name = table.section_name(endian, section).ok()?;
            Some((String::from_utf8_lossy(name).into_owned(), size))
        })
        .collect();
    sizes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real ELF binary that imports from glibc: this test.
    fn this_test() -> Vec<u8> {
        let path = std::env::current_exe().expect("a running test has a path");
        std::fs::read(path).expect("a running test can be read")
    }

    fn this_machine() -> Target {
        if cfg!(target_arch = "x86_64") { Target::X86_64 } else { Target::Arm64 }
    }

    fn other_machine() -> Target {
        if cfg!(target_arch = "x86_64") { Target::Arm64 } else { Target::X86_64 }
    }

    #[test]
    fn version_names() {
        assert_eq!(glibc_version("GLIBC_2.26"), Some((2, 26)));
        assert_eq!(glibc_version("GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!(glibc_version("GLIBC_PRIVATE"), None);
        assert_eq!(glibc_version("GCC_3.0"), None);
        assert!((2, 9) < (2, 26), "compared as numbers");
    }

    #[test]
    fn a_binary_for_this_machine_passes_only_with_its_own_glibc() {
        let bytes = this_test();
        let needed = newest_glibc(&bytes).expect("an ELF file").expect("linked with glibc");
        assert!(check(&bytes, this_machine(), needed).is_ok());
        let older = (needed.0, needed.1 - 1);
        let refusal = check(&bytes, this_machine(), older).expect_err("one version too old");
        assert!(refusal.to_string().contains("needs glibc"), "{refusal}");
    }

    #[test]
    fn a_binary_for_another_processor_is_refused() {
        let refusal = check(&this_test(), other_machine(), (99, 0)).expect_err("the other processor");
        assert!(refusal.to_string().contains("is not for"), "{refusal}");
    }

    #[test]
    fn something_else_is_refused() {
        assert!(check(b"#!/bin/sh", Target::X86_64, (99, 0)).is_err());
    }

    #[test]
    fn code_is_among_the_sections() {
        let sections = sections(&this_test()).expect("an ELF file");
        assert!(sections.iter().any(|(name, size)| name == ".text" && *size > 0));
        assert!(sections.is_sorted_by(|a, b| a.1 >= b.1), "largest first");
    }
}
