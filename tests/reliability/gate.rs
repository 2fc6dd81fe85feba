//! Where a handler waits until the test lets it go on.

use std::future::Future;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// A gate on a port of 127.0.0.1, for one invocation.
#[derive(Debug)]
pub(crate) struct Gate {
    listener: TcpListener,
}

impl Gate {
    pub(crate) async fn new() -> Self {
        Self { listener: TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound socket has an address")
    }

    /// Waits for the handler, and keeps it until `done` resolves.
    pub(crate) async fn hold<T>(self, done: impl Future<Output = T>) -> T {
        self.pass(done).await
    }

    /// The same for the next of several that come one after the other.
    pub(crate) async fn pass<T>(&self, done: impl Future<Output = T>) -> T {
        let _handler = self.listener.accept().await.expect("the handler comes");
        done.await
    }

    /// Waits until so many handlers are there; they go on when what is returned is dropped.
    pub(crate) async fn filled(&self, count: usize) -> Vec<TcpStream> {
        let mut inside = Vec::new();
        while inside.len() < count {
            inside.push(self.listener.accept().await.expect("the handlers come").0);
        }
        inside
    }

    /// Keeps the handler until `done` resolves, if it comes at all: it may be ended before it gets so far.
    pub(crate) async fn hold_if_it_comes<T>(self, done: impl Future<Output = T>) -> T {
        let kept = async {
            let _handler = self.listener.accept().await.expect("a listener accepts");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            seen = done => seen,
            () = kept => unreachable!("it is kept for ever"),
        }
    }
}
