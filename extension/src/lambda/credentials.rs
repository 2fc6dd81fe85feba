//! The credentials of the function's role, where the platform hands them out.

use bytes::Bytes;
use http::Request;

use super::Error;
use super::connection::call;

/// What the platform answers for `path`; never through a proxy.
///
/// # Errors
/// When it cannot be asked, or refuses.
pub async fn credentials(path: &str, authorization: &str) -> Result<Bytes, Error> {
    let mut value = http::HeaderValue::from_str(authorization)?;
    value.set_sensitive(true);
    let request = Request::get(path).header(http::header::AUTHORIZATION, value).body(Bytes::new())?;
    let (status, answer) = call(request).await?;
    // An answer may hold secrets: only its status is told.
    if status == 200 { Ok(answer) } else { Err(format!("the platform answered {status}").into()) }
}
