//! Settings of times, numbers and places, each felt by a broker of one core in a world where time passes at once. Broker keys and the
//! topic configs that inherit them are tried alike.

use super::tests::{alter, config, create_topic, id, produce, soon, topic_id, with_topic};
use super::*;
use crate::config::BrokerConfig;
use crate::controller::{Command, ConfigOperation, ConfigResource, Reply};
use crate::group::{Answer, Caller, CommitOffsets, CommitPartition, GroupId, JoinGroup, Protocol, Request};
use crate::io::sim::{Crash, DiskFault, DiskOp, HostId, Options, World};
use crate::log::Log;
use crate::model::{BrokerId, ErrorCode, Offset, PartitionIndex, TopicId, TopicPartition};
use crate::protocol::generated::alter_client_quotas_request::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use crate::protocol::generated::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use crate::record::{BatchBuilder, Compression, ValidateOptions, validate};
use bytes::Bytes;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Keys and values of a broker, or of a topic.
pub(super) type Configs = &'static [(&'static str, &'static str)];

pub(super) const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;
const DATA: &str = "/data";

/// A machine with a broker of one core.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) host: HostId,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(super) fn with(options: Options) -> Self {
        let world = World::new(11, options);
        let host = world.add_host("broker", 1);
        Self { world, host }
    }

    /// One life of the broker, which is killed when `scenario` has found out what it wants to know.
    pub(super) fn run<T: 'static>(&self, settings: &[(&str, &str)], scenario: impl AsyncFnOnce(Shards) -> T + 'static) -> T {
        self.run_with(config(Path::new(DATA), settings), scenario)
    }

    fn run_with<T: 'static>(&self, config: Arc<BrokerConfig>, scenario: impl AsyncFnOnce(Shards) -> T + 'static) -> T {
        let found = self.world.run(self.host, move |io| async move {
            let shards = Shards::open(io, Seats::new(1), config, &[]).await.expect("the broker starts");
            scenario(shards).await
        });
        self.world.crash(self.host, Crash::Kill);
        found
    }

    /// The wall clock jumps ahead, and no timer notices.
    pub(super) fn jump(&self, ms: i64) {
        self.world.jump_clock(self.host, ms);
    }
}

pub(super) async fn sleep(shards: &Shards, ms: u64) {
    shards.io().sleep(Duration::from_millis(ms)).await;
}

/// Appends one record to `events`.
pub(super) async fn append(shards: &Shards, partition: i32, timestamp: i64, key: Option<&str>, value: Option<&str>) -> Offset {
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.append(timestamp, key.map(str::as_bytes), value.map(str::as_bytes));
    append_batch(shards, partition, builder.build()).await
}

pub(super) async fn append_batch(shards: &Shards, partition: i32, batch: Bytes) -> Offset {
    let batch = validate(batch, &ValidateOptions::new(shards.io().wall_clock_ms())).expect("a valid batch");
    let slice = ProduceSlice { topic_id: topic_id(shards), partition: PartitionIndex(partition), batch };
    let result = shards.produce(vec![slice], 1, soon(shards.io())).await.remove(0);
    assert_eq!(result.error, ErrorCode::None, "{result:?}");
    result.base_offset
}

/// Appends one record of this moment.
async fn append_now(shards: &Shards) -> Offset {
    append(shards, 0, shards.io().wall_clock_ms(), None, Some("x")).await
}

pub(super) fn log(shards: &Shards, partition: i32) -> Rc<Log> {
    shards.core().partition(id(shards, partition)).expect("it is there").log.clone()
}

fn segments(shards: &Shards, partition: i32) -> usize {
    log(shards, partition).segments().len()
}

/// Whether a file in the log dir has this line.
async fn has_line(shards: &Shards, file: &str, line: &str) -> bool {
    let content = shards.io().read_file(&Path::new(DATA).join(file)).await.unwrap_or_default();
    String::from_utf8_lossy(&content).lines().any(|one| one == line)
}

