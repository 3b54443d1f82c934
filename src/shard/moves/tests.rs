//! Moves on the real disk: what is acked and read meanwhile, what is left of the old place, and what ends a move.

use crate::config::BrokerConfig;
use crate::controller::{Command, ConfigOperation, ConfigResource};
use crate::model::{ErrorCode, Offset, PartitionIndex, TopicIdPartition};
use crate::protocol::generated::DeleteTopicsRequest;
use crate::shard::tests::{alter, config, id, produce, read, run, topic_id, values, with_topic};
use crate::shard::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Until what is done by itself has been done.
const PATIENCE: Duration = Duration::from_secs(10);
const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
/// Small segments, and values of which three fill one.
const SEGMENTS: [(&str, &str); 2] = [("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")];
const VALUE: usize = 300 << 10;

/// Two log dirs in a directory.
fn two_dirs(home: &Path) -> (Arc<BrokerConfig>, [PathBuf; 2]) {
    let dirs = [home.join("a"), home.join("b")];
    let both = format!("{},{}", dirs[0].display(), dirs[1].display());
    (config(home, &[("log.dirs", &both), ("log.cleaner.backoff.ms", "5")]), dirs)
}

/// Which log dir the partition 0 is in, by what DescribeLogDirs says.
async fn place(shards: &Shards) -> usize {
    let sizes = shards.log_sizes().await;
    sizes.iter().find(|size| size.id == id(shards, 0) && !size.is_future).expect("it is there").log_dir
}

async fn future(shards: &Shards) -> Option<LogSize> {
    shards.log_sizes().await.into_iter().find(|size| size.is_future)
}

async fn move_to(shards: &Shards, dir: usize) -> ErrorCode {
    shards.alter_log_dirs(vec![(id(shards, 0), dir)]).await.remove(0)
}

fn large(number: usize) -> String {
    format!("{number}{}", " ".repeat(VALUE))
}

async fn produce_large(shards: &Shards, count: usize) {
    for number in 0..count {
        let result = produce(shards, 0, &[&large(number)], Some((5, 0, number as i32)), 1).await;
        assert_eq!((result.error, result.base_offset), (ErrorCode::None, Offset(number as i64)), "{result:?}");
    }
}

/// Numbers of the records from the start, which are those of their offsets.
async fn check(shards: &Shards, count: usize) {
    let mut next = 0;
    while next < count {
        let result = shards.fetch(read(topic_id(shards), &[(0, next as i64)], 1 << 20)).await.remove(0);
        assert_eq!(result.error, ErrorCode::None);
        let part = values(shards.io(), &result).await;
        assert!(!part.is_empty(), "nothing at {next}");
        for (offset, value) in part {
            assert_eq!((offset, value.trim_end()), (next as i64, next.to_string().as_str()));
            next += 1;
        }
    }
    assert_eq!(next, count);
}

/// Directories of partitions in a log dir, a copy by that word; what is on its way out is not counted.
fn entries(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let names = names.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("events")).collect();
    names.retain(|name| !name.ends_with("-delete"));
    names.sort();
    names.into_iter().map(|name| if name.ends_with("-future") { "future".to_owned() } else { name }).collect()
}

fn directory_of(shards: &Shards) -> crate::model::TopicId {
    let image = shards.image();
    image.partition(topic_id(shards), PartitionIndex(0)).unwrap().directories[0]
}

#[test]
fn a_partition_moves_while_it_is_written_and_read_and_is_there_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let (settings, dirs) = two_dirs(home.path());
    let (paths, count) = (dirs.clone(), 60);
    run(1, settings.clone(), move |shards| {
        let paths = paths.clone();
        async move {
            with_topic(&shards, 1, &SEGMENTS).await;
            produce_large(&shards, 8).await;
            let source = place(&shards).await;
            let target = 1 - source;
            assert_eq!(move_to(&shards, target).await, ErrorCode::None);
            assert_eq!(move_to(&shards, target).await, ErrorCode::None, "what is under way already");
            // More is written, each batch at the offset that it would get anyway, until it has moved and beyond.
            let mut number = 8;
            let mut after = 0;
            while number < count && after < 5 {
                let result = produce(&shards, 0, &[&large(number)], Some((5, 0, number as i32)), -1).await;
                assert_eq!((result.error, result.base_offset), (ErrorCode::None, Offset(number as i64)));
                number += 1;
                after += usize::from(place(&shards).await == target);
                check(&shards, number).await;
            }
            shards
                .io()
                .until(PATIENCE, "the move", async || place(&shards).await == target && future(&shards).await.is_none())
                .await;
            shards.io().until(PATIENCE, "the removal", async || entries(&paths[source]).is_empty()).await;
            assert_eq!(entries(&paths[target]), ["events-0"]);
            for number in number..count {
                assert_eq!(produce(&shards, 0, &[&large(number)], Some((5, 0, number as i32)), 1).await.error, ErrorCode::None);
            }
            check(&shards, count).await;
            let again = produce(&shards, 0, &[&large(count - 1)], Some((5, 0, count as i32 - 1)), 1).await;
            assert_eq!(again.base_offset, Offset(count as i64 - 1), "the producer's last batch is known");
            let ids = shards.core().dir_ids.borrow().clone();
            shards.io().until(PATIENCE, "the metadata", async || Some(directory_of(&shards)) == ids[target]).await;
            // There and back again.
            assert_eq!(move_to(&shards, source).await, ErrorCode::None);
            shards.io().until(PATIENCE, "the way back", async || place(&shards).await == source).await;
            check(&shards, count).await;
            shards.io().until(PATIENCE, "the metadata", async || Some(directory_of(&shards)) == ids[source]).await;
        }
    });
    run(2, settings, move |shards| async move {
        check(&shards, count).await;
        assert_eq!(produce(&shards, 0, &["more"], Some((5, 0, count as i32)), 1).await.base_offset, Offset(count as i64));
    });
    assert_eq!(entries(&dirs[0]).len() + entries(&dirs[1]).len(), 1);
}

