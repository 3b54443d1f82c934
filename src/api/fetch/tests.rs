use super::budget::{Offer, deal};
use super::cache::{EVICT_AFTER, MAX_CACHED_PARTITIONS, Seat, SessionCache, SessionContext, SessionRequest};
use super::describe;
use super::session::{FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION, PartitionKey, Session, TopicKey, Wanted, next_epoch};
use crate::io::Mono;
use crate::model::{ErrorCode, LeaderEpoch, Offset, TopicId};
use crate::protocol::Records;
use crate::protocol::generated::fetch_response::{EpochEndOffset, PartitionData};
use crate::shard::{DivergingEpoch, FetchResult};
use bytes::Bytes;
use std::rc::Rc;
use std::time::Duration;

const START: Mono = Mono(1_000_000_000_000);

fn key(index: i32) -> PartitionKey {
    PartitionKey { topic: TopicKey::Id(TopicId([7; 16])), index }
}

fn wanted(fetch_offset: i64) -> Wanted {
    Wanted { fetch_offset, max_bytes: 1 << 20, current_leader_epoch: -1, last_fetched_epoch: -1, log_start_offset: -1 }
}

fn data(high_watermark: i64, records: &'static [u8]) -> PartitionData {
    let records = Records::Bytes(Bytes::from_static(records));
    PartitionData { high_watermark, log_start_offset: 0, preferred_read_replica: -1, records, ..Default::default() }
}

fn request(id: i32, epoch: i32, partitions: &[i32]) -> SessionRequest {
    let wanted = partitions.iter().map(|&index| (key(index), wanted(i64::from(index)))).collect();
    SessionRequest { id, epoch, uses_topic_ids: true, wanted, forget: Vec::new() }
}

/// A full fetch of partitions `0..partitions`, answered with high watermark 5 and nothing else.
fn create(cache: &SessionCache, partitions: i32, now: Mono) -> i32 {
    create_for(cache, partitions, false, now)
}

fn create_for(cache: &SessionCache, partitions: i32, is_replica: bool, now: Mono) -> i32 {
    let all: Vec<i32> = (0..partitions).collect();
    let begun = begin(cache, request(NO_SESSION, INITIAL_EPOCH, &all), now);
    let Ok((SessionContext::Full { uses_topic_ids }, wanted)) = begun else { panic!("a fetch of epoch 0 is full") };
    // As chance would have it: an id that was given up is not given out again at once.
    let random = (now.0 / 1_000_000) as u32 ^ (wanted.len() as u32) << 20;
    let mut session = Session::new(uses_topic_ids, is_replica);
    wanted.iter().for_each(|(key, wanted)| session.begin(key.clone(), *wanted, &data(5, b"")));
    let has_room = cache.has_room(wanted.len(), is_replica, now);
    let (id, _) = cache.keep(session, now, random);
    assert_eq!(id != NO_SESSION, has_room, "what there is room for is kept");
    id
}

fn begin(
    cache: &SessionCache,
    request: SessionRequest,
    now: Mono,
) -> Result<(SessionContext, Vec<(PartitionKey, Wanted)>), ErrorCode> {
    let (context, opened) = cache.open(request)?;
    Ok(cache.settle(context, opened.resolve(), now))
}

/// What an incremental request comes to: its session and the partitions to read, in order.
fn increment(cache: &SessionCache, request: SessionRequest, now: Mono) -> Result<(Rc<Seat>, Vec<i32>), ErrorCode> {
    let (context, wanted) = begin(cache, request, now)?;
    let SessionContext::Incremental { seat, epoch } = context else { panic!("the session has partitions") };
    let session = seat.take().expect("it was put back");
    assert_eq!(session.epoch, epoch);
    seat.put(session);
    Ok((seat, wanted.into_iter().map(|(key, _)| key.index).collect()))
}

fn refusal(cache: &SessionCache, request: SessionRequest) -> Option<ErrorCode> {
    begin(cache, request, START).err()
}

#[test]
fn epochs_count_from_one_and_start_there_again() {
    assert_eq!([INITIAL_EPOCH, 1, i32::MAX, FINAL_EPOCH].map(next_epoch), [1, 2, 1, FINAL_EPOCH]);
}

