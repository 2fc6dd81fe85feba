//! The invoke endpoint: what curl and the AWS SDKs call.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use serde_json::json;

use crate::answer::PAYLOAD_LIMIT;
use crate::http_server::{Body, full, read_body};
use crate::invoke::{InvocationType, InvokeError, InvokeRequest, ResponseBody, StreamedOutcome};
use crate::service::Lambda;
use crate::xray::XRay;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Serves one request; without a service everything is 503.
pub(crate) async fn handle(lambda: Option<Lambda>, request: Request<Incoming>) -> Response<ResponseBody> {
    let (head, body) = request.into_parts();
    let path = percent_decoded(head.uri.path());
    let route: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (Some(lambda), ["2015-03-31", "functions", function, "invocations"]) = (lambda, route.as_slice())
    else {
        return error(404, "UnknownOperationException", "User", "No such operation");
    };
    if head.method != Method::POST {
        return error(405, "MethodNotAllowedException", "User", "Invoke is a POST");
    }
    let payload = match read_body(body, PAYLOAD_LIMIT).await {
        Body::Complete(bytes) => bytes,
        Body::TooLarge => return refusal(&InvokeError::TooLarge),
        Body::Broken => return error(400, "InvalidRequestContentException", "User", "The body was cut off"),
    };
    let wants_tail = text(&head.headers, "x-amz-log-type").is_some_and(|t| t.eq_ignore_ascii_case("tail"));
    let result = match invoke_request(&head, payload) {
        Ok(request) => {
            let invocation_type = request.invocation_type;
            lambda.invoke_streaming(function, request).await.map(|outcome| (invocation_type, outcome))
        }
        Err(refused) => Err(refused),
    };
    match result {
        Ok((invocation_type, outcome)) => success(invocation_type, outcome, wants_tail),
        Err(refused) => refusal(&refused),
    }
}

fn invoke_request(head: &Parts, payload: Bytes) -> Result<InvokeRequest, InvokeError> {
    let headers = &head.headers;
    if !payload.is_empty() && serde_json::from_slice::<serde::de::IgnoredAny>(&payload).is_err() {
        return Err(InvokeError::NotJson);
    }
    let invocation_type = match text(headers, "x-amz-invocation-type").as_deref() {
        Some("Event") => InvocationType::Event,
        Some("DryRun") => InvocationType::DryRun,
        _ => InvocationType::RequestResponse,
    };
    let query = head.uri.query().unwrap_or_default();
    let qualifier = query.split('&').find_map(|pair| pair.strip_prefix("Qualifier=")).map(percent_decoded);
    let client_context = text(headers, "x-amz-client-context")
        .and_then(|text| base64_decoded(&text))
        .and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(InvokeRequest {
        payload,
        invocation_type,
        xray: text(headers, "x-amzn-trace-id").map_or_else(XRay::default, XRay::Header),
        client_context,
        cognito_identity: None,
        tenant_id: text(headers, "x-amz-tenant-id"),
        qualifier,
        telemetry_faults: vec![],
        faults: crate::InvocationFaults::default(),
    })
}

fn success(
    invocation_type: InvocationType,
    outcome: StreamedOutcome,
    wants_tail: bool,
) -> Response<ResponseBody> {
    let StreamedOutcome { head, body } = outcome;
    let status = match invocation_type {
        InvocationType::RequestResponse => 200,
        InvocationType::Event => 202,
        InvocationType::DryRun => 204,
    };
    let mut response = Response::builder()
        .status(status)
        .header("Content-Type", "application/json")
        .header("x-amzn-RequestId", head.request_id)
        .header("X-Amz-Executed-Version", head.executed_version);
    if let Some(function_error) = head.function_error {
        response = response.header("X-Amz-Function-Error", function_error);
    }
    if wants_tail {
        response = response.header("X-Amz-Log-Result", base64(head.log_tail.as_bytes()));
    }
    response.body(body).expect("ids, versions and base64 are valid header values")
}

fn refusal(refused: &InvokeError) -> Response<ResponseBody> {
    let (status, code, origin) = match refused {
        InvokeError::NotFound(_) => (404, "ResourceNotFoundException", "User"),
        InvokeError::Throttled => (429, "TooManyRequestsException", "User"),
        InvokeError::TooLarge => (413, "RequestTooLargeException", "User"),
        InvokeError::NotJson => (400, "InvalidRequestContentException", "User"),
        InvokeError::Stopped => (500, "ServiceException", "Service"),
    };
    error(status, code, origin, &refused.to_string())
}

fn error(status: u16, code: &'static str, origin: &str, message: &str) -> Response<ResponseBody> {
    let body = json!({"Type": origin, "Message": message, "message": message}).to_string();
    let response = Response::builder()
        .status(status)
        .header("Content-Type", "application/json")
        .header("x-amzn-ErrorType", code)
        .body(full(body));
    response.expect("names of exceptions are valid header values")
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `%XX` decoded; SDKs escape the colons of ARNs.
fn percent_decoded(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let decoded = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let sextet = word >> (18 - 6 * position) & 63;
            out.push(if position > chunk.len() { '=' } else { char::from(BASE64[sextet as usize]) });
        }
    }
    out
}

fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = vec![];
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let sextet = BASE64.iter().position(|b| *b == byte)?;
        word = word << 6 | u32::try_from(sextet).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(word >> bits & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_both_ways() {
        for (plain, coded) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("{\"k\":1}", "eyJrIjoxfQ==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(base64_decoded(coded), Some(plain.as_bytes().to_vec()));
        }
        assert_eq!(base64_decoded("no spaces"), None);
    }

    #[test]
    fn escaped_arns() {
        assert_eq!(percent_decoded("a%3Ab%2fc%"), "a:b/c%");
    }
}
