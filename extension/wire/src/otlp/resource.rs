//! Who the function is: attributes that complete the resources it sends, and that our own spans carry.

use std::borrow::Cow;
use std::ops::Range;

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
    /// How that resource is completed: it is the resource of nearly all that is sent.
    completes_seen: Completion<'static>,
}

/// How a resource is completed.
#[derive(Clone, Debug, Default)]
pub(super) struct Completion<'a> {
    /// Fields to append.
    appended: Cow<'a, [u8]>,
    /// Where its content has a `service.name` that an SDK made up for want of one, which is left out.
    cut: Option<Range<usize>>,
}

/// What SDKs call a service that nobody named, with the name of its program behind a colon or without.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/semconv/resource/#service>
const UNNAMED: &str = "unknown_service";
const SERVICE_NAME: &str = "service.name";

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
            self.completes_seen = self.completion(&self.seen, &[]);
        }
    }

    /// Whether an attribute is set.
    pub fn has(&self, key: &str) -> bool {
        self.attributes.iter().any(|known| known.key == key)
    }

    /// The value of a text attribute.
    pub fn text(&self, key: &str) -> Option<String> {
        let known = self.attributes.iter().find(|known| known.key == key)?;
        let (_, value) = key_value(&known.message).ok()?;
        let text = fields(value).next().ok()??;
        String::from_utf8(text.value.bytes().to_vec()).ok()
    }

    /// All text attributes that are set.
    pub fn texts(&self) -> impl Iterator<Item = (&str, String)> {
        self.attributes.iter().filter_map(|known| Some((&*known.key, self.text(&known.key)?)))
    }

    /// Sets a text attribute that is not set yet.
    pub fn set_if_missing(&mut self, key: &str, value: &str) {
        if !self.has(key) {
            self.set(key, value);
        }
    }

    /// Whether [`Identity::observe`] would learn nothing new from `body`.
    pub fn knows(&self, body: &Body) -> bool {
        first_resource(body).is_none_or(|resource| resource == self.seen)
    }

    /// Whether anything was learned ever.
    pub fn is_observed(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Learns from a received body what the application calls itself.
    pub fn observe(&mut self, body: &Body) {
        if let Some(resource) = first_resource(body) {
            self.seen = Bytes::copy_from_slice(resource);
            self.repeated = repeated(resource).unwrap_or_default();
            self.completes_seen = self.completion(resource, &[]);
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

    /// How a received resource is completed.
    pub(super) fn missing(&self, chunk: &Chunk, group: &Group) -> Completion<'_> {
        // Protobuf allows the field to be split over several, which are one resource to who reads them.
        let others: Vec<&[u8]> =
            group.rest.iter().map(|rest| chunk.slice(*rest)).filter(|rest| is_resource(rest)).collect();
        match group.resource.map_or(&[][..], |resource| chunk.slice(resource)) {
            resource if !resource.is_empty() && resource == self.seen && others.is_empty() => {
                let Completion { appended, cut } = &self.completes_seen;
                Completion { appended: Cow::Borrowed(appended), cut: cut.clone() }
            }
            resource => self.completion(resource, &others),
        }
    }

    /// The same of a resource that came as `first` and `others`.
    fn completion(&self, first: &[u8], others: &[&[u8]]) -> Completion<'static> {
        let is_named = self.has(SERVICE_NAME);
        let cut = unnamed(content(first)).ok().flatten().filter(|_| is_named);
        let all = std::iter::once(first).chain(others.iter().copied());
        let present: Vec<&[u8]> = all.flat_map(|field| keys(content(field)).unwrap_or_default()).collect();
        let is_missing =
            |key: &str| !present.contains(&key.as_bytes()) || cut.is_some() && key == SERVICE_NAME;
        let mut appended = Vec::new();
        for attribute in self.attributes.iter().filter(|attribute| is_missing(&attribute.key)) {
            put_bytes(&mut appended, RESOURCE_ATTRIBUTES, &attribute.message);
        }
        Completion { appended: appended.into(), cut }
    }
}

impl Completion<'_> {
    /// The content of a resource before and behind what is cut out of it.
    fn halves<'a>(&self, content: &'a [u8]) -> [&'a [u8]; 2] {
        match &self.cut {
            Some(cut) => [&content[..cut.start], &content[cut.end..]],
            None => [content, &[]],
        }
    }
}

/// Where the content of a resource has a `service.name` that is none.
fn unnamed(resource: &[u8]) -> Result<Option<Range<usize>>, WireError> {
    let mut walk = fields(resource);
    while let Some(field) = walk.next()? {
        if field.number == RESOURCE_ATTRIBUTES {
            let (key, value) = key_value(field.value.bytes())?;
            if key == SERVICE_NAME.as_bytes() && is_unnamed(value)? {
                return Ok(Some(field.start..field.end));
            }
        }
    }
    Ok(None)
}

/// Whether an `AnyValue` is the text of an SDK that knows no name.
fn is_unnamed(value: &[u8]) -> Result<bool, WireError> {
    let mut walk = fields(value);
    while let Some(field) = walk.next()? {
        if field.number == 1 {
            let rest = field.value.bytes().strip_prefix(UNNAMED.as_bytes());
            return Ok(rest.is_some_and(|rest| matches!(rest.first(), None | Some(b':'))));
        }
    }
    Ok(false)
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
        let (key, value) = key_value(message)?;
        let key = String::from_utf8_lossy(key).into_owned();
        let is_word = REPEATED.iter().any(|prefix| key.starts_with(prefix));
        if field.number == RESOURCE_ATTRIBUTES && is_word && !(key == SERVICE_NAME && is_unnamed(value)?) {
            repeated.push(Attribute { key, message: message.to_vec() });
        }
    }
    Ok(repeated)
}

/// Writes a group's `resource` field, completed.
///
/// Protobuf reads repeated fields wherever they stand, so appending needs no look at what is there.
pub(super) fn put_resource(out: &mut Vec<u8>, chunk: &Chunk, group: &Group, completion: &Completion<'_>) {
    let old = completion.halves(group.resource.map_or(&[][..], |resource| content(chunk.slice(resource))));
    let appended = &completion.appended;
    if group.resource.is_some() || !appended.is_empty() {
        put_head(out, 1, old[0].len() + old[1].len() + appended.len());
        old.into_iter().for_each(|half| out.extend_from_slice(half));
        out.extend_from_slice(appended);
    }
}

/// How long what [`put_resource`] writes is.
pub(super) fn resource_len(chunk: &Chunk, group: &Group, completion: &Completion<'_>) -> usize {
    let old = completion.halves(group.resource.map_or(&[][..], |resource| content(chunk.slice(resource))));
    let length = old[0].len() + old[1].len() + completion.appended.len();
    if group.resource.is_some() || !completion.appended.is_empty() { field_len(length) } else { 0 }
}

/// The schema whose names [`Identity`] and the spans made here use.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
