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
