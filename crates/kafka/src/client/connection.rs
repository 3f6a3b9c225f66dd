//! One connection to a broker, with one request at a time.

use super::KafkaError;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiVersionsRequest, ApiVersionsResponse,
    DescribeTransactionsRequest, DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse, FetchRequest,
    FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse, ListTransactionsRequest,
    ListTransactionsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The name by which brokers know this client in their logs and metrics.
const CLIENT_ID: &str = "reflow";
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may take, beside the time that the request itself asks to wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// The most bytes of an answer. A fetch returns at least one batch, of whatever size.
const MAX_ANSWER_BYTES: usize = 1 << 30;
/// How an alert of TLS begins, which a broker sends that expects TLS and gets none.
const TLS_ALERT: i32 = 0x1503;

/// A stream of bytes, encrypted or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A request with its number in the protocol.
pub(super) trait Api: Message + Encodable + HeaderVersion {
    type Response: Message + Decodable + HeaderVersion;
    const KEY: i16;
    const NAME: &'static str;
    /// The versions that this client uses.
    const LOWEST: i16 = Self::VERSIONS.min;
    const HIGHEST: i16 = Self::VERSIONS.max;
    /// The versions from this one on are for clusters with version 2 of transactions.
    const TRANSACTIONS_V2_FROM: i16 = i16::MAX;
}

macro_rules! apis {
    ($($key:literal $request:ident $response:ident $(from $lowest:literal)? $(to $highest:literal)?
        $(transactions_v2_from $v2:literal)?;)*) => {$(
        impl Api for $request {
            type Response = $response;
            const KEY: i16 = $key;
            const NAME: &'static str = stringify!($request);
            $(const LOWEST: i16 = $lowest;)?
            $(const HIGHEST: i16 = $highest;)?
            $(const TRANSACTIONS_V2_FROM: i16 = $v2;)?
        }
    )*};
}

apis! {
    // Later versions name topics by their ids alone.
    0 ProduceRequest ProduceResponse to 12 transactions_v2_from 12;
    1 FetchRequest FetchResponse;
    2 ListOffsetsRequest ListOffsetsResponse;
    3 MetadataRequest MetadataResponse;
    // Later versions name topics by their ids alone.
    8 OffsetCommitRequest OffsetCommitResponse to 9;
    9 OffsetFetchRequest OffsetFetchResponse from 8 to 9;
    10 FindCoordinatorRequest FindCoordinatorResponse from 4;
    17 SaslHandshakeRequest SaslHandshakeResponse from 1;
    // With the features of the cluster. Every broker that is new enough for this client knows it.
    18 ApiVersionsRequest ApiVersionsResponse from 3 to 3;
    22 InitProducerIdRequest InitProducerIdResponse;
    // Later versions are for brokers.
    24 AddPartitionsToTxnRequest AddPartitionsToTxnResponse to 3;
    26 EndTxnRequest EndTxnResponse transactions_v2_from 5;
    // With the time for which a login counts.
    36 SaslAuthenticateRequest SaslAuthenticateResponse from 1;
    65 DescribeTransactionsRequest DescribeTransactionsResponse;
    66 ListTransactionsRequest ListTransactionsResponse;
}

/// A connection.
pub(super) struct Connection {
    address: String,
    stream: Box<dyn Transport>,
    /// The versions of each API that the broker knows.
    versions: BTreeMap<i16, (i16, i16)>,
    /// The version of transactions that the cluster has enabled.
    transactions: i16,
    requests: i32,
    /// The name of what it is secured by.
    protocol: &'static str,
    /// Whether a request was answered that the broker answers only if the connection is secured as it expects.
    is_proven: bool,
    /// When it must not be used any more, because the login ends.
    end: Option<Instant>,
}

impl Connection {
    /// Opens a connection that is not secured.
    pub(super) async fn open(address: &str) -> Result<Self, KafkaError> {
        let stream = Self::dial(address).await?;
        Self::begin(address, Box::new(stream), "PLAINTEXT").await
    }

    pub(super) async fn dial(address: &str) -> Result<TcpStream, KafkaError> {
        let unreachable = |source| KafkaError::Unreachable { address: address.to_owned(), source };
        let connected = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await;
        let stream =
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        Ok(stream)
    }