/// As slow as can be: a move that does not get on.
async fn slow_down(shards: &Shards) {
    alter(shards, ConfigResource::Broker(None), RATE, ConfigOperation::Set("1".to_owned())).await;
}

#[test]
fn a_slow_move_is_described_goes_on_after_a_restart_and_is_given_up_when_it_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let (settings, dirs) = two_dirs(home.path());
    let paths = dirs.clone();
    run(1, settings.clone(), move |shards| {
        let paths = paths.clone();
        async move {
            with_topic(&shards, 1, &SEGMENTS).await;
            slow_down(&shards).await;
            produce_large(&shards, 12).await;
            let target = 1 - place(&shards).await;
            assert_eq!(move_to(&shards, target).await, ErrorCode::None);
            assert_eq!(entries(&paths[target]), ["future"], "there when it is answered");
            shards
                .io()
                .until(PATIENCE, "the first part", async || future(&shards).await.is_some_and(|size| size.bytes > 0))
                .await;
            let size = future(&shards).await.unwrap();
            assert_eq!((size.log_dir, size.id), (target, id(&shards, 0)));
            assert!(size.offset_lag > 0 && size.offset_lag < 12, "{size:?}");
            assert_eq!(place(&shards).await, 1 - target);
        }
    });
    let paths = dirs.clone();
    run(1, settings.clone(), move |shards| {
        let paths = paths.clone();
        async move {
            let source = place(&shards).await;
            shards.io().until(PATIENCE, "it goes on", async || future(&shards).await.is_some_and(|size| size.bytes > 0)).await;
            shards.io().until(PATIENCE, "one copy", async || entries(&paths[1 - source]) == ["future"]).await;
            assert_eq!(move_to(&shards, source).await, ErrorCode::None);
            assert_eq!((future(&shards).await, entries(&paths[1 - source])), (None, vec![]));
            check(&shards, 12).await;
        }
    });
    run(1, settings, |shards| async move {
        assert_eq!(future(&shards).await, None, "given up for good");
        let target = 1 - place(&shards).await;
        assert_eq!(move_to(&shards, target).await, ErrorCode::None);
        // A rate that is raised is felt at once.
        alter(&shards, ConfigResource::Broker(None), RATE, ConfigOperation::Delete).await;
        shards.io().until(PATIENCE, "the move", async || place(&shards).await == target).await;
        check(&shards, 12).await;
    });
}

#[test]
fn what_happens_to_the_log_meanwhile_happens_to_the_copy() {
    let home = tempfile::tempdir().unwrap();
    let (settings, _) = two_dirs(home.path());
    let more = [&SEGMENTS[..], &[("retention.ms", "-1")]].concat();
    run(1, settings.clone(), move |shards| {
        let more = more.clone();
        async move {
            with_topic(&shards, 1, &more).await;
            slow_down(&shards).await;
            produce_large(&shards, 12).await;
            let target = 1 - place(&shards).await;
            assert_eq!(move_to(&shards, target).await, ErrorCode::None);
            shards
                .io()
                .until(PATIENCE, "the first part", async || future(&shards).await.is_some_and(|size| size.bytes > 0))
                .await;
            // Segments that were copied already go, and the log begins in the middle of one.
            let deleted = shards.delete_records(vec![(id(&shards, 0), Offset(7))]).await;
            assert_eq!(deleted[0].low_watermark, Offset(7));
            let partition = shards.core().partition(id(&shards, 0)).unwrap();
            assert!(partition.log.apply_retention(Offset(12)).await.unwrap() > 0);
            alter(&shards, ConfigResource::Broker(None), RATE, ConfigOperation::Delete).await;
            shards.io().until(PATIENCE, "the move", async || place(&shards).await == target).await;
            assert_eq!(produce(&shards, 0, &[&large(12)], Some((5, 0, 12)), 1).await.base_offset, Offset(12));
            assert_eq!(shards.fetch(read(topic_id(&shards), &[(0, 6)], 1)).await[0].error, ErrorCode::OffsetOutOfRange);
        }
    });
    run(1, settings, |shards| async move {
        let result = shards.fetch(read(topic_id(&shards), &[(0, 7)], 10 << 20)).await.remove(0);
        assert_eq!(result.log_start_offset, Offset(7));
        let found = values(shards.io(), &result).await;
        let numbers: Vec<_> = found.iter().map(|(_, value)| value.trim_end()).collect();
        assert_eq!(numbers, ["7", "8", "9", "10", "11", "12"]);
    });
}

