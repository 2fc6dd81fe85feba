//! Bytes to policy's nouns and back, and nothing else: pure functions, no I/O, no clock, no async.

pub mod base64;
pub mod collector;
pub mod emf;
pub mod extensions_api;
pub mod grpc;
pub mod invocation;
pub mod key_values;
pub mod logs;
pub mod otlp;
pub mod proto;
pub mod rules;
pub mod telemetry_api;
pub mod time;
pub mod trace_context;
