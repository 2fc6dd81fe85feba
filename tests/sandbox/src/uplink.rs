//! The way from an environment's processes to a backend: a proxy that knows of freezes what a virtual machine does.
//!
//! Stopped processes keep their network: the kernel takes what arrives, and it is there at the thaw. A virtual machine
//! that is stopped acknowledges nothing. Its peer sends again, ever more rarely, and gives up in the end; a gateway
//! between them may forget the connection before. What arrives then comes late, or never, and over a connection of
//! which neither side hears any more.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is passed on at once.
const PIECE: usize = 64 << 10;

/// Which backend is reached through the sandbox, and what a freeze does to its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// A variable of the function that holds the backend's URL, or its host and port. The processes find the proxy's
    /// address there in place of the backend's.
    pub variable: String,
    /// What becomes of what arrives while the environment is frozen.
    pub in_freeze: InFreeze,
}

/// What becomes of bytes, and of the end of a connection, that arrive while the environment is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFreeze {
    /// They are there at the thaw.
    Buffered,
    /// They arrive this long after the thaw, when the peer sends them again.
    Late(Duration),
    /// They never arrive. Nothing passes over their connection any more, in either direction, and nothing says so.
    Lost,
}

impl Uplink {
    /// The backend's host and port in `value`, and what stands before and after them.
    pub(crate) fn split(value: &str) -> Option<(&str, &str, &str)> {
        let begin = value.find("://").map_or(0, |at| at + 3);
        let length = value[begin..].find('/').unwrap_or(value.len() - begin);
        let (before, rest) = value.split_at(begin);
        let (authority, after) = rest.split_at(length);
        let (host, port) = authority.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok()).then_some((before, authority, after))
    }
}

/// One environment's proxy; its connections end with it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    is_frozen: watch::Sender<bool>,
    _accepting: JoinSet<()>,
}

impl Link {
    /// A proxy to `backend`. `note` hears how many bytes have arrived while the environment was frozen, zero standing
    /// for the end of a connection.
    pub(crate) async fn start(
        backend: String,
        in_freeze: InFreeze,
        note: impl Fn(usize) + Clone + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (is_frozen, _) = watch::channel(false);
        let frozen = is_frozen.clone();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let connection = Connection { in_freeze, is_frozen: frozen.subscribe(), note: note.clone() };
                let backend = backend.clone();
                connections.spawn(async move {
                    // Whoever cannot be reached is a connection that ends at once.
                    if let Ok(backend) = TcpStream::connect(backend).await {
                        connection.carry(client, backend).await.ok();
                    }
                });
            }
        });
        Ok(Self { address, is_frozen, _accepting: accepting })
    }

    /// The environment is frozen from now on, or no longer.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.is_frozen.send_replace(is_frozen);
    }
}

struct Connection<N> {
    in_freeze: InFreeze,
    is_frozen: watch::Receiver<bool>,
    note: N,
}

impl<N: Fn(usize)> Connection<N> {
    async fn carry(mut self, mut client: TcpStream, mut backend: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        backend.set_nodelay(true)?;
        let (mut up, mut down) = (vec![0; PIECE], vec![0; PIECE]);
        loop {
            tokio::select! {
                sent = client.read(&mut up) => match sent? {
                    0 => return Ok(()),
                    count => backend.write_all(&up[..count]).await?,
                },
                answered = backend.read(&mut down) => {
                    // A reset is an end.
                    let count = answered.unwrap_or(0);
                    if self.is_lost(count).await {
                        drop(backend);
                        // The client hears nothing, and nobody hears it.
                        while client.read(&mut up).await? > 0 {}
                        return Ok(());
                    }
                    if count == 0 {
                        return Ok(());
                    }
                    client.write_all(&down[..count]).await?;
                }
            }
        }
    }

