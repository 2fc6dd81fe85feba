//! The whole table: every fault in both modes, a few at a time.

use std::env;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::faults::{self, Fault};
use super::managed::{self, Seen};
use super::page;
use super::play::{Measured, Mode, play};

/// Rows that run side by side: they wait more than they compute, but one machine has to be fair to all.
const ROWS_AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_fault_is_survived_and_the_page_says_so() {
    let page = page::render(&on_demand().await, &managed().await);
    if env::var_os("ROW").is_some() {
        return println!("{page}");
    }
    page::write_or_compare(&page);
}

/// Both modes of every row.
async fn on_demand() -> Vec<(Mode, Vec<Measured>)> {
    let chosen: Vec<Fault> =
        faults::all().into_iter().filter(|fault| is_chosen(fault.who, fault.what)).collect();
    let of = |mode| chosen.iter().cloned().map(move |fault| async move { (mode, play(fault, mode).await) });
    let played = side_by_side(Mode::ALL.into_iter().flat_map(of)).await;
    let of = |mode| {
        let rows = played.iter().filter(|(played_in, _)| *played_in == mode);
        (mode, rows.map(|(_, measured)| measured.clone()).collect())
    };
    Mode::ALL.map(of).into()
}

async fn managed() -> Vec<Seen> {
    let chosen = managed::all().into_iter().filter(|row| is_chosen(row.who, row.what));
    side_by_side(chosen.map(managed::play)).await
}

/// All of them, unless `ROW` chooses.
fn is_chosen(who: &str, what: &str) -> bool {
    format!("{who} {what}").contains(&env::var("ROW").unwrap_or_default())
}

/// Plays a few at a time; the results are in the order of the rows.
async fn side_by_side<T: Send + 'static>(
    rows: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let turn = Arc::new(Semaphore::new(ROWS_AT_ONCE));
    let mut playing = JoinSet::new();
    for (place, row) in rows.enumerate() {
        let (turn, row) = (Arc::clone(&turn), Box::pin(row));
        playing.spawn(async move {
            let _turn = turn.acquire().await.expect("nobody closes it");
            (place, row.await)
        });
    }
    let (mut played, mut broken) = (Vec::new(), 0);
    while let Some(row) = playing.join_next().await {
        match row {
            Ok(row) => played.push(row),
            Err(_) => broken += 1,
        }
    }
    assert_eq!(broken, 0, "so many rows do not hold; each has said above what is wrong");
    played.sort_by_key(|(place, _)| *place);
    played.into_iter().map(|(_, row)| row).collect()
}
