//! How environments and their processes ended.

use std::fmt;

use crate::history::EnvironmentId;
use crate::machine::{Exit, ShutdownReason};

/// How the environments ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShutdownReport {
    /// One entry for each environment that was there, in order of creation.
    pub environments: Vec<EnvironmentShutdown>,
}

/// How one environment ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvironmentShutdown {
    /// Which.
    pub environment: EnvironmentId,
    /// Of which function.
    pub function: String,
    /// Why it was shut down.
    pub reason: ShutdownReason,
    /// Its processes, in the order of their end; empty when it had none left.
    pub ends: Vec<ProcessEnd>,
}

/// How one process ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessEnd {
    /// `runtime`, or the name of the extension.
    pub process: String,
    /// Exit status or signal.
    pub exit: Exit,
    /// Milliseconds from the trigger of the shutdown.
    pub after_ms: f64,
}

impl ProcessEnd {
    /// Whether SIGKILL ended it.
    pub fn was_killed(&self) -> bool {
        self.exit == Exit::Signal(9)
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} environments shut down", self.environments.len())?;
        for environment in &self.environments {
            write!(f, "\n  {} of {}:", environment.environment, environment.function)?;
            if environment.ends.is_empty() {
                f.write_str(" had no processes")?;
            }
            for end in &environment.ends {
                write!(f, " {} {} after {:.1} ms;", end.process, end.exit, end.after_ms)?;
            }
        }
        Ok(())
    }
}
