//! Every decision of Prefreeze, as one deterministic state machine.
//!
//! The life of an execution environment, as seen from here: start-up ends ([`Input::Ready`]) and the
//! platform is asked for the next event ([`Output::Next`]). [`Input::Invoke`] opens an invocation. The
//! function's spans arrive ([`Input::Received`]), the platform tells what it knows ([`Input::Platform`]),
//! and the first trustworthy signal says that the invocation is done. Its spans are completed with those
//! that only the platform's events can tell of, and leave ([`Output::Export`]) inside a budget; then the
//! platform is asked again, and may freeze everything. [`Input::Shutdown`] closes what is open, sends what
//! is left, and ends with [`Output::Exit`].
//!
//! There is no clock, socket, file, environment variable, thread or random source here, and none can be
//! named: the crate is `no_std` and depends on nothing but arithmetic. All of these arrive as inputs.

#![no_std]

extern crate alloc;

mod account;
mod agent;
mod announced;
mod budget;
mod cap;
mod config;
mod correlation;
mod entry;
mod facts;
mod guarded;
mod id;
mod io;
mod lane;
mod lanes;
mod ledger;
mod lifecycle;
mod metrics;
mod notice;
mod pace;
mod platform;
mod rng;
mod room;
mod routing;
pub mod sampling;
mod shared;
mod span;
mod stand_ins;
mod time;
mod turn;

pub use agent::Agent;
pub use config::{
    BOOKKEEPING_BYTES, Bounds, Config, Destinations, FURTHER_MAX, FlushMode, Further, RequestLimit,
    RequestLimits, SpoolMode, Takes, XrayParent,
};
pub use entry::{Content, Entry, Stamp};
pub use facts::{Body, Fact};
pub use guarded::Guarded;
pub use io::{Input, Output, Receipt};
pub use lane::batch::BatchId;
pub use lane::retry::Outcome;
pub use lane::shelf::{Parked, Place};
pub use lane::{Effort, LaneId};
pub use ledger::{Counts, DropReason, LaneBooks, Ledger};
pub use lifecycle::{Event, Phase};
pub use metrics::{
    Architecture, Attributes, Buckets, ByteCost, Cost, Definition, Histogram, Instrument, Measured,
    Measuring, Metric, Point, Prices, Reading, Temporality,
};
pub use notice::Notice;
pub use platform::{
    EndStatus, Ending, InitPhase, InitType, Invoke, PlatformEvent, Response, Shutdown, ShutdownReason,
    Subscription, Usage, XrayContext,
};
pub use rng::Rng;
pub use routing::Routes;
pub use shared::Shared;
pub use span::{Kind, Link, Parcel, PlatformSpan, RequestId, Signal, Span, SpanId, TraceId, Value};
pub use time::{Duration, Instant, UnixNanos};
