//! The client: sends requests that are already encoded.

use super::EXPORT_PATH;
use super::codec::ProstDecoder;
use crate::collector::ExportTraceServiceResponse;
use bytes::{BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::{Request, Response, Status};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls `Export` with the bytes of an encoded [`crate::collector::ExportTraceServiceRequest`].
///
/// `grpc` decides the rest: the transport, compression and the message size limits.
pub async fn export<T>(
    grpc: &mut Grpc<T>,
    request: Request<Bytes>,
) -> Result<Response<ExportTraceServiceResponse>, Status>
where
    T: GrpcService<Body>,
    T::ResponseBody: http_body::Body + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<BoxError>,
{
    grpc.ready()
        .await
        .map_err(|error| Status::from_error(error.into()))?;
    let codec = BytesCodec {
        size: request.get_ref().len(),
    };
    grpc.unary(request, PathAndQuery::from_static(EXPORT_PATH), codec)
        .await
}

/// Copies an encoded request into its frame and decodes the response.
#[derive(Clone, Copy, Debug)]
struct BytesCodec {
    /// Bytes of the message, so that the frame is allocated once.
    size: usize,
}

/// The encoding half of [`BytesCodec`].
#[derive(Debug)]
struct BytesEncoder {
    size: usize,
}

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = BytesEncoder;
    type Decoder = ProstDecoder<ExportTraceServiceResponse>;

    fn encoder(&mut self) -> BytesEncoder {
        BytesEncoder { size: self.size }
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for BytesEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        // Five bytes of frame header precede the message; nothing is gained by yielding before its end.
        let room = self.size.saturating_add(5);
        BufferSettings::new(room, room)
    }
}
