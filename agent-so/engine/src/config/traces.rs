//! Which spans are made and when they are sent: exporter, sampler, propagators, batch processor, limits
//! (spec/config.md sections 2 to 4).

use super::env::Env;
use super::exporter::{BatchConfig, Exporter};
use super::vars;
use std::time::Duration;

/// Longest queue that is accepted: its room is taken at once, in the memory of the traced program.
pub const MAX_QUEUE_SIZE_LIMIT: usize = 65_536;
/// The queue's length unless configured.
const DEFAULT_QUEUE: usize = 2048;
/// Spans in a request unless configured.
const DEFAULT_BATCH: usize = 512;
/// The specification says 5000 ms. A server that SIGTERM kills by its default disposition runs no exit code of
/// ours: what it finished in its last delay is lost, so ours is short.
const DEFAULT_DELAY: Duration = Duration::from_millis(200);
/// Limit of one export unless configured.
const DEFAULT_EXPORT_TIMEOUT: Duration = Duration::from_secs(30);
/// Attributes of a span unless configured.
const DEFAULT_ATTRIBUTES: usize = 128;

/// A sampler that looks at the trace only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RootSampler {
    /// Every trace.
    AlwaysOn,
    /// No trace.
    AlwaysOff,
    /// This part of all traces, 0.0..=1.0.
    Ratio(f64),
}

/// `OTEL_TRACES_SAMPLER` with its argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplerConfig {
    /// Whether a parent's decision is followed; `root` then decides only where there is no parent.
    pub parent_based: bool,
    /// Who decides otherwise.
    pub root: RootSampler,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            parent_based: true,
            root: RootSampler::AlwaysOn,
        }
    }
}

/// `OTEL_PROPAGATORS`: which context headers are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagators {
    /// `traceparent` and `tracestate`.
    pub trace_context: bool,
    /// `baggage`.
    pub baggage: bool,
}

impl Default for Propagators {
    fn default() -> Self {
        Self {
            trace_context: true,
            baggage: true,
        }
    }
}

/// Limits of span attributes. Resource attributes have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeLimits {
    /// Longest string value in characters (each string of an array by itself); `None` is no limit.
    pub value_length: Option<usize>,
    /// Most attributes of one span; further ones are counted as dropped.
    pub count: usize,
}

impl Default for AttributeLimits {
    fn default() -> Self {
        Self {
            value_length: None,
            count: DEFAULT_ATTRIBUTES,
        }
    }
}

/// `OTEL_TRACES_EXPORTER`: the first item of the list that can be used.
pub(super) fn exporter(env: &Env) -> Exporter {
    let mut chosen = None;
    for item in env.list(vars::TRACES_EXPORTER).unwrap_or_default() {
        let exporter = match item.to_ascii_lowercase().as_str() {
            "otlp" => Exporter::Otlp,
            "console" => Exporter::Console,
            "none" => Exporter::None,
            _ => {
                let why = format!("no exporter \"{item}\" (there are otlp, console, none)");
                env.warn(
                    vars::TRACES_EXPORTER,
                    why,
                    "the rest of the list counts, otlp without one",
                );
                continue;
            }
        };
        match chosen {
            None => chosen = Some(exporter),
            Some(first) if first != exporter => {
                let why = format!("\"{item}\" would be a second exporter");
                env.warn(vars::TRACES_EXPORTER, why, "only the first one is used");
            }
            Some(_) => {}
        }
    }
    chosen.unwrap_or(Exporter::Otlp)
}

/// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
pub(super) fn sampler(env: &Env) -> SamplerConfig {
    const NONE: RootSampler = RootSampler::Ratio(1.0);
    let kinds = [
        ("always_on", (false, RootSampler::AlwaysOn)),
        ("always_off", (false, RootSampler::AlwaysOff)),
        ("traceidratio", (false, NONE)),
        ("parentbased_always_on", (true, RootSampler::AlwaysOn)),
        ("parentbased_always_off", (true, RootSampler::AlwaysOff)),
        ("parentbased_traceidratio", (true, NONE)),
    ];
    let chosen = env.choice(vars::SAMPLER, &kinds, "parentbased_always_on");
    let Some((parent_based, root)) = chosen else {
        return SamplerConfig::default();
    };
    // The argument means nothing to the other samplers: it is not even looked at.
    let root = if root == NONE {
        RootSampler::Ratio(ratio(env))
    } else {
        root
    };
    SamplerConfig { parent_based, root }
}

