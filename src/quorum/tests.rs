//! A quorum on the real disk: what was decided is there after a restart, and after a crash at any byte.

use super::*;
use crate::config::BrokerConfig;
use crate::controller::{BrokerRegistration, Endpoint, MAX_METADATA_VERSION, supported_features};
use crate::io::{Topology, start};
use crate::model::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::generated::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use crate::protocol::generated::{ConfigRecord, CreateTopicsRequest};
use std::future::Future;

pub(super) fn on_a_core<F: Future<Output = ()> + 'static>(body: impl Fn(Io, PathBuf) -> F + Send + Sync + Clone + 'static) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let topology = Topology { cores: 1, busy_poll: std::time::Duration::ZERO };
    start(&topology, move |io| body(io, path.clone())).unwrap().join().unwrap();
}

pub(super) fn how(dir: &Path) -> OpenQuorum {
    OpenQuorum {
        log_dir: dir.to_owned(),
        node: BrokerId(1),
        cluster_id: "c".to_owned(),
        voters: vec![],
        member: None,
        auto_join: false,
        servers: vec![],
        listener: "CONTROLLER".to_owned(),
        timeouts: QuorumTimeouts::default(),
        fast_failover: true,
        clean_shutdown: false,
        num_partitions: 2,
        default_replication_factor: 1,
        min_insync_replicas: 1,
        unclean_leader_election: false,
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        snapshots: SnapshotPolicy { bytes_between: u64::MAX, interval_ms: 0, retention_bytes: -1, retention_ms: -1 },
    }
}

async fn open(io: &Io, dir: &Path) -> Quorum {
    Quorum::open(io.clone(), how(dir)).await.unwrap()
}

pub(super) fn registration() -> Command {
    Command::RegisterBroker(BrokerRegistration {
        broker: BrokerId(1),
        incarnation: TopicId([5; 16]),
        endpoints: vec![Endpoint { name: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: 9092, security_protocol: 0 }],
        rack: None,
        log_dirs: vec![TopicId([6; 16])],
        features: supported_features(),
        ..BrokerRegistration::default()
    })
}

async fn start_broker(quorum: &mut Quorum, clean_restart: bool) -> i64 {
    try_start_broker(quorum, clean_restart).await.unwrap()
}

/// Registers the broker and lets it lead: its epoch, or why the metadata cannot be committed.
pub(super) async fn try_start_broker(quorum: &mut Quorum, clean_restart: bool) -> Result<i64, QuorumError> {
    let epoch = match quorum.execute(registration()).await?.reply {
        Reply::Registered(Ok(epoch)) => epoch,
        other => panic!("{other:?}"),
    };
    let unfence = Command::UnfenceBroker { broker: BrokerId(1), epoch, clean_restart };
    assert_eq!(quorum.execute(unfence).await?.reply, Reply::Unfenced(Ok(())));
    Ok(epoch)
}

async fn create(quorum: &mut Quorum, name: &str, configs: &[(&str, &str)]) -> ErrorCode {
    let executed = quorum.execute(create_topic(name, configs)).await.unwrap();
    let Reply::CreateTopics(response) = executed.reply else { panic!() };
    let error = ErrorCode::from_code(response.topics[0].error_code).unwrap();
    assert_eq!(executed.delta.partitions.len(), if error.is_error() { 0 } else { 2 });
    error
}

pub(super) fn create_topic(name: &str, configs: &[(&str, &str)]) -> Command {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
        ..CreatableTopicConfig::default()
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    Command::CreateTopics(CreateTopicsRequest { topics: vec![topic], timeout_ms: 1, validate_only: false })
}

#[test]
fn decisions_survive_a_crash_and_each_start_leads_in_a_new_epoch() {
    on_a_core(|io, dir| async move {
        let mut quorum = open(&io, &dir).await;
        assert_eq!(quorum.image().metadata_version(), Some(MAX_METADATA_VERSION));
        assert_eq!((quorum.epoch(), quorum.image().next_offset()), (1, Offset(2)), "a leader change and the bootstrap record");
        let epoch = start_broker(&mut quorum, true).await;
        assert_eq!(create(&mut quorum, "a", &[("retention.ms", "5")]).await, ErrorCode::None);
        assert_eq!(create(&mut quorum, "b", &[("retention.ms", "-5")]).await, ErrorCode::InvalidConfig);
        let before = quorum.image();
        drop(quorum);

        let mut quorum = open(&io, &dir).await;
        assert_eq!((quorum.epoch(), quorum.image().next_offset()), (2, before.next_offset().plus(1)));
        assert_eq!(quorum.image().topics().collect::<Vec<_>>(), before.topics().collect::<Vec<_>>());
        assert_eq!(quorum.image().topic_configs("a")["retention.ms"], "5");
        assert!(is_clean_restart(quorum.image(), BrokerId(1), Some(epoch)));
        assert!(!is_clean_restart(quorum.image(), BrokerId(1), None) && !is_clean_restart(quorum.image(), BrokerId(1), Some(-1)));
        start_broker(&mut quorum, false).await;
        let image = quorum.image();
        let topic = image.topic_by_name("a").unwrap();
        assert_eq!(topic.partitions[&PartitionIndex(0)].leader_epoch, LeaderEpoch(1));
        quorum.close().await.unwrap();
        let state =
            String::from_utf8(io.read_file(&Quorum::log_path(&dir).join("quorum-state")).await.unwrap().to_vec()).unwrap();
        let written = "{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":2,\"votedId\":-1,\"appliedOffset\":0,\
            \"currentVoters\":[{\"voterId\":1}],\"data_version\":0}";
        assert_eq!(state, written);
    });
}