#[test]
fn a_session_is_only_told_what_has_changed() {
    let cache = SessionCache::new(0, 1, 10);
    let id = create(&cache, 3, START);
    assert!(id > NO_SESSION);
    let (session, order) = increment(&cache, request(id, 1, &[]), START).unwrap();
    assert_eq!(order, [0, 1, 2]);
    let mut open = session.take().unwrap();
    assert!(!open.answered(&key(0), &data(5, b"")), "nothing new");
    assert!(open.answered(&key(0), &data(6, b"")), "a new high watermark");
    assert!(!open.answered(&key(0), &data(6, b"")));
    assert!(open.answered(&key(0), &PartitionData { log_start_offset: 1, ..data(6, b"") }), "a new log start offset");
    assert!(open.answered(&key(1), &data(5, b"records")));
    let diverging_epoch = EpochEndOffset { epoch: 3, end_offset: 2 };
    assert!(open.answered(&key(2), &PartitionData { diverging_epoch, ..data(5, b"") }));
    let failed = PartitionData { error_code: 6, ..data(5, b"") };
    assert!(open.answered(&key(2), &failed) && open.answered(&key(2), &failed), "errors are told each time");
    assert!(open.answered(&key(2), &data(5, b"")), "and so is their end, though the high watermark is the same");
    assert!(!open.answered(&key(9), &data(5, b"records")), "a partition that was forgotten meanwhile");
    session.put(open);
    let (_, order) = increment(&cache, request(id, 2, &[]), START).unwrap();
    assert_eq!(order, [0, 2, 1], "who gave records is read last");
}

#[test]
fn a_session_takes_over_additions_changes_and_forgets() {
    let cache = SessionCache::new(0, 1, 10);
    let id = create(&cache, 2, START);
    let mut change = request(id, 1, &[5]);
    change.wanted.push((key(0), wanted(42)));
    change.forget = vec![key(1), key(8)];
    let (session, order) = increment(&cache, change, START).unwrap();
    assert_eq!(order, [0, 5]);
    let open = session.take().unwrap();
    assert_eq!(open.wanted()[0].1.fetch_offset, 42);
    session.put(open);
    // The last partition goes: so does the session, and the answer has none.
    let forget = SessionRequest { forget: vec![key(0), key(5)], ..request(id, 2, &[]) };
    let Ok((SessionContext::None, read)) = begin(&cache, forget, START) else { panic!("an empty session ends") };
    assert!(read.is_empty() && cache.len() == 0);
}