#[test]
fn a_topic_that_is_deleted_on_its_way_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (settings, dirs) = two_dirs(home.path());
    run(1, settings, move |shards| {
        let paths = dirs.clone();
        async move {
            with_topic(&shards, 1, &SEGMENTS).await;
            slow_down(&shards).await;
            produce_large(&shards, 6).await;
            let target = 1 - place(&shards).await;
            assert_eq!(move_to(&shards, target).await, ErrorCode::None);
            let gone = id(&shards, 0);
            let request = DeleteTopicsRequest { topic_names: vec!["events".into()], ..DeleteTopicsRequest::default() };
            shards.controller(Command::DeleteTopics(request)).await.expect("decided");
            assert_eq!(entries(&paths[0]).len() + entries(&paths[1]).len(), 0);
            assert_eq!(shards.alter_log_dirs(vec![(gone, target)]).await, [ErrorCode::UnknownTopicId]);
            assert_eq!(future(&shards).await, None);
        }
    });
}

#[test]
fn a_log_dir_that_has_failed_takes_nothing_and_ends_what_was_on_its_way_there() {
    let home = tempfile::tempdir().unwrap();
    let dirs: Vec<String> = ["a", "b", "c"].iter().map(|name| home.path().join(name).display().to_string()).collect();
    let settings = config(home.path(), &[("log.dirs", &dirs.join(","))]);
    run(2, settings, move |shards| async move {
        // The metadata are in the first one.
        with_topic(&shards, 3, &SEGMENTS).await;
        slow_down(&shards).await;
        produce_large(&shards, 6).await;
        let source = place(&shards).await;
        let (failing, third) = if source == 1 { (2, 0) } else { (1, if source == 0 { 2 } else { 0 }) };
        assert_eq!(move_to(&shards, failing).await, ErrorCode::None);
        shards.io().until(PATIENCE, "the first part", async || future(&shards).await.is_some_and(|size| size.bytes > 0)).await;
        shards.core().dir_failed(failing, "as the test wants it");
        shards.io().until(PATIENCE, "the end of the move", async || future(&shards).await.is_none()).await;
        assert_eq!(move_to(&shards, failing).await, ErrorCode::KafkaStorageError);
        assert_eq!(move_to(&shards, third).await, ErrorCode::KafkaStorageError, "it might have a copy, too");
        assert_eq!(move_to(&shards, source).await, ErrorCode::None, "it is there");
        let unknown = TopicIdPartition { topic_id: topic_id(&shards), partition: PartitionIndex(9) };
        assert_eq!(shards.alter_log_dirs(vec![(unknown, source)]).await, [ErrorCode::UnknownTopicOrPartition]);
        check(&shards, 6).await;
    });
}

#[test]
fn a_compacted_log_is_compacted_where_it_has_moved_to() {
    let home = tempfile::tempdir().unwrap();
    let (settings, _) = two_dirs(home.path());
    let more = [&SEGMENTS[..], &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")]].concat();
    run(1, settings, move |shards| {
        let more = more.clone();
        async move {
            with_topic(&shards, 1, &more).await;
            let keyed = async |number: usize| {
                let mut builder = crate::record::BatchBuilder::new(crate::record::Compression::NONE);
                builder.append(shards.io().wall_clock_ms(), Some(b"key"), Some(large(number).as_bytes()));
                let options = crate::record::ValidateOptions::new(shards.io().wall_clock_ms());
                let batch = crate::record::validate(builder.build(), &options).expect("a valid batch");
                let slice = ProduceSlice { topic_id: topic_id(&shards), partition: PartitionIndex(0), batch };
                let result = shards.produce(vec![slice], 1, crate::shard::tests::soon(shards.io())).await.remove(0);
                assert_eq!(result.error, ErrorCode::None, "{result:?}");
            };
            for number in 0..7 {
                keyed(number).await;
            }
            let partition = shards.core().partition(id(&shards, 0)).unwrap();
            shards.io().until(PATIENCE, "compaction", async || partition.log.clean_up_to() == Some(Offset(6))).await;
            let target = 1 - place(&shards).await;
            assert_eq!(move_to(&shards, target).await, ErrorCode::None);
            shards.io().until(PATIENCE, "the move", async || place(&shards).await == target).await;
            for number in 7..13 {
                keyed(number).await;
            }
            shards.io().until(PATIENCE, "compaction", async || partition.log.clean_up_to() == Some(Offset(12))).await;
            let result = shards.fetch(read(topic_id(&shards), &[(0, 0)], 10 << 20)).await.remove(0);
            let found: Vec<_> = values(shards.io(), &result).await.iter().map(|(offset, _)| *offset).collect();
            assert_eq!(found.last(), Some(&12));
            assert!(found.len() < 6, "{found:?}");
        }
    });
}
