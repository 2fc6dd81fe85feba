//! How metrics are made, and where they go.

use policy::{Measuring, Temporality};

use super::Reader;

impl Reader {
    pub(super) fn measuring(&mut self) -> Measuring {
        let ways = [
            ("otlp", (true, false)),
            ("emf", (false, true)),
            ("both", (true, true)),
            ("none", (false, false)),
        ];
        let (otlp, emf) = self.word("PREFREEZE_METRICS", (true, false), &ways);
        let aggregations =
            [("base2_exponential_bucket_histogram", false), ("explicit_bucket_histogram", true)];
        let explicit_buckets =
            self.word("PREFREEZE_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", false, &aggregations);
        let temporalities = [
            ("delta", Temporality::Delta),
            // What differs from delta there is of instruments that Prefreeze does not have.
            ("lowmemory", Temporality::Delta),
            ("cumulative", Temporality::Cumulative),
        ];
        let temporality = self.word(
            "PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            Temporality::Delta,
            &temporalities,
        );
        Measuring {
            otlp,
            emf,
            spans: self.word("PREFREEZE_METRICS_SPANS", true, &[("on", true), ("off", false)]),
            interval: self.millis("PREFREEZE_METRICS_INTERVAL_MS", 60_000),
            series_max: self.number("PREFREEZE_METRICS_SERIES_MAX", 200, 2..=10_000) as usize,
            explicit_buckets,
            temporality,
        }
    }
}
