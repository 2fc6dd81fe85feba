//! A connection to the Lambda APIs for one call, past every proxy.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::Error;

/// A connection for one call, past every proxy.
pub struct Connection {
    host: String,
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

impl Connection {
    /// Opens it.
    ///
    /// # Errors
    /// When nobody listens there, or it is not said where.
    pub async fn open() -> Result<Self, Error> {
        let host = crate::settings::runtime_api().ok_or("AWS_LAMBDA_RUNTIME_API is not set")?;
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let task = tokio::spawn(connection).abort_handle();
        Ok(Self { host, sender, task })
    }

    pub(super) async fn call(mut self, mut request: Request<Bytes>) -> Result<(u16, Bytes), Error> {
        request.headers_mut().insert(http::header::HOST, self.host.parse()?);
        debug_assert!(matches!(*request.method(), Method::GET | Method::PUT));
        let response = self.sender.send_request(request.map(Full::new)).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, body))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn call(request: Request<Bytes>) -> Result<(u16, Bytes), Error> {
    Connection::open().await?.call(request).await
}
