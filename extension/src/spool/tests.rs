//! The spool on a real disk: what is settled goes, what a killed process held is found, and nothing hostile hurts.

use super::*;
use policy::{LaneId, Signal};

/// A folder of its own, taken away at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("prefreeze-spool-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const TRACES: Kind = Kind::Accepted(Signal::Traces);

fn open(folder: &Folder) -> (Spool, Vec<Leftover>) {
    let spool = Spool::open(&folder.0, 1 << 20).expect("a temporary folder can be written");
    let leftovers = std::iter::from_fn(|| spool.find_more()).flatten().collect();
    (spool, leftovers)
}

/// Records of which everything is read.
fn whole(kind: Kind, bytes: impl Into<Bytes>) -> Content {
    Content { kind, bytes: bytes.into(), left_out: LeftOut::default() }
}

/// What a SIGKILL does to a spool: nothing is settled, and the lock goes.
fn kill(spool: &Spool, keepsakes: Vec<Option<Keepsake>>) {
    keepsakes.into_iter().for_each(std::mem::forget);
    let mut store = lock(&spool.store);
    store.segments.clear();
    store.spots.clear();
}

#[test]
fn what_is_let_go_leaves_nothing_behind() {
    let folder = Folder::new("settled");
    let (spool, leftovers) = open(&folder);
    assert!(leftovers.is_empty());
    let (one, two) = (spool.keep(TRACES, 1, b"one"), spool.keep(TRACES, 1, b"two"));
    assert!(one.is_some() && two.is_some());
    drop(one);
    drop(two);
    assert_eq!(std::fs::metadata(&folder.files()[0]).expect("the segment").len(), 0);
    drop(spool);
    assert!(folder.files().is_empty());
}

#[test]
fn what_a_killed_process_held_is_found() {
    let folder = Folder::new("killed");
    let (spool, _) = open(&folder);
    let kept = spool.keep(TRACES, 2, b"kept");
    drop(spool.keep(TRACES, 9, b"settled"));
    let parked = spool.write_pieces(Kind::Parked(LaneId::of(Signal::Logs)), 3, |take| {
        ["par", "", "ked"].iter().for_each(|piece| take(piece.as_bytes()));
    });
    assert!(parked.is_some());
    kill(&spool, vec![kept]);
    drop(spool);

    let (spool, leftovers) = open(&folder);
    let found: Vec<_> = leftovers.iter().map(|left| (left.kind, left.count, left.size)).collect();
    assert_eq!(found, [(TRACES, 2, 4), (Kind::Parked(LaneId::of(Signal::Logs)), 3, 6)]);
    for (left, content) in leftovers.iter().zip(["kept", "parked"]) {
        let (taken, keepsake) = spool.take(left.place);
        assert_eq!(taken, Some(whole(left.kind, content)));
        drop(keepsake);
    }
    drop(spool);
    assert!(folder.files().is_empty(), "{:?}", folder.files());
}

#[test]
fn a_living_process_keeps_what_is_its_own() {
    let folder = Folder::new("living");
    let (first, _) = open(&folder);
    let kept = first.keep(TRACES, 1, b"mine");
    let (second, leftovers) = open(&folder);
    assert!(leftovers.is_empty(), "{leftovers:?}");
    assert!(second.keep(TRACES, 1, b"other").is_some());
    drop(kept);
}

#[test]
fn a_torn_or_changed_record_costs_only_itself() {
    let folder = Folder::new("torn");
    let (spool, _) = open(&folder);
    let kept: Vec<_> =
        [&b"first"[..], b"second", b"third"].iter().map(|content| spool.keep(TRACES, 1, content)).collect();
    kill(&spool, kept);
    drop(spool);
    let path = folder.files().remove(0);
    let mut bytes = std::fs::read(&path).expect("the segment");
    let second = 25 + 20;
    bytes[second] ^= 1;
    bytes.truncate(bytes.len() - 2);
    std::fs::write(&path, bytes).expect("the segment");

    let (spool, leftovers) = open(&folder);
    assert_eq!((leftovers.len(), leftovers[0].count), (1, 2), "the third is torn");
    let (taken, _keepsake) = spool.take(leftovers[0].place);
    assert_eq!(taken, Some(whole(TRACES, "first")), "the second was changed");
}

