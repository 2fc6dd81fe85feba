//! The body of a request: unpacked no further than its bound, and converted where it came as JSON.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::sync::Once;

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use policy::Signal;
use serde_json::json;
use wire::otlp;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::memory::{Full, Share};
use crate::log::{self, Level};

/// What is unpacked before others may run: some 0.2 ms on a whole core, and two or three on the tenth of one that a
/// function of 128 MB has. Everything here runs on one thread, and `/next` must not wait for a long body.
const SLICE: usize = 256 << 10;

/// What of a packed body is read before others may run: what is packed may be thousands of empty parts, one behind the
/// other, out of which nothing comes. Of gzip's shortest so many take some 0.2 ms.
const PACKED_SLICE: usize = 4 << 10;

/// How much longer a body is as a rule than it was packed: protobuf five times, JSON twelve. What was reserved and not
/// used is given back.
const USUAL_RATIO: usize = 12;

/// The longest look back that a zstd body may ask for, as a power of two: what RFC 8878 wants every reader to grant.
/// A sender decides how much memory unpacking takes, and could have 128 MiB without it.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Why a request is refused, for its sender.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) fault: Fault,
    pub(super) why: Cow<'static, str>,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is in a format that is not understood.
    Unsupported,
    /// It is longer than allowed.
    TooLong,
    /// It is not what it says it is.
    Bad,
    /// Nothing is wrong with it: it has come too late.
    Over,
    /// Nothing is wrong with it: a bug has ended the tracing.
    Stopped,
}

impl Fault {
    /// Whether the request itself is at fault.
    pub(super) const fn is_senders(self) -> bool {
        !matches!(self, Self::Over | Self::Stopped)
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        static REPORTED: Once = Once::new();
        let (fault, why) = match full {
            Full::Ever => (
                Fault::TooLong,
                "the request takes more memory than one may (PREFREEZE_RECEIVER_MAX_BODY_BYTES)",
            ),
            // Not to be tried again: an SDK would do so inside the invocation.
            Full::Now => (Fault::TooLong, "other requests take the memory for what is being received"),
        };
        REPORTED.call_once(|| {
            let message = "a request was refused for want of memory; requests under way may take twice \
                           PREFREEZE_RECEIVER_MAX_BODY_BYTES together, and one of them three quarters of that. Its sender was \
                           answered; further ones are refused and not logged";
            log::say(Level::Warn, "receiver_full", message, json!({ "reason": why }));
        });
        refusal(fault, why)
    }
}

pub(super) fn refusal(fault: Fault, why: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal { fault, why: why.into() }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    /// What HTTP calls `deflate`: in the wrapping of zlib, as it should be, or without, as some senders have it.
    Deflate,
    Zstd,
}

impl Packing {
    /// What `Content-Encoding` or `grpc-encoding` says; `None` when it is not understood.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::None),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The protobuf of a request.
#[derive(Debug)]
pub(super) struct Unfolded {
    pub(super) bytes: Bytes,
    /// Spans, log records and metrics that came as JSON and have no meaning.
    pub(super) refused: u32,
}

/// A body as it was before it was packed.
pub(super) async fn unpack(
    packing: Packing,
    body: Bytes,
    max: usize,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let unpacked = unpacked(packing, body, max, share).await?;
    // What it was made of is gone.
    share.shrink_to(unpacked.len());
    Ok(unpacked)
}

/// The protobuf of a request of `signal`, of at most `max` bytes.
pub(super) fn unfold(
    signal: Signal,
    format: Format,
    body: Bytes,
    max: usize,
    share: &mut Share,
) -> Result<Unfolded, Refusal> {
    match format {
        Format::Protobuf => Ok(Unfolded { bytes: body, refused: 0 }),
        Format::Json => from_json(signal, &body, max, share),
    }
}

async fn unpacked(packing: Packing, body: Bytes, max: usize, share: &mut Share) -> Result<Bytes, Refusal> {
    let (unpacked, not_so) = match packing {
        Packing::None => return Ok(body),
        Packing::Gzip => (
            inflate(MultiGzDecoder::new(Paced::of(&body)), body.len(), max, share).await,
            "the body is not gzip, though it says so",
        ),
        Packing::Deflate if is_zlib(&body) => (
            inflate(ZlibDecoder::new(Paced::of(&body)), body.len(), max, share).await,
            "the body is not zlib, though it says deflate",
        ),
        Packing::Deflate => (
            inflate(DeflateDecoder::new(Paced::of(&body)), body.len(), max, share).await,
            "the body is not deflate, though it says so",
        ),
        Packing::Zstd => (unpack_zstd(&body, max, share).await, "the body is not zstd, though it says so"),
    };
    unpacked.map_err(|failed| explain(failed, not_so))
}

/// Whether a body begins as zlib's wrapping does: with its method, and a check of the first two bytes.
///
/// # Source
/// RFC 1950 §2.2.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 0x0f == 8
        && (u32::from(*method) << 8 | u32::from(*flags)).is_multiple_of(31))
}

