//! A record on disk: a head of 20 bytes with a checksum, and its content.

use flate2::Crc;
use policy::{LaneId, Signal};

/// Begins every record; its last byte is the version of the format.
const MAGIC: [u8; 4] = *b"PFZ2";
/// Magic, kind, destination, two bytes of zero, count, length, checksum: each of four bytes, little-endian.
pub(super) const HEAD_LEN: usize = 20;
/// Longer than any request that is taken from a function.
const CONTENT_MAX: usize = 1 << 30;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request of the function, as it came: accepted while an invocation runs.
    Accepted(Signal),
    /// A request put together from what did not fit into memory or could not be sent, and is owed to this lane.
    Parked(LaneId),
    /// The invocation that runs.
    Invocation,
    /// What the root is of the invocation that runs.
    Rooted,
    /// A span that the function has begun, in a request of its own.
    Announced,
    /// The offset of a record in the same segment that is settled.
    Settled,
    /// The offset of a record in the same segment, and which of its items are not to be read back: all of them by now.
    LeftOut,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Accepted(signal) => 1 + signal as u8,
            Self::Parked(lane) => 4 + lane.signal as u8,
            Self::Invocation => 7,
            Self::Settled => 8,
            Self::Announced => 9,
            Self::Rooted => 10,
            Self::LeftOut => 11,
        }
    }

    /// Which of the destinations of its signal it is owed to.
    const fn destination(self) -> u8 {
        match self {
            Self::Parked(lane) => lane.destination,
            _ => 0,
        }
    }

    fn of(code: u8, destination: u8) -> Option<Self> {
        let kind = match code {
            1..=3 => Self::Accepted(Signal::ALL[usize::from(code) - 1]),
            4..=6 => Self::Parked(LaneId { signal: Signal::ALL[usize::from(code) - 4], destination }),
            7 => Self::Invocation,
            8 => Self::Settled,
            9 => Self::Announced,
            10 => Self::Rooted,
            11 => Self::LeftOut,
            _ => return None,
        };
        (kind.destination() == destination).then_some(kind)
    }
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    kind: Kind,
    count: u32,
    length: u32,
    checksum: u32,
}

impl Head {
    /// The head for `content`; `None` when that is too long.
    pub(super) fn of(kind: Kind, count: u32, content: &[u8]) -> Option<Self> {
        Self::of_pieces(kind, count, |take| take(content))
    }

    /// The head for a content that comes in pieces.
    pub(super) fn of_pieces(
        kind: Kind,
        count: u32,
        pieces: impl FnOnce(&mut dyn FnMut(&[u8])),
    ) -> Option<Self> {
        let (mut crc, mut length) = (begun(kind, count), 0);
        pieces(&mut |piece| {
            crc.update(piece);
            length += piece.len();
        });
        let length = u32::try_from(length).ok().filter(|length| *length as usize <= CONTENT_MAX)?;
        Some(Self { kind, count, length, checksum: crc.sum() })
    }

    pub(super) fn bytes(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        (bytes[4], bytes[5]) = (self.kind.code(), self.kind.destination());
        bytes[8..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// Reads a head; `None` when it is none.
    pub(super) fn parse(bytes: &[u8; HEAD_LEN]) -> Option<Self> {
        let word = |at: usize| {
            let word = bytes[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(word)
        };
        let is_ours = bytes[..4] == MAGIC && bytes[6..8] == [0; 2];
        let head = Self {
            kind: Kind::of(bytes[4], bytes[5])?,
            count: word(8),
            length: word(12),
            checksum: word(16),
        };
        (is_ours && head.length as usize <= CONTENT_MAX).then_some(head)
    }

    /// Whether `content` is what was written under this head.
    pub(super) fn fits(&self, content: &[u8]) -> bool {
        content.len() == self.length as usize && checksum(self.kind, self.count, content) == self.checksum
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    pub(super) const fn content_len(&self) -> usize {
        self.length as usize
    }

    pub(super) const fn record_len(&self) -> u64 {
        HEAD_LEN as u64 + self.length as u64
    }
}

/// CRC-32 over kind, destination, count and content: finds torn writes, and is no defence against a forger.
fn checksum(kind: Kind, count: u32, content: &[u8]) -> u32 {
    let mut crc = begun(kind, count);
    crc.update(content);
    crc.sum()
}

fn begun(kind: Kind, count: u32) -> Crc {
    let mut crc = Crc::new();
    crc.update(&[kind.code(), kind.destination()]);
    crc.update(&count.to_le_bytes());
    crc
}
