//! Devices give back other bytes than they got: what was committed comes back from the other replicas, who is damaged is not counted on
//! meanwhile, and what is nowhere else is kept.

use super::settings::brokers;
use super::*;
use crate::model::TopicId;
use crate::protocol::Records;
use crate::protocol::generated::fetch_request::{FetchPartition, FetchTopic};
use crate::protocol::generated::produce_request::{PartitionProduceData, TopicProduceData};
use crate::protocol::generated::{FetchRequest, ProduceRequest};
use crate::record::{BatchBuilder, Batches, Compression};
use std::path::PathBuf;

const SECOND: Duration = Duration::from_secs(1);
/// Of a record; ten of them fill a segment.
const VALUE_BYTES: usize = 100 << 10;
const SMALL: &[(&str, &str)] = &[("segment.bytes", "1048576"), ("min.insync.replicas", "1")];
const CORRUPT_MESSAGE: i16 = 2;
/// A scrubber that has looked at everything within a second or two.
const FAST: &[(i32, &str, &str)] =
    &[(0, "flumen.log.scrub.bytes.per.second", "104857600"), (0, "flumen.log.scrub.interval.ms", "1000")];
/// None; and what is acknowledged is on the device, which the checkpoints say soon.
const SYNCED: &[(i32, &str, &str)] = &[
    (0, "flumen.log.scrub.bytes.per.second", "0"),
    (0, "log.flush.interval.messages", "1"),
    (0, "log.flush.offset.checkpoint.interval.ms", "200"),
    (0, "replica.high.watermark.checkpoint.interval.ms", "200"),
];

fn value(number: i64) -> Vec<u8> {
    (0..VALUE_BYTES).map(|at| (number as usize * 31 + at * 7) as u8).collect()
}

fn segment(base: i64) -> PathBuf {
    format!("/data/t-0/{base:020}.log").into()
}

fn marker() -> PathBuf {
    "/data/t-0/flumen.damaged".into()
}

/// A topic of one partition, and so many records in it, each with a key of its own.
fn with_records(stage: &Stage, replicas: &[i32], configs: &[(&'static str, &'static str)], count: i64) {
    for id in replicas {
        stage.await_brokers(*id, replicas);
    }
    stage.create_on(replicas[0], "t", replicas, configs);
    stage.await_partition(replicas[0], "t", |partition| partition.isr_nodes.len() == replicas.len());
    (0..count).for_each(|number| stage.produce_value(replicas[0], number));
    stage.world.run_for(SECOND);
}

