//! Putting spans of many requests into one, without decoding them.

use policy::{Content, Entry, Measured, PlatformSpan};

use super::chunk::{Body, Chunk, Group, Stretch};
use super::encode;
use super::measured::put_measured;
use super::resource::{Identity, put_resource, resource_len};
use crate::proto::{field_len, put_head};

/// `ExportTraceServiceRequest.resource_spans`, and the same field of metrics and logs.
const GROUPS: u32 = 1;
/// `ResourceSpans.scope_spans`.
const SCOPES: u32 = 2;

/// The export request that holds `entries`, every resource completed with what `identity` knows.
///
/// Shape: spans keep their bytes, unknown fields included; neighbours from one request share its
/// envelopes; spans and metrics made here come last, under a resource and a scope of their own.
pub fn request(entries: &[Entry<Body>], identity: &Identity) -> Vec<u8> {
    let capacity = entries.iter().map(|entry| entry.size as usize).sum::<usize>();
    let mut out = Vec::with_capacity(capacity + capacity / 8 + 1_024);
    let (mut made, mut measured): (Vec<&PlatformSpan>, Vec<&Measured>) = (Vec::new(), Vec::new());
    let mut rest = entries;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        match &first.content {
            Content::Made(span) => made.push(span),
            Content::Measured(points) => measured.push(points),
            Content::Received(Body { chunk, span: None }) => put_whole(&mut out, chunk, identity),
            Content::Received(Body { chunk, span: Some(index) }) => {
                let run = neighbours(chunk, *index, others);
                rest = &others[run.len() - 1..];
                put_spans(&mut out, chunk, &run, identity);
            }
        }
    }
    if !made.is_empty() {
        encode::put_made(&mut out, &made, identity);
    }
    if !measured.is_empty() {
        put_measured(&mut out, &measured, identity);
    }
    out
}

/// The spans at the front of `others` that come from the same group of the same request, after `first`.
fn neighbours(chunk: &std::sync::Arc<Chunk>, first: u32, others: &[Entry<Body>]) -> Vec<u32> {
    let group = group_of(chunk, first);
    let mut run = vec![first];
    run.extend(others.iter().map_while(|entry| match &entry.content {
        Content::Received(Body { chunk: other, span: Some(index) })
            if std::sync::Arc::ptr_eq(chunk, other) && group_of(chunk, *index) == group =>
        {
            Some(*index)
        }
        _ => None,
    }));
    run
}

fn group_of(chunk: &Chunk, span: u32) -> u32 {
    chunk.places().scopes[chunk.places().spans[span as usize].scope as usize].group
}

fn put_whole(out: &mut Vec<u8>, chunk: &Chunk, identity: &Identity) {
    for group in &chunk.places().groups {
        put_whole_group(out, chunk, group, identity);
    }
}

fn put_spans(out: &mut Vec<u8>, chunk: &Chunk, spans: &[u32], identity: &Identity) {
    let group = &chunk.places().groups[group_of(chunk, spans[0]) as usize];
    if group.is_whole && spans.len() == group.spans.len() {
        put_whole_group(out, chunk, group, identity);
    } else {
        put_part(out, chunk, group, spans, identity);
    }
}

/// A group of which everything is kept: its bytes, with the resource completed.
fn put_whole_group(out: &mut Vec<u8>, chunk: &Chunk, group: &Group, identity: &Identity) {
    let missing = identity.missing(chunk, group);
    let old_resource = group.resource.map_or(0, Stretch::len);
    let length = resource_len(chunk, group, &missing) + group.content.len() - old_resource;
    put_head(out, GROUPS, length);
    put_resource(out, chunk, group, &missing);
    let content = group.content.range();
    match group.resource.map(Stretch::range) {
        Some(resource) => {
            out.extend_from_slice(&chunk.bytes[content.start..resource.start]);
            out.extend_from_slice(&chunk.bytes[resource.end..content.end]);
        }
        None => out.extend_from_slice(&chunk.bytes[content]),
    }
}

/// A group of which some spans are kept: new envelopes around their bytes.
fn put_part(out: &mut Vec<u8>, chunk: &Chunk, group: &Group, spans: &[u32], identity: &Identity) {
    let missing = identity.missing(chunk, group);
    let scopes: Vec<_> = spans.chunk_by(|one, two| scope_of(chunk, *one) == scope_of(chunk, *two)).collect();
    let scopes_len: usize = scopes.iter().map(|run| field_len(scope_len(chunk, run))).sum();
    let length = resource_len(chunk, group, &missing) + scopes_len + total(&group.rest);
    put_head(out, GROUPS, length);
    put_resource(out, chunk, group, &missing);
    for run in scopes {
        put_head(out, SCOPES, scope_len(chunk, run));
        let rest = &chunk.places().scopes[scope_of(chunk, run[0]) as usize].rest;
        rest.iter().for_each(|stretch| out.extend_from_slice(chunk.slice(*stretch)));
        for span in run {
            out.extend_from_slice(chunk.slice(chunk.places().spans[*span as usize].field));
        }
    }
    group.rest.iter().for_each(|stretch| out.extend_from_slice(chunk.slice(*stretch)));
}

fn scope_of(chunk: &Chunk, span: u32) -> u32 {
    chunk.places().spans[span as usize].scope
}

fn scope_len(chunk: &Chunk, spans: &[u32]) -> usize {
    let rest = &chunk.places().scopes[scope_of(chunk, spans[0]) as usize].rest;
    total(rest) + spans.iter().map(|span| chunk.places().spans[*span as usize].field.len()).sum::<usize>()
}

fn total(stretches: &[Stretch]) -> usize {
    stretches.iter().map(|stretch| stretch.len()).sum()
}