/// Why a body was not unpacked.
#[derive(Clone, Copy)]
enum Failed {
    As(Fault),
    Full(Full),
}

fn explain(failed: Failed, not_so: &'static str) -> Refusal {
    match failed {
        Failed::As(fault @ Fault::TooLong) => refusal(fault, "the body is too long once unpacked"),
        Failed::As(fault) => refusal(fault, not_so),
        Failed::Full(full) => full.into(),
    }
}

fn from_json(signal: Signal, body: &[u8], max: usize, share: &mut Share) -> Result<Unfolded, Refusal> {
    let converted = otlp::convert_json(signal, body, max.min(share.room())).map_err(|error| {
        let fault = if error == otlp::JsonError::TooLong { Fault::TooLong } else { Fault::Bad };
        refusal(fault, error.to_string())
    })?;
    share.grow(converted.bytes.len())?;
    report_mended(&converted);
    Ok(Unfolded { bytes: kept(converted.bytes), refused: converted.refused })
}

/// Logs the first value that was not of the type of its field; what is refused is reported to its sender.
fn report_mended(converted: &otlp::Converted) {
    static REPORTED: Once = Once::new();
    if converted.mended > 0 {
        REPORTED.call_once(|| {
            let message = "a value in OTLP/JSON was not of the type of its field, and was mended: a number too large for \
                           intValue became a doubleValue, an attribute of another type its JSON text, an unknown name 0. \
                           Further ones are mended and not logged; the function's exporter should write OTLP/JSON";
            log::say(Level::Warn, "json_value_mended", message, json!({ "mended": converted.mended }));
        });
    }
    if converted.refused > 0 {
        static REPORTED: Once = Once::new();
        REPORTED.call_once(|| {
            let message = "a span, log record or metric in OTLP/JSON was refused, because a value in it has no meaning; \
                           the rest of its request was accepted. Further ones are refused and not logged";
            log::say(Level::Warn, "json_item_refused", message, json!({ "refused": converted.refused }));
        });
    }
}

async fn unpack_zstd(body: &[u8], max: usize, share: &mut Share) -> Result<Bytes, Failed> {
    let mut decoder = ZstdDecoder::with_buffer(Paced::of(body)).map_err(|_| Failed::As(Fault::Bad))?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| Failed::As(Fault::Bad))?;
    inflate(decoder, body.len(), max, share).await
}

/// A packed body that is read slice by slice: behind each it says once that it has nothing yet, as a socket does.
struct Paced<'a> {
    body: &'a [u8],
    /// What is left of the slice under way.
    left: usize,
}

impl<'a> Paced<'a> {
    const fn of(body: &'a [u8]) -> Self {
        Self { body, left: PACKED_SLICE }
    }
}