#[test]
fn what_does_not_fit_the_session_is_refused() {
    let cache = SessionCache::new(0, 1, 10);
    let id = create(&cache, 1, START);
    assert_eq!(refusal(&cache, request(id + 1, 1, &[])), Some(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(refusal(&cache, request(id, 2, &[])), Some(ErrorCode::InvalidFetchSessionEpoch));
    let by_name = |epoch| SessionRequest { uses_topic_ids: false, ..request(id, epoch, &[]) };
    assert_eq!(refusal(&cache, by_name(1)), Some(ErrorCode::FetchSessionTopicIdError));
    assert_eq!(refusal(&cache, by_name(2)), Some(ErrorCode::FetchSessionTopicIdError), "judged before the epoch");
    increment(&cache, request(id, 1, &[]), START).expect("refusals do not change the session");
    assert_eq!(refusal(&cache, request(id, 1, &[])), Some(ErrorCode::InvalidFetchSessionEpoch), "a repetition");
}

#[test]
fn a_full_request_ends_the_session_that_it_names() {
    let cache = SessionCache::new(0, 1, 10);
    for epoch in [INITIAL_EPOCH, FINAL_EPOCH] {
        let id = create(&cache, 1, START);
        let Ok((context, wanted)) = begin(&cache, request(id, epoch, &[3]), START) else { panic!("never refused") };
        assert_eq!((cache.len(), wanted.len()), (0, 1));
        assert_eq!(matches!(context, SessionContext::None), epoch == FINAL_EPOCH, "no session is made after the last epoch");
    }
}

#[test]
fn a_partition_that_is_named_twice_is_read_once_as_described_last() {
    let cache = SessionCache::new(0, 1, 10);
    let mut twice = request(NO_SESSION, INITIAL_EPOCH, &[4, 1]);
    twice.wanted.push((key(4), wanted(99)));
    let Ok((_, read)) = begin(&cache, twice, START) else { panic!("never refused") };
    assert_eq!(read, [(key(4), wanted(99)), (key(1), wanted(1))]);
}

#[test]
fn ids_say_which_core_has_the_session() {
    for cores in [1, 3, 16] {
        let caches: Vec<_> = (0..cores).map(|core| SessionCache::new(core, cores, 160)).collect();
        for (core, cache) in caches.iter().enumerate() {
            let ids: Vec<i32> = (0..5).map(|_| create(cache, 1, START)).collect();
            assert!(ids.iter().all(|&id| id > 0 && id as usize % cores == core), "{ids:?} on {core} of {cores}");
            for other in caches.iter().filter(|other| !std::ptr::eq(*other, cache)) {
                assert_eq!(refusal(other, request(ids[0], 1, &[])), Some(ErrorCode::FetchSessionIdNotFound));
            }
        }
    }
}

#[test]
fn slots_are_shared_out_over_the_cores() {
    let made = |core| {
        let cache = SessionCache::new(core, 4, 10);
        (0..10).filter(|_| create(&cache, 1, START) != NO_SESSION).count()
    };
    assert_eq!((0..4).map(made).collect::<Vec<_>>(), [3, 3, 2, 2]);
    assert_eq!(create(&SessionCache::new(0, 1, 0), 1, START), NO_SESSION);
}

#[test]
fn a_full_cache_gives_way_to_what_is_worth_more() {
    let cache = SessionCache::new(0, 1, 2);
    let (small, large) = (create(&cache, 2, START), create(&cache, 9, START));
    let later = START.after(EVICT_AFTER);
    assert_eq!(create(&cache, 50, later), NO_SESSION, "neither is older than two minutes");
    let old = later.after(Duration::from_millis(1));
    increment(&cache, request(small, 1, &[]), later).unwrap();
    increment(&cache, request(large, 1, &[]), later).unwrap();
    assert_eq!(create(&cache, 2, old), NO_SESSION, "not larger than the smallest");
    assert!(create(&cache, 3, old) > NO_SESSION);
    assert_eq!(refusal(&cache, request(small, 2, &[])), Some(ErrorCode::FetchSessionIdNotFound));
    increment(&cache, request(large, 2, &[]), old).expect("the large one is still there");
}

#[test]
fn clients_give_way_to_brokers_at_any_age_but_not_the_other_way_round() {
    let cache = SessionCache::new(0, 1, 2);
    let (small, large) = (create(&cache, 2, START), create(&cache, 9, START));
    let broker = create_for(&cache, 1, true, START);
    assert!(broker > NO_SESSION);
    assert_eq!(refusal(&cache, request(small, 1, &[])), Some(ErrorCode::FetchSessionIdNotFound), "the smallest went");
    assert!(create_for(&cache, 1, true, START) > NO_SESSION);
    assert_eq!(refusal(&cache, request(large, 1, &[])), Some(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(create_for(&cache, 50, true, START), NO_SESSION, "brokers are equals");
    let old = START.after(EVICT_AFTER + Duration::from_millis(1));
    increment(&cache, request(broker, 1, &[]), old).expect("it is used");
    assert!(create(&cache, 1, old) > NO_SESSION, "the other broker's was idle");
    assert_eq!(
        create(&cache, 50, old.after(Duration::from_millis(1))),
        NO_SESSION,
        "a client's is younger, a broker's worth more"
    );
}

#[test]
fn a_consumer_is_told_of_the_replica_near_it() {
    let data = describe(11, 0, &FetchResult { preferred_read_replica: Some(crate::model::BrokerId(3)), ..found(0) });
    assert_eq!((data.error_code, data.preferred_read_replica, data.records.len()), (0, 3, 0));
    assert_eq!(describe(11, 0, &found(10)).preferred_read_replica, -1);
}

#[test]
fn an_idle_session_gives_way_to_any() {
    let cache = SessionCache::new(0, 1, 2);
    let (idle, used) = (create(&cache, 9, START), create(&cache, 9, START));
    let later = START.after(EVICT_AFTER + Duration::from_millis(1));
    increment(&cache, request(used, 1, &[]), later).unwrap();
    assert!(create(&cache, 1, later) > NO_SESSION);
    assert_eq!(refusal(&cache, request(idle, 1, &[])), Some(ErrorCode::FetchSessionIdNotFound));
    increment(&cache, request(used, 2, &[]), later).expect("the other one is still there");
}

#[test]
fn the_partitions_of_all_sessions_are_bounded() {
    let cores = 1000;
    let most = (MAX_CACHED_PARTITIONS / cores) as i32;
    let cache = SessionCache::new(0, cores, 100_000);
    assert_eq!(create(&cache, most + 1, START), NO_SESSION);
    let first = create(&cache, most - 2, START);
    assert!(first > NO_SESSION);
    assert!(create(&cache, 2, START) > NO_SESSION);
    assert_eq!(create(&cache, 1, START), NO_SESSION);
    // A session that grows beyond the bound ends; its client goes on without one.
    assert_eq!(refusal(&cache, request(first, 1, &[most, most + 1])), Some(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(cache.len(), 1);
}

/// What goes into the answer of offers `(bytes, first batch, partition limit)`.
fn dealt(offers: &[(u64, u64, u64)], max_bytes: u64) -> Vec<u64> {
    let offer = |&(bytes, first_batch_bytes, partition_max_bytes): &_| Offer { bytes, first_batch_bytes, partition_max_bytes };
    deal(offers.iter().map(offer), max_bytes)
}

#[test]
fn the_budget_is_dealt_out_in_the_order_of_the_request() {
    assert_eq!(dealt(&[(50, 10, 100), (50, 10, 100), (50, 10, 100)], 1000), [50, 50, 50]);
    assert_eq!(dealt(&[(50, 10, 100), (50, 10, 100), (50, 10, 100)], 70), [50, 20, 0], "what is left is less than a batch");
    assert_eq!(dealt(&[(50, 10, 30), (50, 10, 100)], 1000), [30, 50], "a partition's own limit");
}

#[test]
fn the_first_data_hold_a_whole_batch_and_no_others_do() {
    assert_eq!(dealt(&[(500, 100, 1), (500, 100, 1)], 1000), [100, 0]);
    assert_eq!(dealt(&[(500, 100, 1000), (500, 100, 1000)], 0), [100, 0]);
    assert_eq!(dealt(&[(0, 0, 1000), (500, 100, 1)], 1), [0, 100], "partitions without data do not count as first");
    assert_eq!(dealt(&[(100, 100, 100), (100, 100, 99)], 1000), [100, 0]);
}

fn found(bytes: u64) -> FetchResult {
    let nothing = FetchResult::failed(ErrorCode::UnknownServerError);
    FetchResult { error: ErrorCode::None, bytes, first_batch_bytes: bytes, high_watermark: Offset(7), ..nothing }
}

#[test]
fn an_error_says_nothing_but_the_error() {
    let result = FetchResult { aborted: Some(Vec::new()), ..found(10) };
    let fine = describe(13, 2, &result);
    assert_eq!((fine.partition_index, fine.high_watermark, fine.records.len()), (2, 7, 10));
    assert_eq!(fine.aborted_transactions, Some(Vec::new()));
    let failed = describe(13, 2, &FetchResult { error: ErrorCode::OffsetOutOfRange, ..result });
    assert_eq!((failed.error_code, failed.high_watermark, failed.log_start_offset, failed.last_stable_offset), (1, -1, -1, -1));
    assert_eq!(failed.aborted_transactions, None);
    assert_eq!(failed.records, Records::Bytes(Bytes::new()), "empty, not null");
}

#[test]
fn old_clients_get_an_error_that_they_know() {
    let result = FetchResult::failed(ErrorCode::KafkaStorageError);
    assert_eq!(describe(5, 0, &result).error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(describe(6, 0, &result).error_code, ErrorCode::KafkaStorageError.code());
    let gone = FetchResult::failed(ErrorCode::UnknownTopicId);
    assert_eq!(describe(12, 0, &gone).error_code, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(describe(13, 0, &gone).error_code, ErrorCode::UnknownTopicId.code());
}

#[test]
fn a_diverging_epoch_is_told_without_an_error() {
    let diverging_epoch = Some(DivergingEpoch { epoch: LeaderEpoch(3), end_offset: Offset(9) });
    let data = describe(12, 0, &FetchResult { diverging_epoch, ..found(0) });
    assert_eq!((data.error_code, data.diverging_epoch.epoch, data.diverging_epoch.end_offset), (0, 3, 9));
}
