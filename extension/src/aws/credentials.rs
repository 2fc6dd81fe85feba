//! Who signs: the credentials of the function's role, from its environment or from the platform.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policy::UnixNanos;
use tokio::sync::{Mutex, MutexGuard};

use crate::clock::patiently;
use crate::lambda;
use crate::log;

/// The platform's API is in the same sandbox: it is waited for so many half seconds, fewer than a flush has.
const FETCH_STEPS: u32 = 1;
/// Where it did not answer, it is asked again after this.
const FETCH_AGAIN: Duration = Duration::from_secs(2);
/// What expires within this time is fetched anew.
const EXPIRES_SOON: Duration = Duration::from_secs(5 * 60);

/// The credentials of a role. Its secrets are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The id of the access key, which signatures name.
    pub key_id: String,
    secret_key: String,
    /// The session's token, which a role's credentials have.
    pub token: Option<String>,
}

impl Credentials {
    /// A role's.
    pub fn new(key_id: &str, secret_key: &str, token: Option<&str>) -> Self {
        Self { key_id: key_id.into(), secret_key: secret_key.into(), token: token.map(str::to_owned) }
    }

    pub(super) fn secret_key(&self) -> &str {
        &self.secret_key
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Where they come from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// The environment: they hold for the life of the process.
    Variables(Credentials),
    /// The platform's API, where they are replaced before they expire, and when a snapshot is restored.
    ///
    /// # Source
    /// <https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html>
    Platform {
        /// The path there.
        path: String,
        /// What the header `authorization` must say.
        authorization: String,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variables(_) => "Variables",
            Self::Platform { .. } => "Platform",
        })
    }
}

/// Those that are used now, shared by all requests.
#[derive(Clone, Debug)]
pub struct Keeper {
    source: Arc<Source>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How often what was fetched became somebody else's.
    lives: AtomicU64,
    /// Whoever fetches has the lock, and the others wait for what comes.
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    fetched: Option<Fetched>,
    /// The life that it was fetched in.
    life: u64,
    /// When the platform did not answer with any.
    failed_at: Option<UnixNanos>,
}

/// What the platform handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fetched {
    credentials: Credentials,
    /// `None` where it has not said.
    until: Option<UnixNanos>,
}

impl Fetched {
    fn holds(&self, at: UnixNanos) -> bool {
        self.until.is_none_or(|until| until > at)
    }
}

impl Keeper {
    /// Of what `source` has.
    pub fn new(source: Source) -> Self {
        Self { source: Arc::new(source), shared: Arc::default() }
    }

    /// Those to sign with at `now`; `None`, and a line about it, where there are none.
    pub async fn get(&self, now: UnixNanos) -> Option<Credentials> {
        if let Source::Variables(credentials) = &*self.source {
            return Some(credentials.clone());
        }
        let mut kept = self.kept().await;
        if kept.fetched.as_ref().is_none_or(|fetched| !fetched.holds(now + EXPIRES_SOON)) {
            self.fetch(&mut kept, now).await;
        }
        // Those at hand may do for some minutes more.
        kept.fetched.as_ref().filter(|fetched| fetched.holds(now)).map(|fetched| fetched.credentials.clone())
    }

    /// AWS has refused `credentials`. Others, where there are any.
    pub async fn renew(&self, credentials: &Credentials, now: UnixNanos) -> Option<Credentials> {
        if let Source::Variables(_) = &*self.source {
            return None;
        }
        let is_other = |fetched: &&Fetched| fetched.credentials != *credentials;
        let mut kept = self.kept().await;
        if kept.fetched.as_ref().filter(is_other).is_none() {
            // What was refused to one service may be good for another: it stays until others are there.
            self.fetch(&mut kept, now).await;
        }
        kept.fetched.as_ref().filter(is_other).map(|fetched| fetched.credentials.clone())
    }

    /// Those that were fetched are not used any more: they were the builder's of a snapshot that was restored.
    pub fn forget(&self) {
        self.shared.lives.fetch_add(1, Ordering::Relaxed);
    }

    async fn kept(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.shared.kept.lock().await;
        let life = self.shared.lives.load(Ordering::Relaxed);
        if kept.life != life {
            *kept = Kept { life, ..Kept::default() };
        }
        kept
    }

    async fn fetch(&self, kept: &mut Kept, now: UnixNanos) {
        let Source::Platform { path, authorization } = &*self.source else { return };
        if kept.failed_at.is_some_and(|at| now.since(at) < FETCH_AGAIN) {
            return;
        }
        let found = patiently(FETCH_STEPS, fetch(path, authorization)).await;
        match found.unwrap_or_else(|| Err("the platform does not answer".into())) {
            Ok(fetched) => (kept.fetched, kept.failed_at) = (Some(fetched), None),
            Err(error) => {
                // Said once until it goes well again.
                if kept.failed_at.replace(now).is_none() {
                    let message = "the platform hands out no credentials to sign requests to AWS with";
                    log::degraded("credentials_missing", message, &error);
                }
            }
        }
    }
}

async fn fetch(path: &str, authorization: &str) -> Result<Fetched, lambda::Error> {
    let answer = lambda::credentials(path, authorization).await?;
    read(&answer).ok_or_else(|| "the platform's answer has no credentials in it".into())
}

/// What the platform answers: credentials, and the time until which they hold.
fn read(answer: &[u8]) -> Option<Fetched> {
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let text = |name: &str| answer.get(name)?.as_str().filter(|text| !text.is_empty());
    let credentials = Credentials::new(text("AccessKeyId")?, text("SecretAccessKey")?, text("Token"));
    Some(Fetched { credentials, until: text("Expiration").and_then(wire::time::rfc3339) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_answer_is_read() {
        let read = |text: &str| read(text.as_bytes());
        let found = read(
            r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"1970-01-01T00:00:09Z","Further":1}"#,
        );
        let (credentials, until) = (Credentials::new("A", "S", Some("T")), Some(UnixNanos(9_000_000_000)));
        assert_eq!(found, Some(Fetched { credentials, until }));
        let found = read(r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":"","Expiration":"soon"}"#);
        assert_eq!(found, Some(Fetched { credentials: Credentials::new("A", "S", None), until: None }));
        for text in [r#"{"AccessKeyId":"A"}"#, r#"{"AccessKeyId":"","SecretAccessKey":"S"}"#, "[]", "{", ""] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let credentials = Credentials::new("AKIA", "s3cret", Some("t0ken"));
        let variables = Source::Variables(credentials.clone());
        let platform = Source::Platform { path: "/p".into(), authorization: "t0ken".into() };
        let keeper = Keeper::new(variables.clone());
        let shown = format!("{credentials:?} {variables:?} {platform:?} {keeper:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    }
}
