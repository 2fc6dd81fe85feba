//! Scripted worlds in rows: a handler, a backend, a gap and a mode, healthy or ill for one invocation.

use policy::{FlushMode, Outcome};

use super::function::MS;
use super::world::Reply;

/// Enough for `adaptive` to make up its mind before the backend falls ill, and for what follows.
pub(crate) const ROW_INVOCATIONS: u64 = 40;
/// The backend is ill in this one.
const ILL_IN: u64 = 30;
/// The modes of a row, and their names.
pub const MODES: [(FlushMode, &str); 3] =
    [(FlushMode::End, "`end`"), (FlushMode::Adaptive, "`adaptive`"), (FlushMode::Continuous, "`continuous`")];

/// One scripted world.
#[derive(Clone, Debug)]
pub struct Row {
    /// How long every handler works.
    pub handler_ms: u64,
    /// How long every answer takes.
    pub backend_ms: u64,
    /// From the end of one invocation to the next.
    pub gap_ms: u64,
    /// When data leaves.
    pub mode: FlushMode,
    /// Whether the backend takes no request, and answers none, during one invocation.
    pub is_ill: bool,
    /// Whether a freeze is that of a virtual machine: an answer that comes meanwhile is lost.
    pub freezes_machine: bool,
}

impl Row {
    /// What the backend replies to a request of `entries`, in invocation `number`.
    pub(crate) fn reply(&self, number: u64, entries: usize) -> Reply {
        if self.is_ill && number == ILL_IN {
            return Reply { outcome: Outcome::Lost, takes: None, keeps: 0 };
        }
        let outcome = Outcome::Delivered { rejected: 0 };
        Reply { outcome, takes: Some(self.backend_ms * MS), keeps: entries }
    }

    /// How many healthy invocations have passed when a span of invocation `of` is acknowledged in `number`.
    pub(crate) fn lag(&self, of: u64, number: u64) -> u64 {
        let from = if self.is_ill && of <= ILL_IN && number > ILL_IN { ILL_IN } else { of };
        number - from
    }
}

/// Every row of one handler and one backend in one mode.
pub fn rows(handler_ms: u64, backend_ms: u64, mode: FlushMode) -> Vec<Row> {
    let mut rows = Vec::new();
    for gap_ms in [1_000, 30_000, 600_000] {
        for is_ill in [false, true] {
            for freezes_machine in [false, true] {
                rows.push(Row { handler_ms, backend_ms, gap_ms, mode, is_ill, freezes_machine });
            }
        }
    }
    rows
}
