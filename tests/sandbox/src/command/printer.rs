//! One line per entry of the timeline, as it happens.

use std::io::Write;
use std::pin::pin;

use sandbox::{Lambda, Time, Timeline, TimelineEntry, What};

pub(crate) struct Printer {
    timeline: Timeline,
    origin: Time,
    stream: Stream,
    /// Telemetry too.
    verbose: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Printer {
    pub(crate) fn new(lambda: &Lambda, stream: Stream, verbose: bool) -> Self {
        Self { timeline: lambda.timeline(), origin: lambda.started_at(), stream, verbose }
    }

    /// Prints what happens until `work` ends, and what happened by then.
    pub(crate) async fn print_during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                entries = self.timeline.next() => self.print(&entries),
                result = &mut work => {
                    let rest = self.timeline.drain();
                    self.print(&rest);
                    return result;
                }
            }
        }
    }

    fn print(&self, entries: &[TimelineEntry]) {
        let text: String = entries.iter().filter_map(|entry| self.line(entry)).collect();
        // A reader that closed its end of the pipe has seen enough.
        let _ = match self.stream {
            Stream::Out => std::io::stdout().lock().write_all(text.as_bytes()),
            Stream::Err => std::io::stderr().lock().write_all(text.as_bytes()),
        };
    }

    /// `   12.345 ms  env-1  authorize  3da1f2dc  INVOKE (cold)`; `None` for what only `--verbose` shows.
    fn line(&self, entry: &TimelineEntry) -> Option<String> {
        let ms = entry.at.since(self.origin).as_secs_f64() * 1000.0;
        let environment = entry.environment.map_or_else(|| "-".to_owned(), |e| e.to_string());
        let request = entry.request_id.as_deref().and_then(|id| id.get(..8)).unwrap_or("-");
        let indent = match &entry.what {
            What::FunctionLog { .. } | What::ExtensionLog { .. } => "  ",
            What::Telemetry { .. } | What::Delivery { .. } if !self.verbose => return None,
            _ => "",
        };
        let (function, what) = (&entry.function, &entry.what);
        Some(format!("{ms:11.3} ms  {environment:6} {function:12} {request:8}  {indent}{what}\n"))
    }
}
