//! The last moment: what the receiver answers with 200 while the environment ends is sent, kept or counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use prost::Message;
use sandbox::ShutdownReason;
use tests::http1::{Headers, send};
use tests::otlp::{Ids, span, traces};

use super::books::{self, Books};
use super::play::event;
use super::stage::Stage;

/// Each ends an environment.
const ROUNDS: u64 = 3;
/// Senders side by side, each of which sends again as soon as it has been answered.
const SENDERS: u64 = 8;

/// They stand for a process of the function's that nobody stops, and that the end of the environment surprises.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_200_in_the_last_moment_is_accounted_for() {
    let (mut late, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let stage = Stage::set(10_000, |_| {}).await;
        stage.invoke(&event("before", 1, "good", "respond")).await;
        let told = Arc::new(Told::default());
        // The environment is frozen: their first requests are waiting when it thaws for SHUTDOWN.
        let senders: Vec<_> = (0..SENDERS)
            .map(|number| {
                let (told, receiver) = (Arc::clone(&told), stage.receiver.address());
                thread::spawn(move || send_until_the_end(receiver, 1_000 * (1 + number) + round, &told))
            })
            .collect();
        stage.strike(ShutdownReason::Spindown).await;
        senders.into_iter().for_each(|sender| sender.join().expect("it says why"));
        let history = stage.lambda.history();
        let before: u64 = books::accepted(&history).values().sum();
        let (accepted, books) = (told.accepted.load(Ordering::SeqCst), Books::read(&history));
        assert_eq!(books.received, before + accepted, "{books:?}\n{}", stage.timeline());
        late += accepted;
        refused += told.refused.load(Ordering::SeqCst);
    }
    println!("{late} spans accepted during SHUTDOWN, {refused} requests refused with 503");
    assert!(late > 0, "nothing was sent in time: the test proves nothing");
}

#[derive(Debug, Default)]
struct Told {
    accepted: AtomicU64,
    refused: AtomicU64,
}

fn send_until_the_end(receiver: SocketAddr, seed: u64, told: &Told) {
    let headers = Headers::from([("Content-Type", "application/x-protobuf")]);
    for number in 0.. {
        let late = span("late", Ids::new(seed + number));
        match send(receiver, "POST", "/v1/traces", &headers, &traces([late]).encode_to_vec()) {
            Ok(answer) if answer.status == 200 => told.accepted.fetch_add(1, Ordering::SeqCst),
            Ok(answer) => {
                assert_eq!(answer.status, 503, "the only refusal there is");
                told.refused.fetch_add(1, Ordering::SeqCst)
            }
            Err(_) => return,
        };
    }
}
