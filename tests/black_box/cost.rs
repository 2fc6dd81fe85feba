//! Cost in sight: what the metrics say has been spent is what the summary says, and what a hand would reckon.

use tests::metrics::Points;
use tests::platform::events::{now_unix_ms, report, runtime_done};

use super::world::World;

const PRICES: &str = r#"{"as_of":"2026-11-01","currency":"EUR","ingested_gb":2,"egress_gb":1,"stored_gb_month":0.5,
    "stored_days":60,"lambda_gb_second":0.00002}"#;

#[test]
fn what_was_spent_is_told_and_adds_up() {
    let world = World::with(|script| {
        script.with_metrics().env("PREFREEZE_METRICS_INTERVAL_MS", "0").env("PREFREEZE_PRICES", PRICES)
    });
    for n in 0..20 {
        let request_id = format!("r-{n}");
        world.invoke_well(&request_id, n);
        let now = now_unix_ms();
        let done = runtime_done(now, &request_id, "success", 100.0);
        world.platform.post_telemetry(&[done, report(now, &request_id, "success", 140.0)]);
    }
    let summary = world.close();
    let points = Points::of(&world.collector);
    let cost = &summary.0["cost"];
    assert_eq!((cost["currency"].as_str(), cost["prices_as_of"].as_str()), (Some("EUR"), Some("2026-11-01")));
    assert_eq!(cost["billed_ms"], 20.0 * 140.0);
    let own = cost["billed_for_flushes_ms"].as_f64().expect("a number");
    assert!(own > 0.0 && own <= 20.0 * 40.0, "{own} ms of at most what ran after the function");
    let raw = summary.count("raw_bytes") as f64 / 1e9;
    let spent = |kind: &str| cost["spent"][kind].as_f64().expect("a number");
    let near = |one: f64, two: f64| (one - two).abs() <= 1e-9 * one.abs().max(two.abs());
    assert!(near(spent("ingestion"), raw * 2.0) && near(spent("storage"), raw * 0.5 * 2.0));
    assert!(near(spent("egress"), summary.count("sent_bytes") as f64 / 1e9));
    // 128 MB for what is billed, at the price of a GB-second.
    let whole = cost["function"].as_f64().expect("a number") + cost["extension"].as_f64().expect("a number");
    assert!(near(whole, 20.0 * 0.14 * 0.125 * 0.00002), "{whole}");
    let told = |kind: &str| {
        points.sum_where("prefreeze.cost.spent", |seen| {
            assert_eq!(seen.text("prices.as_of"), Some("2026-11-01"), "an estimate carries its date");
            seen.text("kind") == Some(kind)
        })
    };
    // The last request's own bytes are in the summary only.
    assert!(told("ingestion") > 0.0 && told("ingestion") <= spent("ingestion"));
    assert!(near(told("function"), cost["function"].as_f64().expect("a number")));
    let billed =
        |owner: &str| points.sum_where("prefreeze.billed.duration", |seen| seen.text("owner") == Some(owner));
    assert!(near(billed("function") + billed("prefreeze"), 20.0 * 0.14));
    assert!(near(billed("prefreeze"), own / 1_000.0));
}
