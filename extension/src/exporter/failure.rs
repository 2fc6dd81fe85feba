//! Why a request was not delivered: one of a bounded number of causes, for the person who reads the log.
//!
//! What a client says of an error is a chain of texts of five libraries. Here each chain becomes one [`Cause`], with
//! the innermost text beside it. Neither holds data or a secret: the outer texts, which quote the URL, are left out.

use std::error::Error;
use std::io;

use policy::Outcome;
use rustls::{AlertDescription, CertificateError};
use wire::collector::Denial;

/// The innermost text is cut here, in characters.
const DETAIL_MAX: usize = 200;

/// What kept a request from being delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the table below says what each is")]
pub(super) enum Cause {
    NameNotFound,
    ConnectionRefused,
    HostUnreachable,
    NoConnection,
    ConnectionFailed,
    ConnectionClosed,
    NoAnswer,
    NotHttp,
    NotHttp2,
    NotOtlp,
    ErrorInSuccess,
    NoGrpcStatus,
    TlsExpected,
    TlsUnknownIssuer,
    TlsWrongName,
    TlsExpired,
    TlsNotYetValid,
    TlsBadCertificate,
    TlsClientCertificate,
    TlsNothingInCommon,
    TlsNotSpoken,
    TlsFailed,
    ProxyAuthentication,
    ProxyFailed,
    Throttled,
    Unavailable,
    Unauthorized,
    Forbidden,
    NotFound,
    WrongMethod,
    UnsupportedType,
    Redirected,
    Loop,
    BadRequest,
    WrongTemporality,
    OutOfOrder,
    TooLarge,
    ServerError,
    NoTransactionSearch,
    Unsigned,
    SecretUnread,
    QueueNotFound,
    QueueDenied,
    RefusedOtherwise,
}

impl Cause {
    /// The value of `cause` in a log line.
    pub(super) const fn name(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// Whether a connection was not established to whoever was to be asked first.
    const fn is_of_way(self) -> bool {
        matches!(
            self,
            Self::NameNotFound
                | Self::ConnectionRefused
                | Self::HostUnreachable
                | Self::NoConnection
                | Self::ConnectionFailed
        )
    }

    /// What happened, in words.
    pub(super) const fn sentence(self) -> &'static str {
        TABLE[self as usize].2
    }
}

