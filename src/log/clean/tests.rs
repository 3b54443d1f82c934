//! The exact effects of passes over batches, without files.

use super::filter::{Filtered, Indexing, LastRecord, Round};
use super::map::OffsetMap;
use super::transactions::CleanedTransactions;
use crate::log::AbortedTxn;
use crate::model::{LeaderEpoch, Offset, ProducerId};
use crate::record::{
    Batch, BatchBuilder, BatchHeader, Batches, Codec, Compression, EndTransactionMarker, NO_SEQUENCE, Records, TimestampType,
};
use bytes::Bytes;
use std::collections::BTreeMap;

const NOW: i64 = 1_700_000_000_000;
const RETENTION: i64 = 1000;
/// Everything that a test appends lies below.
const END: i64 = 1000;

/// Key, value.
type Plain = (&'static str, Option<&'static str>);

#[derive(Clone)]
struct Settings {
    producers: BTreeMap<ProducerId, LastRecord>,
    aborted: Vec<AbortedTxn>,
    from: i64,
    upper: i64,
    now_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { producers: BTreeMap::new(), aborted: Vec::new(), from: 0, upper: END, now_ms: NOW }
    }
}

fn at(base: i64, codec: Codec) -> BatchBuilder {
    BatchBuilder::new(Compression::of(codec)).base_offset(Offset(base)).leader_epoch(LeaderEpoch(3))
}

fn filled(mut builder: BatchBuilder, records: &[Plain]) -> Bytes {
    for (delta, (key, value)) in records.iter().enumerate() {
        builder.append(NOW - 100 + delta as i64, Some(key.as_bytes()), value.map(str::as_bytes));
    }
    builder.build()
}

fn batch(base: i64, records: &[Plain]) -> Bytes {
    filled(at(base, Codec::None), records)
}

fn of(producer: i64, base: i64, sequence: i32, records: &[Plain]) -> Bytes {
    filled(at(base, Codec::None).producer(ProducerId(producer), 0, sequence), records)
}

fn in_transaction(producer: i64, base: i64, records: &[Plain]) -> Bytes {
    filled(at(base, Codec::None).producer(ProducerId(producer), 0, 0).transactional(true), records)
}

fn marker(producer: i64, offset: i64, commit: bool) -> Bytes {
    let marker = EndTransactionMarker { commit, coordinator_epoch: 1 };
    let builder = at(offset, Codec::None).producer(ProducerId(producer), 0, NO_SEQUENCE).transactional(true).control(true);
    let mut builder = builder;
    builder.append(NOW - 100, Some(&marker.control_type().key()), Some(&marker.value()));
    builder.build()
}

fn aborted(producer: i64, first: i64, last: i64) -> AbortedTxn {
    let producer_id = ProducerId(producer);
    let (first_offset, last_offset) = (Offset(first), Offset(last));
    AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset: last_offset.plus(1) }
}

/// One round over the batches; what is left, and the aborted transactions for the index.
fn round(batches: &[Bytes], settings: &Settings) -> Result<(Filtered, Vec<AbortedTxn>), String> {
    let transactions = || {
        let mut transactions = CleanedTransactions::default();
        transactions.add(settings.aborted.clone());
        transactions
    };
    let chunk = Bytes::from(batches.concat());
    let map = OffsetMap::new(100, 1 << 20, 0.9, [7, 8]);
    let mut indexing = Indexing { map, transactions: transactions(), from: Offset(settings.from) };
    assert!(indexing.index(&chunk)?, "the map has room");
    let mut round = Round {
        map: indexing.map,
        transactions: transactions(),
        producers: settings.producers.clone(),
        upper: Offset(settings.upper),
        cuts: 0,
        now_ms: settings.now_ms,
        delete_retention_ms: RETENTION,
    };
    let filtered = round.filter(&chunk)?;
    Ok((filtered, round.transactions.take_with_data()))
}

fn clean(batches: &[Bytes], settings: &Settings) -> Vec<Bytes> {
    let (filtered, _) = round(batches, settings).unwrap();
    split(&filtered)
}

fn split(filtered: &Filtered) -> Vec<Bytes> {
    let mut found = Vec::new();
    for (batch, noted) in Batches::new(&filtered.bytes).zip(&filtered.batches) {
        let batch = batch.unwrap();
        assert!(batch.crc_is_valid());
        assert_eq!((noted.position, noted.size), (batch.position as u64, batch.bytes.len() as u64));
        assert_eq!((noted.base, noted.last), (batch.header.base_offset, batch.header.last_offset()));
        let time = if batch.header.records_count == 0 { -1 } else { batch.header.max_timestamp };
        assert_eq!(noted.max_timestamp, time);
        found.push(Bytes::copy_from_slice(batch.bytes));
    }
    assert_eq!(found.len(), filtered.batches.len());
    found
}

