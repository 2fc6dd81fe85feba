//! What may happen next: the phases of one execution environment, as a table.
//!
//! ```text
//!              Ready            Invoke            Done              Flushed
//!  Starting ─────────► Waiting ─────────► Running ─────────► Flushing ────────┐
//!                         ▲                                                   │
//!                         └───────────────────────────────────────────────────┘
//!  Starting | Waiting | Running | Flushing ──Shutdown──► Draining ──Drained──► Exited
//! ```

/// Where the environment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Registered, and not yet asking for events.
    Starting,
    /// `/next` is asked: the environment may be frozen at any instruction.
    Waiting,
    /// An invocation runs, and its end has not been seen.
    Running,
    /// The invocation is done; what it left is on its way out.
    Flushing,
    /// SHUTDOWN was received; the last data is on its way out.
    Draining,
    /// Nothing more to do.
    Exited,
}

/// What moves the environment from one phase to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Start-up is over.
    Ready,
    /// INVOKE was received.
    Invoke,
    /// A trustworthy signal said that the invocation is over.
    Done,
    /// The data is safe, or the time for it is used up.
    Flushed,
    /// SHUTDOWN was received.
    Shutdown,
    /// As [`Event::Flushed`], for the last time.
    Drained,
}

impl Phase {
    /// Every phase, for tests and tables.
    pub const ALL: [Self; 6] =
        [Self::Starting, Self::Waiting, Self::Running, Self::Flushing, Self::Draining, Self::Exited];

    /// The phase after `event`, or `None` where the event means nothing in this phase.
    pub const fn after(self, event: Event) -> Option<Self> {
        match (self, event) {
            (Self::Starting, Event::Ready) => Some(Self::Waiting),
            // An INVOKE while another is open: the platform has moved on, whatever we believed.
            (Self::Waiting | Self::Running | Self::Flushing, Event::Invoke) => Some(Self::Running),
            (Self::Running, Event::Done) => Some(Self::Flushing),
            (Self::Flushing, Event::Flushed) => Some(Self::Waiting),
            (Self::Starting | Self::Waiting | Self::Running | Self::Flushing, Event::Shutdown) => {
                Some(Self::Draining)
            }
            (Self::Draining, Event::Drained) => Some(Self::Exited),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use alloc::format;
    use alloc::string::String;

    const EVENTS: [Event; 6] =
        [Event::Ready, Event::Invoke, Event::Done, Event::Flushed, Event::Shutdown, Event::Drained];

    #[test]
    fn the_transition_table() {
        let mut table = String::new();
        for phase in Phase::ALL {
            for event in EVENTS {
                if let Some(next) = phase.after(event) {
                    table += &format!("{phase:?} + {event:?} => {next:?}\n");
                }
            }
        }
        let expected = "\
Starting + Ready => Waiting
Starting + Shutdown => Draining
Waiting + Invoke => Running
Waiting + Shutdown => Draining
Running + Invoke => Running
Running + Done => Flushing
Running + Shutdown => Draining
Flushing + Invoke => Running
Flushing + Flushed => Waiting
Flushing + Shutdown => Draining
Draining + Drained => Exited
";
        assert_eq!(table, expected);
    }
}
