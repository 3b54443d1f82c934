//! Reads a whole partition over a blocking connection to its leader, record by record.

use crate::kafka::{Client, EARLIEST, LATEST, error_name, fail};
use crate::worker::Failure;
use flumen::protocol::StrBytes;
use flumen::protocol::generated::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use flumen::record::{self, Batches, Record};

/// The highest version that names the topic by its name.
const FETCH_VERSION: i16 = 12;
/// Bytes that are read at once.
const FETCH_BYTES: i32 = 8 << 20;
/// Most that one batch may unpack to, in bytes.
const MAX_BATCH_BYTES: usize = 1 << 30;
/// Answers without a record before the end, after which nothing is hoped for any more.
const EMPTY_ANSWERS: usize = 20;

/// Reads one partition, which `client`'s broker leads, from its start to its end, and gives each record with its offset to `take`.
pub fn partition(
    client: &mut Client,
    topic: &str,
    partition: i32,
    mut take: impl FnMut(i64, &Record<'_>),
) -> Result<(), Failure> {
    let mut at = |time| Ok::<i64, Failure>(client.offsets(topic, &[partition], time)?[&partition]);
    let (mut offset, end, mut empty) = (at(EARLIEST)?, at(LATEST)?, 0);
    let told = |offset: i64, what: String| Failure(format!("{topic}-{partition} at offset {offset}: {what}"));
    while offset < end {
        let bytes = fetch(client, topic, partition, offset).map_err(|what| told(offset, what.0))?;
        let before = offset;
        for batch in Batches::new(&bytes) {
            let batch = batch.map_err(|error| told(offset, error.to_string()))?;
            if !batch.crc_is_valid() {
                return Err(told(offset, "the CRC does not hold".to_owned()));
            }
            let payload = batch.uncompressed_payload(MAX_BATCH_BYTES).map_err(|error| told(offset, error.to_string()))?;
            for record in record::Records::new(&payload, batch.header.records_count) {
                let record = record.map_err(|error| told(offset, error.to_string()))?;
                let found = batch.offset_of(&record).0;
                // A fetch from the middle of a batch gets the whole batch.
                if found >= offset {
                    take(found, &record);
                }
            }
            offset = offset.max(batch.header.next_offset().0);
        }
        empty = if offset == before { empty + 1 } else { 0 };
        if empty > EMPTY_ANSWERS {
            return Err(told(offset, format!("nothing comes, though the log ends at {end}")));
        }
    }
    Ok(())
}

fn fetch(client: &mut Client, topic: &str, partition: i32, fetch_offset: i64) -> Result<bytes::Bytes, Failure> {
    let asked = FetchPartition { partition, fetch_offset, partition_max_bytes: FETCH_BYTES, ..Default::default() };
    let topic = FetchTopic { topic: StrBytes::from(topic), partitions: vec![asked], ..Default::default() };
    let request = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = client.call(&request, FETCH_VERSION)?;
    let found = answer.responses.iter().flat_map(|topic| &topic.partitions).next();
    let code = found.map_or(answer.error_code, |found| found.error_code);
    match found {
        Some(found) if code == 0 => Ok(found.records.bytes().cloned().unwrap_or_default()),
        _ => fail(format!("Fetch: {}", error_name(code))),
    }
}
