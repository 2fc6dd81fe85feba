//! Rebuilding the span of an invocation that the function did not describe itself.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::invocation::Invocation;
use super::relatives::{Family, Place};
use crate::config::{Config, XrayParent};
use crate::id::Role;
use crate::platform::Ending;
use crate::span::{Kind, Link, PlatformSpan, SpanId, TraceId, Value};
use crate::stand_ins::Key;
use crate::time::UnixNanos;

/// The kind of the span that stands for an invocation nobody described.
const UNDESCRIBED_KIND: Kind = Kind::Server;
/// What `prefreeze.parent_source` says where the span has the id that dead children name as their parent.
const ADOPTED: &str = "adopted";

/// A rebuilt invocation: its span, and one for each unfinished span that dead children name as parent.
pub(crate) struct Rebuilt {
    pub(crate) root: PlatformSpan,
    pub(crate) placeholders: Vec<PlatformSpan>,
    /// Whether the root has the id of the function's own, which its children name.
    is_adopted: bool,
}

impl Rebuilt {
    pub(crate) const fn place(&self) -> Place {
        Place { trace_id: self.root.trace_id, span_id: self.root.span_id, parent: self.root.parent }
    }

    /// The same below the function's `own` span, which tells of no failure: an invocation has one entry span, and is counted
    /// by that. One that stands where spans of the function name their parent is an entry of its own.
    pub(crate) fn below(mut self, own: Option<Place>) -> Self {
        if let Some(own) = own.filter(|_| !self.is_adopted) {
            (self.root.kind, self.root.trace_id, self.root.parent) =
                (Kind::Internal, own.trace_id, Some(own.span_id));
        }
        self
    }

    /// Spans of it that have the ids of the function's own.
    pub(crate) fn stand_ins(&self) -> impl Iterator<Item = Key> {
        let root = self.is_adopted.then_some(&self.root);
        root.into_iter().chain(&self.placeholders).map(|span| (span.trace_id, span.span_id))
    }
}

/// Where the rebuilt span stands, how that was found out, and which parents it leaves unexplained.
struct Standing {
    place: Place,
    source: &'static str,
    unfinished: Vec<SpanId>,
}

/// The span of an invocation that sent no SERVER or CONSUMER span of its own, of which `family` was received. What
/// `has_come` knows is not missing, whichever invocation it came in.
pub(crate) fn rebuild(
    config: &Config,
    open: &Invocation,
    family: &Family,
    is_cold: bool,
    has_come: impl Fn(SpanId) -> bool,
) -> Rebuilt {
    let ending = open.finish.as_ref().map_or(Ending::SUCCESS, |finish| finish.ending.clone());
    let start = open.start(family.earliest());
    let end = open.end(start, family.latest(open.deadline_at.unwrap_or(UnixNanos(u64::MAX))));
    let standing = stand(config, open, family, has_come);
    let root = PlatformSpan {
        trace_id: standing.place.trace_id,
        span_id: standing.place.span_id,
        parent: standing.place.parent,
        name: config.function_name.to_string(),
        kind: UNDESCRIBED_KIND,
        start,
        end,
        error_type: ending.error_class(),
        attributes: attributes(config, open, is_cold, standing.source),
        links: links(config, open, &standing.place),
    };
    // What was announced may claim to have begun after the end that is known.
    let earliest = family.earliest().unwrap_or(start).min(root.end);
    let placeholders =
        standing.unfinished.into_iter().map(|span_id| placeholder(&root, span_id, earliest)).collect();
    Rebuilt { root, placeholders, is_adopted: standing.source == ADOPTED }
}

fn stand(config: &Config, open: &Invocation, family: &Family, has_come: impl Fn(SpanId) -> bool) -> Standing {
    if open.has_died() {
        // A trace of which everything has come needs no root; one whose spans name a parent that never came does.
        let orphaned = family.traces().into_iter().filter_map(|trace_id| {
            let mut missing = family.missing_parents(trace_id, true);
            missing.retain(|parent| !has_come(*parent));
            (!missing.is_empty()).then_some((trace_id, missing))
        });
        let mut orphaned: Vec<_> = orphaned.take(2).collect();
        if orphaned.len() == 1
            && let Some((trace_id, missing)) = orphaned.pop()
        {
            return stand_for_the_dead(open, trace_id, missing);
        }
    }
    match family.trace() {
        Some(trace_id) => Standing {
            // The function described something: join its trace, under the parent that all of it names. A span of the
            // function's own that has no parent is no parent of its invocation: it stays a second root.
            place: Place {
                trace_id,
                span_id: open.ids.span_id(Role::Invocation),
                parent: single(&family.missing_parents(trace_id, false)),
            },
            source: "spans",
            unfinished: Vec::new(),
        },
        None => stand_alone(config, open),
    }
}