#[test]
fn whatever_is_done_to_a_file_gives_back_what_was_written_or_nothing() {
    let written = [&b"the first record"[..], b"a second one, a little longer", b"3"];
    let (mut read, mut lost) = (0, 0);
    for seed in 0..400 {
        let folder = Folder::new("mutated");
        let (spool, _) = open(&folder);
        kill(&spool, written.iter().map(|content| spool.keep(TRACES, 1, content)).collect());
        let file = folder.files().remove(0);
        let mut bytes = std::fs::read(&file).expect("the segment");
        let mut rng = policy::Rng::new(seed);
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(3) {
                0 => bytes[at] ^= 1 << rng.below(8),
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, rng.number() as u8),
            }
        }
        std::fs::write(&file, bytes).expect("a file of ours");
        let (next, leftovers) = open(&folder);
        let contents = leftovers.into_iter().filter_map(|left| next.take(left.place).0);
        let contents: Vec<u8> = contents.flat_map(|content| content.bytes).collect();
        let (mut rest, mut whole) = (&contents[..], 0);
        for content in written {
            if let Some(after) = rest.strip_prefix(content) {
                (rest, whole) = (after, whole + 1);
            }
        }
        assert!(rest.is_empty(), "seed {seed}: {contents:?}");
        (read, lost) = (read + whole, lost + written.len() - whole);
    }
    assert!(read > 100 && lost > 100, "{read} read and {lost} lost prove little");
}

#[test]
fn hostile_files_are_passed_over() {
    let folder = Folder::new("hostile");
    std::fs::create_dir(&folder.0).expect("a temporary folder");
    let secret = folder.0.join("secret");
    std::fs::write(&secret, b"not yours").expect("a file");
    std::os::unix::fs::symlink(&secret, folder.0.join("1.spool")).expect("a link");
    std::fs::write(folder.0.join("2.spool"), b"garbage").expect("a file");
    std::fs::create_dir(folder.0.join("3.spool")).expect("a folder");
    std::fs::write(folder.0.join("4.spool"), vec![0; 2 << 20]).expect("a file over the bound");
    let (spool, leftovers) = open(&folder);
    assert!(leftovers.is_empty());
    assert!(spool.keep(TRACES, 1, b"works").is_some());
    assert_eq!(std::fs::read(&secret).expect("still there"), b"not yours");
}

#[test]
fn a_link_is_no_folder() {
    let (folder, target) = (Folder::new("link"), Folder::new("target"));
    std::fs::create_dir(&target.0).expect("a temporary folder");
    std::os::unix::fs::symlink(&target.0, &folder.0).expect("a link");
    assert!(Spool::open(&folder.0, 1 << 20).is_err());
    std::fs::remove_file(&folder.0).expect("the link");
}

#[test]
fn the_bound_holds() {
    let folder = Folder::new("bound");
    let spool = Spool::open(&folder.0, 1_000).expect("a temporary folder can be written");
    let kept: Vec<_> = (0..10).map_while(|_| spool.keep(TRACES, 1, &[7; 180])).collect();
    assert_eq!(kept.len(), 5);
    drop(kept);
    assert!(spool.keep(TRACES, 1, &[7; 900]).is_some(), "there is room again");
}

#[test]
fn records_of_one_kind_share_a_place_up_to_a_size_and_up_to_the_next_invocation() {
    const LOGS: Kind = Kind::Accepted(Signal::Logs);
    const HALF: usize = GROUP_BYTES / 2;
    type Lengths = &'static [(Kind, usize)];
    let rows: &[(Lengths, Lengths)] = &[
        // Of records; of groups.
        (&[], &[]),
        (&[(TRACES, 1), (LOGS, 2), (TRACES, 3), (LOGS, 4)], &[(TRACES, 4), (LOGS, 6)]),
        (&[(TRACES, HALF), (TRACES, HALF), (TRACES, 1)], &[(TRACES, 2 * HALF), (TRACES, 1)]),
        (&[(TRACES, 2 * GROUP_BYTES), (TRACES, 1)], &[(TRACES, 2 * GROUP_BYTES), (TRACES, 1)]),
        (
            &[(TRACES, 1), (Kind::Invocation, 9), (TRACES, 2), (TRACES, 3)],
            &[(TRACES, 1), (Kind::Invocation, 9), (TRACES, 5)],
        ),
    ];
    for (records, expected) in rows {
        let folder = Folder::new("groups");
        let (spool, _) = open(&folder);
        let kept = records.iter().map(|(kind, length)| spool.keep(*kind, 1, &vec![7; *length])).collect();
        kill(&spool, kept);
        let (spool, leftovers) = open(&folder);
        let found: Vec<_> = leftovers.iter().map(|left| (left.kind, left.size)).collect();
        assert_eq!(found, *expected);
        assert_eq!(leftovers.iter().map(|left| left.count).sum::<u64>(), records.len() as u64);
        for left in leftovers {
            let (taken, keepsake) = spool.take(left.place);
            assert_eq!(taken, Some(whole(left.kind, vec![7; left.size])));
            drop(keepsake);
        }
        drop(spool);
        assert!(folder.files().is_empty(), "{records:?}");
    }
}

