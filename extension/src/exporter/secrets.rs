//! Headers whose values are secrets: read from AWS when the first request needs them, kept in memory, and read again when the
//! backend refuses them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy::UnixNanos;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::signing::{Signer, ToSign};
use super::trust;
use crate::aws::{Missing, SecretRef};
use crate::clock::{Clock, within};
use crate::log::{self, Level};
use crate::settings::{SecretHeader, TlsFiles, Vaults};

/// AWS's answers are awaited for so long: a request to the backend waits for them.
const PATIENCE: Duration = Duration::from_secs(5);
/// A secret that the backend refuses is read again this often at most.
const AGAIN: Duration = Duration::from_secs(60);
/// More than any answer with a secret in it: those have 64 KiB.
const ANSWER_MAX: usize = 256 << 10;
const JSON: &str = "application/x-amz-json-1.1";

/// See the module; shared by all requests.
#[derive(Clone)]
pub(super) struct Secrets {
    signer: Signer,
    vaults: Vaults,
    clock: Clock,
    /// Built when first needed.
    client: Arc<std::sync::OnceLock<Option<reqwest::Client>>>,
    cells: Arc<Mutex<HashMap<SecretRef, Cell>>>,
    /// The lines that have been said: of which secret, and of which error.
    said: Arc<Mutex<Vec<(SecretRef, String)>>>,
}

/// One secret. Whoever reads it has the lock, and the others wait for what comes.
type Cell = Arc<tokio::sync::Mutex<Option<Known>>>;

/// A secret that was read.
struct Known {
    value: String,
    /// When it was read again because the backend had refused it.
    renewed_at: Option<UnixNanos>,
}

impl Secrets {
    pub(super) fn new(signer: Signer, vaults: Vaults, clock: Clock) -> Self {
        Self { signer, vaults, clock, client: Arc::default(), cells: Arc::default(), said: Arc::default() }
    }

    /// Puts the values of `secrets` into `headers`; false where one is not to be had, which is said.
    pub(super) async fn fill_in(&self, secrets: &[SecretHeader], headers: &mut HeaderMap) -> bool {
        for SecretHeader { name, before, reference } in secrets {
            let cell = self.cell(reference);
            let mut known = cell.lock().await;
            if known.is_none() {
                match self.read(reference).await {
                    Ok(value) => *known = Some(Known { value, renewed_at: None }),
                    Err(missing) => {
                        self.say(reference, &missing);
                        return false;
                    }
                }
            }
            let value = known.as_ref().map(|known| format!("{before}{}", known.value)).unwrap_or_default();
            let header = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value));
            let (Ok(name), Ok(mut value)) = header else {
                self.say(reference, &Missing { error: "NotAHeader".to_owned(), is_refused: true });
                *known = None;
                return false;
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        true
    }

    /// The backend has refused a request with `secrets`. Whether one of them has another value by now.
    pub(super) async fn renew(&self, secrets: &[SecretHeader]) -> bool {
        let mut is_new = false;
        for SecretHeader { reference, .. } in secrets {
            let cell = self.cell(reference);
            let mut known = cell.lock().await;
            let Some(old) = &mut *known else { continue };
            let now = self.clock.wall();
            if old.renewed_at.is_some_and(|at| now.since(at) < AGAIN) {
                continue;
            }
            old.renewed_at = Some(now);
            // What is there is kept where it cannot be read now: it may be good for another signal.
            let Ok(value) = self.read(reference).await else { continue };
            if value != old.value {
                old.value = value;
                is_new = true;
                let fields = serde_json::json!({ "secret": reference.to_string() });
                log::say(
                    Level::Info,
                    "secret_stale",
                    "the backend refused the key; a newer one was read",
                    fields,
                );
            }
        }
        is_new
    }

    /// Reads what is not known yet, ahead of the first request.
    pub(super) async fn prepare(&self, secrets: &[SecretHeader]) {
        self.fill_in(secrets, &mut HeaderMap::new()).await;
    }

    /// A snapshot was restored: what was read for it may be old.
    pub(super) fn begin_anew(&mut self) {
        self.signer.begin_anew();
        self.cells = Arc::default();
    }

    fn cell(&self, reference: &SecretRef) -> Cell {
        // Of one secret several fields may be meant: it is asked for once for each.
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.entry(reference.clone()).or_default().clone()
    }

    async fn read(&self, reference: &SecretRef) -> Result<String, Missing> {
        within(PATIENCE, self.ask(reference)).await.unwrap_or_else(|| Err(Missing::unavailable("NoAnswer")))
    }

    async fn ask(&self, reference: &SecretRef) -> Result<String, Missing> {
        let client = self.client.get_or_init(|| client(self.vaults.is_direct));
        let client = client.as_ref().ok_or_else(|| Missing::unavailable("NoClient"))?;
        let url = self.vaults.url(reference);
        let (target, body) = reference.request();
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert("x-amz-target", HeaderValue::from_static(target));
        let signed_headers = [("content-type", JSON), ("x-amz-target", target)];
        let to_sign = ToSign { url: &url, headers: &signed_headers, body: &body };
        let signed = self.signer.sign(to_sign, &reference.scope(), self.clock.wall(), &mut headers).await;
        signed.ok_or_else(|| Missing::unavailable("NoCredentials"))?;
        let sent = client.post(&url).headers(headers).body(body).send().await;
        let mut response = sent.map_err(|_| Missing::unavailable("NoConnection"))?;
        let (status, mut answer) = (response.status().as_u16(), Vec::new());
        while let Some(chunk) =
            response.chunk().await.map_err(|_| Missing::unavailable("ConnectionClosed"))?
        {
            answer.extend_from_slice(&chunk);
            if answer.len() > ANSWER_MAX {
                return Err(Missing::unavailable("TooLong"));
            }
        }
        reference.value(status, &answer)
    }

    /// Each error of each secret is said once. Never the answer, which may have the secret in it.
    fn say(&self, reference: &SecretRef, missing: &Missing) {
        let key = (reference.clone(), missing.error.clone());
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.contains(&key) {
            return;
        }
        said.push(key);
        let fields = serde_json::json!({ "secret": reference.to_string(), "error": missing.error });
        if missing.is_refused {
            let message = "a secret that a header needs cannot be read; data is kept, and it is tried again";
            log::say(Level::Error, "secret_refused", message, fields);
        } else {
            let message = "a secret that a header needs was not read; data is kept, and it is tried again";
            log::say(Level::Warn, "secret_unavailable", message, fields);
        }
    }
}

/// A client for AWS's own services.
fn client(is_direct: bool) -> Option<reqwest::Client> {
    let builder =
        reqwest::Client::builder().http1_only().tls_backend_preconfigured(trust::tls(&TlsFiles::default()));
    let builder = if is_direct { builder.no_proxy() } else { builder };
    builder.redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0).build().ok()
}