impl Stage {
    fn produce_value(&self, leader: i32, number: i64) {
        let address = self.address(leader, CLIENTS);
        let answer = self.world.run(self.client, move |io| async move {
            let mut builder = BatchBuilder::new(Compression::NONE);
            builder.append(io.wall_clock_ms(), Some(&number.to_be_bytes()), Some(&value(number)));
            let partition = PartitionProduceData { index: 0, records: Records::Bytes(builder.build()) };
            let topic = TopicProduceData { name: "t".into(), topic_id: TopicId::ZERO, partition_data: vec![partition] };
            let request = ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 20_000, topic_data: vec![topic] };
            ask(io, LONG, address, 9, request).await
        });
        let answer = answer.expect("an answer");
        let told = &answer.responses[0].partition_responses[0];
        assert_eq!((told.error_code, told.base_offset), (0, number));
    }

    /// The error, and the offsets of the records that one fetch gives, each of which has the value that it should have.
    fn fetch(&self, asked: i32, offset: i64) -> (i16, Vec<i64>) {
        let partition = FetchPartition {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: offset,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topics = vec![FetchTopic { topic: "t".into(), partitions: vec![partition], ..FetchTopic::default() }];
        let request = FetchRequest { replica_id: -1, max_wait_ms: 0, max_bytes: 1 << 20, topics, ..FetchRequest::default() };
        let answer = self.ask(asked, CLIENTS, 12, request).expect("an answer");
        let told = &answer.responses[0].partitions[0];
        let mut offsets = vec![];
        for batch in told.records.bytes().map(|bytes| Batches::new(bytes)).into_iter().flatten() {
            let Ok(batch) = batch else { break };
            assert!(batch.crc_is_valid(), "at {}", batch.header.base_offset);
            let number = batch.header.base_offset.0;
            let record = batch.records().unwrap().next().unwrap().unwrap();
            assert!(record.value == Some(&value(number)), "at {number}");
            offsets.push(number);
        }
        (told.error_code, offsets)
    }

    /// All of a log up to `end`, read from one broker.
    fn check_all(&self, asked: i32, end: i64) {
        let mut next = 0;
        while next < end {
            let (error, offsets) = self.fetch(asked, next);
            assert_eq!((error, offsets.first()), (0, Some(&next)), "of broker {asked} at {next}");
            next += offsets.len() as i64;
        }
    }

    fn disk_of(&self, id: i32) -> crate::io::sim::DiskView {
        self.world.disk(self.get(id).host)
    }

    /// Another bit in the middle of a record.
    fn damage(&self, id: i32, base: i64, record: u64) {
        let is_edited = self.disk_of(id).edit(segment(base), |bytes| {
            let at = record as usize * (bytes.len() / 10).min(VALUE_BYTES + 100) + VALUE_BYTES / 2;
            bytes[at] ^= 4;
        });
        assert!(is_edited, "broker {id} has the segment {base}");
    }

    /// Waits until all brokers have the same in their first segments.
    fn await_same(&self, replicas: &[i32]) {
        let of = |id: &i32| [0, 10, 20].map(|base| self.disk_of(*id).read(segment(base)));
        let have_same = || replicas.iter().all(|id| of(id) == of(&replicas[0]));
        for _ in 0..300 {
            if have_same() {
                return;
            }
            self.world.run_for(SECOND / 5);
        }
        panic!("the same records are not everywhere");
    }

    /// Waits until a broker tells of so many replicas in sync, and none of them is being repaired.
    fn await_whole(&self, asked: i32, replicas: &[i32]) {
        self.await_partition(asked, "t", |partition| partition.isr_nodes.len() == replicas.len() && partition.leader_id > 0);
        let is_whole = || replicas.iter().all(|id| self.disk_of(*id).read(marker()).is_none());
        assert!(self.world.run_until(30 * SECOND, is_whole), "no repair goes on");
        // It says then where it is.
        self.world.run_for(SECOND);
    }

    /// Nobody but `left` is there, and it has everything.
    fn check_alone(&self, left: i32, others: &[i32], end: i64) {
        for id in others {
            self.world.crash(self.get(*id).host, Crash::Kill);
            let mut there: Vec<i32> = others.iter().copied().skip_while(|one| one != id).skip(1).chain([left]).collect();
            there.sort();
            self.await_brokers(left, &there);
        }
        for _ in 0..150 {
            if self.leader_of_partition(left, "t") == left {
                return self.check_all(left, end);
            }
            self.world.run_for(SECOND / 5);
        }
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        let answer = self.ask(left, CLIENTS, 12, request).map(|answer| answer.topics);
        let file = self.disk_of(left).read(marker()).map(|file| String::from_utf8(file));
        panic!("broker {left} does not lead: {answer:?}; {file:?}");
    }
}

#[test]
fn what_a_stopped_follower_has_lost_comes_back() {
    let stage = brokers(301, 3, SYNCED);
    with_records(&stage, &[2, 3, 4], SMALL, 25);
    stage.world.crash(stage.get(3).host, Crash::Kill);
    stage.await_brokers(2, &[2, 4]);
    stage.damage(3, 20, 2);
    let damaged = stage.disk_of(3).read(segment(20)).unwrap();
    stage.start(3);
    let seen = std::cell::Cell::new(false);
    assert!(stage.world.run_until(60 * SECOND, || {
        seen.set(seen.get() | stage.disk_of(3).read(marker()).is_some());
        seen.get() && stage.disk_of(3).read(marker()).is_none()
    }));
    stage.await_whole(2, &[2, 3, 4]);
    let (now, good) = (stage.disk_of(3).read(segment(20)).unwrap(), stage.disk_of(2).read(segment(20)).unwrap());
    assert!(now != damaged && now == good);
    stage.check_alone(3, &[2, 4], 25);
}

#[test]
fn a_leader_whose_cold_segment_is_damaged_hands_over_and_follows() {
    let stage = brokers(302, 3, FAST);
    with_records(&stage, &[2, 3, 4], SMALL, 35);
    stage.damage(2, 0, 3);
    stage.damage(2, 10, 1);
    stage.await_partition(3, "t", |partition| partition.leader_id > 2 && !partition.isr_nodes.contains(&2));
    stage.produce_value(stage.leader_of_partition(3, "t"), 35);
    stage.await_whole(3, &[2, 3, 4]);
    stage.check_alone(2, &[3, 4], 36);
}

