//! The room as the api sees it, on real cores with real files.

use super::*;
use crate::config::BrokerConfig;
use crate::controller::{Command, ConfigAlteration, ConfigChange, ConfigOperation, ConfigResource, Reply};
use crate::io::{Io, Mono, Topology, start};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicIdPartition};
use crate::protocol::generated::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use crate::protocol::generated::{CreateTopicsRequest, DeleteTopicsRequest};
use crate::record::{BatchBuilder, Compression, ValidateOptions, validate};
use futures_util::FutureExt as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) fn config(dir: &Path, more: &[(&str, &str)]) -> Arc<BrokerConfig> {
    let dirs = ("log.dirs".to_owned(), dir.to_str().unwrap().to_owned());
    let more = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let overrides: Vec<_> = std::iter::once(dirs).chain(more).collect();
    Arc::new(BrokerConfig::load(None, &overrides).expect("a valid configuration").0)
}

/// Starts a broker's cores, runs `scenario` on core 0, and stops cleanly.
pub(super) fn run<F: Future<Output = ()> + 'static>(
    cores: usize,
    config: Arc<BrokerConfig>,
    scenario: impl Fn(Shards) -> F + Send + Sync + Clone + 'static,
) {
    let (seats, over) = (Seats::new(cores), Arc::new(AtomicBool::new(false)));
    let main = move |io: Io| {
        let (seats, over, config, scenario) = (seats.clone(), over.clone(), config.clone(), scenario.clone());
        async move {
            let shards = Shards::open(io.clone(), seats, config, &[]).await.expect("the broker starts");
            let mut outcome = Ok(());
            if io.core() == 0 {
                outcome = AssertUnwindSafe(scenario(shards.clone())).catch_unwind().await;
                over.store(true, Ordering::Release);
            }
            while !over.load(Ordering::Acquire) {
                io.sleep(Duration::from_millis(2)).await;
            }
            shards.stop().await;
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    };
    let topology = Topology { cores, busy_poll: Duration::ZERO };
    start(&topology, main).expect("cores start").join().expect("no core failed");
}

pub(super) fn batch(io: &Io, values: &[&str], producer: Option<(i64, i16, i32)>) -> ValidatedBatch {
    let mut builder = BatchBuilder::new(Compression::NONE);
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(crate::model::ProducerId(id), epoch, sequence);
    }
    for value in values {
        builder.append(io.wall_clock_ms(), None, Some(value.as_bytes()));
    }
    let bytes = builder.build();
    validate(bytes, &ValidateOptions::new(io.wall_clock_ms())).expect("a valid batch")
}

pub(super) fn soon(io: &Io) -> Mono {
    io.now().after(Duration::from_secs(20))
}

pub(super) async fn produce(
    shards: &Shards,
    partition: i32,
    values: &[&str],
    producer: Option<(i64, i16, i32)>,
    acks: i16,
) -> ProduceResult {
    let batch = batch(shards.io(), values, producer);
    let slice = ProduceSlice { topic_id: topic_id(shards), partition: PartitionIndex(partition), batch };
    let mut results = shards.produce(vec![slice], acks, soon(shards.io())).await;
    assert_eq!(results.len(), 1);
    results.remove(0)
}

pub(super) fn id(shards: &Shards, partition: i32) -> TopicIdPartition {
    TopicIdPartition { topic_id: topic_id(shards), partition: PartitionIndex(partition) }
}

pub(super) fn read(topic_id: TopicId, partitions: &[(i32, i64)], max_bytes: u64) -> FetchRead {
    let partition = |&(partition, offset): &(i32, i64)| FetchPartition {
        topic_id,
        partition: PartitionIndex(partition),
        fetch_offset: Offset(offset),
        max_bytes,
        current_leader_epoch: LeaderEpoch::NONE,
        last_fetched_epoch: LeaderEpoch::NONE,
        log_start_offset: Offset(-1),
    };
    FetchRead {
        partitions: partitions.iter().map(partition).collect(),
        isolation: Isolation::ReadUncommitted,
        max_bytes,
        replica: None,
        leader_only: true,
        near: None,
        is_repeated: false,
    }
}

