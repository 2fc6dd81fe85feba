//! Lists of destinations: what is read, what is wrong, and what is kept in its place although something is.

use policy::sampling::{Condition, Pattern};

use super::*;
use crate::settings::Settings;

fn read(list: &str, others: &[(&str, &str)]) -> Settings {
    let variables = [("PREFREEZE_EXPORTER_OTLP_ENDPOINT", "http://first:4318"), (LIST, list)];
    let all = variables.iter().chain(others).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_variables(all)
}

/// What is said, whatever is wrong with it.
fn said(settings: &Settings) -> Vec<String> {
    settings.problems.iter().chain(&settings.refused).map(ToString::to_string).collect()
}

#[test]
fn each_field_of_a_member_is_read() {
    let list = r#"[
        {"name": "new", "endpoint": "https://new.example:4318/base", "headers": {"api-key": "a=b, c"}, "compression": "zstd", "hold": false},
        {"name": "year", "endpoint": "http://year", "headers": "k=v", "protocol": "grpc", "signals": ["traces"], "spans": "failures", "certificate": "ca.pem"},
        {"name": "pay", "endpoint": "aws:ap-south-1", "only": true, "match": {"name": "pay.*"}, "spans": 0.5}
    ]"#;
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key"), ("AWS_REGION", "eu-west-1")];
    let settings = read(list, &keys);
    assert_eq!(said(&settings), Vec::<String>::new());
    let [new, year, pay] = &settings.further[..] else { panic!("three") };
    let to = new.destinations[1].as_ref().expect("metrics go there");
    assert_eq!((&*to.url, to.headers.len()), ("https://new.example:4318/base/v1/metrics", 1));
    assert_eq!(to.headers[0], ("api-key".to_owned(), "a=b, c".to_owned()));
    assert_eq!(to.packing, crate::settings::Packing::Zstd);
    assert!(!new.told.holds && !new.told.is_exclusive && new.told.signals == Destinations::ALL);
    let to = year.destinations[0].as_ref().expect("traces go there");
    assert!(to.url.ends_with("TraceService/Export"), "{}", to.url);
    assert_eq!(to.tls.certificate.as_deref(), Some("/var/task/ca.pem"));
    assert_eq!((year.told.takes, year.destinations[1].is_none()), (Takes::Failures, true));
    let to = pay.destinations[0].as_ref().expect("traces go there");
    assert_eq!(&*to.url, "https://xray.ap-south-1.amazonaws.com/v1/traces");
    assert!(to.scope.is_some(), "signed");
    assert_eq!(pay.told.when, [Condition::Name(Pattern::new("pay.*"))]);
    assert_eq!(pay.told.signals, Destinations { traces: true, ..Destinations::NONE });
    assert_eq!(pay.told.takes, Takes::Share(Ratio::new(0.5).expect("a share")));
    assert_eq!(
        settings.names().iter().map(|name| &**name).collect::<Vec<_>>(),
        ["default", "new", "year", "pay"]
    );
    let text = settings.describe();
    for line in
        ["Traces go to new: https://new.example:4318/base/v1/traces", "Traces that match go only to pay: "]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("a=b"), "a header may be a secret");
}

