//! What an extension may do next: the table of its states.
//!
//! ```text
//! Started --register--> Registered --next--> Ready <--next/deliver--> Running
//! Started --launch fails--> LaunchError      Registered --init/error--> InitError
//! Registered | Ready | Running --exit/error--> ExitError
//! Ready --deliver SHUTDOWN--> ShuttingDown --exits--> Exited, --killed--> ShutdownFailed
//! any other exit --> Crashed
//! ```

/// Where an extension stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtensionState {
    /// Its process runs; it has not registered.
    Started,
    Registered,
    /// It waits for an event.
    Ready,
    /// It works on an event.
    Running,
    /// It was handed SHUTDOWN.
    ShuttingDown,
    LaunchError,
    InitError,
    ExitError,
    Exited,
    /// It was killed at the end of a shutdown.
    ShutdownFailed,
    Crashed,
}

/// What can happen to an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtensionEvent {
    LaunchFail,
    Register,
    Next,
    DeliverInvoke,
    DeliverShutdown,
    InitError,
    ExitError,
    /// Its process ended by itself while the environment was meant to live.
    Crash,
    /// Its process ended during a shutdown.
    Exit,
    /// Its process ended by the SIGKILL that closes a shutdown.
    Kill,
}

impl ExtensionState {
    /// The state after `event`, or `None` when it is not allowed.
    pub(crate) fn on(self, event: ExtensionEvent) -> Option<Self> {
        use ExtensionEvent as E;
        Some(match (self, event) {
            (Self::Started, E::Register) => Self::Registered,
            (Self::Started, E::LaunchFail) => Self::LaunchError,
            (Self::Registered | Self::Running, E::Next) => Self::Ready,
            (Self::Ready, E::DeliverInvoke) => Self::Running,
            (Self::Ready, E::DeliverShutdown) => Self::ShuttingDown,
            // A repeated report is accepted; the first one is kept.
            (Self::Registered | Self::InitError, E::InitError) => Self::InitError,
            (
                Self::Registered | Self::Ready | Self::Running | Self::ShuttingDown | Self::ExitError,
                E::ExitError,
            ) => Self::ExitError,
            // What it reported itself says more than its exit.
            (Self::InitError | Self::ExitError | Self::LaunchError, E::Crash | E::Exit | E::Kill) => self,
            (_, E::Crash) => Self::Crashed,
            (_, E::Exit) => Self::Exited,
            (_, E::Kill) => Self::ShutdownFailed,
            _ => return None,
        })
    }

    /// The name in `platform.extension` and in error messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Registered => "Registered",
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::ShuttingDown => "ShuttingDown",
            Self::LaunchError => "LaunchError",
            Self::InitError => "InitError",
            Self::ExitError => "ExitError",
            Self::Exited => "Exited",
            Self::ShutdownFailed => "ShutdownFailed",
            Self::Crashed => "Crashed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ExtensionEvent as E;
    use ExtensionState as S;

    #[test]
    fn the_table() {
        let states = [
            S::Started,
            S::Registered,
            S::Ready,
            S::Running,
            S::ShuttingDown,
            S::LaunchError,
            S::InitError,
            S::ExitError,
        ];
        let calls = [E::Register, E::Next, E::DeliverInvoke, E::DeliverShutdown, E::InitError, E::ExitError];
        let mut table = String::new();
        for state in states {
            let row: Vec<_> = calls.iter().map(|call| state.on(*call).map_or("-", S::name)).collect();
            table += &format!("{:12} {}\n", state.name(), row.join(" "));
        }
        let expected = "\
Started      Registered - - - - -
Registered   - Ready - - InitError ExitError
Ready        - - Running ShuttingDown - ExitError
Running      - Ready - - - ExitError
ShuttingDown - - - - - ExitError
LaunchError  - - - - - -
InitError    - - - - InitError -
ExitError    - - - - - ExitError
";
        assert_eq!(table, expected);
    }

    #[test]
    fn an_exit_keeps_what_the_extension_reported() {
        assert_eq!(S::Running.on(E::Crash), Some(S::Crashed));
        assert_eq!(S::InitError.on(E::Crash), Some(S::InitError));
        assert_eq!(S::ShuttingDown.on(E::Exit), Some(S::Exited));
        assert_eq!(S::ShuttingDown.on(E::Kill), Some(S::ShutdownFailed));
    }
}
