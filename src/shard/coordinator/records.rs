//! From the machine's records to batches of `__consumer_offsets`, and back.

use crate::group::{Coordinator, Record};
use crate::io::Io;
use crate::protocol::DecodeError;
use crate::protocol::generated::{ConsumerOffsetsKey, ConsumerOffsetsValue};
use crate::record::{Batch, BatchBuilder, BatchHeader, Compression, Records, ValidatedBatch};
use bytes::Bytes;

/// Versions that Kafka 4.2 writes: of groups, of offsets, and of offsets that say themselves when they are to be forgotten.
const GROUP_VERSION: i16 = 3;
const OFFSET_VERSION: i16 = 4;
const EXPIRING_OFFSET_VERSION: i16 = 1;
/// Bytes that a batch may unpack to.
const MAX_UNPACKED: usize = 1 << 30;
/// Records that are taken in one go.
const SLICE: usize = 32;

/// The records as one batch that may be appended.
pub(super) fn batch(records: &[Record], wall_ms: i64, compression: Compression) -> ValidatedBatch {
    let mut builder = BatchBuilder::new(compression);
    for record in records {
        let key = record.key.to_bytes().expect("a key has one version, which can carry it");
        let value = record.value.as_ref().map(|value| value.to_bytes(version(value)).expect("its version can carry the value"));
        builder.append(wall_ms, Some(&key), value.as_deref());
    }
    let bytes = builder.build();
    let header = BatchHeader::parse(&bytes).expect("it was just built");
    let offset_of_max_timestamp = i64::from(header.last_offset_delta);
    ValidatedBatch { bytes, header, max_timestamp: wall_ms, offset_of_max_timestamp, log_append_time: -1 }
}

fn version(value: &ConsumerOffsetsValue) -> i16 {
    match value {
        ConsumerOffsetsValue::OffsetCommit(value) if value.expire_timestamp >= 0 => EXPIRING_OFFSET_VERSION,
        ConsumerOffsetsValue::OffsetCommit(_) => OFFSET_VERSION,
        _ => GROUP_VERSION,
    }
}

/// Hands the records of a batch to the coordinator. A kind that is not known says nothing to this broker; what cannot be read of a kind
/// that is known must not be passed over.
pub(super) async fn load(coordinator: &mut Coordinator, batch: &Batch<'_>, io: &Io) -> Result<(), String> {
    if batch.header.attributes.is_control() {
        return Ok(());
    }
    let at = batch.header.base_offset;
    let payload = batch.uncompressed_payload(MAX_UNPACKED).map_err(|error| format!("the batch at {at}: {error}"))?;
    for (index, record) in Records::new(&payload, batch.header.records_count).enumerate() {
        let record = record.map_err(|error| format!("the batch at {at}: {error}"))?;
        let unreadable = |error: DecodeError| format!("record {index} of the batch at {at}: {error}");
        let Some(key) = record.key else { continue };
        let key = match ConsumerOffsetsKey::from_bytes(Bytes::copy_from_slice(key)) {
            Err(DecodeError::UnknownKind(_)) => continue,
            key => key.map_err(unreadable)?,
        };
        let value = record.value.map(|value| ConsumerOffsetsValue::from_bytes(key.kind(), Bytes::copy_from_slice(value)));
        coordinator.load(&key, value.transpose().map_err(unreadable)?.as_ref());
        if index % SLICE == SLICE - 1 {
            io.yield_if_needed().await;
        }
    }
    io.yield_if_needed().await;
    Ok(())
}
