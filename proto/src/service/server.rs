//! The server: a tower service that any HTTP/2 server of the hyper family can host (with or without
//! `tonic::transport`).

use super::codec::ProstCodec;
use super::{EXPORT_PATH, SERVICE_NAME};
use crate::collector::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Largest request accepted, bytes after decompression (otlp.md section 2).
pub const MAX_REQUEST: usize = 64 * 1024 * 1024;

/// What a receiver of traces implements.
pub trait TraceService: Send + Sync + 'static {
    /// Takes in the spans of one request.
    fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> impl Future<Output = Result<Response<ExportTraceServiceResponse>, Status>> + Send;
}

/// Serves a [`TraceService`] over gRPC; accepts gzip when the feature is on.
#[derive(Debug)]
pub struct TraceServiceServer<T> {
    inner: Arc<T>,
}

impl<T> TraceServiceServer<T> {
    /// Serves `inner`.
    pub fn new(inner: T) -> Self {
        Self::from_arc(Arc::new(inner))
    }

    /// Serves a shared receiver.
    pub fn from_arc(inner: Arc<T>) -> Self {
        Self { inner }
    }
}

impl<T> Clone for TraceServiceServer<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> NamedService for TraceServiceServer<T> {
    const NAME: &'static str = SERVICE_NAME;
}

impl<T, B> Service<http::Request<B>> for TraceServiceServer<T>
where
    T: TraceService,
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let export = Export(Arc::clone(&self.inner));
        Box::pin(async move {
            if request.uri().path() != EXPORT_PATH {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let grpc = Grpc::new(ProstCodec).max_decoding_message_size(MAX_REQUEST);
            #[cfg(feature = "gzip")]
            let grpc = grpc.accept_compressed(tonic::codec::CompressionEncoding::Gzip);
            let mut grpc = grpc;
            Ok(grpc.unary(export, request).await)
        })
    }
}

/// The `Export` method of a receiver, as tonic wants it.
struct Export<T>(Arc<T>);

impl<T: TraceService> UnaryService<ExportTraceServiceRequest> for Export<T> {
    type Response = ExportTraceServiceResponse;
    type Future = BoxFuture<Result<Response<ExportTraceServiceResponse>, Status>>;

    fn call(&mut self, request: Request<ExportTraceServiceRequest>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.export(request).await })
    }
}