/// The function died before it could send its root: its children still name that root as their parent.
fn stand_for_the_dead(open: &Invocation, trace_id: TraceId, missing: Vec<SpanId>) -> Standing {
    let (span_id, source, unfinished) = match single(&missing) {
        Some(only) => (only, ADOPTED, Vec::new()),
        None => (open.ids.span_id(Role::Invocation), "spans", missing),
    };
    Standing { place: Place { trace_id, span_id, parent: None }, source, unfinished }
}

fn stand_alone(config: &Config, open: &Invocation) -> Standing {
    let span_id = open.ids.span_id(Role::Invocation);
    let from_xray = open.invoke.xray.as_ref().filter(|_| config.xray_parent == XrayParent::Parent);
    let (trace_id, parent, source) = match from_xray {
        Some(xray) => (xray.trace_id, xray.parent, "xray"),
        None => (open.ids.trace_id(), None, "none"),
    };
    Standing { place: Place { trace_id, span_id, parent }, source, unfinished: Vec::new() }
}

fn single(ids: &[SpanId]) -> Option<SpanId> {
    match ids {
        [only] => Some(*only),
        _ => None,
    }
}

fn attributes(
    config: &Config,
    open: &Invocation,
    is_cold: bool,
    source: &'static str,
) -> Vec<(&'static str, Value)> {
    let text = |text: &str| Value::Text(text.into());
    let mut attributes = alloc::vec![
        ("faas.invocation_id", Value::Text(open.invoke.request_id.clone())),
        ("faas.coldstart", Value::Flag(is_cold)),
        ("prefreeze.synthetic", Value::Flag(true)),
        ("prefreeze.parent_source", text(source)),
    ];
    let arn = &open.invoke.arn;
    if !arn.is_empty() {
        attributes.push(("aws.lambda.invoked_arn", Value::Text(arn.clone())));
        attributes.push(("cloud.resource_id", Value::Text(resource_id(arn, &config.function_version))));
        attributes.extend(arn.split(':').nth(4).map(|account| ("cloud.account.id", text(account))));
    }
    if let Some(xray) = open.invoke.xray.as_ref().filter(|_| config.xray_parent != XrayParent::Ignore) {
        attributes.push(("aws.xray.trace_id", Value::Text(xray.root.clone())));
    }
    let produced = open.finish.as_ref().and_then(|finish| finish.produced_bytes);
    attributes
        .extend(produced.map(|bytes| {
            ("aws.lambda.produced_bytes", Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX)))
        }));
    attributes
}

/// The invoked ARN with its alias replaced by the version that ran.
///
/// # Source
/// `cloud.resource_id`: <https://opentelemetry.io/docs/specs/semconv/faas/aws-lambda/>
fn resource_id(arn: &Arc<str>, version: &str) -> Arc<str> {
    match arn.match_indices(':').nth(6) {
        Some((qualifier, _)) => {
            let mut resolved = String::from(&arn[..=qualifier]);
            resolved.push_str(version);
            resolved.into()
        }
        None => arn.clone(),
    }
}

/// The X-Ray segment that called, where it is known and is not the parent already.
fn links(config: &Config, open: &Invocation, place: &Place) -> Vec<Link> {
    let xray = open.invoke.xray.as_ref().filter(|_| config.xray_parent == XrayParent::Link);
    let segment = xray.and_then(|xray| Some(Link { trace_id: xray.trace_id, span_id: xray.parent? }));
    segment.into_iter().filter(|link| Some(link.span_id) != place.parent).collect()
}

/// Stands for a span that was still open when the function died.
fn placeholder(root: &PlatformSpan, span_id: SpanId, start: UnixNanos) -> PlatformSpan {
    PlatformSpan {
        span_id,
        parent: Some(root.span_id),
        name: "unfinished".to_string(),
        kind: Kind::Internal,
        start,
        attributes: alloc::vec![("prefreeze.synthetic", Value::Flag(true))],
        links: Vec::new(),
        ..root.clone()
    }
}

#[cfg(test)]
mod tests;
