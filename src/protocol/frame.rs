//! A frame: four bytes of size, a header, a message. Takes requests apart and puts answers together.

use super::api::Audience;
use super::codec::{DecodeError, EncodeError, Message, Request};
use super::generated::{ApiKey, RequestHeader, ResponseHeader};
use super::str_bytes::StrBytes;
use super::{Chunk, Reader, Writer};
use bytes::Bytes;

/// Bytes of the size before each frame.
pub const SIZE_PREFIX: usize = 4;

/// A frame that cannot be answered; the connection is closed, as Kafka does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The header does not fit the frame or is malformed.
    #[error("the request header is malformed: {0}")]
    Header(#[from] DecodeError),
    /// Kafka 4.2 has no such API.
    #[error("API key {0} is not known")]
    UnknownApi(i16),
    /// An API or version that we do not advertise. ApiVersions never meets this: its unknown versions have an answer.
    #[error("{} version {version} is not served", api_key.name())]
    NotServed { api_key: ApiKey, version: i16 },
}

/// A request whose header has been read and whose message has not.
#[derive(Clone, Debug)]
pub struct RequestFrame {
    /// What is asked.
    pub api_key: ApiKey,
    /// In which version; served, but for ApiVersions, whose unknown versions are answered in version 0 with
    /// UNSUPPORTED_VERSION (see [`RequestFrame::is_version_served`]).
    pub version: i16,
    /// The client's number for this request, returned with the answer.
    pub correlation_id: i32,
    /// `client.id`; null from some clients.
    pub client_id: Option<StrBytes>,
    /// Bytes of the frame, header included, its length prefix not.
    pub size: usize,
    /// For whom the listener is that it came in by.
    pub audience: Audience,
    body: Reader,
}

impl RequestFrame {
    /// Reads the header of `frame` (the bytes after the size prefix) and judges API and version.
    pub fn parse(frame: Bytes) -> Result<Self, FrameError> {
        Self::parse_for(Audience::Clients, frame)
    }

    /// As [`RequestFrame::parse`], of a listener for `audience`.
    pub fn parse_for(audience: Audience, frame: Bytes) -> Result<Self, FrameError> {
        Self::read(audience, Reader::new(frame))
    }

    /// As [`RequestFrame::parse_for`] for one who has no time to lose.
    ///
    /// # Errors
    /// [`DecodeError::Long`] for a header of more than [`super::codec::SHORT_MESSAGE`] bytes.
    pub fn parse_short(audience: Audience, frame: &Bytes) -> Result<Self, FrameError> {
        Self::read(audience, Reader::new(frame.clone()).for_short_message())
    }

    fn read(audience: Audience, mut body: Reader) -> Result<Self, FrameError> {
        let size = body.remaining();
        let (code, version) = body.peek_i16s()?;
        let api_key = ApiKey::from_code(code).ok_or(FrameError::UnknownApi(code))?;
        let header = RequestHeader::decode(&mut body, api_key.request_header_version(version))?;
        let (correlation_id, client_id) = (header.correlation_id, header.client_id);
        let request = Self { api_key, version, correlation_id, client_id, size, audience, body };
        if request.is_version_served() || api_key == ApiKey::ApiVersions {
            Ok(request)
        } else {
            Err(FrameError::NotServed { api_key, version })
        }
    }

    /// Whether [`RequestFrame::decode`] makes sense.
    pub fn is_version_served(&self) -> bool {
        self.audience.is_served(self.api_key, self.version)
    }

    /// Bytes of the message, header excluded.
    pub fn body_len(&self) -> usize {
        self.body.remaining()
    }

    /// Reads the message. Bytes after it are ignored: so does Kafka 4.2 (tried). Panics if `R` is another API's request.
    pub fn decode<R: Request>(&self) -> Result<R, DecodeError> {
        assert_eq!(R::API_KEY, self.api_key, "a {} decoded as {}", self.api_key.name(), R::NAME);
        R::decode(&mut self.body.for_any_message(), self.version)
    }

