//! The forms of `X-Amzn-Trace-Id` that a function can meet.

use crate::clock::Time;
use crate::ids::Ids;

/// Which trace header an invocation carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum XRay {
    /// `Root=…;Lineage=…` with generated ids: what production sends while X-Ray is off.
    #[default]
    PassThrough,
    /// `Root=…;Parent=…;Sampled=1` with generated ids: X-Ray is on and samples.
    Active,
    /// `Root=…;Parent=…;Sampled=0` with generated ids: X-Ray is on and does not sample.
    NotSampled,
    /// `Root=…;Parent=…;Sampled=…` with the caller's ids.
    Full {
        /// `1-<8 hex>-<24 hex>`.
        root: String,
        /// 16 hex digits.
        parent: String,
        /// The `Sampled` flag.
        sampled: bool,
    },
    /// The value, word for word.
    Header(String),
    /// No header and no `tracing` in INVOKE.
    Absent,
}

impl XRay {
    /// The value of the header, or `None` when the invocation carries none.
    pub(crate) fn render(&self, ids: &mut Ids, now: Time) -> Option<String> {
        let full = |ids: &mut Ids, sampled| {
            format!("Root={};Parent={};Sampled={sampled}", ids.trace_root(now), ids.span_id())
        };
        match self {
            Self::PassThrough => Some(format!("Root={};Lineage=1:{}:0", ids.trace_root(now), ids.short())),
            Self::Active => Some(full(ids, 1)),
            Self::NotSampled => Some(full(ids, 0)),
            Self::Full { root, parent, sampled } => {
                Some(format!("Root={root};Parent={parent};Sampled={}", u8::from(*sampled)))
            }
            Self::Header(value) => Some(value.clone()),
            Self::Absent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_form_has_its_keys() {
        let now = Time::from_epoch(Duration::from_secs(0x68a0_c1d2));
        let keys = |xray: XRay| {
            let value = xray.render(&mut Ids::new(3), now)?;
            assert!(value.starts_with("Root=1-68a0c1d2-"), "{value}");
            Some(
                value
                    .split(';')
                    .map(|pair| pair.split('=').next().unwrap().to_owned())
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        assert_eq!(keys(XRay::PassThrough).as_deref(), Some("Root Lineage"));
        assert_eq!(keys(XRay::Active).as_deref(), Some("Root Parent Sampled"));
        assert_eq!(keys(XRay::NotSampled).as_deref(), Some("Root Parent Sampled"));
        assert_eq!(keys(XRay::Absent), None);
        let full = XRay::Full { root: "1-68a0c1d2-0".into(), parent: "53".into(), sampled: false };
        assert_eq!(
            full.render(&mut Ids::new(3), now).as_deref(),
            Some("Root=1-68a0c1d2-0;Parent=53;Sampled=0")
        );
    }
}