#[test]
fn a_member_that_is_no_object_may_have_been_meant_to_keep_something_in_its_place() {
    for (list, is_closed) in [
        (r#"["{\"name\": \"a\", \"only\": true}"]"#, true),
        (r#"[[{"name": "a", "only": true}]]"#, true),
        (r#"[[{"name": "a"}], null, 1]"#, false),
    ] {
        let settings = read(list, &[]);
        assert!(said(&settings)[0].contains("member 1: not an object"), "{list}: {:?}", said(&settings));
        let closed: Vec<_> = settings.further.iter().map(|to| to.told.is_exclusive).collect();
        assert_eq!(closed, vec![true; usize::from(is_closed)], "{list}");
    }
}

#[test]
fn names_of_spans_are_not_in_metrics_that_go_elsewhere_unless_somebody_asks_for_it() {
    let rows = [
        (r#""match": {"name": "pay.*"}"#, false),
        (r#""only": true, "match": {"name": "pay.*"}"#, true),
        (r#""only": true, "match": {"service": "own"}"#, false),
        (r#""only": true, "match": {"attributes": {"region": "in"}}"#, false),
        // The function's code may call itself so.
        (r#""only": true, "match": {"service": "pay"}"#, true),
        (r#""only": true"#, false),
        (r#""only": true, "match": {"service": "pay"}, "signals": ["traces", "logs"]"#, true),
        (r#""only": true, "match": {"service": "pay"}, "signals": ["logs"]"#, false),
    ];
    for (fields, is_hidden) in rows {
        let list = format!(r#"[{{"name": "a", "endpoint": "http://x", {fields}}}]"#);
        let own = [("OTEL_SERVICE_NAME", "own"), ("OTEL_RESOURCE_ATTRIBUTES", "region=in")];
        assert_eq!(read(&list, &own).policy.measuring.spans, !is_hidden, "{list}");
        assert!(read(&list, &[("PREFREEZE_METRICS_SPANS", "on")]).policy.measuring.spans, "{list}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_member_and_the_others_hold() {
    let rows = [
        (r#"[7]"#, "member 1: not an object", 0),
        (r#"[{"name": "a b", "endpoint": "http://x"}]"#, "member 1, name: not a name of its own", 0),
        (r#"[{"name": "default", "endpoint": "http://x"}]"#, "member 1, name: not a name of its own", 0),
        (r#"[{"name": "a"}]"#, "member 1, endpoint: there is none", 0),
        (r#"[{"name": "a", "endpoint": "x"}]"#, "member 1 (a), endpoint: not a", 1),
        (r#"[{"name": "a", "endpoint": "http://x", "headers": "k"}]"#, "member 1 (a), headers: member 1", 1),
        (
            r#"[{"name": "a", "endpoint": "http://x", "headers": 7}]"#,
            "member 1, headers: neither text nor",
            0,
        ),
        (r#"[{"name": "a", "endpoint": "http://x", "spans": 2}]"#, "member 1, spans: not one of kept", 0),
        (r#"[{"name": "a", "endpoint": "http://x", "signals": []}]"#, "member 1, signals: not a list", 0),
        (r#"[{"name": "a", "endpoint": "http://x", "hold": 1}]"#, "member 1, hold: neither true", 0),
        (r#"[{"name": "a", "endpoint": "http://x", "to": 1}]"#, "member 1, to: no such field", 0),
        (
            r#"[{"name": "a", "endpoint": "http://x", "match": {"nmae": "x"}}]"#,
            "member 1, match: at match.nmae",
            0,
        ),
        (
            r#"[{"name": "a", "endpoint": "http://x", "signals": ["logs"], "match": {"name": "x"}}]"#,
            "member 1, match: what only spans have",
            0,
        ),
        (r#"{"name": "a"}"#, "not a list", 0),
        (r#"[{"name": "a",]"#, "no JSON at line 1, column 15", 0),
    ];
    for (list, reason, left) in rows {
        let settings = read(list, &[]);
        let all = said(&settings);
        assert!(all.iter().any(|line| line.starts_with(&format!("{LIST}: {reason}"))), "{list}: {all:?}");
        assert_eq!(settings.further.len(), left, "{list}");
        assert!(settings.destinations.iter().all(Option::is_some), "{list}: the first is as it was");
        let good =
            list.trim_end_matches(']').to_owned() + r#", {"name": "good", "endpoint": "http://good"}]"#;
        if left > 0 {
            assert_eq!(read(&good, &[]).further.len(), left + 1, "{good}");
        }
    }
}

/// A destination that has its data for itself keeps it from the others, however wrong it is.
#[test]
fn what_may_be_in_one_place_only_is_kept_there_whatever_is_wrong() {
    let everything: &[Condition] = &[];
    let payments = [Condition::Name(Pattern::new("pay.*"))];
    let rows: [(&str, &[Condition], bool); 8] = [
        (
            r#"{"name": "a", "only": true, "match": {"name": "pay.*"}, "endpoint": "http://x"}"#,
            &payments,
            true,
        ),
        (r#"{"name": "a", "only": true, "match": {"name": "pay.*"}, "endpoint": "x"}"#, &payments, false),
        (r#"{"name": "a", "only": true, "match": {"name": "pay.*"}}"#, &payments, false),
        (
            r#"{"name": "a", "only": "yes", "match": {"name": "pay.*"}, "endpoint": "http://x"}"#,
            &payments,
            true,
        ),
        (
            r#"{"name": "a", "onyl": true, "match": {"name": "pay.*"}, "endpoint": "http://x"}"#,
            &payments,
            true,
        ),
        (
            r#"{"name": "a", "only": true, "match": {"nmae": "pay.*"}, "endpoint": "http://x"}"#,
            everything,
            true,
        ),
        (
            r#"{"name": "", "only": true, "match": {"name": "pay.*"}, "endpoint": "http://x"}"#,
            &payments,
            true,
        ),
        (r#"{"only": tru"#, everything, false),
    ];
    for (member, when, is_reached) in rows {
        let settings = read(&format!("[{member}]"), &[]);
        let [kept] = &settings.further[..] else { panic!("{member}: one is kept") };
        assert!(kept.told.is_exclusive && kept.told.signals.traces, "{member}");
        assert_eq!((&kept.told.when[..], kept.told.reaches.traces), (when, is_reached), "{member}");
    }
    // So is one that may not be reached, and a file that is not there.
    let list = r#"[{"name": "a", "only": true, "endpoint": "http://x"}]"#;
    let settings = read(list, &[("PREFREEZE_ALLOWED_HOSTS", "first")]);
    assert_eq!((settings.further[0].told.reaches, settings.refused.len()), (Destinations::NONE, 1));
    let settings = read("", &[(FILE, "/nowhere/at/all.json")]);
    assert_eq!((settings.further.len(), settings.further[0].told.reaches), (1, Destinations::NONE));
}

#[test]
fn a_secret_in_a_list_is_read_like_that_of_a_variable_and_never_shown() {
    let list = r#"[{"name": "a", "endpoint": "https://x", "headers": {"authorization": "Bearer secret://arn:aws:secretsmanager:eu-west-1:1:secret:s-AbCdEf#key"}}]"#;
    let settings = read(list, &[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")]);
    let to = settings.further[0].destinations[0].as_ref().expect("it goes there");
    assert_eq!((to.headers.len(), to.secrets.len(), &*to.secrets[0].before), (0, 1, "Bearer "));
    assert!(settings.credentials.is_some() && !settings.describe().contains("AbCdEf"));
}

#[test]
fn requests_are_cut_to_what_the_smallest_takes() {
    let list = r#"[{"name": "a", "endpoint": "https://otlp.nr-data.net"}]"#;
    let policy = read(list, &[]).policy;
    assert_eq!(policy.parcel_limits()[2].bytes, 1_000_000);
    assert_eq!(policy.request_limits[2], RequestLimit::NONE);
}
