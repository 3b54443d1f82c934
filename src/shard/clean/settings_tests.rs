//! The settings of compaction, each felt in a world where time passes at once; the broker keys and the topic configs that inherit them.

use crate::io::sim::{DiskFault, DiskOp};
use crate::log::{CleanReport, LogError};
use crate::model::{ErrorCode, Offset};
use crate::record::{BatchBuilder, Batches, Compression};
use crate::shard::Shards;
use crate::shard::settings_tests::{Configs, HOUR, Stage, append, append_batch, log, sleep};
use crate::shard::tests::{read, topic_id, with_topic};
use std::ops::Range;

/// Every record whose time is another one begins a segment.
const TINY: Configs = &[("cleanup.policy", "compact"), ("segment.ms", "1")];
/// Time between two records.
const STEP_MS: i64 = 10;

/// Appends records with keys of their own, named by their numbers.
async fn append_keys(shards: &Shards, begun: i64, numbers: Range<i64>) {
    for number in numbers {
        append(shards, 0, begun + number * STEP_MS, Some(&format!("key {number}")), Some("x")).await;
    }
}

fn clean_up_to(shards: &Shards) -> Option<i64> {
    log(shards, 0).clean_up_to().map(|offset| offset.0)
}

async fn until_clean_up_to(shards: &Shards, end: i64) {
    for _ in 0..100 {
        if clean_up_to(shards) == Some(end) {
            return;
        }
        sleep(shards, 100).await;
    }
    panic!("after ten seconds {:?} is clean, not {end}", clean_up_to(shards));
}

/// Offsets of all records that are left.
async fn offsets(shards: &Shards) -> Vec<i64> {
    let (mut found, mut next) = (Vec::new(), 0);
    loop {
        let result = shards.fetch(read(topic_id(shards), &[(0, next)], 1 << 20)).await.remove(0);
        assert_eq!(result.error, ErrorCode::None);
        if result.slices.is_empty() {
            return found;
        }
        for slice in &result.slices {
            let bytes = slice.file.read_at(shards.io(), slice.position, slice.len as usize).await.expect("a slice is readable");
            for batch in Batches::new(&bytes) {
                let batch = batch.expect("a whole batch");
                for record in batch.records().expect("not compressed") {
                    found.push(batch.offset_of(&record.expect("a whole record")).0);
                }
                next = batch.header.last_offset().0 + 1;
            }
        }
    }
}

#[test]
fn a_log_is_compacted_when_as_much_of_it_is_dirty_as_the_settings_say() {
    let cases: [(Configs, Configs, i64); 3] = [
        (&[], &[], 9),
        (&[("log.cleaner.min.cleanable.ratio", "0.1")], &[], 11),
        (&[("log.cleaner.min.cleanable.ratio", "0.9")], &[("min.cleanable.dirty.ratio", "0.1")], 11),
    ];
    for (settings, configs, expected) in cases {
        // The first look comes when all is there.
        let settings = [settings, &[("log.cleaner.backoff.ms", "3000")]].concat();
        let clean = Stage::new().run(&settings, async move |shards: Shards| {
            with_topic(&shards, 1, &[TINY, configs].concat()).await;
            let begun = shards.io().wall_clock_ms() - HOUR;
            append_keys(&shards, begun, 0..10).await;
            // All of it is dirty, but for the active segment.
            until_clean_up_to(&shards, 9).await;
            // Two of eleven.
            append_keys(&shards, begun, 10..12).await;
            sleep(&shards, 7_000).await;
            clean_up_to(&shards)
        });
        assert_eq!(clean, Some(expected), "{settings:?} {configs:?}");
    }
}

#[test]
fn records_are_compacted_neither_sooner_nor_later_than_the_settings_say() {
    let cases: [(Configs, Configs); 4] = [
        (&[("log.cleaner.min.compaction.lag.ms", "60000")], &[]),
        (&[], &[("min.compaction.lag.ms", "60000")]),
        // Never by its ratio.
        (&[("log.cleaner.max.compaction.lag.ms", "60000"), ("log.cleaner.min.cleanable.ratio", "1")], &[]),
        (&[], &[("max.compaction.lag.ms", "60000"), ("min.cleanable.dirty.ratio", "1")]),
    ];
    for (settings, configs) in cases {
        let stage = Stage::new();
        let inside = stage.clone();
        let settings = [settings, &[("log.cleaner.backoff.ms", "100")]].concat();
        let clean = stage.run(&settings, async move |shards: Shards| {
            with_topic(&shards, 1, &[TINY, configs].concat()).await;
            append_keys(&shards, shards.io().wall_clock_ms() - 100, 0..5).await;
            sleep(&shards, 5_000).await;
            let before = clean_up_to(&shards);
            inside.jump(60_000);
            sleep(&shards, 1_000).await;
            (before, clean_up_to(&shards))
        });
        assert_eq!(clean, (None, Some(4)), "{settings:?} {configs:?}");
    }
}

