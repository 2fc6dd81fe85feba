//! Headers whose values are secrets: read from AWS when the first request needs them, kept in memory, and read again when the
//! backend refuses them.
//!
//! Each secret is read by a task of its own. Requests wait for it, and whoever cancels one of them cancels no reading. A freeze may
//! have lost a reading, or its answer lies in the socket: where one takes long, a second begins with the next invocation, and the first
//! that ends well counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use policy::{Signal, UnixNanos};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::signing::{Signer, ToSign};
use super::trust;
use crate::aws::{Missing, SecretRef};
use crate::caught::caught_async;
use crate::clock::{Clock, patiently};
use crate::log::{self, Level};
use crate::settings::{SecretHeader, TlsFiles, Vaults};

/// So many half seconds AWS's answer is waited for, those of a freeze left out.
const STEPS: u32 = 10;
/// A secret that the backend refuses is read again this often at most, for each signal.
const AGAIN: Duration = Duration::from_secs(60);
/// A reading that has taken so long may be lost.
const LONG: Duration = Duration::from_secs(1);
/// Readings of one secret at once.
const READINGS_MAX: usize = 3;
/// After a failure that may be passing; doubled up to [`AGAIN`].
const PAUSE: Duration = Duration::from_millis(250);
/// After one that somebody has to mend: less than the minute after which the agent asks again.
const PAUSE_REFUSED: Duration = Duration::from_secs(50);
/// More than any answer with a secret in it: those have 64 KiB.
const ANSWER_MAX: usize = 256 << 10;
const JSON: &str = "application/x-amz-json-1.1";

/// See the module; shared by all requests.
#[derive(Clone)]
pub(super) struct Secrets {
    signer: Signer,
    vaults: Arc<Vaults>,
    clock: Clock,
    /// Built when first needed.
    client: Arc<OnceLock<Option<reqwest::Client>>>,
    cells: Arc<Mutex<HashMap<SecretRef, Arc<Cell>>>>,
}

/// One secret.
#[derive(Default)]
struct Cell {
    state: Mutex<State>,
    /// Told of the end of a reading.
    ended: Notify,
}

#[derive(Default)]
struct State {
    value: Option<String>,
    /// The tasks that read it now: their numbers, when they began, and themselves.
    readings: Vec<(u64, UnixNanos, AbortHandle)>,
    /// Readings begun.
    begun: u64,
    /// Why it was not read last.
    failure: Option<Failed>,
    /// When it was read again because the backend had refused it to a signal.
    renewed_at: [Option<UnixNanos>; Signal::ALL.len()],
    /// Errors that were said.
    said: Vec<String>,
}

struct Failed {
    missing: Missing,
    /// Not before this.
    again_at: UnixNanos,
    times: u32,
}

/// A value that a request was sent with.
pub(super) struct Used {
    reference: SecretRef,
    value: String,
}

impl Cell {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody reads it; its value, or why there is none.
    async fn settled(&self) -> Result<String, Missing> {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            {
                let state = self.state();
                match (&state.value, &state.failure) {
                    _ if !state.readings.is_empty() => {}
                    (Some(value), _) => return Ok(value.clone()),
                    (None, Some(failed)) => return Err(failed.missing.clone()),
                    (None, None) => return Err(Missing::unavailable("NotRead")),
                }
            }
            ended.await;
        }
    }
}

impl Secrets {
    pub(super) fn new(signer: Signer, vaults: Vaults, clock: Clock) -> Self {
        let vaults = Arc::new(vaults);
        Self { signer, vaults, clock, client: Arc::default(), cells: Arc::default() }
    }

