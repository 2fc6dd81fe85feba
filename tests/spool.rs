//! The spool on mutated and on large files: nothing that another process wrote there is believed unless it is whole, and
//! all that is whole arrives.

use std::path::PathBuf;
use std::time::Duration;

use extension::spool::{Content, Kind, Spool};
use fuzz::{long_rounds, mutate};
use policy::{LaneId, Rng, Signal};
use prost::Message;
use tests::collector::Collector;
use tests::otlp::{Ids, SpanExt, span, traces};
use tests::platform::events::{now_unix_ms, runtime_done};
use tests::platform::{Invoke, Platform, Script};

const BOUND: u64 = 1 << 20;
const RECORDS: [(Kind, &[u8]); 5] = [
    (Kind::Accepted(Signal::Traces), b"spans of a request"),
    (Kind::Announced, b"a span that has begun"),
    (Kind::Parked(LaneId::of(Signal::Metrics)), b"points that could not be sent"),
    (Kind::Invocation, b"{\"request_id\":\"r-1\"}"),
    (Kind::Rooted, b"{\"request_id\":\"r-1\"}"),
];

/// A folder that is taken away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("prefreeze-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        Self(path)
    }

    /// Its only segment, as it is on disk.
    fn segment(&self) -> PathBuf {
        let entry = std::fs::read_dir(&self.0).expect("the spool has made it").next();
        entry.expect("there is a segment").expect("it can be read").path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn a_segment_of_any_bytes_is_read_as_far_as_it_is_whole() {
    let folder = Folder::new("spool-fuzz");
    let spool = Spool::open(&folder.0, BOUND).expect("a temporary folder can be written");
    for (kind, content) in RECORDS {
        spool.write(kind, 1, content).expect("there is room");
    }
    drop(spool);
    let segment = folder.segment();
    let sample = std::fs::read(&segment).expect("it is ours");
    let (mut whole, mut rounds) = (0, 0);
    long_rounds("spool", |seed| {
        let bytes = mutate(&mut Rng::new(seed), &sample);
        std::fs::write(&segment, &bytes).expect("it is ours");
        let spool = Spool::open(&folder.0, BOUND).expect("the folder is as it was");
        let leftovers: Vec<_> = std::iter::from_fn(|| spool.find_more()).flatten().collect();
        assert!(leftovers.len() <= bytes.len(), "more records than bytes");
        (whole, rounds) = (whole + u64::from(leftovers.len() == RECORDS.len()), rounds + 1);
        for left in leftovers {
            let (content, keepsake) = spool.take(left.place);
            if let Some(Content { bytes: content, .. }) = content {
                // Records of a kind that stand there more than once share a place.
                let is_made_of = |known: &[u8]| content.chunks(known.len()).all(|piece| piece == known);
                let is_known = RECORDS.iter().any(|(_, known)| is_made_of(known));
                assert!(is_known, "believed: {content:?}");
            }
            drop(keepsake);
        }
        let place = spool.write(Kind::Announced, 1, b"new").expect("what is there does not stop it");
        assert_eq!(spool.look(place).map(|content| content.bytes.to_vec()), Some(b"new".to_vec()));
        drop(spool.take(place));
        drop(spool);
        std::fs::write(&segment, b"").expect("it is ours");
    });
    assert!(whole > 0 && whole < rounds || rounds == 1, "{whole} of {rounds} were whole");
}

/// A request with one span.
fn request(number: u64) -> Vec<u8> {
    let ids = Ids::new(1).sibling(number);
    traces([span("small", ids).with_times(1, 2)]).encode_to_vec()
}

#[test]
fn thousands_of_small_requests_of_a_killed_process_arrive() {
    const REQUESTS: u64 = 20_000;
    let collector = Collector::start();
    let script = Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let folder = script.scratch().join("prefreeze");
    let spool = Spool::open(&folder, 64 << 20).expect("a temporary folder can be written");
    for number in 0..REQUESTS {
        spool.write(Kind::Accepted(Signal::Traces), 1, &request(number)).expect("there is room");
    }
    drop(spool);
    let platform = Platform::ready(&script);
    for number in 1..=3 {
        let request_id = format!("r-{number}");
        platform.answer_next(&Invoke::new(&request_id, Duration::from_secs(60)));
        platform.post_telemetry(&[runtime_done(now_unix_ms(), &request_id, "success", 1.0)]);
    }
    platform.spin_down();
    let summary = platform.log("summary").remove(0);
    let counts = ["recovered", "exported", "held"].map(|name| summary[name].as_u64());
    assert_eq!(counts, [Some(REQUESTS), Some(REQUESTS + 3), Some(0)], "{summary}");
    let arrived = collector.spans().iter().filter(|seen| seen.span.name == "small").count();
    assert_eq!(arrived as u64, REQUESTS);
    assert_eq!(std::fs::read_dir(&folder).map_or(0, Iterator::count), 0, "nothing is left on disk");
}

/// A record as the spool writes it.
fn record(kind: u8, count: u32, content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(&[kind]);
    crc.update(&count.to_le_bytes());
    crc.update(content);
    let length = u32::try_from(content.len()).expect("short");
    [
        b"PFZ2",
        &[kind, 0, 0, 0][..],
        &count.to_le_bytes(),
        &length.to_le_bytes(),
        &crc.sum().to_le_bytes(),
        content,
    ]
    .concat()
}

/// A file with `count` records, and behind each a note that settles none of them: the most work there can be.
fn planted(folder: &Folder, count: u64) -> (Spool, usize) {
    let (accepted, settled) = (1, 8);
    let bytes = (0..count).flat_map(|index| {
        [record(accepted, 1, b"x"), record(settled, 0, &(u64::MAX - index).to_le_bytes())].concat()
    });
    std::fs::create_dir_all(&folder.0).expect("a temporary folder can be written");
    std::fs::write(folder.0.join("1.spool"), bytes.collect::<Vec<u8>>()).expect("it is ours");
    let spool = Spool::open(&folder.0, 64 << 20).expect("a temporary folder can be written");
    let leftovers =
        std::iter::from_fn(|| spool.find_more()).flatten().map(|leftover| leftover.count as usize).sum();
    (spool, leftovers)
}

/// What this thread has had of a processor, in nanoseconds: what others do meanwhile is not in it.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number")
}

#[test]
fn reading_a_planted_file_takes_work_in_line_with_its_length() {
    let least = |count: u64, times: u64| {
        let folder = Folder::new(&format!("planted-{count}"));
        planted(&folder, count);
        let bytes = std::fs::read(folder.0.join("1.spool")).expect("it is ours");
        let runs = (0..5).map(|_| {
            let before = processor_ns();
            for _ in 0..times {
                std::fs::write(folder.0.join("1.spool"), &bytes).expect("it is ours");
                let spool = Spool::open(&folder.0, 64 << 20).expect("it can be written");
                let found = std::iter::from_fn(|| spool.find_more()).flatten();
                assert_eq!(found.map(|leftover| leftover.count).sum::<u64>(), count);
            }
            (processor_ns() - before) / times
        });
        runs.min().expect("five runs")
    };
    // Both for long enough to be measured. Eight times as many, read in quadratic time, take 64 times the work.
    let (few, many) = (least(2_000, 40), least(16_000, 5));
    assert!(many < few * 32, "{few} ns, and {many} ns for eight times as many");
}

#[test]
fn a_planted_file_is_read_to_its_bound_and_no_further() {
    assert_eq!(planted(&Folder::new("planted-bound"), 80_000).1, 65_536);
}
