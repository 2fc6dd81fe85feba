//! What a killed process left in the spool, as inputs for the agent of the next one, a piece at a time.
//!
//! It begins when the first `/next` was asked: reading 90,000 small records takes a tenth of a second of the function's
//! CPU, which its start must not pay. Pieces are small, so that requests of the function are taken in between. Inputs
//! of others wait until all pieces were handed over: policy knows what is left before it hears of the first invocation.

use std::collections::{BTreeSet, VecDeque};

use policy::{
    Input, Invoke, LaneId, Parked, Place, Receipt, RequestId, RequestLimits, Signal, Span, SpanId, TraceId,
};
use wire::otlp::{self, Body};

use crate::spool::{Content, Kind, Leftover, Spool};

/// What an item takes in memory beside its bytes: policy's bookkeeping, and the scanner's.
const ITEM_BYTES: usize = 512;

/// The work that is left to do.
pub struct Recovery {
    spool: Spool,
    /// What may still be read into memory at once, in bytes.
    room: usize,
    /// What backends take in one request.
    limits: RequestLimits,
    /// Whether there are several destinations: then what was accepted is told of as such, so that each gets what is for it.
    is_parted: bool,
    state: State,
}

enum State {
    /// Segments are looked into; this was found.
    Finding(Vec<Leftover>),
    /// Records are read.
    Reading(Reading),
    /// What was accepted, and found no room at once, is read at last: what of it has no room goes back to the disk.
    Rest(VecDeque<Place>),
    Done,
}

#[derive(Default)]
struct Reading {
    jobs: VecDeque<Job>,
    /// What was accepted, parted by the invocations that processes died in: the first part has none, if it came before
    /// any of them.
    parts: Vec<Part>,
    /// Spans that were begun, and of which no end was found.
    announced: Vec<Span<Body>>,
    /// What is not read now. It is told of at the end: nobody else takes it while it is searched.
    on_disk: Vec<Parked>,
    /// The same of what was accepted, where there are several destinations.
    rest: VecDeque<Place>,
}

/// One piece of work.
#[derive(Clone, Copy)]
enum Job {
    /// Reads what was accepted in this part.
    Accepted(usize, Place),
    /// Reads what was announced.
    Announced(Place),
    /// Forgets what was announced and has ended in this record, which stays on disk.
    Ended(Place),
}

struct Part {
    /// What it began with, and the seed of its process.
    begun: Option<(Invoke, u64)>,
    /// What its root is, where that was on record.
    root: Option<(RequestId, TraceId, SpanId)>,
    accepted: Vec<Leftover>,
    receipt: Receipt<Body>,
}

impl Part {
    const fn new(begun: Option<(Invoke, u64)>) -> Self {
        Self { begun, root: None, accepted: Vec::new(), receipt: Receipt::EMPTY }
    }

    fn is_empty(&self) -> bool {
        self.begun.is_none() && self.receipt.spans.is_empty() && self.receipt.parcels.is_empty()
    }
}

impl Recovery {
    /// The recovery of what is in `spool`, of which at most `max` bytes are read into memory at once, in parcels within the
    /// `limits` of backends.
    pub const fn new(spool: Spool, max: usize, limits: RequestLimits) -> Self {
        Self { spool, room: max, limits, is_parted: false, state: State::Finding(Vec::new()) }
    }

    /// The same, where there are several destinations.
    pub fn parted(self, is_parted: bool) -> Self {
        Self { is_parted, ..self }
    }