#[test]
fn opening_looks_into_no_file() {
    let folder = Folder::new("unread");
    let (spool, _) = open(&folder);
    kill(&spool, vec![spool.keep(TRACES, 1, b"kept")]);
    drop(spool);
    // While it is opened, the file cannot be taken, as if its process lived.
    let file = std::fs::File::open(&folder.files()[0]).expect("the segment");
    file.try_lock().expect("nobody else has it");
    let spool = Spool::open(&folder.0, 1 << 20).expect("the folder is ours");
    assert!(spool.has_unread());
    drop(file);
    assert_eq!(spool.find_more().expect("one segment").len(), 1);
    assert!(!spool.has_unread() && spool.find_more().is_none());
}

/// F. Notes of settled records are not counted against the bound; a file that is longer than it is removed unread.
#[test]
fn f_what_was_not_settled_is_found_though_the_notes_made_the_file_longer_than_the_bound() {
    let folder = Folder::new("f-notes");
    let (spool, _) = open(&folder);
    let mut kept: Vec<_> =
        std::iter::from_fn(|| spool.keep(TRACES, 1, &[7; 1_000]).map(Some)).take(2_000).collect();
    let count = kept.len();
    // The backend is back, and takes all but the last ten; then comes the kill.
    let last = kept.split_off(count - 10);
    drop(kept);
    kill(&spool, last);
    drop(spool);
    let length = std::fs::metadata(&folder.files()[0]).expect("the segment").len();
    let (_spool, leftovers) = open(&folder);
    let found: u64 = leftovers.iter().map(|left| left.count).sum();
    assert_eq!(found, 10, "of {count} records; the file had {length} bytes, and the bound is {}", 1 << 20);
}

#[test]
fn of_a_planted_file_no_more_is_read_than_one_of_ours_can_have() {
    let rows: [(&str, usize, u64); 3] =
        // What is planted, how often, and how much of it is believed.
        [("records", 10_000, 150), ("notes", 100_000, 1), ("one that is longer than the bound", 1, 0)];
    for (name, times, expected) in rows {
        let folder = Folder::new("planted");
        let (spool, _) = open(&folder);
        let length = if expected == 0 { 2_000 } else { 0 };
        kill(&spool, vec![spool.keep(TRACES, 1, &vec![7; length])]);
        drop(spool);
        let path = folder.files().remove(0);
        let record = std::fs::read(&path).expect("the segment");
        let note = || Head::of(Kind::Settled, 0, &u64::MAX.to_le_bytes()).expect("it is short").bytes();
        let planted = match name {
            "notes" => [&record[..], &[&note()[..], &u64::MAX.to_le_bytes()].concat().repeat(times)].concat(),
            _ => record.repeat(times),
        };
        std::fs::write(&path, planted).expect("the segment");
        let spool = Spool::open(&folder.0, 1_000).expect("the folder is ours");
        let leftovers: Vec<_> = std::iter::from_fn(|| spool.find_more()).flatten().collect();
        assert_eq!(leftovers.iter().map(|left| left.count).sum::<u64>(), expected, "{name}");
    }
}

/// Records of this length fill a spool of [`FULL`] bytes with some sixteen of them.
const LONG: [u8; 4_000] = [7; 4_000];
const FULL: u64 = 64 << 10;

