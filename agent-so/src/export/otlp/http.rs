//! One attempt over HTTP/1.1 (`http/protobuf`).

use super::classify;
use super::endpoint::Target;
use super::link::{LinkError, MAX_RESPONSE};
use super::retry::Verdict;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::SendRequest;
use std::time::SystemTime;
use tonic::body::Body;

/// Posts `body`, already compressed if the headers say so, and reads the answer.
pub(super) async fn exchange(
    sender: &mut SendRequest<Body>,
    target: &Target,
    headers: &HeaderMap,
    body: Bytes,
    spans: u64,
) -> Result<Verdict, LinkError> {
    let lost = |error: hyper::Error| LinkError::from_error(&error);
    let mut request = Request::new(Body::new(Full::new(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(target.path.clone());
    *request.headers_mut() = headers.clone();
    sender.ready().await.map_err(lost)?;
    let (head, body) = sender
        .send_request(request)
        .await
        .map_err(lost)?
        .into_parts();
    let body = match Limited::new(body, MAX_RESPONSE).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(LinkError::TooLarge),
        // The status line has told what matters.
        Err(_) => Bytes::new(),
    };
    Ok(classify::http(
        head.status,
        &head.headers,
        &body,
        spans,
        SystemTime::now(),
    ))
}