    /// Does a piece of it: inputs for the agent, perhaps none yet; `None` when nothing is left to do.
    pub fn step(&mut self) -> Option<Vec<Input<Body>>> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Finding(mut found) => {
                if let Some(more) = self.spool.find_more() {
                    found.extend(more);
                    self.state = State::Finding(found);
                } else {
                    self.state = State::Reading(self.plan(found));
                }
                Some(Vec::new())
            }
            State::Reading(mut reading) => match reading.jobs.pop_front() {
                Some(job) => {
                    reading.carry_out(job, &self.spool, &self.limits);
                    self.state = State::Reading(reading);
                    Some(Vec::new())
                }
                None => {
                    self.state = State::Rest(std::mem::take(&mut reading.rest));
                    Some(reading.recovered())
                }
            },
            State::Rest(mut rest) => {
                let left = Input::Left(read(&self.spool, rest.pop_front()?, &self.limits));
                self.state = State::Rest(rest);
                Some(vec![left])
            }
            State::Done => None,
        }
    }

    /// Decides what is read at once. The newest goes first: it belongs to the invocation that the process died in. The
    /// rest stays on disk and is read when there is room for it.
    fn plan(&mut self, found: Vec<Leftover>) -> Reading {
        let (mut parts, mut announced, mut on_disk) = (vec![Part::new(None)], Vec::new(), Vec::new());
        for left in found {
            match left.kind {
                Kind::Accepted(_) => parts.last_mut().expect("one is there").accepted.push(left),
                Kind::Parked(lane) => on_disk.push(parked(left, lane)),
                Kind::Announced => announced.push(left),
                Kind::Invocation => parts.push(Part::new(read_invocation(&self.spool, left.place))),
                Kind::Rooted => {
                    parts.last_mut().expect("one is there").root = read_root(&self.spool, left.place);
                }
                // Never left.
                Kind::Settled | Kind::LeftOut => {}
            }
        }
        let mut reading = Reading::default();
        for (index, part) in parts.iter_mut().enumerate().rev() {
            for left in std::mem::take(&mut part.accepted) {
                match left.kind {
                    _ if self.has_room(&left) => reading.jobs.push_back(Job::Accepted(index, left.place)),
                    Kind::Accepted(_) if self.is_parted => reading.rest.push_back(left.place),
                    Kind::Accepted(signal) => on_disk.push(parked(left, LaneId::of(signal))),
                    _ => {}
                }
            }
        }
        reading.parts = parts;
        for left in announced {
            if self.has_room(&left) {
                reading.jobs.push_back(Job::Announced(left.place));
            } else {
                // More than a process remembers: never accepted, and not told of.
                drop(self.spool.take(left.place));
            }
        }
        let spans = on_disk.iter().filter(|parked| parked.lane.signal == Signal::Traces);
        let places = spans.map(|parked| parked.place).chain(reading.rest.iter().copied());
        reading.jobs.extend(places.map(Job::Ended));
        reading.on_disk = on_disk;
        reading
    }

    fn has_room(&mut self, left: &Leftover) -> bool {
        let items = usize::try_from(left.count).unwrap_or(usize::MAX);
        let size = left.size.saturating_add(items.saturating_mul(ITEM_BYTES));
        let has_room = size <= self.room;
        if has_room {
            self.room -= size;
        }
        has_room
    }
}

const fn parked(left: Leftover, lane: LaneId) -> Parked {
    let Leftover { place, count, size, .. } = left;
    Parked { place, lane, count, size }
}

impl Reading {
    fn carry_out(&mut self, job: Job, spool: &Spool, limits: &RequestLimits) {
        match job {
            Job::Accepted(part, place) => {
                let more = read(spool, place, limits);
                let receipt = &mut self.parts[part].receipt;
                receipt.spans.extend(more.spans);
                receipt.parcels.extend(more.parcels);
            }
            Job::Announced(place) => self.announced.extend(read(spool, place, limits).spans),
            Job::Ended(place) => forget_ended(&mut self.announced, spool, place),
        }
    }

    /// For each invocation that a process died in, what it left. What was accepted before goes with the first of them;
    /// what was announced with the last, whose function was the last to announce.
    fn recovered(self) -> Vec<Input<Body>> {
        let Self { parts, mut announced, on_disk, .. } = self;
        let mut parts: VecDeque<Part> = parts.into();
        let mut earlier = Receipt::EMPTY;
        if parts.len() > 1
            && let Some(part) = parts.pop_front()
        {
            earlier = part.receipt;
        }
        let last = parts.len().saturating_sub(1);
        let is_nothing = |part: &Part, earlier: &Receipt<Body>, announced: &[Span<Body>]| {
            part.is_empty() && earlier.spans.is_empty() && earlier.parcels.is_empty() && announced.is_empty()
        };
        let mut inputs: Vec<_> = on_disk.into_iter().map(Input::Found).collect();
        for (index, part) in parts.into_iter().enumerate() {
            let announced = if index == last { std::mem::take(&mut announced) } else { Vec::new() };
            let earlier = std::mem::replace(&mut earlier, Receipt::EMPTY);
            if is_nothing(&part, &earlier, &announced) {
                continue;
            }
            let Part { begun, root, receipt, .. } = part;
            let (invoke, seed) = begun.map(|(invoke, seed)| (Some(invoke), seed)).unwrap_or_default();
            inputs.extend(root.map(|(request_id, trace_id, span_id)| Input::Rooted {
                request_id,
                trace_id,
                span_id,
            }));
            inputs.push(Input::Recovered { invoke, seed, earlier, receipt, announced });
        }
        inputs
    }
}

