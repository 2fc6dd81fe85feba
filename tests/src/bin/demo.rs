//! `make demo`.

use std::process::ExitCode;

/// Two workers: an environment of the sandbox must not wait while another one starts a process or cleans up.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    Box::pin(tests::demo::run()).await
}
