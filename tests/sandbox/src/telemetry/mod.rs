//! The Telemetry API: what is produced, who subscribed, and how batches reach the subscribers.

mod buffer;
mod event;
mod sender;
mod subscription;

pub use event::{EventKind, TelemetryEvent};

pub(crate) use sender::{DeliveryReport, Subscriber};
pub(crate) use subscription::Subscription;