#[test]
fn segments_are_rolled_when_they_are_as_old_as_the_settings_say() {
    let cases: [(Configs, Configs, i64); 4] = [
        (&[("log.roll.hours", "2")], &[], 2 * HOUR),
        (&[("log.roll.hours", "2"), ("log.roll.ms", "5000")], &[], 5_000),
        (&[("log.roll.ms", "5000")], &[("segment.ms", "9000")], 9_000),
        (&[], &[], 168 * HOUR),
    ];
    for (settings, configs, age) in cases {
        let found = Stage::new().run(settings, async move |shards: Shards| {
            with_topic(&shards, 1, &[configs, &[("retention.ms", "-1")]].concat()).await;
            let begun = shards.io().wall_clock_ms() - 1000 * HOUR;
            let mut found = Vec::new();
            for timestamp in [begun, begun + age, begun + age + 1] {
                append(&shards, 0, timestamp, None, Some("x")).await;
                found.push(segments(&shards, 0));
            }
            found
        });
        assert_eq!(found, [1, 1, 2], "{settings:?} {configs:?}");
    }
}

#[test]
fn rolls_come_early_by_a_random_part_of_the_jitter() {
    const PARTITIONS: i32 = 16;
    let cases: [(Configs, Configs, i64, std::ops::RangeInclusive<i32>); 5] = [
        (&[("log.roll.hours", "2")], &[], 2 * HOUR - 1, 0..=0),
        (&[("log.roll.hours", "2"), ("log.roll.jitter.hours", "1")], &[], 90 * MINUTE, 1..=15),
        // The finer unit counts: of an hour, all would be gone by now.
        (&[("log.roll.hours", "2"), ("log.roll.jitter.hours", "1"), ("log.roll.jitter.ms", "1000")], &[], 2 * HOUR - 500, 1..=15),
        (&[], &[("segment.ms", "10000"), ("segment.jitter.ms", "4000")], 8_000, 1..=15),
        (&[], &[("segment.ms", "10000")], 9_999, 0..=0),
    ];
    for (settings, configs, age, expected) in cases {
        let rolled = Stage::new().run(settings, async move |shards: Shards| {
            with_topic(&shards, PARTITIONS, configs).await;
            let begun = shards.io().wall_clock_ms() - 24 * HOUR;
            let mut rolled = 0;
            for partition in 0..PARTITIONS {
                append(&shards, partition, begun, None, Some("x")).await;
                append(&shards, partition, begun + age, None, Some("x")).await;
                rolled += i32::from(segments(&shards, partition) > 1);
            }
            rolled
        });
        assert!(expected.contains(&rolled), "{settings:?} {configs:?}: {rolled} of {PARTITIONS}");
    }
}

#[test]
fn records_go_when_they_are_as_old_as_the_finest_unit_says() {
    let cases: [(Configs, Configs, i64); 5] = [
        (&[("log.retention.hours", "2")], &[], 2 * HOUR),
        (&[("log.retention.hours", "2"), ("log.retention.minutes", "30")], &[], 30 * MINUTE),
        (&[("log.retention.hours", "2"), ("log.retention.minutes", "30"), ("log.retention.ms", "60000")], &[], MINUTE),
        (&[("log.retention.ms", "60000")], &[("retention.ms", "90000")], 90_000),
        (&[], &[], 168 * HOUR),
    ];
    for (settings, configs, age) in cases {
        let stage = Stage::new();
        let settings = [settings, &[("log.retention.check.interval.ms", "1000")]].concat();
        let inside = stage.clone();
        let starts = stage.run(&settings, async move |shards: Shards| {
            with_topic(&shards, 1, configs).await;
            append_now(&shards).await;
            inside.jump(age - 5_000);
            sleep(&shards, 2_500).await;
            let before = log(&shards, 0).log_start_offset();
            sleep(&shards, 5_000).await;
            (before, log(&shards, 0).log_start_offset())
        });
        assert_eq!(starts, (Offset(0), Offset(1)), "{settings:?} {configs:?}");
    }
}

