//! Things worth saying to whoever reads the logs: typed here, worded by the shell, each once per change.

use alloc::boxed::Box;

use crate::lane::LaneId;
use crate::ledger::{LaneBooks, Ledger};
use crate::span::Signal;

/// One thing worth saying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Data of this signal arrived, and there is no backend for it. Said once per signal.
    NoDestination(Signal),
    /// The backend refused a request for good. Said once per status and lane.
    Rejected {
        /// Whose request.
        lane: LaneId,
        /// The HTTP status; zero when the request could not even be made.
        status: u16,
    },
    /// The backend refused us: key or right are missing. What was sent is held, and it is asked once a minute. Said once per
    /// status and lane.
    Refused {
        /// Whose request.
        lane: LaneId,
        /// The HTTP status, or gRPC's.
        status: u16,
    },
    /// The backend accepted a request, but not all of its items. Said once per lane.
    PartlyRejected(LaneId),
    /// The backend refused a single item as too large, so that it was given up. Said once per lane.
    TooLarge(LaneId),
    /// Something in the spool could not be read back. Said once per lane.
    SpoolUnreadable(LaneId),
    /// The backend answers so to metrics that were made here: it knows none, and no more are made. Said once.
    NoMetrics(u16),
    /// The backend of this signal does not answer: flushes stop waiting for it until it does.
    BackendDown(LaneId),
    /// It answers again.
    BackendBack(LaneId),
    /// The bound on held bytes was reached: something was given up. Said once.
    OutboxFull(Signal),
    /// Flushes have cost what they may in this minute: data leaves beside the next invocations. Said once.
    CostCapReached,
    /// The spool cannot be written: from now on only memory keeps what is unsent. Said once.
    SpoolUnusable,
    /// A process that was killed in this environment left data behind: so many spans, which are sent now.
    Recovered(u64),
    /// The environment ends, and there are several destinations: the books of this lane.
    LaneSummary(LaneId, LaneBooks),
    /// The environment ends: its books.
    Summary(Box<Ledger>),
}
