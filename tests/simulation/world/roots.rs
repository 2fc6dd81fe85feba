//! The root of every invocation and attempt: never two, in the right trace, with the right parent, status and times.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Kind, PlatformSpan, SpanId, TraceId, UnixNanos, Value};

use super::super::checks::is_on;
use super::super::disk::Body;
use super::super::function::{Fate, MS};
use super::World;
use super::logged::Place;
use super::truth::{Came, Life, short};

/// The platform's events have whole milliseconds.
const RESOLUTION: u64 = MS;
/// A span that began so shortly before the next invocation may be of either: the begin of that is known to a millisecond,
/// and the policy allows two more for clocks that disagree.
const BORDER: u64 = 3 * MS;
/// A process that finds the record of an invocation which another was killed in does not know when the one before had
/// ended: what began so shortly before its INVOKE was read may be of either.
const RECOVERED: u64 = 20 * MS;
/// The root of an invocation is awaited for as long as this where two later ones have ended; less the time by which a
/// world may be wrong about when the agent knew.
const AWAITED: u64 = 5_900 * MS;
/// Roots that are awaited at once.
const AWAITED_MAX: usize = 512;

/// A root at the backend; what it holds is printed when there are two.
#[expect(dead_code, reason = "read by people, in the message of a failure")]
#[derive(Clone, Debug)]
pub(super) enum Root {
    /// The function's own.
    Own(Place),
    /// The function's own, closed here.
    Closed(Place),
    /// Made here.
    Made(String),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Roots(BTreeMap<u64, Vec<Root>>);

impl Roots {
    pub(super) fn of(&self, number: u64) -> &[Root] {
        self.0.get(&number).map_or(&[], Vec::as_slice)
    }
}

/// The invocation that a span made here names.
pub(super) fn invocation_of(span: &PlatformSpan) -> Option<&str> {
    span.attributes.iter().find_map(|(key, value)| match (*key, value) {
        ("faas.invocation_id", Value::Text(id)) => Some(&**id),
        _ => None,
    })
}

impl World {
    /// The backend has a span of the function.
    pub(super) fn note_own_root(&mut self, body: &Body) {
        let place = (body.trace_id, body.span_id);
        if self.truth.life(body.of).is_some_and(|life| life.entries.contains(&place)) {
            self.note_root(body.of, Root::Own(place));
        }
    }

    /// The backend has the root of an invocation.
    pub(super) fn note_root(&mut self, number: u64, root: Root) {
        let known = self.roots.0.entry(number).or_default();
        known.push(root);
        let made = known.iter().filter(|root| matches!(root, Root::Made(_))).count();
        let has_two = made > 1 || (made == 1 && known.len() > 1);
        let Some(life) = self.truth.life(number) else { return };
        let is_told_beside = made == 1 && self.needs_two(life);
        if is_on("two roots") && has_two && !is_told_beside && !self.may_have_two(life) {
            panic!("two roots: {:?} of {life:?}", self.roots.of(number));
        }
        if has_two && is_told_beside {
            self.coverage.note("a death told beside an own root");
        }
    }

    /// Whether the function died when its own root had come, which does not tell of that.
    fn needs_two(&self, life: &Life) -> bool {
        life.fate.is_death() && !self.config.is_managed() && life.entry_at.is_some()
    }

    /// Whether the function's own root came when ours could have been sent by the rules.
    fn may_have_two(&self, life: &Life) -> bool {
        // On Managed Instances nobody says that a span is the invocation's, but the span itself.
        let is_unnamed = !life.came.iter().any(|came| came.is_named);
        let is_unknowable = self.config.is_managed() && is_unnamed;
        let is_unknowable = is_unknowable || (is_unnamed && self.may_be_early(life));
        // Our root was sent, and the process killed before the answer was read: the next one sends it again, and no more has
        // the spans that told its trace.
        let is_unknowable = is_unknowable || life.is_killed;
        let is_unknowable = is_unknowable || (is_unnamed && self.began_at_border(life));
        let Some(entry_at) = life.entry_at else { return is_unknowable };
        is_unknowable || self.faults.steps_clock || self.was_made_before(life, entry_at)
    }

