//! One line per entry of the timeline.

use sandbox::{Time, TimelineEntry, What};

pub(crate) struct Printer {
    origin: Time,
    /// Telemetry too.
    verbose: bool,
}

impl Printer {
    pub(crate) fn new(origin: Time, verbose: bool) -> Self {
        Self { origin, verbose }
    }

    /// `   12.345 ms  env-1  authorize  3da1f2dc  INVOKE (cold)`; `None` for what only `--verbose` shows.
    pub(crate) fn line(&self, entry: &TimelineEntry) -> Option<String> {
        let ms = entry.at.since(self.origin).as_secs_f64() * 1000.0;
        let environment = entry.environment.map_or_else(|| "-".to_owned(), |e| e.to_string());
        let request = entry.request_id.as_deref().and_then(|id| id.get(..8)).unwrap_or("-");
        let indent = match &entry.what {
            What::FunctionLog { .. } | What::ExtensionLog { .. } => "  ",
            What::Telemetry { .. } | What::Delivery { .. } if !self.verbose => return None,
            _ => "",
        };
        let (function, what) = (&entry.function, &entry.what);
        Some(format!("{ms:11.3} ms  {environment:6} {function:12} {request:8}  {indent}{what}"))
    }
}