/// Offset, timestamp, key, value of each record.
fn records(batches: &[Bytes]) -> Vec<(i64, i64, String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found = Vec::new();
    for bytes in batches {
        let batch = Batch::parse(bytes).unwrap();
        let payload = batch.uncompressed_payload(1 << 20).unwrap();
        for record in Records::new(&payload, batch.header.records_count) {
            let record = record.unwrap();
            let time = batch.header.base_timestamp + record.timestamp_delta;
            found.push((batch.offset_of(&record).0, time, text(record.key.unwrap_or_default()), record.value.map(text)));
        }
    }
    found
}

fn brief(batches: &[Bytes]) -> Vec<(i64, String)> {
    records(batches)
        .into_iter()
        .map(|(offset, _, key, value)| (offset, format!("{key}={}", value.unwrap_or("-".into()))))
        .collect()
}

fn headers(batches: &[Bytes]) -> Vec<BatchHeader> {
    batches.iter().map(|batch| BatchHeader::parse(batch).unwrap()).collect()
}

#[test]
fn the_newest_record_of_each_key_stays_at_its_offset() {
    for codec in Codec::ALL {
        let first = filled(at(0, codec), &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
        let second = filled(at(3, codec), &[("a", Some("2")), ("d", Some("1"))]);
        let third = filled(at(5, codec), &[("d", Some("2")), ("d", Some("3"))]);
        let left = clean(&[first.clone(), second.clone(), third], &Settings::default());
        assert_eq!(brief(&left), [(1, "b=1".into()), (2, "c=1".into()), (3, "a=2".into()), (6, "d=3".into())]);
        let headers = headers(&left);
        let offsets: Vec<_> = headers.iter().map(|header| (header.base_offset.0, header.last_offset().0)).collect();
        assert_eq!(offsets, [(0, 2), (3, 4), (5, 6)], "batches cover what they covered");
        assert!(headers.iter().all(|header| header.attributes.codec() == Ok(codec)));
        assert!(headers.iter().all(|header| header.partition_leader_epoch == LeaderEpoch(3)));
        assert_eq!(headers[0].max_timestamp, NOW - 98);
        assert_eq!(records(&left)[0].1, NOW - 99, "with its timestamp");
    }
}

#[test]
fn what_is_not_superseded_is_copied_byte_for_byte() {
    let batches = [batch(0, &[("a", Some("1"))]), filled(at(1, Codec::Lz4), &[("b", Some("1")), ("c", Some("1"))])];
    let (filtered, _) = round(&batches, &Settings::default()).unwrap();
    assert!(filtered.is_whole);
    assert_eq!((split(&filtered), filtered.records), (batches.to_vec(), (3, 3)));
}

#[test]
fn a_batch_without_records_goes_unless_it_tells_where_a_producer_or_the_round_ends() {
    let batches = [
        of(7, 0, 0, &[("a", Some("1"))]),
        of(7, 1, 1, &[("a", Some("2")), ("b", Some("1"))]),
        of(8, 3, 40, &[("a", Some("3"))]),
        batch(4, &[("a", Some("4")), ("b", Some("2"))]),
        batch(6, &[("c", Some("1"))]),
        batch(7, &[("c", Some("2"))]),
    ];
    let last = |offset: i64| LastRecord { data: Some(Offset(offset)), epoch: 0 };
    let producers = BTreeMap::from([(ProducerId(7), last(2)), (ProducerId(8), last(99))]);
    let settings = Settings { producers, ..Settings::default() };
    let left = clean(&batches, &settings);
    assert_eq!(brief(&left), [(4, "a=4".into()), (5, "b=2".into()), (7, "c=2".into())]);
    let header = headers(&left)[0];
    assert_eq!((header.producer_id, header.base_sequence, header.last_sequence()), (ProducerId(7), 1, 2));
    assert_eq!((header.base_offset.0, header.last_offset().0, header.records_count), (1, 2, 0));
    // A pass that looks again keeps the header for as long as it says something.
    assert_eq!(clean(&left, &settings), left);
    assert_eq!(clean(&left, &Settings::default()), left[1..]);
    // The last batch of the round is told by its end.
    let superseded =
        [batch(0, &[("a", Some("1"))]), batch(1, &[("a", Some("2")), ("a", Some("3"))]), batch(3, &[("a", Some("4"))])];
    let left = clean(&superseded, &Settings { upper: 3, ..Settings::default() });
    assert_eq!(
        headers(&left).iter().map(|header| (header.base_offset.0, header.records_count)).collect::<Vec<_>>(),
        [(1, 0), (3, 1)]
    );
}

#[test]
fn a_tombstone_gets_a_horizon_and_goes_when_that_is_over() {
    for codec in [Codec::None, Codec::Zstd] {
        let batches = [batch(0, &[("a", Some("1")), ("b", Some("1"))]), filled(at(2, codec), &[("a", None), ("c", Some("1"))])];
        let first = clean(&batches, &Settings::default());
        assert_eq!(brief(&first), [(1, "b=1".into()), (2, "a=-".into()), (3, "c=1".into())]);
        let header = headers(&first)[1];
        assert_eq!((header.delete_horizon_ms(), header.max_timestamp), (Some(NOW + RETENTION), NOW - 99));
        assert_eq!(headers(&first)[0].delete_horizon_ms(), None);
        let times: Vec<i64> = records(&first)[1..].iter().map(|record| record.1).collect();
        assert_eq!(times, [NOW - 100, NOW - 99], "timestamps count from the horizon now and say the same");
        let later = |now_ms: i64| Settings { now_ms, ..Settings::default() };
        assert_eq!(clean(&first, &later(NOW + RETENTION - 1)), first, "it stays, and its horizon does");
        let last = clean(&first, &later(NOW + RETENTION));
        assert_eq!(brief(&last), [(1, "b=1".into()), (3, "c=1".into())]);
        assert_eq!(headers(&last)[1].delete_horizon_ms(), Some(NOW + RETENTION));
        assert_eq!(headers(&last)[1].last_offset(), Offset(3));
    }
    // One that is superseded goes at once.
    let batches = [batch(0, &[("a", None)]), batch(1, &[("a", Some("1"))])];
    assert_eq!(clean(&batches, &Settings::default()), batches[1..]);
}

#[test]
fn what_lies_behind_the_map_is_not_judged_and_records_without_a_key_go() {
    let mut keyless = at(0, Codec::None);
    keyless.append(NOW, None, Some(b"x")).append(NOW, Some(b"a"), Some(b"1"));
    let batches = [keyless.build(), batch(2, &[("a", Some("2"))])];
    assert_eq!(brief(&clean(&batches, &Settings::default())), [(2, "a=2".into())]);
    let mut behind = at(3, Codec::None);
    behind.append(NOW, None, Some(b"x")).append(NOW, Some(b"a"), Some(b"3"));
    let all = [&batches[..], &[behind.build()]].concat();
    let map = OffsetMap::new(10, 1 << 20, 0.9, [7, 8]);
    let mut indexing = Indexing { map, transactions: CleanedTransactions::default(), from: Offset(0) };
    assert!(indexing.index(&Bytes::from(batches.concat())).unwrap());
    let mut round = Round {
        map: indexing.map,
        transactions: CleanedTransactions::default(),
        producers: BTreeMap::new(),
        upper: Offset(END),
        cuts: 0,
        now_ms: NOW,
        delete_retention_ms: RETENTION,
    };
    let left = split(&round.filter(&Bytes::from(all.concat())).unwrap());
    assert_eq!(brief(&left), [(2, "a=2".into()), (3, "=x".into()), (4, "a=3".into())]);
}

#[test]
fn only_the_dirty_part_is_entered_into_the_map() {
    let batches = [batch(0, &[("a", Some("1")), ("b", Some("1"))]), batch(2, &[("b", Some("2"))]), batch(3, &[("a", Some("2"))])];
    let left = clean(&batches, &Settings { from: 3, ..Settings::default() });
    assert_eq!(brief(&left), [(1, "b=1".into()), (2, "b=2".into()), (3, "a=2".into())], "b is not in the dirty part");
}

#[test]
fn aborted_data_goes_and_its_marker_stays_until_a_horizon_after_that() {
    let batches = [
        batch(0, &[("a", Some("1"))]),
        in_transaction(7, 1, &[("a", Some("2")), ("b", Some("2"))]),
        marker(7, 3, false),
        in_transaction(7, 4, &[("c", Some("3"))]),
        marker(7, 5, true),
    ];
    let settings = Settings { aborted: vec![aborted(7, 1, 3)], ..Settings::default() };
    let (filtered, kept) = round(&batches, &settings).unwrap();
    let first = split(&filtered);
    assert_eq!(kept, [aborted(7, 1, 3)], "the marker had data");
    assert_eq!(first, [&batches[..1], &batches[2..]].concat(), "an aborted record supersedes none");
    // No data is left before the marker: it waits for its horizon.
    let settings = Settings { aborted: kept, ..Settings::default() };
    let (filtered, kept) = round(&first, &settings).unwrap();
    let second = split(&filtered);
    assert!(kept.is_empty());
    let horizons: Vec<_> = headers(&second).iter().map(BatchHeader::delete_horizon_ms).collect();
    assert_eq!(horizons, [None, Some(NOW + RETENTION), None, None], "the other marker has its data");
    assert!(headers(&second)[1].attributes.is_control());
    let marker = Batch::parse(&second[1]).unwrap();
    let record = marker.records().unwrap().next().unwrap().unwrap();
    assert_eq!(EndTransactionMarker::parse(record.key, record.value).map(|marker| marker.commit), Some(false));
    let later = |now_ms: i64| Settings { now_ms, ..Settings::default() };
    assert_eq!(clean(&second, &later(NOW + RETENTION - 1)), second);
    assert_eq!(clean(&second, &later(NOW + RETENTION)), [&second[..1], &second[2..]].concat());
}

#[test]
fn a_commit_marker_waits_for_its_data_to_be_superseded() {
    let batches = [in_transaction(7, 0, &[("a", Some("1"))]), marker(7, 1, true), batch(2, &[("a", Some("2"))])];
    let first = clean(&batches, &Settings::default());
    assert_eq!(first, batches[1..], "this pass has seen the data");
    let second = clean(&first, &Settings::default());
    assert_eq!(headers(&second)[0].delete_horizon_ms(), Some(NOW + RETENTION));
    let third = clean(&second, &Settings { now_ms: NOW + RETENTION, ..Settings::default() });
    assert_eq!(third, batches[2..]);
    // Of a producer of which no data is known, the marker tells the epoch.
    let producers = BTreeMap::from([(ProducerId(7), LastRecord { data: None, epoch: 0 })]);
    let kept = clean(&second, &Settings { now_ms: NOW + RETENTION, producers, ..Settings::default() });
    assert_eq!((kept.len(), headers(&kept)[0].records_count, headers(&kept)[0].attributes.is_control()), (2, 0, true));
}

#[test]
fn an_empty_header_of_aborted_data_keeps_its_marker() {
    let batches = [in_transaction(7, 0, &[("a", Some("1"))]), marker(7, 1, false)];
    let producers = BTreeMap::from([(ProducerId(7), LastRecord { data: Some(Offset(0)), epoch: 0 })]);
    let settings = Settings { producers, aborted: vec![aborted(7, 0, 1)], ..Settings::default() };
    let first = clean(&batches, &settings);
    assert_eq!(headers(&first).iter().map(|header| header.records_count).collect::<Vec<_>>(), [0, 1]);
    let (filtered, kept) = round(&first, &settings).unwrap();
    assert_eq!((split(&filtered), kept), (first, vec![aborted(7, 0, 1)]));
}

#[test]
fn transactions_of_several_producers_do_not_get_mixed_up() {
    let batches = [
        in_transaction(7, 0, &[("a", Some("7"))]),
        in_transaction(8, 1, &[("a", Some("8"))]),
        marker(8, 2, false),
        marker(7, 3, true),
        in_transaction(8, 4, &[("b", Some("8"))]),
        marker(8, 5, true),
    ];
    let left = clean(&batches, &Settings { aborted: vec![aborted(8, 1, 2)], ..Settings::default() });
    assert_eq!(left, [&batches[..1], &batches[2..]].concat());
}

#[test]
fn the_brokers_timestamps_stay() {
    let mut builder = at(0, Codec::None).log_append_time(NOW - 7);
    builder.append(5, Some(b"a"), Some(b"1")).append(6, Some(b"b"), None);
    let left = clean(&[builder.build(), batch(2, &[("a", Some("2"))])], &Settings::default());
    let header = headers(&left)[0];
    assert_eq!((header.attributes.timestamp_type(), header.max_timestamp), (TimestampType::LogAppendTime, NOW - 7));
    assert_eq!(header.delete_horizon_ms(), Some(NOW + RETENTION));
}

#[test]
fn damage_is_told_and_not_copied() {
    let good = batch(0, &[("a", Some("1")), ("a", Some("2"))]);
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let error = round(&[Bytes::from(damaged)], &Settings::default()).err().unwrap();
    assert!(error.contains("CRC"), "{error}");
}