/// The record values in what a fetch returned, with their offsets.
pub(super) async fn values(io: &Io, result: &FetchResult) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for slice in &result.slices {
        let bytes = slice.file.read_at(io, slice.position, slice.len as usize).await.expect("a slice is readable");
        for batch in crate::record::Batches::new(&bytes) {
            let batch = batch.expect("a whole batch");
            assert!(batch.crc_is_valid());
            for record in batch.records().expect("not compressed") {
                let record = record.expect("a whole record");
                found.push((batch.offset_of(&record).0, String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
            }
        }
    }
    found
}

/// Creates the topic `events`; its id.
pub(super) async fn with_topic(shards: &Shards, partitions: i32, configs: &[(&str, &str)]) -> TopicId {
    create_topic(shards, "events", partitions, configs).await
}

/// Creates a topic; its id.
pub(super) async fn create_topic(shards: &Shards, name: &str, partitions: i32, configs: &[(&str, &str)]) -> TopicId {
    let config = |&(name, value): &(&str, &str)| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
        ..CreatableTopicConfig::default()
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    match shards.controller(Command::CreateTopics(request)).await {
        Ok(Reply::CreateTopics(response)) => {
            assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
            response.topics[0].topic_id
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn topic_id(shards: &Shards) -> TopicId {
    shards.image().topic_by_name("events").expect("the topic is there").id
}

#[test]
fn what_is_produced_on_any_core_is_read_and_survives_a_clean_restart() {
    let dir = tempfile::tempdir().unwrap();
    let settings = config(dir.path(), &[]);
    run(2, settings.clone(), |shards| async move {
        let topic = with_topic(&shards, 4, &[]).await;
        for partition in 0..4 {
            let first = produce(&shards, partition, &["a", "b"], None, -1).await;
            assert_eq!((first.error, first.base_offset), (ErrorCode::None, Offset(0)));
            let second = produce(&shards, partition, &["c"], None, 1).await;
            assert_eq!((second.error, second.base_offset), (ErrorCode::None, Offset(2)));
        }
        let results = shards.fetch(read(topic, &[(3, 0), (0, 1), (1, 2), (2, 3)], 1 << 20)).await;
        let expected = [vec![(0, "a"), (1, "b"), (2, "c")], vec![(0, "a"), (1, "b"), (2, "c")], vec![(2, "c")], vec![]];
        for (result, expected) in results.iter().zip(expected) {
            assert_eq!((result.error, result.high_watermark), (ErrorCode::None, Offset(3)));
            let found = values(shards.io(), result).await;
            assert_eq!(found, expected.iter().map(|(o, v)| (*o, (*v).to_owned())).collect::<Vec<_>>());
        }
        let out = shards.fetch(read(topic, &[(0, 4), (9, 0)], 1 << 20)).await;
        assert_eq!(out[0].error, ErrorCode::OffsetOutOfRange);
        assert_eq!(out[1].error, ErrorCode::UnknownTopicOrPartition);
    });
    assert!(dir.path().join(".kafka_cleanshutdown").exists(), "a clean stop leaves its marker");
    run(1, settings, |shards| async move {
        let topic = topic_id(&shards);
        for result in shards.fetch(read(topic, &[(0, 0), (1, 0), (2, 0), (3, 0)], 1 << 20)).await {
            assert_eq!((result.error, result.high_watermark), (ErrorCode::None, Offset(3)));
            assert_eq!(values(shards.io(), &result).await.len(), 3);
        }
        assert_eq!(shards.core().all_partitions()[0].log.latest_epoch(), LeaderEpoch(0), "a clean stop costs no epoch");
        assert_eq!(produce(&shards, 2, &["d"], None, -1).await.base_offset, Offset(3));
    });
}

#[test]
fn an_old_topic_of_the_same_name_in_another_log_dir_is_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let dirs = [home.path().join("a"), home.path().join("b")];
    let both = format!("{},{}", dirs[0].display(), dirs[1].display());
    let settings = config(home.path(), &[("log.dirs", &both)]);
    run(2, settings.clone(), |shards| async move {
        with_topic(&shards, 1, &[]).await;
        produce(&shards, 0, &["new"], None, 1).await;
    });
    // As if that log dir had been offline while the topic was deleted and made anew.
    let (here, there) = if dirs[0].join("events-0").exists() { (&dirs[0], &dirs[1]) } else { (&dirs[1], &dirs[0]) };
    std::fs::create_dir(there.join("events-0")).unwrap();
    let old = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAKg\n";
    std::fs::write(there.join("events-0/partition.metadata"), old).unwrap();
    run(2, settings, |shards| async move {
        let result = shards.fetch(read(topic_id(&shards), &[(0, 0)], 1 << 20)).await.remove(0);
        assert_eq!(values(shards.io(), &result).await, [(0, "new".to_owned())]);
    });
    assert!(here.join("events-0").exists() && !there.join("events-0").exists());
    let set_aside = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().ends_with("-stray");
    assert_eq!(std::fs::read_dir(there).unwrap().map(set_aside).filter(|&aside| aside).count(), 1);
}

#[test]
fn overlapping_calls_keep_their_order_and_share_writes() {
    let dir = tempfile::tempdir().unwrap();
    run(2, config(dir.path(), &[]), |shards| async move {
        let topic = with_topic(&shards, 2, &[]).await;
        let mut answers = Vec::new();
        for round in 0..200 {
            let slices = (0..2)
                .map(|partition| {
                    let batch = batch(shards.io(), &[&format!("{round}")], None);
                    ProduceSlice { topic_id: topic, partition: PartitionIndex(partition), batch }
                })
                .collect();
            answers.push(shards.produce(slices, -1, soon(shards.io())));
        }
        for (round, answer) in answers.into_iter().enumerate() {
            for result in answer.await {
                assert_eq!((result.error, result.base_offset), (ErrorCode::None, Offset(round as i64)));
            }
        }
        let writes = shards.io().counters().write_calls;
        assert!(writes < 150, "{writes} writes for 200 batches that came at once");
        for result in shards.fetch(read(topic, &[(0, 0), (1, 0)], 1 << 20)).await {
            let found = values(shards.io(), &result).await;
            assert_eq!(found, (0..200).map(|n| (n, n.to_string())).collect::<Vec<_>>());
        }
    });
}

#[test]
fn idempotent_producers_get_the_first_offset_again_even_while_it_is_being_written() {
    let dir = tempfile::tempdir().unwrap();
    run(1, config(dir.path(), &[]), |shards| async move {
        let topic = with_topic(&shards, 1, &[]).await;
        let slice = |sequence| {
            let batch = batch(shards.io(), &["x", "y"], Some((5, 0, sequence)));
            vec![ProduceSlice { topic_id: topic, partition: PartitionIndex(0), batch }]
        };
        let send = |sequence| shards.produce(slice(sequence), -1, soon(shards.io()));
        // All in one turn: the second and the fourth are duplicates of what is not written yet, the fifth has a gap.
        let answers = [send(0), send(0), send(2), send(0), send(6)];
        let mut results = Vec::new();
        for answer in answers {
            results.extend(answer.await.into_iter().map(|result| (result.error, result.base_offset.0)));
        }
        let (none, gap) = (ErrorCode::None, ErrorCode::OutOfOrderSequenceNumber);
        assert_eq!(results, [(none, 0), (none, 0), (none, 2), (none, 0), (gap, -1)]);
        assert_eq!(send(2).await[0].base_offset, Offset(2));
        assert_eq!(shards.fetch(read(topic, &[(0, 4)], 100)).await[0].high_watermark, Offset(4));
    });
}

#[test]
fn a_watch_wakes_for_growth_on_another_core_and_loses_nothing_that_came_before_it() {
    let dir = tempfile::tempdir().unwrap();
    run(2, config(dir.path(), &[]), |shards| async move {
        let topic = with_topic(&shards, 2, &[]).await;
        let watched = |seen| {
            (0..2)
                .map(|n| WatchPartition { id: id(&shards, n), seen: Offset(seen), current_leader_epoch: LeaderEpoch::NONE })
                .collect::<Vec<_>>()
        };
        let short = shards.io().now().after(Duration::from_millis(30));
        let watch = shards.watch(watched(0), Isolation::ReadUncommitted).await;
        assert_eq!(watch.wait(1, short).await, Woken::Deadline);
        for partition in 0..2 {
            produce(&shards, partition, &["late"], None, 1).await;
        }
        assert_eq!(watch.wait(100, soon(shards.io())).await, Woken::Ready);
        drop(watch);
        // What grew between the read and the watch wakes it at once.
        let watch = shards.watch(watched(0), Isolation::ReadCommitted).await;
        assert_eq!(watch.wait(1 << 40, soon(shards.io())).await, Woken::Ready);
        let watch = shards.watch(watched(1), Isolation::ReadCommitted).await;
        let short = shards.io().now().after(Duration::from_millis(30));
        assert_eq!(watch.wait(1, short).await, Woken::Deadline);
        // A deleted topic wakes everybody.
        let request = DeleteTopicsRequest { topic_names: vec!["events".into()], ..DeleteTopicsRequest::default() };
        shards.controller(Command::DeleteTopics(request)).await.expect("decided");
        assert_eq!(watch.wait(1 << 40, soon(shards.io())).await, Woken::Ready);
        assert_eq!(shards.fetch(read(topic, &[(0, 0)], 100)).await[0].error, ErrorCode::UnknownTopicId);
    });
}

#[test]
fn offsets_are_found_by_time_and_records_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    run(2, config(dir.path(), &[]), |shards| async move {
        let topic = with_topic(&shards, 1, &[]).await;
        for value in ["a", "b", "c"] {
            produce(&shards, 0, &[value], None, 1).await;
        }
        let list = |timestamp| {
            let query = ListOffset { id: id(&shards, 0), current_leader_epoch: LeaderEpoch::NONE, timestamp };
            shards.list_offsets(vec![query], Isolation::ReadUncommitted, BrokerId(-1))
        };
        assert_eq!(list(-1).await[0].offset, Offset(3));
        assert_eq!(list(-2).await[0].offset, Offset(0));
        assert_eq!(list(0).await[0].offset, Offset(0));
        assert_eq!(list(i64::MAX).await[0], ListedOffset::nothing(ErrorCode::None));
        let deleted = shards.delete_records(vec![(id(&shards, 0), Offset(2)), (id(&shards, 0), Offset(9))]).await;
        assert_eq!(deleted[0], DeletedRecords { error: ErrorCode::None, low_watermark: Offset(2), log_start: Offset(2) });
        assert_eq!(deleted[1].error, ErrorCode::OffsetOutOfRange);
        assert_eq!(list(-2).await[0].offset, Offset(2));
        assert_eq!(shards.fetch(read(topic, &[(0, 1)], 100)).await[0].error, ErrorCode::OffsetOutOfRange);
        let all = shards.delete_records(vec![(id(&shards, 0), Offset(-1))]).await;
        assert_eq!(all[0].low_watermark, Offset(3));
        let checkpoint = std::fs::read_to_string(shards.core().settings.log_dirs[0].join("log-start-offset-checkpoint")).unwrap();
        assert!(checkpoint.contains("events 0 3"), "{checkpoint}");
    });
}

#[test]
fn with_a_flush_for_every_message_acks_wait_for_the_device() {
    let dir = tempfile::tempdir().unwrap();
    run(1, config(dir.path(), &[]), |shards| async move {
        with_topic(&shards, 1, &[("flush.messages", "1")]).await;
        for acks in [1, -1] {
            let syncs = shards.io().counters().syncs;
            assert_eq!(produce(&shards, 0, &["durable"], None, acks).await.error, ErrorCode::None);
            assert!(shards.io().counters().syncs > syncs, "acks={acks} came before a sync");
        }
        let partition = shards.core().partition(id(&shards, 0)).unwrap();
        assert_eq!(partition.log.recovery_point(), Offset(2));
    });
}

#[test]
fn transactional_and_oversized_batches_are_refused_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    run(1, config(dir.path(), &[]), |shards| async move {
        let topic = with_topic(&shards, 1, &[("segment.bytes", "1048576")]).await;
        let transactional = {
            let mut builder =
                BatchBuilder::new(Compression::NONE).producer(crate::model::ProducerId(1), 0, 0).transactional(true);
            builder.append(shards.io().wall_clock_ms(), None, Some(b"x"));
            validate(builder.build(), &ValidateOptions::new(shards.io().wall_clock_ms())).unwrap()
        };
        let large = batch(shards.io(), &["v".repeat(1_048_510).as_str()], None);
        let slices = [transactional, large, batch(shards.io(), &["fine"], None)];
        let slices =
            slices.into_iter().map(|batch| ProduceSlice { topic_id: topic, partition: PartitionIndex(0), batch }).collect();
        let results = shards.produce(slices, 1, soon(shards.io())).await;
        let errors: Vec<_> = results.iter().map(|result| (result.error, result.base_offset.0)).collect();
        let (txn, size) = (ErrorCode::InvalidTxnState, ErrorCode::RecordListTooLarge);
        assert_eq!(errors, [(txn, -1), (size, -1), (ErrorCode::None, 0)]);
        let bad = shards.produce(
            vec![ProduceSlice { topic_id: topic, partition: PartitionIndex(0), batch: batch(shards.io(), &["x"], None) }],
            2,
            soon(shards.io()),
        );
        assert_eq!(bad.await[0].error, ErrorCode::InvalidRequiredAcks);
    });
}

#[test]
fn producer_ids_are_given_once_over_all_cores() {
    let dir = tempfile::tempdir().unwrap();
    run(1, config(dir.path(), &[]), |shards| async move {
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..2500 {
            assert!(ids.insert(shards.producer_id().await.expect("an id")));
        }
        assert_eq!(ids.first().unwrap().0, 0);
    });
}

pub(super) async fn alter(shards: &Shards, resource: ConfigResource, name: &str, operation: ConfigOperation) {
    let change = ConfigChange::Incremental(vec![(name.to_owned(), operation)]);
    let command = Command::AlterConfigs { alterations: vec![ConfigAlteration { resource, change }], validate_only: false };
    match shards.controller(command).await {
        Ok(Reply::AlterConfigs(results)) => assert_eq!(results, [Ok(())]),
        other => panic!("{other:?}"),
    }
}

/// The log dir of the metadata takes no partitions: as with Kafka, a broker that has no other left ends.
#[test]
fn a_broker_without_a_log_dir_for_partitions_does_not_go_on() {
    let home = tempfile::tempdir().unwrap();
    let paths: Vec<String> = ["a", "b", "metadata"].iter().map(|name| home.path().join(name).display().to_string()).collect();
    let settings = config(home.path(), &[("log.dirs", &paths[..2].join(",")), ("metadata.log.dir", &paths[2])]);
    run(2, settings, |shards| async move {
        shards.core().dir_failed(0, "as the test wants it");
        shards.io().sleep(Duration::from_millis(50)).await;
        assert!(shards.fatal().now_or_never().is_none(), "the second is left");
        shards.core().dir_failed(1, "as the test wants it");
        assert!(shards.fatal().await.contains("no log dir is left"));
    });
}

/// A log that is compacted only has no start that a client may move: every partition shows at once by which policy it goes.
async fn refuse_deletion(shards: &Shards) -> Vec<bool> {
    let all = (0..8).map(|partition| (id(shards, partition), Offset(0))).collect();
    let results = shards.delete_records(all).await;
    results.iter().map(|result| result.error == ErrorCode::PolicyViolation).collect()
}

#[test]
fn changed_configs_are_in_force_on_every_core_before_they_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let settings = config(dir.path(), &[]);
    let compact = || ConfigOperation::Set("compact".to_owned());
    run(2, settings.clone(), move |shards| async move {
        with_topic(&shards, 8, &[]).await;
        assert_eq!(refuse_deletion(&shards).await, [false; 8]);
        let topic = || ConfigResource::Topic("events".into());
        alter(&shards, topic(), "cleanup.policy", compact()).await;
        assert_eq!(refuse_deletion(&shards).await, [true; 8]);
        alter(&shards, topic(), "cleanup.policy", ConfigOperation::Delete).await;
        assert_eq!(refuse_deletion(&shards).await, [false; 8]);
        alter(&shards, ConfigResource::Broker(None), "log.cleanup.policy", compact()).await;
        assert_eq!(refuse_deletion(&shards).await, [true; 8]);
        let delete = ConfigOperation::Set("delete".to_owned());
        alter(&shards, ConfigResource::Broker(Some(BrokerId(1))), "log.cleanup.policy", delete).await;
        assert_eq!(refuse_deletion(&shards).await, [false; 8], "this broker's own default wins");
        alter(&shards, ConfigResource::Broker(None), "max.connections", ConfigOperation::Set("3".to_owned())).await;
        assert_eq!(shards.live_config().max_connections, 3);
        alter(&shards, topic(), "cleanup.policy", compact()).await;
    });
    run(1, settings, |shards| async move {
        assert_eq!(
            (refuse_deletion(&shards).await, shards.live_config().max_connections),
            (vec![true; 8], 3),
            "also after a restart"
        );
    });
}

