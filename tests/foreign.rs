//! Worlds that are not ours: programs of others that people put Prefreeze into, or behind it.
//!
//! `make foreign` installs them first, and then insists that nothing is skipped.

mod foreign {
    mod dashboards;
    mod emulator;
    mod installed;
    mod pipeline;
    mod samples;
    mod store;
    mod stores;
}
