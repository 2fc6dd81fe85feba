//! `make demo`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    Box::pin(tests::demo::run()).await
}
