//! The producer snapshot file (`ProducerSnapshot.json`, version 1), as Kafka writes it at each roll and at a clean stop.
//!
//! ```text
//! 0 version i16 = 1   2 crc u32 (CRC-32C of all that follows)   6 count i32   10 entries of 46 bytes:
//! producerId i64, epoch i16, lastSequence i32, lastOffset i64, offsetDelta i32, timestamp i64, coordinatorEpoch i32,
//! currentTxnFirstOffset i64 (-1: none open)
//! ```
//!
//! Only the last batch of a producer is kept. A last offset of -1 means that no batch is remembered.

use super::entry::{BatchMetadata, ProducerEntry};
use crate::model::{Offset, ProducerId};
use crate::record::NO_SEQUENCE;

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const ENTRIES_AT: usize = 6;
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;
const _: () = assert!(ENTRIES_AT + 4 == HEADER_BYTES && ENTRY_BYTES == 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8);

/// Why a file is not a producer snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Shorter than its header, or not as long as its count of entries says.
    #[error("producer snapshot of {0} bytes does not fit its number of entries")]
    Length(usize),
    /// Written by another format.
    #[error("producer snapshot has the unknown version {0}")]
    Version(i16),
    /// Bytes have changed since it was written.
    #[error("producer snapshot is corrupt: stored crc {stored:#010x}, computed {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
}

/// The content of a snapshot file.
pub fn encode_snapshot<'a>(entries: impl Iterator<Item = (ProducerId, &'a ProducerEntry)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + entries.size_hint().0 * ENTRY_BYTES);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; HEADER_BYTES - CRC_AT]);
    let mut count = 0i32;
    for (id, entry) in entries {
        let last = entry.last_batch();
        out.extend_from_slice(&id.0.to_be_bytes());
        out.extend_from_slice(&entry.epoch().to_be_bytes());
        out.extend_from_slice(&last.map_or(NO_SEQUENCE, |b| b.last_sequence).to_be_bytes());
        out.extend_from_slice(&last.map_or(-1, |b| b.last_offset.0).to_be_bytes());
        out.extend_from_slice(&last.map_or(0, |b| b.offset_delta).to_be_bytes());
        out.extend_from_slice(&entry.last_timestamp().to_be_bytes());
        out.extend_from_slice(&entry.coordinator_epoch().to_be_bytes());
        out.extend_from_slice(&entry.current_txn_first_offset().map_or(-1, |o| o.0).to_be_bytes());
        count += 1;
    }
    out[ENTRIES_AT..HEADER_BYTES].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&out[ENTRIES_AT..]);
    out[CRC_AT..ENTRIES_AT].copy_from_slice(&crc.to_be_bytes());
    out
}

/// The entries of a snapshot file, in file order.
///
/// # Errors
/// See [`SnapshotError`]. Bytes behind the entries are refused, unlike Kafka's reader: Kafka writes none.
pub fn decode_snapshot(file: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>, SnapshotError> {
    if file.len() < HEADER_BYTES {
        return Err(SnapshotError::Length(file.len()));
    }
    let mut header = Reader(file);
    let version = i16::from_be_bytes(header.take());
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let stored = u32::from_be_bytes(header.take());
    let computed = crc32c::crc32c(&file[ENTRIES_AT..]);
    if stored != computed {
        return Err(SnapshotError::Crc { stored, computed });
    }
    let count = i32::from_be_bytes(header.take());
    let body = header.0;
    if usize::try_from(count).ok().and_then(|n| n.checked_mul(ENTRY_BYTES)) != Some(body.len()) {
        return Err(SnapshotError::Length(file.len()));
    }
    Ok(body.chunks_exact(ENTRY_BYTES).map(|bytes| decode_entry(Reader(bytes))).collect())
}

fn decode_entry(mut bytes: Reader<'_>) -> (ProducerId, ProducerEntry) {
    let id = ProducerId(i64::from_be_bytes(bytes.take()));
    let epoch = i16::from_be_bytes(bytes.take());
    let last_sequence = i32::from_be_bytes(bytes.take());
    let last_offset = Offset(i64::from_be_bytes(bytes.take()));
    let offset_delta = i32::from_be_bytes(bytes.take());
    let timestamp = i64::from_be_bytes(bytes.take());
    let coordinator_epoch = i32::from_be_bytes(bytes.take());
    let txn_first = Offset(i64::from_be_bytes(bytes.take()));
    let batch = (last_offset >= Offset::ZERO).then_some(BatchMetadata { last_sequence, last_offset, offset_delta, timestamp });
    let open = (txn_first >= Offset::ZERO).then_some(txn_first);
    (id, ProducerEntry::restored(epoch, coordinator_epoch, timestamp, open, batch))
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.0.split_first_chunk::<N>().expect("the length was checked");
        self.0 = tail;
        *head
    }
}