impl BufRead for Paced<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 && !self.body.is_empty() {
            self.left = PACKED_SLICE;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(&self.body[..self.body.len().min(self.left)])
    }

    fn consume(&mut self, amount: usize) {
        self.body = &self.body[amount..];
        self.left -= amount;
    }
}

impl Read for Paced<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut slice = self.fill_buf()?;
        let read = slice.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

/// Unpacks at most `max` bytes of what was `packed` bytes long: a bomb is noticed at the bound.
async fn inflate(
    mut packed_body: impl Read,
    packed: usize,
    max: usize,
    share: &mut Share,
) -> Result<Bytes, Failed> {
    let mut unpacked = Vec::with_capacity(packed.saturating_mul(USUAL_RATIO).min(max));
    loop {
        let before = unpacked.len();
        // One byte beyond the bound tells a body that ends there from one that goes on.
        let room = (max + 1 - before).min(SLICE);
        let read = packed_body.by_ref().take(room as u64).read_to_end(&mut unpacked);
        if unpacked.len() > max {
            return Err(Failed::As(Fault::TooLong));
        }
        share.grow(unpacked.len() - before).map_err(Failed::Full)?;
        match read {
            Ok(read) if read < room => return Ok(kept(unpacked)),
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A slice of what is packed has been read.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
            Err(_) => return Err(Failed::As(Fault::Bad)),
        }
    }
}