#[test]
fn a_cut_at_any_byte_loses_the_last_batch_at_most() {
    on_a_core(|io, dir| async move {
        let mut quorum = open(&io, &dir).await;
        start_broker(&mut quorum, true).await;
        create(&mut quorum, "a", &[]).await;
        let log = Quorum::log_path(&dir).join("00000000000000000000.log");
        let whole = io.read_file(&log).await.unwrap();
        create(&mut quorum, "b", &[]).await;
        drop(quorum);
        let longer = io.read_file(&log).await.unwrap();
        for cut in (whole.len()..longer.len()).step_by(29) {
            io.replace_file(&log, longer.slice(..cut)).await.unwrap();
            let mut quorum = open(&io, &dir).await;
            let names: Vec<String> = quorum.image().topics().map(|topic| topic.name.to_string()).collect();
            assert_eq!(names, ["a"], "cut at {cut}");
            quorum.close().await.unwrap();
        }
    });
}

#[test]
fn bootstrap_file_is_read_where_it_is_and_must_be_whole() {
    on_a_core(|io, dir| async move {
        drop(open(&io, &dir).await);
        let file = dir.join("bootstrap.checkpoint");
        let content = io.read_file(&file).await.unwrap();
        let records = snapshot::read(&content).unwrap();
        assert_eq!(records, crate::controller::bootstrap_records());
        for cut in 0..content.len() {
            assert!(snapshot::read(&content[..cut]).is_err(), "cut at {cut}");
        }
        // A directory formatted by somebody else for metadata that are not served here.
        let mut old = records.clone();
        let MetadataRecord::FeatureLevel(level) = &mut old[0] else { panic!() };
        level.feature_level = 10;
        let other = dir.join("other");
        io.create_dir_all(&other).await.unwrap();
        let now = io.wall_clock_ms();
        let header = batch::encode_control(crate::record::ControlRecordType::SnapshotHeader, &[0; 11], Offset(0), 0, now);
        let data = batch::encode(&old, 29, Offset(1), 0, now).unwrap();
        let footer = batch::encode_control(crate::record::ControlRecordType::SnapshotFooter, &[0; 3], Offset(2), 0, now);
        let snapshot = bytes::Bytes::from([header, data, footer].concat());
        io.replace_file(&other.join("bootstrap.checkpoint"), snapshot).await.unwrap();
        let refused = Quorum::open(io.clone(), how(&other)).await.err().unwrap().to_string();
        assert!(refused.contains("metadata.version 10 is not supported"), "{refused}");
    });
}

#[test]
fn an_unfinished_transaction_is_aborted_by_the_next_leader() {
    on_a_core(|io, dir| async move {
        let mut quorum = open(&io, &dir).await;
        let begin = crate::protocol::generated::BeginTransactionRecord::default();
        let topic =
            crate::protocol::generated::TopicRecord { name: "a".into(), topic_id: TopicId([9; 16]), ..Default::default() };
        quorum.commit(&[begin.into(), topic.into()]).await.unwrap();
        assert_eq!(quorum.image().topic_count(), 0);
        drop(quorum);
        let mut quorum = open(&io, &dir).await;
        assert_eq!(quorum.image().topic_count(), 0);
        start_broker(&mut quorum, true).await;
        assert_eq!(create(&mut quorum, "a", &[]).await, ErrorCode::None, "the name is free");
    });
}

