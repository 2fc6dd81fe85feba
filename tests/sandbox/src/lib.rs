//! A faithful local AWS Lambda execution environment, without Docker.
//!
//! [`Lambda`] is the service: it holds functions, answers `Invoke`, and scales execution environments out and
//! in. Each environment is one tokio task that owns a pure state machine (`machine`): HTTP requests of the
//! runtime and of the extensions, exits of processes and the clock come in as inputs; signals, telemetry and
//! answers go out as outputs. Nothing else changes the state, so there is no flag that can be seen too early
//! and no wake-up that can be missed.
//!
//! ```no_run
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use sandbox::{FunctionSpec, InvokeRequest, Lambda, LambdaConfig};
//!
//! let lambda = Lambda::start(LambdaConfig::default()).await?;
//! lambda.create_function(FunctionSpec {
//!     name: "authorize".into(),
//!     command: vec!["target/debug/authorize".into()],
//!     extensions_dir: Some("build/extensions".into()),
//!     ..FunctionSpec::default()
//! })?;
//! let outcome = lambda.invoke("authorize", InvokeRequest::json(&serde_json::json!({"amount": 12}))).await?;
//! assert_eq!(outcome.function_error, None);
//! lambda.wait_idle().await;
//! println!("{}", lambda.shutdown().await);
//! # Ok(())
//! # }
//! ```

pub mod event_source;

mod answer;
mod clock;
mod config;
mod endpoint;
mod environment;
mod faults;
mod history;
mod http_server;
mod ids;
mod invoke;
mod machine;
mod pool;
mod process;
mod runtime_api;
mod scratch;
mod service;
mod shutdown_report;
mod telemetry;
mod uplink;
mod xray;

pub use clock::Time;
pub use config::{Credentials, FunctionSpec, InitType, LambdaConfig, LogFormat, Overflow, SpecError};
pub use faults::{
    Fate, Faults, InvocationFaults, Moment, RegisterAnswer, SubscribeAnswer, TelemetryFault, TelemetryRule,
};
pub use history::{EnvironmentId, Record, Status, Timeline, TimelineEntry, What};
pub use invoke::{
    InvocationType, InvokeError, InvokeRequest, Outcome, ResponseBody, StreamAborted, StreamedOutcome,
};
pub use machine::{Exit, ShutdownReason};
pub use service::{Lambda, StartError};
pub use shutdown_report::{EnvironmentShutdown, ProcessEnd, ShutdownReport};
pub use telemetry::{EventKind, TelemetryEvent};
pub use uplink::{InFreeze, Uplink};
pub use xray::XRay;