#[test]
fn a_compacted_log_is_copied_whole() {
    let stage = brokers(303, 3, FAST);
    let compacted = [SMALL, &[("cleanup.policy", "compact")]].concat();
    with_records(&stage, &[2, 3, 4], &compacted, 35);
    stage.damage(3, 10, 3);
    stage.await_partition(2, "t", |partition| !partition.isr_nodes.contains(&3));
    let emptied = || stage.disk_of(3).read(segment(0)).is_some_and(|bytes| bytes.len() < VALUE_BYTES);
    assert!(stage.world.run_until(30 * SECOND, emptied), "it begins from the front");
    stage.await_whole(2, &[2, 3, 4]);
    stage.check_alone(3, &[2, 4], 35);
}

#[test]
fn a_crash_in_the_midst_of_a_repair_only_repeats_it() {
    for pause_ms in [0, 60, 180, 400] {
        let stage = brokers(304 + pause_ms, 3, FAST);
        with_records(&stage, &[2, 3, 4], SMALL, 35);
        stage.damage(3, 0, 3);
        assert!(stage.world.run_until(30 * SECOND, || stage.disk_of(3).read(marker()).is_some()), "it is found");
        for crash in [Crash::Kill, Crash::PowerLoss] {
            stage.world.run_for(Duration::from_millis(pause_ms));
            stage.world.crash(stage.get(3).host, crash);
            stage.start(3);
        }
        // Until everybody has noticed that it was gone.
        stage.world.run_for(10 * SECOND);
        stage.await_brokers(2, &[2, 3, 4]);
        stage.await_same(&[2, 3, 4]);
        stage.await_whole(2, &[2, 3, 4]);
        stage.check_alone(3, &[2, 4], 35);
    }
}

#[test]
fn what_only_one_has_is_kept_behind_the_damage_too() {
    let stage = brokers(320, 1, FAST);
    with_records(&stage, &[2], SMALL, 35);
    stage.damage(2, 0, 3);
    assert!(stage.world.run_until(30 * SECOND, || stage.disk_of(2).read(marker()).is_some()), "it is found");
    stage.world.run_for(SECOND / 5);
    for is_again in [false, true] {
        assert_eq!(stage.fetch(2, 0), (0, vec![0, 1, 2]), "up to the damage");
        assert_eq!(stage.fetch(2, 3), (CORRUPT_MESSAGE, vec![]));
        let mut next = 4;
        while next < 35 {
            let (error, offsets) = stage.fetch(2, next);
            assert_eq!((error, offsets.first()), (0, Some(&next)));
            next += offsets.len() as i64;
        }
        if !is_again {
            stage.world.crash(stage.get(2).host, Crash::Kill);
            stage.start(2);
            stage.await_leaders(2, "t", |leader| leader == 2);
        }
    }
    stage.produce_value(2, 35);
}

#[test]
fn cold_segments_are_looked_at_as_fast_and_as_often_as_the_settings_say() {
    let off = [(0, "flumen.log.scrub.bytes.per.second", "0"), (0, "flumen.log.scrub.interval.ms", "1000")];
    let stage = brokers(330, 1, &off);
    with_records(&stage, &[2], SMALL, 25);
    stage.damage(2, 0, 3);
    stage.world.run_for(60 * SECOND);
    assert!(stage.disk_of(2).read(marker()).is_none(), "nobody looks");
    // Twenty records are two seconds' work, and then there is a pause.
    let slow = [(0, "flumen.log.scrub.bytes.per.second", "1024000"), (0, "flumen.log.scrub.interval.ms", "60000")];
    let stage = brokers(331, 1, &slow);
    with_records(&stage, &[2], SMALL, 25);
    stage.world.run_for(90 * SECOND);
    stage.damage(2, 10, 8);
    let began = stage.world.now();
    assert!(stage.world.run_until(70 * SECOND, || stage.disk_of(2).read(marker()).is_some()), "within a pass");
    let took = stage.world.now().since(began);
    assert!(took > SECOND, "{took:?}: not all the time");
}
