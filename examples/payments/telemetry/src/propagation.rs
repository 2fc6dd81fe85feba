//! Trace context in and out: W3C headers, and the X-Ray header that SQS carries beside a message.

use std::collections::HashMap;

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId, global,
    trace::{SpanContext, TraceContextExt as _, TraceState},
};

/// The context that a caller sent, or an empty one. Header names are lower case, as API Gateway has them.
#[must_use]
pub fn context_from(headers: &HashMap<String, String>) -> Context {
    global::get_text_map_propagator(|w3c| w3c.extract_with_context(&Context::new(), headers))
}

/// The headers that make a peer's spans children of `cx`; none of them is empty.
#[must_use]
pub fn headers(cx: &Context) -> HashMap<String, String> {
    let mut headers = HashMap::new();
    global::get_text_map_propagator(|w3c| w3c.inject_context(cx, &mut headers));
    headers.retain(|_, value| !value.is_empty());
    headers
}

/// The span that a message comes from: its W3C headers if it has any, else its X-Ray header.
#[must_use]
pub fn linked_context(headers: &HashMap<String, String>, xray: Option<&str>) -> Option<SpanContext> {
    let w3c = context_from(headers).span().span_context().clone();
    if w3c.is_valid() { Some(w3c) } else { xray.and_then(parse_xray) }
}

/// The value of `AWSTraceHeader`, or of `X-Amzn-Trace-Id`, that stands for this span.
#[must_use]
pub fn xray_header(span: &SpanContext) -> String {
    let trace_id = span.trace_id().to_string();
    let (epoch, unique) = trace_id.split_at(8);
    format!("Root=1-{epoch}-{unique};Parent={};Sampled={}", span.span_id(), u8::from(span.is_sampled()))
}

/// A header without `Parent` (a load balancer's) names a trace but no span, and links to nothing.
fn parse_xray(header: &str) -> Option<SpanContext> {
    let field =
        |name: &str| header.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
    let (epoch, unique) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
    let parent = field("Parent")?;
    if (epoch.len(), unique.len(), parent.len()) != (8, 24, 16) {
        return None;
    }
    let trace_id = TraceId::from_hex(&format!("{epoch}{unique}")).ok()?;
    let span_id = SpanId::from_hex(parent).ok()?;
    let flags = if field("Sampled") == Some("1") { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    Some(SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)).filter(SpanContext::is_valid)
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::propagation::TraceContextPropagator;

    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const XRAY: &str = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1";

    fn carrier(traceparent: &str) -> HashMap<String, String> {
        global::set_text_map_propagator(TraceContextPropagator::new());
        HashMap::from([("traceparent".to_owned(), traceparent.to_owned())])
    }

    #[test]
    fn w3c_goes_in_and_comes_out() {
        let cx = context_from(&carrier(TRACEPARENT));
        assert_eq!(headers(&cx), carrier(TRACEPARENT));
    }

    #[test]
    fn no_context_makes_no_headers() {
        let cx = context_from(&carrier("not a traceparent"));
        assert!(!cx.span().span_context().is_valid());
        assert!(headers(&cx).is_empty());
    }

    #[test]
    fn the_xray_form_says_the_same() {
        let span = context_from(&carrier(TRACEPARENT)).span().span_context().clone();
        assert_eq!(xray_header(&span), XRAY);
        assert_eq!(parse_xray(XRAY), Some(span));
    }

    #[test]
    fn xray_fields_come_in_any_order() {
        let header =
            "Self=1-0-0; Sampled=0; Parent=b7ad6b7169203331; Root=1-0af76519-16cd43dd8448eb211c80319c";
        let span = parse_xray(header).expect("it has a root and a parent");
        assert_eq!(span.span_id().to_string(), "b7ad6b7169203331");
        assert!(!span.is_sampled());
    }

    #[test]
    fn what_names_no_span_is_refused() {
        for header in [
            "",
            "Root=1-0af76519-16cd43dd8448eb211c80319c;Sampled=1",
            "Root=2-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331",
            "Root=1-0af76519-16cd43dd;Parent=b7ad6b7169203331",
            "Root=1-0af76519-16cd43dd8448eb211c80319x;Parent=b7ad6b7169203331",
            "Root=1-00000000-000000000000000000000000;Parent=b7ad6b7169203331",
            "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=0000000000000000",
        ] {
            assert_eq!(parse_xray(header), None, "{header}");
        }
    }

    #[test]
    fn a_message_is_linked_by_w3c_first_then_by_xray() {
        let other = XRAY.replace("b7ad", "cccc");
        let span_id = |headers: &HashMap<String, String>, xray| {
            linked_context(headers, xray).map(|span| span.span_id().to_string())
        };
        assert_eq!(span_id(&carrier(TRACEPARENT), Some(&other)).as_deref(), Some("b7ad6b7169203331"));
        assert_eq!(span_id(&HashMap::new(), Some(&other)).as_deref(), Some("cccc6b7169203331"));
        assert_eq!(span_id(&HashMap::new(), None), None);
    }
}
