//! What was decided when the agent was loaded: configuration, and what the program is. Immutable afterwards; programs
//! overwrite their environment block (redis) or empty it (nginx), so it is never read again.

use crate::context::Model;
use agent_engine::config::exporter::Exporter;
use agent_engine::config::{Coexist, Config, instrumentation::Instrumentation};
use agent_engine::context::headers::{Outgoing, write_context_headers};
use agent_engine::context::{SpanContext, TraceFlags, TraceId, parse_traceparent, tracestate};
use agent_engine::exchange::{Exchange, Field, Kind, System};
use agent_engine::protocol::outgoing::{Head, Syntax};
use agent_engine::resource::program::base_name;
use agent_engine::sampler::Sampler;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Everything the hook path asks about the configuration.
pub(crate) struct Settings {
    /// The configuration as read.
    pub(crate) config: Config,
    /// `OTEL_TRACES_SAMPLER`.
    pub(crate) sampler: Sampler,
    /// Path of the executable.
    pub(crate) exe: Vec<u8>,
    /// `argv[0]`.
    pub(crate) argv0: Vec<u8>,
    /// `service.name` when none is configured.
    pub(crate) default_service_name: String,
    /// Lines about wrong values, ready to be printed once something is traced.
    warnings: String,
    wanted: [bool; 4],
    model: Model,
    apache: bool,
    one_by_one: bool,
    passes_on: Option<Room>,
}

/// How much of a buffer a program leaves for header lines that it adds itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// All: a head that fills it is handled as any other (nginx).
    All,
    /// Half, at least (haproxy: `tune.maxrewrite`).
    Half,
    /// All, for calls of gRPC and nothing else (a bridge finds the request by what its handler is told: [`pass_on_calls`]).
    Calls,
}

/// See [`pass_on_calls`].
static CALLS: AtomicBool = AtomicBool::new(false);

static SETTINGS: AtomicPtr<Settings> = AtomicPtr::new(std::ptr::null_mut());

/// Programs that are event loops although their threads may look otherwise for a while.
const EVENT_LOOPS: [&[u8]; 5] = [b"node", b"nodejs", b"bun", b"deno", b"haproxy"];
/// Proxies that send upstream in the turn in which they read.
const PROXIES: [&[u8]; 1] = [b"nginx"];
/// Proxies that send the header lines that they have read, and nothing depends on how many there are.
const PASS_ON: [(&[u8], Room); 2] = [(b"nginx", Room::All), (b"haproxy", Room::Half)];
/// How threads of event-loop runtimes are called.
const LOOP_THREADS: [&[u8]; 5] = [
    b"tokio-",
    b"nioEventLoop",
    b"epollEventLoo",
    b"reactor-http",
    b"vert.x-event",
];

/// Publishes the settings. Called once, in the constructor.
pub(crate) fn publish(config: Config, exe: &[u8], argv0: &[u8], name: String, warnings: String) {
    let program = base_name(exe);
    let model = if EVENT_LOOPS.contains(&program) {
        Model::EventLoop
    } else if PROXIES.contains(&program) {
        Model::Proxy
    } else {
        Model::Blocking
    };
    let settings = Settings {
        sampler: Sampler::from_config(config.sampler),
        wanted: [
            Instrumentation::HttpServer,
            Instrumentation::HttpClient,
            Instrumentation::GrpcServer,
            Instrumentation::GrpcClient,
        ]
        .map(|which| config.instrumentations.is_enabled(which)),
        model,
        // Its built-in server waits for all its connections, and yet serves one request at a time.
        one_by_one: program.starts_with(b"php"),
        passes_on: PASS_ON
            .iter()
            .find(|(name, _)| *name == program)
            .filter(|_| config.instrumentations.is_enabled(Instrumentation::Proxy))
            .map(|(_, room)| *room),
        apache: matches!(program, b"apache2" | b"httpd"),
        exe: exe.to_vec(),
        argv0: argv0.to_vec(),
        default_service_name: name,
        warnings,
        config,
    };
    SETTINGS.store(Box::into_raw(Box::new(settings)), Ordering::Release);
}

/// Whether [`publish`] was called.
pub(crate) fn started() -> bool {
    !SETTINGS.load(Ordering::Acquire).is_null()
}

