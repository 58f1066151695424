//! How prost messages become gRPC frames.

use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder};

/// Decodes one prost message per gRPC frame.
#[derive(Debug)]
pub(crate) struct ProstDecoder<M>(PhantomData<fn() -> M>);

impl<M> Default for ProstDecoder<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M: Message + Default> Decoder for ProstDecoder<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        M::decode(src)
            .map(Some)
            .map_err(|error| Status::internal(format!("malformed message: {error}")))
    }
}

#[cfg(feature = "server")]
pub(crate) use both::ProstCodec;

/// The server's codec: messages both ways.
#[cfg(feature = "server")]
mod both {
    use super::ProstDecoder;
    use crate::collector::{ExportTraceServiceRequest, ExportTraceServiceResponse};
    use prost::Message;
    use tonic::Status;
    use tonic::codec::{Codec, EncodeBuf, Encoder};

    #[derive(Debug, Default)]
    pub(crate) struct ProstCodec;

    #[derive(Debug)]
    pub(crate) struct ProstEncoder;

    impl Codec for ProstCodec {
        type Encode = ExportTraceServiceResponse;
        type Decode = ExportTraceServiceRequest;
        type Encoder = ProstEncoder;
        type Decoder = ProstDecoder<ExportTraceServiceRequest>;

        fn encoder(&mut self) -> ProstEncoder {
            ProstEncoder
        }

        fn decoder(&mut self) -> Self::Decoder {
            ProstDecoder::default()
        }
    }

    impl Encoder for ProstEncoder {
        type Item = ExportTraceServiceResponse;
        type Error = Status;

        fn encode(&mut self, item: Self::Item, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
            item.encode(dst)
                .map_err(|error| Status::internal(error.to_string()))
        }
    }
}
