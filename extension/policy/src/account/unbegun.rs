//! Invocations of which something is known before they begin: the platform hands INVOKE to the function and to Prefreeze at
//! once, and the function may be done before this process has been scheduled to read it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::ending::Finish;
use super::invocation::Entry;
use crate::platform::EndStatus;
use crate::span::RequestId;
use crate::time::UnixNanos;

/// Invocations of which something is heard before they begin: on Managed Instances, where `platform.start` may be late,
/// there may be as many as run.
const EARLY_MAX: usize = 512;

/// What is known of one of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Early {
    pub(super) request_id: RequestId,
    pub(super) started_at: Option<UnixNanos>,
    pub(super) entry: Option<Entry>,
    pub(super) finish: Option<Finish>,
    pub(super) flush_requested: bool,
}

/// All of them, the oldest first; see the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Unbegun {
    all: VecDeque<Early>,
}

impl Unbegun {
    /// Where to note what is heard of `request_id` before it begins. Where there are too many, the oldest is forgotten.
    pub(super) fn note(&mut self, request_id: &RequestId) -> Option<&mut Early> {
        let known = self.all.iter().position(|early| early.request_id == *request_id);
        let index = known.unwrap_or_else(|| {
            if self.all.len() == EARLY_MAX {
                self.all.pop_front();
            }
            self.all.push_back(Early { request_id: request_id.clone(), ..Early::default() });
            self.all.len() - 1
        });
        self.all.get_mut(index)
    }

    /// `request_id` begins: what is known of it, if anything.
    pub(super) fn take(&mut self, request_id: &RequestId) -> Early {
        let index = self.all.iter().position(|early| early.request_id == *request_id);
        index.and_then(|index| self.all.remove(index)).unwrap_or_default()
    }

    /// Those that the platform reported the start of, and that ended badly: by its own event, or else by `is_bad_end`.
    pub(super) fn started_badly(&self, is_bad_end: bool) -> Vec<(RequestId, UnixNanos)> {
        let is_bad = |early: &&Early| {
            let finish = early.finish.as_ref();
            finish.map_or(is_bad_end, |finish| finish.ending.status != EndStatus::Success)
        };
        let started = |early: &Early| Some((early.request_id.clone(), early.started_at?));
        self.all.iter().filter(is_bad).filter_map(started).collect()
    }

    /// Whether the platform has reported the end of any.
    pub(super) fn has_end(&self) -> bool {
        self.all.iter().any(|early| early.finish.is_some())
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Early> {
        self.all.iter()
    }
}
