//! Every fault that the design must survive, on real processes: the real extension in a local Lambda that freezes it.
//!
//! `UPDATE=1` writes what was measured to `docs/reliability.md`; without it, the page must say what is true. `ROW=exits` plays only the
//! rows with this in their names and prints their table, and with `TIMELINE=1` what happened when.
//! The binary is `PREFREEZE_BIN`, or else `prefreeze` in the directory above the test's own; `make test` builds it first.

mod reliability {
    mod backend;
    mod books;
    mod catalogue;
    mod closing;
    mod concurrent;
    mod coverage;
    mod deaths;
    mod faults;
    mod freezes;
    mod gate;
    mod kinds;
    mod managed;
    mod outages;
    mod page;
    mod play;
    mod soak;
    mod stage;
    mod swarm;
    mod table;
}
