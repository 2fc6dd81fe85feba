//! The least of a Lambda platform that a start needs: answers, and when each call came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// A call that never comes means a broken binary, not a slow one.
const CALL_WAIT_MAX: Duration = Duration::from_secs(10);

/// What an extension asked, and when its request had been read.
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) at: Instant,
}

/// Answers register and subscribe at once, and never answers `/next`: the caller stays as it is then.
pub(crate) struct Platform {
    pub(crate) address: SocketAddr,
    calls: Receiver<Call>,
}

impl Platform {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (sender, calls) = channel();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(connection, &sender));
            }
        });
        Ok(Self { address, calls })
    }

    /// Waits for a call to a path that ends in `suffix`; earlier calls to others are passed over.
    pub(crate) fn wait_for(&self, suffix: &str) -> Result<Instant> {
        loop {
            let call = self.calls.recv_timeout(CALL_WAIT_MAX).map_err(|_| format!("no call to {suffix}"))?;
            if call.path.ends_with(suffix) {
                return Ok(call.at);
            }
        }
    }

    /// Forgets the calls that are still unread, so that the next start begins with none.
    pub(crate) fn forget(&self) {
        while self.calls.try_recv().is_ok() {}
    }
}

/// Serves one connection until its peer goes away.
fn serve(connection: TcpStream, calls: &Sender<Call>) -> Option<()> {
    connection.set_nodelay(true).ok()?;
    let mut writer = connection.try_clone().ok()?;
    let mut reader = BufReader::new(connection);
    loop {
        let path = read_request(&mut reader)?;
        let at = Instant::now();
        let answer = answer(&path);
        calls.send(Call { path, at }).ok()?;
        if let Some(text) = answer {
            writer.write_all(text.as_bytes()).ok()?;
        }
    }
}

/// Reads one request to its end; its path.
fn read_request(reader: &mut impl BufRead) -> Option<String> {
    let first = read_line(reader)?;
    let path = first.split(' ').nth(1)?.to_owned();
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
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    Some(path)
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let length = reader.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}

fn answer(path: &str) -> Option<String> {
    if path.ends_with("/event/next") {
        return None;
    }
    let (headers, body) = if path.ends_with("/register") {
        let body = r#"{"functionName":"bench","functionVersion":"$LATEST","handler":"index.handler"}"#;
        ("Lambda-Extension-Identifier: 8a9b1c2d-0000-4000-8000-000000000001\r\n", body)
    } else {
        ("", "\"OK\"")
    };
    let length = body.len();
    Some(format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}
