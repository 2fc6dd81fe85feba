//! Settings on mutated text: each is understood, or named with a reason, and then its default holds; nothing panics.

use std::collections::BTreeSet;

use extension::settings::Settings;
use fuzz::{mutate, rounds};
use policy::{Prices, Rng};

/// Settings that are text with a form of its own, each with a sample to mutate: JSON first.
const SAMPLES: &[(&str, &str)] = &[
    (
        "PREFREEZE_PRICES",
        r#"{"as_of":"2026-11","currency":"EUR","ingested_gb":0.5,"egress_gb":0.09,"stored_gb_month":1e-2,"stored_days":30}"#,
    ),
    (
        "PREFREEZE_REDACT",
        r#"["cards",{"use":"emails","action":"mask"},{"name":"orders","value":"ORD-[0-9]{6}","action":"hash"},
            {"key":"customer\\.name","action":"delete"},{"except":"^order\\.id$"}]"#,
    ),
    (
        "PREFREEZE_ATTRIBUTES",
        r#"{"allow":["http.*","user.id"],"deny":["http.request.header.*"],"limit":{"user.id":{"distinct":100}},"names":200,"templates":"beyond"}"#,
    ),
    (
        "PREFREEZE_SAMPLING_RULES",
        r#"[{"match":{"name":"health*"},"drop":true},{"match":{"attributes":{"a":{"min":1}}},"ratio":0.25}]"#,
    ),
    (
        "PREFREEZE_DESTINATIONS",
        // Names of destinations are shown: a secret is put in the place of what stands first.
        r#"[{"headers":"api-key=a","endpoint":"https://pay.example:4318","name":"pay","signals":["traces"],"match":{"name":"pay.*"},"only":true},
            {"name":"old","endpoint":"https://old.example/otlp","compression":"zstd","spans":0.25,"hold":false}]"#,
    ),
    ("PREFREEZE_SAMPLING_RATIO", "0.25"),
    ("PREFREEZE_SAMPLING_SLOW", "p99.5"),
    ("PREFREEZE_FLUSH", "adaptive"),
    ("PREFREEZE_FLUSH_TIMEOUT_MS", "1000"),
    ("PREFREEZE_COST_CAP_MS_PER_MIN", "500"),
    ("PREFREEZE_EXPORTER_OTLP_ENDPOINT", "https://user:pw@backend.example:4318/v1?x=1"),
    ("PREFREEZE_EXPORTER_OTLP_HEADERS", "api-key=a%20b,x-tenant=7"),
    ("PREFREEZE_ALLOWED_HOSTS", "*.example.com, backend.example"),
    ("PREFREEZE_RECEIVER_HTTP", "127.0.0.1:4318"),
    ("OTEL_RESOURCE_ATTRIBUTES", "service.name=pay,deployment.environment.name=prod"),
];

fn read(name: &str, text: &str) -> Settings {
    Settings::from_variables([(name.to_owned(), text.to_owned())].into_iter())
}

#[test]
fn every_setting_is_understood_or_named() {
    rounds("settings", |seed| {
        let mut rng = Rng::new(seed);
        let (name, sample) = SAMPLES[rng.below(SAMPLES.len() as u64) as usize];
        let text = String::from_utf8_lossy(&mutate(&mut rng, sample.as_bytes())).into_owned();
        let settings = read(name, &text);
        for problem in settings.problems.iter().chain(&settings.refused) {
            assert_eq!(problem.name, name, "{text:?}: {problem}");
            assert!(!problem.reason.is_empty(), "{text:?}");
        }
        let said: BTreeSet<_> = settings.problems.iter().map(|problem| &problem.reason).collect();
        assert_eq!(said.len(), settings.problems.len(), "said twice, of {text:?}: {:?}", settings.problems);
        // For people: it must not stumble over what was read either. Variables of OpenTelemetry's are not in it.
        assert!(settings.describe().contains(name) || name.starts_with("OTEL_"), "{name}={text:?}");
    });
}

#[test]
fn prices_are_taken_one_by_one_and_the_listed_ones_hold_where_they_cannot_be() {
    let listed = read("PREFREEZE_PRICES", "").policy.prices;
    rounds("prices", |seed| {
        let mut rng = Rng::new(seed);
        let text = String::from_utf8_lossy(&mutate(&mut rng, SAMPLES[0].1.as_bytes())).into_owned();
        let Settings { policy, problems, .. } = read("PREFREEZE_PRICES", &text);
        match serde_json::from_str::<serde_json::Value>(text.trim()) {
            Ok(serde_json::Value::Object(fields)) => {
                let given = |key: &str| fields.get(key).and_then(serde_json::Value::as_f64);
                for (key, taken, listed) in numbers(&policy.prices, &listed) {
                    let expected = given(key).filter(|price| *price >= 0.0).unwrap_or(listed);
                    assert_eq!(taken.to_bits(), expected.to_bits(), "{key} of {text:?}");
                    let is_wrong = fields.contains_key(key) && given(key).is_none_or(|price| price < 0.0);
                    let is_said = problems.iter().any(|problem| problem.reason.starts_with(key));
                    assert_eq!(is_said, is_wrong, "{key} of {text:?}: {problems:?}");
                }
            }
            _ if text.trim().is_empty() => assert!(problems.is_empty()),
            _ => {
                assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
                assert_eq!(policy.prices, listed, "{text:?}");
            }
        }
    });
}

fn numbers(prices: &Prices, listed: &Prices) -> [(&'static str, f64, f64); 5] {
    [
        ("ingested_gb", prices.ingested_gb, listed.ingested_gb),
        ("egress_gb", prices.egress_gb, listed.egress_gb),
        ("stored_gb_month", prices.stored_gb_month, listed.stored_gb_month),
        ("stored_days", prices.stored_days, listed.stored_days),
        ("lambda_gb_second", prices.lambda_gb_second, listed.lambda_gb_second),
    ]
}

/// A setting may be a secret, in the wrong variable: what is wrong with it never shows it.
#[test]
fn no_reason_shows_a_value() {
    const SECRET: &str = "hunter2-and-more";
    rounds("secret values", |seed| {
        let mut rng = Rng::new(seed);
        let (name, sample) = SAMPLES[rng.below(SAMPLES.len() as u64) as usize];
        let quoted = format!("{SECRET:?}");
        let text = match rng.below(4) {
            0 => SECRET.to_owned(),
            1 => quoted,
            // In the place of some value of it.
            2 => sample.replacen(':', &format!(":{quoted},\"x\":"), 1 + rng.below(2) as usize),
            _ => format!("[{quoted}]"),
        };
        for problem in read(name, &text).problems {
            assert!(!problem.reason.contains(SECRET), "{text:?}: {problem}");
        }
    });
}

#[test]
fn every_setting_that_is_json_has_a_sample() {
    let page = extension::settings::reference();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        Some((cells.next()?.trim_matches('`'), cells.next()?))
    });
    let json: BTreeSet<_> = rows.filter(|(_, kind)| kind.contains("JSON")).map(|(name, _)| name).collect();
    assert!(json.len() >= 4, "the page is not as it was: {json:?}");
    let missing: Vec<_> =
        json.iter().filter(|name| SAMPLES.iter().all(|(known, _)| known != *name)).collect();
    assert!(missing.is_empty(), "nothing feeds these: {missing:?}");
    // A sample that is not understood to begin with shows little.
    for (name, sample) in SAMPLES {
        let problems = read(name, sample).problems;
        let is_about_a_key = problems.iter().all(|problem| problem.reason.contains("KEY"));
        assert!(is_about_a_key, "{name}: {problems:?}");
    }
}
