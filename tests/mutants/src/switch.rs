//! Which mutant is on: the one whose number is in the variable `MUTANT`. Written into the copy of the workspace.
//!
//! `MUTANT=trace` turns none on, and writes into the file `MUTANT_TRACE` which test reaches which mutant.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

/// Nobody has asked yet.
const UNREAD: u32 = u32::MAX;
const TRACING: u32 = u32::MAX - 1;

static CHOSEN: AtomicU32 = AtomicU32::new(UNREAD);

thread_local! {
    /// What this thread has reached. Every test has a thread of its own.
    static REACHED: RefCell<HashSet<u32>> = RefCell::default();
}

/// Whether one of these mutants is on.
#[inline]
pub fn is_any(mutants: &[u32]) -> bool {
    let chosen = CHOSEN.load(Ordering::Relaxed);
    if chosen < TRACING { mutants.contains(&chosen) } else { look(mutants) }
}

#[cold]
fn look(mutants: &[u32]) -> bool {
    if CHOSEN.load(Ordering::Relaxed) == UNREAD {
        CHOSEN.store(read(), Ordering::Relaxed);
        return is_any(mutants);
    }
    REACHED.with_borrow_mut(|reached| {
        mutants.iter().filter(|mutant| reached.insert(**mutant)).for_each(|mutant| trace(*mutant));
    });
    false
}

fn read() -> u32 {
    if std::env::var_os("MUTANT_DIES_AT_ONCE").is_some() {
        // One test that fails is enough.
        std::panic::set_hook(Box::new(|_| std::process::exit(101)));
    }
    match std::env::var("MUTANT") {
        Ok(text) if text == "trace" => TRACING,
        Ok(text) => text.parse().expect("a mutant has a number"),
        Err(_) => 0,
    }
}

fn trace(mutant: u32) {
    let path = std::env::var_os("MUTANT_TRACE").expect("there is a file for the trace");
    let thread = std::thread::current();
    let line = format!("{mutant}\t{}\n", thread.name().unwrap_or_default());
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the trace can be written");
}