#[test]
fn records_are_flushed_after_the_time_or_number_that_the_settings_say() {
    let cases: [(Configs, Configs); 3] = [
        (&[("log.flush.interval.ms", "3000")], &[]),
        // It stands in for the one above.
        (&[("log.flush.scheduler.interval.ms", "3000")], &[]),
        (&[("log.flush.interval.ms", "1000"), ("log.flush.scheduler.interval.ms", "500")], &[("flush.ms", "3000")]),
    ];
    for (settings, configs) in cases {
        let flushed = Stage::new().run(settings, async move |shards: Shards| {
            with_topic(&shards, 1, configs).await;
            append_now(&shards).await;
            sleep(&shards, 2_500).await;
            let before = log(&shards, 0).recovery_point();
            sleep(&shards, 1_000).await;
            (before, log(&shards, 0).recovery_point())
        });
        assert_eq!(flushed, (Offset(0), Offset(1)), "{settings:?} {configs:?}");
    }
    let cases: [(Configs, Configs); 2] =
        [(&[("log.flush.interval.messages", "3")], &[]), (&[("log.flush.interval.messages", "9")], &[("flush.messages", "3")])];
    for (settings, configs) in cases {
        let flushed = Stage::new().run(settings, async move |shards: Shards| {
            with_topic(&shards, 1, configs).await;
            append_now(&shards).await;
            append_now(&shards).await;
            sleep(&shards, 1_000).await;
            let before = log(&shards, 0).recovery_point();
            append_now(&shards).await;
            sleep(&shards, 200).await;
            (before, log(&shards, 0).recovery_point())
        });
        assert_eq!(flushed, (Offset(0), Offset(3)), "{settings:?} {configs:?}");
    }
}

/// Where no log asks for flushes nobody looks for any; one that asks later, for itself or by the broker's default, is seen.
#[test]
fn a_log_that_asks_for_flushes_later_gets_them() {
    let topic = ConfigResource::Topic("events".into());
    let broker = ConfigResource::Broker(None);
    for (resource, name) in [(topic, "flush.ms"), (broker, "log.flush.interval.ms")] {
        let flushed = Stage::new().run(&[], async move |shards: Shards| {
            with_topic(&shards, 1, &[]).await;
            append_now(&shards).await;
            sleep(&shards, 1_000).await;
            let before = log(&shards, 0).recovery_point();
            alter(&shards, resource, name, ConfigOperation::Set("400".into())).await;
            sleep(&shards, 1_000).await;
            let first = log(&shards, 0).recovery_point();
            append_now(&shards).await;
            sleep(&shards, 1_000).await;
            (before, first, log(&shards, 0).recovery_point())
        });
        assert_eq!(flushed, (Offset(0), Offset(1), Offset(2)), "{name}");
    }
}

#[test]
fn what_is_to_be_flushed_is_looked_for_as_often_as_the_settings_say() {
    let longest_ms = |settings: Configs| {
        Stage::new().run(settings, async |shards: Shards| {
            with_topic(&shards, 1, &[("flush.ms", "1")]).await;
            let mut longest = 0;
            for _ in 0..5 {
                let end = append_now(&shards).await.plus(1);
                let begun = shards.io().now();
                while log(&shards, 0).recovery_point() < end {
                    sleep(&shards, 1).await;
                }
                longest = longest.max(shards.io().now().since(begun).as_millis());
                // Not at once behind a look.
                sleep(&shards, 60).await;
            }
            longest
        })
    };
    let (often, seldom) = (longest_ms(&[("log.flush.scheduler.interval.ms", "20")]), longest_ms(&[]));
    assert!(often <= 60 && seldom > 100, "{often} ms, and {seldom} ms by default");
}