#[test]
fn producers_and_log_dirs_of_all_cores_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    run(2, config(dir.path(), &[]), move |shards| {
        let path = path.clone();
        async move {
            with_topic(&shards, 4, &[]).await;
            for partition in 0..4 {
                let produced = produce(&shards, partition, &["a", "b"], Some((7, 2, 0)), -1).await;
                assert_eq!(produced.error, ErrorCode::None);
            }
            let unknown = TopicIdPartition { topic_id: topic_id(&shards), partition: PartitionIndex(4) };
            let asked = (0..4).map(|partition| id(&shards, partition)).chain([unknown]).collect();
            let told = shards.active_producers(asked).await;
            for producers in &told[..4] {
                let [producer] = producers.as_deref().unwrap() else { panic!("{producers:?}") };
                assert_eq!((producer.producer_id.0, producer.producer_epoch, producer.last_sequence), (7, 2, 1));
                assert_eq!((producer.coordinator_epoch, producer.current_txn_start_offset), (-1, Offset(-1)));
            }
            assert_eq!(told[4], Err(ErrorCode::UnknownTopicOrPartition));
            assert_eq!(shards.log_dirs(), [LogDirState { path, is_offline: false }]);
            let sizes = shards.log_sizes().await;
            assert!(sizes.len() == 4 && sizes.iter().all(|size| size.bytes > 61 && size.log_dir == 0), "{sizes:?}");
            let space = shards.io().disk_space(&shards.log_dirs()[0].path).await.unwrap();
            assert!(space.total >= space.usable && space.usable > 0);
        }
    });
}

