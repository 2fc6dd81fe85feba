//! A gRPC backend, frame by frame: what was sent on which connection, and how a call or a connection ended.
//!
//! It speaks the least of HTTP/2 that answers a unary call, and so sees what a library would hide.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::collector::PATIENCE;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Says that nothing was done about a call, which may be made again at once.
const REFUSED_STREAM: u32 = 7;
/// `SETTINGS_MAX_CONCURRENT_STREAMS` (3) is 1.
const ONE_STREAM: [u8; 6] = [0, 3, 0, 0, 0, 1];

/// What happened on a connection; streams by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A call has come whole.
    Call(u32),
    /// The client has let go of a call, with this code (8 is CANCEL).
    Reset(u32, u32),
    /// A call has begun while another was under way, on a connection that allows one at a time, and was refused.
    Refused(u32),
    /// The client has closed the connection.
    Closed,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is answered with OK.
    Ok,
    /// It is answered with UNIMPLEMENTED.
    Unimplemented,
    /// It is answered with another status.
    Status(u8),
    /// It is answered with a web page.
    Page,
    /// It is answered without a status.
    Bare,
    /// It is not answered.
    Hold,
    /// Its connection is closed without an answer.
    Cut,
    /// It is answered, and the connection said to take no other.
    OkAndGoAway,
    /// It is answered after this pause.
    Late(Duration),
}

/// See the module.
#[derive(Debug)]
pub struct GrpcBackend {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What was seen on each connection, in the order in which they were accepted.
    seen: Vec<Vec<Seen>>,
    open: Vec<Option<TcpStream>>,
    /// For the next calls; OK when there is none.
    endings: Vec<Ending>,
    /// Whether a connection allows one call at a time.
    is_narrow: bool,
}

impl GrpcBackend {
    /// Starts it; the first calls end so, and all others well.
    pub fn start(endings: &[Ending]) -> Self {
        Self::start_with(endings, false)
    }

    /// The same, with `SETTINGS_MAX_CONCURRENT_STREAMS` of 1.
    pub fn start_narrow(endings: &[Ending]) -> Self {
        Self::start_with(endings, true)
    }

    fn start_with(endings: &[Ending], is_narrow: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let shared = Arc::<Shared>::default();
        shared.state().endings = endings.iter().rev().copied().collect();
        shared.state().is_narrow = is_narrow;
        let accepting = shared.clone();
        // It ends with the process of the test: a listener of the standard library cannot be told to stop.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = accepting.clone();
                let connection = shared.begin(&stream);
                thread::spawn(move || {
                    let _ = serve(&stream, connection, &shared);
                    shared.note(connection, Seen::Closed);
                });
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes every open connection, as a backend or something on the way does while an environment is frozen.
    pub fn cut(&self) {
        for stream in self.shared.state().open.iter_mut().filter_map(Option::take) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// What was seen on each connection so far.
    pub fn seen(&self) -> Vec<Vec<Seen>> {
        self.shared.state().seen.clone()
    }

    /// Waits until what was seen is as `is_it` wants it.
    #[track_caller]
    pub fn expect(&self, what: &str, is_it: impl Fn(&[Vec<Seen>]) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while !is_it(&state.seen) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(left > Duration::ZERO, "{what}: {:?}", state.seen);
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, stream: &TcpStream) -> usize {
        let mut state = self.state();
        state.seen.push(Vec::new());
        state.open.push(stream.try_clone().ok());
        self.changed.notify_all();
        state.seen.len() - 1
    }

    fn note(&self, connection: usize, seen: Seen) {
        self.state().seen[connection].push(seen);
        self.changed.notify_all();
    }
}

fn serve(mut stream: &TcpStream, connection: usize, shared: &Shared) -> std::io::Result<()> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface)?;
    assert_eq!(preface, PREFACE, "HTTP/2 from the first byte");
    let is_narrow = shared.state().is_narrow;
    send(stream, SETTINGS, 0, 0, if is_narrow { &ONE_STREAM } else { &[] })?;
    let mut under_way = None;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match kind {
            HEADERS if is_narrow && under_way.is_some() => {
                shared.note(connection, Seen::Refused(number));
                send(stream, RST_STREAM, 0, number, &REFUSED_STREAM.to_be_bytes())?;
            }
            HEADERS => under_way = Some(number),
            // What was on its way to a call that was refused.
            DATA if is_narrow && under_way != Some(number) => {}
            SETTINGS if flags & ACK == 0 => send(stream, SETTINGS, ACK, 0, &[])?,
            PING if flags & ACK == 0 => send(stream, PING, ACK, 0, &payload)?,
            RST_STREAM => {
                let code = u32::from_be_bytes(payload[..4].try_into().expect("a code of four bytes"));
                shared.note(connection, Seen::Reset(number, code));
            }
            DATA if flags & END_STREAM != 0 => {
                shared.note(connection, Seen::Call(number));
                let ending = shared.state().endings.pop().unwrap_or(Ending::Ok);
                match ending {
                    Ending::Ok => answer(stream, number)?,
                    Ending::Unimplemented => answer_with(stream, number, GRPC, Some(12))?,
                    Ending::Status(status) => answer_with(stream, number, GRPC, Some(status))?,
                    Ending::Page => answer_with(stream, number, "text/html", None)?,
                    Ending::Bare => answer_with(stream, number, GRPC, None)?,
                    Ending::Hold => {}
                    Ending::Late(pause) => {
                        thread::sleep(pause);
                        answer(stream, number)?;
                    }
                    Ending::Cut => return stream.shutdown(Shutdown::Both),
                    Ending::OkAndGoAway => {
                        send(stream, GOAWAY, 0, 0, &[number.to_be_bytes(), [0; 4]].concat())?;
                        answer(stream, number)?;
                    }
                }
                under_way = None;
            }
            _ => {}
        }
    }
}

/// OK.
fn answer(stream: &TcpStream, number: u32) -> std::io::Result<()> {
    answer_with(stream, number, GRPC, Some(0))
}

const GRPC: &str = "application/grpc";

/// A status, in trailers alone: `:status` is in the static table, the others are literals.
fn answer_with(
    stream: &TcpStream,
    number: u32,
    content_type: &str,
    status: Option<u8>,
) -> std::io::Result<()> {
    let mut block = vec![0x88];
    let status = status.map(|status| status.to_string());
    let status = status.as_deref().map(|status| ("grpc-status", status));
    for (name, value) in [Some(("content-type", content_type)), status].into_iter().flatten() {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    send(stream, HEADERS, END_HEADERS | END_STREAM, number, &block)
}

fn send(mut stream: &TcpStream, kind: u8, flags: u8, number: u32, payload: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&number.to_be_bytes());
    frame.extend_from_slice(payload);
    stream.write_all(&frame)
}
