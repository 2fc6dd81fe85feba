//! The only file that keeps data on disk: records that outlive our own process, in the environment's `/tmp`.
//!
//! A record is written with one append to the page cache, and counts as settled when the last holder of its
//! [`Keepsake`] lets go. A segment whose records are all settled is emptied or removed, so that in the
//! ordinary case the disk holds nothing between invocations. A killed process settles nothing: the next one
//! finds its segments, told from those of living processes by a lock that died with it.

mod left_out;
mod record;
mod segment;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use policy::Place;

pub use left_out::LeftOut;
use record::Head;
pub use record::Kind;
use segment::{Segment, Unsettled};

use crate::log::{self, Level};

/// A segment that is longer is not appended to any more.
const SEGMENT_MAX: u64 = 4 << 20;
/// Segments of killed processes that are looked at; a healthy one leaves none.
const LEFTOVERS_MAX: usize = 64;
/// Records of a killed process are handed over, read and settled in groups of this size: one place in memory, and one
/// read, for thousands of small records. A kill in between sends a group twice.
const GROUP_BYTES: usize = 64 << 10;

/// See the module. Clones are the same spool.
#[derive(Clone, Debug)]
pub struct Spool {
    store: Arc<Mutex<Store>>,
}

/// Records of one kind that a killed process left behind, beside one another in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Where they are.
    pub place: Place,
    /// What they are.
    pub kind: Kind,
    /// How many items they hold.
    pub count: u64,
    /// Their size in bytes.
    pub size: usize,
}

/// What a record holds, or a group of records of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What it is.
    pub kind: Kind,
    /// As it was written.
    pub bytes: Bytes,
    /// Which of its items are not to be read.
    pub left_out: LeftOut,
}

/// Keeps a record: when it is dropped, the record is settled. In a panic it is not, and the next process
/// finds it.
#[derive(Debug)]
pub struct Keepsake {
    store: Arc<Mutex<Store>>,
    place: Place,
}

impl wire::otlp::Record for Keepsake {
    fn leave_out(&self, spans: &[u32]) {
        lock(&self.store).leave_out(self.place, spans);
    }
}

impl Drop for Keepsake {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            lock(&self.store).settle(self.place);
        }
    }
}

/// A record in its segment: its offset, and its head.
type Record = (u64, Head);

/// Where a record is, or a group of a killed process's records of one kind.
#[derive(Clone, Debug)]
struct Spot {
    segment: u64,
    records: Records,
}

#[derive(Clone, Debug)]
enum Records {
    One(Record),
    Group(Box<[Record]>),
}

impl Records {
    fn as_slice(&self) -> &[Record] {
        match self {
            Self::One(record) => std::slice::from_ref(record),
            Self::Group(records) => records,
        }
    }

    /// What of `left_out`, which numbers the items of all records one after the other, is noted at each of them, by its offset.
    fn notes(&self, left_out: &LeftOut) -> impl Iterator<Item = (u64, LeftOut)> {
        let mut first = 0_u32;
        let of_each = self.as_slice().iter().map(move |(offset, head)| {
            let part = left_out.part(first, head.count());
            first = first.saturating_add(head.count());
            (*offset, part)
        });
        of_each.filter(|(_, part)| !part.is_empty())
    }
}

#[derive(Debug)]
struct Store {
    folder: PathBuf,
    bound: u64,
    segments: BTreeMap<u64, Segment>,
    /// The segment that is appended to.
    current: Option<u64>,
    spots: BTreeMap<u64, Spot>,
    /// What of the records at these places is not to be read back.
    left_out: BTreeMap<u64, LeftOut>,
    last_place: u64,
    /// Names new segments: higher than any found.
    last_segment: u64,
    /// Segments of other processes, oldest first, that were not looked into yet.
    unread: VecDeque<u64>,
    has_failed: bool,
    /// Records that could not be written.
    unrecorded: u64,
    has_vanished: bool,
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // Every change keeps the store whole, so a panic elsewhere while it was locked spoils nothing.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spool {
    /// Opens the spool in `folder`, making it if need be. What killed processes left there is read by
    /// [`Spool::find_more`]: looking at the names takes the same short time however much there is.
    ///
    /// # Errors
    /// When the folder cannot be made, or is no folder of ours (a link, say).
    pub fn open(folder: &Path, bound: u64) -> std::io::Result<Self> {
        segment::make_folder(folder)?;
        let unread: VecDeque<u64> = segment::names(folder, LEFTOVERS_MAX).into();
        let store = Store {
            folder: folder.to_owned(),
            bound,
            segments: BTreeMap::new(),
            current: None,
            spots: BTreeMap::new(),
            left_out: BTreeMap::new(),
            last_place: 0,
            last_segment: unread.back().copied().unwrap_or_default(),
            unread,
            has_failed: false,
            unrecorded: 0,
            has_vanished: false,
        };
        Ok(Self { store: Arc::new(Mutex::new(store)) })
    }