#[test]
fn what_somebody_has_taken_away_is_written_anew() {
    let folder = Folder::new("vanished");
    let (spool, _) = open(&folder);
    let first = spool.keep(TRACES, 1, b"one");
    std::fs::remove_dir_all(&folder.0).expect("it is ours");
    spool.look_after();
    let second = spool.keep(TRACES, 1, b"two");
    assert!(first.is_some() && second.is_some());
    kill(&spool, vec![first, second]);
    let (next, leftovers) = open(&folder);
    let found: u64 = leftovers.iter().map(|left| left.count).sum();
    assert_eq!(found, 2, "{leftovers:?}");
    let (content, _) = next.take(leftovers[0].place);
    assert_eq!(content.map(|content| content.bytes.to_vec()), Some(b"onetwo".to_vec()));
}

#[test]
fn a_file_that_somebody_else_has_put_there_is_left_alone() {
    let folder = Folder::new("replaced");
    let (spool, _) = open(&folder);
    let kept = spool.keep(TRACES, 1, b"one");
    let path = folder.files().remove(0);
    std::fs::remove_file(&path).expect("it is ours");
    std::fs::write(&path, b"theirs").expect("the folder is ours");
    spool.look_after();
    assert_eq!(std::fs::read(&path).expect("still there"), b"theirs");
    assert!(kept.is_some());
}

#[test]
fn what_is_settled_takes_no_room() {
    let folder = Folder::new("dead");
    let spool = Spool::open(&folder.0, FULL).expect("a temporary folder can be written");
    // Those that live for long, and a hundred that do not: none is refused.
    let lasting = [b"before", b"after!"].map(|text| {
        let invocation = spool.keep(Kind::Invocation, 1, b"begins");
        (spool.keep(TRACES, 1, text), invocation)
    });
    let mut last = None;
    for number in 0..100 {
        let kept = spool.keep(TRACES, 1, &LONG);
        assert!(kept.is_some(), "record {number}");
        last = kept;
    }
    assert_eq!(spool.unrecorded(), 0);
    let on_disk: u64 =
        folder.files().iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum();
    assert!(on_disk <= FULL, "{on_disk} bytes");
    kill(&spool, lasting.into_iter().flat_map(|(one, other)| [one, other]).chain([last]).collect());
    let (next, leftovers) = open(&folder);
    let contents: Vec<_> = leftovers.iter().filter_map(|left| next.look(left.place)).collect();
    let texts: Vec<&[u8]> = contents.iter().map(|content| &content.bytes[..6]).collect();
    // In their order: it tells what came before an invocation. What is of one kind and side by side is one group.
    assert_eq!(texts, [&b"begins"[..], b"before", b"begins", b"after!"]);
    assert_eq!(contents[3].bytes.len(), b"after!".len() + LONG.len());
}

#[test]
fn what_cannot_be_recorded_is_counted() {
    let folder = Folder::new("full");
    let spool = Spool::open(&folder.0, FULL).expect("a temporary folder can be written");
    let kept: Vec<_> = (0..100).filter_map(|_| spool.keep(TRACES, 1, &LONG)).collect();
    assert!((10..100).contains(&kept.len()), "{} records", kept.len());
    assert_eq!(spool.unrecorded(), 100 - kept.len() as u64);
    drop(kept);
    assert!(spool.keep(TRACES, 1, &LONG).is_some(), "there is room again");
}

/// Which of five items of each record a process finds that follows after a kill.
fn found(folder: &Folder) -> Vec<(u64, Vec<u32>)> {
    let (next, leftovers) = open(folder);
    let read = |left: &Leftover| {
        let Content { left_out, .. } = next.look(left.place).expect("it is whole");
        (left.count, (0..5).filter(|item| !left_out.holds(*item)).collect())
    };
    leftovers.iter().map(read).collect()
}

#[test]
fn what_is_left_out_of_a_record_is_not_read_back() {
    use wire::otlp::Record as _;
    let folder = Folder::new("left-out");
    let (spool, _) = open(&folder);
    let [first, second, third, fourth] =
        [1, 2, 3, 4].map(|number| spool.keep(TRACES, 5, &[number; 50]).expect("there is room"));
    first.leave_out(&[1, 3]);
    second.leave_out(&[0]);
    first.leave_out(&[4]);
    fourth.leave_out(&[2]);
    // One that is settled is not there at all.
    drop(fourth);
    kill(&spool, [first, second, third].map(Some).into());
    assert_eq!(found(&folder), [(2, vec![0, 2]), (4, vec![1, 2, 3, 4]), (5, vec![0, 1, 2, 3, 4])]);
}