/// The settings. Only for code that runs when the agent is on, which it is after [`publish`].
pub(crate) fn get() -> &'static Settings {
    let at = SETTINGS.load(Ordering::Acquire);
    assert!(
        !at.is_null(),
        "the agent is on before its settings are known"
    );
    // SAFETY: published once and never freed.
    unsafe { &*at }
}

/// Whether spans of this kind are wanted: of calls of gRPC, or (not `rpc`) of other requests.
pub(crate) fn enabled(kind: Kind, rpc: bool) -> bool {
    let [http_server, http_client, grpc_server, grpc_client] = get().wanted;
    match (kind, rpc) {
        (Kind::Server, false) => http_server,
        (Kind::Client, false) => http_client,
        (Kind::Server, true) => grpc_server,
        (Kind::Client, true) => grpc_client,
    }
}

/// Whether spans of what passes to (or at) this database are wanted.
pub(crate) fn queries(kind: Kind, system: System) -> bool {
    let on = get().config.instrumentations;
    let client = match system {
        System::None => return false,
        System::Redis => Instrumentation::Redis,
        System::PostgreSql => Instrumentation::PostgreSql,
        System::MySql | System::MariaDb => Instrumentation::MySql,
        System::Memcached => Instrumentation::Memcached,
        System::MongoDb => Instrumentation::MongoDb,
        System::Cassandra => Instrumentation::Cassandra,
        System::ClickHouse => Instrumentation::ClickHouse,
        System::SqlServer => Instrumentation::SqlServer,
        System::Sqlite => Instrumentation::Sqlite,
    };
    on.is_enabled(match kind {
        Kind::Client => client,
        // The conventions know no spans of a database's own.
        Kind::Server => Instrumentation::DbServer,
    })
}

/// How the program runs its requests.
pub(crate) fn model() -> Model {
    get().model
}

/// Whether the program is known to serve one request after the other, however it waits for them.
pub(crate) fn serves_one_by_one() -> bool {
    get().one_by_one
}

/// Whether the program is a proxy that is given the contexts of its requests to pass on, and how much room it has for them.
pub(crate) fn passes_on() -> Option<Room> {
    get().passes_on
}

/// Whether requests are given their contexts for the program to read.
pub(crate) fn gives_contexts() -> Option<Room> {
    let calls = || CALLS.load(Ordering::Relaxed).then_some(Room::Calls);
    passes_on().or_else(calls)
}

/// From here on calls of gRPC are given their contexts.
pub(crate) fn pass_on_calls() {
    CALLS.store(true, Ordering::Relaxed);
}

/// Index of a header to capture.
pub(crate) fn captured_header(kind: Kind, response: bool, name: &[u8]) -> Option<u8> {
    let headers = &get().config.http.headers;
    let list = match (kind, response) {
        (Kind::Server, false) => &headers.server_request,
        (Kind::Server, true) => &headers.server_response,
        (Kind::Client, false) => &headers.client_request,
        (Kind::Client, true) => &headers.client_response,
    };
    let at = list.iter().position(|h| h.name.as_bytes() == name)?;
    u8::try_from(at).ok()
}

/// A new trace id of random bits.
pub(crate) fn new_trace_id([a, b]: [u64; 2]) -> TraceId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&a.to_be_bytes());
    id[8..].copy_from_slice(&b.to_be_bytes());
    TraceId(id)
}

/// Flags of a new span: the random bit is the trace id's, so it is the parent's, or set where the id is ours.
pub(crate) fn flags(parent: Option<&SpanContext>, sampled: bool) -> TraceFlags {
    parent
        .map_or(TraceFlags::RANDOM, |parent| parent.flags)
        .with_sampled(sampled)
}

/// Whether the calling thread's name is one that event-loop runtimes give.
pub(crate) fn is_event_loop_thread() -> bool {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes.
    let got = unsafe {
        crate::sys::raw::call(
            libc::SYS_prctl,
            [
                libc::PR_GET_NAME as usize,
                name.as_mut_ptr() as usize,
                0,
                0,
                0,
                0,
            ],
        )
    };
    got.is_ok() && LOOP_THREADS.iter().any(|known| name.starts_with(known))
}

/// Path of a request target: without scheme, authority and query.
fn path(target: &[u8]) -> &[u8] {
    let path = match memchr::memmem::find(target, b"://") {
        Some(at) if !target.starts_with(b"/") => {
            let rest = &target[at + 3..];
            memchr::memchr(b'/', rest).map_or(&b"/"[..], |slash| &rest[slash..])
        }
        _ => target,
    };
    let end = path
        .iter()
        .position(|b| matches!(b, b'?' | b'#'))
        .unwrap_or(path.len());
    &path[..end]
}

