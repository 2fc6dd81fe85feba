//! Requests to AWS: signed as they are sent, at every try, for what waits or is frozen would be out of date.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use policy::UnixNanos;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::aws::{self, Credentials, Keeper, Refusal, Scope};
use crate::log::{self, Level};

/// Who signs, and by which time; shared by all requests.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    keeper: Keeper,
    /// How many seconds AWS's clock is ahead of ours, where it has said so.
    ahead: Arc<AtomicI64>,
}

/// What a try was signed with.
pub(super) struct Signed {
    pub(super) credentials: Credentials,
    /// The time that it was signed for.
    pub(super) at: UnixNanos,
}

/// What of a request is signed.
pub(super) struct ToSign<'a> {
    pub(super) url: &'a str,
    /// As they are sent, in lower case.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

impl Signer {
    pub(super) fn new(source: aws::Source) -> Self {
        Self { keeper: Keeper::new(source), ahead: Arc::default() }
    }

    /// Signs a request that is sent at `now`: its further headers go to `headers`. `None` where there is nothing to sign with.
    pub(super) async fn sign(
        &self,
        request: ToSign<'_>,
        scope: &Scope,
        now: UnixNanos,
        headers: &mut HeaderMap,
    ) -> Option<Signed> {
        let credentials = self.keeper.get(now).await?;
        let at = shifted(now, self.ahead.load(Ordering::Relaxed));
        let ToSign { url, headers: signed, body } = request;
        let uri: http::Uri = url.parse().ok()?;
        let request = aws::Request {
            host: &authority(&uri)?,
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
            headers: signed,
            body,
        };
        let signature = aws::sign(&request, scope, &credentials, at);
        for (name, value) in signature.headers() {
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        Some(Signed { credentials, at })
    }

    /// Whether another try may succeed, signed anew, after what AWS has against the one that was `signed`, at `now`.
    pub(super) async fn mend(&self, refusal: Refusal, signed: &Signed, now: UnixNanos) -> bool {
        match refusal {
            Refusal::Clock(ahead) => {
                let known = self.ahead.load(Ordering::Relaxed);
                self.ahead.store(known.saturating_add(ahead), Ordering::Relaxed);
                let fields = serde_json::json!({ "seconds": known.saturating_add(ahead) });
                let message = "the clock of this environment is not AWS's; requests are signed by that one";
                log::say(Level::Warn, "clock_corrected", message, fields);
                true
            }
            Refusal::Credentials => self.keeper.renew(&signed.credentials, now).await.is_some(),
            Refusal::NoTransactionSearch => false,
        }
    }

    /// A snapshot was restored: its credentials were the builder's, and its clock was another.
    pub(super) fn begin_anew(&mut self) {
        self.keeper.forget();
        self.ahead = Arc::default();
    }
}

/// The header `host` as the client sends it: without the port that is usual.
fn authority(uri: &http::Uri) -> Option<String> {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = uri.host()?;
    Some(match uri.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

fn shifted(at: UnixNanos, seconds: i64) -> UnixNanos {
    let by = std::time::Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { at.minus(by) } else { at + by }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_as_it_is_sent() {
        for (url, host) in [
            ("https://c/x", "c"),
            ("https://c:443/x", "c"),
            ("https://c:80/x", "c:80"),
            ("http://127.0.0.1:80", "127.0.0.1"),
            ("http://[::1]:4319/", "[::1]:4319"),
        ] {
            assert_eq!(authority(&url.parse().expect("a URL")).as_deref(), Some(host), "{url}");
        }
    }

    #[test]
    fn a_time_is_shifted_to_either_side() {
        let at = UnixNanos(10_000_000_000);
        let shifts = [-3, 0, 3].map(|seconds| shifted(at, seconds).0 / 1_000_000_000);
        assert_eq!(shifts, [7, 10, 13]);
    }
}