/// A second process reads three records of five items as one, and leaves some of them out: those of one record, of two, and of
/// one in which the disk has changed a byte of the record before.
#[test]
fn what_is_left_out_of_records_that_are_read_together_is_not_read_back() {
    use wire::otlp::Record as _;
    let all = vec![0, 1, 2, 3, 4];
    let rows = [
        (false, &[5, 9][..], [all.clone(), vec![1, 2, 3], all.clone()]),
        (false, &[0, 4, 12, 14], [vec![1, 2, 3], all.clone(), vec![0, 1, 3]]),
        (true, &[0, 9], [all, vec![1, 2, 3, 4], vec![0, 1, 2, 3]]),
    ];
    for (row, (is_torn, items, expected)) in rows.into_iter().enumerate() {
        let folder = Folder::new(&format!("left-out-of-group-{row}"));
        let (spool, _) = open(&folder);
        kill(&spool, [1, 2, 3].map(|number| spool.keep(TRACES, 5, &[number; 50])).into());
        if is_torn {
            let path = folder.files().remove(0);
            let mut bytes = std::fs::read(&path).expect("the segment");
            bytes[30] ^= 1;
            std::fs::write(&path, bytes).expect("the segment");
        }
        let (next, leftovers) = open(&folder);
        assert_eq!(leftovers.len(), 1, "they are read together");
        let (content, keepsake) = next.take(leftovers[0].place);
        assert_eq!(content.map(|content| content.bytes.len()), Some(if is_torn { 100 } else { 150 }));
        // One after the other: a note says all that was left out by then.
        items.iter().for_each(|item| keepsake.leave_out(&[*item]));
        kill(&next, vec![Some(keepsake)]);
        let told: BTreeMap<u64, Vec<u32>> = of_each(&folder);
        assert_eq!(told.into_values().collect::<Vec<_>>(), expected, "{items:?}");
    }
}

/// Which of five items of each record of the first file are not left out, by its offset.
fn of_each(folder: &Folder) -> BTreeMap<u64, Vec<u32>> {
    let (_segment, unsettled) = Segment::reopen(&folder.0, 1, 1 << 20).expect("nobody holds it");
    let items = |offset| {
        let left_out = unsettled.left_out.get(&offset).cloned().unwrap_or_default();
        (0..5).filter(|item| !left_out.holds(*item)).collect()
    };
    unsettled.records.iter().map(|(offset, _)| (*offset, items(*offset))).collect()
}

/// The last of them is let go: nothing of the notes stays.
#[test]
fn records_that_are_read_together_are_settled_with_their_notes() {
    use wire::otlp::Record as _;
    let folder = Folder::new("left-out-of-settled-group");
    let (spool, _) = open(&folder);
    kill(&spool, [1, 2, 3].map(|number| spool.keep(TRACES, 5, &[number; 50])).into());
    let (next, leftovers) = open(&folder);
    let (_, keepsake) = next.take(leftovers[0].place);
    [&[1, 7][..], &[2, 8, 14]].iter().for_each(|items| keepsake.leave_out(items));
    let live: u64 = lock(&next.store).segments.values().map(Segment::live_bytes).sum();
    // Records of 20 + 50 bytes, and a note of 20 + 8 + 1 for each.
    assert_eq!(live, 3 * 70 + 3 * 29);
    drop(keepsake);
    assert!(folder.files().is_empty());
}

#[test]
fn what_is_left_out_stays_so_where_a_file_is_written_anew() {
    use wire::otlp::Record as _;
    let folder = Folder::new("left-out-anew");
    let spool = Spool::open(&folder.0, FULL).expect("a temporary folder can be written");
    let lasting = spool.keep(TRACES, 5, b"lasts").expect("there is room");
    lasting.leave_out(&[0, 4]);
    for number in 0..100 {
        assert!(spool.keep(TRACES, 1, &LONG).is_some(), "record {number}");
    }
    let last = spool.keep(TRACES, 5, b"last");
    kill(&spool, vec![Some(lasting), last]);
    assert_eq!(found(&folder), [(3, vec![1, 2, 3]), (5, vec![0, 1, 2, 3, 4])]);
}

