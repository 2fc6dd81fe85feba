//! An OTLP/HTTP backend for tests: it records everything that arrives, decodes it, and answers as it is told to.
//!
//! ```
//! use tests::collector::{Answer, Collector};
//!
//! let collector = Collector::start();
//! collector.answer([Answer::status(503), Answer::Hold]); // then 200 for ever
//! let endpoint = collector.endpoint(); // http://127.0.0.1:<port>
//! # let _ = endpoint;
//! assert!(collector.spans().is_empty());
//! ```

mod answer;
mod record;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::answer::{Answer, Reply};
pub use self::record::{ConnectionSeen, Decoded, Request, SpanSeen, State, attribute, attribute_text};
use self::server::Server;

/// How long [`Collector::expect`] waits: far more than any healthy run needs, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running backend on a port of 127.0.0.1; it ends, with every connection, when dropped.
#[derive(Debug)]
pub struct Collector {
    server: Arc<Server>,
}

impl Collector {
    /// Starts listening; every request is answered 200 until told otherwise.
    pub fn start() -> Self {
        Self { server: Server::start() }
    }

    /// The base URL, without a slash at its end: `http://127.0.0.1:<port>`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Appends answers for the next requests, one each; after the last one the standing answer holds again.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.server.script().queue.extend(answers);
    }

    /// Gives every request without a queued answer this one, from now on.
    pub fn always(&self, answer: Answer) {
        self.always_with(move |_| answer.clone());
    }

    /// Lets a function choose the answer of every request that has no queued one, from now on.
    pub fn always_with(&self, choose: impl Fn(&Request) -> Answer + Send + 'static) {
        self.server.script().standing = Box::new(choose);
    }

    /// Answers every request that [`Answer::Hold`] keeps waiting with 200, and none of the later ones.
    pub fn release(&self) {
        self.server.release();
    }

    /// Refuses connections and cuts the open ones, until [`Self::resume`].
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Listens again, on the same port.
    pub fn resume(&self) {
        self.server.listen();
    }

    /// Everything recorded so far.
    pub fn state(&self) -> State {
        self.server.state().clone()
    }

    /// Every request so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests
    }

    /// The spans that the backend has taken: those of requests it answered with 2xx, in order.
    pub fn spans(&self) -> Vec<SpanSeen> {
        self.server.state().spans()
    }

    /// The spans of all requests, taken or not.
    pub fn offered_spans(&self) -> Vec<SpanSeen> {
        self.server.state().offered_spans()
    }

    /// Blocks until `is_met` holds or `timeout` has passed; says whether it held.
    ///
    /// `is_met` is asked again at each change: a request that came in, an answer given, a connection opened or closed.
    pub fn wait_for(&self, is_met: impl Fn(&State) -> bool, timeout: Duration) -> bool {
        self.server.wait_for(is_met, Instant::now() + timeout)
    }

    /// [`Self::wait_for`] for asynchronous callers; only the calling task waits.
    pub async fn wait_for_async(&self, is_met: impl Fn(&State) -> bool, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.server.until(is_met)).await.is_ok()
    }

    /// Blocks until `is_met` holds, with a generous bound.
    ///
    /// # Panics
    /// After ten seconds, with `what` was waited for and all that was recorded.
    #[track_caller]
    pub fn expect(&self, what: &str, is_met: impl Fn(&State) -> bool) {
        let is_in_time = self.wait_for(is_met, PATIENCE);
        assert!(is_in_time, "waited {PATIENCE:?} for {what}; the backend saw:\n{}", self.state());
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.stop();
    }
}

#[cfg(test)]
mod tests;
