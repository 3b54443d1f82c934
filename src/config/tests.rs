mod cluster;
mod seen_by;

use super::dynamic::LIVE_KEYS;
use super::getters::{READ_KEYS, read_all};
use super::topic::find_topic_key;
use super::*;
use crate::model::{BrokerId, PartitionIndex};
use crate::record::{Codec, TimestampType};
use std::collections::BTreeMap;

fn load(file: &str) -> Result<(BrokerConfig, Vec<Warning>), ConfigError> {
    BrokerConfig::load(Some(file.as_bytes()), &[])
}

fn with(lines: &str) -> BrokerConfig {
    load(&format!("node.id=1\n{lines}")).unwrap().0
}

fn refusal(lines: &str) -> String {
    load(&format!("node.id=1\n{lines}")).unwrap_err().to_string()
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn tables_are_sorted_and_their_defaults_satisfy_their_rules() {
    for table in [BROKER_KEYS, HIDDEN_KEYS] {
        assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name));
        table.iter().for_each(|key| drop(key.default_value()));
    }
    assert_eq!(BROKER_KEYS.len(), 320);
    assert!(TOPIC_KEYS.windows(2).all(|pair| pair[0].key.name < pair[1].key.name));
    TOPIC_KEYS.iter().for_each(|def| drop(def.key.default_value().unwrap()));
    assert_eq!(TOPIC_KEYS.len(), 33);
}

/// Honoured is what somebody reads: a method of the broker config, a topic config that inherits it, or the checks at load.
#[test]
fn no_key_is_called_honoured_that_nobody_reads() {
    const CHECKED_AT_LOAD: &[&str] = &[
        "advertised.listeners",
        "broker.id",
        "controller.listener.names",
        "controller.quorum.bootstrap.servers",
        "controller.quorum.voters",
        "inter.broker.listener.name",
        "listener.security.protocol.map",
        "listeners",
        "log.dir",
        "log.dirs",
        "metadata.log.dir",
        "node.id",
        "process.roles",
        "replica.selector.class",
        "security.inter.broker.protocol",
    ];
    let honoured = TOPIC_KEYS.iter().filter(|def| def.key.status == Status::Honoured);
    let inherited: Vec<&str> = honoured.flat_map(|def| def.synonyms).map(|(name, _)| *name).collect();
    for key in BROKER_KEYS.iter().chain(HIDDEN_KEYS) {
        let named = READ_KEYS.contains(&key.name) || LIVE_KEYS.contains(&key.name);
        let read = named || inherited.contains(&key.name) || CHECKED_AT_LOAD.contains(&key.name);
        assert!(key.status != Status::Honoured || read, "{} is called honoured", key.name);
    }
    read_all(&with(""));
}

