//! A file of records: appended to by one process, which holds a lock on it, and read by its successor.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufReader, ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::left_out::LeftOut;
use super::record::{HEAD_LEN, Head, Kind};

/// Ours alone: other processes of the environment run as the same user, and links are not followed.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const SUFFIX: &str = ".spool";
/// What is read of a file at once, to find its records.
const READ_AT_ONCE: usize = 16 << 10;
/// Bytes of a note of a settled record: its offset.
const SETTLED_LEN: usize = 8;
/// So many times the bound a file of ours may be long: its records are within the bound, and so is a note for
/// each of them, which is not one and a half times as long as the shortest. What a neighbour has planted
/// behind that is not read.
const READ_BOUNDS: u64 = 3;
/// Records of a file that are not settled. A file of ours has no more: it is 4 MB long, and no request of a span takes less
/// than 64 bytes in it. What a neighbour has planted is read no further, because each is remembered.
const UNSETTLED_MAX: usize = 65_536;

/// Bytes of a note of what is left out of a record, at most: more items than any request has.
const LEFT_OUT_MAX: usize = 64 << 10;

/// What a dead process left in a file.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// Records by their offsets.
    pub(super) records: Vec<(u64, Head)>,
    /// What of the record at an offset is left out.
    pub(super) left_out: BTreeMap<u64, LeftOut>,
}

/// Makes the folder; one that is there must be a folder and no link.
pub(super) fn make_folder(folder: &Path) -> std::io::Result<()> {
    match DirBuilder::new().recursive(false).mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let is_folder = std::fs::symlink_metadata(folder)?.is_dir();
            if is_folder { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) }
        }
        made => made,
    }
}

/// The numbers of the segments in `folder`, oldest first, at most `max`.
pub(super) fn names(folder: &Path, max: usize) -> Vec<u64> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_suffix(SUFFIX)?.parse().ok();
    let mut names: Vec<u64> = entries.filter_map(number).collect();
    names.sort_unstable();
    names.truncate(max);
    names
}

/// See the module.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    length: u64,
    /// Records in it that are not settled, and their bytes, with those of what is noted of them.
    live: usize,
    live_bytes: u64,
}

impl Segment {
    /// A new, empty segment, locked.
    pub(super) fn create(folder: &Path, name: u64) -> std::io::Result<Self> {
        let path = folder.join(format!("{name}{SUFFIX}"));
        let file = options().create_new(true).mode(FILE_MODE).open(&path)?;
        file.try_lock()?;
        Ok(Self { path, file, length: 0, live: 0, live_bytes: 0 })
    }

    /// A segment that a dead process left behind, and what in it is not settled: offsets and heads.
    ///
    /// Shape: `None` when a living process holds it, or when it is no file. Reading stops at the first thing that is
    /// not a record of ours, none of which is longer than `bound`: the end of what was written before the kill.
    pub(super) fn reopen(folder: &Path, name: u64, bound: u64) -> Option<(Self, Unsettled)> {
        let path = folder.join(format!("{name}{SUFFIX}"));
        let file = options().open(&path).ok()?;
        file.try_lock().ok()?;
        let metadata = file.metadata().ok().filter(|metadata| metadata.is_file())?;
        let mut segment = Self { path, file, length: metadata.len(), live: 0, live_bytes: 0 };
        let unsettled = segment.unsettled(bound);
        segment.live = unsettled.records.len();
        let records = unsettled.records.iter().map(|(_, head)| head.record_len());
        segment.live_bytes = records.chain(unsettled.left_out.values().map(Self::note_len)).sum();
        Some((segment, unsettled))
    }

