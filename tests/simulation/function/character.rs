//! The character of a function and of its environment: how all of their invocations are alike.

use policy::Rng;

use super::super::checks::is_on;
use super::MS;

/// How long handlers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// 1 to 5 ms.
    Fast,
    /// 1 to 400 ms.
    Usual,
    /// 0.5 to 2.5 s.
    Slow,
    /// Up to 15 minutes, as a streamed response is.
    Streaming,
    /// 1 to 50 ms, and at times half a minute of which all but the begin is waiting.
    Uneven,
}

/// How often the environment is invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rhythm {
    Usual,
    /// Half a minute to an hour between two invocations.
    Rare,
    /// Bursts with less than 3 ms between two invocations.
    Bursty,
}

/// The spans that the function sends for the invocation as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// One SERVER span that names the invocation.
    Named,
    /// A SERVER span and a CONSUMER span inside it, both naming the invocation; the inner one is sent first.
    Nested,
    /// Several SERVER spans beside each other, each naming the invocation and sent as it ends.
    Siblings,
    /// One SERVER span that names nothing.
    Unnamed,
    /// An INTERNAL root.
    Internal,
    /// None: children name a parent that is never sent.
    Absent,
}

impl Entry {
    /// Whether that span names its invocation.
    pub(crate) const fn is_named(self) -> bool {
        matches!(self, Self::Named | Self::Nested | Self::Siblings)
    }
}

/// How the spans of an invocation are spread over traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traces {
    /// A trace for each invocation.
    One,
    /// Several traces in one invocation, as of a queue's messages.
    Many,
    /// One trace over four invocations, as of a saga.
    Spanning,
}

/// A function and the environment that it runs in.
#[derive(Clone, Debug)]
pub(crate) struct Character {
    pub(crate) pace: Pace,
    pub(crate) rhythm: Rhythm,
    pub(crate) entry: Entry,
    pub(crate) traces: Traces,
    /// Its SDK sends by a timer, after the response, as Node's batch processor does.
    pub(crate) sends_by_timer: bool,
    /// It sends spans of its initialisation before the first INVOKE.
    pub(crate) sends_at_init: bool,
    /// Some of its spans have an impossible time: 1970 or the next century.
    pub(crate) has_bogus_times: bool,
    /// Some invocations are not sampled by the function's own SDK: they send nothing.
    pub(crate) is_sampled_itself: bool,
    /// Its SDK says of a parent whether that is remote.
    pub(crate) says_remote: bool,
    /// Failed invocations are retried with the same request id.
    pub(crate) is_retried: bool,
    /// Its variables say that it has an SDK.
    pub(crate) expects_spans: bool,
    /// On Managed Instances: about this many invocations run at once.
    pub(crate) crowd: u64,
    /// How long every handler works, in a scripted world.
    pub(crate) fixed: Option<u64>,
    /// Nanoseconds of our CPU time for an input, and picoseconds for a packed byte.
    pub(crate) cpu: (u64, u64),
}

impl Character {
    /// The plainest one.
    pub(crate) const PLAIN: Self = Self {
        pace: Pace::Usual,
        rhythm: Rhythm::Usual,
        entry: Entry::Named,
        traces: Traces::One,
        sends_by_timer: false,
        sends_at_init: false,
        has_bogus_times: false,
        is_sampled_itself: false,
        says_remote: true,
        is_retried: false,
        expects_spans: false,
        crowd: 3,
        fixed: None,
        cpu: (0, 0),
    };

    /// The character of the world of this seed, drawn from a stream of its own.
    pub(crate) fn pick(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xc4a2_ac7e);
        let mut of = |one_in: u64| rng.below(one_in) == 0;
        let (sends_by_timer, sends_at_init, has_bogus_times) =
            (of(6) && is_on("timers"), of(6) && is_on("init"), of(12));
        let (is_sampled_itself, is_retried, expects_spans) = (of(8), of(6) && is_on("retries"), of(2));
        let pace = match rng.below(12) {
            0..3 => Pace::Fast,
            3 => Pace::Slow,
            4 => Pace::Streaming,
            5 | 6 => Pace::Uneven,
            _ => Pace::Usual,
        };
        let rhythm = match rng.below(8) {
            0 => Rhythm::Rare,
            1 => Rhythm::Bursty,
            _ => Rhythm::Usual,
        };
        let entry = match rng.below(16) {
            0 => Entry::Nested,
            1 => Entry::Siblings,
            2 | 3 => Entry::Unnamed,
            4 => Entry::Internal,
            5 => Entry::Absent,
            _ => Entry::Named,
        };
        let traces = match rng.below(10) {
            0 => Traces::Many,
            1 => Traces::Spanning,
            _ => Traces::One,
        };
        let crowd = [1, 2, 8, 64][rng.below(4) as usize];
        // A whole processor, and a fourteenth of one, as 128 MB have.
        let cpu = [(0, 0), (30_000, 10_000), (400_000, 140_000)][rng.below(3) as usize];
        let says_remote = rng.below(2) == 0;
        // Waiting is only seen where nothing says earlier that the invocation is over.
        let is_uneven = pace == Pace::Uneven;
        let entry = if is_uneven && entry.is_named() { Entry::Unnamed } else { entry };
        let rhythm = if is_uneven { Rhythm::Bursty } else { rhythm };
        let sends_by_timer = sends_by_timer && !is_uneven;
        Self {
            pace,
            rhythm,
            entry,
            traces,
            sends_by_timer,
            sends_at_init,
            has_bogus_times,
            is_sampled_itself,
            says_remote,
            is_retried,
            expects_spans,
            crowd,
            fixed: None,
            cpu,
        }
    }

    /// The function's time-out.
    pub(crate) const fn timeout(&self) -> u64 {
        match self.pace {
            Pace::Streaming => 900_000 * MS,
            Pace::Uneven => 60_000 * MS,
            _ => super::TIMEOUT,
        }
    }

    /// How long a handler works.
    pub(crate) fn work(&self, rng: &mut Rng) -> u64 {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        match self.pace {
            Pace::Fast => MS + rng.below(4 * MS),
            Pace::Usual => (1 + rng.below(400)) * MS,
            Pace::Slow => (500 + rng.below(2_000)) * MS,
            // Most streams are short.
            Pace::Streaming if rng.below(4) > 0 => (1_000 + rng.below(20_000)) * MS,
            Pace::Streaming => rng.below(880_000) * MS + MS,
            Pace::Uneven if rng.below(20) == 0 => (12_000 + rng.below(20_000)) * MS,
            Pace::Uneven => (1 + rng.below(50)) * MS,
        }
    }

    /// How much of that is work: its spans are sent before the rest.
    pub(crate) fn busy(&self, work: u64) -> u64 {
        if self.pace == Pace::Uneven { work.min(100 * MS) } else { work }
    }

    /// A span that never names its invocation, where `faults` say so.
    pub(crate) const fn entry_unless(&self, is_nameless: bool) -> Entry {
        if is_nameless { Entry::Absent } else { self.entry }
    }
}
