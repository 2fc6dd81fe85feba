//! What the runtime may do next: the table of its states.

/// Where the runtime stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuntimeState {
    /// Not exec'ed yet.
    Absent,
    /// Its process initialises.
    Started,
    /// It reported an error of its init.
    InitError,
    /// It waits for an invocation.
    Ready,
    /// It works on an invocation.
    Running,
    /// Its response is arriving.
    Responding,
    /// It has answered and not asked for the next invocation yet.
    Responded,
    /// Its process is gone.
    Exited,
}

/// What can happen to the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuntimeEvent {
    Spawn,
    Next,
    Invoke,
    InitError,
    /// The head of a response came.
    Response,
    /// The last byte of a response came.
    ResponseEnd,
    /// An error was reported in place of a response.
    Error,
    Exit,
}

impl RuntimeState {
    /// The state after `event`, or `None` when it is not allowed.
    pub(crate) fn on(self, event: RuntimeEvent) -> Option<Self> {
        use RuntimeEvent as E;
        Some(match (self, event) {
            (Self::Absent, E::Spawn) => Self::Started,
            // A runtime that lost its connection may ask again; the latest request counts.
            (Self::Started | Self::Responded | Self::Ready, E::Next) => Self::Ready,
            (Self::Started, E::InitError) => Self::InitError,
            (Self::Ready, E::Invoke) => Self::Running,
            (Self::Running, E::Response) => Self::Responding,
            (Self::Responding, E::ResponseEnd) | (Self::Running, E::Error) => Self::Responded,
            (_, E::Exit) => Self::Exited,
            _ => return None,
        })
    }

    /// The name in error messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Absent => "Absent",
            Self::Started => "Started",
            Self::InitError => "InitError",
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::Responding => "Responding",
            Self::Responded => "Responded",
            Self::Exited => "Exited",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RuntimeEvent as E;
    use RuntimeState as S;

    #[test]
    fn the_table() {
        let states = [
            S::Absent,
            S::Started,
            S::InitError,
            S::Ready,
            S::Running,
            S::Responding,
            S::Responded,
            S::Exited,
        ];
        let calls = [E::Next, E::InitError, E::Response, E::ResponseEnd, E::Error];
        let mut table = String::new();
        for state in states {
            let row: Vec<_> = calls.iter().map(|call| state.on(*call).map_or("-", S::name)).collect();
            table += &format!("{:10} {}\n", state.name(), row.join(" "));
        }
        let expected = "\
Absent     - - - - -
Started    Ready InitError - - -
InitError  - - - - -
Ready      Ready - - - -
Running    - - Responding - Responded
Responding - - - Responded -
Responded  Ready - - - -
Exited     - - - - -
";
        assert_eq!(table, expected);
    }
}