    /// Looks into the next segment of a killed process; `None` when there is none any more. Nothing may be in it.
    pub fn find_more(&self) -> Option<Vec<Leftover>> {
        lock(&self.store).find_more()
    }

    /// Whether there are segments of other processes that were not looked into.
    pub fn has_unread(&self) -> bool {
        !lock(&self.store).unread.is_empty()
    }

    /// Writes a record that is settled when the keepsake is dropped; `None` when it cannot be written.
    pub fn keep(&self, kind: Kind, count: u32, content: &[u8]) -> Option<Keepsake> {
        let place = self.write(kind, count, content)?;
        Some(Keepsake { store: self.store.clone(), place })
    }

    /// Writes a record that stays until it is taken out; `None` when it cannot be written.
    pub fn write(&self, kind: Kind, count: u32, content: &[u8]) -> Option<Place> {
        let head = Head::of(kind, count, content)?;
        lock(&self.store).append(head, |segment| segment.append(&head, content))
    }

    /// The same of a content in pieces, which is asked for twice: for its checksum, and to be written.
    pub fn write_pieces(
        &self,
        kind: Kind,
        count: u32,
        pieces: impl Fn(&mut dyn FnMut(&[u8])),
    ) -> Option<Place> {
        let head = Head::of_pieces(kind, count, &pieces)?;
        lock(&self.store).append(head, |segment| segment.append_pieces(&head, &pieces))
    }

    /// Writes anew what somebody has taken away: functions clear `/tmp` in their handlers.
    pub fn look_after(&self) {
        lock(&self.store).look_after();
    }

    /// How many records could not be written so far.
    pub fn unrecorded(&self) -> u64 {
        lock(&self.store).unrecorded
    }

    /// Reads a record, which stays; `None` when it is not there or not whole.
    pub fn look(&self, place: Place) -> Option<Content> {
        lock(&self.store).read(place)
    }

    /// Reads a record; `None` when it is not there or not whole. Either way it is settled with the keepsake.
    pub fn take(&self, place: Place) -> (Option<Content>, Keepsake) {
        let content = lock(&self.store).read(place);
        (content, Keepsake { store: self.store.clone(), place })
    }
}

impl Store {
    fn append(
        &mut self,
        head: Head,
        append: impl FnOnce(&mut Segment) -> std::io::Result<u64>,
    ) -> Option<Place> {
        if !self.has_room(head.record_len()) {
            if self.unrecorded == 0 {
                let message = "the spool is full: what is accepted now would not outlive our own process";
                log::say(Level::Warn, "spool_full", message, serde_json::json!({ "bytes": self.bound }));
            }
            self.unrecorded += 1;
            return None;
        }
        let (segment, offset) = match self.try_append(append) {
            Ok(spot) => spot,
            Err(error) => {
                self.complain(&error);
                self.unrecorded += 1;
                return None;
            }
        };
        self.last_place += 1;
        self.spots.insert(self.last_place, Spot { segment, records: Records::One((offset, head)) });
        Some(Place(self.last_place))
    }

    /// Whether a record of this length may be written. What is settled takes no room for long: where its bytes are in the
    /// way, what lives beside them moves out of its file.
    fn has_room(&mut self, length: u64) -> bool {
        let live: u64 = self.segments.values().map(Segment::live_bytes).sum();
        if live + length > self.bound {
            return false;
        }
        while self.bytes() + length > self.bound {
            if self.compact().is_none() {
                return false;
            }
        }
        true
    }

    /// Rewrites the file with the most dead bytes without them: its records keep their order, which tells what came before an
    /// invocation. `None` where that would win nothing, or cannot be done. What a killed process left stays as it is: it is
    /// read soon.
    fn compact(&mut self) -> Option<()> {
        let dead = |segment: &Segment| segment.len() - segment.live_bytes();
        let is_left = |name: u64| {
            let mut of_it = self.spots.values().filter(|spot| spot.segment == name);
            of_it.any(|spot| matches!(spot.records, Records::Group(_)))
        };
        let ours = self.segments.iter().filter(|(name, segment)| dead(segment) > 0 && !is_left(**name));
        let (name, _) = ours.max_by_key(|(_, segment)| dead(segment))?;
        let name = *name;
        let of_it = self.spots.iter_mut().filter(|(_, spot)| spot.segment == name);
        let mut live: Vec<(u64, &mut Record)> = of_it
            .filter_map(|(place, spot)| match &mut spot.records {
                Records::One(record) => Some((*place, record)),
                Records::Group(_) => None,
            })
            .collect();
        live.sort_unstable_by_key(|(_, (offset, _))| *offset);
        let segment = self.segments.get_mut(&name)?;
        segment.rewrite(&mut live.iter_mut().map(|(_, record)| &mut **record).collect::<Vec<_>>()).ok()?;
        for (place, (offset, _)) in live {
            if let Some(left_out) = self.left_out.get(&place)
                && segment.note_left_out(*offset, None, left_out).is_err()
            {
                self.left_out.remove(&place);
            }
        }
        Some(())
    }