    /// Reads the file once, from its beginning: a note of a settled record costs a look-up, and not a pass over all
    /// records before it, of which a planted file of 4 MB has 100,000.
    fn unsettled(&self, bound: u64) -> Unsettled {
        let end = self.length.min(bound.saturating_mul(READ_BOUNDS));
        let mut file = BufReader::with_capacity(READ_AT_ONCE, &self.file);
        let mut records: BTreeMap<u64, Head> = BTreeMap::new();
        let mut left_out = BTreeMap::new();
        let mut offset = 0;
        if file.rewind().is_err() {
            return Unsettled::default();
        }
        while records.len() < UNSETTLED_MAX
            && let Some(head) = head_of(&mut file)
            && head.record_len() <= bound
            && offset + head.record_len() <= end
        {
            if head.kind() == Kind::Settled {
                let mut content = [0; SETTLED_LEN];
                if head.content_len() != SETTLED_LEN || file.read_exact(&mut content).is_err() {
                    break;
                }
                if head.fits(&content) {
                    let settled = u64::from_le_bytes(content);
                    records.remove(&settled);
                    left_out.remove(&settled);
                }
            } else if head.kind() == Kind::LeftOut {
                let Some(note) = read_note(&mut file, &head) else { break };
                let of = note.as_ref().and_then(|(of, _)| records.get(of));
                // One that was changed, or says more than there is, costs only itself.
                if let (Some((of, bits)), Some(of_head)) = (note, of)
                    && bits.len() <= bits_max(of_head)
                {
                    left_out.insert(of, LeftOut::of_bits(bits));
                }
            } else {
                records.insert(offset, head);
                if file.seek_relative(head.content_len() as i64).is_err() {
                    break;
                }
            }
            offset += head.record_len();
        }
        Unsettled { records: records.into_iter().collect(), left_out }
    }

    /// The content of the record at `offset`; `None` when it is not what was written.
    pub(super) fn read(&mut self, offset: u64, head: &Head) -> Option<Bytes> {
        let mut content = vec![0; head.content_len()];
        self.file.seek(SeekFrom::Start(offset + HEAD_LEN as u64)).ok()?;
        self.file.read_exact(&mut content).ok()?;
        head.fits(&content).then(|| content.into())
    }

    /// Appends a record and returns its offset. A write that fails half-way leaves nothing behind.
    pub(super) fn append(&mut self, head: &Head, content: &[u8]) -> std::io::Result<u64> {
        let offset = self.write(head, content)?;
        self.note_live(head);
        Ok(offset)
    }

    /// The same of a content in pieces, each written as it comes. Should we be killed in between, the record is torn, and
    /// not believed.
    pub(super) fn append_pieces(
        &mut self,
        head: &Head,
        pieces: impl FnOnce(&mut dyn FnMut(&[u8])),
    ) -> std::io::Result<u64> {
        let offset = self.length;
        let mut written = self.file.write_all(&head.bytes());
        pieces(&mut |piece| {
            if written.is_ok() {
                written = self.file.write_all(piece);
            }
        });
        self.ended(written, head)?;
        self.note_live(head);
        Ok(offset)
    }

    const fn note_live(&mut self, head: &Head) {
        self.live += 1;
        self.live_bytes += head.record_len();
    }

