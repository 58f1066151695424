//! One attempt over gRPC: tonic's client on our own HTTP/2 connection.

use super::classify;
use super::link::{LinkError, MAX_RESPONSE};
use super::retry::Verdict;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::metadata::MetadataMap;

/// The trailer that carries a `google.rpc.Status`.
const DETAILS: &str = "grpc-status-details-bin";
/// The trailer, or header, that makes an answer an answer.
const STATUS: &str = "grpc-status";

/// What stays the same from call to call.
pub(super) struct Call<'a> {
    pub(super) origin: &'a Uri,
    pub(super) metadata: &'a MetadataMap,
    /// Whether the body that is given is compressed already.
    pub(super) gzip: bool,
    /// Time that is left, for the server to know; `None` is no limit.
    pub(super) timeout: Option<Duration>,
}

impl Call<'_> {
    /// Calls `Export` with `body` and reads the answer.
    pub(super) async fn exchange(
        &self,
        sender: &SendRequest<Body>,
        body: Bytes,
        spans: u64,
    ) -> Result<Verdict, LinkError> {
        let answered = Arc::new(AtomicBool::new(false));
        let (body, compressed) = match self.gzip {
            true => (Bytes::new(), Some(frame(&body))),
            false => (body, None),
        };
        let answered_too = Arc::clone(&answered);
        let wire = Wire {
            sender: sender.clone(),
            compressed,
            answered: answered_too,
        };
        let mut grpc =
            Grpc::with_origin(wire, self.origin.clone()).max_decoding_message_size(MAX_RESPONSE);
        let mut request = tonic::Request::new(body);
        *request.metadata_mut() = self.metadata.clone();
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        match otlp_proto::service::client::export(&mut grpc, request).await {
            Ok(response) => Ok(Verdict::Sent(classify::sent(response.get_ref(), spans))),
            Err(status) => match link_error(&status) {
                Some(error) => Err(error),
                None => Ok(classify::grpc(&status, answered.load(Ordering::Relaxed))),
            },
        }
    }
}

/// One gRPC frame with a compressed message. A length beyond 32 bits cannot occur (`MAX_REQUEST`).
fn frame(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(5 + message.len());
    frame.push(1);
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

/// The failure of the connection behind `status`, if that is what it is about.
fn link_error(status: &tonic::Status) -> Option<LinkError> {
    let mut next = status.source();
    while let Some(error) = next {
        if error.is::<LinkError>() {
            return Some(LinkError::from_error(error));
        }
        next = error.source();
    }
    None
}

/// Our connection, as tonic sees it.
struct Wire {
    sender: SendRequest<Body>,
    /// A frame to send instead of tonic's. tonic compresses anew for every attempt, and four times slower
    /// than need be: its level cannot be chosen.
    compressed: Option<Bytes>,
    /// Set once the receiver has given a status of its own.
    answered: Arc<AtomicBool>,
}

impl GrpcService<Body> for Wire {
    type ResponseBody = Answer;
    type Error = LinkError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, LinkError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.sender
            .poll_ready(cx)
            .map_err(|error| LinkError::from_error(&error))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(frame) = self.compressed.take() {
            request
                .headers_mut()
                .insert("grpc-encoding", HeaderValue::from_static("gzip"));
            *request.body_mut() = Body::new(Full::new(frame));
        }
        let response = self.sender.send_request(request);
        let answered = Arc::clone(&self.answered);
        Box::pin(async move {
            let mut response = response
                .await
                .map_err(|error| LinkError::from_error(&error))?;
            examine(response.headers_mut(), &answered);
            Ok(response.map(|body| Answer { body, answered }))
        })
    }
}

/// A response body, its trailers examined on the way.
struct Answer {
    body: Incoming,
    answered: Arc<AtomicBool>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = LinkError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LinkError>>> {
        Pin::new(&mut self.body).poll_frame(cx).map(|frame| {
            frame.map(|frame| match frame {
                Ok(mut frame) => {
                    if let Some(trailers) = frame.trailers_mut() {
                        examine(trailers, &self.answered);
                    }
                    Ok(frame)
                }
                Err(error) => Err(LinkError::from_error(&error)),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Notes a status, and takes out details that tonic would panic on: it expects valid base64 of a stranger.
fn examine(headers: &mut HeaderMap, answered: &AtomicBool) {
    if headers.contains_key(STATUS) {
        answered.store(true, Ordering::Relaxed);
    }
    if headers.contains_key(DETAILS) {
        let metadata = MetadataMap::from_headers(std::mem::take(headers));
        let valid = metadata
            .get_bin(DETAILS)
            .is_some_and(|value| value.to_bytes().is_ok());
        *headers = metadata.into_headers();
        if !valid {
            headers.remove(DETAILS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_that_are_not_base64_are_taken_out() {
        for (value, kept) in [
            ("AAEC", true),
            ("AAE=", true),
            ("AAE", true),
            ("!!", false),
            ("A", false),
        ] {
            let answered = AtomicBool::new(false);
            let mut headers = HeaderMap::new();
            headers.insert(STATUS, "8".parse().unwrap());
            headers.insert(DETAILS, value.parse().unwrap());
            examine(&mut headers, &answered);
            assert_eq!(headers.contains_key(DETAILS), kept, "{value}");
            assert!(answered.into_inner());
            assert!(tonic::Status::from_header_map(&headers).is_some());
        }
    }
}
