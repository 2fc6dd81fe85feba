//! A backend behind TLS, with an authority of its own: it takes requests, counts them and says 200.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::collector::PATIENCE;
use crate::platform::Script;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// How often [`TlsBackend::expect`] looks: nothing tells it when to.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// The year in which certificates expire that are good.
const FOR_EVER: i32 = 4096;

/// See the module.
#[derive(Debug)]
pub struct TlsBackend {
    address: SocketAddr,
    /// What its certificate is for.
    name: &'static str,
    taken: Taken,
    seen: Arc<Seen>,
    authority: String,
    client: (String, String),
}

/// What came of connections.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    handshakes: AtomicUsize,
}

/// The bodies of all requests so far.
type Taken = Arc<Mutex<Vec<Vec<u8>>>>;

impl TlsBackend {
    /// Starts it; with `wants_client_certificate`, only clients of the same authority are let in.
    pub fn start(wants_client_certificate: bool) -> Self {
        Self::start_with("localhost", wants_client_certificate, 0)
    }

    /// Starts it with its address in its certificate, for clients that have nobody to ask for names.
    pub fn start_by_address() -> Self {
        Self::start_with("127.0.0.1", false, 0)
    }

    /// Starts it with a certificate that has expired.
    pub fn start_expired() -> Self {
        Self::start_as("localhost", false, 0, 1999)
    }

    /// Starts it; it accepts its first `mute` connections, and never says a word on them.
    pub fn start_mute(mute: usize) -> Self {
        Self::start_with("localhost", false, mute)
    }

    /// Starts it with a certificate that signs itself, as `openssl req -x509` makes them: it is its own authority.
    pub fn start_self_signed(is_expired: bool) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(1990, 1, 1);
        params.not_after = rcgen::date_time_ymd(if is_expired { 1999 } else { FOR_EVER }, 12, 31);
        let certificate = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certificate.key().serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the usual versions");
        let config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
        Self::serve_as("localhost", 0, Arc::new(config.expect("a matching key")), &certificate)
    }

    fn start_with(name: &'static str, wants_client_certificate: bool, mute: usize) -> Self {
        Self::start_as(name, wants_client_certificate, mute, FOR_EVER)
    }

    fn start_as(name: &'static str, wants_client_certificate: bool, mute: usize, expiry: i32) -> Self {
        let authority = authority();
        let config = server_config(&authority, name, wants_client_certificate, expiry);
        Self::serve_as(name, mute, config, &authority)
    }

    fn serve_as(name: &'static str, mute: usize, config: Arc<ServerConfig>, authority: &Authority) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let taken = Taken::default();
        let seen = Arc::<Seen>::default();
        let (shared, counts) = (Arc::clone(&taken), Arc::clone(&seen));
        thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if counts.connections.fetch_add(1, SeqCst) < mute {
                    kept.push(stream);
                    continue;
                }
                let (config, taken, seen) = (Arc::clone(&config), Arc::clone(&shared), Arc::clone(&counts));
                // A client that breaks off, or does not trust us, is what some tests are about.
                thread::spawn(move || serve(stream, config, &taken, &seen).ok());
            }
        });
        let (certificate, key) = issue(authority, "client", FOR_EVER);
        Self {
            address,
            name,
            taken,
            seen,
            authority: authority.pem(),
            client: (certificate.pem(), key.serialize_pem()),
        }
    }

    /// Its base URL, under the name in its certificate.
    pub fn endpoint(&self) -> String {
        format!("https://{}:{}", self.name, self.address.port())
    }

    /// Its base URL under a name that its certificate does not have.
    pub fn endpoint_by_address(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Writes the authority's certificate to `path`.
    pub fn write_authority(&self, path: &Path) {
        std::fs::write(path, &self.authority).expect("the folder can be written");
    }

    /// The same extension with this backend, and with its authority in a file of the script's own.
    #[must_use]
    pub fn trusted_by(&self, script: Script) -> Script {
        let authority = script.scratch().join("authority.pem");
        self.write_authority(&authority);
        script
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", self.endpoint())
            .env("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", authority.to_string_lossy())
    }

    /// Writes a certificate of that authority for a client, and its key.
    pub fn write_client(&self, certificate: &Path, key: &Path) {
        std::fs::write(certificate, &self.client.0).expect("the folder can be written");
        std::fs::write(key, &self.client.1).expect("the folder can be written");
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    /// How many handshakes came to their end.
    pub fn handshakes(&self) -> usize {
        self.seen.handshakes.load(SeqCst)
    }

    /// Blocks until `is_met` holds.
    ///
    /// # Panics
    /// After ten seconds, with `what` was waited for.
    #[track_caller]
    pub fn expect(&self, what: &str, is_met: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_met(self) {
            assert!(Instant::now() < until, "waited {PATIENCE:?} for {what}: {:?}", self.seen);
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// The bodies of all requests so far.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Certificates and keys in files, for programs of others.
#[derive(Debug)]
pub struct Papers {
    /// The authority's certificate, which all others are signed by.
    pub authority: PathBuf,
    /// Of a server that is called `localhost`.
    pub server: (PathBuf, PathBuf),
    /// Of a client.
    pub client: (PathBuf, PathBuf),
}

impl Papers {
    /// Writes new ones into `folder`.
    pub fn write(folder: &Path) -> Self {
        let all = authority();
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("the folder can be written");
            path
        };
        let pair = |name: &str| {
            let (certificate, key) = issue(&all, name, FOR_EVER);
            let key = write(&format!("{name}.key"), key.serialize_pem());
            (write(&format!("{name}.pem"), certificate.pem()), key)
        };
        Self {
            authority: write("authority.pem", all.pem()),
            server: pair("localhost"),
            client: pair("client"),
        }
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key).expect("a certificate")
}

fn issue(authority: &Authority, name: &str, expiry: i32) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name or an address");
    params.not_before = rcgen::date_time_ymd(1990, 1, 1);
    params.not_after = rcgen::date_time_ymd(expiry, 12, 31);
    (params.signed_by(&key, authority).expect("a certificate"), key)
}

fn server_config(
    authority: &Authority,
    name: &str,
    wants_client_certificate: bool,
    expiry: i32,
) -> Arc<ServerConfig> {
    let (certificate, key) = issue(authority, name, expiry);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has the usual versions");
    let builder = if wants_client_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).expect("our own authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.expect("a root"))
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).expect("a matching key"))
}

/// Answers requests on one connection until it ends.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, taken: &Taken, seen: &Seen) -> std::io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = stream;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    seen.handshakes.fetch_add(1, SeqCst);
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            length = line
                .strip_prefix("content-length:")
                .map_or(Ok(length), |text| text.trim().parse())
                .unwrap_or(0);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        taken.lock().unwrap_or_else(PoisonError::into_inner).push(body);
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}
