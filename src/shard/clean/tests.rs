//! Compaction as a broker does it by itself: the topic's configs, the checkpoint, and a log that is damaged.

use crate::controller::{ConfigOperation, ConfigResource};
use crate::model::{ErrorCode, Offset, PartitionIndex};
use crate::record::{BatchBuilder, Compression, ValidateOptions, validate};
use crate::shard::tests::{alter, config, id, read, run, soon, topic_id, values, with_topic};
use crate::shard::*;
use std::path::Path;
use std::time::Duration;

/// Until what is done by itself has been done.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than half a segment, so that the third one rolls it.
const VALUE: usize = 600 << 10;
const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("min.cleanable.dirty.ratio", "0.1")];

async fn produce_keyed(shards: &Shards, partition: i32, key: &str, value: &str) -> Offset {
    let mut builder = BatchBuilder::new(Compression::NONE);
    let padded = format!("{value}{}", " ".repeat(VALUE));
    builder.append(shards.io().wall_clock_ms(), Some(key.as_bytes()), Some(padded.as_bytes()));
    let batch = validate(builder.build(), &ValidateOptions::new(shards.io().wall_clock_ms())).expect("a valid batch");
    let slice = ProduceSlice { topic_id: topic_id(shards), partition: PartitionIndex(partition), batch };
    let result = shards.produce(vec![slice], 1, soon(shards.io())).await.remove(0);
    assert_eq!(result.error, ErrorCode::None, "{result:?}");
    result.base_offset
}

/// What a reader from the start sees.
async fn read_all(shards: &Shards, partition: i32) -> Vec<(i64, String)> {
    let (mut found, mut next) = (Vec::new(), 0);
    loop {
        let result = shards.fetch(read(topic_id(shards), &[(partition, next)], 1 << 20)).await.remove(0);
        assert_eq!(result.error, ErrorCode::None);
        let part = values(shards.io(), &result).await;
        let Some((last, _)) = part.last() else { return found };
        next = last + 1;
        found.extend(part.into_iter().map(|(offset, value)| (offset, value.trim_end().to_owned())));
    }
}

fn checkpoint(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("cleaner-offset-checkpoint")).unwrap_or_default()
}

fn expected(records: &[(i64, &str)]) -> Vec<(i64, String)> {
    records.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
}

#[test]
fn a_compacted_topic_keeps_the_newest_of_each_key_and_goes_on_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, path) = (config(dir.path(), &[("log.cleaner.backoff.ms", "5")]), dir.path().to_owned());
    let first = path.clone();
    run(2, settings.clone(), move |shards| {
        let path = first.clone();
        async move {
            with_topic(&shards, 2, &COMPACTED).await;
            for value in ["1", "2", "3"] {
                for partition in 0..2 {
                    produce_keyed(&shards, partition, "a", value).await;
                    produce_keyed(&shards, partition, "b", value).await;
                }
            }
            let left = expected(&[(3, "2"), (4, "3"), (5, "3")]);
            for partition in 0..2 {
                shards.io().until(PATIENCE, "compaction", async || read_all(&shards, partition).await.len() <= left.len()).await;
                let found = read_all(&shards, partition).await;
                assert!(found.ends_with(&expected(&[(4, "3"), (5, "3")])), "{found:?}");
            }
            shards.io().until(PATIENCE, "the checkpoint", async || checkpoint(&path) == "0\n2\nevents 0 5\nevents 1 5\n").await;
        }
    });
    run(1, settings, move |shards| {
        let path = path.clone();
        async move {
            assert_eq!(checkpoint(&path), "0\n2\nevents 0 5\nevents 1 5\n");
            assert!(read_all(&shards, 1).await.ends_with(&expected(&[(4, "3"), (5, "3")])));
            for partition in 0..2 {
                produce_keyed(&shards, partition, "a", "4").await;
            }
            shards.io().until(PATIENCE, "compaction", async || checkpoint(&path) == "0\n2\nevents 0 6\nevents 1 6\n").await;
            assert_eq!(
                read_all(&shards, 0).await,
                expected(&[(4, "3"), (5, "3"), (6, "4")]),
                "what is active supersedes nothing"
            );
        }
    });
}

#[test]
fn a_damaged_log_is_left_as_it_is_and_others_are_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, path) = (config(dir.path(), &[("log.cleaner.backoff.ms", "5")]), dir.path().to_owned());
    run(1, settings, move |shards| {
        let path = path.clone();
        async move {
            with_topic(&shards, 2, &[&COMPACTED[..], &[("min.compaction.lag.ms", "500")]].concat()).await;
            for value in ["1", "2", "3"] {
                for partition in 0..2 {
                    produce_keyed(&shards, partition, "a", value).await;
                }
            }
            let file = path.join("events-0/00000000000000000000.log");
            let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
            std::os::unix::fs::FileExt::write_at(&file, b"x", 1000).unwrap();
            shards.io().until(PATIENCE, "compaction", async || checkpoint(&path) == "0\n1\nevents 1 2\n").await;
            assert_eq!(read_all(&shards, 1).await, expected(&[(1, "2"), (2, "3")]));
            assert_eq!(produce_keyed(&shards, 0, "a", "4").await, Offset(3), "it takes records");
            let log = shards.core().partition(id(&shards, 0)).unwrap().log.clone();
            assert!(log.failure().is_none() && log.clean_up_to().is_none());
        }
    });
}

async fn set(shards: &Shards, name: &str, value: &str) {
    alter(shards, ConfigResource::Broker(None), name, ConfigOperation::Set(value.to_owned())).await;
}

#[test]
fn settings_of_compaction_hold_from_when_they_are_set() {
    let dir = tempfile::tempdir().unwrap();
    let slow = [("log.cleaner.backoff.ms", "3600000"), ("log.cleaner.io.max.bytes.per.second", "1")];
    let (settings, path) = (config(dir.path(), &slow), dir.path().to_owned());
    run(1, settings, move |shards| {
        let path = path.clone();
        async move {
            let is_compacted = || checkpoint(&path) == "0\n1\nevents 0 2\n";
            with_topic(&shards, 1, &COMPACTED).await;
            for value in ["1", "2", "3"] {
                produce_keyed(&shards, 0, "a", value).await;
            }
            set(&shards, "log.cleaner.backoff.ms", "5").await;
            shards.io().sleep(Duration::from_millis(500)).await;
            assert!(!is_compacted() && read_all(&shards, 0).await.len() == 3, "a byte a second");
            set(&shards, "log.cleaner.io.max.bytes.per.second", "1000000000").await;
            shards.io().until(PATIENCE, "compaction", async || is_compacted()).await;
            assert_eq!(read_all(&shards, 0).await, expected(&[(1, "2"), (2, "3")]));
        }
    });
}
