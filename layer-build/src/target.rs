//! The two architectures of Lambda, and what each is called by whom.

use std::str::FromStr;

use object::elf::{EM_AARCH64, EM_X86_64, Machine};

/// Amazon Linux 2 has glibc 2.26, Amazon Linux 2023 has 2.34; one layer serves both.
pub(crate) const GLIBC: (u32, u32) = (2, 26);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    X86_64,
    Arm64,
}

impl Target {
    /// Both, in the order in which they are built.
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// The name that Lambda, SAM and our file names use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name that Rust uses.
    pub(crate) fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The name that Debian uses.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The program that runs its binaries on another processor, as qemu calls it.
    pub(crate) fn emulator(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-x86_64-static",
            Self::Arm64 => "qemu-aarch64-static",
        }
    }

    /// The number in the ELF header.
    pub(crate) fn machine(self) -> Machine {
        match self {
            Self::X86_64 => EM_X86_64,
            Self::Arm64 => EM_AARCH64,
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|target| target.name() == name)
            .ok_or_else(|| format!("\"{name}\" is neither x86_64 nor arm64"))
    }
}