/// Every cause in the order of [`Cause`]: its name in a line, and what happened. What to do is on the page on
/// troubleshooting.
const TABLE: [(Cause, &str, &str); 44] = [
    (Cause::NameNotFound, "name_not_found", "the name of the backend's host cannot be resolved"),
    (Cause::ConnectionRefused, "connection_refused", "nothing listens on the backend's port"),
    (Cause::HostUnreachable, "host_unreachable", "there is no network route to the backend"),
    (
        Cause::NoConnection,
        "no_connection",
        "no connection to the backend was established in time; its name may not be resolved, a security group, a firewall or a missing route may drop packets, or a proxy or the TLS handshake may hang",
    ),
    (Cause::ConnectionFailed, "connection_failed", "the connection to the backend could not be opened"),
    (
        Cause::ConnectionClosed,
        "connection_closed",
        "the backend closed the connection and did not answer; its port may expect TLS (an https:// endpoint)",
    ),
    (Cause::NoAnswer, "no_answer", "the backend accepted the connection and did not answer in time"),
    (
        Cause::NotHttp,
        "not_http",
        "the backend's port does not speak HTTP/1.1; it may expect TLS (an https:// endpoint) or gRPC (PREFREEZE_EXPORTER_OTLP_PROTOCOL=grpc)",
    ),
    (
        Cause::NotHttp2,
        "not_http2",
        "the backend's port does not speak HTTP/2, which gRPC needs; it may be the port for OTLP/HTTP (PREFREEZE_EXPORTER_OTLP_PROTOCOL=http/protobuf), or expect TLS (an https:// endpoint)",
    ),
    (
        Cause::NotOtlp,
        "not_otlp",
        "the answer is a web page, or another one that is not of OTLP; the endpoint may be that of a user interface, or a login page or a proxy may be before the backend",
    ),
    (
        Cause::ErrorInSuccess,
        "error_in_success",
        "the answer has the status of a success, and an error in its body; the endpoint may be a gateway, or not that of OTLP",
    ),
    (
        Cause::NoGrpcStatus,
        "no_grpc_status",
        "the backend's answer has no gRPC status; a proxy before it may not pass trailers on",
    ),
    (
        Cause::TlsExpected,
        "tls_expected",
        "the backend's port expects TLS and was sent plain HTTP: an https:// endpoint is meant",
    ),
    (
        Cause::TlsUnknownIssuer,
        "tls_unknown_issuer",
        "the backend's certificate was not issued by a known authority, or the backend does not send the certificates between; PREFREEZE_EXPORTER_OTLP_CERTIFICATE adds one",
    ),
    (Cause::TlsWrongName, "tls_wrong_name", "the backend's certificate is for another host name"),
    (Cause::TlsExpired, "tls_expired", "the backend's certificate has expired"),
    (Cause::TlsNotYetValid, "tls_not_yet_valid", "the backend's certificate is not valid yet"),
    (
        Cause::TlsBadCertificate,
        "tls_bad_certificate",
        "the backend's certificate is invalid for another reason",
    ),
    (
        Cause::TlsClientCertificate,
        "tls_client_certificate",
        "the backend requires a client certificate, and none was sent or the one that was sent is not accepted",
    ),
    (
        Cause::TlsNothingInCommon,
        "tls_nothing_in_common",
        "the backend supports no TLS version, cipher suite or application protocol that Prefreeze supports",
    ),
    (
        Cause::TlsNotSpoken,
        "tls_not_spoken",
        "the backend's port does not speak TLS; an http:// endpoint may be meant",
    ),
    (Cause::TlsFailed, "tls_failed", "the TLS handshake with the backend failed"),
    (
        Cause::ProxyAuthentication,
        "proxy_authentication",
        "the proxy before the backend requires a user name and a password",
    ),
    (
        Cause::ProxyFailed,
        "proxy_failed",
        "the proxy before the backend cannot be reached, or did not open a connection to it",
    ),
    (Cause::Throttled, "throttled", "the backend limits how much it accepts"),
    (Cause::Unavailable, "unavailable", "the backend is temporarily unavailable"),
    (
        Cause::Unauthorized,
        "unauthorized",
        "the backend does not accept the key (PREFREEZE_EXPORTER_OTLP_HEADERS)",
    ),
    (Cause::Forbidden, "forbidden", "the key is not allowed to send this signal to the backend"),
    (Cause::NotFound, "not_found", "the backend has no such path; the endpoint may be wrong"),
    (
        Cause::WrongMethod,
        "wrong_method",
        "the backend's path accepts no POST or no such call; the endpoint may be wrong",
    ),
    (Cause::UnsupportedType, "unsupported_type", "the backend does not accept protobuf, or this compression"),
    (Cause::Redirected, "redirected", "the backend redirects to another URL, and redirects are not followed"),
    (
        Cause::Loop,
        "loop",
        "the endpoint leads to Prefreeze's own receiver, so that data would go round in a circle",
    ),
    (Cause::BadRequest, "bad_request", "the backend considers the request invalid"),
    (
        Cause::WrongTemporality,
        "wrong_temporality",
        "the backend does not accept metrics of this temporality; PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative sends totals instead of deltas",
    ),
    (
        Cause::OutOfOrder,
        "out_of_order",
        "the backend does not accept data points that are older than others of their series, and a request that is sent again has such points",
    ),
    (Cause::TooLarge, "too_large", "the backend considers the request too large"),
    (Cause::ServerError, "server_error", "the backend failed while it handled the request"),
    (
        Cause::NoTransactionSearch,
        "no_transaction_search",
        "X-Ray takes OTLP only where Transaction Search is on: aws xray update-trace-segment-destination --destination CloudWatchLogs",
    ),
    (Cause::Unsigned, "unsigned", "there are no credentials to sign requests to AWS with"),
    (Cause::SecretUnread, "secret_unread", "the secret that a header refers to was not read"),
    (
        Cause::QueueNotFound,
        "queue_not_found",
        "SQS has no such queue in the region and the account that the endpoint names",
    ),
    (
        Cause::QueueDenied,
        "queue_denied",
        "the function's role may not send to the queue: it needs sqs:SendMessage, and kms:GenerateDataKey and kms:Decrypt for a key of your own",
    ),
    (Cause::RefusedOtherwise, "refused", "the backend refused the request"),
];