    fn try_append(
        &mut self,
        append: impl FnOnce(&mut Segment) -> std::io::Result<u64>,
    ) -> std::io::Result<(u64, u64)> {
        let name = self.writable()?;
        let segment = self.segments.get_mut(&name).expect("writable names a segment that is open");
        Ok((name, append(segment)?))
    }

    /// The segment to append to, new where there is none or the last is long.
    fn writable(&mut self) -> std::io::Result<u64> {
        let fits = |name: &u64| self.segments.get(name).is_some_and(|segment| segment.len() < SEGMENT_MAX);
        if let Some(name) = self.current.filter(fits) {
            return Ok(name);
        }
        if let Some(full) = self.current.take() {
            self.remove_if_settled(full);
        }
        // A name may be taken by another process, or by somebody who wants it to be.
        for name in self.last_segment + 1..=self.last_segment + 100 {
            match Segment::create(&self.folder, name) {
                Ok(segment) => {
                    self.segments.insert(name, segment);
                    (self.last_segment, self.current) = (name, Some(name));
                    return Ok(name);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(std::io::ErrorKind::AlreadyExists.into())
    }

    /// What is at `place`: of a group the contents of its records, one after the other. That of requests is a request.
    fn read(&mut self, place: Place) -> Option<Content> {
        let spot = self.spots.get_mut(&place.0)?;
        let segment = self.segments.get_mut(&spot.segment)?;
        let (kind, bytes) = match &mut spot.records {
            Records::One((offset, head)) => (head.kind(), segment.read(*offset, head)?),
            Records::Group(records) => {
                let mut all = BytesMut::with_capacity(size(records));
                let (mut whole, mut torn) = (Vec::with_capacity(records.len()), Vec::new());
                for (offset, head) in records.iter() {
                    let content = segment.read(*offset, head);
                    if content.is_some() { &mut whole } else { &mut torn }.push((*offset, *head));
                    all.extend(content);
                }
                // One that is not whole costs only itself: it has no items, so those of the next one follow on the one before.
                let (_, first) = whole.first()?;
                let kind = first.kind();
                whole.append(&mut torn);
                *records = whole.into();
                (kind, all.freeze())
            }
        };
        let left_out = self.left_out.get(&place.0).cloned().unwrap_or_default();
        Some(Content { kind, bytes, left_out })
    }

    /// Notes that these items of what is at `place` are not to be read back: of a group, at each of its records that holds any of
    /// them, since the next process may group them in another way.
    fn leave_out(&mut self, place: Place, items: &[u32]) {
        let Some(spot) = self.spots.get(&place.0) else { return };
        let mut left_out = self.left_out.get(&place.0).cloned().unwrap_or_default();
        items.iter().for_each(|item| left_out.add(*item));
        let length = spot.records.notes(&left_out).map(|(_, note)| Segment::note_len(&note)).sum();
        if !self.has_room(length) {
            // They come back, and are sent.
            return;
        }
        let Some(Spot { segment, records }) = self.spots.get(&place.0) else { return };
        let Some(segment) = self.segments.get_mut(segment) else { return };
        let mut before: BTreeMap<u64, LeftOut> =
            self.left_out.get(&place.0).map(|before| records.notes(before).collect()).unwrap_or_default();
        for (offset, note) in records.notes(&left_out) {
            let before = before.remove(&offset);
            if before.as_ref() != Some(&note)
                && segment.note_left_out(offset, before.as_ref(), &note).is_err()
            {
                return;
            }
        }
        self.left_out.insert(place.0, left_out);
    }

    fn settle(&mut self, place: Place) {
        let Some(spot) = self.spots.remove(&place.0) else { return };
        let left_out = self.left_out.remove(&place.0);
        let Some(segment) = self.segments.get_mut(&spot.segment) else { return };
        let notes = left_out.iter().flat_map(|left_out| spot.records.notes(left_out));
        notes.for_each(|(_, note)| segment.forget_left_out(&note));
        spot.records.as_slice().iter().for_each(|(offset, head)| segment.settle(*offset, head));
        if !segment.is_settled() {
            return;
        }
        if self.current == Some(spot.segment) {
            // A file that cannot be emptied only grows to its bound.
            let _ = segment.empty();
        } else {
            self.remove_if_settled(spot.segment);
        }
    }

    fn remove_if_settled(&mut self, name: u64) {
        if self.segments.get(&name).is_some_and(Segment::is_settled)
            && let Some(segment) = self.segments.remove(&name)
        {
            segment.remove();
        }
    }

    fn find_more(&mut self) -> Option<Vec<Leftover>> {
        let name = self.unread.pop_front()?;
        let Some((segment, Unsettled { records, left_out })) =
            Segment::reopen(&self.folder, name, self.bound)
        else {
            return Some(Vec::new());
        };
        if records.is_empty() {
            segment.remove();
            return Some(Vec::new());
        }
        self.segments.insert(name, segment);
        let groups = groups(records, |offset| left_out.contains_key(&offset));
        Some(groups.into_iter().map(|group| self.leave(name, group, &left_out)).collect())
    }

    /// Gives a group a place.
    fn leave(&mut self, segment: u64, group: Vec<Record>, left_out: &BTreeMap<u64, LeftOut>) -> Leftover {
        self.last_place += 1;
        let place = Place(self.last_place);
        let kind = group.first().map_or(Kind::Settled, |(_, head)| head.kind());
        let left_out = group.first().and_then(|(offset, _)| left_out.get(offset)).cloned();
        let count: u64 = group.iter().map(|(_, head)| u64::from(head.count())).sum();
        let count = count.saturating_sub(left_out.as_ref().map_or(0, LeftOut::count));
        self.left_out.extend(left_out.map(|left_out| (place.0, left_out)));
        let size = size(&group);
        self.spots.insert(place.0, Spot { segment, records: Records::Group(group.into()) });
        Leftover { place, kind, count, size }
    }

    fn bytes(&self) -> u64 {
        self.segments.values().map(Segment::len).sum()
    }

    fn look_after(&mut self) {
        let has_folder = std::fs::symlink_metadata(&self.folder).is_ok();
        let restored = segment::make_folder(&self.folder).and_then(|()| {
            let mut is_any = !has_folder;
            for segment in self.segments.values_mut() {
                is_any |= segment.restore()?;
            }
            Ok(is_any)
        });
        match restored {
            Ok(false) => {}
            Ok(true) if std::mem::replace(&mut self.has_vanished, true) => {}
            Ok(true) => {
                let message = "somebody has removed files of the spool; they are written anew, now and whenever that happens";
                let fields = serde_json::json!({ "folder": self.folder.display().to_string() });
                log::say(Level::Warn, "spool_vanished", message, fields);
            }
            Err(error) => self.complain(&error),
        }
    }

    fn complain(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            let message = "the spool cannot be written; unsent data is kept in memory only";
            let fields = serde_json::json!({ "error": error.to_string() });
            log::say(Level::Warn, "spool_unusable", message, fields);
        }
    }
}

/// Bytes of all contents.
fn size(records: &[Record]) -> usize {
    records.iter().map(|(_, head)| head.content_len()).sum()
}

/// Puts records of one kind together, up to [`GROUP_BYTES`]. An invocation stands alone, and parts what came before it
/// from what came after. A record of which a part is left out, by its offset, stands alone as well.
fn groups(records: Vec<Record>, is_part: impl Fn(u64) -> bool) -> Vec<Vec<Record>> {
    let mut groups: Vec<Vec<Record>> = Vec::new();
    // Those that are still added to: one of each kind at most.
    let mut open: Vec<(Kind, usize, usize)> = Vec::new();
    for record in records {
        let (kind, length) = (record.1.kind(), record.1.content_len());
        if kind == Kind::Invocation {
            open.clear();
            groups.push(vec![record]);
            continue;
        }
        if is_part(record.0) {
            groups.push(vec![record]);
            continue;
        }
        if let Some((_, index, bytes)) = open.iter_mut().find(|(other, _, _)| *other == kind)
            && *bytes + length <= GROUP_BYTES
        {
            groups[*index].push(record);
            *bytes += length;
            continue;
        }
        open.retain(|(other, _, _)| *other != kind);
        open.push((kind, groups.len(), length));
        groups.push(vec![record]);
    }
    groups
}

impl Drop for Store {
    fn drop(&mut self) {
        let empty: Vec<_> = self.segments.keys().copied().collect();
        for name in empty {
            self.remove_if_settled(name);
        }
    }
}

#[cfg(test)]
mod tests;