    /// Puts the values of `secrets` into `headers`, and gives them back.
    ///
    /// # Errors
    /// With why one of them is not to be had, which has been said.
    pub(super) async fn fill_in(
        &self,
        secrets: &[SecretHeader],
        headers: &mut HeaderMap,
    ) -> Result<Vec<Used>, Missing> {
        self.prepare(secrets);
        let mut used = Vec::new();
        for SecretHeader { name, before, reference } in secrets {
            let value = self.cell(reference).settled().await?;
            let header =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&format!("{before}{value}")));
            let (Ok(name), Ok(mut header)) = header else { return Err(self.unusable(reference)) };
            header.set_sensitive(true);
            headers.insert(name, header);
            used.push(Used { reference: reference.clone(), value });
        }
        Ok(used)
    }

    /// Begins to read what is not known yet.
    pub(super) fn prepare(&self, secrets: &[SecretHeader]) {
        for SecretHeader { reference, .. } in secrets {
            let cell = self.cell(reference);
            if cell.state().value.is_none() {
                self.begin(reference, &cell);
            }
        }
    }

    /// The backend has refused a request of `signal` that was sent with `used`. Whether one of these has another value by now.
    pub(super) async fn renew(&self, used: &[Used], signal: Signal) -> bool {
        let mut is_new = false;
        for Used { reference, value } in used {
            let cell = self.cell(reference);
            let now = self.clock.wall();
            let may_read = {
                let state = cell.state();
                let renewed_at = state.renewed_at[signal as usize];
                let is_known = state.value.as_ref().is_some_and(|known| known != value);
                !is_known && renewed_at.is_none_or(|at| now.since(at) >= AGAIN)
            };
            if may_read && self.begin(reference, &cell) {
                // While that fails, what is there is kept: it may be good for another signal.
                let _ = cell.settled().await;
                let mut state = cell.state();
                if state.failure.is_none() {
                    state.renewed_at[signal as usize] = Some(now);
                }
            }
            is_new |= cell.state().value.as_ref().is_some_and(|known| known != value);
        }
        is_new
    }

    /// An invocation begins: a reading that takes long may have been lost in the freeze before it.
    pub(super) fn on_invoke(&self) {
        let cells: Vec<_> =
            self.cells().iter().map(|(reference, cell)| (reference.clone(), cell.clone())).collect();
        for (reference, cell) in cells {
            let state = cell.state();
            let newest = state.readings.last().map(|(_, begun_at, _)| *begun_at);
            let is_long = newest.is_some_and(|at| self.clock.wall().since(at) >= LONG);
            if is_long && state.readings.len() < READINGS_MAX {
                self.spawn(&reference, &cell, state);
            }
        }
    }

    /// SHUTDOWN: this is the last chance, whatever was before.
    pub(super) fn begin_last(&self) {
        for cell in self.cells().values() {
            let mut state = cell.state();
            (state.failure, state.renewed_at) = (None, Default::default());
        }
        self.on_invoke();
    }

    /// A snapshot was restored: what was read for it may be old.
    pub(super) fn begin_anew(&self) {
        self.signer.begin_anew();
        self.cells().clear();
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<SecretRef, Arc<Cell>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, reference: &SecretRef) -> Arc<Cell> {
        self.cells().entry(reference.clone()).or_default().clone()
    }

    /// Begins to read a secret, unless somebody does, or it failed just now; whether it is being read.
    fn begin(&self, reference: &SecretRef, cell: &Arc<Cell>) -> bool {
        let state = cell.state();
        if !state.readings.is_empty() {
            return true;
        }
        if state.failure.as_ref().is_some_and(|failed| self.clock.wall() < failed.again_at) {
            return false;
        }
        self.spawn(reference, cell, state);
        true
    }

    fn spawn(&self, reference: &SecretRef, cell: &Arc<Cell>, mut state: MutexGuard<'_, State>) {
        state.begun += 1;
        let number = state.begun;
        let (own, reference, of) = (self.clone(), reference.clone(), cell.clone());
        let reading = tokio::spawn(async move {
            // However it ends, it ends: requests wait for that.
            let read = caught_async(patiently(STEPS, own.ask(&reference))).await.unwrap_or_default();
            own.end(number, &reference, &of, read.unwrap_or_else(|| Err(Missing::unavailable("NoAnswer"))));
        });
        state.readings.push((number, self.clock.wall(), reading.abort_handle()));
    }

    fn end(&self, number: u64, reference: &SecretRef, cell: &Cell, read: Result<String, Missing>) {
        let mut state = cell.state();
        state.readings.retain(|(other, _, _)| *other != number);
        match read {
            Ok(value) => {
                state.failure = None;
                state.readings.drain(..).for_each(|(_, _, reading)| reading.abort());
                let old = state.value.replace(value);
                if old.is_some() && old != state.value {
                    let fields = serde_json::json!({ "secret": reference.to_string() });
                    let message = "the backend refused the key; a newer one was read";
                    log::say(Level::Info, "secret_stale", message, fields);
                }
            }
            Err(missing) => self.fail(reference, &mut state, missing),
        }
        drop(state);
        cell.ended.notify_waiters();
    }

    fn fail(&self, reference: &SecretRef, state: &mut State, missing: Missing) {
        let times = state.failure.as_ref().map_or(0, |failed| failed.times);
        let pause = if missing.is_refused {
            PAUSE_REFUSED
        } else {
            PAUSE.saturating_mul(1 << times.min(6)).min(AGAIN)
        };
        say(reference, &missing, &mut state.said);
        state.failure = Some(Failed { missing, again_at: self.clock.wall() + pause, times: times + 1 });
    }

    /// It was read, and is nothing that a header can have.
    fn unusable(&self, reference: &SecretRef) -> Missing {
        let missing = Missing { error: "NotAHeader".to_owned(), is_refused: true };
        let cell = self.cell(reference);
        let mut state = cell.state();
        state.value = None;
        self.fail(reference, &mut state, missing.clone());
        missing
    }

    async fn ask(&self, reference: &SecretRef) -> Result<String, Missing> {
        let client = self.client.get_or_init(|| client(self.vaults.is_direct));
        let client = client.as_ref().ok_or_else(|| Missing::unavailable("NoClient"))?;
        let first = self.ask_once(client, reference).await?;
        let Some(refusal) = first.refusal else { return first.value };
        if !self.signer.mend(refusal.0, &refusal.1).await {
            return first.value;
        }
        self.ask_once(client, reference).await?.value
    }

    async fn ask_once(&self, client: &reqwest::Client, reference: &SecretRef) -> Result<Answered, Missing> {
        let url = self.vaults.url(reference);
        let (target, body) = reference.request();
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert("x-amz-target", HeaderValue::from_static(target));
        let signed_headers = [("content-type", JSON), ("x-amz-target", target)];
        let to_sign = ToSign { url: &url, headers: &signed_headers, body: &body };
        let signed = self.signer.sign(to_sign, &reference.scope(), &mut headers).await;
        let signed = signed.ok_or_else(|| Missing::unavailable("NoCredentials"))?;
        let sent = client.post(&url).headers(headers).body(body).send().await;
        let mut response = sent.map_err(|_| Missing::unavailable("NoConnection"))?;
        let (status, mut answer) = (response.status().as_u16(), Vec::new());
        let date = response.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
        let date = date.map(str::to_owned);
        while let Some(chunk) =
            response.chunk().await.map_err(|_| Missing::unavailable("ConnectionClosed"))?
        {
            answer.extend_from_slice(&chunk);
            if answer.len() > ANSWER_MAX {
                return Err(Missing::unavailable("TooLong"));
            }
        }
        let refusal = self.signer.refusal(&signed, status, date.as_deref(), &answer);
        let refusal = refusal.map(|refusal| (refusal, signed));
        Ok(Answered { value: reference.value(status, &answer), refusal })
    }
}

/// What AWS has answered.
struct Answered {
    value: Result<String, Missing>,
    /// What it has against the request, and what that was signed with.
    refusal: Option<(crate::aws::Refusal, super::signing::Signed)>,
}

/// Each error of each secret is said once. Never the answer, which may have the secret in it.
fn say(reference: &SecretRef, missing: &Missing, said: &mut Vec<String>) {
    if said.contains(&missing.error) {
        return;
    }
    said.push(missing.error.clone());
    let fields = serde_json::json!({ "secret": reference.to_string(), "error": missing.error });
    let (level, event) = match missing.is_refused {
        true => (Level::Error, "secret_refused"),
        false => (Level::Warn, "secret_unavailable"),
    };
    log::say(
        level,
        event,
        "a secret that a header needs was not read; data is kept, and it is tried again",
        fields,
    );
}

/// A client for AWS's own services.
fn client(is_direct: bool) -> Option<reqwest::Client> {
    let builder = reqwest::Client::builder().http1_only();
    let builder = builder.tls_backend_preconfigured(trust::tls(&TlsFiles::default()));
    let builder = if is_direct { builder.no_proxy() } else { builder };
    builder.redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0).build().ok()
}
