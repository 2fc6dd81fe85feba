//! The X-Ray header, `X-Amzn-Trace-Id`, in every form that Lambda hands out.

use policy::{SpanId, TraceId, XrayContext};

/// Reads the header.
///
/// Shape: `None` without a readable `Root`. The pass-through form has no `Parent`, and none is invented.
/// Keys come in any order; those not known are passed over.
///
/// # Source
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
pub fn xray(header: &str) -> Option<XrayContext> {
    let (mut root, mut parent, mut sampled) = (None, None, None);
    for (key, value) in header.split(';').filter_map(|part| part.trim().split_once('=')) {
        match key {
            "Root" => root = trace_id(value).map(|id| (id, value)),
            "Parent" => parent = hex(value).and_then(SpanId::new),
            "Sampled" => {
                sampled = match value {
                    "1" => Some(true),
                    "0" => Some(false),
                    _ => None,
                }
            }
            _ => {}
        }
    }
    let (trace_id, root) = root?;
    Some(XrayContext { trace_id, parent, root: root.into(), sampled })
}

/// `1-<8 hex>-<24 hex>`.
fn trace_id(root: &str) -> Option<TraceId> {
    let (time, unique) = root.strip_prefix("1-")?.split_once('-')?;
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&hex::<4>(time)?);
    bytes[4..].copy_from_slice(&hex::<12>(unique)?);
    TraceId::new(bytes)
}

/// Exactly `2 * N` hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

    #[test]
    fn every_form_is_read() {
        let with = |rest: &str| xray(&format!("{ROOT}{rest}"));
        let full = with(";Parent=53995c3f42cd8ad8;Sampled=1").expect("valid");
        assert_eq!(full.trace_id.bytes()[..4], [0x57, 0x59, 0xe9, 0x88]);
        assert_eq!(full.parent.map(|id| id.bytes()[0]), Some(0x53));
        assert_eq!(&*full.root, "1-5759e988-bd862e3fe1be46a994272793");
        assert_eq!(with(";Lineage=1:f3c1a2b4:0").expect("pass-through").parent, None);
        let decided = |rest| with(rest).and_then(|context| context.sampled);
        assert_eq!(decided(";Parent=53995c3f42cd8ad8;Sampled=1"), Some(true));
        assert_eq!(decided(";Sampled=0"), Some(false));
        assert_eq!((decided(";Sampled=?"), decided("")), (None, None));
        assert!(xray(&format!("Sampled=0; Parent=53995c3f42cd8ad8 ;{ROOT};x=y")).is_some());
    }

    #[test]
    fn what_is_no_header_is_nothing() {
        for header in [
            "",
            "Root=",
            "Root=1-5759e988",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Root=1-00000000-000000000000000000000000",
            "Root=1-5759e98g-bd862e3fe1be46a994272793",
            "Root=1-+759e988-bd862e3fe1be46a994272793",
            "Parent=53995c3f42cd8ad8",
        ] {
            assert_eq!(xray(header), None, "{header}");
        }
    }
}
