//! AWS's own backends: `aws` as an endpoint, what is signed, and by whom.

use http::Uri;
use policy::{Signal, XrayParent};

use super::residency::Hosts;
use super::{Packing, Protocol, Reader, endpoint};
use crate::aws::{CloudWatch, Credentials, Names, Scope, SecretRef, Source, Vault, is_region};

const ENDPOINT: &str = "PREFREEZE_EXPORTER_OTLP_ENDPOINT";
const AUTH: &str = "PREFREEZE_EXPORTER_OTLP_AUTH";
/// What names the log group and the stream that records go to, which must be there. An extension is not told the function's own.
const OF_LOGS: [&str; 2] = ["x-aws-log-group", "x-aws-log-stream"];

/// How a request to one URL is made, before and after AWS has its say.
pub(super) struct Making {
    pub(super) protocol: Protocol,
    pub(super) packing: Packing,
    pub(super) headers: Vec<(String, String)>,
    /// Those whose values have to be read.
    pub(super) secrets: Vec<SecretHeader>,
    /// What signatures are for, where requests are signed.
    pub(super) scope: Option<Scope>,
}

/// A header whose value is not known before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretHeader {
    /// Its name.
    pub name: String,
    /// What its value begins with: `Bearer `.
    pub before: String,
    /// The rest of it.
    pub reference: SecretRef,
}

/// Where secrets are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vaults {
    /// Whether the proxies that the environment names are passed by.
    pub is_direct: bool,
    /// What is asked in place of AWS's own hosts: Secrets Manager, and Parameter Store.
    endpoints: [Option<String>; 2],
}

impl Vaults {
    /// The URL that is asked for a secret.
    pub fn url(&self, reference: &SecretRef) -> String {
        let endpoint = &self.endpoints[usize::from(reference.vault == Vault::ParameterStore)];
        let own = || format!("https://{}/", reference.host());
        endpoint.as_ref().map_or_else(own, |endpoint| format!("{}/", endpoint.trim_end_matches('/')))
    }
}

/// What `…_AUTH` says.
enum Auth {
    /// Signed where the host is CloudWatch's, and no header says who we are.
    Auto,
    None,
    Sigv4(Option<Scope>),
}

impl Reader {
    /// Whether the endpoint of this signal names AWS's in place of a URL: then that URL.
    pub(super) fn endpoint_of_aws(&self, text: &str, signal: Signal) -> Option<Result<String, String>> {
        let region = match text.split_once(':') {
            None if text == "aws" => None,
            Some(("aws", region)) => Some(region),
            _ => return None,
        };
        let reason = match region {
            Some(_) => "what follows aws: is no region, such as eu-west-1",
            None => "aws needs a region: AWS_REGION names none",
        };
        let Some(region) = region.or_else(|| self.get("AWS_REGION")).filter(|region| is_region(region))
        else {
            return Some(Err(reason.to_owned()));
        };
        Some(Ok(CloudWatch::url(signal, region, self.names())))
    }

    /// By which names AWS's hosts are asked.
    pub(super) fn names(&self) -> Names {
        let is_on = |name| self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Names { fips: is_on("AWS_USE_FIPS_ENDPOINT"), dual_stack: is_on("AWS_USE_DUALSTACK_ENDPOINT") }
    }

