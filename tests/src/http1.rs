//! HTTP/1.1 on blocking sockets, small enough to misbehave on purpose: what the fake backend and the fake platform speak.
//!
//! A real HTTP library would refuse to stop in the middle of a body, to answer garbage or to reset a connection;
//! these are exactly the faults that the fakes are for.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

/// The longest head of a message that is read; real ones stay below 16 KiB.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// The longest body that is read: the OTLP limit of 64 MiB.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long [`send`] waits for an answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(20);

/// Header fields in the order and spelling of the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The value of the first field with this name; names compare without case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The values of every field with this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Headers {
    fn from(pairs: [(K, V); N]) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// The first line of a message and its header fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The request line or the status line, without the line end.
    pub line: String,
    /// The fields that follow it.
    pub headers: Headers,
}

impl Head {
    /// The first word of a request line.
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The second word of a request line: path and query as sent.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// An answer, to write or as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Fields; `Content-Length` is added when written.
    pub headers: Headers,
    /// The body, as on the wire.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer with neither fields nor body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Headers::default(), body: Vec::new() }
    }

    /// The same answer with one more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.0.push((name.to_owned(), value.into()));
        self
    }

    /// The same answer with this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The answer as it goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).into_bytes();
        for (key, value) in &self.headers.0 {
            bytes.extend_from_slice(format!("{key}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400..=499 => "Client Error",
        500..=599 => "Server Error",
        _ => "Status",
    }
}

/// One side of a connection: a socket and what was read from it but not yet used.
pub struct Connection {
    stream: TcpStream,
    /// Bytes read past the end of what was asked for.
    unused: Vec<u8>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.stream.peer_addr().ok()).finish()
    }
}

impl Connection {
    /// Takes over a connected socket.
    pub fn new(stream: TcpStream) -> Self {
        // Small answers must not wait for the peer's delayed acknowledgement.
        stream.set_nodelay(true).ok();
        Self { stream, unused: Vec::new() }
    }

    /// A second handle to the socket, to shut it down from another thread.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn stream(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Reads up to the empty line; `None` when the peer closed between two messages.
    ///
    /// # Errors
    /// A broken connection, or something that is not HTTP.
    pub fn read_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.unused, b"\r\n\r\n") {
                let head: Vec<u8> = self.unused.drain(..end + 4).collect();
                return parse_head(&head[..end]).map(Some);
            }
            if self.unused.len() > HEAD_BYTES_MAX {
                return Err(invalid("the head is too long"));
            }
            if self.fill()? == 0 {
                return if self.unused.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Reads the body that `head` announces: by length, chunked, or none.
    ///
    /// # Errors
    /// A broken connection, a body past 64 MiB, or bad chunking.
    pub fn read_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.headers.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if is_chunked(&head.headers) {
            return self.read_chunks();
        }
        match head.headers.get("content-length") {
            Some(length) => self.read_exact(length.parse().map_err(|_| invalid("bad Content-Length"))?),
            None => Ok(Vec::new()),
        }
    }

    /// Reads exactly `length` bytes.
    ///
    /// # Errors
    /// A connection that ends before, or a length past 64 MiB.
    pub fn read_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > BODY_BYTES_MAX {
            return Err(invalid("the body is too long"));
        }
        while self.unused.len() < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unused.drain(..length).collect())
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).map_err(|_| invalid("bad chunk length"))?;
            if length == 0 {
                while !self.read_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.read_exact(length)?);
            if body.len() > BODY_BYTES_MAX || !self.read_line()?.is_empty() {
                return Err(invalid("bad chunk"));
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.unused, b"\r\n") {
                let line: Vec<u8> = self.unused.drain(..end + 2).collect();
                return String::from_utf8(line[..end].to_vec()).map_err(|_| invalid("a line is not UTF-8"));
            }
            if self.unused.len() > HEAD_BYTES_MAX || self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads what has arrived, at least a byte; 0 at the end of the stream.
    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let count = loop {
            // A signal interrupts a read with a time limit; std repeats only those without.
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.unused.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// A broken connection.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Blocks until the peer has closed or reset the connection, throwing away what it sends.
    pub fn wait_closed(&mut self) {
        while matches!(self.fill(), Ok(count) if count > 0) {
            self.unused.clear();
        }
    }

    /// Ends the connection with a RST instead of a FIN: the peer sees "connection reset by peer".
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).ok();
    }
}

