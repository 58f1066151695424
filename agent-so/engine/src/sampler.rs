//! Which traces are recorded (spec/propagation.md section 5). Decided once, at the start of a span, without allocation.

use crate::config::traces::{RootSampler, SamplerConfig};
use crate::context::{SpanContext, TraceId};

/// One of the six samplers of `OTEL_TRACES_SAMPLER`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    config: SamplerConfig,
    /// For a ratio: ids whose last 63 bits are below this are sampled.
    threshold: u64,
}

impl Sampler {
    /// The configured sampler.
    pub fn from_config(config: SamplerConfig) -> Self {
        // As the Go and Rust SDKs do it, so that services in these languages with the same ratio agree. Truncation
        // is theirs too; 1.0 is 2^63, which no 63-bit value reaches.
        let threshold = match config.root {
            RootSampler::AlwaysOn => u64::MAX,
            RootSampler::AlwaysOff => 0,
            RootSampler::Ratio(ratio) => (ratio.clamp(0.0, 1.0) * (1u64 << 63) as f64) as u64,
        };
        Self { config, threshold }
    }

    /// Whether a span of trace `trace_id` under `parent` is recorded. An invalid parent is none.
    pub fn decide(&self, parent: Option<&SpanContext>, trace_id: TraceId) -> bool {
        match parent {
            Some(parent) if self.config.parent_based && parent.is_valid() => parent.flags.sampled(),
            _ => {
                let [.., a, b, c, d, e, f, g, h] = trace_id.0;
                u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.threshold
            }
        }
    }

    /// The description that the specification gives it.
    pub fn description(&self) -> String {
        let root = match self.config.root {
            RootSampler::AlwaysOn => "AlwaysOnSampler".to_owned(),
            RootSampler::AlwaysOff => "AlwaysOffSampler".to_owned(),
            RootSampler::Ratio(ratio) => format!("TraceIdRatioBased{{{ratio:.6}}}"),
        };
        if !self.config.parent_based {
            return root;
        }
        format!(
            "ParentBased{{root:{root},remoteParentSampled:AlwaysOnSampler,\
             remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,\
             localParentNotSampled:AlwaysOffSampler}}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ids::IdGenerator;
    use crate::context::{SpanId, TraceFlags};

    fn sampler(parent_based: bool, root: RootSampler) -> Sampler {
        Sampler::from_config(SamplerConfig { parent_based, root })
    }

    fn context(sampled: bool, remote: bool) -> SpanContext {
        SpanContext {
            trace_id: TraceId([1; 16]),
            span_id: SpanId([1; 8]),
            flags: TraceFlags::default().with_sampled(sampled),
            remote,
        }
    }

    fn id(low: u64) -> TraceId {
        let mut id = [1; 16];
        id[8..].copy_from_slice(&low.to_be_bytes());
        TraceId(id)
    }

    #[test]
    fn constants_and_parents() {
        let low = id(0);
        let high = id(u64::MAX);
        for id in [low, high] {
            for remote in [true, false] {
                let (on, off) = (context(true, remote), context(false, remote));
                // root, without parent, under a sampled one, under an unsampled one
                let rows = [
                    (sampler(false, RootSampler::AlwaysOn), true, true, true),
                    (sampler(false, RootSampler::AlwaysOff), false, false, false),
                    (sampler(false, RootSampler::Ratio(0.0)), false, false, false),
                    (sampler(false, RootSampler::Ratio(1.0)), true, true, true),
                    (sampler(true, RootSampler::AlwaysOn), true, true, false),
                    (sampler(true, RootSampler::AlwaysOff), false, true, false),
                    (sampler(true, RootSampler::Ratio(0.0)), false, true, false),
                    (sampler(true, RootSampler::Ratio(1.0)), true, true, false),
                ];
                for (sampler, none, sampled, unsampled) in rows {
                    assert_eq!(sampler.decide(None, id), none);
                    assert_eq!(sampler.decide(Some(&SpanContext::default()), id), none);
                    assert_eq!(sampler.decide(Some(&on), id), sampled);
                    assert_eq!(sampler.decide(Some(&off), id), unsampled);
                }
            }
        }
    }

    #[test]
    fn a_ratio_is_a_threshold_on_the_last_63_bits() {
        let half = sampler(false, RootSampler::Ratio(0.5));
        assert!(half.decide(None, id((1 << 63) - 1)));
        assert!(!half.decide(None, id(1 << 63)));
        let ids = IdGenerator::new();
        ids.seed([1, 2, 3, 4]);
        let (tenth, fifth) = (
            sampler(false, RootSampler::Ratio(0.1)),
            sampler(false, RootSampler::Ratio(0.2)),
        );
        let mut sampled = 0;
        for _ in 0..20_000 {
            let (id, _) = ids.trace_id();
            sampled += u32::from(tenth.decide(None, id));
            assert!(
                !tenth.decide(None, id) || fifth.decide(None, id),
                "a superset"
            );
        }
        assert!((1800..2200).contains(&sampled), "{sampled}");
    }

    #[test]
    fn descriptions() {
        assert_eq!(
            sampler(false, RootSampler::AlwaysOn).description(),
            "AlwaysOnSampler"
        );
        assert_eq!(
            sampler(false, RootSampler::AlwaysOff).description(),
            "AlwaysOffSampler"
        );
        let ratio = RootSampler::Ratio(0.0001);
        assert_eq!(
            sampler(false, ratio).description(),
            "TraceIdRatioBased{0.000100}"
        );
        let text = sampler(true, ratio).description();
        assert!(
            text.starts_with("ParentBased{root:TraceIdRatioBased{0.000100},remoteParentSampled:")
        );
    }
}
