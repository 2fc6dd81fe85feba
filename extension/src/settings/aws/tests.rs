//! Tables of variables that concern AWS's backends, and what they come to.

use crate::aws::{Scope, Source};
use crate::settings::{Packing, Protocol, Settings};
use policy::{Signal, XrayParent};

/// With a role and a region, as Lambda has them.
const ROLE: [(&str, &str); 4] = [
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "AKIA"),
    ("AWS_SECRET_ACCESS_KEY", "s3cret"),
    ("AWS_SESSION_TOKEN", "t0ken"),
];
const ENDPOINT: &str = "PREFREEZE_EXPORTER_OTLP_ENDPOINT";
const TRACES: &str = "PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT";
const AUTH: &str = "PREFREEZE_EXPORTER_OTLP_AUTH";
/// An extension is not told the function's own.
const OF_LOGS: (&str, &str) =
    ("PREFREEZE_EXPORTER_OTLP_LOGS_HEADERS", "X-Aws-Log-Group=a,x-aws-log-stream=b");
const HEADERS: &str = "PREFREEZE_EXPORTER_OTLP_HEADERS";

/// Those of a role with these in place of its own.
fn read(variables: &[(&str, &str)]) -> Settings {
    let own = ROLE.iter().filter(|(name, _)| variables.iter().all(|(other, _)| name != other));
    let all = own.chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_variables(all)
}

/// `service/region` of each signal that is signed.
fn scopes(settings: &Settings) -> [Option<String>; 3] {
    let shown = |Scope { service, region }: &Scope| format!("{service}/{region}");
    settings.destinations.each_ref().map(|destination| destination.as_ref()?.scope.as_ref().map(shown))
}

