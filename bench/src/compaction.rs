//! `compaction`: lets a broker compact a topic, measures that, and checks what remains.
//!
//! The topic was made with `cleanup.policy=compact` and `min.cleanable.dirty.ratio=1`, which nothing exceeds, and was filled with keyed
//! records. This reads it, lowers the ratio, and waits until `cleaner-offset-checkpoint` in the broker's log dir, which Kafka and Flumen
//! both write when they have compacted a log, has the active segment of each partition. Then it reads again: before that segment
//! exactly the newest record of each key must be left, at its offset, and nothing else may have changed.

use crate::args::CompactionArgs;
use crate::clock::{self, SECOND};
use crate::commands::{address, by_leader, check};
use crate::kafka::{Client, Topic, error_name, fail};
use crate::read;
use crate::report;
use crate::run::Sample;
use crate::worker::Failure;
use flumen::protocol::StrBytes;
use flumen::protocol::generated::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use flumen::record::Record;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

const CHECKPOINT: &str = "cleaner-offset-checkpoint";
const RATIO: StrBytes = StrBytes::from_static("min.cleanable.dirty.ratio");
/// IncrementalAlterConfigs: the kind of resource, and the operation that sets a value.
const TOPIC: i8 = 2;
const SET: i8 = 0;
/// Between two looks at the checkpoint.
const LOOK: Duration = Duration::from_millis(5);

/// A checksum of each record, by its offset.
type Content = BTreeMap<i64, u32>;

fn checksum(record: &Record<'_>) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(record.key.unwrap_or_default()), record.value.unwrap_or_default())
}

/// What compaction is to leave of a partition.
struct Remains {
    /// Where the active segment begins, of which nothing goes.
    active: i64,
    /// Where each key has its newest record before that.
    newest: BTreeMap<Vec<u8>, i64>,
    content: Content,
}

impl Remains {
    fn take(&mut self, offset: i64, record: &Record<'_>) {
        if offset < self.active {
            // Records without a key do not belong into such a topic, and go.
            let Some(key) = record.key else { return };
            if let Some(older) = self.newest.insert(key.to_vec(), offset) {
                self.content.remove(&older);
            }
        }
        self.content.insert(offset, checksum(record));
    }

    /// What is wrong with what was found.
    fn differs(&self, found: &Content) -> Option<String> {
        let wrong = |(offset, checksum): (&i64, &u32)| match found.get(offset) {
            None => Some(format!("the record at offset {offset} is gone")),
            Some(other) if other != checksum => Some(format!("the record at offset {offset} is another one")),
            Some(_) => None,
        };
        let superfluous = || found.keys().find(|offset| !self.content.contains_key(*offset));
        let lost = self.content.iter().find_map(wrong);
        lost.or_else(|| superfluous().map(|offset| format!("the record at offset {offset} has a newer one, and is still there")))
    }
}

/// Where the active segment of a partition begins, and how many bytes the segments before it have.
fn closed_segments(dir: &Path) -> io::Result<(i64, u64)> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|base| base.parse::<i64>().ok());
        if let Some(base) = base {
            segments.insert(base, entry.metadata()?.len());
        }
    }
    match segments.pop_last() {
        Some((active, _)) => Ok((active, segments.values().sum())),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "there is no segment")),
    }
}

/// The offsets that a checkpoint has of a topic: a line of topic, partition and offset each, after two others.
fn cleaned(checkpoint: &str, topic: &str) -> BTreeMap<i32, i64> {
    let mut found = BTreeMap::new();
    for line in checkpoint.lines().skip(2) {
        let mut words = line.split(' ');
        let (Some(name), Some(partition), Some(offset)) = (words.next(), words.next(), words.next()) else { continue };
        if name == topic
            && let (Ok(partition), Ok(offset)) = (partition.parse(), offset.parse())
        {
            found.insert(partition, offset);
        }
    }
    found
}

/// A topic that one broker leads, whose log dir can be looked into.
struct Compaction<'a> {
    args: &'a CompactionArgs,
    topic: Topic,
    client: Client,
    partitions: Vec<i32>,
}

impl<'a> Compaction<'a> {
    fn new(args: &'a CompactionArgs) -> Result<Self, Failure> {
        check((0.0..1.0).contains(&args.ratio), "--ratio is from 0 to below 1")?;
        let topic = Client::connect(&args.bootstrap)?.topic(&args.topic)?;
        let mut leaders = by_leader(&topic);
        let (Some((leader, partitions)), true) = (leaders.pop_first(), leaders.is_empty()) else {
            return fail("a log dir is one broker's, but several lead the topic");
        };
        let client = Client::connect(address(&topic, leader)?)?;
        Ok(Self { args, topic, client, partitions })
    }