#[test]
fn without_a_file_it_is_a_working_single_broker() {
    let (config, warnings) = BrokerConfig::load(None, &[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.listeners.iter().map(ToString::to_string).collect::<Vec<_>>(), ["PLAINTEXT://127.0.0.1:9092"]);
    assert_eq!(config.advertised_listeners("h", |_| None)[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
    assert_eq!((config.node_id().0, config.log_dirs()), (1, vec!["./flumen-data".into()]));
    assert_eq!(config.explicit("offsets.topic.replication.factor"), Some("1"));
}

#[test]
fn overrides_win_over_the_file_and_the_built_in() {
    let overrides = [("num.partitions".to_owned(), "7".to_owned()), ("log.dirs".to_owned(), "/a,/b , /a".to_owned())];
    let (config, _) = BrokerConfig::load(None, &overrides).unwrap();
    assert_eq!((config.num_partitions(), config.log_dirs()), (7, vec!["/a".into(), "/b".into()]));
    let (config, _) = BrokerConfig::load(Some(b"node.id=3\nnum.partitions=2"), &overrides).unwrap();
    assert_eq!((config.num_partitions(), config.node_id().0), (7, 3));
}

#[test]
fn kafkas_sample_file_is_accepted() {
    let file = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n\
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\ncontroller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
        num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n\
        socket.request.max.bytes=104857600\nlog.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\nnum.recovery.threads.per.data.dir=1\n\
        offsets.topic.replication.factor=1\nlog.retention.hours=168\nlog.segment.bytes=1073741824\n\
        log.retention.check.interval.ms=300000\n";
    let (config, warnings) = load(file).unwrap();
    assert_eq!(config.listeners.len(), 1, "the controller's listener is not a client's");
    assert!(warnings.iter().any(|w| w.message.contains("CONTROLLER://:9093 is not opened")));
    assert!(!warnings.iter().any(|w| w.key == "offsets.topic.replication.factor"), "it is honoured");
    assert!(!warnings.iter().any(|w| w.key == "num.io.threads"), "a default says nothing");
    let advertised = config.advertised_listeners("h", |_| None);
    assert_eq!(advertised.iter().map(ToString::to_string).collect::<Vec<_>>(), ["PLAINTEXT://localhost:9092"]);
}

#[test]
fn keys_that_do_nothing_are_never_silent() {
    let (_, warnings) =
        load("node.id=1\nnum.io.threads=9\nlog.cleaner.threads=2\ngroup.share.max.size=3\nno.such=1\nlistener.name.x.y=1")
            .unwrap();
    let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(said.contains(&"no.such: unknown configuration".to_owned()));
    assert!(said.iter().any(|w| w.starts_with("num.io.threads: has no effect")));
    assert!(said.iter().any(|w| w.starts_with("group.share.max.size: is not honoured")));
}

#[test]
fn unsafe_or_impossible_settings_are_refused() {
    for (lines, part) in [
        ("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "access control"),
        ("ssl.keystore.location=/x", "TLS"),
        ("ssl.key.password=secret", "[hidden]"),
        ("listeners=SSL://:9093", "only PLAINTEXT"),
        ("listeners=CLIENT://:9093", "add CLIENT:PLAINTEXT"),
        (
            "listeners=PLAINTEXT://:1,CONTROLLER://:2\ncontroller.listener.names=CONTROLLER\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT",
            "CONTROLLER:PLAINTEXT",
        ),
        ("controller.quorum.voters=2@b:1", "node.id=1 must be one of"),
        ("controller.quorum.voters=1@a", "id@host:port"),
        ("controller.quorum.bootstrap.servers=a:1,b:1", "controller.listener.names"),
        ("security.inter.broker.protocol=SSL", "only PLAINTEXT"),
        ("broker.id=2", "set node.id only"),
        ("node.id=-1", "at least 0"),
        ("num.partitions=0", "Value must be at least 1"),
        ("num.partitions=x", "Not a number of type INT"),
        ("num.partitions=3000000000", "Not a number of type INT"),
        ("log.preallocate=yes", "either true or false"),
        ("log.retention.hours=0", "at least 1"),
        ("queued.max.request.bytes=10", "socket.request.max.bytes"),
        ("advertised.listeners=X://a:1", "no listener of this name"),
        ("advertised.listeners=PLAINTEXT://0.0.0.0:1", "cannot reach"),
        ("listeners=PLAINTEXT://0.0.0.0:1", "cannot reach"),
        ("log.dirs=", "names no directory"),
        ("compression.type=zip", "String must be one of"),
        ("inter.broker.listener.name=X", "no listener of this name"),
        ("remote.log.storage.system.enable=true", "tiered"),
        ("socket.send.buffer.bytes=0", "the system's choice"),
        ("socket.receive.buffer.bytes=-2", "the system's choice"),
        ("socket.listen.backlog.size=0", "at least 1"),
        ("max.connections.per.ip=0", "can be set to zero only if"),
        ("max.connections.per.ip.overrides=me.example:1", "host names are not resolved"),
    ] {
        let text = refusal(lines);
        assert!(text.contains(part), "{lines}: {text}");
        assert!(!text.contains("secret"));
    }
    assert!(load("").unwrap_err().to_string().contains("node.id is missing"));
    let several = refusal("num.partitions=0\nssl.keystore.location=/x");
    assert!(several.contains("num.partitions") && several.contains("ssl.keystore.location"), "{several}");
}

#[test]
fn several_listeners_and_chosen_ports() {
    let config = with(
        "listeners=PLAINTEXT://127.0.0.1:0,V6://[::1]:0,ANY://:9099\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,V6:plaintext,ANY:PLAINTEXT",
    );
    let advertised = config.advertised_listeners("me.example", |name| (name != "ANY").then_some(4000 + name.len() as u16));
    let text: Vec<String> = advertised.iter().map(ToString::to_string).collect();
    assert_eq!(text, ["PLAINTEXT://127.0.0.1:4009", "V6://[::1]:4002", "ANY://me.example:9099"]);
    assert_eq!(config.inter_broker_listener, "PLAINTEXT");
}

#[test]
fn topics_inherit_from_the_broker_in_the_finest_unit_set() {
    let none = BTreeMap::new();
    let topic = |lines: &str| TopicConfig::resolve(&with(lines), &DynamicConfigs::default(), &none);
    assert_eq!(topic("").retention_ms, 604_800_000);
    assert_eq!(topic("log.retention.hours=2").retention_ms, 7_200_000);
    assert_eq!(topic("log.retention.hours=2\nlog.retention.minutes=1").retention_ms, 60_000);
    assert_eq!(topic("log.retention.hours=2\nlog.retention.minutes=1\nlog.retention.ms=5").retention_ms, 5);
    assert_eq!(topic("log.retention.hours=-1").retention_ms, -1);
    assert_eq!(topic("log.roll.hours=1\nlog.roll.jitter.hours=2").segment_ms, 3_600_000);
    assert_eq!(topic("log.flush.scheduler.interval.ms=9").flush_ms, 9);
    assert_eq!(topic("log.flush.scheduler.interval.ms=9\nlog.flush.interval.ms=4").flush_ms, 4);
    assert_eq!(topic("compression.type=zstd").compression_type, CompressionType::Codec(Codec::Zstd));
    assert_eq!(topic("log.message.timestamp.type=LogAppendTime").message_timestamp_type, TimestampType::LogAppendTime);
}

#[test]
fn own_configs_win_then_dynamic_then_static() {
    let broker = with("min.insync.replicas=2");
    let mut dynamic = DynamicConfigs::default();
    let min =
        |dynamic: &DynamicConfigs, own: &[(&str, &str)]| TopicConfig::resolve(&broker, dynamic, &map(own)).min_insync_replicas;
    assert_eq!(min(&dynamic, &[]), 2);
    dynamic.cluster = map(&[("min.insync.replicas", "3")]);
    assert_eq!(min(&dynamic, &[]), 3);
    dynamic.broker = map(&[("min.insync.replicas", "4")]);
    assert_eq!(min(&dynamic, &[]), 4);
    assert_eq!(min(&dynamic, &[("min.insync.replicas", "5")]), 5);
    assert_eq!(min(&dynamic, &[("min.insync.replicas", "of the future")]), 4);
    let policies = TopicConfig::resolve(&broker, &dynamic, &map(&[("cleanup.policy", "compact, delete")]));
    assert!(policies.cleanup_delete && policies.cleanup_compact);
}

#[test]
fn topic_configs_are_judged_in_kafkas_words() {
    let judge = |configs: &[(&str, Option<&str>)]| validate_topic_configs(configs.iter().copied());
    assert_eq!(judge(&[("retention.ms", Some("-1")), ("cleanup.policy", Some("compact,delete"))]), Ok(()));
    assert_eq!(judge(&[("cleanup.policy", Some(""))]), Ok(()), "kept for ever");
    let twice = find_topic_key("cleanup.policy").unwrap().key.parse("delete,delete").unwrap();
    assert_eq!(twice.to_string(), "delete");
    for (name, value, text) in [
        ("retention.ms", Some("-2"), "Invalid value -2 for configuration retention.ms: Value must be at least -1"),
        ("retention.ms", Some("soon"), "Invalid value soon for configuration retention.ms: Not a number of type LONG"),
        ("nope", Some("1"), "Unknown topic config name: nope"),
        ("retention.ms", None, "Null value not supported for topic configs: retention.ms"),
        (
            "compression.zstd.level",
            Some("23"),
            "Invalid value 23 for configuration compression.zstd.level: Value must be no more than 22",
        ),
        (
            "min.cleanable.dirty.ratio",
            Some("1.5"),
            "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        ),
    ] {
        assert_eq!(judge(&[(name, value)]), Err(text.to_owned()));
    }
    for (name, value) in [
        ("segment.bytes", "1048575"),
        ("cleanup.policy", "compact,keep"),
        ("cleanup.policy", "delete,"),
        ("compression.type", "lzma"),
        ("compression.gzip.level", "0"),
        ("remote.storage.enable", "true"),
        ("preallocate", "1"),
        ("leader.replication.throttled.replicas", "1:a"),
        ("flush.messages", "0"),
        ("min.cleanable.dirty.ratio", "NaN"),
    ] {
        assert!(judge(&[(name, Some(value))]).is_err(), "{name}={value}");
    }
    assert!(
        judge(&[("min.compaction.lag.ms", Some("5")), ("max.compaction.lag.ms", Some("4"))]).unwrap_err().starts_with("conflict")
    );
    for value in ["*", "0:1,1:2", "", "none"] {
        assert_eq!(judge(&[("leader.replication.throttled.replicas", Some(value))]), Ok(()), "{value}");
    }
}

#[test]
fn throttled_replicas_are_all_some_or_none() {
    let of = |value: &str| {
        let own = map(&[("leader.replication.throttled.replicas", value)]);
        TopicConfig::resolve(&with(""), &DynamicConfigs::default(), &own).leader_replication_throttled_replicas
    };
    let found = |value: &str| [(0, 1), (1, 2), (2, 1)].map(|(p, b)| of(value).contains(PartitionIndex(p), BrokerId(b)));
    assert_eq!(found("*"), [true, true, true]);
    assert_eq!(found("0:1,1:2,2:3"), [true, true, false]);
    assert_eq!((found(""), found("none")), ([false; 3], [false; 3]));
}

#[test]
fn topic_configs_that_do_nothing_are_said() {
    let said = |name: &str, value: &str| topic_config_warnings([(name, Some(value))].into_iter()).len();
    assert_eq!(said("remote.log.copy.disable", "true"), 1);
    assert_eq!(said("remote.log.copy.disable", "false"), 0, "the default says nothing");
    assert_eq!((said("compression.lz4.level", "3"), said("compression.lz4.level", "9")), (1, 0));
    assert_eq!(said("cleanup.policy", "compact,delete"), 0);
    assert_eq!(said("min.compaction.lag.ms", "5"), 0);
    assert_eq!(said("retention.ms", "5"), 0);
    assert_eq!(load("node.id=1\nlog.cleanup.policy=compact\nlog.cleaner.backoff.ms=1").unwrap().1, []);
}

#[test]
fn what_was_set_for_all_brokers_is_described_by_itself() {
    let broker = with("log.retention.ms=5");
    let cluster = map(&[("log.retention.ms", "6"), ("of.the.future", "1")]);
    let dynamic = DynamicConfigs { cluster, broker: map(&[("log.retention.ms", "7")]) };
    let described = describe_cluster(&broker, &dynamic);
    assert_eq!(described.len(), 1);
    let synonym = |value: &str, source| ConfigSynonym { name: "log.retention.ms".into(), value: Some(value.into()), source };
    assert_eq!(described[0].value.as_deref(), Some("6"));
    assert_eq!(described[0].source, ConfigSource::DynamicDefaultBroker);
    assert_eq!(described[0].synonyms, [synonym("6", ConfigSource::DynamicDefaultBroker)]);
    assert!(!described[0].read_only);
    let all = describe_broker(&broker, &dynamic);
    let entry = all.iter().find(|entry| entry.name == "log.retention.ms").unwrap();
    assert_eq!((entry.value.as_deref(), entry.source), (Some("7"), ConfigSource::DynamicBroker));
    let hours = ConfigSynonym { name: "log.retention.hours".into(), value: Some("168".into()), source: ConfigSource::Default };
    let of_all = ConfigSource::DynamicDefaultBroker;
    let expected =
        [synonym("7", ConfigSource::DynamicBroker), synonym("6", of_all), synonym("5", ConfigSource::StaticBroker), hours];
    assert_eq!(entry.synonyms, expected);
}

/// Lines of `kafka-configs --describe --all` of a running Apache Kafka 4.2.0, whose file set the first three keys; a reassignment had
/// set a throttle.
#[test]
fn described_as_kafka_describes() {
    let broker = with(
        "log.retention.check.interval.ms=300000\nmin.insync.replicas=1\nnum.io.threads=4\nlisteners=PLAINTEXT://127.0.0.1:9092",
    );
    let of_one = map(&[("follower.replication.throttled.rate", "1000000")]);
    let dynamic = DynamicConfigs { cluster: map(&[("min.insync.replicas", "1")]), broker: of_one };
    let line = |entry: &ConfigEntry| {
        let source = |s: &ConfigSynonym| match s.source {
            ConfigSource::Topic => "DYNAMIC_TOPIC_CONFIG",
            ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
            ConfigSource::Default => "DEFAULT_CONFIG",
            ConfigSource::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            ConfigSource::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
        };
        let synonyms: Vec<String> =
            entry.synonyms.iter().map(|s| format!("{}:{}={}", source(s), s.name, s.value.as_deref().unwrap_or("null"))).collect();
        let value = entry.value.as_deref().unwrap_or("null");
        format!("{}={value} sensitive={} synonyms={{{}}}", entry.name, entry.is_sensitive, synonyms.join(", "))
    };
    let topic = describe_topic(&broker, &dynamic, &map(&[("retention.ms", "1000")]));
    let broker = describe_broker(&broker, &dynamic);
    let lines: Vec<String> = topic.iter().chain(&broker).map(line).collect();
    for expected in [
        "cleanup.policy=delete sensitive=false synonyms={DEFAULT_CONFIG:log.cleanup.policy=delete}",
        "flush.messages=9223372036854775807 sensitive=false synonyms={DEFAULT_CONFIG:log.flush.interval.messages=9223372036854775807}",
        "flush.ms=9223372036854775807 sensitive=false synonyms={}",
        "follower.replication.throttled.rate=1000000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:follower.replication.throttled.rate=1000000}",
        "follower.replication.throttled.replicas= sensitive=false synonyms={}",
        "min.cleanable.dirty.ratio=0.5 sensitive=false synonyms={DEFAULT_CONFIG:log.cleaner.min.cleanable.ratio=0.5}",
        "min.insync.replicas=1 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:min.insync.replicas=1, STATIC_BROKER_CONFIG:min.insync.replicas=1, DEFAULT_CONFIG:min.insync.replicas=1}",
        "remote.storage.enable=false sensitive=false synonyms={}",
        "retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000}",
        "segment.ms=604800000 sensitive=false synonyms={}",
        "alter.config.policy.class.name=null sensitive=false synonyms={}",
        "delegation.token.secret.key=null sensitive=true synonyms={}",
        "log.cleaner.io.max.bytes.per.second=1.7976931348623157E308 sensitive=false synonyms={DEFAULT_CONFIG:log.cleaner.io.max.bytes.per.second=1.7976931348623157E308}",
        "log.retention.check.interval.ms=300000 sensitive=false synonyms={STATIC_BROKER_CONFIG:log.retention.check.interval.ms=300000, DEFAULT_CONFIG:log.retention.check.interval.ms=300000}",
        "log.roll.ms=null sensitive=false synonyms={}",
        "node.id=1 sensitive=false synonyms={STATIC_BROKER_CONFIG:node.id=1}",
        "num.io.threads=4 sensitive=false synonyms={STATIC_BROKER_CONFIG:num.io.threads=4, DEFAULT_CONFIG:num.io.threads=8}",
    ] {
        assert!(lines.contains(&expected.to_owned()), "{expected}\n{}", lines.join("\n"));
    }
    assert_eq!(topic[0].source, ConfigSource::Default);
    let read_only = |name: &str| broker.iter().find(|entry| entry.name == name).unwrap().read_only;
    assert!(read_only("log.retention.hours") && !read_only("log.retention.ms") && !read_only("num.io.threads"));
    assert!(find_topic_key("segment.bytes").is_some() && find_topic_key("internal.segment.bytes").is_none());
}

#[test]
fn a_listener_may_have_limits_of_its_own() {
    let lines = "node.id=1\nlisteners=PLAINTEXT://127.0.0.1:1,SIDE://127.0.0.1:2\n\
        listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SIDE:PLAINTEXT\nlistener.name.none.max.connections=1\n\
        listener.name.side.max.connections=7\nlistener.name.side.max.connection.creation.rate=20\n";
    let (broker, warnings) = load(lines).unwrap();
    assert_eq!(warnings.iter().map(|warning| warning.key.as_str()).collect::<Vec<_>>(), ["listener.name.none"]);
    let limits = |dynamic: &DynamicConfigs, name: &str| {
        let limits = LiveConfig::resolve(&broker, dynamic).limits_of(name);
        (limits.max_connections, limits.max_connection_creation_rate)
    };
    let mut dynamic = DynamicConfigs::default();
    assert_eq!((limits(&dynamic, "SIDE"), limits(&dynamic, "PLAINTEXT")), ((7, Some(20)), (usize::MAX, None)));
    let of = |value: &str| map(&[("listener.name.plaintext.max.connections", value)]);
    let judge = |value: &str, per_broker: bool| validate_dynamic(&broker, &DynamicConfigs::default(), &of(value), per_broker);
    assert_eq!(judge("3", true), Ok(()));
    assert!(judge("-1", true).unwrap_err().contains("at least 0"));
    assert!(judge("3", false).unwrap_err().contains("broker id must be specified"));
    dynamic.broker = of("3");
    assert_eq!((limits(&dynamic, "SIDE").0, limits(&dynamic, "PLAINTEXT").0), (7, 3));
    let text = refusal("listener.name.x.max.connections=-1");
    assert!(text.contains("listener.name.x.max.connections: Value must be at least 0"), "{text}");
}
