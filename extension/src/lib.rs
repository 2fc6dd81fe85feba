//! Prefreeze: the shell around `policy`. Sockets, clocks and files on one side, decisions on the other.

pub mod aws;
mod caught;
pub mod clock;
pub mod doctor;
pub mod driver;
pub mod explain;
pub mod exporter;
pub mod guarding;
mod http;
mod instance;
pub mod intake;
pub mod lambda;
mod life;
mod listening;
pub mod log;
mod memory;
pub mod recovery;
pub mod reference;
pub mod settings;
pub mod spool;
pub mod telemetry;

pub use life::{Step, run, run_through};
