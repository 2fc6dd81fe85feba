//! Who the function is: attributes that complete the resources it sends, and that our own spans carry.

use std::borrow::Cow;

use bytes::Bytes;

use super::chunk::{Body, Chunk, Group};
use super::scan::key_value;
use crate::proto::{WireError, field_len, fields, put_bytes, put_head, put_message, put_number};

/// `Resource.attributes`.
pub(super) const RESOURCE_ATTRIBUTES: u32 = 1;
/// The application's own words for itself, worth repeating on the spans made here so that they group
/// with its own. What describes its process or its SDK is not ours to claim.
const REPEATED: [&str; 2] = ["service.", "deployment."];

/// One resource attribute, encoded.
#[derive(Clone, Debug)]
struct Attribute {
    key: String,
    /// The `KeyValue` message.
    message: Vec<u8>,
}

/// What is known of the function, as resource attributes.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    attributes: Vec<Attribute>,
    /// The application's own attributes, from the last resource it sent.
    repeated: Vec<Attribute>,
    /// That resource, to see when it changes.
    seen: Bytes,
    /// What that resource lacks, as fields to append to it: it is the resource of nearly all that is sent.
    seen_lacks: Vec<u8>,
}

impl Identity {
    /// Sets a text attribute; the last word on a key counts.
    pub fn set(&mut self, key: &str, value: &str) {
        self.put(key, |out| put_bytes(out, 1, value.as_bytes()));
    }

    /// Sets a whole-number attribute.
    pub fn set_int(&mut self, key: &str, value: u64) {
        self.put(key, |out| put_number(out, 3, value));
    }

    fn put(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        let mut message = Vec::new();
        put_bytes(&mut message, 1, key.as_bytes());
        put_message(&mut message, 2, value);
        let attribute = Attribute { key: key.into(), message };
        match self.attributes.iter_mut().find(|known| known.key == key) {
            Some(known) => *known = attribute,
            None => self.attributes.push(attribute),
        }
        if !self.seen.is_empty() {
            self.seen_lacks = self.lacked_by(&self.seen);
        }
    }

    /// Sets a text attribute that is not set yet.
    pub fn set_if_missing(&mut self, key: &str, value: &str) {
        if !self.attributes.iter().any(|known| known.key == key) {
            self.set(key, value);
        }
    }

    /// Whether [`Identity::observe`] would learn nothing new from `body`.
    pub fn knows(&self, body: &Body) -> bool {
        first_resource(body).is_none_or(|resource| resource == self.seen)
    }

    /// Learns from a received body what the application calls itself.
    pub fn observe(&mut self, body: &Body) {
        if let Some(resource) = first_resource(body) {
            self.seen = Bytes::copy_from_slice(resource);
            self.repeated = repeated(resource).unwrap_or_default();
            self.seen_lacks = self.lacked_by(resource);
        }
    }

    /// The content of the `Resource` of the spans made here.
    pub(super) fn resource(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let is_repeated = |key: &str| self.repeated.iter().any(|known| known.key == key);
        let own = self.attributes.iter().filter(|attribute| !is_repeated(&attribute.key));
        for attribute in own.chain(&self.repeated) {
            put_bytes(&mut out, RESOURCE_ATTRIBUTES, &attribute.message);
        }
        out
    }

    /// The attributes that a received resource lacks, as fields to append to it.
    pub(super) fn missing(&self, chunk: &Chunk, group: &Group) -> Cow<'_, [u8]> {
        // Protobuf allows the field to be split over several, which are one resource to who reads them.
        let others: Vec<&[u8]> =
            group.rest.iter().map(|rest| chunk.slice(*rest)).filter(|rest| is_resource(rest)).collect();
        match group.resource.map_or(&[][..], |resource| chunk.slice(resource)) {
            resource if !resource.is_empty() && resource == self.seen && others.is_empty() => {
                Cow::Borrowed(&self.seen_lacks)
            }
            resource => Cow::Owned(self.lacked_by_all(resource, &others)),
        }
    }

    fn lacked_by(&self, resource_field: &[u8]) -> Vec<u8> {
        self.lacked_by_all(resource_field, &[])
    }

    /// What a resource lacks that came as `first` and `others`.
    fn lacked_by_all(&self, first: &[u8], others: &[&[u8]]) -> Vec<u8> {
        let all = std::iter::once(first).chain(others.iter().copied());
        let present: Vec<&[u8]> = all.flat_map(|field| keys(content(field)).unwrap_or_default()).collect();
        let mut out = Vec::new();
        for attribute in &self.attributes {
            if !present.contains(&attribute.key.as_bytes()) {
                put_bytes(&mut out, RESOURCE_ATTRIBUTES, &attribute.message);
            }
        }
        out
    }
}

/// Whether a field of a group is its resource, or a part of it.
fn is_resource(field: &[u8]) -> bool {
    matches!(fields(field).next(), Ok(Some(field)) if field.number == 1)
}

fn first_resource(body: &Body) -> Option<&[u8]> {
    body.chunk
        .places()
        .groups
        .first()
        .and_then(|group| group.resource)
        .map(|resource| body.chunk.slice(resource))
}

/// The content of a length-delimited field that is given with its head.
pub(super) fn content(field: &[u8]) -> &[u8] {
    match fields(field).next() {
        Ok(Some(field)) => field.value.bytes(),
        _ => &[],
    }
}

fn keys(resource: &[u8]) -> Result<Vec<&[u8]>, WireError> {
    let (mut keys, mut walk) = (Vec::new(), fields(resource));
    while let Some(field) = walk.next()? {
        if field.number == RESOURCE_ATTRIBUTES {
            keys.push(key_value(field.value.bytes())?.0);
        }
    }
    Ok(keys)
}

fn repeated(resource_field: &[u8]) -> Result<Vec<Attribute>, WireError> {
    let (mut repeated, mut walk) = (Vec::new(), fields(content(resource_field)));
    while let Some(field) = walk.next()? {
        let message = field.value.bytes();
        let key = String::from_utf8_lossy(key_value(message)?.0).into_owned();
        if field.number == RESOURCE_ATTRIBUTES && REPEATED.iter().any(|prefix| key.starts_with(prefix)) {
            repeated.push(Attribute { key, message: message.to_vec() });
        }
    }
    Ok(repeated)
}

/// Writes a group's `resource` field with `appended` fields at its end.
///
/// Protobuf reads repeated fields wherever they stand, so appending needs no look at what is there.
pub(super) fn put_resource(out: &mut Vec<u8>, chunk: &Chunk, group: &Group, appended: &[u8]) {
    let old = group.resource.map_or(&[][..], |resource| content(chunk.slice(resource)));
    if group.resource.is_some() || !appended.is_empty() {
        put_head(out, 1, old.len() + appended.len());
        out.extend_from_slice(old);
        out.extend_from_slice(appended);
    }
}

/// How long what [`put_resource`] writes is.
pub(super) fn resource_len(chunk: &Chunk, group: &Group, appended: &[u8]) -> usize {
    let old = group.resource.map_or(0, |resource| content(chunk.slice(resource)).len());
    if group.resource.is_some() || !appended.is_empty() { field_len(old + appended.len()) } else { 0 }
}

/// The schema whose names [`Identity`] and the spans made here use.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
