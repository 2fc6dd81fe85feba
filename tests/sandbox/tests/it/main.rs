//! The sandbox against real processes: what an extension, a runtime and a caller observe.

mod crashes;
mod endpoint;
mod freezing;
mod gating;
mod harness;
mod invoking;
mod scaling;
mod shutting_down;
mod telemetry;
mod timeouts;