#[test]
fn notes_of_what_is_left_out_keep_to_the_bound_and_take_no_room_for_long() {
    use wire::otlp::Record as _;
    let folder = Folder::new("left-out-bound");
    let spool = Spool::open(&folder.0, FULL).expect("a temporary folder can be written");
    let lasting = spool.keep(TRACES, 40_000, b"lasts").expect("there is room");
    // Each note says all, and is longer than the one before.
    (0..40_000).step_by(100).for_each(|item| lasting.leave_out(&[item]));
    let on_disk: u64 =
        folder.files().iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum();
    assert!(on_disk <= FULL, "{on_disk} bytes");
    for number in 0..100 {
        assert!(spool.keep(TRACES, 1, &LONG).is_some(), "record {number}");
    }
    assert_eq!(spool.unrecorded(), 0);
}

#[test]
fn a_changed_note_costs_only_itself() {
    use wire::otlp::Record as _;
    let folder = Folder::new("changed-note");
    let (spool, _) = open(&folder);
    let first = spool.keep(TRACES, 2, b"first").expect("there is room");
    first.leave_out(&[0]);
    let after = spool.keep(TRACES, 1, b"after");
    kill(&spool, vec![Some(first), after]);
    drop(spool);
    let path = folder.files().remove(0);
    let mut bytes = std::fs::read(&path).expect("the segment");
    // The bits of the note: behind the first record (20 + 5), its head (20) and its offset (8).
    bytes[25 + 20 + 8] ^= 2;
    std::fs::write(&path, bytes).expect("the segment");
    let (_spool, leftovers) = open(&folder);
    let found: u64 = leftovers.iter().map(|left| left.count).sum();
    assert_eq!(found, 3, "all of the first, and what was accepted behind the note: {leftovers:?}");
}

/// Notes that are longer than their records have items.
#[test]
fn planted_notes_take_little_memory() {
    let folder = Folder::new("planted-notes");
    std::fs::create_dir(&folder.0).expect("a temporary folder can be written");
    let mut bytes = Vec::new();
    // As long as is read of a file at a bound of 1 MiB.
    while bytes.len() + 70_000 < 3 << 20 {
        let at = bytes.len() as u64;
        let one = Head::of(TRACES, 1, b"x").expect("short");
        bytes.extend(one.bytes());
        bytes.extend(b"x");
        let note = [&at.to_le_bytes()[..], &[0x80; 60_000]].concat();
        bytes.extend(Head::of(Kind::LeftOut, 0, &note).expect("short").bytes());
        bytes.extend(note);
    }
    std::fs::write(folder.0.join("1.spool"), &bytes).expect("a temporary folder can be written");
    let (spool, leftovers) = open(&folder);
    let held: usize = lock(&spool.store).left_out.values().map(|left_out| left_out.bits().len()).sum();
    assert!(held <= leftovers.len() * 8, "{held} bytes are held for {} records of one item", leftovers.len());
}

#[test]
fn what_is_settled_keeps_no_note_from_the_disk() {
    use wire::otlp::Record as _;
    let folder = Folder::new("note-full");
    let spool = Spool::open(&folder.0, FULL).expect("a temporary folder can be written");
    let lasting = spool.keep(TRACES, 5, b"lasts").expect("there is room");
    // Settled records, up to the bound.
    while lock(&spool.store).bytes() + 200 < FULL {
        let left = FULL - lock(&spool.store).bytes();
        drop(spool.keep(TRACES, 1, &vec![7; (left as usize - 60).min(10_000)]).expect("there is room"));
    }
    let room = FULL - lock(&spool.store).bytes();
    if room > 28 {
        drop(spool.keep(TRACES, 1, &vec![7; (room as usize).saturating_sub(50).max(1)]));
    }
    lasting.leave_out(&[0, 4]);
    kill(&spool, vec![Some(lasting)]);
    assert_eq!(found(&folder), [(3, vec![1, 2, 3])], "of the bound, a record of 5 bytes is in use");
}
