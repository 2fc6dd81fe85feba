//! The only file that keeps data on disk: records that outlive our own process, in the environment's `/tmp`.
//!
//! A record is written with one append to the page cache, and counts as settled when the last holder of its
//! [`Keepsake`] lets go. A segment whose records are all settled is emptied or removed, so that in the
//! ordinary case the disk holds nothing between invocations. A killed process settles nothing: the next one
//! finds its segments, told from those of living processes by a lock that died with it.

mod record;
mod segment;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use policy::Place;

use record::Head;
pub use record::Kind;
use segment::Segment;

use crate::log::{self, Level};

/// A segment that is longer is not appended to any more.
const SEGMENT_MAX: u64 = 4 << 20;
/// Segments of killed processes that are looked at; a healthy one leaves none.
const LEFTOVERS_MAX: usize = 64;

/// See the module. Clones are the same spool.
#[derive(Clone, Debug)]
pub struct Spool {
    store: Arc<Mutex<Store>>,
}

/// A record that a killed process left behind.
#[derive(Clone, Copy, Debug)]
pub struct Leftover {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// How many items it holds.
    pub count: u32,
    /// Its size in bytes.
    pub size: usize,
}

/// Keeps a record: when it is dropped, the record is settled. In a panic it is not, and the next process
/// finds it.
#[derive(Debug)]
pub struct Keepsake {
    store: Arc<Mutex<Store>>,
    place: Place,
}

impl Drop for Keepsake {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            lock(&self.store).settle(self.place);
        }
    }
}

/// Where a record is.
#[derive(Clone, Copy, Debug)]
struct Spot {
    segment: u64,
    offset: u64,
    head: Head,
}

#[derive(Debug)]
struct Store {
    folder: PathBuf,
    bound: u64,
    segments: BTreeMap<u64, Segment>,
    /// The segment that is appended to.
    current: Option<u64>,
    spots: BTreeMap<u64, Spot>,
    last_place: u64,
    /// Names new segments: higher than any found.
    last_segment: u64,
    has_failed: bool,
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // Every change keeps the store whole, so a panic elsewhere while it was locked spoils nothing.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spool {
    /// Opens the spool in `folder`, making it if need be, and finds what killed processes left there.
    ///
    /// # Errors
    /// When the folder cannot be made, or is no folder of ours (a link, say).
    pub fn open(folder: &Path, bound: u64) -> std::io::Result<(Self, Vec<Leftover>)> {
        segment::make_folder(folder)?;
        let mut store = Store {
            folder: folder.to_owned(),
            bound,
            segments: BTreeMap::new(),
            current: None,
            spots: BTreeMap::new(),
            last_place: 0,
            last_segment: 0,
            has_failed: false,
        };
        let leftovers = store.find_leftovers();
        Ok((Self { store: Arc::new(Mutex::new(store)) }, leftovers))
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

    /// Reads a record, which stays; `None` when it is not there or not whole.
    pub fn look(&self, place: Place) -> Option<(Kind, Bytes)> {
        lock(&self.store).read(place)
    }

    /// Reads a record; `None` when it is not there or not whole. Either way it is settled with the keepsake.
    pub fn take(&self, place: Place) -> (Option<(Kind, Bytes)>, Keepsake) {
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
        if self.bytes() + head.record_len() > self.bound {
            return None;
        }
        let (segment, offset) = match self.try_append(append) {
            Ok(spot) => spot,
            Err(error) => {
                self.complain(&error);
                return None;
            }
        };
        self.last_place += 1;
        self.spots.insert(self.last_place, Spot { segment, offset, head });
        Some(Place(self.last_place))
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

    fn read(&mut self, place: Place) -> Option<(Kind, Bytes)> {
        let spot = self.spots.get(&place.0)?;
        let content = self.segments.get_mut(&spot.segment)?.read(spot.offset, &spot.head)?;
        Some((spot.head.kind(), content))
    }

    fn settle(&mut self, place: Place) {
        let Some(spot) = self.spots.remove(&place.0) else { return };
        let Some(segment) = self.segments.get_mut(&spot.segment) else { return };
        segment.settle(spot.offset);
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

    fn find_leftovers(&mut self) -> Vec<Leftover> {
        let mut leftovers = Vec::new();
        for name in segment::names(&self.folder, LEFTOVERS_MAX) {
            self.last_segment = self.last_segment.max(name);
            let Some((segment, records)) = Segment::reopen(&self.folder, name, self.bound) else { continue };
            if records.is_empty() {
                segment.remove();
                continue;
            }
            self.segments.insert(name, segment);
            for (offset, head) in records {
                self.last_place += 1;
                self.spots.insert(self.last_place, Spot { segment: name, offset, head });
                let (kind, count, size) = (head.kind(), head.count(), head.content_len());
                leftovers.push(Leftover { place: Place(self.last_place), kind, count, size });
            }
        }
        leftovers
    }

    fn bytes(&self) -> u64 {
        self.segments.values().map(Segment::len).sum()
    }

    fn complain(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            let message = "the spool cannot be written; unsent data is kept in memory only";
            let fields = serde_json::json!({ "error": error.to_string() });
            log::say(Level::Warn, "spool_unusable", message, fields);
        }
    }
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
