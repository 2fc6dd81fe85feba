//! A gRPC client that measures: hyper's HTTP/2 with nothing around it, on a kept connection.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use crate::Result;

/// What a message has before it: whether it is packed, and its length.
const HEAD: usize = 5;

/// See the module.
pub(crate) struct Caller {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

impl Caller {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let connection = TcpStream::connect(address).await?;
            connection.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(connection)).await?;
            tokio::spawn(connection);
            Ok::<_, Box<dyn std::error::Error>>(sender)
        })?;
        Ok(Self { runtime, sender })
    }

    /// Makes the call, and waits for its status: when it was made, and when answered.
    pub(crate) fn send(&mut self, message: &Bytes, is_gzip: bool) -> Result<(Instant, Instant)> {
        let request =
            Request::post("http://localhost/opentelemetry.proto.collector.trace.v1.TraceService/Export")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("grpc-encoding", if is_gzip { "gzip" } else { "identity" });
        let request = request.body(Full::new(message.clone()))?;
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let sent = Instant::now();
            let answer = sender.send_request(request).await?.into_body().collect().await?;
            let answered = Instant::now();
            let status = answer.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
            match status {
                Some(status) if status == "0" => Ok((sent, answered)),
                status => Err(format!("answered {status:?}").into()),
            }
        })
    }
}

/// A message in its frame.
pub(crate) fn framed(body: &[u8], is_gzip: bool) -> Result<Bytes> {
    let mut message = Vec::with_capacity(HEAD + body.len());
    message.push(u8::from(is_gzip));
    message.extend_from_slice(&u32::try_from(body.len())?.to_be_bytes());
    message.extend_from_slice(body);
    Ok(message.into())
}
