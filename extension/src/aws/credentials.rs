//! Who signs: the credentials of the function's role, from its environment or from the platform.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use policy::UnixNanos;
use tokio::sync::Mutex;

use crate::lambda;
use crate::log;

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
    /// Whoever fetches them has the lock, and the others wait for what comes.
    fetched: Arc<Mutex<Option<Fetched>>>,
}

/// What the platform handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fetched {
    credentials: Credentials,
    /// `None` where it has not said.
    until: Option<UnixNanos>,
}

impl Keeper {
    /// Of what `source` has.
    pub fn new(source: Source) -> Self {
        Self { source: Arc::new(source), fetched: Arc::default() }
    }

    /// Those to sign with at `now`; `None`, and a line about it, where there are none.
    pub async fn get(&self, now: UnixNanos) -> Option<Credentials> {
        let (path, authorization) = match &*self.source {
            Source::Variables(credentials) => return Some(credentials.clone()),
            Source::Platform { path, authorization } => (path, authorization),
        };
        let mut fetched = self.fetched.lock().await;
        if let Some(Fetched { credentials, until }) = &*fetched
            && until.is_none_or(|until| until > now + EXPIRES_SOON)
        {
            return Some(credentials.clone());
        }
        match fetch(path, authorization).await {
            Ok(found) => *fetched = Some(found),
            // Those at hand may do for some minutes more.
            Err(error) => log::degraded("credentials_missing", "requests to AWS cannot be signed", &error),
        }
        fetched.as_ref().map(|fetched| fetched.credentials.clone())
    }

    /// AWS has refused `credentials`. Others, where there are any.
    pub async fn renew(&self, credentials: &Credentials, now: UnixNanos) -> Option<Credentials> {
        if let Source::Variables(_) = &*self.source {
            return None;
        }
        {
            let mut fetched = self.fetched.lock().await;
            fetched.take_if(|known| known.credentials == *credentials);
        }
        self.get(now).await.filter(|others| others != credentials)
    }

    /// Those that were fetched are not used any more: they were the builder's of a snapshot that was restored.
    pub fn forget(&mut self) {
        self.fetched = Arc::default();
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
