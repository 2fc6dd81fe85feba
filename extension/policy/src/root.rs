//! Rebuilding the span of an invocation that the function did not describe itself.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::{Config, XrayParent};
use crate::family::{Place, UNDESCRIBED_KIND};
use crate::id::{self, Role};
use crate::invocations::{Finish, Open};
use crate::platform::{EndStatus, Ending};
use crate::span::{Kind, Link, PlatformSpan, SpanId, TraceId, Value};
use crate::stand_ins::Key;
use crate::time::UnixNanos;

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

/// The span of an invocation that sent no SERVER or CONSUMER span of its own. What `has_come` knows is not missing,
/// whichever invocation it came in.
pub(crate) fn rebuild(
    config: &Config,
    open: &Open,
    finish: Option<&Finish>,
    is_cold: bool,
    has_come: impl Fn(SpanId) -> bool,
) -> Rebuilt {
    let ending = finish.map_or(Ending::SUCCESS, |finish| finish.ending.clone());
    let start = started_at(open);
    let end = ended_at(open, finish, start);
    let has_died = finish.is_some_and(|finish| finish.has_died);
    let standing = stand(config, open, has_died, has_come);
    let root = PlatformSpan {
        trace_id: standing.place.trace_id,
        span_id: standing.place.span_id,
        parent: standing.place.parent,
        name: config.function_name.to_string(),
        kind: UNDESCRIBED_KIND,
        start,
        end,
        error_type: ending.error_class(),
        attributes: attributes(config, open, finish, is_cold, standing.source),
        links: links(config, open, &standing.place),
    };
    let placeholders =
        standing.unfinished.into_iter().map(|span_id| placeholder(&root, span_id, open)).collect();
    Rebuilt { root, placeholders, is_adopted: standing.source == ADOPTED }
}

fn stand(config: &Config, open: &Open, has_died: bool, has_come: impl Fn(SpanId) -> bool) -> Standing {
    match open.family.trace() {
        Some(trace_id) if has_died => stand_for_the_dead(config, open, trace_id, has_come),
        Some(trace_id) => {
            // The function runs on and described something: join its trace without making an orphan.
            let beside = || single(&open.family.missing_parents(trace_id, false));
            let parent = open.family.root(trace_id).or_else(beside);
            let span_id = id::span_id(config.seed, &open.invoke.request_id, Role::Invocation);
            Standing { place: Place { trace_id, span_id, parent }, source: "spans", unfinished: Vec::new() }
        }
        None => stand_alone(config, open),
    }
}

/// The function died before it could send its root: its children still name that root as their parent.
fn stand_for_the_dead(
    config: &Config,
    open: &Open,
    trace_id: TraceId,
    has_come: impl Fn(SpanId) -> bool,
) -> Standing {
    let mut missing = open.family.missing_parents(trace_id, true);
    missing.retain(|parent| !has_come(*parent));
    let derived = || id::span_id(config.seed, &open.invoke.request_id, Role::Invocation);
    let (span_id, source) = match single(&missing) {
        Some(only) => {
            missing.clear();
            (only, ADOPTED)
        }
        None => (derived(), "spans"),
    };
    let parent = if source == ADOPTED {
        None
    } else {
        let beside = || single(&open.family.missing_parents(trace_id, false)).filter(|_| missing.is_empty());
        open.family.root(trace_id).or_else(beside)
    };
    Standing { place: Place { trace_id, span_id, parent }, source, unfinished: missing }
}

fn stand_alone(config: &Config, open: &Open) -> Standing {
    let span_id = id::span_id(config.seed, &open.invoke.request_id, Role::Invocation);
    let from_xray = open.invoke.xray.as_ref().filter(|_| config.xray_parent == XrayParent::Parent);
    let (trace_id, parent, source) = match from_xray {
        Some(xray) => (xray.trace_id, xray.parent, "xray"),
        None => (id::trace_id(config.seed, &open.invoke.request_id), None, "none"),
    };
    Standing { place: Place { trace_id, span_id, parent }, source, unfinished: Vec::new() }
}

fn single(ids: &[SpanId]) -> Option<SpanId> {
    match ids {
        [only] => Some(*only),
        _ => None,
    }
}

pub(crate) fn started_at(open: &Open) -> UnixNanos {
    // `platform.start` is the platform's word; INVOKE reaches us within a millisecond of it. A span that
    // began earlier shows that the function was faster than our wake-up.
    let told = open.started_at.unwrap_or(open.invoke.received_at);
    open.family.earliest().map_or(told, |earliest| told.min(earliest))
}

pub(crate) fn ended_at(open: &Open, finish: Option<&Finish>, start: UnixNanos) -> UnixNanos {
    let timed_out = finish.is_some_and(|finish| finish.ending.status == EndStatus::Timeout);
    let told = finish.and_then(|finish| {
        let measured = open.started_at.zip(finish.duration).map(|(start, duration)| start + duration);
        measured.or(finish.at)
    });
    let end = if timed_out { Some(open.invoke.deadline_at) } else { told };
    end.or(open.family.latest()).unwrap_or(open.invoke.received_at).max(start)
}

fn attributes(
    config: &Config,
    open: &Open,
    finish: Option<&Finish>,
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
    let produced = finish.and_then(|finish| finish.produced_bytes);
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
fn links(config: &Config, open: &Open, place: &Place) -> Vec<Link> {
    let xray = open.invoke.xray.as_ref().filter(|_| config.xray_parent == XrayParent::Link);
    let segment = xray.and_then(|xray| Some(Link { trace_id: xray.trace_id, span_id: xray.parent? }));
    segment.into_iter().filter(|link| Some(link.span_id) != place.parent).collect()
}

/// Stands for a span that was still open when the function died.
fn placeholder(root: &PlatformSpan, span_id: SpanId, open: &Open) -> PlatformSpan {
    PlatformSpan {
        span_id,
        parent: Some(root.span_id),
        name: "unfinished".to_string(),
        kind: Kind::Internal,
        start: open.family.earliest().unwrap_or(root.start),
        attributes: alloc::vec![("prefreeze.synthetic", Value::Flag(true))],
        links: Vec::new(),
        ..root.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_replaced_by_the_version() {
        let plain: Arc<str> = "arn:aws:lambda:eu-west-1:123456789012:function:pay".into();
        let alias: Arc<str> = "arn:aws:lambda:eu-west-1:123456789012:function:pay:live".into();
        assert_eq!(&*resource_id(&plain, "7"), &*plain);
        assert_eq!(&*resource_id(&alias, "7"), "arn:aws:lambda:eu-west-1:123456789012:function:pay:7");
    }
}