fn ratio(env: &Env) -> f64 {
    let Some(text) = env.text(vars::SAMPLER_ARG) else {
        return 1.0;
    };
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
        _ => {
            env.warn(vars::SAMPLER_ARG, "not a number from 0 to 1", "1.0 is used");
            1.0
        }
    }
}

/// `OTEL_PROPAGATORS`.
pub(super) fn propagators(env: &Env) -> Propagators {
    let Some(items) = env.list(vars::PROPAGATORS) else {
        return Propagators::default();
    };
    let mut chosen = Propagators {
        trace_context: false,
        baggage: false,
    };
    let (mut none, mut usable) = (false, false);
    for item in &items {
        match item.to_ascii_lowercase().as_str() {
            "tracecontext" => chosen.trace_context = true,
            "baggage" => chosen.baggage = true,
            "none" => none = true,
            _ => {
                let why =
                    format!("no propagator \"{item}\" (there are tracecontext, baggage, none)");
                let used = "the rest of the list counts, tracecontext,baggage without one";
                env.warn(vars::PROPAGATORS, why, used);
                continue;
            }
        }
        usable = true;
    }
    if !usable {
        return Propagators::default();
    }
    if none && (chosen.trace_context || chosen.baggage) {
        env.warn(
            vars::PROPAGATORS,
            "\"none\" beside other propagators",
            "none is used",
        );
    }
    if none {
        Propagators {
            trace_context: false,
            baggage: false,
        }
    } else {
        chosen
    }
}

/// `OTEL_BSP_*`.
pub(super) fn batch(env: &Env) -> BatchConfig {
    let mut max_queue_size = env
        .count(vars::BSP_MAX_QUEUE_SIZE, 1, "2048")
        .unwrap_or(DEFAULT_QUEUE);
    if max_queue_size > MAX_QUEUE_SIZE_LIMIT {
        let why = format!("the queue's room is taken at once, at most {MAX_QUEUE_SIZE_LIMIT}");
        env.warn(
            vars::BSP_MAX_QUEUE_SIZE,
            why,
            format!("{MAX_QUEUE_SIZE_LIMIT} is used"),
        );
        max_queue_size = MAX_QUEUE_SIZE_LIMIT;
    }
    let batch = env.count(vars::BSP_MAX_EXPORT_BATCH_SIZE, 1, "512");
    let max_export_batch_size = batch.unwrap_or(DEFAULT_BATCH).min(max_queue_size);
    if batch.is_some_and(|size| size > max_queue_size) {
        let why = format!("a batch cannot be larger than the queue of {max_queue_size}");
        env.warn(
            vars::BSP_MAX_EXPORT_BATCH_SIZE,
            why,
            format!("{max_queue_size} is used"),
        );
    }
    BatchConfig {
        schedule_delay: env
            .duration(vars::BSP_SCHEDULE_DELAY, "200")
            .unwrap_or(DEFAULT_DELAY),
        export_timeout: env
            .timeout(vars::BSP_EXPORT_TIMEOUT, "30000")
            .unwrap_or(Some(DEFAULT_EXPORT_TIMEOUT)),
        max_queue_size,
        max_export_batch_size,
    }
}