    /// Of each partition: where its active segment begins, and the bytes before.
    fn segments(&self) -> Result<BTreeMap<i32, (i64, u64)>, Failure> {
        let of_one = |partition: &i32| -> Result<(i32, (i64, u64)), Failure> {
            let dir = self.args.log_dir.join(format!("{}-{partition}", self.topic.name));
            let found = closed_segments(&dir).map_err(|error| Failure(format!("{}: {error}", dir.display())))?;
            Ok((*partition, found))
        };
        self.partitions.iter().map(of_one).collect()
    }

    /// The topic's offsets in the checkpoint; none as long as there is no such file.
    fn cleaned(&self) -> BTreeMap<i32, i64> {
        let text = fs::read_to_string(self.args.log_dir.join(CHECKPOINT)).unwrap_or_default();
        cleaned(&text, &self.topic.name)
    }

    /// Reads one partition from its start to its end.
    fn read(&mut self, partition: i32, take: impl FnMut(i64, &Record<'_>)) -> Result<(), Failure> {
        read::partition(&mut self.client, &self.topic.name, partition, take)
    }

    /// What is to be left of each partition. Nothing of it may have been compacted.
    fn remains(&mut self, segments: &BTreeMap<i32, (i64, u64)>) -> Result<BTreeMap<i32, Remains>, Failure> {
        check(self.cleaned().values().all(|offset| *offset <= 0), "the topic has been compacted already")?;
        let mut all = BTreeMap::new();
        for (partition, (active, _)) in segments {
            let mut remains = Remains { active: *active, newest: BTreeMap::new(), content: Content::new() };
            self.read(*partition, |offset, record| remains.take(offset, record))?;
            all.insert(*partition, remains);
        }
        Ok(all)
    }

    fn allow(&mut self) -> Result<(), Failure> {
        let config =
            AlterableConfig { name: RATIO, config_operation: SET, value: Some(StrBytes::from(self.args.ratio.to_string())) };
        let resource =
            AlterConfigsResource { resource_type: TOPIC, resource_name: StrBytes::from(&self.topic.name), configs: vec![config] };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let answer = self.client.call(&request, 1)?;
        match answer.responses.iter().find(|one| one.error_code != 0) {
            Some(wrong) => fail(format!("setting {RATIO}: {}", error_name(wrong.error_code))),
            None => Ok(()),
        }
    }

    /// Waits until all that can be compacted has been.
    fn wait(&self, segments: &BTreeMap<i32, (i64, u64)>) -> Result<(), Failure> {
        let deadline = clock::now() + clock::seconds(self.args.patience);
        loop {
            let cleaned = self.cleaned();
            let lacks = |(partition, (active, _)): &(&i32, &(i64, u64))| cleaned.get(*partition).is_none_or(|at| at < active);
            match segments.iter().find(lacks) {
                None => return Ok(()),
                Some((partition, (active, _))) if clock::now() > deadline => {
                    let at = cleaned.get(partition).copied().unwrap_or(-1);
                    return fail(format!("partition {partition} is compacted up to offset {at} instead of {active}"));
                }
                Some(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Whether each partition has what is to be left; the number of records.
    fn verify(&mut self, remains: &BTreeMap<i32, Remains>) -> Result<u64, Failure> {
        let mut records = 0;
        for (partition, remains) in remains {
            let mut found = Content::new();
            self.read(*partition, |offset, record| {
                found.insert(offset, checksum(record));
            })?;
            if let Some(what) = remains.differs(&found) {
                return fail(format!("{}-{partition}: {what}", self.topic.name));
            }
            records += found.len() as u64;
        }
        Ok(records)
    }
}

/// Runs the command.
pub fn run(args: &CompactionArgs) -> Result<(), Failure> {
    let mut compaction = Compaction::new(args)?;
    let segments = compaction.segments()?;
    let dirty: u64 = segments.values().map(|(_, bytes)| bytes).sum();
    check(segments.values().all(|(active, _)| *active > 0), "each partition has a segment that is closed")?;
    let remains = compaction.remains(&segments)?;
    if !args.quiet {
        eprintln!("{:.1} MB are to be compacted", dirty as f64 / 1e6);
    }
    let (before, start) = (Sample::take(&args.broker_pid), clock::now());
    compaction.allow()?;
    compaction.wait(&segments)?;
    let (after, end) = (Sample::take(&args.broker_pid), clock::now());
    let clean: u64 = compaction.segments()?.values().map(|(_, bytes)| bytes).sum();
    let records = compaction.verify(&remains)?;
    let seconds = (end - start) as f64 / SECOND as f64;
    println!("{seconds:.2} s for {:.1} MB, of which {:.1} MB are left", dirty as f64 / 1e6, clean as f64 / 1e6);
    let broker = after.broker_since(&before);
    if let Some(broker) = broker {
        println!("broker {:.2} CPU s, {:.3} CPU s/GB", broker.cpu.total(), broker.cpu.total() / (dirty as f64 / 1e9));
    }
    if let Some(path) = &args.json {
        let result = json!({
            "command": "compaction", "version": env!("CARGO_PKG_VERSION"), "parameters": { "topic": args.topic, "ratio": args.ratio },
            "seconds": seconds, "partitions": segments.len(), "dirty_bytes": dirty, "clean_bytes": clean, "records": records,
            "keys": remains.values().map(|one| one.newest.len()).sum::<usize>(),
            "own_cpu_seconds": after.own.since(before.own), "stolen_seconds": after.stolen_since(&before),
            "broker": broker.map(|broker| json!({ "cpu_seconds": broker.cpu, "rss_bytes": broker.rss_bytes })),
        });
        report::write_json(path, &result)?;
    }
    check(args.broker_pid.is_empty() || broker.is_some(), "the broker's process could not be watched to the end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flumen::record::{BatchBuilder, Batches, Compression};

    /// What is to be left of records with these keys, whose values are their offsets, if the active segment begins at `active`.
    fn remains(keys: &[Option<&str>], active: i64) -> (Remains, Content) {
        let mut builder = BatchBuilder::new(Compression::NONE);
        for (offset, key) in keys.iter().enumerate() {
            builder.append(5, key.map(str::as_bytes), Some(&[offset as u8]));
        }
        let bytes = builder.build();
        let (mut remains, mut all) = (Remains { active, newest: BTreeMap::new(), content: Content::new() }, Content::new());
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            for record in batch.records().unwrap() {
                let record = record.unwrap();
                remains.take(batch.offset_of(&record).0, &record);
                all.insert(batch.offset_of(&record).0, checksum(&record));
            }
        }
        (remains, all)
    }

    #[test]
    fn the_newest_of_each_key_and_the_active_segment_are_to_remain() {
        let (remains, _) = remains(&[Some("a"), Some("b"), None, Some("a"), Some("b"), None], 4);
        let offsets: Vec<i64> = remains.content.keys().copied().collect();
        assert_eq!(offsets, [1, 3, 4, 5], "what is active supersedes nothing");
        assert_eq!(remains.newest.len(), 2);
    }

    #[test]
    fn what_is_lost_changed_or_left_is_found() {
        let (remains, all) = remains(&[Some("a"), Some("a"), Some("b"), Some("b")], 3);
        let right: Content = all.iter().filter(|(offset, _)| **offset != 0).map(|(offset, sum)| (*offset, *sum)).collect();
        assert_eq!(remains.differs(&right), None);
        let said = |change: &dyn Fn(&mut Content)| {
            let mut found = right.clone();
            change(&mut found);
            remains.differs(&found).unwrap()
        };
        assert!(said(&|found| found.retain(|offset, _| *offset != 2)).contains("offset 2 is gone"));
        assert!(said(&|found| found.extend([(1, 0)])).contains("offset 1 is another one"));
        assert!(said(&|found| found.extend([(0, all[&0])])).contains("offset 0 has a newer one"));
    }

    #[test]
    fn segments_and_checkpoint_are_read_as_kafka_writes_them() {
        let dir = tempfile::tempdir().unwrap();
        assert!(closed_segments(dir.path()).is_err(), "no segment");
        for (name, bytes) in [
            ("00000000000000000000.log", 10),
            ("00000000000000000700.log", 20),
            ("00000000000000000900.log", 40),
            ("00000000000000000300.log.deleted", 80),
            ("00000000000000000900.index", 160),
            ("partition.metadata", 320),
        ] {
            fs::write(dir.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(closed_segments(dir.path()).unwrap(), (900, 30));
        let text = "0\n4\nother 0 9\ntopic 0 900\ntopic 12 7\ntopics 1 3\n";
        assert_eq!(cleaned(text, "topic"), BTreeMap::from([(0, 900), (12, 7)]));
        assert_eq!(cleaned("", "topic"), BTreeMap::new());
    }
}
