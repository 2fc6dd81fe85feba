//! The least HTTP that measures: a client and a server on the standard library's sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// An answer that never comes means a broken server, not a slow one.
pub(crate) const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// What every OTLP backend answers when all is well.
const SUCCESS: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

/// What can be read from and written to.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A connection that is kept.
pub(crate) struct Client {
    reader: BufReader<Box<dyn Stream>>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
        Ok(Self { reader: BufReader::new(Box::new(connection)) })
    }

    pub(crate) fn connect_to_socket(path: &Path) -> Result<Self> {
        let connection = UnixStream::connect(path)?;
        connection.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
        Ok(Self { reader: BufReader::new(Box::new(connection)) })
    }

    /// Sends a request made here and waits for its 200: when it was sent, and when answered.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(Instant, Instant)> {
        let sent = Instant::now();
        self.reader.get_mut().write_all(request)?;
        let (status, _) = read_message(&mut self.reader).ok_or("the connection was closed")?;
        let answered = Instant::now();
        if status == "200" { Ok((sent, answered)) } else { Err(format!("answered {status}").into()) }
    }
}

/// A POST of spans, as one buffer.
pub(crate) fn post_spans(body: &[u8]) -> Vec<u8> {
    post("/v1/traces", "application/x-protobuf", body)
}

/// The same in another form: headers from `Content-Type` on, a line each.
pub(crate) fn post_spans_as(headers: &str, body: &[u8]) -> Vec<u8> {
    post("/v1/traces", headers, body)
}

/// A POST of platform events, as one buffer.
pub(crate) fn post_events(body: &str) -> Vec<u8> {
    post("/", "application/json", body.as_bytes())
}

fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Answers every request with a 200 as soon as it is read; a thread for each connection.
pub(crate) fn serve_success() -> Result<SocketAddr> {
    serve(|connection| {
        let mut writer = connection.try_clone().ok()?;
        let mut reader = BufReader::new(connection);
        loop {
            read_message(&mut reader)?;
            writer.write_all(SUCCESS.as_bytes()).ok()?;
        }
    })
}

/// Connections that are served at once.
const SERVED_MAX: usize = 16;

/// Serves each connection in a thread of its own, for as long as the process lives. The threads are there before
/// the connections: to make one takes as long as some of what is measured.
pub(crate) fn serve(handle: impl Fn(TcpStream) -> Option<()> + Clone + Send + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    for _ in 0..SERVED_MAX {
        let (listener, handle) = (listener.try_clone()?, handle.clone());
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if connection.set_nodelay(true).is_ok() {
                    // However it ended: the next one.
                    let _ = handle(connection);
                }
            }
        });
    }
    Ok(address)
}

/// Reads a request or an answer to its end: the path or the status, and the body.
/// `None` when the peer has gone.
pub(crate) fn read_message(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let first = read_line(reader)?;
    let name = first.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((name, body))
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let length = reader.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}
