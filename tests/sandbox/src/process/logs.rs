//! Lines of a process's stdout and stderr, read when and only when the environment wants them.

use std::io::{self, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use tokio::net::unix::pipe::Receiver;

/// Longest line; a longer one is cut into pieces of this size, as CloudWatch does.
const LINE_MAX: usize = 256 * 1024;
/// Bytes read in one go, so that a flood of logs leaves room for other work.
const READ_MAX: usize = 1024 * 1024;

/// The reading end of a process's output.
///
/// Two descriptors of one pipe: tokio's says when there is something to read; the plain one is read by the
/// environment, without waiting, before it looks at any request of the process. What was written before the
/// request is then seen before the request.
#[derive(Debug)]
pub(crate) struct LogPipe {
    shared: Arc<Shared>,
}

/// The half that waits.
#[derive(Debug)]
pub(crate) struct LogWatch {
    shared: Arc<Shared>,
    receiver: Receiver,
}

#[derive(Debug)]
struct Shared {
    pipe: PipeReader,
    /// Held while bytes are copied, never across an await.
    text: Mutex<Text>,
}

#[derive(Debug, Default)]
struct Text {
    /// The line that has not ended yet.
    partial: Vec<u8>,
    lines: Vec<String>,
}

/// What is left in the pipe after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing now; or more than is read in one go.
    Some,
    /// Every writer is gone.
    End,
}

impl LogPipe {
    pub(crate) fn new(pipe: PipeReader) -> io::Result<(Self, LogWatch)> {
        // This also makes the pipe, which both descriptors share, non-blocking.
        let receiver = Receiver::from_owned_fd(OwnedFd::from(pipe.try_clone()?))?;
        let shared = Arc::new(Shared { pipe, text: Mutex::default() });
        Ok((Self { shared: Arc::clone(&shared) }, LogWatch { shared, receiver }))
    }

    /// The lines written so far and not taken before.
    pub(crate) fn take(&self) -> Vec<String> {
        self.shared.read(|chunk| (&self.shared.pipe).read(chunk));
        let mut text = self.shared.text.lock().expect("nothing panics while it copies");
        std::mem::take(&mut text.lines)
    }
}

impl LogWatch {
    /// Waits until there may be lines to take, or no more will come.
    pub(crate) async fn readable(&self) -> Drained {
        match self.receiver.readable().await {
            Ok(()) => self.shared.read(|chunk| self.receiver.try_read(chunk)),
            Err(_) => Drained::End,
        }
    }
}

impl Shared {
    fn read(&self, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Drained {
        let mut text = self.text.lock().expect("nothing panics while it copies");
        let mut chunk = [0; 16 * 1024];
        let mut total = 0;
        while total < READ_MAX {
            match read(&mut chunk) {
                Ok(0) => {
                    text.end();
                    return Drained::End;
                }
                Ok(n) => {
                    total += n;
                    text.add(&chunk[..n]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Drained::Some,
                Err(_) => return Drained::End,
            }
        }
        Drained::Some
    }
}

impl Text {
    fn add(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            if byte != b'\n' {
                self.partial.push(byte);
            }
            if byte == b'\n' || self.partial.len() == LINE_MAX {
                self.lines.push(take_line(&mut self.partial));
            }
        }
    }

    fn end(&mut self) {
        if !self.partial.is_empty() {
            self.lines.push(take_line(&mut self.partial));
        }
    }
}

fn take_line(partial: &mut Vec<u8>) -> String {
    if partial.last() == Some(&b'\r') {
        partial.pop();
    }
    let line = String::from_utf8_lossy(partial).into_owned();
    partial.clear();
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn lines_come_whole() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (pipe, watch) = LogPipe::new(reader).unwrap();
        assert_eq!(pipe.take(), Vec::<String>::new());
        writer.write_all(b"one\r\ntw").unwrap();
        assert_eq!(watch.readable().await, Drained::Some);
        assert_eq!(pipe.take(), ["one"]);
        writer.write_all(b"o\nthree").unwrap();
        assert_eq!(pipe.take(), ["two"], "seen without waiting for readiness");
        drop(writer);
        while watch.readable().await != Drained::End {}
        assert_eq!(pipe.take(), ["three"]);
    }
}