/// Kept for as long as a backend is down: what was reserved and not used is given back.
fn kept(mut bytes: Vec<u8>) -> Bytes {
    bytes.shrink_to_fit();
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(content).expect("memory");
        packer.finish().expect("memory")
    }

    async fn gunzip(packed: Vec<u8>, max: usize) -> Result<Bytes, Fault> {
        let unpacked = unpack(Packing::Gzip, packed.into(), max, &mut Share::new(64 << 20)).await;
        unpacked.map_err(|refusal| refusal.fault)
    }

    #[tokio::test]
    async fn unpacking_stops_at_the_bound() {
        let packed = gzip(&vec![0; 1_000_000]);
        assert_eq!(gunzip(packed.clone(), 1_000_000).await.map(|body| body.len()), Ok(1_000_000));
        assert_eq!(gunzip(packed, 999_999).await, Err(Fault::TooLong));
        assert_eq!(gunzip(b"plain".to_vec(), 10).await, Err(Fault::Bad));
    }

    #[tokio::test]
    async fn slices_of_every_length_are_put_together() {
        for length in [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let unpacked = gunzip(gzip(&content), 3 * SLICE).await;
            assert_eq!(unpacked.as_deref(), Ok(&content[..]), "{length}");
        }
    }

    #[tokio::test]
    async fn members_of_gzip_follow_each_other() {
        let packed = [gzip(b"one"), gzip(b"two")].concat();
        assert_eq!(gunzip(packed, 10).await.as_deref(), Ok(&b"onetwo"[..]));
    }

    #[tokio::test]
    async fn zstd_is_unpacked_to_the_bound_and_with_a_bounded_window() {
        let unzstd = async |packed: Vec<u8>, max| {
            let unpacked = unpack(Packing::Zstd, packed.into(), max, &mut Share::new(64 << 20)).await;
            unpacked.map_err(|refusal| refusal.fault)
        };
        let zstd = |content: &[u8]| zstd::encode_all(content, 1).expect("memory");
        let packed = zstd(&vec![0; 1_000_000]);
        assert_eq!(unzstd(packed.clone(), 1_000_000).await.map(|body| body.len()), Ok(1_000_000));
        assert_eq!(unzstd(packed.clone(), 999_999).await, Err(Fault::TooLong));
        assert_eq!(unzstd(packed[..packed.len() - 1].to_vec(), 1_000_000).await, Err(Fault::Bad));
        assert_eq!(unzstd(b"plain".to_vec(), 10).await, Err(Fault::Bad));
        let frames = [zstd(b"one"), zstd(b"two")].concat();
        assert_eq!(unzstd(frames, 10).await.as_deref(), Ok(&b"onetwo"[..]));
        let mut wide = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
        wide.window_log(24).expect("a valid size");
        wide.write_all(b"short").expect("memory");
        assert_eq!(unzstd(wide.finish().expect("memory"), 10).await, Err(Fault::Bad));
    }

    #[tokio::test]
    async fn whatever_is_done_to_a_packed_body_it_is_refused_or_stays_within_the_bound() {
        const MAX: usize = 2_000;
        let content: Vec<u8> = (0..1_500_u32).map(|at| (at * at % 251) as u8).collect();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&content).expect("memory");
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(&content).expect("memory");
        let samples = [
            (Packing::Gzip, gzip(&content)),
            (Packing::Deflate, zlib.finish().expect("memory")),
            (Packing::Deflate, raw.finish().expect("memory")),
            (Packing::Zstd, zstd::encode_all(&content[..], 1).expect("memory")),
        ];
        let (mut read, mut refused) = (0, 0);
        for seed in 0..3_000 {
            let mut rng = policy::Rng::new(seed);
            let (packing, sample) = &samples[rng.below(samples.len() as u64) as usize];
            let mut body = sample.clone();
            for _ in 0..rng.below(4) {
                let at = rng.below(body.len() as u64) as usize;
                match rng.below(3) {
                    0 => body[at] ^= 1 << rng.below(8),
                    1 => body.truncate(at + 1),
                    _ => body.splice(at..at, sample.clone()).for_each(drop),
                }
            }
            match unpack(*packing, body.into(), MAX, &mut Share::new(1 << 20)).await {
                Ok(body) => {
                    assert!(body.len() <= MAX, "seed {seed}: {} bytes", body.len());
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(read > 100 && refused > 100, "{read} read and {refused} refused prove little");
    }

    #[tokio::test]
    async fn others_run_while_a_long_body_is_unpacked() {
        let zeroes = vec![0; 8 * SLICE];
        let empty = gzip(b"");
        let members = empty.repeat(8 * PACKED_SLICE / empty.len() + 1);
        let frames = zstd::encode_all(&b""[..], 1).expect("memory");
        let frames = frames.repeat(8 * PACKED_SLICE / frames.len() + 1);
        let rows = [
            (Packing::Gzip, gzip(&zeroes), zeroes.len()),
            (Packing::Gzip, members, 0),
            (Packing::Zstd, frames, 0),
        ];
        for (packing, packed, expected) in rows {
            let unpacking = tokio::spawn(async move {
                unpack(packing, packed.into(), 8 * SLICE, &mut Share::new(64 << 20)).await
            });
            let mut turns = 0;
            while !unpacking.is_finished() {
                turns += 1;
                tokio::task::yield_now().await;
            }
            assert!(turns >= 8, "{packing:?}: {turns} turns beside eight slices");
            let unpacked = unpacking.await.expect("it has not panicked");
            assert_eq!(unpacked.map(|body| body.len()).map_err(|refusal| refusal.fault), Ok(expected));
        }
    }

    #[tokio::test]
    async fn what_is_packed_in_many_slices_is_put_together() {
        // Nothing in it repeats: it is as long packed as it is.
        let mut rng = policy::Rng::new(7);
        let content: Vec<u8> = (0..5 * PACKED_SLICE).map(|_| rng.below(256) as u8).collect();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&content).expect("memory");
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(&content).expect("memory");
        let rows = [
            (Packing::Gzip, gzip(&content)),
            (Packing::Deflate, zlib.finish().expect("memory")),
            (Packing::Deflate, raw.finish().expect("memory")),
            (Packing::Zstd, zstd::encode_all(&content[..], 1).expect("memory")),
        ];
        for (packing, packed) in rows {
            let unpacked = unpack(packing, packed.into(), 1 << 20, &mut Share::new(64 << 20)).await;
            assert_eq!(unpacked.expect("it is whole"), content, "{packing:?}");
        }
    }
}