#[test]
fn a_tombstone_stays_as_long_as_the_settings_say() {
    let cases: [(Configs, Configs); 2] = [
        (&[("log.cleaner.delete.retention.ms", "60000")], &[]),
        (&[("log.cleaner.delete.retention.ms", "1")], &[("delete.retention.ms", "60000")]),
    ];
    for (settings, configs) in cases {
        let stage = Stage::new();
        let inside = stage.clone();
        let settings = [settings, &[("log.cleaner.backoff.ms", "100"), ("log.cleaner.min.cleanable.ratio", "0.01")]].concat();
        let left = stage.run(&settings, async move |shards: Shards| {
            with_topic(&shards, 1, &[TINY, configs].concat()).await;
            let begun = shards.io().wall_clock_ms() - HOUR;
            let at = |number: i64| begun + number * STEP_MS;
            append(&shards, 0, at(0), Some("gone"), Some("x")).await;
            append(&shards, 0, at(1), Some("gone"), None).await;
            append_keys(&shards, begun, 2..3).await;
            until_clean_up_to(&shards, 2).await;
            let first = offsets(&shards).await;
            // A later pass leaves it, too, before its time is over.
            append_keys(&shards, begun, 3..4).await;
            until_clean_up_to(&shards, 3).await;
            let second = offsets(&shards).await;
            inside.jump(60_000);
            append_keys(&shards, begun, 4..5).await;
            until_clean_up_to(&shards, 4).await;
            (first, second, offsets(&shards).await)
        });
        assert_eq!(left, (vec![1, 2], vec![1, 2, 3], vec![2, 3, 4]), "{settings:?} {configs:?}");
    }
}

/// One round over all but the active segment, which the broker does not do by itself.
const NEVER: (&str, &str) = ("log.cleaner.backoff.ms", "3600000");

async fn clean(shards: &Shards) -> Result<CleanReport, LogError> {
    let log = log(shards, 0);
    let part = log.cleanable(log.log_end_offset()).await?.expect("something is dirty");
    log.clean(&part, &shards.core().cleaning.cleaner).await
}

/// Appends a batch of records with keys of their own, all of one time.
async fn append_many(shards: &Shards, timestamp: i64, numbers: Range<i64>, value: &str) -> Offset {
    let mut builder = BatchBuilder::new(Compression::NONE);
    for number in numbers {
        builder.append(timestamp, Some(&number.to_be_bytes()), Some(value.as_bytes()));
    }
    append_batch(shards, 0, builder.build()).await
}

#[test]
fn the_map_of_keys_is_as_large_and_gets_as_full_as_the_settings_say() {
    const SIZE: &str = "log.cleaner.dedupe.buffer.size";
    const FACTOR: &str = "log.cleaner.io.buffer.load.factor";
    // An entry takes 24 bytes.
    let cases: [(Configs, u64); 4] = [
        (&[(SIZE, "49152"), (FACTOR, "0.5")], 1_024),
        (&[(SIZE, "49152"), (FACTOR, "0.9")], 1_843),
        (&[(SIZE, "98304"), (FACTOR, "0.5")], 2_048),
        (&[], 3_000),
    ];
    for (settings, expected) in cases {
        let settings = [settings, &[NEVER]].concat();
        let keys = Stage::new().run(&settings, async |shards: Shards| {
            with_topic(&shards, 1, TINY).await;
            let begun = shards.io().wall_clock_ms() - HOUR;
            for batch in 0..60 {
                append_many(&shards, begun, batch * 50..(batch + 1) * 50, "x").await;
            }
            append_many(&shards, begun + STEP_MS, 0..1, "y").await;
            clean(&shards).await.expect("a round").keys
        });
        assert_eq!(keys, expected, "{settings:?}");
    }
}

#[test]
fn compaction_reads_as_much_at_once_as_the_settings_say() {
    // The device gives some pieces of the log and no more.
    let is_read = |bytes: &'static str| {
        let stage = Stage::new();
        let inside = stage.clone();
        stage.run(&[NEVER, ("log.cleaner.io.buffer.size", bytes)], async move |shards: Shards| {
            with_topic(&shards, 1, TINY).await;
            let (begun, value) = (shards.io().wall_clock_ms() - HOUR, "x".repeat(50_000));
            for batch in 0..20 {
                append_many(&shards, begun, batch..batch + 1, &value).await;
            }
            append_many(&shards, begun + STEP_MS, 0..1, "y").await;
            let path_contains = "events-0/00000000000000000000.log".to_owned();
            inside.world.fail_disk(inside.host, DiskFault { path_contains, after: 8, ..DiskFault::next(DiskOp::Read) });
            clean(&shards).await.is_ok()
        })
    };
    assert!(is_read("4194304"), "a megabyte in one piece, twice");
    assert!(!is_read("65536"), "a piece for each batch");
}

#[test]
fn what_inherits_its_policy_is_compacted_if_the_settings_say_so() {
    let compacted = |policy: &'static str| {
        let ratio = ("log.cleaner.min.cleanable.ratio", "0.01");
        let settings = [("log.cleanup.policy", policy), ("log.cleaner.backoff.ms", "100"), ("log.roll.ms", "1"), ratio];
        Stage::new().run(&settings, async |shards: Shards| {
            with_topic(&shards, 1, &[("retention.ms", "-1")]).await;
            append_keys(&shards, shards.io().wall_clock_ms() - HOUR, 0..5).await;
            sleep(&shards, 2_000).await;
            clean_up_to(&shards)
        })
    };
    assert_eq!((compacted("delete"), compacted("compact")), (None, Some(4)));
}