/// `OTEL_SPAN_ATTRIBUTE_*_LIMIT`, else `OTEL_ATTRIBUTE_*_LIMIT`.
pub(super) fn limits(env: &Env) -> AttributeLimits {
    AttributeLimits {
        value_length: env
            .count(
                vars::SPAN_ATTRIBUTE_VALUE_LENGTH,
                0,
                "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT or no limit",
            )
            .or_else(|| env.count(vars::ATTRIBUTE_VALUE_LENGTH, 0, "no limit")),
        count: env
            .count(
                vars::SPAN_ATTRIBUTE_COUNT,
                0,
                "OTEL_ATTRIBUTE_COUNT_LIMIT or 128",
            )
            .or_else(|| env.count(vars::ATTRIBUTE_COUNT, 0, "128"))
            .unwrap_or(DEFAULT_ATTRIBUTES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(vars: &[(&str, &str)], f: fn(&Env) -> T) -> (T, Vec<String>) {
        let env = Env::new(vars.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
        let value = f(&env);
        (
            value,
            env.into_warnings()
                .iter()
                .map(ToString::to_string)
                .collect(),
        )
    }

    #[test]
    fn exporters() {
        let rows = [
            ("", Exporter::Otlp, 0),
            ("OTLP", Exporter::Otlp, 0),
            ("console", Exporter::Console, 0),
            ("none", Exporter::None, 0),
            ("console,otlp", Exporter::Console, 1),
            ("zipkin, console", Exporter::Console, 1),
            ("jaeger", Exporter::Otlp, 1),
            ("otlp,otlp", Exporter::Otlp, 0),
        ];
        for (text, expected, warnings) in rows {
            let (value, lines) = read(&[("OTEL_TRACES_EXPORTER", text)], exporter);
            assert_eq!(
                (value, lines.len()),
                (expected, warnings),
                "{text}: {lines:?}"
            );
        }
    }

    #[test]
    fn samplers() {
        use RootSampler::{AlwaysOff, AlwaysOn, Ratio};
        let rows = [
            ("", "", true, AlwaysOn, 0),
            ("", "0.5", true, AlwaysOn, 0),
            ("always_on", "7", false, AlwaysOn, 0),
            ("Always_Off", "", false, AlwaysOff, 0),
            ("traceidratio", "", false, Ratio(1.0), 0),
            ("traceidratio", "0.25", false, Ratio(0.25), 0),
            ("traceidratio", "7", false, Ratio(1.0), 1),
            ("traceidratio", "-0.1", false, Ratio(1.0), 1),
            ("traceidratio", "NaN", false, Ratio(1.0), 1),
            ("parentbased_always_on", "", true, AlwaysOn, 0),
            ("parentbased_always_off", "", true, AlwaysOff, 0),
            ("parentbased_traceidratio", "1e-3", true, Ratio(0.001), 0),
            ("jaeger_remote", "", true, AlwaysOn, 1),
        ];
        for (kind, arg, parent_based, root, warnings) in rows {
            let vars = [
                ("OTEL_TRACES_SAMPLER", kind),
                ("OTEL_TRACES_SAMPLER_ARG", arg),
            ];
            let (value, lines) = read(&vars, sampler);
            assert_eq!(value, SamplerConfig { parent_based, root }, "{kind} {arg}");
            assert_eq!(lines.len(), warnings, "{kind} {arg}: {lines:?}");
        }
    }

    #[test]
    fn propagator_lists() {
        let rows = [
            ("", true, true, 0),
            ("tracecontext", true, false, 0),
            ("baggage, TraceContext,baggage", true, true, 0),
            ("none", false, false, 0),
            ("none,baggage", false, false, 1),
            ("b3,baggage", false, true, 1),
            ("b3", true, true, 1),
        ];
        for (text, trace_context, baggage, warnings) in rows {
            let (value, lines) = read(&[("OTEL_PROPAGATORS", text)], propagators);
            assert_eq!(
                value,
                Propagators {
                    trace_context,
                    baggage
                },
                "{text}"
            );
            assert_eq!(lines.len(), warnings, "{text}: {lines:?}");
        }
    }

    #[test]
    fn batches() {
        let (value, lines) = read(&[], batch);
        assert_eq!(value.schedule_delay, Duration::from_millis(200));
        assert_eq!(value.export_timeout, Some(Duration::from_secs(30)));
        assert_eq!(
            (value.max_queue_size, value.max_export_batch_size),
            (2048, 512)
        );
        assert!(lines.is_empty());
        let rows = [
            ("100", "", 100, 100, 0),
            ("100", "200", 100, 100, 1),
            ("", "4096", 2048, 2048, 1),
            ("0", "0", 2048, 512, 2),
            ("2147483647", "", 65_536, 512, 1),
        ];
        for (queue, size, max_queue, max_batch, warnings) in rows {
            let vars = [
                ("OTEL_BSP_MAX_QUEUE_SIZE", queue),
                ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", size),
            ];
            let (value, lines) = read(&vars, batch);
            assert_eq!(
                (value.max_queue_size, value.max_export_batch_size),
                (max_queue, max_batch)
            );
            assert_eq!(lines.len(), warnings, "{lines:?}");
        }
        let vars = [
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "0"),
        ];
        let (value, _) = read(&vars, batch);
        assert_eq!(
            (value.schedule_delay, value.export_timeout),
            (Duration::ZERO, None)
        );
    }

    #[test]
    fn attribute_limits() {
        let general = [
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "5"),
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "0"),
        ];
        let expected = AttributeLimits {
            value_length: Some(0),
            count: 5,
        };
        assert_eq!(read(&general, limits).0, expected);
        let mut own = general.to_vec();
        own.push(("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x"));
        own.push(("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9"));
        let (value, lines) = read(&own, limits);
        assert_eq!(
            value,
            AttributeLimits {
                value_length: Some(9),
                count: 5
            }
        );
        assert_eq!(lines.len(), 1);
        assert_eq!(read(&[], limits).0, AttributeLimits::default());
    }
}