    /// Whether what has just arrived never does; returns when it does otherwise.
    async fn is_lost(&mut self, count: usize) -> bool {
        if !*self.is_frozen.borrow() {
            return false;
        }
        (self.note)(count);
        match self.in_freeze {
            InFreeze::Buffered => false,
            InFreeze::Late(after) => {
                // An environment that is gone needs no answer.
                self.is_frozen.wait_for(|is_frozen| !is_frozen).await.ok();
                tokio::time::sleep(after).await;
                false
            }
            InFreeze::Lost => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Notify;

    #[test]
    fn a_backend_is_found_in_what_names_it() {
        let rows = [
            ("http://127.0.0.1:4318", Some(("http://", "127.0.0.1:4318", ""))),
            ("http://backend:80/v1/traces", Some(("http://", "backend:80", "/v1/traces"))),
            ("127.0.0.1:9", Some(("", "127.0.0.1:9", ""))),
            ("http://backend", None),
            ("http://:80/", None),
            ("", None),
        ];
        for (value, expected) in rows {
            assert_eq!(Uplink::split(value), expected, "{value}");
        }
    }

    /// A client, its backend, and a link between them that says when something has arrived in a freeze.
    struct Story {
        link: Link,
        client: TcpStream,
        backend: TcpStream,
        arrived: Arc<Notify>,
    }

    async fn begin(in_freeze: InFreeze) -> Story {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let arrived = Arc::<Notify>::default();
        let told = arrived.clone();
        let link = Link::start(address, in_freeze, move |_| told.notify_one()).await.expect("a port is free");
        let client = TcpStream::connect(link.address).await.expect("it listens");
        let (backend, _) = listener.accept().await.expect("the link connects");
        Story { link, client, backend, arrived }
    }

    impl Story {
        async fn ask(&mut self, question: &[u8]) {
            self.client.write_all(question).await.expect("it is open");
            let mut heard = vec![0; question.len()];
            self.backend.read_exact(&mut heard).await.expect("it is passed on");
            assert_eq!(heard, question);
        }

        async fn hear(&mut self, answer: &[u8]) {
            let mut heard = vec![0; answer.len()];
            self.client.read_exact(&mut heard).await.expect("it is passed on");
            assert_eq!(heard, answer);
        }
    }

    #[tokio::test]
    async fn what_does_not_arrive_in_a_freeze_is_passed_on() {
        for in_freeze in [InFreeze::Buffered, InFreeze::Late(Duration::ZERO), InFreeze::Lost] {
            let mut story = begin(in_freeze).await;
            for _ in 0..2 {
                story.ask(b"question").await;
                story.backend.write_all(b"answer").await.expect("it is open");
                story.hear(b"answer").await;
                story.link.freeze(true);
                story.link.freeze(false);
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_arrives_in_a_freeze_is_there_at_the_thaw_or_after_it() {
        const LATE: Duration = Duration::from_millis(30);
        for (in_freeze, least) in [(InFreeze::Buffered, Duration::ZERO), (InFreeze::Late(LATE), LATE)] {
            let mut story = begin(in_freeze).await;
            story.ask(b"question").await;
            story.link.freeze(true);
            story.backend.write_all(b"answer").await.expect("it is open");
            story.arrived.notified().await;
            let thawed = std::time::Instant::now();
            story.link.freeze(false);
            story.hear(b"answer").await;
            assert!(thawed.elapsed() >= least, "{in_freeze:?}");
            story.ask(b"another").await;
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_in_a_freeze_takes_its_connection_with_it() {
        let mut story = begin(InFreeze::Lost).await;
        story.ask(b"question").await;
        story.link.freeze(true);
        story.backend.write_all(b"answer").await.expect("it is open");
        story.arrived.notified().await;
        story.link.freeze(false);
        // The backend's side is given up; what the client says goes nowhere, and nothing tells it.
        assert_eq!(story.backend.read(&mut [0; 8]).await.ok(), Some(0));
        story.client.write_all(b"question").await.expect("nothing tells it");
        let heard = story.client.try_read(&mut [0; 8]);
        assert_eq!(heard.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    }
}
