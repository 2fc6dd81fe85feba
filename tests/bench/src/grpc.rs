//! The least gRPC that measures: one call at a time on a kept connection, with frames made before the clock runs.
//!
//! A client library's own HTTP/2 takes as long as the server that is measured.
//!
//! # Source
//! RFC 9113 (frames), RFC 7541 (header fields), <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::Result;
use crate::http::ANSWER_WAIT_MAX;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Data of one frame, in bytes, unless a peer allows for more.
const FRAME_MAX: usize = 16 << 10;
/// What may be sent before a peer says more, in bytes.
const WINDOW: u32 = 65_535;
/// The largest window there is: what a peer sends here is never held up.
const WINDOW_MAX: u32 = (1 << 31) - 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

/// The flag of the last frame of a request or an answer.
const END_STREAM: u8 = 1;
/// The flag of settings that only say that the peer's have been read.
const ACK: u8 = 1;
/// The flag of header fields that have come whole.
const END_HEADERS: u8 = 4;

/// An answer of no message, which is that to an export of which nothing was refused: not packed, and no bytes.
const NO_MESSAGE: [u8; 5] = [0; 5];

/// See the module.
pub(crate) struct Caller {
    connection: BufReader<TcpStream>,
    /// Where the last call was.
    stream: u32,
    /// Bytes that may be sent on the connection.
    window: i64,
}

impl Caller {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
        let mut caller = Self { connection: BufReader::new(connection), stream: 1, window: WINDOW.into() };
        let open = [
            PREFACE,
            &frame(SETTINGS, 0, 0, &[]),
            &frame(WINDOW_UPDATE, 0, 0, &(WINDOW_MAX - WINDOW).to_be_bytes()),
        ];
        caller.write(&open.concat())?;
        let acknowledged = |frame: &Frame| frame.kind == SETTINGS && frame.flags & ACK != 0;
        while !acknowledged(&caller.read()?) {}
        Ok(caller)
    }

    /// Exports spans in a message of [`framed`], and waits for the status: when it was sent, and when answered.
    pub(crate) fn send(&mut self, message: &[u8], is_gzip: bool) -> Result<(Instant, Instant)> {
        self.stream += 2;
        self.window -= message.len() as i64;
        if self.window < 0 {
            return Err("the window is too small for a call".into());
        }
        let request = request(self.stream, message, is_gzip);
        let sent = Instant::now();
        self.write(&request)?;
        let mut answer = Vec::new();
        loop {
            let frame = self.read()?;
            match frame.kind {
                DATA | HEADERS if frame.stream != self.stream => return Err("answered another call".into()),
                DATA => answer.extend_from_slice(&frame.payload),
                HEADERS if frame.flags & END_STREAM != 0 => break,
                _ => {}
            }
        }
        let answered = Instant::now();
        // One that fails has its status in its only header fields, and no message.
        if answer == NO_MESSAGE { Ok((sent, answered)) } else { Err(format!("answered {answer:?}").into()) }
    }

    /// The next frame. What it asks of every client, such as to acknowledge settings, has been done.
    fn read(&mut self) -> Result<Frame> {
        let mut head = [0; 9];
        self.connection.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.connection.read_exact(&mut payload)?;
        let frame = Frame { kind, flags, stream: u32::from_be_bytes(stream), payload };
        match (frame.kind, frame.payload.as_slice()) {
            (DATA | HEADERS, _) => {}
            (SETTINGS, _) if frame.flags & ACK == 0 => self.write(&self::frame(SETTINGS, ACK, 0, &[]))?,
            (SETTINGS, _) => {}
            (WINDOW_UPDATE, &[a, b, c, d]) if frame.stream == 0 => {
                self.window += i64::from(u32::from_be_bytes([a, b, c, d]));
            }
            (WINDOW_UPDATE, _) => {}
            (kind, payload) => return Err(format!("a frame of type {kind}: {payload:?}").into()),
        }
        Ok(frame)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.connection.get_mut().write_all(bytes)?)
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A message with what gRPC puts before it: whether it is packed, and its length.
pub(crate) fn framed(body: &[u8], is_gzip: bool) -> Result<Vec<u8>> {
    let length = u32::try_from(body.len())?.to_be_bytes();
    Ok([&[u8::from(is_gzip)], length.as_slice(), body].concat())
}

/// A whole call, as one buffer.
fn request(stream: u32, message: &[u8], is_gzip: bool) -> Vec<u8> {
    let mut request = frame(HEADERS, END_HEADERS, stream, &fields(is_gzip));
    let mut chunks = message.chunks(FRAME_MAX).peekable();
    while let Some(chunk) = chunks.next() {
        let flags = if chunks.peek().is_none() { END_STREAM } else { 0 };
        request.extend(frame(DATA, flags, stream, chunk));
    }
    request
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("no frame is longer than FRAME_MAX").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header fields of a call. None of them is to be remembered, so each call's are alike.
fn fields(is_gzip: bool) -> Vec<u8> {
    // `:method` POST and `:scheme` http have a place in the protocol's own table.
    let mut fields = vec![0x83, 0x86];
    let encoding = if is_gzip { "gzip" } else { "identity" };
    for (name, value) in [
        (":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-encoding", encoding),
    ] {
        fields.push(0);
        for text in [name, value] {
            fields.push(u8::try_from(text.len()).expect("each is shorter than 127 bytes"));
            fields.extend_from_slice(text.as_bytes());
        }
    }
    fields
}