/// Records of telemetry at one place, which are settled when the last of what they brought is let go.
pub fn read(spool: &Spool, place: Place, limits: &RequestLimits) -> Receipt<Body> {
    let (content, keepsake) = spool.take(place);
    let Some(Content { kind, bytes, left_out }) = content else { return Receipt::EMPTY };
    let signal = match kind {
        Kind::Accepted(signal) | Kind::Parked(LaneId { signal, .. }) => signal,
        Kind::Announced => Signal::Traces,
        Kind::Invocation | Kind::Rooted | Kind::Settled | Kind::LeftOut => return Receipt::EMPTY,
    };
    let scanned = otlp::scan_within(signal, &bytes, limits[signal as usize]);
    let Ok(scanned) = scanned else { return Receipt::EMPTY };
    let mut receipt = scanned.receipt;
    receipt.spans.retain(|span| span.body.number().is_none_or(|number| !left_out.holds(number)));
    otlp::keep(&receipt, keepsake);
    receipt
}

/// Takes those of `announced` out whose own span is in the record at `place`, which stays where it is.
fn forget_ended(announced: &mut Vec<Span<Body>>, spool: &Spool, place: Place) {
    if announced.is_empty() {
        return;
    }
    let Some(Content { kind, bytes, .. }) = spool.look(place) else { return };
    let (Kind::Accepted(Signal::Traces) | Kind::Parked(LaneId { signal: Signal::Traces, .. })) = kind else {
        return;
    };
    let Ok(scanned) = otlp::scan(Signal::Traces, &bytes) else { return };
    let name = |span: &Span<Body>| (span.trace_id, span.span_id);
    let ended: BTreeSet<_> = scanned.receipt.spans.iter().map(name).collect();
    announced.retain(|span| !ended.contains(&name(span)));
}

fn read_invocation(spool: &Spool, place: Place) -> Option<(Invoke, u64)> {
    let (content, _settled_at_the_end) = spool.take(place);
    wire::invocation::decode(&content?.bytes).ok()
}