    /// Whether its own root began in the millisecond in which, as far as the platform told, the next one may have begun: its
    /// events have whole ones, and INVOKE may be read late. That is the millisecond of the next one's begin; and of the report on
    /// this one, where that came before `platform.runtimeDone` and the other's begin was not told.
    fn began_at_border(&self, life: &Life) -> bool {
        let Some(next) = self.truth.later_than(life).next() else { return false };
        let is_report_first = life.report_told.is_some_and(|at| life.done_told.is_none_or(|done| at <= done));
        let is_next_told = self.is_in_time(next, next.start_told);
        let report = Some(life.reported_end).filter(|_| is_report_first && !is_next_told);
        let in_border = |at: UnixNanos| {
            [Some(next.begun), report].into_iter().flatten().any(|border| at.0 / MS == border.0 / MS)
        };
        let is_root = |came: &&Came| life.entries.contains(&(came.trace_id, came.span_id));
        life.came.iter().filter(is_root).any(|came| in_border(came.start))
    }

    /// Whether its spans may have begun before anything told that it had: INVOKE was read late, and nothing else came.
    fn may_be_early(&self, life: &Life) -> bool {
        self.was_heard_late(life) && !self.config.is_managed() && !self.is_in_time(life, life.start_told)
    }

    fn was_heard_late(&self, life: &Life) -> bool {
        life.heard.is_none_or(|heard| heard > life.begun)
    }

    fn was_made_before(&self, life: &Life, entry_at: u64) -> bool {
        let ended_at = life.ended.map_or(u64::MAX, |(_, at)| at);
        let known_at = life.known_at.unwrap_or(ended_at).min(ended_at);
        let is_after_end = self.truth.shutdown_of(life).is_some_and(|(at, _)| entry_at >= at);
        // A dead function sends nothing more, but what was on its way.
        let is_dead = life.fate.is_death() && !self.config.is_managed() && entry_at >= ended_at;
        let is_unexpected =
            !self.config.expects_spans && self.truth.sdk_seen_at.is_none_or(|at| at > known_at);
        if is_after_end || is_dead || (is_unexpected && entry_at > known_at) {
            return true;
        }
        let later: Vec<&Life> = self.truth.later_than(life).collect();
        later.iter().enumerate().any(|(index, other)| {
            // Its end is regarded at some time between the first word of it and the next INVOKE.
            let until = later.get(index + 1).map_or(u64::MAX, |next| next.begun_at).min(entry_at);
            let is_over = other.known_at.is_some_and(|at| at <= entry_at);
            let is_passed = life.passed_at.is_some_and(|passed| passed <= until);
            is_over && (is_passed || (index > 0 && until >= known_at + AWAITED) || index >= AWAITED_MAX)
        })
    }

    /// The backend has a root that was made here.
    pub(super) fn note_made_root(&mut self, request_id: &str, span: &PlatformSpan) {
        let Some(number) = self.truth.attempt(request_id, span.start) else {
            panic!("the root of an invocation that never was: {span:?}")
        };
        // Where two attempts share an id and the clock was set, nobody knows which it is.
        let attempts = self.truth.lives.iter().filter(|life| *life.request_id == *request_id).count();
        if attempts == 1 || !self.faults.steps_clock {
            let life = self.truth.life(number).expect("it was just found").clone();
            if is_on("root trace") {
                self.check_trace(&life, span);
            }
            if is_on("root parent") {
                self.check_parent(&life, span);
            }
            if is_on("root status") {
                self.check_status(&life, span);
            }
            if is_on("root times") {
                self.check_times(&life, span);
            }
            self.coverage.note("root checked");
            self.note_root(number, Root::Made(brief(span)));
        }
    }

