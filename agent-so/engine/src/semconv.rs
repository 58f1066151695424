//! Semantic conventions: the names of everything that leaves the agent, and how an exchange becomes a span.
//!
//! All attribute names stand here and only here, so that following a newer release of the conventions is a
//! change of one file plus [`SCHEMA_URL`]. What is said about a protocol is in its own submodule.

pub mod db;
pub mod http;
mod rpc;
mod text;

use crate::exchange::Exchange;

/// Release of the conventions that spans and resource follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
/// Instrumentation scope of all spans.
pub const SCOPE: &str = "otel-run";
/// Fallback value of `error.type` and `http.request.method`.
pub const OTHER: &str = "_OTHER";
/// Stands in place of a header value or credential that must not leave the process.
pub const REDACTED_HEADER: &str = "[REDACTED]";

/// Receives one span, piece by piece, in the order in which the pieces are known. Texts are only valid during
/// the call: the receiver encodes or copies them. It also applies the attribute limits.
///
/// Every key is given at most once per span and no value is empty.
pub trait SpanSink {
    /// The name; called exactly once, first.
    fn name(&mut self, name: &str);
    /// A string attribute.
    fn string(&mut self, key: &str, value: &str);
    /// An integer attribute.
    fn int(&mut self, key: &str, value: i64);
    /// An attribute that is an array of strings. A slice and not an iterator, because an encoder of a
    /// length-prefixed format has to go over the values twice.
    fn strings(&mut self, key: &str, values: &[&str]);
    /// The span status is Error (with no description: `error.type` says it all). Not called: Unset.
    fn error(&mut self);
}

/// Describes `ex` to `sink` as one span. `matched` is the route that the program's own router found for it, where that is
/// known.
pub fn describe(
    ex: &Exchange,
    matched: Option<&str>,
    options: &http::Options,
    scratch: &mut http::Scratch,
    sink: &mut impl SpanSink,
) {
    if ex.rpc {
        rpc::describe(ex, options, scratch, sink);
    } else {
        http::describe(ex, matched, options, scratch, sink);
    }
}

// HTTP
/// The method, or [`OTHER`] for one that is not in the known list.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The method on the wire, where it differs from `http.request.method`.
pub const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
/// The final status code, an integer.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// The low-cardinality route of a server.
pub const HTTP_ROUTE: &str = "http.route";
/// Ordinal of a resend (never guessed by the agent).
pub const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
/// Payload bytes of the request body (opt-in).
pub const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
/// Payload bytes of the response body (opt-in).
pub const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
/// Prefix of captured request headers; the lower-case header name follows.
pub const HTTP_REQUEST_HEADER: &str = "http.request.header.";
/// Prefix of captured response headers; the lower-case header name follows.
pub const HTTP_RESPONSE_HEADER: &str = "http.response.header.";

// RPC
/// `grpc`.
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
/// `package.Service/Method`, or [`OTHER`] for one that the server does not know.
pub const RPC_METHOD: &str = "rpc.method";
/// The method on the wire, where it differs from `rpc.method`.
pub const RPC_METHOD_ORIGINAL: &str = "rpc.method_original";
/// The name of the status, a string.
pub const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";
/// Prefix of captured request headers of a call; the lower-case name follows.
pub const RPC_REQUEST_METADATA: &str = "rpc.request.metadata.";
/// Prefix of captured response headers of a call; the lower-case name follows.
pub const RPC_RESPONSE_METADATA: &str = "rpc.response.metadata.";

// Databases
/// The product, as the client library knows it.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// The database, most general part first, parts joined by `|`.
pub const DB_NAMESPACE: &str = "db.namespace";
/// The operation, where it is certain.
pub const DB_OPERATION_NAME: &str = "db.operation.name";
/// The table or the like, where the operation concerns one.
pub const DB_COLLECTION_NAME: &str = "db.collection.name";
/// The procedure that is called.
pub const DB_STORED_PROCEDURE_NAME: &str = "db.stored_procedure.name";
/// Operations and targets of the query, of low cardinality.
pub const DB_QUERY_SUMMARY: &str = "db.query.summary";
/// The query, sanitized unless asked for otherwise.
pub const DB_QUERY_TEXT: &str = "db.query.text";
/// Rows that came back.
pub const DB_RESPONSE_RETURNED_ROWS: &str = "db.response.returned_rows";
/// How many operations were sent as one; never 1.
pub const DB_OPERATION_BATCH_SIZE: &str = "db.operation.batch.size";
/// The database's own code of an error, a string.
pub const DB_RESPONSE_STATUS_CODE: &str = "db.response.status_code";
/// The consistency that Cassandra was asked for.
pub const CASSANDRA_CONSISTENCY_LEVEL: &str = "cassandra.consistency.level";
/// Rows that Cassandra was asked for at a time.
pub const CASSANDRA_PAGE_SIZE: &str = "cassandra.page.size";

// URL
/// The absolute URL of an outgoing request, redacted.
pub const URL_FULL: &str = "url.full";
/// The path without query.
pub const URL_PATH: &str = "url.path";
/// The query without `?`, redacted.
pub const URL_QUERY: &str = "url.query";
/// `http`, `https`, ...: the scheme the original client used.
pub const URL_SCHEME: &str = "url.scheme";
/// Low-cardinality path template of a client (opt-in).
pub const URL_TEMPLATE: &str = "url.template";

