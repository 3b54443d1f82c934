//! Batches of metadata records to and from bytes.

use super::MAX_BATCH_BYTES;
use crate::controller::record_version;
use crate::model::{LeaderEpoch, Offset};
use crate::protocol::MetadataRecord;
use crate::record::{Batch, BatchBuilder, Compression, ControlRecordType, Records};
use bytes::Bytes;

/// Largest batch that is read back, uncompressed. Twice what is written: Kafka's limit counts differently.
const MAX_READ_BYTES: usize = 2 * MAX_BATCH_BYTES;

/// Bytes of a batch of `records` at `base_offset`, or how many they would be if they are too many.
pub(super) fn encode(
    records: &[MetadataRecord],
    metadata_version: i16,
    base_offset: Offset,
    epoch: i32,
    now_ms: i64,
) -> Result<Bytes, usize> {
    let mut builder = BatchBuilder::new(Compression::NONE).base_offset(base_offset).leader_epoch(LeaderEpoch(epoch));
    for record in records {
        let version = record_version(record, metadata_version);
        let value = record.to_bytes(version).expect("a decision makes records that its metadata version has");
        builder.append(now_ms, None, Some(&value));
    }
    let bytes = builder.build();
    if bytes.len() > MAX_BATCH_BYTES {
        return Err(bytes.len());
    }
    Ok(bytes)
}

/// Bytes of a batch with one control record.
pub(super) fn encode_control(kind: ControlRecordType, value: &[u8], base_offset: Offset, epoch: i32, now_ms: i64) -> Bytes {
    encode_controls(&[(kind, value)], base_offset, epoch, now_ms)
}

/// Bytes of a batch with control records.
pub(super) fn encode_controls(records: &[(ControlRecordType, &[u8])], base_offset: Offset, epoch: i32, now_ms: i64) -> Bytes {
    let builder = BatchBuilder::new(Compression::NONE).base_offset(base_offset).leader_epoch(LeaderEpoch(epoch));
    let mut builder = builder.control(true);
    for (kind, value) in records {
        builder.append(now_ms, Some(&kind.key()), Some(value));
    }
    builder.build()
}

/// The metadata records of a batch; none of a control batch.
///
/// # Errors
/// It is damaged, or no batch of metadata.
pub fn decode(batch: &Batch<'_>) -> Result<Vec<MetadataRecord>, String> {
    if !batch.crc_is_valid() {
        return Err(format!("the batch at {} is corrupt", batch.header.base_offset));
    }
    if batch.header.attributes.is_control() {
        return Ok(vec![]);
    }
    let at = |error: &dyn std::fmt::Display| format!("metadata record in the batch at {}: {error}", batch.header.base_offset);
    let payload = batch.uncompressed_payload(MAX_READ_BYTES).map_err(|error| at(&error))?;
    let mut records = vec![];
    for record in Records::new(&payload, batch.header.records_count) {
        let record = record.map_err(|error| at(&error))?;
        let Some(value) = record.value else { return Err(at(&"it has no value")) };
        let (record, _) = MetadataRecord::from_bytes(Bytes::copy_from_slice(value)).map_err(|error| at(&error))?;
        records.push(record);
    }
    Ok(records)
}

/// What the first record of a control batch is.
pub(super) fn control_type(batch: &Batch<'_>) -> Option<ControlRecordType> {
    let first = batch.records().filter(|_| batch.header.attributes.is_control())?.next()?.ok()?;
    ControlRecordType::parse_key(first.key).ok().flatten()
}