/// Which cluster it belongs to cannot be guessed, unlike that of a broker that is alone.
#[test]
fn a_node_of_a_cluster_is_formatted_before_it_starts() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let lines = format!(
        "node.id=2\nprocess.roles=broker,controller\ncontroller.quorum.voters=1@a:1,2@b:1\ncontroller.listener.names=C\n\
         listeners=PLAINTEXT://127.0.0.1:0,C://127.0.0.1:0\nlog.dirs={}\n",
        dir.display()
    );
    let config = Arc::new(BrokerConfig::load(Some(lines.as_bytes()), &[]).unwrap().0);
    let (seats, topology) = (Seats::new(1), Topology { cores: 1, busy_poll: Duration::ZERO });
    let main = move |io: Io| {
        let (seats, config) = (seats.clone(), config.clone());
        async move {
            let refused = Shards::open(io, seats, config, &[]).await.err().expect("it is not formatted").to_string();
            assert!(refused.contains("No `meta.properties` found in") && refused.contains("flumen storage format"), "{refused}");
        }
    };
    start(&topology, main).expect("cores start").join().expect("no core failed");
    assert!(!dir.join("meta.properties").exists());
}

/// The asker is told, and does not wait for a broker that will never answer.
#[test]
fn what_is_too_much_at_once_is_refused_and_nothing_of_it_is_done() {
    let directory = tempfile::tempdir().unwrap();
    run(1, config(directory.path(), &[]), |shards| async move {
        let throttled: Vec<String> = (1_000..5_500).map(|partition| format!("{partition}:1")).collect();
        let config = CreatableTopicConfig {
            name: "leader.replication.throttled.replicas".into(),
            value: Some(throttled.join(",").into()),
            ..CreatableTopicConfig::default()
        };
        let topic = |number: usize| CreatableTopic {
            name: format!("t{number}").into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: vec![config.clone()],
            ..CreatableTopic::default()
        };
        let create = |count| CreateTopicsRequest { topics: (0..count).map(topic).collect(), ..CreateTopicsRequest::default() };
        assert_eq!(shards.controller(Command::CreateTopics(create(400))).await, Ok(Reply::TooLarge));
        assert_eq!(shards.image().topic_count(), 0);
        let Ok(Reply::CreateTopics(few)) = shards.controller(Command::CreateTopics(create(2))).await else { panic!() };
        assert!(few.topics.iter().all(|topic| topic.error_code == 0), "{few:?}");
        assert_eq!(shards.image().topic_count(), 2);
    });
}
