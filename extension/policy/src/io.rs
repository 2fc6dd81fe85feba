//! What goes into the agent and what comes out: the seam between decisions and the world.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::entry::{Content, Entry};
use crate::guarded::Guarded;
use crate::lane::retry::Outcome;
use crate::lane::shelf::{Parked, Place};
use crate::lane::{BatchId, Effort, LaneId};
use crate::metrics::Measured;
use crate::notice::Notice;
use crate::platform::{Invoke, PlatformEvent, Shutdown, Subscription};
use crate::span::{Parcel, RequestId, Signal, Span, SpanId, TraceId};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input<B> {
    /// Start-up is over: registered, subscribed, listening.
    Ready,
    /// The environment has just been restored from a snapshot, of which there may be other copies.
    Restored {
        /// A number that no other copy is given: randomness is an input here.
        seed: u64,
    },
    /// How the subscription to the Telemetry API was answered; before [`Input::Ready`], and again if that changes.
    Subscribed(Subscription),
    /// INVOKE.
    Invoke(Invoke),
    /// SHUTDOWN.
    Shutdown(Shutdown),
    /// The function has begun to send a request to the receiver.
    Receiving,
    /// A request that was announced by [`Input::Receiving`] is over; empty when it was refused.
    Received(Receipt<B>),
    /// The function has begun these spans; each comes again when it ends, unless the function is killed.
    Announced(Vec<Span<B>>),
    /// The platform has told what the function logged.
    Logged {
        /// The invocation that it belongs to, where that is known.
        request_id: Option<RequestId>,
        /// The records.
        receipt: Receipt<B>,
    },
    /// What was hidden, changed or left out of what the function sent, up to now.
    Guarded(Guarded),
    /// The function asks for a flush: it is done with `request_id`, or with whatever runs.
    Flush {
        /// The invocation that it is done with.
        request_id: Option<RequestId>,
    },
    /// The Telemetry API told something.
    Platform(PlatformEvent),
    /// The oldest [`Output::Park`] of a lane not answered yet is on disk, or without a place could not be written.
    Parked {
        /// Whose.
        lane: LaneId,
        /// Where it is.
        place: Option<Place>,
    },
    /// What [`Output::Unpark`] asked for.
    Unparked {
        /// Who had asked.
        lane: LaneId,
        /// What was there; empty when it could not be read.
        receipt: Receipt<B>,
    },
    /// The spool of a process that was killed holds this.
    Found(Parked),
    /// The invocation that the next [`Input::Recovered`] tells of has its root: the function's own span had been accepted,
    /// or the one that was made had been delivered.
    Rooted {
        /// The invocation.
        request_id: RequestId,
        /// The trace of its root.
        trace_id: TraceId,
        /// The root.
        span_id: SpanId,
    },
    /// What that process had accepted and not yet sent, and the invocation that it died in.
    Recovered {
        /// The invocation, if its record was found.
        invoke: Option<Invoke>,
        /// [`crate::Config::seed`] of that process: the ids of the invocation's spans are made from it.
        seed: u64,
        /// What the function had sent before that invocation began: it belongs to earlier ones.
        earlier: Receipt<B>,
        /// What the function had sent since.
        receipt: Receipt<B>,
        /// Spans that it had announced and not ended.
        announced: Vec<Span<B>>,
    },
    /// More of what that process had accepted: where there are several destinations, each gets what is for it.
    Left(Receipt<B>),
    /// An export has ended.
    Exported {
        /// Which.
        id: BatchId,
        /// How.
        outcome: Outcome,
        /// Encoded bytes of it, before compression.
        raw_bytes: u64,
        /// Bytes of it on the wire.
        sent_bytes: u64,
    },
    /// Everything that was accepted before [`Output::Close`] has been handed over, and nothing more is accepted.
    Closed,
    /// [`crate::Agent::deadline`] has come.
    Tick,
}

/// What one request of the function held.
#[derive(Clone, Debug)]
pub struct Receipt<B> {
    /// Its spans, in order.
    pub spans: Vec<Span<B>>,
    /// Its metrics or logs.
    pub parcels: Vec<Parcel<B>>,
}

impl<B> Receipt<B> {
    /// A request that brought nothing.
    pub const EMPTY: Self = Self { spans: Vec::new(), parcels: Vec::new() };

    /// How many items of `signal` it holds.
    pub fn count(&self, signal: Signal) -> u64 {
        match signal {
            Signal::Traces => self.spans.len() as u64,
            _ => {
                let of_signal = self.parcels.iter().filter(|parcel| parcel.signal == signal);
                of_signal.map(|parcel| u64::from(parcel.count)).sum()
            }
        }
    }

    /// Everything in it, as entries of an outbox.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry<B>> {
        let spans = self.spans.into_iter().map(|span| Entry {
            signal: Signal::Traces,
            count: 1,
            size: span.size,
            is_precious: span.is_error,
            content: Content::Received(span.body),
            stamp: None,
            shared: None,
        });
        let parcels = self.parcels.into_iter().map(|parcel| Entry {
            signal: parcel.signal,
            count: parcel.count,
            size: parcel.size,
            is_precious: false,
            content: Content::Received(parcel.body),
            stamp: None,
            shared: None,
        });
        spans.chain(parcels)
    }
}

/// Something to be done.
#[derive(Clone, Debug)]
pub enum Output<B> {
    /// Ask the platform for the next event.
    Next,
    /// Send these entries as one request, and say how it ended with [`Input::Exported`].
    Export {
        /// Names the request.
        id: BatchId,
        /// Where it goes.
        lane: LaneId,
        /// Its content, shared with the outbox.
        entries: Arc<[Entry<B>]>,
        /// How hard to pack it.
        effort: Effort,
    },
    /// Put these entries into the spool, and say with [`Input::Parked`] how that went. Answered in the order of each lane.
    Park {
        /// The lane that they are owed to.
        lane: LaneId,
        /// What to write.
        entries: Arc<[Entry<B>]>,
    },
    /// Read this back from the spool.
    Unpark {
        /// The lane that it is owed to.
        lane: LaneId,
        /// Where it is.
        place: Place,
    },
    /// These were accepted and sampling has left them out: should they be on record, they are not to come back after a kill.
    LeftOut(Vec<B>),
    /// Let go of an export; it must not be reported any more.
    Cancel(BatchId),
    /// Idle connections are not to be trusted: the environment may have been frozen for long.
    Reconnect,
    /// Open a connection to the backend of this lane, for the exports to come. Nobody waits for it.
    Connect(LaneId),
    /// Write these points where CloudWatch reads them.
    Measured(Arc<Measured>),
    /// Say something.
    Say(Notice),
    /// The end: accept nothing more from now on, hand over what is accepted already, and say [`Input::Closed`].
    Close,
    /// Leave the process. Nothing follows.
    Exit,
}