fn problems(settings: &Settings) -> Vec<String> {
    settings.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn one_word_is_the_three_hosts_of_a_region() {
    let settings = read(&[(ENDPOINT, "aws"), OF_LOGS]);
    assert_eq!(problems(&settings), [""; 0]);
    let urls = settings.destinations.each_ref().map(|to| to.as_ref().map(|to| &*to.url));
    assert_eq!(
        urls,
        [
            Some("https://xray.eu-west-1.amazonaws.com/v1/traces"),
            Some("https://monitoring.eu-west-1.amazonaws.com/v1/metrics"),
            Some("https://logs.eu-west-1.amazonaws.com/v1/logs"),
        ]
    );
    let signed = ["xray/eu-west-1", "monitoring/eu-west-1", "logs/eu-west-1"].map(|scope| Some(scope.into()));
    assert_eq!(scopes(&settings), signed);
    assert!(matches!(settings.credentials, Some(Source::Variables(_))));
    let logs = settings.destinations[Signal::Logs as usize].as_ref().expect("they go there");
    assert_eq!(logs.limit.items, 10_000, "what CloudWatch takes is known");
    assert_eq!(settings.policy.xray_parent, XrayParent::Parent, "Lambda's own segments are there, too");
}

#[test]
fn the_region_is_the_functions_or_the_one_that_is_named() {
    for (text, further, url) in [
        ("aws:ap-south-1", ("", ""), Some("https://xray.ap-south-1.amazonaws.com/v1/traces")),
        ("aws:cn-north-1", ("", ""), Some("https://xray.cn-north-1.amazonaws.com.cn/v1/traces")),
        (
            "aws",
            ("AWS_USE_FIPS_ENDPOINT", "true"),
            Some("https://xray-fips.eu-west-1.amazonaws.com/v1/traces"),
        ),
        ("aws", ("AWS_USE_DUALSTACK_ENDPOINT", "true"), Some("https://xray.eu-west-1.api.aws/v1/traces")),
        ("aws", ("AWS_USE_FIPS_ENDPOINT", "false"), Some("https://xray.eu-west-1.amazonaws.com/v1/traces")),
        ("aws:nowhere", ("", ""), None),
        ("aws:", ("", ""), None),
        ("aws", ("AWS_REGION", ""), None),
        ("AWS", ("", ""), None),
    ] {
        let settings = read(&[(TRACES, text), further]);
        let found = settings.destinations[0].as_ref().map(|to| &*to.url);
        assert_eq!(found, url, "{text} {further:?}");
        let said = match (url, text) {
            (Some(_), _) => "",
            (None, "aws") => ": aws needs a region: AWS_REGION names none",
            (None, "AWS") => ": not an http:// or https:// URL",
            (None, _) => ": what follows aws: is no region, such as eu-west-1",
        };
        let expected = if said.is_empty() { vec![] } else { vec![format!("{TRACES}{said}")] };
        assert_eq!(problems(&settings), expected, "{text} {further:?}");
    }
}

#[test]
fn what_is_signed_and_for_what() {
    let own = "https://xray.eu-west-1.amazonaws.com/v1/traces";
    for (url, auth, headers, scope) in [
        (own, "", "", Some("xray/eu-west-1")),
        (own, "auto", "", Some("xray/eu-west-1")),
        (own, "none", "", None),
        (own, "false", "", None),
        (own, "", "authorization=Bearer%20x", Some("xray/eu-west-1")),
        (own, "sigv4", "", Some("xray/eu-west-1")),
        (own, "sigv4:other:us-east-1", "", Some("other/us-east-1")),
        ("https://vpce-1.logs.eu-west-1.vpce.amazonaws.com/v1/traces", "", "", Some("logs/eu-west-1")),
        ("https://otlp.example.com/v1/traces", "", "", None),
        ("https://otlp.example.com/v1/traces", "sigv4:aps:us-east-1", "", Some("aps/us-east-1")),
        ("http://127.0.0.1:9/v1/traces", "sigv4:aps:us-east-1", "", Some("aps/us-east-1")),
    ] {
        let settings = read(&[(TRACES, url), (AUTH, auth), (HEADERS, headers)]);
        assert_eq!(scopes(&settings)[0].as_deref(), scope, "{url} {auth} {headers}");
        assert!(settings.destinations[0].is_some(), "{url} {auth} {headers}");
        assert_eq!(settings.credentials.is_some(), scope.is_some(), "{url} {auth} {headers}");
        assert_eq!(problems(&settings), [""; 0], "{url} {auth} {headers}");
    }
}

/// Variables, what is said, and whether data goes there all the same.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, bool);

#[test]
fn what_cannot_be_signed_is_said() {
    let own = (TRACES, "aws");
    let other = (TRACES, "https://otlp.example.com/v1/traces");
    let all: [Row<'_>; 12] = [
        (&[other, (AUTH, "sigv4")], "AUTH: sigv4 needs a service and a region", false),
        (&[other, (AUTH, "sigv4:x")], "AUTH: not one of auto, none, sigv4", true),
        (&[other, (AUTH, "sigv4:x:nowhere")], "AUTH: not one of auto, none, sigv4", true),
        (
            &[(TRACES, "http://c/v1/traces"), (AUTH, "sigv4:x:eu-west-1")],
            "AUTH: sigv4 over http:// is refused",
            false,
        ),
        (&[(TRACES, "https://c/?a=b"), (AUTH, "sigv4:x:eu-west-1")], "AUTH: a URL with a query", false),
        (&[(TRACES, "https://c/a%20b"), (AUTH, "sigv4:x:eu-west-1")], "AUTH: a URL with a query", false),
        (&[(TRACES, "https://c/a//b"), (AUTH, "sigv4:x:eu-west-1")], "AUTH: a URL with a query", false),
        (&[(TRACES, "https://c/../b"), (AUTH, "sigv4:x:eu-west-1")], "AUTH: a URL with a query", false),
        (&[own, ("AWS_SECRET_ACCESS_KEY", "")], "AUTH: there is nothing to sign with", false),
        (
            &[other, (AUTH, "sigv4:x:eu-west-1"), ("PREFREEZE_EXPORTER_OTLP_PROTOCOL", "grpc")],
            "AUTH: gRPC cannot be signed",
            false,
        ),
        (
            &[own, (AUTH, "sigv4"), (HEADERS, "Authorization=Bearer%20x")],
            "AUTH: sigv4 and the header authorization exclude each other",
            true,
        ),
        (
            &[own, ("PREFREEZE_EXPORTER_OTLP_PROTOCOL", "grpc")],
            "PROTOCOL: CloudWatch takes OTLP over HTTP only",
            true,
        ),
    ];
    for (variables, said, is_sent) in all {
        let settings = read(variables);
        let problems = problems(&settings);
        assert_eq!(problems.len(), 1, "{variables:?}: {problems:?}");
        assert!(problems[0].contains(said), "{variables:?}: {problems:?}");
        assert_eq!(settings.destinations[0].is_some(), is_sent, "{variables:?}");
        assert!(!format!("{problems:?}{}", settings.describe()).contains("s3cret"));
    }
}

#[test]
fn cloud_watch_is_sent_gzip_and_its_logs_have_a_stream() {
    let zstd = ("PREFREEZE_EXPORTER_OTLP_COMPRESSION", "zstd");
    let settings = read(&[(ENDPOINT, "aws"), zstd]);
    assert_eq!(
        problems(&settings),
        ["PREFREEZE_EXPORTER_OTLP_COMPRESSION: CloudWatch takes gzip or none; gzip is used"]
    );
    assert!(settings.destinations.iter().flatten().all(|to| to.packing == Packing::Gzip));
    let (own, wanted) = (("PREFREEZE_EXPORTER_OTLP_LOGS_ENDPOINT", "aws"), ("PREFREEZE_LOGS", "errors"));
    let half = (OF_LOGS.0, "x-aws-log-group=a");
    // Nobody asked for logs where one word is for all signals: the first record is told of.
    for (variables, is_sent, is_said) in [
        (vec![], false, false),
        (vec![OF_LOGS], true, false),
        (vec![own], false, true),
        (vec![own, OF_LOGS], true, false),
        (vec![own, half], false, true),
        (vec![wanted], false, true),
        (vec![wanted, OF_LOGS], true, false),
        (vec![("PREFREEZE_LOGS", "none")], false, false),
    ] {
        let mut all = vec![(ENDPOINT, "aws")];
        all.extend(&variables);
        let settings = read(&all);
        let logs = settings.destinations[Signal::Logs as usize].as_ref();
        let seen = (logs.is_some(), !problems(&settings).is_empty());
        assert_eq!(seen, (is_sent, is_said), "{variables:?}: {:?}", problems(&settings));
        assert!(settings.destinations[0].is_some());
    }
}

/// A header for all signals is another backend's where one of them goes to CloudWatch, and X-Ray takes none at all.
#[test]
fn a_key_for_another_backend_is_not_shown_to_aws() {
    let general = (HEADERS, "authorization=Bearer%20x");
    let (metrics, own) =
        ("PREFREEZE_EXPORTER_OTLP_METRICS_ENDPOINT", "PREFREEZE_EXPORTER_OTLP_METRICS_HEADERS");
    for (variables, signal, is_signed) in [
        (vec![(ENDPOINT, "https://c"), general, (TRACES, "aws")], Signal::Traces, true),
        (vec![(ENDPOINT, "https://c"), general, (metrics, "aws")], Signal::Metrics, true),
        (
            vec![(ENDPOINT, "https://c"), (own, "authorization=Bearer%20x"), (metrics, "aws")],
            Signal::Metrics,
            false,
        ),
        (vec![(ENDPOINT, "aws"), general], Signal::Metrics, false),
        (vec![(ENDPOINT, "aws"), general], Signal::Traces, true),
    ] {
        let settings = read(&variables);
        let to = settings.destinations[signal as usize].as_ref().expect("it goes there");
        assert_eq!((to.scope.is_some(), to.headers.is_empty()), (is_signed, is_signed), "{variables:?}");
        assert_eq!(problems(&settings), [""; 0], "{variables:?}");
    }
}

#[test]
fn a_url_of_cloud_watch_is_that_of_http_whatever_the_protocol() {
    let url = "https://xray.eu-west-1.amazonaws.com/v1/traces";
    for (name, endpoint) in [
        (TRACES, url),
        (TRACES, "aws"),
        (ENDPOINT, "aws"),
        (ENDPOINT, "https://xray.eu-west-1.amazonaws.com"),
    ] {
        let settings = read(&[(name, endpoint), ("PREFREEZE_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        let traces = settings.destinations[0].as_ref().expect("they go there");
        assert_eq!((&*traces.url, traces.protocol), (url, Protocol::HttpProtobuf), "{name} {endpoint}");
    }
}

#[test]
fn credentials_of_a_snapshot_are_the_platforms_and_nobody_elses() {
    let uri = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t0ken");
    let api = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
    let read = |url| read(&[(ENDPOINT, "aws"), (uri, url), token, api]);
    let path = "/2021-04-23/credentials".to_owned();
    let platform = Source::Platform { path, authorization: "t0ken".into() };
    assert_eq!(read("http://127.0.0.1:9001/2021-04-23/credentials").credentials, Some(platform));
    for url in ["http://169.254.170.2/creds", "http://127.0.0.1:9002/2021-04-23/credentials", "no url at all"]
    {
        let settings = read(url);
        assert_eq!(
            (settings.credentials.is_none(), settings.destinations),
            (true, [None, None, None]),
            "{url}"
        );
    }
}

#[test]
fn a_header_may_end_in_a_reference_to_a_secret() {
    let arn = "arn:aws:secretsmanager:ap-south-1:1:secret:x";
    let settings =
        read(&[(ENDPOINT, "https://c"), (HEADERS, &format!("a=b,Authorization=Bearer%20secret://{arn}#k"))]);
    assert_eq!(problems(&settings), [""; 0]);
    let traces = settings.destinations[0].as_ref().expect("they go there");
    assert_eq!(traces.headers, [("a".to_owned(), "b".to_owned())]);
    let [secret] = &traces.secrets[..] else { panic!("{:?}", traces.secrets) };
    assert_eq!((&*secret.name, &*secret.before), ("Authorization", "Bearer "));
    assert_eq!(secret.reference.to_string(), format!("secret://{arn}#k"));
    assert_eq!(settings.vaults.url(&secret.reference), "https://secretsmanager.ap-south-1.amazonaws.com/");
    assert!(settings.credentials.is_some() && traces.scope.is_none());
    assert!(!settings.describe().contains(arn), "a header is not shown");
}

#[test]
fn a_secret_that_never_could_be_read_is_said() {
    let value = "authorization=secret://name";
    for (variables, said) in [
        (vec![(HEADERS, "authorization=secret://")], "HEADERS: authorization: secret:// must name a secret"),
        (
            vec![(HEADERS, value), ("AWS_REGION", "")],
            "HEADERS: authorization: secret:// with a name needs AWS_REGION",
        ),
        (
            vec![(HEADERS, value), ("AWS_ACCESS_KEY_ID", "")],
            "HEADERS: authorization: secret:// needs AWS_ACCESS_KEY_ID",
        ),
    ] {
        let mut all = vec![(ENDPOINT, "https://c")];
        all.extend(&variables);
        let settings = read(&all);
        let problems = problems(&settings);
        assert!(problems.len() == 1 && problems[0].contains(said), "{variables:?}: {problems:?}");
        assert_eq!(settings.destinations, [None, None, None], "{variables:?}");
    }
}

#[test]
fn secrets_are_read_where_aws_or_somebody_in_its_place_is() {
    let value = "authorization=secret://name";
    let (own, other) = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL");
    for (variable, url, asked) in [
        (own, "http://127.0.0.1:9/", Some("http://127.0.0.1:9/")),
        (other, "https://vpce.example.com", Some("https://vpce.example.com/")),
        (own, "http://example.com", None),
        (other, "http://example.com", None),
    ] {
        let settings = read(&[(ENDPOINT, "https://c"), (HEADERS, value), (variable, url)]);
        let secret = &settings.destinations[0].as_ref().expect("they go there").secrets[0];
        let default = "https://secretsmanager.eu-west-1.amazonaws.com/";
        assert_eq!(settings.vaults.url(&secret.reference), asked.unwrap_or(default), "{url}");
        assert_eq!(problems(&settings).len(), usize::from(asked.is_none()), "{url}");
    }
    for (hosts, is_read) in [
        ("eu-west-1,c", true),
        ("us-east-1,c", false),
        ("c,secretsmanager.eu-west-1.amazonaws.com", true),
        ("eu-west-1", false),
    ] {
        let settings = read(&[(ENDPOINT, "https://c"), (HEADERS, value), ("PREFREEZE_ALLOWED_HOSTS", hosts)]);
        assert_eq!(settings.destinations[0].is_some(), is_read, "{hosts}");
        assert_eq!(settings.refused.is_empty(), is_read, "{hosts}");
    }
}

#[test]
fn endpoints_of_other_programs_are_nobodys_business_without_a_secret() {
    let settings =
        read(&[(ENDPOINT, "https://c"), ("AWS_ENDPOINT_URL", "http://localstack.example.com:4566")]);
    assert_eq!(problems(&settings), [""; 0]);
}
