//! OTLP as bytes: requests are scanned in place, carried unseen, and spliced together again.
//!
//! # Source
//! Field numbers: <https://github.com/open-telemetry/opentelemetry-proto/tree/v1.11.0/opentelemetry/proto>

mod announced;
mod answer;
mod chunk;
mod condense;
mod cut;
mod encode;
mod facts;
mod json;
mod measured;
mod placed;
mod readable;
mod resource;
mod scan;
mod schema;
mod splice;
mod stamp;
mod status;
mod valid;

pub use crate::proto::WireError;
pub use announced::apart;
pub use answer::{failure, failure_json, success, success_json};
pub use chunk::{Body, Record, held_bytes, keep, leave_out};
pub use json::{Converted, JsonError, convert_json, from_json};
pub use resource::Identity;
pub use scan::{Scanned, scan, scan_within};
pub use splice::{pieces, request};