// Network
/// Host name or address of the logical server.
pub const SERVER_ADDRESS: &str = "server.address";
/// Port of the logical server.
pub const SERVER_PORT: &str = "server.port";
/// Address of the original client.
pub const CLIENT_ADDRESS: &str = "client.address";
/// Port of the original client (opt-in).
pub const CLIENT_PORT: &str = "client.port";
/// Address at the other end of the socket.
pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
/// Port at the other end of the socket.
pub const NETWORK_PEER_PORT: &str = "network.peer.port";
/// Address at our end of the socket (opt-in).
pub const NETWORK_LOCAL_ADDRESS: &str = "network.local.address";
/// Port at our end of the socket (opt-in).
pub const NETWORK_LOCAL_PORT: &str = "network.local.port";
/// Application protocol, lower case; left out while it is `http`.
pub const NETWORK_PROTOCOL_NAME: &str = "network.protocol.name";
/// `1.0`, `1.1`, `2`, `3`.
pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
/// `tcp`, `udp`, `unix`, ... (opt-in).
pub const NETWORK_TRANSPORT: &str = "network.transport";
/// `ipv4` or `ipv6` (opt-in).
pub const NETWORK_TYPE: &str = "network.type";

// Shared
/// Low-cardinality identifier of what went wrong.
pub const ERROR_TYPE: &str = "error.type";
/// The `User-Agent` header.
pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";

// Resource: service and telemetry
/// Logical name of the service.
pub const SERVICE_NAME: &str = "service.name";
/// Group of services.
pub const SERVICE_NAMESPACE: &str = "service.namespace";
/// Unique per process.
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
/// Version of the service.
pub const SERVICE_VERSION: &str = "service.version";
/// `production`, `staging`, ...
pub const DEPLOYMENT_ENVIRONMENT_NAME: &str = "deployment.environment.name";
/// Who made the telemetry; `opentelemetry` is reserved for official SDKs.
pub const TELEMETRY_SDK_NAME: &str = "telemetry.sdk.name";
/// Language of the SDK, not of the application.
pub const TELEMETRY_SDK_LANGUAGE: &str = "telemetry.sdk.language";
/// Version of the SDK.
pub const TELEMETRY_SDK_VERSION: &str = "telemetry.sdk.version";
/// Name of the agent.
pub const TELEMETRY_DISTRO_NAME: &str = "telemetry.distro.name";
/// Version of the agent.
pub const TELEMETRY_DISTRO_VERSION: &str = "telemetry.distro.version";

// Resource: process
/// Process id in its own namespace, an integer.
pub const PROCESS_PID: &str = "process.pid";
/// Parent's process id (opt-in).
pub const PROCESS_PARENT_PID: &str = "process.parent_pid";
/// Start of the process, ISO 8601 in UTC.
pub const PROCESS_CREATION_TIME: &str = "process.creation.time";
/// `argv[0]`.
pub const PROCESS_COMMAND: &str = "process.command";
/// All of `argv` (opt-in: may hold secrets).
pub const PROCESS_COMMAND_ARGS: &str = "process.command_args";
/// The command line as one text (opt-in).
pub const PROCESS_COMMAND_LINE: &str = "process.command_line";
/// User name of the owner.
pub const PROCESS_OWNER: &str = "process.owner";
/// Base name of the executable.
pub const PROCESS_EXECUTABLE_NAME: &str = "process.executable.name";
/// Full path of the executable (opt-in).
pub const PROCESS_EXECUTABLE_PATH: &str = "process.executable.path";
/// GNU build id, hexadecimal (opt-in).
pub const PROCESS_EXECUTABLE_BUILD_ID_GNU: &str = "process.executable.build_id.gnu";
/// Name of the language runtime.
pub const PROCESS_RUNTIME_NAME: &str = "process.runtime.name";
/// Version of the language runtime.
pub const PROCESS_RUNTIME_VERSION: &str = "process.runtime.version";
/// More about the language runtime.
pub const PROCESS_RUNTIME_DESCRIPTION: &str = "process.runtime.description";

// Resource: host, operating system, container
/// What `uname -n` says.
pub const HOST_NAME: &str = "host.name";
/// Machine id, outside of containers only.
pub const HOST_ID: &str = "host.id";
/// `amd64`, `arm64`, ...
pub const HOST_ARCH: &str = "host.arch";
/// `linux`.
pub const OS_TYPE: &str = "os.type";
/// `NAME` of `/etc/os-release`.
pub const OS_NAME: &str = "os.name";
/// `VERSION_ID` of `/etc/os-release`.
pub const OS_VERSION: &str = "os.version";
/// `PRETTY_NAME` of `/etc/os-release`.
pub const OS_DESCRIPTION: &str = "os.description";
/// `BUILD_ID` of `/etc/os-release`, else the kernel release.
pub const OS_BUILD_ID: &str = "os.build_id";
/// Full id of the container, 64 hexadecimal digits.
pub const CONTAINER_ID: &str = "container.id";
/// Name of the container.
pub const CONTAINER_NAME: &str = "container.name";
/// Name of the image.
pub const CONTAINER_IMAGE_NAME: &str = "container.image.name";
/// Tags of the image, an array.
pub const CONTAINER_IMAGE_TAGS: &str = "container.image.tags";
/// Id of the image.
pub const CONTAINER_IMAGE_ID: &str = "container.image.id";
/// Name of the container runtime.
pub const CONTAINER_RUNTIME_NAME: &str = "container.runtime.name";