fn is_chunked(headers: &Headers) -> bool {
    headers.get("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn parse_head(bytes: &[u8]) -> io::Result<Head> {
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("the head is not UTF-8"))?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let field = |line: &str| {
        line.split_once(':').map(|(key, value)| (key.to_owned(), value.trim().to_owned())).ok_or(())
    };
    let fields: Result<Vec<_>, ()> = lines.map(field).collect();
    Ok(Head { line, headers: Headers(fields.map_err(|()| invalid("a header without a colon"))?) })
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Sends one request on a connection of its own and reads the answer.
///
/// # Errors
/// No connection, no answer within 20 s, or an answer that is not HTTP.
pub fn send(
    to: impl ToSocketAddrs,
    method: &str,
    path: &str,
    headers: &Headers,
    body: &[u8],
) -> io::Result<Response> {
    let mut connection = Connection::new(TcpStream::connect(to)?);
    connection.stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    send_on(&mut connection, method, path, headers, body)
}

/// Sends one request on an open connection, which stays open, and reads the answer.
///
/// # Errors
/// As [`send`].
pub fn send_on(
    connection: &mut Connection,
    method: &str,
    path: &str,
    headers: &Headers,
    body: &[u8],
) -> io::Result<Response> {
    // An early answer, then a close, breaks the write; the answer is what the caller wants to see.
    let written = connection.write(&request_bytes(method, path, headers, body));
    match connection.read_head() {
        Ok(Some(head)) => read_response(connection, head),
        Ok(None) => written.and(Err(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(error),
    }
}

fn request_bytes(method: &str, path: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
    if headers.get("host").is_none() {
        bytes.extend_from_slice(b"Host: localhost\r\n");
    }
    for (key, value) in &headers.0 {
        bytes.extend_from_slice(format!("{key}: {value}\r\n").as_bytes());
    }
    if !is_chunked(headers) && headers.get("content-length").is_none() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn read_response(connection: &mut Connection, head: Head) -> io::Result<Response> {
    let status = head.line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| invalid("no status code"))?;
    let body = connection.read_body(&head)?;
    Ok(Response { status, headers: head.headers, body })
}

/// A port of 127.0.0.1 that nobody else is given while this value lives: bound, but not listening.
///
/// A listener that asks for address reuse, as those of std and tokio do, can still take the port; a client that comes
/// before the listener is refused.
#[derive(Debug)]
pub struct Reserved {
    _socket: Socket,
    address: SocketAddr,
}

impl Reserved {
    /// Reserves a free port.
    ///
    /// # Panics
    /// When the machine has no port left.
    pub fn new() -> Self {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        socket.set_reuse_address(true).expect("address reuse is supported");
        socket.bind(&any.into()).expect("a port of the loopback interface is free");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        Self { _socket: socket, address: address.expect("a bound socket has an address") }
    }

    /// The reserved address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on the reserved port.
    ///
    /// # Panics
    /// When somebody listens there already.
    pub fn listen(&self) -> TcpListener {
        TcpListener::bind(self.address).expect("nobody else listens on a reserved port")
    }
}

impl Default for Reserved {
    fn default() -> Self {
        Self::new()
    }
}

/// Ends a listener's blocking `accept` from another thread: the port refuses connections from here on.
pub fn stop_listening(listener: &TcpListener) {
    SockRef::from(listener).shutdown(Shutdown::Both).ok();
}
