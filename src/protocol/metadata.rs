//! The envelope of a record value in `__cluster_metadata`: an unsigned varint each for the envelope's version, which is 1, for the
//! record's kind and for its version; then the record, which is always flexible. Records there have no key.

use super::codec::{DecodeError, EncodeError};
use super::generated::MetadataRecord;
use super::{Reader, Writer};
use bytes::Bytes;

/// The only version of the envelope. Kafka's class comment says 0, its code writes and demands 1.
const FRAME_VERSION: u32 = 1;

impl MetadataRecord {
    /// Reads a record's value: the record and the version in which it was written.
    ///
    /// Unlike in a request, bytes after the record are an error, as in Kafka.
    pub fn from_bytes(value: Bytes) -> Result<(Self, i16), DecodeError> {
        let mut reader = Reader::new(value);
        let frame_version = reader.uvarint()?;
        if frame_version != FRAME_VERSION {
            return Err(DecodeError::UnknownKind(frame_version as i32));
        }
        let kind = reader.uvarint()?;
        let version = reader.uvarint()?;
        let version = i16::try_from(version).map_err(|_| DecodeError::InvalidLength(i64::from(version)))?;
        let record = Self::decode_body(&mut reader, kind, version)?;
        match reader.remaining() {
            0 => Ok((record, version)),
            left => Err(DecodeError::TrailingBytes { left }),
        }
    }

    /// The record's value in `version`, which the metadata version in force decides.
    pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::contiguous();
        writer.uvarint(FRAME_VERSION);
        writer.uvarint(self.api_key());
        writer.uvarint(u32::try_from(version).expect("versions are not negative"));
        self.encode_body(&mut writer, version)?;
        Ok(writer.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicId;
    use crate::protocol::generated::{PartitionChangeRecord, TopicRecord};

    #[test]
    fn a_topic_record_has_the_bytes_of_kafka() {
        let record = MetadataRecord::from(TopicRecord { name: "foo".into(), topic_id: TopicId([7; 16]), ..Default::default() });
        let value = record.to_bytes(0).unwrap();
        let expected = [&[1, 2, 0, 4][..], b"foo", &[7; 16], &[0]].concat();
        assert_eq!(value, expected);
        assert_eq!(MetadataRecord::from_bytes(value).unwrap(), (record, 0));
    }

    #[test]
    fn another_envelope_a_later_kind_and_trailing_bytes_are_errors() {
        let decode = |bytes: &[u8]| MetadataRecord::from_bytes(Bytes::copy_from_slice(bytes)).unwrap_err();
        assert_eq!(decode(&[0, 20, 0, 0]), DecodeError::UnknownKind(0));
        assert_eq!(decode(&[1, 99, 0, 0]), DecodeError::UnknownKind(99));
        assert_eq!(decode(&[1, 20, 0, 0, 0]), DecodeError::TrailingBytes { left: 1 });
        assert!(matches!(decode(&[1, 20, 1, 0]), DecodeError::UnsupportedVersion { version: 1, .. }));
    }

    #[test]
    fn tagged_fields_of_a_later_version_survive_a_rewrite_in_order() {
        // Version 1 knows tags 0 to 5 and 8, not 6 and 7.
        let body = [&[1, 5, 1][..], &[0, 0, 0, 3], &[9; 16], &[3, 1, 4, 0, 0, 0, 2, 6, 2, 1, 1, 8, 1, 1]].concat();
        let (record, version) = MetadataRecord::from_bytes(Bytes::from(body.clone())).unwrap();
        let MetadataRecord::PartitionChange(change) = &record else { panic!("{record:?}") };
        let unknown = vec![(6, Bytes::from_static(&[1, 1]))];
        let expected = PartitionChangeRecord {
            partition_id: 3,
            topic_id: TopicId([9; 16]),
            leader: 2,
            directories: Some(vec![]),
            unknown_tagged_fields: unknown,
            ..Default::default()
        };
        assert_eq!(change, &expected);
        assert_eq!(record.to_bytes(version).unwrap(), body);
    }
}
