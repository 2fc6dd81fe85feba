//! Putting spans of many requests into one, without decoding them.

use std::sync::Arc;

use policy::{Content, Entry, Measured, PlatformSpan, Stamp};

use super::chunk::{Body, Chunk, Group, Stretch};
use super::encode;
use super::measured::put_measured;
use super::resource::{Completion, Identity, content, put_resource, resource_len};
use super::stamp::stamped;
use crate::proto::{field_len, put_bytes, put_head};

/// `ExportTraceServiceRequest.resource_spans`, and the same field of metrics and logs.
const GROUPS: u32 = 1;
/// `ResourceSpans.scope_spans`.
const SCOPES: u32 = 2;
/// `ScopeSpans.spans`.
const SPANS: u32 = 2;

/// A piece of [`pieces`] is given away once it is longer; a request of the function that is whole may make it longer.
const PIECE: usize = 64 << 10;

/// The export request that holds `entries`, every resource completed with what `identity` knows.
///
/// Shape: spans keep their bytes, unknown fields included, but for what a stamp says; neighbours from one
/// request share its envelopes; spans and metrics made here come last, under a resource and a scope of their own.
pub fn request(entries: &[Entry<Body>], identity: &Identity) -> Vec<u8> {
    let mut out = Vec::with_capacity(room(entries));
    put_request(&mut out, entries, identity, |_| {});
    out
}

/// As much as they nearly always take, with their resources.
fn room(entries: &[Entry<Body>]) -> usize {
    let size = entries.iter().map(|entry| entry.size as usize).sum::<usize>();
    size + size / 8 + 1_024
}

/// The same in pieces, one after the other: what packs or writes them needs no room for all at once.
pub fn pieces(entries: &[Entry<Body>], identity: &Identity, mut take: impl FnMut(&[u8])) {
    let mut out = Vec::with_capacity(room(entries).min(2 * PIECE));
    put_request(&mut out, entries, identity, |out| {
        if out.len() > PIECE {
            take(out);
            out.clear();
        }
    });
    take(&out);
}

/// Calls `between` wherever a message has ended.
fn put_request(
    out: &mut Vec<u8>,
    entries: &[Entry<Body>],
    identity: &Identity,
    mut between: impl FnMut(&mut Vec<u8>),
) {
    let mut made: Vec<(&PlatformSpan, Option<&Stamp>)> = Vec::new();
    let mut measured: Vec<&Measured> = Vec::new();
    let mut rest = entries;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        match &first.content {
            Content::Made(span) => made.push((span, first.stamp.as_deref())),
            Content::Measured(points) => measured.push(points),
            Content::Received(Body { chunk, span: None }) => put_whole(out, chunk, identity),
            Content::Received(Body { chunk, span: Some(index) }) => {
                let run = neighbours(chunk, kept(*index, first), others);
                rest = &others[run.len() - 1..];
                put_spans(out, chunk, &run, identity);
            }
        }
        between(out);
    }
    if !made.is_empty() {
        encode::put_made(out, &made, identity);
    }
    if !measured.is_empty() {
        put_measured(out, &measured, identity);
    }
}

/// A span of a request, and what is to be written into it.
struct Kept<'a> {
    span: u32,
    stamp: Option<&'a Stamp>,
}

fn kept(span: u32, entry: &Entry<Body>) -> Kept<'_> {
    Kept { span, stamp: entry.stamp.as_deref() }
}

/// The spans at the front of `others` that come from the same group of the same request, after `first`.
fn neighbours<'a>(chunk: &Arc<Chunk>, first: Kept<'a>, others: &'a [Entry<Body>]) -> Vec<Kept<'a>> {
    let group = group_of(chunk, first.span);
    let mut run = vec![first];
    run.extend(others.iter().map_while(|entry| match &entry.content {
        Content::Received(Body { chunk: other, span: Some(index) })
            if Arc::ptr_eq(chunk, other) && group_of(chunk, *index) == group =>
        {
            Some(kept(*index, entry))
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

fn put_spans(out: &mut Vec<u8>, chunk: &Chunk, spans: &[Kept<'_>], identity: &Identity) {
    let group = &chunk.places().groups[group_of(chunk, spans[0].span) as usize];
    let is_as_it_came = spans.iter().all(|kept| kept.stamp.is_none());
    if is_as_it_came && group.is_whole && spans.len() == group.spans.len() {
        put_whole_group(out, chunk, group, identity);
    } else {
        let spans: Vec<_> = spans.iter().map(|kept| Piece::of(chunk, kept)).collect();
        put_part(out, chunk, group, &spans, &identity.missing(chunk, group));
    }
}

/// The request that holds these spans of another one, in their order, as they are.
pub(super) fn part(chunk: &Arc<Chunk>, spans: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    for run in spans.chunk_by(|one, two| group_of(chunk, *one) == group_of(chunk, *two)) {
        let group = &chunk.places().groups[group_of(chunk, run[0]) as usize];
        let piece = |span: &u32| Piece::of(chunk, &Kept { span: *span, stamp: None });
        let pieces: Vec<_> = run.iter().map(piece).collect();
        put_part(&mut out, chunk, group, &pieces, &Completion::default());
    }
    out
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
fn put_part(out: &mut Vec<u8>, chunk: &Chunk, group: &Group, spans: &[Piece<'_>], missing: &Completion<'_>) {
    let scopes: Vec<_> = spans.chunk_by(|one, two| one.scope == two.scope).collect();
    let scopes_len: usize = scopes.iter().map(|run| field_len(scope_len(chunk, run))).sum();
    let length = resource_len(chunk, group, missing) + scopes_len + total(&group.rest);
    put_head(out, GROUPS, length);
    put_resource(out, chunk, group, missing);
    for run in scopes {
        put_head(out, SCOPES, scope_len(chunk, run));
        let rest = &chunk.places().scopes[run[0].scope as usize].rest;
        rest.iter().for_each(|stretch| out.extend_from_slice(chunk.slice(*stretch)));
        run.iter().for_each(|piece| piece.put(out));
    }
    group.rest.iter().for_each(|stretch| out.extend_from_slice(chunk.slice(*stretch)));
}

/// A span as it is written.
struct Piece<'a> {
    scope: u16,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    /// Its field, as it came.
    Same(&'a [u8]),
    /// The content of a field that has changed.
    Changed(Vec<u8>),
}

impl<'a> Piece<'a> {
    fn of(chunk: &'a Chunk, kept: &Kept<'_>) -> Self {
        let at = chunk.places().spans[kept.span as usize];
        let field = chunk.slice(at.field);
        let changed = |stamp| Bytes::Changed(stamped(content(field), stamp));
        Self { scope: at.scope, bytes: kept.stamp.map_or(Bytes::Same(field), changed) }
    }

    const fn len(&self) -> usize {
        match &self.bytes {
            Bytes::Same(field) => field.len(),
            Bytes::Changed(content) => field_len(content.len()),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match &self.bytes {
            Bytes::Same(field) => out.extend_from_slice(field),
            Bytes::Changed(content) => put_bytes(out, SPANS, content),
        }
    }
}

fn scope_len(chunk: &Chunk, spans: &[Piece<'_>]) -> usize {
    let rest = &chunk.places().scopes[spans[0].scope as usize].rest;
    total(rest) + spans.iter().map(Piece::len).sum::<usize>()
}

fn total(stretches: &[Stretch]) -> usize {
    stretches.iter().map(|stretch| stretch.len()).sum()
}