/// A request that was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// The status of HTTP, or of gRPC below 17, where there was an answer.
    pub(super) status: Option<u16>,
    /// The innermost text of the error, without data or secrets; may be empty.
    pub(super) detail: String,
}

impl Failure {
    pub(super) const fn of(cause: Cause) -> Self {
        Self { cause, status: None, detail: String::new() }
    }

    /// What an answer with this status means where it is not a success: of HTTP, or of gRPC.
    pub(super) const fn answered(status: u16) -> Self {
        let cause = match status {
            300..=399 => Cause::Redirected,
            400 | 422 | 3 => Cause::BadRequest,
            401 | 16 => Cause::Unauthorized,
            403 | 7 => Cause::Forbidden,
            404 | 410 | 5 => Cause::NotFound,
            405 | 501 | 12 => Cause::WrongMethod,
            406 | 415 => Cause::UnsupportedType,
            407 => Cause::ProxyAuthentication,
            413 => Cause::TooLarge,
            429 | 8 => Cause::Throttled,
            508 => Cause::Loop,
            // What says that nobody looked at the request, or that somebody gave up on it: it is sent again.
            408 | 421 | 425 | 502..=504 | 520..=527 | 530 | 1 | 4 | 10 | 11 | 14 | 15 => Cause::Unavailable,
            511 => Cause::NotOtlp,
            500 | 505..=507 | 509..=599 | 2 | 13 => Cause::ServerError,
            _ => Cause::RefusedOtherwise,
        };
        Self { cause, status: Some(status), detail: String::new() }
    }

    /// The failure that `outcome` is, with the status and the words that were answered; `None` where it is none.
    pub(super) fn in_answer(outcome: Outcome, status: u16, words: &[u8]) -> Option<Self> {
        match outcome {
            Outcome::Delivered { .. } => None,
            Outcome::TooLarge => {
                Some(Self { cause: Cause::TooLarge, status: Some(status), detail: String::new() })
            }
            Outcome::Rejected { .. } => {
                let failure = Self::answered(status);
                Some(Self { cause: cause_in_answer(words).unwrap_or(failure.cause), ..failure })
            }
            _ => Some(Self::answered(status)),
        }
    }

    /// An answer that means something else than its status.
    pub(super) const fn denied(denial: Denial, status: u16) -> Self {
        let cause = match denial {
            Denial::WebPage => Cause::NotOtlp,
            Denial::Error => Cause::ErrorInSuccess,
            Denial::TlsPort => Cause::TlsExpected,
        };
        Self { cause, status: Some(status), detail: String::new() }
    }

    /// Why no answer came. Where requests go through a proxy, it is the proxy that a connection is opened to.
    pub(super) fn unanswered(error: &(dyn Error + 'static), is_connecting: bool, is_proxied: bool) -> Self {
        let chain: Vec<_> = std::iter::successors(Some(error), |error| inner(*error)).collect();
        let known = || chain.iter().rev().find_map(|error| cause_of(*error));
        let in_words = || chain.iter().rev().find_map(|error| cause_in(&error.to_string()));
        // What failed on the way to a proxy would else read as if it was the backend's.
        let at_proxy = chain.iter().rev().find_map(|error| cause_at_proxy(&error.to_string()));
        let default = if is_connecting { Cause::ConnectionFailed } else { Cause::ConnectionClosed };
        let cause = at_proxy.or_else(known).or_else(in_words).unwrap_or(default);
        let cause = if is_proxied && is_connecting && cause.is_of_way() { Cause::ProxyFailed } else { cause };
        // The outermost error is the client's own, whose text has the URL.
        let innermost = chain.iter().skip(1).last().map(ToString::to_string).unwrap_or_default();
        Self { cause, status: None, detail: innermost.chars().take(DETAIL_MAX).collect() }
    }
}

/// The error behind an error; also behind one of I/O, which hides what it was made of.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let hidden = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match hidden {
        Some(hidden) => Some(hidden),
        None => error.source(),
    }
}

/// What an error means by its type.
fn cause_of(error: &(dyn Error + 'static)) -> Option<Cause> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(cause_of_tls(error));
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return error.is_parse().then_some(Cause::NotHttp);
    }
    match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused => Some(Cause::ConnectionRefused),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => Some(Cause::HostUnreachable),
        io::ErrorKind::TimedOut => Some(Cause::NoConnection),
        _ => None,
    }
}

