//! gRPC calls whose messages are bytes, good or bad.

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// Sends and receives bytes as they are.
#[derive(Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// Calls `/{service}/{method}` with these messages. Fits RPCs of all kinds: each is a stream of
/// bytes on the wire.
pub(crate) async fn call(
    channel: &Channel,
    path: &str,
    messages: Vec<Vec<u8>>,
) -> Result<Streaming<Vec<u8>>, Status> {
    call_with(channel, path, &[], messages).await
}

/// The same with headers.
pub(crate) async fn call_with(
    channel: &Channel,
    path: &str,
    headers: &[(&'static str, &str)],
    messages: Vec<Vec<u8>>,
) -> Result<Streaming<Vec<u8>>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("a connection");
    let path = PathAndQuery::try_from(path).expect("a path");
    let mut request = Request::new(tokio_stream::iter(messages));
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().expect("a value"));
    }
    grpc.streaming(request, path, Bytes).await.map(|response| response.into_inner())
}

/// The same, up to the first answer.
pub(crate) async fn first(
    channel: &Channel,
    path: &str,
    messages: Vec<Vec<u8>>,
) -> Result<Option<Vec<u8>>, Status> {
    call(channel, path, messages).await?.message().await
}
