//! What the estimates of how many values a key has take of memory, however many there are.

use std::fs;

use guard::{Guard, Limits, Redaction, Rules};

/// The memory that this process takes, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line for it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Spans of one request with one attribute each, encoded by hand: a million of them must not take a minute.
fn request(values: impl Iterator<Item = u64>) -> bytes::Bytes {
    let field = |number: u8, content: &[u8]| {
        let length = content.len();
        let mut out = vec![number << 3 | 2];
        if length < 0x80 {
            out.push(length as u8);
        } else {
            out.extend([length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8]);
        }
        out.extend_from_slice(content);
        out
    };
    let spans: Vec<u8> = values
        .flat_map(|value| {
            let any = field(1, format!("customer-{value}").as_bytes());
            let pair = [field(1, b"customer.id"), field(2, &any)].concat();
            field(2, &field(9, &pair))
        })
        .collect();
    field(1, &field(2, &spans)).into()
}

#[test]
fn a_key_with_a_million_values_takes_no_more_memory_than_one_with_ten() {
    const OF_REQUEST: u64 = 1_000;
    let guard = || {
        let attributes = Some(guard::Attributes::default());
        let rules = Rules { redaction: Redaction::default(), limits: Limits::NONE, attributes };
        Guard::new(rules).expect("there is something to do")
    };
    let run = |guard: &mut Guard, value_of: fn(u64) -> u64| {
        for index in 0..1_000 {
            let values = (index * OF_REQUEST..(index + 1) * OF_REQUEST).map(value_of);
            guard.apply(policy::Signal::Traces, request(values)).expect("a good request");
        }
        resident_kib()
    };
    // The same work with ten values comes first, so that what the allocator keeps of it is the same.
    let (mut ten, mut million) = (guard(), guard());
    let after_ten = run(&mut ten, |value| value % 10);
    let after_million = run(&mut million, |value| value);
    assert_eq!(ten.take_identifiers().len(), 0);
    let found = million.take_identifiers();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "customer.id");
    let more = after_million.saturating_sub(after_ten);
    println!("after ten values {after_ten} KiB, after a million {after_million} KiB");
    assert!(more < 512, "{more} KiB more; a million hashes alone would be 7,800 KiB");
}