    /// The spans that the agent had when it could first close `life`, and that belong to it for certain.
    fn certain<'a>(&self, life: &'a Life) -> Vec<&'a Came> {
        let is_managed = self.config.is_managed();
        let known_at = life.known_at.unwrap_or(u64::MAX);
        // Without `platform.start`, INVOKE tells when it began, and that may be heard late.
        let has_start = self.is_in_time(life, life.start_told);
        let from = if has_start { life.begun } else { life.heard.unwrap_or(UnixNanos(u64::MAX)) };
        // The begin of the next one is told in whole milliseconds: what began in its own may be of that, unless it came before
        // `/next` was asked.
        let until = self.truth.later_than(life).next().map_or(u64::MAX, |next| next.begun.0 - RESOLUTION);
        let is_before = |came: &Came| came.start.0 <= until || life.asked_at.is_some_and(|at| came.at < at);
        let is_of_it = |came: &Came| from <= came.start && is_before(came);
        let is_certain = |came: &&Came| came.at < known_at && came.is_sane && !is_managed && is_of_it(came);
        if life.is_killed || self.faults.steps_clock || self.is_blurred(life) {
            return Vec::new();
        }
        life.came.iter().filter(is_certain).collect()
    }

    fn check_trace(&self, life: &Life, span: &PlatformSpan) {
        let is_managed = self.config.is_managed();
        let of = |came: &[&Came]| came.iter().map(|came| came.trace_id).collect::<BTreeSet<_>>();
        let must = of(&self.certain(life));
        let named_traces: BTreeSet<TraceId> =
            life.came.iter().filter(|came| came.is_named).map(|came| came.trace_id).collect();
        let mut may: BTreeSet<TraceId> =
            if is_managed { named_traces } else { life.came.iter().map(|came| came.trace_id).collect() };
        may.extend(&life.announced);
        if self.is_blurred(life) {
            let next = self.truth.later_than(life).next();
            let before = life.number.checked_sub(1).and_then(|number| self.truth.life(number));
            may.extend(before.into_iter().flat_map(|before| &before.came).map(|came| came.trace_id));
            may.extend(next.into_iter().flat_map(|next| &next.came).map(|came| came.trace_id));
        }
        if let Some(next) = self.unparted_from(life) {
            may.extend(next.came.iter().map(|came| came.trace_id).chain(next.announced.iter().copied()));
        }
        may.extend(self.recovered_beside(life).map(|came| came.trace_id));
        if self.may_be_of_init(life) {
            may.extend(&self.truth.init_traces);
        }
        let is_fresh = !self.truth.traces.contains(&span.trace_id);
        // With a clock that was set, what comes after INVOKE looks as if it had begun after it.
        let comes_later = |other: &Life| {
            let is_of_trace = |came: &Came| came.trace_id == span.trace_id && came.at >= life.begun_at;
            other.came.iter().any(is_of_trace) || other.announced.contains(&span.trace_id)
        };
        if self.faults.steps_clock && self.truth.lives.iter().any(comes_later) {
            return;
        }
        assert!(
            is_fresh || may.contains(&span.trace_id),
            "root trace: that of another invocation: {} for {life:?}",
            brief(span)
        );
        let is_single = must.len() == 1 && may.len() == 1;
        assert!(!is_single || !is_fresh, "root trace: not that of its spans: {} for {life:?}", brief(span));
        let is_torn = must.len() > 1 && !life.fate.is_death();
        assert!(!is_torn || is_fresh, "root trace: one of several: {} for {life:?}", brief(span));
    }

    /// Whether spans of module initialisation may be taken for its own: nothing says when it began but INVOKE, which may
    /// have been read late.
    fn may_be_of_init(&self, life: &Life) -> bool {
        let mut before = self.truth.lives[..life.number as usize - 1].iter();
        let is_first = !before.any(|other| other.process == life.process);
        is_first && !self.is_in_time(life, life.start_told)
    }

    /// Whether a border to a neighbour is not known to a hair: a span began just before it, or it is known only by an INVOKE
    /// that was read late.
    fn is_blurred(&self, life: &Life) -> bool {
        let before = life.number.checked_sub(1).and_then(|number| self.truth.life(number));
        let is_near = |came: &Came| came.start.0 + BORDER >= life.begun.0;
        if before.is_some_and(|before| before.came.iter().any(is_near)) {
            return true;
        }
        let next = self.truth.later_than(life).next();
        next.is_some_and(|next| {
            // What is told when that one was let go of comes when `life` is closed.
            let told = next.start_told.filter(|told| next.asked_at.is_none_or(|asked| *told <= asked));
            next.heard.is_some_and(|heard| heard > next.begun) && !self.is_in_time(next, told)
        })
    }

    /// The next one, where nobody knows which spans are of which: nothing told of the end of `life`, and INVOKE of the next
    /// was read after it had begun.
    fn unparted_from(&self, life: &Life) -> Option<&Life> {
        let is_endless = !self.is_in_time(life, life.done_told) && !self.is_in_time(life, life.report_told);
        self.truth.later_than(life).next().filter(|next| is_endless && self.was_heard_late(next))
    }

    /// The spans of the one before that the next process, if ours was killed in `life`, cannot tell from those of `life`; with
    /// those of their traces, which they may name as their parents.
    fn recovered_beside(&self, life: &Life) -> impl Iterator<Item = &Came> {
        let heard = life.heard.unwrap_or(life.begun);
        let before = self.truth.life(life.number - 1).filter(|_| life.is_killed);
        let came = before.into_iter().flat_map(|before| &before.came);
        let is_near = |came: &&Came| came.start.0 + RECOVERED >= heard.0;
        let near: BTreeSet<TraceId> = came.clone().filter(is_near).map(|came| came.trace_id).collect();
        came.filter(move |came| near.contains(&came.trace_id))
    }

    fn check_parent(&self, life: &Life, span: &PlatformSpan) {
        let is_vague = self.faults.steps_clock || self.is_blurred(life);
        // What tells of a death beside the function's own root is below that.
        let tells_death = span.kind == Kind::Internal;
        let is_entry = |parent| life.entries.contains(&(span.trace_id, parent));
        let has_died = self.needs_two(life) || life.is_killed;
        let is_below_own = has_died && span.parent.is_some_and(is_entry);
        // Where spans of the one before are taken for its own, so is the root of that.
        let is_taken = |came: &Came| (came.trace_id, Some(came.span_id)) == (span.trace_id, span.parent);
        let is_below_own = is_below_own || self.recovered_beside(life).any(is_taken);
        let is_placed = !tells_death || is_vague || is_below_own;
        assert!(is_placed, "root parent: a death, not below the own root: {} for {life:?}", brief(span));
        if let Some(parent) = span.parent.filter(|_| !is_vague && !tells_death) {
            // A parent that was missing and came later is one of two roots, or none.
            let known_at = life.known_at.unwrap_or(u64::MAX);
            let is_own = life.came.iter().any(|came| came.span_id == parent && came.at < known_at);
            assert!(!is_own, "root parent: a span of the function: {} for {life:?}", brief(span));
            let is_vague = self.may_be_of_init(life) && self.character.sends_at_init;
            let names = |life: &Life| life.came.iter().any(|came| came.parent == Some(parent));
            let is_taken = |came: &Came| came.parent == Some(parent);
            let is_named = is_vague || names(life) || self.recovered_beside(life).any(is_taken);
            let is_named = is_named || self.unparted_from(life).is_some_and(names);
            assert!(is_named, "root parent: named by no span: {} for {life:?}", brief(span));
        }
        let certain = self.certain(life);
        let has_come = |id: &SpanId| life.came.iter().any(|came| came.span_id == *id);
        let mut missing: BTreeSet<SpanId> =
            certain.iter().filter(|came| !came.is_remote).filter_map(|came| came.parent).collect();
        missing.retain(|id| !has_come(id));
        let traces: BTreeSet<TraceId> = certain.iter().map(|came| came.trace_id).collect();
        let is_adopted = life.fate.is_death() && missing.len() == 1 && traces.len() == 1;
        let is_certain =
            !self.faults.announces && life.came.len() < 4_000 && life.came.len() == certain.len();
        if is_adopted && is_certain {
            self.check_adopted(life, span, missing.first().copied());
        }
    }

    fn check_adopted(&self, life: &Life, span: &PlatformSpan, missing: Option<SpanId>) {
        assert_eq!(Some(span.span_id), missing, "root parent: not adopted: {} for {life:?}", brief(span));
    }

    /// Whether the agent was told `at`, and nothing had closed `life` before.
    fn is_in_time(&self, life: &Life, at: Option<u64>) -> bool {
        let next = self.truth.later_than(life).next();
        let closed_at = next.map_or(u64::MAX, |next| next.known_at.unwrap_or(u64::MAX).min(next.begun_at));
        let shut_at = self.truth.shutdown_of(life).map_or(u64::MAX, |(at, _)| at);
        let known_at = life.known_at.unwrap_or(u64::MAX);
        at.is_some_and(|at| at <= known_at || at < closed_at.min(shut_at))
    }

    fn check_status(&self, life: &Life, span: &PlatformSpan) {
        let is_managed = self.config.is_managed();
        let is_told = self.is_in_time(life, life.done_told)
            || (self.is_in_time(life, life.report_told) && life.done_told.is_none());
        let is_bad = span.error_type.is_some();
        if life.fate == Fate::Returns && !life.is_killed {
            assert!(!is_bad, "root status: an error of a good end: {} for {life:?}", brief(span));
        }
        let is_death = life.fate.is_death() && !is_managed;
        // By a clock that was set, an end that is told before the begin is one of an earlier try.
        let is_stepped = is_managed && self.faults.steps_clock;
        if (life.fate != Fate::Returns && is_told && !is_stepped) || is_death {
            assert!(is_bad, "root status: no error: {} for {life:?}", brief(span));
        }
    }

    fn check_times(&self, life: &Life, span: &PlatformSpan) {
        let is_managed = self.config.is_managed();
        let is_vague = self.may_be_of_init(life) && self.character.sends_at_init;
        let is_stepped = is_managed && self.faults.steps_clock;
        if life.is_killed
            || is_vague
            || is_stepped
            || self.is_blurred(life)
            || (is_managed && life.start_told.is_none())
        {
            return;
        }
        let heard = if is_managed { life.begun } else { life.heard.unwrap_or(life.begun) };
        // One that is told after the end may come when the root is made already.
        let ends = [life.done_told, life.report_told];
        let is_first = |start: &u64| ends.iter().flatten().all(|end| start <= end);
        let has_start = self.is_in_time(life, life.start_told.filter(is_first));
        let latest = if has_start { life.begun } else { heard };
        let is_start = span.start.0 + BORDER >= life.begun.0 && span.start.0 <= latest.0 + RESOLUTION;
        let earliest = life.came.iter().filter(|came| !came.is_sane).count();
        assert!(is_start || earliest > 0, "root start: {} for {life:?}", brief(span));
        let late = latest.0 - life.begun.0;
        let Some((ended, _)) = life.ended else { return };
        let shut = self.truth.shutdown_of(life).map_or(ended, |(_, wall)| wall);
        let is_end = if self.is_in_time(life, life.done_told) {
            // A report that comes first tells a later end: that of our own work.
            let is_first = |at| life.done_told.is_some_and(|done| at <= done);
            let is_report_first = life.report_told.is_some_and(is_first);
            let last = if is_report_first { life.reported_end.max(ended) } else { ended };
            near(span.end, ended, UnixNanos(last.0 + late))
        } else if life.fate.is_timeout() && !is_managed {
            near(span.end, life.deadline, life.deadline) || near(span.end, ended, shut.max(ended))
        } else if life.fate.is_death() && !is_managed {
            near(span.end, ended, UnixNanos(shut.max(ended).0 + late))
        } else {
            let spans = self.certain(life);
            let last = spans.iter().map(|came| came.end).max();
            last.is_none_or(|last| span.end.0 + RESOLUTION >= last.0)
        };
        assert!(is_end || earliest > 0, "root length: {} for {life:?}, shut {shut:?}", brief(span));
    }

    /// At the end: every invocation has a root, where everything has been delivered.
    pub(super) fn check_all_have_roots(&self) {
        // A clock that is set makes a span of one invocation look like the root of another.
        if self.faults.steps_clock {
            return;
        }
        for life in &self.truth.lives {
            let is_heard = life.heard.is_some() || life.start_told.is_some();
            let is_known = is_heard && !self.is_blurred(life);
            let roots = self.roots.of(life.number);
            assert!(!is_known || !roots.is_empty(), "no root: {life:?}");
            let is_death_told = self.needs_two(life) && self.is_in_time(life, life.done_told);
            let tells = roots.iter().any(|root| !matches!(root, Root::Own(_)));
            assert!(!is_death_told || life.is_killed || tells, "no root tells of its death: {life:?}");
        }
    }
}

/// A span made here, in a line.
fn brief(span: &PlatformSpan) -> String {
    let parent = span.parent.map(|parent| short(parent.bytes()));
    let (trace, own) = (short(span.trace_id.bytes()), short(span.span_id.bytes()));
    let (start, length) = (span.start.0, (span.end.0 - span.start.0) / 1_000);
    let error = &span.error_type;
    format!("{own} in {trace} below {parent:?}, from {start} for {length} us, error {error:?}")
}

/// Whether `at` lies between `first` and `last`, as far as the platform can tell.
fn near(at: UnixNanos, first: UnixNanos, last: UnixNanos) -> bool {
    at.0 + RESOLUTION >= first.0 && at.0 <= last.0 + RESOLUTION
}
