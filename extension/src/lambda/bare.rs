//! The last resort: what keeps the function alive when nothing else of ours runs, with a socket and nothing beside it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use wire::extensions_api;

use super::{Error, NEXT_AGAIN, naming};
use crate::clock::pause_thread;
use crate::settings;

/// An answer that is longer has nothing that matters here.
const ANSWER_MAX: usize = 1 << 20;

/// How far this process has come with the platform; clones are the same. It outlives whatever panics.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Reached>);

#[derive(Debug, Default)]
struct Reached {
    /// The identifier from the registration.
    identifier: OnceLock<String>,
    /// Whether SHUTDOWN was received: nothing may be asked any more.
    is_over: AtomicBool,
}

impl Progress {
    /// The platform has registered the extension under `identifier`.
    pub(super) fn registered(&self, identifier: &str) {
        self.0.identifier.get_or_init(|| identifier.to_owned());
    }

    /// SHUTDOWN was received.
    pub(super) fn over(&self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Relaxed)
    }
}

/// Registers, if that was not done, and asks for one event after the other until SHUTDOWN, on this thread.
///
/// Lambda lets an environment begin when every extension has asked for its first event, and ends it when one exits.
///
/// # Errors
/// When the platform refuses to register.
pub(crate) fn idle(progress: &Progress) -> Result<(), Error> {
    let identifier = match progress.0.identifier.get() {
        Some(identifier) => identifier.clone(),
        None => register()?,
    };
    let header = format!("Lambda-Extension-Identifier: {identifier}");
    while !progress.is_over() {
        match ask("GET", "/2020-01-01/extension/event/next", &header, "") {
            Ok(answer) if answer.status == 200 => {
                if answer.event_type() == "SHUTDOWN" {
                    progress.over();
                }
            }
            Ok(_) | Err(_) => pause_thread(NEXT_AGAIN),
        }
    }
    Ok(())
}

/// For SHUTDOWN alone: an invocation has nothing to wait for.
fn register() -> Result<String, Error> {
    let mut refusal: Error = "nothing was asked".into();
    for name in naming::candidates() {
        let header = format!("Lambda-Extension-Name: {name}");
        let answer = ask("POST", "/2020-01-01/extension/register", &header, r#"{"events":["SHUTDOWN"]}"#)?;
        match (answer.status, answer.header("Lambda-Extension-Identifier")) {
            (200, Some(identifier)) => return Ok(identifier.to_owned()),
            (status, _) => refusal = format!("the platform answered {status}").into(),
        }
    }
    Err(refusal)
}

/// An answer as it came.
struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether all of it has arrived. An answer that does not say where it ends, ends with its connection.
    fn is_whole(&self) -> bool {
        let Some((_, body)) = self.text.split_once("\r\n\r\n") else { return false };
        match self.header("Content-Length").and_then(|length| length.parse().ok()) {
            Some(length) => body.len() >= length,
            None => self.header("Transfer-Encoding").is_some() && body.ends_with("0\r\n\r\n"),
        }
    }

    /// The body is an object, with lengths of chunks around it perhaps.
    fn event_type(&self) -> String {
        let object = self.text.find('{').zip(self.text.rfind('}'));
        let object =
            object.and_then(|(first, last)| self.text.as_bytes().get(first..=last)).unwrap_or_default();
        extensions_api::next_event(object).unwrap_or_default().event_type
    }
}

fn ask(method: &str, path: &str, header: &str, body: &str) -> io::Result<Answer> {
    let host = settings::runtime_api().ok_or(io::ErrorKind::NotFound)?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(&host)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Answer { status: 0, text: String::new() };
    let mut piece = [0; 4 << 10];
    while !answer.is_whole() && answer.text.len() < ANSWER_MAX {
        match stream.read(&mut piece)? {
            0 => break,
            count => answer.text.push_str(&String::from_utf8_lossy(&piece[..count])),
        }
    }
    let status = answer.text.split(' ').nth(1).and_then(|status| status.parse().ok());
    answer.status = status.ok_or(io::ErrorKind::InvalidData)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        Answer { status: 200, text: text.to_owned() }
    }

    #[test]
    fn an_answer_ends_where_it_says() {
        let rows = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\n\r\n{}", false),
            ("HTTP/1.1 200", false),
            ("", false),
        ];
        for (text, is_whole) in rows {
            assert_eq!(answer(text).is_whole(), is_whole, "{text:?}");
        }
    }

    #[test]
    fn an_event_is_found_in_whatever_is_around_it() {
        let rows = [
            ("HTTP/1.1 200 OK\r\n\r\n{\"eventType\":\"SHUTDOWN\"}", "SHUTDOWN"),
            ("HTTP/1.1 200 OK\r\n\r\n18\r\n{\"eventType\":\"INVOKE\"}\r\n0\r\n\r\n", "INVOKE"),
            ("HTTP/1.1 200 OK\r\n\r\n}{", ""),
            ("HTTP/1.1 200 OK\r\n\r\n", ""),
        ];
        for (text, event) in rows {
            assert_eq!(answer(text).event_type(), event, "{text:?}");
        }
        assert_eq!(answer("HTTP/1.1 200 OK\r\nA: b\r\nc-D:  e \r\n\r\n").header("C-d"), Some("e"));
    }
}
