//! The stock OpenTelemetry SDKs of Python and Node against the real extension: traces, metrics and logs, over every
//! protocol and every way in, through to the backend.
//!
//! The other way round, a queue of moto's, which checks signatures and policies, takes what the extension sends.
//!
//! Their packages install themselves once, at the versions pinned in `tests/clients`, from PyPI and npm. Where there
//! is no Node, its half is skipped, and says so. `make test` builds the extension first.

mod clients {
    mod auto;
    mod delivery;
    mod export;
    mod moto;
    mod node;
    mod python;
    mod toolbox;
}