#[test]
fn a_decision_larger_than_a_batch_commits_nothing() {
    on_a_core(|io, dir| async move {
        let mut quorum = open(&io, &dir).await;
        let before = quorum.image();
        let record = |at: usize| {
            let (name, value) = (format!("k{at}").into(), Some("v".repeat(30_000).into()));
            MetadataRecord::from(crate::protocol::generated::ConfigRecord {
                resource_type: 2,
                resource_name: "t".into(),
                name,
                value,
                ..Default::default()
            })
        };
        let records: Vec<MetadataRecord> = (0..300).map(record).collect();
        assert!(matches!(quorum.commit(&records).await, Err(QuorumError::TooLarge { .. })));
        assert_eq!(quorum.image(), before);
        start_broker(&mut quorum, true).await;
    });
}

/// A metadata log whose head was deleted after a snapshot, as Apache Kafka leaves it.
#[test]
fn a_snapshot_stands_for_what_was_before_it() {
    on_a_core(|io, dir| async move {
        let mut quorum = open(&io, &dir).await;
        start_broker(&mut quorum, true).await;
        create(&mut quorum, "a", &[]).await;
        let end = quorum.image().next_offset();
        drop(quorum);
        // A snapshot that says something else than the log does tells which one was read.
        let now = io.wall_clock_ms();
        let topic =
            crate::protocol::generated::TopicRecord { name: "s".into(), topic_id: TopicId([8; 16]), ..Default::default() };
        let mut records = crate::controller::bootstrap_records();
        records.push(topic.into());
        let header = batch::encode_control(crate::record::ControlRecordType::SnapshotHeader, &[0; 11], Offset(0), 0, now);
        let data = batch::encode(&records, 29, Offset(1), 0, now).unwrap();
        let footer = batch::encode_control(crate::record::ControlRecordType::SnapshotFooter, &[0; 3], Offset(3), 0, now);
        let path = Quorum::log_path(&dir).join(format!("{:020}-{:010}.checkpoint", end.0, 1));
        io.replace_file(&path, bytes::Bytes::from([header, data, footer].concat())).await.unwrap();
        let quorum = open(&io, &dir).await;
        let names: Vec<String> = quorum.image().topics().map(|topic| topic.name.to_string()).collect();
        assert_eq!((names, quorum.image().next_offset()), (vec!["s".to_owned()], end.plus(1)));
    });
}

#[test]
fn a_log_goes_only_for_a_snapshot_that_can_be_read() {
    on_a_core(|io, dir| async move {
        let mut quorum = open(&io, &dir).await;
        start_broker(&mut quorum, true).await;
        assert_eq!(create(&mut quorum, "a", &[]).await, ErrorCode::None);
        quorum.close().await.unwrap();
        let ahead = Quorum::log_path(&dir).join(format!("{:020}-{:010}.checkpoint", 9_999, 1));
        io.replace_file(&ahead, bytes::Bytes::from_static(b"half")).await.unwrap();
        assert!(Quorum::open(io.clone(), how(&dir)).await.is_err());
        io.remove_file(&ahead).await.unwrap();
        let quorum = open(&io, &dir).await;
        let names: Vec<String> = quorum.image().topics().map(|topic| topic.name.to_string()).collect();
        assert_eq!(names, ["a"]);
    });
}

/// How many snapshots there are, and where the log begins.
async fn kept(io: &Io, quorum: &Quorum, dir: &Path) -> (usize, Offset) {
    (snapshot::list(io, &Quorum::log_path(dir)).await.unwrap().len(), quorum.node.start_offset())
}

#[test]
fn a_start_goes_on_from_the_newest_snapshot_and_the_log_loses_what_is_in_the_oldest() {
    on_a_core(|io, dir| async move {
        let small = SnapshotPolicy { bytes_between: 2_000, interval_ms: 0, retention_bytes: 6_000, retention_ms: -1 };
        let with = |snapshots| OpenQuorum { segment_bytes: 1_500, snapshots, ..how(&dir) };
        let mut quorum = Quorum::open(io.clone(), with(small)).await.unwrap();
        start_broker(&mut quorum, true).await;
        for number in 0..60 {
            assert_eq!(create(&mut quorum, &format!("t{number}"), &[("retention.ms", "5")]).await, ErrorCode::None);
            quorum.keep_short().await.unwrap();
        }
        let (snapshots, start) = kept(&io, &quorum, &dir).await;
        assert!(snapshots >= 1, "snapshots are written");
        assert!(start > Offset::ZERO, "the log is short");
        let before = quorum.image();
        drop(quorum);
        // A crash has left one that was being written, and one of which the same was still to be moved there.
        let log_path = Quorum::log_path(&dir);
        let parts = ["part", "part.tmp"].map(|end| log_path.join(format!("00000000000000009999-0000000001.checkpoint.{end}")));
        for part in &parts {
            let options = crate::io::OpenOptions::CREATE;
            io.open(part, options).await.unwrap().write_at(&io, 0, &[bytes::Bytes::from_static(b"half")]).await.unwrap();
        }

        let quorum = Quorum::open(io.clone(), with(small)).await.unwrap();
        assert_eq!(quorum.image().topics().collect::<Vec<_>>(), before.topics().collect::<Vec<_>>());
        assert_eq!(quorum.image().topic_configs("t7")["retention.ms"], "5");
        assert_eq!(quorum.image().next_producer_id(), before.next_producer_id());
        for part in &parts {
            assert!(!io.exists(part).await.unwrap(), "{}", part.display());
        }
    });
}

