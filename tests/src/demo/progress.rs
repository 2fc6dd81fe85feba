//! What the demo says while it works: a line per step, with the time since the start.

use std::time::{Duration, Instant};

use super::paint::Paint;

#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    paint: Paint,
}

impl Progress {
    pub(super) fn start(paint: Paint) -> Self {
        Self { started: Instant::now(), paint }
    }

    pub(super) fn say(&self, what: &str) {
        let at = format!("{:6.2} s", self.started.elapsed().as_secs_f64());
        println!("{}  {what}", self.paint.dim(&at));
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
