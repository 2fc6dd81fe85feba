//! The real binary from outside: what it promises to the function, to the platform and to the backend.
//!
//! It knows nothing of the extension's code: a fake platform, a fake backend and plain OTLP requests are all there is.
//! The binary is found as `tests::platform::Script` says; `make test` builds it first.

mod black_box {
    mod abuse;
    mod announced;
    mod answers;
    mod attacked;
    mod backend;
    mod bounds;
    mod calls;
    mod cardinality;
    mod causes;
    mod cold_start;
    mod completion;
    mod connections;
    mod cost;
    mod destinations;
    mod done;
    mod emulator;
    mod field;
    mod flush;
    mod hostile;
    mod judgement;
    mod lanes;
    mod late;
    mod lenient;
    mod limits;
    mod listeners;
    mod logs;
    mod managed;
    mod memory;
    mod metrics;
    mod mutated;
    mod narrow;
    mod next;
    mod privacy;
    mod proxies;
    mod queue;
    mod receiver;
    mod residency;
    mod routes;
    mod secrets;
    mod settings;
    mod shutdown;
    mod signed;
    mod spool;
    mod start;
    mod stores;
    mod summary;
    mod telemetry;
    mod tls;
    mod undescribed;
    mod world;
}