#[test]
fn a_snapshot_comes_by_time_only_if_there_is_something_new() {
    on_a_core(|io, dir| async move {
        let by_time = SnapshotPolicy { bytes_between: u64::MAX, interval_ms: 1, retention_bytes: -1, retention_ms: -1 };
        let mut quorum = Quorum::open(io.clone(), OpenQuorum { snapshots: by_time, ..how(&dir) }).await.unwrap();
        start_broker(&mut quorum, true).await;
        let mut counts = Vec::new();
        for _ in 0..3 {
            io.sleep(std::time::Duration::from_millis(3)).await;
            quorum.keep_short().await.unwrap();
            counts.push(kept(&io, &quorum, &dir).await);
        }
        assert_eq!(counts, [(1, Offset::ZERO); 3], "once, and the log stays as long as the policy lets it");
    });
}

/// A quorum with these settings, in a directory of its own.
async fn open_as_set(io: &Io, dir: &Path, settings: &[(&str, &str)]) -> Quorum {
    io.create_dir_all(dir).await.unwrap();
    let more = [("log.dirs".to_owned(), dir.display().to_string()), ("num.partitions".to_owned(), "2".to_owned())];
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = BrokerConfig::load(None, &settings.chain(more).collect::<Vec<_>>()).unwrap().0;
    let mut quorum = Quorum::open(io.clone(), OpenQuorum::new(&config, false)).await.unwrap();
    start_broker(&mut quorum, true).await;
    quorum
}

async fn segments(io: &Io, dir: &Path) -> usize {
    let entries = io.read_dir(&Quorum::log_path(dir)).await.unwrap();
    entries.iter().filter(|entry| entry.name.ends_with(".log")).count()
}

#[test]
fn the_log_is_cut_by_time_and_size_as_the_settings_say() {
    on_a_core(|io, dir| async move {
        let by_time = dir.join("time");
        let mut quorum = open_as_set(&io, &by_time, &[("metadata.log.segment.ms", "5")]).await;
        for number in 0..3 {
            io.sleep(std::time::Duration::from_millis(10)).await;
            create(&mut quorum, &format!("t{number}"), &[]).await;
        }
        assert!(segments(&io, &by_time).await >= 4);

        for (name, settings, expected) in [("size", &[("metadata.log.segment.bytes", "8388608")][..], 2), ("default", &[][..], 1)]
        {
            let by_size = dir.join(name);
            let mut quorum = open_as_set(&io, &by_size, settings).await;
            for _ in 0..4 {
                // Three megabytes, the same again and again.
                let record = |number: usize| ConfigRecord {
                    resource_type: 4,
                    name: (&*format!("k{number}")).into(),
                    value: Some((&*"x".repeat(30_000)).into()),
                    ..ConfigRecord::default()
                };
                let records: Vec<MetadataRecord> = (0..100).map(|number| record(number).into()).collect();
                quorum.commit(&records).await.unwrap();
            }
            assert_eq!(segments(&io, &by_size).await, expected, "{name}");
        }
    });
}

#[test]
fn older_snapshots_go_by_age_and_size_as_the_settings_say() {
    on_a_core(|io, dir| async move {
        for (name, retention, expected) in [
            ("default", None, 6),
            ("age", Some(("metadata.max.retention.ms", "1")), 1),
            ("size", Some(("metadata.max.retention.bytes", "1")), 1),
            ("no limit", Some(("metadata.max.retention.bytes", "-1")), 6),
        ] {
            let dir = dir.join(name);
            let always = ("metadata.log.max.record.bytes.between.snapshots", "1");
            let settings: Vec<_> = [always].into_iter().chain(retention).collect();
            let mut quorum = open_as_set(&io, &dir, &settings).await;
            for number in 0..6 {
                assert_eq!(create(&mut quorum, &format!("t{number}"), &[]).await, ErrorCode::None);
                quorum.keep_short().await.unwrap();
                io.sleep(std::time::Duration::from_millis(5)).await;
            }
            let (snapshots, start) = kept(&io, &quorum, &dir).await;
            assert_eq!((snapshots, start > Offset::ZERO), (expected, expected == 1), "{name}");
        }
    });
}