impl Settings {
    /// The context that a request carries.
    pub(crate) fn extract(&self, exchange: &Exchange) -> Option<SpanContext> {
        if !self.propagates_context() || exchange.traceparent_repeated {
            return None;
        }
        parse_traceparent(exchange.text(Field::Traceparent)?)
    }

    /// Whether spans go anywhere.
    pub(crate) fn exports(&self) -> bool {
        self.config.exporter != Exporter::None
    }

    /// Whether `traceparent` is read and written.
    pub(crate) fn propagates_context(&self) -> bool {
        self.config.propagators.trace_context
    }

    /// What the children of a server request inherit besides its context: tracestate and baggage.
    pub(crate) fn inherited<'a>(
        &self,
        exchange: &'a Exchange,
        has_parent: bool,
    ) -> (&'a [u8], &'a [u8]) {
        let state = exchange
            .text(Field::Tracestate)
            .filter(|_| has_parent)
            .and_then(|text| tracestate::valid(text, exchange.is_cut(Field::Tracestate)));
        let baggage = if self.config.propagators.baggage {
            exchange.baggage()
        } else {
            &[]
        };
        (state.unwrap_or_default(), baggage)
    }

    /// Whether no span is wanted for an incoming request.
    pub(crate) fn excluded(&self, exchange: &Exchange) -> bool {
        let target = exchange.text(Field::Target).unwrap_or_default();
        // Apache wakes its own children up by requests to itself.
        let dummy = self.apache
            && target == b"*"
            && exchange.text(Field::UserAgent).is_some_and(|agent| {
                memchr::memmem::find(agent, b"(internal dummy connection)").is_some()
            });
        dummy || self.config.http.is_excluded(path(target))
    }

    /// Whether our spans step aside where an SDK is at work.
    pub(crate) fn stands_aside(&self) -> bool {
        self.config.coexist == Coexist::Auto
    }

    /// Whether an outgoing request is an SDK's export of traces.
    pub(crate) fn is_sdk_export(&self, exchange: &Exchange) -> bool {
        self.stands_aside()
            && exchange.text(Field::Method) == Some(b"POST")
            && path(exchange.text(Field::Target).unwrap_or_default()).ends_with(b"/v1/traces")
    }

    /// Writes a `traceparent` alone; returns the length of all that `syntax` makes of it.
    pub(crate) fn write_traceparent(
        &self,
        out: &mut [u8],
        context: &SpanContext,
        syntax: Syntax,
    ) -> usize {
        let outgoing = Outgoing {
            syntax,
            propagators: self.config.propagators,
            context: Some(context),
            tracestate: &[],
            baggage: &[],
            has_tracestate: true,
            has_baggage: true,
        };
        write_context_headers(&outgoing, out)
    }

    /// Writes the context headers of an outgoing request as they are to be spliced in; returns their length.
    pub(crate) fn write_headers(
        &self,
        out: &mut [u8],
        context: &SpanContext,
        tracestate: &[u8],
        baggage: &[u8],
        head: &Head,
    ) -> usize {
        let outgoing = Outgoing {
            syntax: head.syntax,
            propagators: self.config.propagators,
            context: Some(context),
            tracestate,
            baggage,
            has_tracestate: head.has_tracestate,
            has_baggage: head.has_baggage,
        };
        write_context_headers(&outgoing, out)
    }
}

/// Says what is wrong with the configuration, once, when the program first has to do with a stream socket: a process that
/// never does would only be disturbed. A forked child does not say it again.
pub(crate) fn say_warnings() {
    static SAID: AtomicBool = AtomicBool::new(false);
    let text = &get().warnings;
    if !text.is_empty() && !SAID.swap(true, Ordering::Relaxed) {
        crate::sys::log::raw_text(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_targets() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"/a/b?c=d", b"/a/b"),
            (b"http://h:80/a?x", b"/a"),
            (b"http://h", b"/"),
            (b"*", b"*"),
            (b"/r?u=http://x/y", b"/r"),
            (b"/r/http://x/y", b"/r/http://x/y"),
        ];
        for (target, expected) in cases {
            assert_eq!(path(target), expected);
        }
    }
}
