//! The whole table: every fault in both modes, a few at a time.

use std::env;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::faults::{self, Fault};
use super::page;
use super::play::{Measured, Mode, play};

/// Rows that run side by side: they wait more than they compute, but one machine has to be fair to all.
const ROWS_AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_fault_is_survived_and_the_page_says_so() {
    let tables = run().await;
    if env::var_os("ROW").is_some() {
        return println!("{}", page::render(&tables));
    }
    page::write_or_compare(&page::render(&tables));
}

async fn run() -> Vec<(Mode, Vec<Measured>)> {
    let turn = Arc::new(Semaphore::new(ROWS_AT_ONCE));
    let mut rows = JoinSet::new();
    let chosen = env::var("ROW").unwrap_or_default();
    let is_chosen = |(_, fault): &(usize, Fault)| format!("{} {}", fault.who, fault.what).contains(&chosen);
    for (place, fault) in faults::all().into_iter().enumerate().filter(is_chosen) {
        for mode in Mode::ALL {
            let (turn, fault) = (Arc::clone(&turn), fault.clone());
            rows.spawn(async move {
                let _turn = turn.acquire().await.expect("nobody closes it");
                (mode, place, Box::pin(play(fault, mode)).await)
            });
        }
    }
    let (mut played, mut broken) = (Vec::new(), 0);
    while let Some(row) = rows.join_next().await {
        match row {
            Ok(row) => played.push(row),
            Err(_) => broken += 1,
        }
    }
    assert_eq!(broken, 0, "so many rows do not hold; each has said above what is wrong");
    played.sort_by_key(|(_, place, _)| *place);
    let of = |mode| {
        let rows = played.iter().filter(|(played_in, ..)| *played_in == mode);
        (mode, rows.map(|(.., measured)| measured.clone()).collect())
    };
    Mode::ALL.map(of).into()
}
