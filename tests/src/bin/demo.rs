//! `make demo`, and with the word `hybrid` `make demo-hybrid`.

use std::process::ExitCode;

use tests::demo::Play;

/// Two workers: an environment of the sandbox must not wait while another one starts a process or cleans up.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let play = match std::env::args().nth(1).as_deref() {
        Some("hybrid") => Play::Hybrid,
        _ => Play::Payments,
    };
    Box::pin(tests::demo::run(play)).await
}