    /// With one call for both: nothing is copied to stand in one piece.
    fn write(&mut self, head: &Head, content: &[u8]) -> std::io::Result<u64> {
        let (offset, head_bytes) = (self.length, head.bytes());
        let mut left = &mut [IoSlice::new(&head_bytes), IoSlice::new(content)][..];
        let mut written = Ok(());
        while !left.is_empty() && written.is_ok() {
            match self.file.write_vectored(left) {
                Ok(0) => written = Err(ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut left, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => written = Err(error),
            }
        }
        self.ended(written, head)?;
        Ok(offset)
    }

    fn ended(&mut self, written: std::io::Result<()>, head: &Head) -> std::io::Result<()> {
        match written {
            Ok(()) => self.length += head.record_len(),
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }

    /// The record at `offset` is settled. Unless it was the last, a note of it is written: should this process
    /// be killed, the next one need not send it again.
    pub(super) fn settle(&mut self, offset: u64, head: &Head) {
        self.forget(head);
        if self.live > 0 {
            // Without the note it is sent twice, at worst.
            let _ = self.note_settled(offset);
        }
    }

    /// A record is settled.
    fn forget(&mut self, head: &Head) {
        debug_assert!(self.live > 0 && self.live_bytes >= head.record_len(), "each record is settled once");
        self.live = self.live.saturating_sub(1);
        self.live_bytes = self.live_bytes.saturating_sub(head.record_len());
    }

    /// Writes a new file of these records alone, which are all that live in it, in their order, and gives each its new offset.
    /// Should we be killed in between, the old one is still there.
    pub(super) fn rewrite(&mut self, live: &mut [&mut (u64, Head)]) -> std::io::Result<()> {
        let path = self.path.with_extension("new");
        let _ = std::fs::remove_file(&path);
        let mut file = options().create_new(true).mode(FILE_MODE).open(&path)?;
        file.try_lock()?;
        for (offset, head) in live.iter() {
            self.file.seek(SeekFrom::Start(*offset))?;
            std::io::copy(&mut Read::by_ref(&mut self.file).take(head.record_len()), &mut file)?;
        }
        let length = file.metadata()?.len();
        let expected: u64 = live.iter().map(|(_, head)| head.record_len()).sum();
        if length != expected {
            drop(std::fs::remove_file(&path));
            return Err(ErrorKind::UnexpectedEof.into());
        }
        std::fs::rename(&path, &self.path)?;
        let mut at = 0;
        for (offset, head) in live.iter_mut() {
            *offset = at;
            at += head.record_len();
        }
        (self.file, self.length, self.live, self.live_bytes) = (file, length, live.len(), length);
        Ok(())
    }

    /// Somebody has taken the file away, or put another in its place: what is in ours is written anew. False, and nothing
    /// done, where it is still there.
    pub(super) fn restore(&mut self) -> std::io::Result<bool> {
        let is_same = |there: std::fs::Metadata| {
            self.file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        };
        if std::fs::symlink_metadata(&self.path).is_ok_and(is_same) {
            return Ok(false);
        }
        let mut file = options().create_new(true).mode(FILE_MODE).open(&self.path)?;
        file.try_lock()?;
        self.file.rewind()?;
        std::io::copy(&mut Read::by_ref(&mut self.file).take(self.length), &mut file)?;
        self.file = file;
        Ok(true)
    }

    /// Whether nothing in it is unsettled.
    pub(super) const fn is_settled(&self) -> bool {
        self.live == 0
    }

    fn note_settled(&mut self, offset: u64) -> std::io::Result<()> {
        let content = offset.to_le_bytes();
        let head = Head::of(Kind::Settled, 0, &content).expect("eight bytes are not too long");
        self.write(&head, &content).map(|_| ())
    }

    /// Bytes of the note of `left_out`.
    pub(super) fn note_len(left_out: &LeftOut) -> u64 {
        (HEAD_LEN + SETTLED_LEN + left_out.bits().len()) as u64
    }

    /// Notes that `all` of the record at `offset` is left out, of which `before` was on record.
    pub(super) fn note_left_out(
        &mut self,
        offset: u64,
        before: Option<&LeftOut>,
        all: &LeftOut,
    ) -> std::io::Result<()> {
        let content = [&offset.to_le_bytes(), all.bits()].concat();
        let head = Head::of(Kind::LeftOut, 0, &content).ok_or(ErrorKind::InvalidInput)?;
        self.write(&head, &content)?;
        before.into_iter().for_each(|before| self.forget_left_out(before));
        self.live_bytes += head.record_len();
        Ok(())
    }

    /// The note of `left_out` says nothing any more.
    pub(super) fn forget_left_out(&mut self, left_out: &LeftOut) {
        self.live_bytes = self.live_bytes.saturating_sub(Self::note_len(left_out));
    }

    /// Forgets all records.
    pub(super) fn empty(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        (self.length, self.live_bytes) = (0, 0);
        Ok(())
    }

    pub(super) const fn len(&self) -> u64 {
        self.length
    }

    /// Bytes of records that are not settled.
    pub(super) const fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Takes the file away.
    pub(super) fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Bytes of the bits for the items of the record under `head`, of which none takes less than a byte.
fn bits_max(head: &Head) -> usize {
    (head.count() as usize).min(head.content_len()).div_ceil(8)
}

/// Reads a note of what is left out of a record: the offset of that, and bits. The outer `None` where the file ends before
/// it does, the inner one where it is none.
#[expect(clippy::option_option, reason = "nothing can be read behind the one, and all behind the other")]
fn read_note(file: &mut BufReader<&File>, head: &Head) -> Option<Option<(u64, Vec<u8>)>> {
    if head.content_len() > SETTLED_LEN + LEFT_OUT_MAX {
        file.seek_relative(head.content_len() as i64).ok()?;
        return Some(None);
    }
    let mut content = vec![0; head.content_len()];
    file.read_exact(&mut content).ok()?;
    let note = content.split_first_chunk().filter(|_| head.fits(&content));
    Some(note.map(|(of, bits)| (u64::from_le_bytes(*of), bits.to_vec())))
}

fn head_of(file: &mut impl Read) -> Option<Head> {
    let mut bytes = [0; HEAD_LEN];
    file.read_exact(&mut bytes).ok()?;
    Head::parse(&bytes)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    options
}