    /// As [`RequestFrame::decode`] for one who has no time to lose.
    ///
    /// # Errors
    /// [`DecodeError::Long`] for a message of more than [`super::codec::SHORT_MESSAGE`] bytes.
    pub fn decode_short<R: Request>(&self) -> Result<R, DecodeError> {
        assert_eq!(R::API_KEY, self.api_key, "a {} decoded as {}", self.api_key.name(), R::NAME);
        R::decode(&mut self.body.for_short_message(), self.version)
    }

    /// What an answer to this request begins with.
    pub fn answers(&self) -> AnswerTo {
        AnswerTo { api_key: self.api_key, version: self.version, correlation_id: self.correlation_id }
    }
}

/// What of a request its answer needs.
#[derive(Clone, Copy, Debug)]
pub struct AnswerTo {
    /// What was asked.
    pub api_key: ApiKey,
    /// The version in which it was asked, and is answered.
    pub version: i16,
    /// The client's number for the request.
    pub correlation_id: i32,
}

impl AnswerTo {
    /// The frame of an answer, size prefix included, with gaps for external records.
    pub fn encode<M: Message>(self, response: &M) -> Result<Vec<Chunk>, EncodeError> {
        self.write(Writer::new(), response)
    }

    /// As [`AnswerTo::encode`] for one who has no time to lose.
    ///
    /// # Errors
    /// [`EncodeError::Long`] for an answer of more than [`super::codec::SHORT_MESSAGE`] bytes.
    pub fn encode_short<M: Message>(self, response: &M) -> Result<Vec<Chunk>, EncodeError> {
        self.write(Writer::for_short_message(), response)
    }

    fn write<M: Message>(self, mut writer: Writer, response: &M) -> Result<Vec<Chunk>, EncodeError> {
        writer.i32(0);
        let header = ResponseHeader { correlation_id: self.correlation_id };
        header.encode(&mut writer, self.api_key.response_header_version(self.version))?;
        response.encode(&mut writer, self.version)?;
        set_size(&mut writer)?;
        Ok(writer.into_chunks())
    }
}

/// The frame of a request of our own, size prefix included.
pub fn encode_request<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<StrBytes>,
    request: &R,
) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::contiguous();
    writer.i32(0);
    let header = RequestHeader { request_api_key: R::API_KEY as i16, request_api_version: version, correlation_id, client_id };
    header.encode(&mut writer, R::API_KEY.request_header_version(version))?;
    request.encode(&mut writer, version)?;
    set_size(&mut writer)?;
    Ok(writer.into_bytes())
}

/// The frame of a request that is none of Kafka's, version 0 of a private `api_key`, behind a request header of version 2.
pub fn encode_private_request(
    api_key: i16,
    correlation_id: i32,
    client_id: &StrBytes,
    body: &[u8],
) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::contiguous();
    writer.i32(0);
    writer.i16(api_key);
    writer.i16(0);
    writer.i32(correlation_id);
    writer.nullable_string(false, Some(client_id))?;
    writer.uvarint(0);
    writer.raw(body);
    set_size(&mut writer)?;
    Ok(writer.into_bytes())
}

/// Takes a request apart that is none of Kafka's, behind a request header of version 2: its version, correlation id and body.
pub fn decode_private_request(frame: Bytes) -> Result<(i16, i32, Bytes), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader, 2)?;
    let left = reader.remaining();
    Ok((header.request_api_version, header.correlation_id, reader.take(left)?))
}

/// The frame of an answer to it, behind a response header of version 1, size prefix included.
pub fn encode_private_answer(correlation_id: i32, body: &[u8]) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::contiguous();
    writer.i32(0);
    ResponseHeader { correlation_id }.encode(&mut writer, 1)?;
    writer.raw(body);
    set_size(&mut writer)?;
    Ok(writer.into_bytes())
}

/// Reads an answer to a request `R` of `version` (the bytes after the size prefix): its correlation id and the message.
pub fn decode_response<R: Request>(frame: Bytes, version: i16) -> Result<(i32, R::Response), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, R::API_KEY.response_header_version(version))?;
    Ok((header.correlation_id, R::Response::decode(&mut reader, version)?))
}

fn set_size(writer: &mut Writer) -> Result<(), EncodeError> {
    let size = writer.len() - SIZE_PREFIX;
    writer.set_first_i32(i32::try_from(size).map_err(|_| EncodeError::TooLong(size))?);
    Ok(())
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
