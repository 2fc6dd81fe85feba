//! The sockets of the backend: a thread that accepts, a thread for each connection, and the state they share.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::answer::{Answer, Script};
use super::record::{ConnectionSeen, Decoded, Request, State};
use crate::http1::{Connection, Head, Reserved, Response, stop_listening};

/// The state, and the two ways of being told that it changed.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    script: Mutex<Script>,
    gate: Mutex<Gate>,
    changed: Condvar,
    changed_async: Notify,
    moved: Condvar,
}

/// What ends a wait before an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Gate {
    /// Counts the calls of `release`.
    releases: u64,
    /// Counts the calls of `stop`.
    stops: u64,
}

/// The sockets.
#[derive(Debug)]
pub(super) struct Server {
    shared: Shared,
    port: Reserved,
    /// Handles by which `stop` ends what blocks.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    listener: Option<TcpListener>,
    /// By the index of the connection.
    streams: BTreeMap<usize, TcpStream>,
}

/// A poisoned lock only says that another thread of the test failed: its data is still good to print.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    pub(super) fn start() -> Arc<Self> {
        let server =
            Arc::new(Self { shared: Shared::default(), port: Reserved::new(), open: Mutex::default() });
        server.listen();
        server
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.shared.script)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Listens, unless it does already.
    pub(super) fn listen(self: &Arc<Self>) {
        let mut open = lock(&self.open);
        if open.listener.is_some() {
            return;
        }
        let listener = self.port.listen();
        open.listener = Some(listener.try_clone().expect("a file descriptor is free"));
        let server = Arc::clone(self);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                server.accept(stream);
            }
        });
    }

    /// Refuses connections, cuts the open ones and ends every wait.
    pub(super) fn stop(&self) {
        let mut open = lock(&self.open);
        if let Some(listener) = open.listener.take() {
            stop_listening(&listener);
        }
        for stream in open.streams.values() {
            stream.shutdown(Shutdown::Both).ok();
        }
        lock(&self.shared.gate).stops += 1;
        self.shared.moved.notify_all();
    }

    pub(super) fn release(&self) {
        lock(&self.shared.gate).releases += 1;
        self.shared.moved.notify_all();
    }

    fn accept(self: &Arc<Self>, stream: TcpStream) {
        let mut open = lock(&self.open);
        // A connection that was accepted while `stop` ran is cut like the others.
        if open.listener.is_none() {
            return;
        }
        let index = self.change(|state| {
            state.connections.push(ConnectionSeen { opened: Instant::now(), requests: 0, closed: None });
            state.connections.len() - 1
        });
        open.streams.extend(stream.try_clone().map(|handle| (index, handle)));
        let server = Arc::clone(self);
        thread::spawn(move || {
            let mut connection = Connection::new(stream);
            // A sender that goes away in the middle of something is no error of the backend.
            let is_reset = server.serve(&mut connection, index).unwrap_or(false);
            // The other handle first: a socket is closed, or reset, with its last handle.
            lock(&server.open).streams.remove(&index);
            if is_reset {
                connection.reset();
            } else {
                drop(connection);
            }
            server.change(|state| state.connections[index].closed = Some(Instant::now()));
        });
    }

    /// Changes the state and tells everyone who waits for that.
    fn change<T>(&self, apply: impl FnOnce(&mut State) -> T) -> T {
        let result = apply(&mut self.state());
        self.shared.changed.notify_all();
        self.shared.changed_async.notify_waiters();
        result
    }

    /// Answers one request after the other; says whether the connection ends with a reset.
    fn serve(&self, connection: &mut Connection, index: usize) -> io::Result<bool> {
        while let Some(head) = connection.read_head()? {
            self.change(|state| state.connections[index].requests += 1);
            let mut request = Request::new(head.clone(), index);
            let answer = self.script().next(&request);
            if let Answer::Reset(bytes) = answer {
                request.wire = read_some(connection, &head, bytes)?;
                self.record(request);
                return Ok(true);
            }
            let body = connection.read_body(&head)?;
            let gate = *lock(&self.shared.gate);
            request.complete(body);
            let arrived = request.arrived;
            let answer = match (answer, &request.decoded) {
                (Answer::Strict, Decoded::Undecodable(_)) => Answer::status(400),
                (Answer::Strict, _) => Answer::ok(),
                (Answer::Read(reader), _) => reader.answer(&request),
                (Answer::Aws(endpoint), _) => endpoint.answer(&request),
                (Answer::AwsAfter(wait, endpoint), _) => match endpoint.answer(&request) {
                    Answer::Reply(reply) => Answer::After(wait, reply),
                    other => other,
                },
                (answer, _) => answer,
            };
            self.record(request);
            if !self.give(connection, &answer, gate, (index, arrived))? {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Lists a request where its arrival puts it.
    fn record(&self, request: Request) {
        self.change(|state| {
            let place = state.requests.partition_point(|other| other.arrived <= request.arrived);
            state.requests.insert(place, request);
        });
    }

    /// Gives the answer; `false` when the connection ends with it.
    fn give(
        &self,
        connection: &mut Connection,
        answer: &Answer,
        gate: Gate,
        request: (usize, Instant),
    ) -> io::Result<bool> {
        match answer {
            Answer::Reply(reply) => self.reply(connection, reply, request)?,
            Answer::After(wait, reply) => {
                if self.wait(gate, Some(*wait)).stops != gate.stops {
                    return Ok(false);
                }
                self.reply(connection, reply, request)?;
            }
            Answer::Dripping(pause, reply) => {
                let bytes = reply.to_bytes();
                let (head, body) = bytes.split_at(bytes.len() - reply.body.len());
                connection.write(head)?;
                for byte in body {
                    if self.wait(gate, Some(*pause)).stops != gate.stops {
                        return Ok(false);
                    }
                    connection.write(&[*byte])?;
                }
                self.note(request, &|request| {
                    request.status = Some(reply.status);
                    request.answered = Some(Instant::now());
                });
            }
            Answer::Hold => {
                if self.wait(gate, None).stops != gate.stops {
                    return Ok(false);
                }
                self.reply(connection, &Response::new(200), request)?;
            }
            Answer::CutShort => {
                let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n\x0a";
                return connection.write(cut).map(|()| false);
            }
            Answer::Raw(bytes) => return connection.write(bytes).map(|()| false),
            // The first has become one of the others; see above.
            Answer::Strict
            | Answer::Read(_)
            | Answer::Aws(_)
            | Answer::AwsAfter(..)
            | Answer::Close
            | Answer::Reset(_) => {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes an answer. The status is noted first: who has read it must find it in the record.
    fn reply(
        &self,
        connection: &mut Connection,
        reply: &Response,
        request: (usize, Instant),
    ) -> io::Result<()> {
        self.note(request, &|request| request.status = Some(reply.status));
        connection.write(&reply.to_bytes())?;
        self.note(request, &|request| request.answered = Some(Instant::now()));
        Ok(())
    }

    /// Writes something down about a request, by its connection and the moment of its arrival.
    fn note(&self, (index, arrived): (usize, Instant), apply: &dyn Fn(&mut Request)) {
        self.change(|state| {
            let is_it = |request: &&mut Request| request.connection == index && request.arrived == arrived;
            state.requests.iter_mut().find(is_it).map(apply)
        });
    }

    /// Blocks until a release or a stop after `since`, or for `wait`.
    fn wait(&self, since: Gate, wait: Option<Duration>) -> Gate {
        let gate = lock(&self.shared.gate);
        let gate = match wait {
            Some(wait) => {
                let unmoved = |gate: &mut Gate| gate.stops == since.stops;
                let result = self.shared.moved.wait_timeout_while(gate, wait, unmoved);
                result.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let result = self.shared.moved.wait_while(gate, |gate| *gate == since);
                result.unwrap_or_else(PoisonError::into_inner)
            }
        };
        *gate
    }

    pub(super) fn wait_for(&self, is_met: impl Fn(&State) -> bool, until: Instant) -> bool {
        let state = self.state();
        let left = until.saturating_duration_since(Instant::now());
        let result = self.shared.changed.wait_timeout_while(state, left, |state| !is_met(state));
        let (state, _) = result.unwrap_or_else(PoisonError::into_inner);
        is_met(&state)
    }

    pub(super) async fn until(&self, is_met: impl Fn(&State) -> bool) {
        loop {
            let changed = self.shared.changed_async.notified();
            if is_met(&self.state()) {
                return;
            }
            changed.await;
        }
    }
}

/// The first `bytes` of a body that is at least announced.
fn read_some(connection: &mut Connection, head: &Head, bytes: usize) -> io::Result<Vec<u8>> {
    let length = head.headers.get("content-length").and_then(|length| length.parse().ok());
    match length {
        Some(length) => connection.read_exact(bytes.min(length)),
        None if bytes == 0 => Ok(Vec::new()),
        None => connection.read_body(head),
    }
}
