//! A small OTLP receiver on the loopback interface: `http/protobuf`, traces only.

use std::convert::Infallible;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use otlp_proto::collector::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use super::span::{self, Span};

/// Largest request body taken, as it comes and unpacked.
const MAX_BODY: usize = 16 << 20;
/// Most connections served at a time; more wait.
const MAX_CONNECTIONS: usize = 512;
/// Wait after a failure to accept (for example no free descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const PROTOBUF: &str = "application/x-protobuf";

/// What one request brought.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Spans with a valid identity.
    pub(crate) spans: Vec<Span>,
    /// How many had none.
    pub(crate) rejected: usize,
}

/// Listens on a free port of the loopback interface.
pub(crate) fn listen() -> std::io::Result<(StdListener, u16)> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Where requests end up.
#[derive(Clone)]
pub(crate) struct Sink {
    /// Takes the spans.
    pub(crate) batches: mpsc::Sender<Batch>,
    /// Requests that have begun and are not answered.
    pub(crate) open: Arc<AtomicUsize>,
}

/// Serves connections for ever.
pub(crate) async fn serve(listener: TcpListener, sink: Sink) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let sink = sink.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, sink.clone()));
            // A peer that breaks off has its own exporter's retry; there is nobody to tell.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

/// Counts a request for as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer(
    request: Request<Incoming>,
    sink: Sink,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let _open = Open::new(&sink.open);
    let outcome = match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/traces") => receive(request, &sink).await,
        // Not shown here, and no reason for the program's SDK to complain.
        (&Method::POST, "/v1/metrics" | "/v1/logs") => Ok(Bytes::new()),
        _ => Err((StatusCode::NOT_FOUND, "only /v1/traces is here")),
    };
    let (status, kind, body) = match outcome {
        Ok(body) => (StatusCode::OK, PROTOBUF, body),
        Err((status, reason)) => (status, "text/plain", Bytes::from_static(reason.as_bytes())),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

type Refused = (StatusCode, &'static str);

async fn receive<B>(request: Request<B>, sink: &Sink) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let kind = header(CONTENT_TYPE).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some(PROTOBUF) {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "only application/x-protobuf",
        ));
    }
    let packed = match header(CONTENT_ENCODING).unwrap_or("identity") {
        "gzip" => true,
        "identity" | "" => false,
        _ => return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "only gzip")),
    };
    let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large");
    let body = Limited::new(request.into_body(), MAX_BODY)
        .collect()
        .await
        .map_err(|_| too_large)?;
    let mut body = body.to_bytes();
    if packed {
        body = unpack(&body)?;
    }
    let message = ExportTraceServiceRequest::decode(body)
        .map_err(|_| (StatusCode::BAD_REQUEST, "not an ExportTraceServiceRequest"))?;
    let mut batch = Batch {
        spans: Vec::new(),
        rejected: 0,
    };
    for resource_spans in message.resource_spans {
        let (spans, rejected) = span::read(resource_spans);
        batch.spans.extend(spans);
        batch.rejected += rejected;
    }
    let rejected = batch.rejected;
    sink.batches
        .send(batch)
        .await
        .map_err(|_| (StatusCode::SERVICE_UNAVAILABLE, "the console has ended"))?;
    let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: "spans without a valid trace or span id".to_owned(),
    });
    Ok(ExportTraceServiceResponse { partial_success }
        .encode_to_vec()
        .into())
}

fn unpack(body: &[u8]) -> Result<Bytes, Refused> {
    let mut plain = Vec::new();
    let limit = MAX_BODY as u64 + 1;
    flate2::read::MultiGzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|_| (StatusCode::BAD_REQUEST, "not gzip"))?;
    if plain.len() > MAX_BODY {
        return Err((
            StatusCode::PAYLOAD_TOO_LARGE,
            "the unpacked request is too large",
        ));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn request(kind: &str, encoding: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
        Request::post("/v1/traces")
            .header(CONTENT_TYPE, kind)
            .header(CONTENT_ENCODING, encoding)
            .body(Full::new(body.into()))
            .unwrap()
    }

    /// The status, and the number of spans taken and rejected.
    fn receive_now(request: Request<Full<Bytes>>) -> (u16, Option<(usize, usize)>) {
        let (batches, mut received) = mpsc::channel(4);
        let sink = Sink {
            batches,
            open: Arc::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let status = match runtime.block_on(receive(request, &sink)) {
            Ok(_) => 200,
            Err((status, _)) => status.as_u16(),
        };
        (
            status,
            received
                .try_recv()
                .ok()
                .map(|batch| (batch.spans.len(), batch.rejected)),
        )
    }

    fn message() -> Vec<u8> {
        use otlp_proto::trace::{ResourceSpans, ScopeSpans, Span};
        let good = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            ..Span::default()
        };
        let bad = Span {
            trace_id: vec![0; 16],
            span_id: vec![2; 8],
            ..Span::default()
        };
        let scope = ScopeSpans {
            spans: vec![good, bad],
            ..ScopeSpans::default()
        };
        let resource = ResourceSpans {
            scope_spans: vec![scope],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![resource],
        }
        .encode_to_vec()
    }

    #[test]
    fn requests() {
        let bomb = gzip(&vec![0; MAX_BODY + 1]);
        let table = [
            (PROTOBUF, "identity", message(), 200, Some((1, 1))),
            (
                "application/x-protobuf; charset=x",
                "gzip",
                gzip(&message()),
                200,
                Some((1, 1)),
            ),
            (PROTOBUF, "identity", Vec::new(), 200, Some((0, 0))),
            ("application/json", "identity", b"{}".to_vec(), 415, None),
            (PROTOBUF, "br", message(), 415, None),
            (PROTOBUF, "gzip", message(), 400, None),
            (PROTOBUF, "identity", b"\xff\xff".to_vec(), 400, None),
            (PROTOBUF, "identity", vec![0; MAX_BODY + 1], 413, None),
            (PROTOBUF, "gzip", bomb, 413, None),
        ];
        for (kind, encoding, body, status, taken) in table {
            assert_eq!(
                receive_now(request(kind, encoding, body)),
                (status, taken),
                "{status} {encoding}"
            );
        }
    }
}