fn read_root(spool: &Spool, place: Place) -> Option<(RequestId, TraceId, SpanId)> {
    let (content, _settled_at_the_end) = spool.take(place);
    wire::invocation::Root::decode(&content?.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use policy::{Instant, UnixNanos};
    use std::path::PathBuf;

    const TRACES: Kind = Kind::Accepted(Signal::Traces);
    const BOUND: u64 = 32 << 20;

    /// A folder with what a killed process left; taken away at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn with(name: &str, records: impl IntoIterator<Item = (Kind, u32, Bytes)>) -> Self {
            let path = std::env::temp_dir().join(format!("prefreeze-recovery-{name}-{}", std::process::id()));
            std::fs::remove_dir_all(&path).ok();
            let spool = Spool::open(&path, BOUND).expect("a temporary folder can be written");
            for (kind, count, content) in records {
                spool.write(kind, count, &content).expect("there is room");
            }
            Self(path)
        }

        /// What the agent of the next process is told of it, by pieces.
        fn told(&self, max: usize) -> Told {
            let spool = Spool::open(&self.0, BOUND).expect("the same folder");
            let (mut recovery, mut told) = (Recovery::new(spool.clone(), max, UNLIMITED), Told::default());
            while let Some(inputs) = recovery.step() {
                told.pieces += 1;
                inputs.into_iter().for_each(|input| told.take(input, &spool));
            }
            told
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    /// What is recovered: the invocation, and the ids of spans: earlier, since, announced.
    type Recovered = (Option<String>, Vec<u8>, Vec<u8>, Vec<u8>);

    const UNLIMITED: RequestLimits = [policy::RequestLimit::NONE; 3];

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Told {
        pieces: usize,
        recovered: Vec<Recovered>,
        /// Of which invocation a root was told, and how many had been recovered then.
        roots: Vec<(usize, String)>,
        /// Places of what stays on disk, and the ids of the spans there.
        places: usize,
        found: Vec<u8>,
    }

    impl Told {
        fn take(&mut self, input: Input<Body>, spool: &Spool) {
            match input {
                Input::Recovered { invoke, earlier, receipt, announced, .. } => {
                    let request_id = invoke.map(|invoke| invoke.request_id.to_string());
                    let [earlier, since, announced] =
                        [earlier.spans, receipt.spans, announced].map(|it| ids(&it));
                    self.recovered.push((request_id, earlier, since, announced));
                }
                Input::Rooted { request_id, .. } => {
                    self.roots.push((self.recovered.len(), request_id.to_string()));
                }
                Input::Found(parked) => {
                    self.places += 1;
                    let read = ids(&read(spool, parked.place, &UNLIMITED).spans);
                    assert_eq!(parked.count, read.len() as u64);
                    self.found.extend(read);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn ids(spans: &[Span<Body>]) -> Vec<u8> {
        spans.iter().map(|span| span.span_id.bytes()[0]).collect()
    }

    /// A request with one span of this id.
    fn request(id: u8) -> Bytes {
        // ResourceSpans { ScopeSpans { Span { trace_id, span_id } } }
        let span = [&[0x0a, 16][..], &[7; 16], &[0x12, 8], &[id; 8]].concat();
        let scope = [&[0x12, span.len() as u8][..], &span].concat();
        let resource = [&[0x12, scope.len() as u8][..], &scope].concat();
        [&[0x0a, resource.len() as u8][..], &resource].concat().into()
    }

    fn accepted(id: u8) -> (Kind, u32, Bytes) {
        (TRACES, 1, request(id))
    }

    fn announced(id: u8) -> (Kind, u32, Bytes) {
        (Kind::Announced, 1, request(id))
    }

    fn invocation(request_id: &str) -> (Kind, u32, Bytes) {
        let invoke = Invoke {
            request_id: request_id.into(),
            deadline: Instant::default(),
            deadline_at: UnixNanos(0),
            received_at: UnixNanos(0),
            arn: "".into(),
            xray: None,
            waited: policy::Duration::ZERO,
        };
        (Kind::Invocation, 1, wire::invocation::encode(&invoke, 7).into())
    }

    /// What one of [`accepted`] takes.
    fn one() -> usize {
        request(1).len() + ITEM_BYTES
    }

    #[test]
    fn what_has_ended_in_a_record_that_is_read_later_is_not_announced_any_more() {
        let four = (TRACES, 4, Bytes::from(request(1).repeat(4)));
        let records = || [announced(1), announced(2), four.clone()];
        // The agent sees for itself what has ended in what it is told of.
        let told = Folder::with("ended", records()).told(6 * one());
        assert_eq!(
            (told.recovered, told.found),
            (vec![(None, vec![], vec![1, 1, 1, 1], vec![1, 2])], vec![])
        );
        let told = Folder::with("ended", records()).told(3 * one());
        assert_eq!((told.recovered, told.found), (vec![(None, vec![], vec![], vec![2])], vec![1, 1, 1, 1]));
    }

    #[test]
    fn what_an_invocation_left_is_parted_from_what_came_before_it_and_goes_first() {
        let records = || [accepted(1), accepted(2), invocation("r-1"), accepted(3), announced(4)];
        let whole = Folder::with("parted", records()).told(BOUND as usize);
        assert_eq!(whole.recovered, [(Some("r-1".to_owned()), vec![1, 2], vec![3], vec![4])]);
        // With room for two, what is earlier stays on disk.
        let tight = Folder::with("parted", records()).told(2 * one());
        assert_eq!(tight.recovered, [(Some("r-1".to_owned()), vec![], vec![3], vec![4])]);
        assert_eq!(tight.found, [1, 2]);
    }

    #[test]
    fn what_is_on_record_of_a_root_comes_with_its_invocation() {
        let (trace_id, span_id) =
            (TraceId::new([7; 16]).expect("an id"), SpanId::new([9; 8]).expect("an id"));
        let root = wire::invocation::Root::new("r-2", &trace_id, &span_id).encode();
        let records = [invocation("r-1"), accepted(1), invocation("r-2"), (Kind::Rooted, 1, root.into())];
        let told = Folder::with("rooted", records).told(BOUND as usize);
        assert_eq!(told.recovered.len(), 2);
        assert_eq!(told.roots, [(1, "r-2".to_owned())], "behind one that was recovered");
    }

    #[test]
    fn each_invocation_that_a_process_died_in_is_told_of() {
        let records =
            [accepted(1), invocation("r-1"), accepted(2), invocation("r-2"), accepted(3), announced(4)];
        let told = Folder::with("twice", records).told(BOUND as usize);
        let first = (Some("r-1".to_owned()), vec![1], vec![2], vec![]);
        assert_eq!(told.recovered, [first, (Some("r-2".to_owned()), vec![], vec![3], vec![4])]);
    }

    #[test]
    fn thousands_of_small_records_are_few_places_and_none_is_lost() {
        const RECORDS: usize = 10_000;
        let records = (0..RECORDS).map(|number| accepted((number % 200) as u8 + 1));
        let folder = Folder::with("small", records);
        let told = folder.told(0);
        assert_eq!((told.recovered.len(), told.found.len()), (0, RECORDS));
        assert!(told.places < RECORDS / 500, "{} places", told.places);
        // Nothing is left, as all of it was let go of.
        assert_eq!(folder.told(0), Told { pieces: 2, ..Told::default() });
    }
}
