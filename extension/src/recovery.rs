//! What a killed process left in the spool, as inputs for the agent of the next one.

use std::collections::BTreeSet;

use policy::{Input, Invoke, Parked, Place, Receipt, Signal, Span};
use wire::otlp::{self, Body};

use crate::driver::{Inbox, Message};
use crate::spool::{Kind, Leftover, Spool};

/// Tells the agent of `leftovers`: what was accepted for the invocation that the process died in comes at
/// once, up to `max` bytes of it, and the rest is read when there is room for it. What is announced and ends in that rest
/// is told of there, and not a second time.
pub fn tell(spool: &Spool, leftovers: Vec<Leftover>, max: usize, inbox: &Inbox) {
    // Records are in the order in which they were written: that of the invocation parts what came before it began.
    let (mut earlier, mut receipt, mut begun, mut read_bytes) = (Receipt::EMPTY, Receipt::EMPTY, None, 0);
    let (mut announced, mut rest) = (Vec::new(), Vec::new());
    for left in leftovers {
        match left.kind {
            Kind::Accepted(_) if read_bytes + left.size <= max => {
                read_bytes += left.size;
                let more = read(spool, left.place);
                receipt.spans.extend(more.spans);
                receipt.parcels.extend(more.parcels);
            }
            Kind::Accepted(signal) | Kind::Parked(signal) => {
                let (place, count, size) = (left.place, u64::from(left.count), left.size);
                rest.push(place);
                inbox.send(Message::Input(Input::Found(Parked { place, signal, count, size })));
            }
            Kind::Announced if read_bytes + left.size <= max => {
                read_bytes += left.size;
                announced.extend(read(spool, left.place).spans);
            }
            // More than a process remembers: never accepted, and not told of.
            Kind::Announced => drop(spool.take(left.place)),
            Kind::Invocation => {
                begun = read_invocation(spool, left.place);
                let before = std::mem::replace(&mut receipt, Receipt::EMPTY);
                earlier.spans.extend(before.spans);
                earlier.parcels.extend(before.parcels);
            }
            // Never in a list of leftovers.
            Kind::Settled => {}
        }
    }
    for place in rest {
        forget_ended(&mut announced, spool, place);
    }
    let holds_any = |receipt: &Receipt<Body>| !receipt.spans.is_empty() || !receipt.parcels.is_empty();
    if begun.is_some() || holds_any(&earlier) || holds_any(&receipt) || !announced.is_empty() {
        let (invoke, seed) = begun.map(|(invoke, seed)| (Some(invoke), seed)).unwrap_or_default();
        inbox.send(Message::Input(Input::Recovered { invoke, seed, earlier, receipt, announced }));
    }
}

/// A record of telemetry, which is settled when the last of what it brought is let go.
pub fn read(spool: &Spool, place: Place) -> Receipt<Body> {
    let (content, keepsake) = spool.take(place);
    let Some((kind, bytes)) = content else { return Receipt::EMPTY };
    let signal = match kind {
        Kind::Accepted(signal) | Kind::Parked(signal) => signal,
        Kind::Announced => Signal::Traces,
        Kind::Invocation | Kind::Settled => return Receipt::EMPTY,
    };
    let Ok(scanned) = otlp::scan(signal, &bytes) else { return Receipt::EMPTY };
    let receipt = scanned.receipt;
    let first_span = receipt.spans.first().map(|span| &span.body);
    if let Some(first) = first_span.or(receipt.parcels.first().map(|parcel| &parcel.body)) {
        first.keep(keepsake);
    }
    receipt
}

/// Takes those of `announced` out whose own span is in the record at `place`, which stays where it is.
fn forget_ended(announced: &mut Vec<Span<Body>>, spool: &Spool, place: Place) {
    if announced.is_empty() {
        return;
    }
    let Some((Kind::Accepted(Signal::Traces) | Kind::Parked(Signal::Traces), bytes)) = spool.look(place)
    else {
        return;
    };
    let Ok(scanned) = otlp::scan(Signal::Traces, &bytes) else { return };
    let name = |span: &Span<Body>| (span.trace_id, span.span_id);
    let ended: BTreeSet<_> = scanned.receipt.spans.iter().map(name).collect();
    announced.retain(|span| !ended.contains(&name(span)));
}

fn read_invocation(spool: &Spool, place: Place) -> Option<(Invoke, u64)> {
    let (content, _settled_at_the_end) = spool.take(place);
    let (_, bytes) = content?;
    wire::invocation::decode(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// A request with one span of this id.
    fn request(id: u8) -> Bytes {
        // ResourceSpans { ScopeSpans { Span { trace_id, span_id } } }
        let span = [&[0x0a, 16][..], &[7; 16], &[0x12, 8], &[id; 8]].concat();
        let scope = [&[0x12, span.len() as u8][..], &span].concat();
        let resource = [&[0x12, scope.len() as u8][..], &scope].concat();
        [&[0x0a, resource.len() as u8][..], &resource].concat().into()
    }

    /// What the agent is told of what a killed process left: two spans announced, of which one had ended.
    fn told(name: &str, max: usize) -> (usize, Vec<u8>, usize) {
        let folder = std::env::temp_dir().join(format!("prefreeze-recovery-{name}-{}", std::process::id()));
        let (spool, _) = Spool::open(&folder, 1 << 20).expect("a temporary folder can be written");
        for (kind, id) in [(Kind::Announced, 1), (Kind::Announced, 2), (Kind::Accepted(Signal::Traces), 1)] {
            spool.write(kind, 1, &request(id)).expect("there is room");
        }
        drop(spool);
        let (spool, leftovers) = Spool::open(&folder, 1 << 20).expect("the same folder");
        let (inbox, mut received) = Inbox::new();
        tell(&spool, leftovers, max, &inbox);
        let (mut read, mut open, mut found) = (0, Vec::new(), 0);
        while let Ok(Message::Input(input)) = received.try_recv() {
            match input {
                Input::Recovered { receipt, announced, .. } => {
                    read += receipt.spans.len();
                    open.extend(announced.iter().map(|span| span.span_id.bytes()[0]));
                }
                Input::Found(parked) => found += parked.count as usize,
                other => panic!("{other:?}"),
            }
        }
        std::fs::remove_dir_all(&folder).expect("it is ours");
        (read, open, found)
    }

    #[test]
    fn what_has_ended_in_a_record_that_is_read_later_is_not_announced_any_more() {
        let size = request(1).len();
        // The agent sees for itself what has ended in what it is told of.
        assert_eq!(told("all", 1 << 20), (1, vec![1, 2], 0));
        assert_eq!(told("part", 2 * size), (0, vec![2], 1));
    }
}