    /// What AWS wants of requests to `url`; `None` where none can be made.
    pub(super) fn suit_aws(
        &mut self,
        signal: Signal,
        url: &mut String,
        mut making: Making,
    ) -> Option<Making> {
        let uri: Uri = url.parse().unwrap_or_default();
        let cloud_watch = CloudWatch::scope(uri.host().unwrap_or_default());
        if cloud_watch.is_some() {
            self.suit_cloud_watch(signal, url, &mut making)?;
        }
        let uri: Uri = url.parse().unwrap_or_default();
        let host = uri.host().unwrap_or_default();
        let name = self.form(AUTH, signal);
        let has_header = making.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case("authorization"));
        making.scope = match self.auth(&name) {
            Auth::None => None,
            Auth::Auto if has_header && self.is_meant(signal) => None,
            Auth::Auto => {
                if cloud_watch.is_some() {
                    // It is another backend's, who alone should see it.
                    making.headers.retain(|(key, _)| !key.eq_ignore_ascii_case("authorization"));
                }
                cloud_watch
            }
            Auth::Sigv4(scope) => {
                let Some(scope) = scope.or(cloud_watch) else {
                    let reason = "sigv4 needs a service and a region, as in sigv4:xray:ap-south-1: the host does not tell them";
                    self.problem(&name, reason);
                    return None;
                };
                if has_header {
                    self.problem(
                        &name,
                        "sigv4 and the header authorization exclude each other; the header is left out",
                    );
                    making.headers.retain(|(key, _)| !key.eq_ignore_ascii_case("authorization"));
                }
                Some(scope)
            }
        };
        if making.scope.is_some() {
            let refusal = match making.protocol {
                Protocol::Grpc => Some("gRPC cannot be signed; AWS takes OTLP over HTTP only"),
                Protocol::HttpProtobuf if uri.query().is_some() || !is_plain(uri.path()) => {
                    Some("a URL with a query, or with %, // or /. in its path, cannot be signed")
                }
                Protocol::HttpProtobuf if uri.scheme_str() != Some("https") && !endpoint::is_here(host) => {
                    Some("sigv4 over http:// is refused, except to this machine")
                }
                Protocol::HttpProtobuf if self.credentials().is_none() => Some(
                    "there is nothing to sign with: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set",
                ),
                Protocol::HttpProtobuf => None,
            };
            if let Some(reason) = refusal {
                self.problem(&name, reason);
                return None;
            }
        }
        self.find_secrets(signal, &mut making)?;
        Some(making)
    }

    /// CloudWatch takes HTTP/1.1 and gzip, and log records for a group and a stream.
    fn suit_cloud_watch(&mut self, signal: Signal, url: &mut String, making: &mut Making) -> Option<()> {
        if making.protocol == Protocol::Grpc {
            let name = self.form("PREFREEZE_EXPORTER_OTLP_PROTOCOL", signal);
            self.problem(&name, "CloudWatch takes OTLP over HTTP only; http/protobuf is used");
            making.protocol = Protocol::HttpProtobuf;
            // The path is that of a call by now.
            let base = url.split_once("/opentelemetry.proto.").map(|(base, _)| base.to_owned());
            *url = base.map_or_else(|| url.clone(), |base| format!("{base}/{}", super::path_of(signal)));
        }
        if making.packing == Packing::Zstd {
            let name = self.form("PREFREEZE_EXPORTER_OTLP_COMPRESSION", signal);
            self.problem(&name, "CloudWatch takes gzip or none; gzip is used");
            making.packing = Packing::Gzip;
        }
        let has = |key: &str| making.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(key));
        if signal == Signal::Logs && !OF_LOGS.into_iter().all(has) {
            // Whoever names one word for all signals may have no logs: the first record is told of.
            let is_wanted = self.set.contains_key(&super::for_signal(ENDPOINT, signal))
                || self.get("PREFREEZE_LOGS").is_some_and(|text| !super::variables::is_off(text));
            if is_wanted {
                let name = super::for_signal("PREFREEZE_EXPORTER_OTLP_HEADERS", signal);
                let reason = "logs to CloudWatch need x-aws-log-group and x-aws-log-stream, of a group and a stream that exist";
                self.problem(&name, reason);
            }
            return None;
        }
        Some(())
    }

    /// Whether the header `authorization` is meant for CloudWatch: X-Ray takes none, and one for all signals is not for the one
    /// that goes there.
    fn is_meant(&self, signal: Signal) -> bool {
        let is_own = |name: &str| self.set.contains_key(&super::for_signal(name, signal));
        signal != Signal::Traces && (is_own("PREFREEZE_EXPORTER_OTLP_HEADERS") || !is_own(ENDPOINT))
    }

    fn auth(&mut self, name: &str) -> Auth {
        let text = self.get(name).unwrap_or("auto").to_owned();
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            [word] if word.eq_ignore_ascii_case("auto") => Auth::Auto,
            [word] if super::variables::is_off(word) => Auth::None,
            [word] if word.eq_ignore_ascii_case("sigv4") => Auth::Sigv4(None),
            [word, service, region]
                if word.eq_ignore_ascii_case("sigv4") && !service.is_empty() && is_region(region) =>
            {
                Auth::Sigv4(Some(Scope { service: service.to_owned(), region: region.to_owned() }))
            }
            _ => {
                self.problem(name, "not one of auto, none, sigv4, sigv4:<service>:<region>");
                Auth::Auto
            }
        }
    }

    /// Who signs. A snapshot's environment has the platform's own endpoint, which goes before the variables.
    pub(super) fn credentials(&self) -> Option<Source> {
        if let Some(url) = self.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
            && let Some(authorization) = self.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        {
            let uri: Uri = url.parse().ok()?;
            // Nobody else is asked: what a variable names could be anybody.
            let platform = self.get("AWS_LAMBDA_RUNTIME_API");
            let is_platform = uri.authority().map(http::uri::Authority::as_str) == platform;
            let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
            return is_platform.then(|| Source::Platform { path, authorization: authorization.to_owned() });
        }
        let (key_id, secret_key) = (self.get("AWS_ACCESS_KEY_ID")?, self.get("AWS_SECRET_ACCESS_KEY")?);
        Some(Source::Variables(Credentials::new(key_id, secret_key, self.get("AWS_SESSION_TOKEN"))))
    }

    /// Takes those headers apart whose values have to be read; `None` where one of them never could be.
    fn find_secrets(&mut self, signal: Signal, making: &mut Making) -> Option<()> {
        for (key, value) in std::mem::take(&mut making.headers) {
            let reason = match SecretRef::within(&value, self.get("AWS_REGION")) {
                None => {
                    making.headers.push((key, value));
                    continue;
                }
                Some(Ok((before, reference))) if self.credentials().is_some() => {
                    making.secrets.push(SecretHeader { name: key, before: before.to_owned(), reference });
                    continue;
                }
                Some(Ok(_)) => "secret:// needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, to be read with",
                Some(Err(reason)) => reason,
            };
            let name = self.form("PREFREEZE_EXPORTER_OTLP_HEADERS", signal);
            self.problem(&name, format!("{key}: {reason}"));
            return None;
        }
        Some(())
    }

    /// Where secrets are read, if any are. What stands for AWS is on this machine, or behind TLS.
    pub(super) fn vaults(&mut self, hosts: Option<&Hosts>, has_secrets: bool) -> Vaults {
        let mut vaults = Vaults { is_direct: self.goes_directly(hosts), ..Vaults::default() };
        let names = ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SSM"];
        for (at, own) in names.into_iter().enumerate().filter(|_| has_secrets) {
            let Some((url, is_here)) = self.stand_in(own) else { continue };
            vaults.is_direct |= is_here;
            vaults.endpoints[at] = Some(url);
        }
        vaults
    }

    /// What stands for a service of AWS's, by the variable of its `own` or by that of all, and whether it is on this machine.
    pub(super) fn stand_in(&mut self, own: &'static str) -> Option<(String, bool)> {
        let name = if self.set.contains_key(own) { own } else { "AWS_ENDPOINT_URL" };
        let url = self.get(name)?.to_owned();
        let uri: Uri = url.parse().unwrap_or_default();
        let is_here = endpoint::is_here(uri.host().unwrap_or_default());
        if is_here || uri.scheme_str() == Some("https") {
            return Some((url, is_here));
        }
        self.problem(name, "neither an https:// URL nor one of this machine");
        None
    }

    /// Lambda's own segments are where traces to X-Ray go: there they are parents that can be found.
    pub(super) fn xray_parent_default(traces: Option<&Scope>) -> XrayParent {
        match traces {
            Some(scope) if scope.service == CloudWatch::service(Signal::Traces) => XrayParent::Parent,
            _ => XrayParent::default(),
        }
    }
}

/// Whether a path is signed as it is: it needs no encoding, and is written in one way only.
fn is_plain(path: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_~.".contains(&byte);
    path.bytes().all(is_known) && !path.contains("//") && !path.contains("/.")
}

#[cfg(test)]
mod tests;
