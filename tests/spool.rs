//! The spool on mutated files: nothing that another process wrote there is believed unless it is whole, and the spool
//! goes on.

use std::path::PathBuf;

use extension::spool::{Kind, Spool};
use fuzz::{long_rounds, mutate};
use policy::{Rng, Signal};

const BOUND: u64 = 1 << 20;
const RECORDS: [(Kind, &[u8]); 4] = [
    (Kind::Accepted(Signal::Traces), b"spans of a request"),
    (Kind::Announced, b"a span that has begun"),
    (Kind::Parked(Signal::Metrics), b"points that could not be sent"),
    (Kind::Invocation, b"{\"request_id\":\"r-1\"}"),
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
    let (spool, _) = Spool::open(&folder.0, BOUND).expect("a temporary folder can be written");
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
        let (spool, leftovers) = Spool::open(&folder.0, BOUND).expect("the folder is as it was");
        assert!(leftovers.len() <= bytes.len(), "more records than bytes");
        (whole, rounds) = (whole + u64::from(leftovers.len() == RECORDS.len()), rounds + 1);
        for left in leftovers {
            let (content, keepsake) = spool.take(left.place);
            if let Some((_, content)) = content {
                let is_known = RECORDS.iter().any(|(_, known)| **known == content[..]);
                assert!(is_known, "believed: {content:?}");
            }
            drop(keepsake);
        }
        let place = spool.write(Kind::Announced, 1, b"new").expect("what is there does not stop it");
        assert_eq!(spool.look(place).map(|(_, content)| content.to_vec()), Some(b"new".to_vec()));
        drop(spool.take(place));
        drop(spool);
        std::fs::write(&segment, b"").expect("it is ours");
    });
    assert!(whole > 0 && whole < rounds || rounds == 1, "{whole} of {rounds} were whole");
}

/// A record as the spool writes it.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(&[kind]);
    crc.update(&0_u32.to_le_bytes());
    crc.update(content);
    let length = u32::try_from(content.len()).expect("short");
    [b"PFZ1", &[kind, 0, 0, 0][..], &[0; 4], &length.to_le_bytes(), &crc.sum().to_le_bytes(), content]
        .concat()
}

/// A file with `count` records, and behind each a note that settles none of them: the most work there can be.
fn planted(folder: &Folder, count: u64) -> (Spool, usize) {
    let (accepted, settled) = (1, 8);
    let bytes = (0..count).flat_map(|index| {
        [record(accepted, b"x"), record(settled, &(u64::MAX - index).to_le_bytes())].concat()
    });
    std::fs::create_dir_all(&folder.0).expect("a temporary folder can be written");
    std::fs::write(folder.0.join("1.spool"), bytes.collect::<Vec<u8>>()).expect("it is ours");
    let (spool, leftovers) = Spool::open(&folder.0, 64 << 20).expect("a temporary folder can be written");
    (spool, leftovers.len())
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
                let (_spool, leftovers) = Spool::open(&folder.0, 64 << 20).expect("it can be written");
                assert_eq!(leftovers.len(), count as usize);
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
    assert_eq!(planted(&Folder::new("planted-bound"), 40_000).1, 16_384);
}