#[test]
fn checkpoints_are_written_as_often_as_the_settings_say() {
    for (key, file) in [
        ("log.flush.offset.checkpoint.interval.ms", "recovery-point-offset-checkpoint"),
        ("replica.high.watermark.checkpoint.interval.ms", "replication-offset-checkpoint"),
    ] {
        let written = Stage::new().run(&[(key, "2000")], async move |shards: Shards| {
            with_topic(&shards, 1, &[("flush.messages", "1")]).await;
            append_now(&shards).await;
            sleep(&shards, 1_000).await;
            let before = has_line(&shards, file, "events 0 1").await;
            sleep(&shards, 1_500).await;
            (before, has_line(&shards, file, "events 0 1").await)
        });
        assert_eq!(written, (false, true), "{key}");
    }
    // A start that a client has moved is written at once; when retention has come as far, it goes with time.
    let settings = [("log.flush.start.offset.checkpoint.interval.ms", "2000"), ("log.retention.check.interval.ms", "100")];
    let written = Stage::new().run(&settings, async |shards: Shards| {
        with_topic(&shards, 1, &[]).await;
        append_now(&shards).await;
        let deleted = shards.delete_records(vec![(id(&shards, 0), Offset(1))]).await;
        assert_eq!(deleted[0].error, ErrorCode::None);
        let all = ConfigOperation::Set("0".to_owned());
        alter(&shards, ConfigResource::Topic("events".into()), "retention.bytes", all).await;
        sleep(&shards, 500).await;
        assert_eq!(log(&shards, 0).segments()[0].base_offset, Offset(1), "retention has come as far");
        let before = has_line(&shards, "log-start-offset-checkpoint", "events 0 1").await;
        sleep(&shards, 2_000).await;
        (before, has_line(&shards, "log-start-offset-checkpoint", "events 0 1").await)
    });
    assert_eq!(written, (true, false));
}

#[test]
fn tasks_of_logs_begin_when_the_settings_say() {
    let settings = [("log.retention.check.interval.ms", "3600000"), ("log.initial.task.delay.ms", "2000")];
    let starts = Stage::new().run(&settings, async |shards: Shards| {
        with_topic(&shards, 1, &[("retention.bytes", "0")]).await;
        let mut starts = Vec::new();
        for ms in [1_000, 2_000, 10_000] {
            append_now(&shards).await;
            sleep(&shards, ms).await;
            starts.push(log(&shards, 0).log_start_offset().0);
        }
        starts
    });
    assert_eq!(starts, [0, 2, 2], "after two seconds, and then after an hour");
}

#[test]
fn metadata_are_written_down_by_time_also_if_nothing_is_decided() {
    let snapshots = Stage::new().run(&[("metadata.log.max.snapshot.interval.ms", "5000")], async |shards: Shards| {
        with_topic(&shards, 1, &[]).await;
        let mut counts = Vec::new();
        for _ in 0..4 {
            sleep(&shards, 3_000).await;
            let entries = shards.io().read_dir(&Path::new(DATA).join("__cluster_metadata-0")).await.unwrap();
            counts.push(entries.iter().filter(|entry| entry.name.ends_with(".checkpoint")).count());
        }
        counts
    });
    assert_eq!(snapshots, [0, 1, 1, 1], "once, since nothing new comes");
}

/// The topic of group offsets.
pub(super) async fn with_offsets_topic(shards: &Shards, configs: &[(&str, &str)]) {
    create_topic(shards, OFFSETS_TOPIC, 1, &[configs, &[("cleanup.policy", "compact")]].concat()).await;
}

/// What the coordinator answers once it has read what there is.
async fn ask(shards: &Shards, request: Request) -> Result<Answer, ErrorCode> {
    loop {
        match shards.ask_group("g", request.clone()).await {
            Err(ErrorCode::CoordinatorLoadInProgress) => sleep(shards, 1).await,
            answer => return answer,
        }
    }
}

fn place() -> TopicPartition {
    TopicPartition::new("events", PartitionIndex(0))
}

pub(super) async fn commit(shards: &Shards) -> Result<Answer, ErrorCode> {
    let caller = Caller { group: "g".into(), member: "".into(), instance: None, generation: -1 };
    let partition =
        CommitPartition { partition: place(), topic_id: TopicId::ZERO, offset: 7, leader_epoch: -1, metadata: Arc::from("") };
    let error_without_group = ErrorCode::GroupIdNotFound;
    ask(shards, Request::Commit(CommitOffsets { caller, partitions: vec![partition], error_without_group, retention_ms: None }))
        .await
}

