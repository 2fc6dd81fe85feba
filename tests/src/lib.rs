//! What the end-to-end tests are made of: a backend that records, a platform that checks, and payloads.

pub mod aws;
pub mod collector;
pub mod demo;
pub mod grafana;
pub mod grpc;
pub mod http1;
pub mod metrics;
pub mod otlp;
pub mod platform;
pub mod queue;
pub mod template;
pub mod tls;