fn cause_of_tls(error: &rustls::Error) -> Cause {
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => Cause::TlsUnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Cause::TlsWrongName
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Cause::TlsExpired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Cause::TlsNotYetValid
            }
            // An authority's own certificate, as `openssl req -x509` makes it: nobody else vouches for it.
            CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                Cause::TlsUnknownIssuer
            }
            _ => Cause::TlsBadCertificate,
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => Cause::TlsClientCertificate,
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::NoApplicationProtocol => Cause::TlsNothingInCommon,
            _ => Cause::TlsFailed,
        },
        rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
            Cause::TlsNothingInCommon
        }
        rustls::Error::InvalidMessage(_) => Cause::TlsNotSpoken,
        _ => Cause::TlsFailed,
    }
}

/// What an error in opening a tunnel means by its text: its type is not public.
fn cause_at_proxy(text: &str) -> Option<Cause> {
    let is_tunnel = text.starts_with("tunnel error");
    let wants_password = text.contains("authorization required") || text.contains("authentication required");
    is_tunnel.then_some(if wants_password { Cause::ProxyAuthentication } else { Cause::ProxyFailed })
}

/// What a refusal means by its words: stores of metrics answer mistakes that only their user can mend with 400 and 500. The
/// words themselves are not logged, because they may quote data.
///
/// # Source
/// `translateNumberDataPoints` and `ErrOutOfOrderSample` with its neighbours in <https://github.com/prometheus/prometheus>,
/// on which Mimir, Thanos and Grafana Cloud are built.
fn cause_in_answer(words: &[u8]) -> Option<Cause> {
    let text = String::from_utf8_lossy(words).to_ascii_lowercase();
    let known = [
        ("temporality", Cause::WrongTemporality),
        ("out of order sample", Cause::OutOfOrder),
        ("out of bounds", Cause::OutOfOrder),
        ("too old sample", Cause::OutOfOrder),
        ("duplicate sample for timestamp", Cause::OutOfOrder),
    ];
    known.iter().find(|(words, _)| text.contains(words)).map(|(_, cause)| *cause)
}

/// What an error means by its text, where its type is not public.
fn cause_in(text: &str) -> Option<Cause> {
    let words = [
        ("dns error", Cause::NameNotFound),
        ("failed to lookup address", Cause::NameNotFound),
        ("frame with invalid size", Cause::NotHttp2),
        ("FRAME_SIZE_ERROR", Cause::NotHttp2),
        ("connection preface", Cause::NotHttp2),
    ];
    words.iter().find(|(words, _)| text.contains(words)).map(|(_, cause)| *cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_cause_has_a_name_a_sentence_and_a_row_on_the_page() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshooting.md");
        let page = std::fs::read_to_string(page).expect("it is in the tree");
        let names: BTreeSet<_> = TABLE.iter().map(|row| row.1).collect();
        let sentences: BTreeSet<_> = TABLE.iter().map(|row| row.2).collect();
        assert_eq!((names.len(), sentences.len()), (TABLE.len(), TABLE.len()));
        for (at, (cause, name, _)) in TABLE.iter().enumerate() {
            assert_eq!(*cause as usize, at, "{name} is in the order of the enumeration");
            assert!(
                page.contains(&format!("\n| `{name}` | ")),
                "docs/troubleshooting.md has no row for {name}"
            );
        }
    }

    #[test]
    fn errors_are_told_apart_by_what_is_innermost() {
        let wrapped = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let rows = [
            (wrapped(rustls::Error::InvalidCertificate(CertificateError::Expired)), Cause::TlsExpired),
            (wrapped(rustls::Error::AlertReceived(AlertDescription::UnknownCA)), Cause::TlsClientCertificate),
            (io::Error::from(io::ErrorKind::ConnectionRefused), Cause::ConnectionRefused),
            (io::Error::other("failed to lookup address information"), Cause::NameNotFound),
            (io::Error::other("whatever"), Cause::ConnectionFailed),
        ];
        for (error, cause) in rows {
            let text = error.to_string();
            assert_eq!(Failure::unanswered(&error, true, false).cause, cause, "{text}");
            let at_proxy = Failure::unanswered(&error, true, true).cause;
            let is_tls = matches!(cause, Cause::TlsExpired | Cause::TlsClientCertificate);
            assert_eq!(at_proxy, if is_tls { cause } else { Cause::ProxyFailed }, "{text}, at a proxy");
        }
    }
}