pub(super) fn done() -> Result<Answer, ErrorCode> {
    Ok(Answer::Committed(vec![ErrorCode::None]))
}

async fn is_remembered(shards: &Shards) -> bool {
    let offsets = shards.group_offsets(&GroupId::from("g"), WantedOffsets::Of(vec![place()])).await.expect("a coordinator");
    offsets[0].1.is_some()
}

#[test]
fn offsets_are_forgotten_when_the_settings_say() {
    for (settings, jumps) in [
        // Within two seconds of the time for which they are kept.
        (
            [("offsets.retention.minutes", "2"), ("offsets.retention.check.interval.ms", "1000")],
            [(110_000, 2_500), (10_000, 2_500)],
        ),
        // Long over, but nobody looks before a minute has passed.
        (
            [("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "60000")],
            [(600_000, 30_000), (0, 40_000)],
        ),
    ] {
        let stage = Stage::new();
        let inside = stage.clone();
        let remembered = stage.run(&settings, async move |shards: Shards| {
            with_offsets_topic(&shards, &[]).await;
            assert_eq!(commit(&shards).await, done());
            let mut remembered = Vec::new();
            for (ahead, ms) in jumps {
                inside.jump(ahead);
                sleep(&shards, ms).await;
                remembered.push(is_remembered(&shards).await);
            }
            remembered
        });
        assert_eq!(remembered, [true, false], "{settings:?}");
    }
}

#[test]
fn a_commit_waits_for_its_write_as_long_as_the_settings_say() {
    let stage = Stage::new();
    let inside = stage.clone();
    let (answer, waited) = stage.run(&[("offsets.commit.timeout.ms", "1500")], async move |shards: Shards| {
        with_offsets_topic(&shards, &[("flush.messages", "1")]).await;
        assert_eq!(commit(&shards).await, done());
        inside.world.slow_disk(inside.host, OFFSETS_TOPIC, Duration::from_secs(20));
        let begun = shards.io().now();
        (commit(&shards).await, shards.io().now().since(begun))
    });
    assert_eq!(answer, Ok(Answer::Committed(vec![ErrorCode::CoordinatorNotAvailable])));
    assert!(waited >= Duration::from_millis(1_500) && waited < Duration::from_millis(1_700), "{waited:?}");
}

#[test]
fn groups_are_read_in_pieces_as_large_as_the_settings_say() {
    // The device reads some pieces and no more.
    let is_read = |settings: Configs| {
        let stage = Stage::new();
        stage.run(&[], async |shards: Shards| {
            with_offsets_topic(&shards, &[]).await;
            for _ in 0..200 {
                assert_eq!(commit(&shards).await, done());
            }
            shards.stop().await;
        });
        let path_contains = format!("{OFFSETS_TOPIC}-0/");
        stage.world.fail_disk(stage.host, DiskFault { path_contains, after: 60, ..DiskFault::next(DiskOp::Read) });
        stage.run(settings, async |shards: Shards| commit(&shards).await == done())
    };
    assert!(is_read(&[]));
    assert!(!is_read(&[("offsets.load.buffer.size", "1")]), "a read for each batch");
}

/// What becomes of a first member, and after how many milliseconds.
async fn join(shards: &Shards, session_timeout_ms: i32) -> (ErrorCode, u128) {
    let request = JoinGroup {
        group: "g".into(),
        member: "".into(),
        instance: None,
        client_id: Arc::from("c"),
        client_host: Arc::from("/127.0.0.1"),
        session_timeout_ms,
        rebalance_timeout_ms: 60_000,
        protocol_type: Arc::from("consumer"),
        protocols: vec![Protocol { name: Arc::from("range"), metadata: Bytes::from_static(b"any") }],
        needs_member_id: false,
        can_skip_assignment: false,
        unique: 1,
    };
    let begun = shards.io().now();
    match ask(shards, Request::Join(request)).await {
        Ok(Answer::Joined(joined)) => (joined.error, shards.io().now().since(begun).as_millis()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_wait_and_are_waited_for_as_long_as_the_settings_say() {
    let delay = |text: &'static str| {
        let settings = [
            ("group.initial.rebalance.delay.ms", text),
            ("group.min.session.timeout.ms", "2000"),
            ("group.max.session.timeout.ms", "3000"),
        ];
        Stage::new().run(&settings, async move |shards: Shards| {
            with_offsets_topic(&shards, &[]).await;
            for outside in [1_999, 3_001] {
                assert_eq!(join(&shards, outside).await.0, ErrorCode::InvalidSessionTimeout, "{outside} ms");
            }
            let (error, waited) = join(&shards, 2_000).await;
            assert_eq!(error, ErrorCode::None);
            waited
        })
    };
    let (none, some) = (delay("0"), delay("700"));
    assert!(none < 100 && (690..900).contains(&some), "{none} and {some} ms");
}

/// How many producers `events` knows.
async fn producers(shards: &Shards) -> usize {
    let told = shards.active_producers(vec![id(shards, 0)]).await.remove(0);
    told.expect("the partition is there").len()
}

#[test]
fn producers_are_forgotten_when_the_settings_say() {
    for (settings, jumps) in [
        (
            [("producer.id.expiration.ms", "60000"), ("producer.id.expiration.check.interval.ms", "1000")],
            [(50_000, 2_500), (10_000, 2_500)],
        ),
        (
            [("producer.id.expiration.ms", "1000"), ("producer.id.expiration.check.interval.ms", "60000")],
            [(0, 30_000), (0, 40_000)],
        ),
    ] {
        let stage = Stage::new();
        let inside = stage.clone();
        let known = stage.run(&settings, async move |shards: Shards| {
            with_topic(&shards, 1, &[]).await;
            produce(&shards, 0, &["x"], Some((5, 0, 0)), 1).await;
            let mut known = Vec::new();
            for (ahead, ms) in jumps {
                inside.jump(ahead);
                sleep(&shards, ms).await;
                known.push(producers(&shards).await);
            }
            known
        });
        assert_eq!(known, [1, 0], "{settings:?}");
    }
}

#[test]
fn producers_that_are_not_forgotten_yet_are_known_after_a_restart() {
    let after_a_restart = |settings: Configs, set_later: Option<&'static str>, away: i64| {
        let stage = Stage::new();
        stage.run(settings, async move |shards: Shards| {
            with_topic(&shards, 1, &[]).await;
            if let Some(ms) = set_later {
                let operation = ConfigOperation::Set(ms.to_owned());
                alter(&shards, ConfigResource::Broker(None), "producer.id.expiration.ms", operation).await;
            }
            produce(&shards, 0, &["x"], Some((5, 0, 0)), 1).await;
            shards.stop().await;
        });
        stage.jump(away);
        stage.run(settings, async |shards: Shards| producers(&shards).await)
    };
    assert_eq!(after_a_restart(&[], None, 23 * HOUR), 1);
    assert_eq!(after_a_restart(&[], None, 30 * HOUR), 0, "a day by default");
    assert_eq!(after_a_restart(&[("producer.id.expiration.ms", "172800000")], None, 30 * HOUR), 1);
    assert_eq!(after_a_restart(&[("producer.id.expiration.ms", "3600000")], None, 2 * HOUR), 0);
    assert_eq!(after_a_restart(&[], Some("172800000"), 30 * HOUR), 1);
}

/// Gives the client `c` a quota.
async fn set_quota(shards: &Shards, key: &str, value: f64) {
    let entity = EntityData { entity_type: "client-id".into(), entity_name: Some("c".into()), ..EntityData::default() };
    let op = OpData { key: key.into(), value, ..OpData::default() };
    let entry = EntryData { entity: vec![entity], ops: vec![op], ..EntryData::default() };
    let request = AlterClientQuotasRequest { entries: vec![entry], ..AlterClientQuotasRequest::default() };
    match shards.controller(Command::AlterClientQuotas(request)).await {
        Ok(Reply::AlterClientQuotas(told)) => assert_eq!(told[0].error_code, 0, "{told:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rates_are_averages_over_the_windows_that_the_settings_say() {
    // Three seconds' worth at once, where the average is over ten seconds, one, two, and four.
    let cases: [(Configs, u64); 4] = [
        (&[], 0),
        (&[("quota.window.num", "2")], 2_000),
        (&[("quota.window.num", "3")], 1_000),
        (&[("quota.window.num", "3"), ("quota.window.size.seconds", "2")], 0),
    ];
    for (settings, expected) in cases {
        let wait_ms = Stage::new().run(settings, async |shards: Shards| {
            set_quota(&shards, "producer_byte_rate", 1_000.0).await;
            shards.charge(QuotaKind::Produce, "c", 3_000.0).await
        });
        assert_eq!(wait_ms, expected, "{settings:?}");
    }
}

#[test]
fn changes_of_the_metadata_may_come_at_once_as_far_as_the_windows_of_the_settings_reach() {
    // One partition a second: after three, there are eight left of eleven, none of two, seven of ten.
    let cases: [(Configs, ErrorCode); 3] = [
        (&[], ErrorCode::None),
        (&[("controller.quota.window.num", "2")], ErrorCode::ThrottlingQuotaExceeded),
        (&[("controller.quota.window.num", "2"), ("controller.quota.window.size.seconds", "5")], ErrorCode::None),
    ];
    for (settings, expected) in cases {
        let error = Stage::new().run(settings, async |shards: Shards| {
            set_quota(&shards, "controller_mutation_rate", 1.0).await;
            let create = async |name: &str, num_partitions: i32| {
                let topic =
                    CreatableTopic { name: name.into(), num_partitions, replication_factor: 1, ..CreatableTopic::default() };
                let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
                match shards.controller_for("c", true, Command::CreateTopics(request)).await {
                    Ok(Reply::CreateTopics(response)) => response.topics[0].error_code,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(create("first", 3).await, ErrorCode::None.code());
            create("second", 1).await
        });
        assert_eq!(error, expected.code(), "{settings:?}");
    }
}

#[test]
fn a_broker_is_who_and_where_the_settings_say() {
    let file = "broker.id=7\nbroker.rack=r1\nlog.dir=/data/own\nmetadata.log.dir=/data/m\nlisteners=PLAINTEXT://127.0.0.1:9092\n\
        advertised.listeners=PLAINTEXT://here.example:1111\n";
    let config = Arc::new(BrokerConfig::load(Some(file.as_bytes()), &[]).expect("a valid file").0);
    let stage = Stage::new();
    stage.run_with(config, async |shards: Shards| {
        with_topic(&shards, 1, &[]).await;
        append_now(&shards).await;
        let image = shards.image();
        let broker = image.broker(BrokerId(7)).expect("the broker is registered");
        let endpoint = &broker.endpoints[0];
        assert_eq!((&*endpoint.name, &*endpoint.host, endpoint.port), ("PLAINTEXT", "here.example", 1111));
        assert_eq!(broker.rack.as_deref(), Some("r1"));
        assert_eq!(broker.log_dirs.len(), 1, "that of the metadata has no replicas");
    });
    let disk = stage.world.disk(stage.host);
    let first = "00000000000000000000.log";
    for file in ["/data/own/events-0", "/data/m/__cluster_metadata-0"].map(|dir| format!("{dir}/{first}")) {
        assert!(disk.read(&file).is_some_and(|content| !content.is_empty()), "{file}");
    }
    let meta = String::from_utf8(disk.read("/data/own/meta.properties").expect("it is formatted")).unwrap();
    assert!(meta.lines().any(|line| line == "node.id=7"), "{meta}");
    let elsewhere = |path: &std::path::PathBuf| !path.starts_with("/data/own") && !path.starts_with("/data/m");
    let strays: Vec<_> = disk.files().into_iter().filter(elsewhere).collect();
    assert_eq!(strays, [] as [std::path::PathBuf; 0]);
}
