//! The sandbox against real processes: what an extension, a runtime and a caller observe.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod command;
mod crashes;
mod endpoint;
mod freezing;
mod gating;
mod harness;
mod invoking;
mod managed;
mod scaling;
mod shutting_down;
mod telemetry;
mod timeouts;