    /// Agrees on versions with a broker.
    pub(super) async fn begin(
        address: &str,
        stream: Box<dyn Transport>,
        protocol: &'static str,
    ) -> Result<Self, KafkaError> {
        let versions = BTreeMap::from([(
            ApiVersionsRequest::KEY,
            (ApiVersionsRequest::LOWEST, ApiVersionsRequest::HIGHEST),
        )]);
        let mut connection = Self {
            address: address.to_owned(),
            stream,
            versions,
            transactions: 0,
            requests: 0,
            protocol,
            is_proven: false,
            end: None,
        };
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(CLIENT_ID))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let answer = connection.send(&request, Duration::ZERO).await?;
        let mut features = answer.finalized_features.iter();
        let transactions = features.find(|feature| &*feature.name == "transaction.version");
        connection.transactions = transactions.map_or(0, |feature| feature.max_version_level);
        let versions = answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)));
        connection.versions = versions.collect();
        Ok(connection)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn transactions(&self) -> i16 {
        self.transactions
    }

    /// The login ends after this time.
    #[cfg(feature = "tls")]
    pub(super) fn end_after(&mut self, lifetime: Option<std::time::Duration>) {
        // A request that is sent before the end is answered, also behind it.
        self.end = lifetime.map(|lifetime| Instant::now() + lifetime.mul_f64(0.85));
    }

    /// Whether another request may be sent.
    pub(super) fn is_usable(&self) -> bool {
        self.end.is_none_or(|end| Instant::now() < end)
    }

    /// Sends a request and waits for its answer. After an error, or if it is dropped before, the connection must not be
    /// used again.
    pub(super) async fn send<R: Api>(
        &mut self,
        request: &R,
        wait: Duration,
    ) -> Result<R::Response, KafkaError> {
        let (least, most) = self.versions.get(&R::KEY).copied().unwrap_or((1, 0));
        let highest = match self.transactions {
            ..2 => R::HIGHEST.min(R::TRANSACTIONS_V2_FROM - 1),
            _ => R::HIGHEST,
        };
        let version = highest.min(most);
        if version < R::LOWEST.max(least) {
            return Err(KafkaError::Version { address: self.address.clone(), api: R::NAME });
        }
        self.requests = self.requests.wrapping_add(1);
        let message =
            encode(request, version, self.requests).map_err(|reason| self.protocol(R::NAME, reason))?;
        let exchange = exchange(&mut *self.stream, &message, !self.is_proven);
        let answer = tokio::time::timeout(ANSWER_WITHIN + wait, exchange).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let mut answer = answer.map_err(|source| self.lost(source))?;
        // These are answered whatever the listener expects of the client.
        self.is_proven |= ![ApiVersionsRequest::KEY, SaslHandshakeRequest::KEY].contains(&R::KEY);
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))
            .map_err(|error| self.protocol(R::NAME, error.to_string()))?;
        if header.correlation_id != self.requests {
            return Err(self.protocol(R::NAME, "it is the answer to another request".to_owned()));
        }
        R::Response::decode(&mut answer, version).map_err(|error| self.protocol(R::NAME, error.to_string()))
    }

    fn lost(&self, source: io::Error) -> KafkaError {
        let address = self.address.clone();
        match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
                if !self.is_proven =>
            {
                KafkaError::Closed { address, protocol: self.protocol }
            }
            _ => KafkaError::Disconnected { address, source },
        }
    }

    fn protocol(&self, api: &'static str, reason: String) -> KafkaError {
        KafkaError::Protocol { address: self.address.clone(), api, reason }
    }
}

fn encode<R: Api>(request: &R, version: i16, number: i32) -> Result<Bytes, String> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(number)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut message = BytesMut::zeroed(4);
    header.encode(&mut message, R::header_version(version)).map_err(|error| error.to_string())?;
    request.encode(&mut message, version).map_err(|error| error.to_string())?;
    let length = i32::try_from(message.len() - 4).map_err(|_| "it has more than 2 GiB".to_owned())?;
    message[..4].copy_from_slice(&length.to_be_bytes());
    Ok(message.freeze())
}

async fn exchange(stream: &mut dyn Transport, message: &[u8], is_new: bool) -> io::Result<Bytes> {
    stream.write_all(message).await?;
    stream.flush().await?;
    let length = stream.read_i32().await?;
    if is_new && length >> 16 == TLS_ALERT {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_ANSWER_BYTES);
    let length =
        length.ok_or_else(|| io::Error::other("the length of the answer is impossible: is it Kafka?"))?;
    let mut answer = BytesMut::with_capacity(length.min(1 << 20));
    while answer.len() < length {
        let left = (length - answer.len()) as u64;
        if (&mut *stream).take(left).read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(answer.freeze())
}
