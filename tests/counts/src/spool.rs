//! The file of a killed process, read by the next one: the product's own three files, compiled here, so that nothing else of
//! the shell has to be built for them.

#[expect(unreachable_pub, reason = "the product uses it elsewhere")]
#[cfg_attr(not(test), expect(dead_code, reason = "the product uses more of it"))]
#[path = "../../../extension/src/spool/left_out.rs"]
mod left_out;
#[expect(unreachable_pub, reason = "the product uses it elsewhere")]
#[path = "../../../extension/src/spool/record.rs"]
mod record;
#[expect(dead_code, reason = "the product uses more of it")]
#[path = "../../../extension/src/spool/segment.rs"]
mod segment;

use policy::Signal;

use record::{Head, Kind};
use segment::Segment;

/// A record of the shortest request and a note that it is settled take as many bytes.
const BYTES: usize = 64;
/// Every such record is settled, but for each of these.
const KEPT_EVERY: usize = 16;

/// What a neighbour may plant: as many records as fit, and a note for nearly each of them behind them all.
pub(crate) fn replay(length: usize) {
    let folder = std::env::temp_dir().join(format!("prefreeze-counts-{}", std::process::id()));
    segment::make_folder(&folder).expect("a temporary folder can be made");
    let mut written = Segment::create(&folder, 1).expect("it is new");
    let content = [0; 16];
    let head = Head::of(Kind::Accepted(Signal::Traces), 1, &content).expect("it is short");
    let count = length / BYTES;
    let offsets: Vec<u64> =
        (0..count).map(|_| written.append(&head, &content).expect("there is room")).collect();
    for offset in offsets.iter().enumerate().filter(|(index, _)| index % KEPT_EVERY != 0) {
        written.settle(*offset.1, &head);
    }
    drop(written);
    let (read, unsettled) = Segment::reopen(&folder, 1, u64::MAX >> 8).expect("it is there");
    assert_eq!(unsettled.records.len(), count.div_ceil(KEPT_EVERY));
    read.remove();
    std::fs::remove_dir(&folder).expect("nothing else is in it");
}
