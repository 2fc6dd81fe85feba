//! What a killed process left in the spool, as inputs for the agent of the next one.

use policy::{Input, Invoke, Parked, Place, Receipt, Signal};
use wire::otlp::{self, Body};

use crate::driver::{Inbox, Message};
use crate::spool::{Kind, Leftover, Spool};

/// Tells the agent of `leftovers`: what was accepted for the invocation that the process died in comes at
/// once, up to `max` bytes of it, and the rest is read when there is room for it.
pub fn tell(spool: &Spool, leftovers: Vec<Leftover>, max: usize, inbox: &Inbox) {
    let (mut receipt, mut invoke, mut read_bytes) = (Receipt::EMPTY, None, 0);
    let mut announced = Vec::new();
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
                inbox.send(Message::Input(Input::Found(Parked { place, signal, count, size })));
            }
            Kind::Announced if read_bytes + left.size <= max => {
                read_bytes += left.size;
                announced.extend(read(spool, left.place).spans);
            }
            // More than a process remembers: never accepted, and not told of.
            Kind::Announced => drop(spool.take(left.place)),
            Kind::Invocation => invoke = read_invocation(spool, left.place),
            // Never in a list of leftovers.
            Kind::Settled => {}
        }
    }
    let is_empty = receipt.spans.is_empty() && receipt.parcels.is_empty() && announced.is_empty();
    if invoke.is_some() || !is_empty {
        inbox.send(Message::Input(Input::Recovered { invoke, receipt, announced }));
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

fn read_invocation(spool: &Spool, place: Place) -> Option<Invoke> {
    let (content, _settled_at_the_end) = spool.take(place);
    let (_, bytes) = content?;
    wire::invocation::decode(&bytes).ok()
}
