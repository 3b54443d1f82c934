//! Where the effect of each honoured key is seen: on a running broker, or on the machine that obeys it. Whoever makes a key honoured
//! writes a test that fails without it, and notes it here.

use crate::config::dynamic::RUN_TIME_ONLY;
use crate::config::{BROKER_KEYS, HIDDEN_KEYS, Status, TOPIC_KEYS};
use std::collections::BTreeSet;
use std::path::Path;

/// A key, and the test that sees it: its file and its name.
type SeenBy = (&'static str, &'static str, &'static str);

const CONFIG: &str = "src/config/tests.rs";
const QUORUM: &str = "src/quorum/tests.rs";
const QUORUM_OF_THREE: &str = "src/quorum/cluster_tests.rs";
const REPLICA: &str = "src/replica/tests.rs";
const SHARD: &str = "src/shard/settings_tests.rs";
const CLUSTER: &str = "src/server/cluster_tests/settings.rs";
const TIMING: &str = "src/quorum/timing.rs";
const FETCHER: &str = "src/shard/fetcher/tests.rs";
const COMPACTION: &str = "src/shard/clean/settings_tests.rs";
const CLEANER: &str = "src/shard/clean/tests.rs";
const IDENTITY: &str = "tests/operations/identity.rs";
const LIMITS: &str = "tests/operations/limits.rs";
const SETTINGS: &str = "tests/operations/settings.rs";
const ADMIN: &str = "tests/kafka_clients/admin.rs";
const IDLE: &str = "tests/attacks/idle.rs";
const VOTERS: &str = "src/server/cluster_tests/voters.rs";
const REPAIR: &str = "src/server/cluster_tests/repair.rs";
const FAILOVER: &str = "src/server/cluster_tests/failover.rs";

/// Keys of the broker.
#[rustfmt::skip]
const BROKER: &[SeenBy] = &[
    ("advertised.listeners", IDENTITY, "clients_are_told_of_the_broker_what_its_listener_advertises"),
    ("auto.create.topics.enable", SETTINGS, "topics_come_and_stay_as_the_settings_say"),
    ("auto.leader.rebalance.enable", CLUSTER, "leaderships_go_back_to_the_preferred_replicas_when_the_settings_say"),
    ("broker.heartbeat.interval.ms", CLUSTER, "brokers_are_heard_of_as_often_and_missed_as_soon_as_the_settings_say"),
    ("broker.id", SHARD, "a_broker_is_who_and_where_the_settings_say"),
    ("broker.rack", SETTINGS, "topics_come_and_stay_as_the_settings_say"),
    ("broker.session.timeout.ms", CLUSTER, "brokers_are_heard_of_as_often_and_missed_as_soon_as_the_settings_say"),
    ("compression.gzip.level", SETTINGS, "records_are_compressed_as_hard_as_the_settings_say"),
    ("compression.type", SETTINGS, "records_are_compressed_as_hard_as_the_settings_say"),
    ("compression.zstd.level", SETTINGS, "records_are_compressed_as_hard_as_the_settings_say"),
    ("connections.max.idle.ms", IDLE, "silent_and_vanished_clients"),
    ("controlled.shutdown.enable", CLUSTER, "a_broker_takes_its_leave_if_the_settings_say_so"),
    ("controller.listener.names", IDENTITY, "clients_are_told_of_the_broker_what_its_listener_advertises"),
    ("controller.quorum.auto.join.enable", VOTERS, "controllers_join_by_themselves_also_with_a_new_disk"),
    ("controller.quorum.bootstrap.servers", CLUSTER, "nodes_find_each_other_where_the_settings_say"),
    ("controller.quorum.election.backoff.max.ms", TIMING, "voters_stand_as_far_apart_as_the_settings_say"),
    ("controller.quorum.election.timeout.ms", CLUSTER, "a_leader_of_the_quorum_is_missed_as_soon_as_the_settings_say"),
    ("controller.quorum.fetch.timeout.ms", CLUSTER, "a_leader_of_the_quorum_is_missed_as_soon_as_the_settings_say"),
    ("controller.quorum.request.timeout.ms", CLUSTER, "a_voter_is_waited_for_as_long_as_the_settings_say"),
    ("controller.quorum.voters", CLUSTER, "nodes_find_each_other_where_the_settings_say"),
    ("controller.quota.window.num", SHARD, "changes_of_the_metadata_may_come_at_once_as_far_as_the_windows_of_the_settings_reach"),
    ("controller.quota.window.size.seconds", SHARD, "changes_of_the_metadata_may_come_at_once_as_far_as_the_windows_of_the_settings_reach"),
    ("controller.socket.timeout.ms", CLUSTER, "a_controller_that_does_not_answer_is_asked_again_when_the_settings_say"),
    ("default.replication.factor", SETTINGS, "topics_come_and_stay_as_the_settings_say"),
    ("delete.topic.enable", SETTINGS, "topics_come_and_stay_as_the_settings_say"),
    ("fetch.max.bytes", SETTINGS, "answers_have_limits_of_the_brokers_own"),
    ("flumen.busy.poll.us", IDENTITY, "an_idle_core_spins_only_if_the_settings_say_so"),
    ("flumen.cores", IDENTITY, "there_are_as_many_cores_as_the_settings_say"),
    ("flumen.elect.on.refusal.enable", QUORUM_OF_THREE, "a_leader_whose_process_is_gone_is_replaced_at_once"),
    ("flumen.fence.on.refusal.enable", FAILOVER, "nobody_is_fenced_at_once_where_it_is_turned_off"),
    ("flumen.http.listener", "tests/operations/main.rs", "metrics_count_what_clients_do_and_health_follows_the_broker"),
    ("flumen.log.scrub.bytes.per.second", REPAIR, "cold_segments_are_looked_at_as_fast_and_as_often_as_the_settings_say"),
    ("flumen.log.scrub.interval.ms", REPAIR, "cold_segments_are_looked_at_as_fast_and_as_often_as_the_settings_say"),
    ("follower.replication.throttled.rate", FETCHER, "replicas_that_are_held_back_copy_as_slowly_as_the_settings_say"),
    ("group.initial.rebalance.delay.ms", SHARD, "members_wait_and_are_waited_for_as_long_as_the_settings_say"),
    ("group.max.session.timeout.ms", SHARD, "members_wait_and_are_waited_for_as_long_as_the_settings_say"),
    ("group.max.size", SETTINGS, "groups_have_limits"),
    ("group.min.session.timeout.ms", SHARD, "members_wait_and_are_waited_for_as_long_as_the_settings_say"),
    ("initial.broker.registration.timeout.ms", CLUSTER, "a_broker_waits_for_its_registration_as_long_as_the_settings_say"),
    ("inter.broker.listener.name", CLUSTER, "nodes_find_each_other_where_the_settings_say"),
    ("leader.imbalance.check.interval.seconds", CLUSTER, "leaderships_go_back_to_the_preferred_replicas_when_the_settings_say"),
    ("leader.replication.throttled.rate", FETCHER, "replicas_that_are_held_back_copy_as_slowly_as_the_settings_say"),
    ("listener.security.protocol.map", IDENTITY, "clients_are_told_of_the_broker_what_its_listener_advertises"),
    ("listeners", IDENTITY, "clients_are_told_of_the_broker_what_its_listener_advertises"),
    ("log.cleaner.backoff.ms", CLEANER, "settings_of_compaction_hold_from_when_they_are_set"),
    ("log.cleaner.dedupe.buffer.size", COMPACTION, "the_map_of_keys_is_as_large_and_gets_as_full_as_the_settings_say"),
    ("log.cleaner.delete.retention.ms", COMPACTION, "a_tombstone_stays_as_long_as_the_settings_say"),
    ("log.cleaner.enable", SETTINGS, "compaction_can_be_turned_off"),
    ("log.cleaner.io.buffer.load.factor", COMPACTION, "the_map_of_keys_is_as_large_and_gets_as_full_as_the_settings_say"),
    ("log.cleaner.io.buffer.size", COMPACTION, "compaction_reads_as_much_at_once_as_the_settings_say"),
    ("log.cleaner.io.max.bytes.per.second", CLEANER, "settings_of_compaction_hold_from_when_they_are_set"),
    ("log.cleaner.max.compaction.lag.ms", COMPACTION, "records_are_compacted_neither_sooner_nor_later_than_the_settings_say"),
    ("log.cleaner.min.cleanable.ratio", COMPACTION, "a_log_is_compacted_when_as_much_of_it_is_dirty_as_the_settings_say"),
    ("log.cleaner.min.compaction.lag.ms", COMPACTION, "records_are_compacted_neither_sooner_nor_later_than_the_settings_say"),
    ("log.cleanup.policy", COMPACTION, "what_inherits_its_policy_is_compacted_if_the_settings_say_so"),
    ("log.dir", SHARD, "a_broker_is_who_and_where_the_settings_say"),
    ("log.dir.failure.timeout.ms", CLUSTER, "a_failed_log_dir_ends_a_broker_that_cannot_tell_the_controller_as_soon_as_the_settings_say"),
    ("log.dirs", "src/shard/tests.rs", "an_old_topic_of_the_same_name_in_another_log_dir_is_set_aside"),
    ("log.flush.interval.messages", SHARD, "records_are_flushed_after_the_time_or_number_that_the_settings_say"),
    ("log.flush.interval.ms", SHARD, "records_are_flushed_after_the_time_or_number_that_the_settings_say"),
    ("log.flush.offset.checkpoint.interval.ms", SHARD, "checkpoints_are_written_as_often_as_the_settings_say"),
    ("log.flush.scheduler.interval.ms", SHARD, "what_is_to_be_flushed_is_looked_for_as_often_as_the_settings_say"),
    ("log.flush.start.offset.checkpoint.interval.ms", SHARD, "checkpoints_are_written_as_often_as_the_settings_say"),
    ("log.index.interval.bytes", SETTINGS, "segments_and_their_indexes_are_as_large_as_the_settings_say"),
    ("log.index.size.max.bytes", SETTINGS, "segments_and_their_indexes_are_as_large_as_the_settings_say"),
    ("log.initial.task.delay.ms", SHARD, "tasks_of_logs_begin_when_the_settings_say"),
    ("log.message.timestamp.after.max.ms", SETTINGS, "timestamps_are_judged_or_replaced"),
    ("log.message.timestamp.before.max.ms", SETTINGS, "timestamps_are_judged_or_replaced"),
    ("log.message.timestamp.type", SETTINGS, "timestamps_are_judged_or_replaced"),
    ("log.preallocate", SETTINGS, "segments_and_their_indexes_are_as_large_as_the_settings_say"),
    ("log.retention.bytes", SETTINGS, "what_is_too_much_goes_and_its_files_stay_for_a_while"),
    ("log.retention.check.interval.ms", SETTINGS, "what_is_too_much_goes_and_its_files_stay_for_a_while"),
    ("log.retention.hours", SHARD, "records_go_when_they_are_as_old_as_the_finest_unit_says"),
    ("log.retention.minutes", SHARD, "records_go_when_they_are_as_old_as_the_finest_unit_says"),
    ("log.retention.ms", SHARD, "records_go_when_they_are_as_old_as_the_finest_unit_says"),
    ("log.roll.hours", SHARD, "segments_are_rolled_when_they_are_as_old_as_the_settings_say"),
    ("log.roll.jitter.hours", SHARD, "rolls_come_early_by_a_random_part_of_the_jitter"),
    ("log.roll.jitter.ms", SHARD, "rolls_come_early_by_a_random_part_of_the_jitter"),
    ("log.roll.ms", SHARD, "segments_are_rolled_when_they_are_as_old_as_the_settings_say"),
    ("log.segment.bytes", SETTINGS, "what_is_too_much_goes_and_its_files_stay_for_a_while"),
    ("log.segment.delete.delay.ms", SETTINGS, "what_is_too_much_goes_and_its_files_stay_for_a_while"),
    ("max.connection.creation.rate", LIMITS, "connections_are_made_at_a_rate"),
    ("max.connections", ADMIN, "a_limit_of_connections_holds_from_when_it_is_set"),
    ("max.connections.per.ip", LIMITS, "an_address_has_as_many_connections_as_it_may"),
    ("max.connections.per.ip.overrides", LIMITS, "an_address_has_as_many_connections_as_it_may"),
    ("max.incremental.fetch.session.cache.slots", SETTINGS, "fetch_sessions_are_as_many_as_there_are_slots"),
    ("max.request.partition.size.limit", SETTINGS, "answers_have_limits_of_the_brokers_own"),
    ("message.max.bytes", ADMIN, "broker_configs_are_changed_for_one_and_for_all"),
    ("metadata.log.dir", SHARD, "a_broker_is_who_and_where_the_settings_say"),
    ("metadata.log.max.record.bytes.between.snapshots", SETTINGS, "the_metadata_are_written_down_as_a_snapshot_as_often_as_the_settings_say"),
    ("metadata.log.max.snapshot.interval.ms", SHARD, "metadata_are_written_down_by_time_also_if_nothing_is_decided"),
    ("metadata.log.segment.bytes", QUORUM, "the_log_is_cut_by_time_and_size_as_the_settings_say"),
    ("metadata.log.segment.ms", QUORUM, "the_log_is_cut_by_time_and_size_as_the_settings_say"),
    ("metadata.max.retention.bytes", QUORUM, "older_snapshots_go_by_age_and_size_as_the_settings_say"),
    ("metadata.max.retention.ms", QUORUM, "older_snapshots_go_by_age_and_size_as_the_settings_say"),
    ("min.insync.replicas", REPLICA, "small_isr_refuses_acks_all_and_freezes_the_high_watermark"),
    ("node.id", IDENTITY, "clients_are_told_of_the_broker_what_its_listener_advertises"),
    ("num.partitions", SETTINGS, "topics_come_and_stay_as_the_settings_say"),
    ("offset.metadata.max.bytes", SETTINGS, "groups_have_limits"),
    ("offsets.commit.timeout.ms", SHARD, "a_commit_waits_for_its_write_as_long_as_the_settings_say"),
    ("offsets.load.buffer.size", SHARD, "groups_are_read_in_pieces_as_large_as_the_settings_say"),
    ("offsets.retention.check.interval.ms", SHARD, "offsets_are_forgotten_when_the_settings_say"),
    ("offsets.retention.minutes", SHARD, "offsets_are_forgotten_when_the_settings_say"),
    ("offsets.topic.compression.codec", SETTINGS, "groups_have_limits"),
    ("offsets.topic.num.partitions", SETTINGS, "the_topic_of_offsets_is_as_the_settings_say"),
    ("offsets.topic.replication.factor", SETTINGS, "the_topic_of_offsets_is_as_the_settings_say"),
    ("offsets.topic.segment.bytes", SETTINGS, "the_topic_of_offsets_is_as_the_settings_say"),
    ("process.roles", CONFIG, "unsafe_or_impossible_settings_are_refused"),
    ("producer.id.expiration.check.interval.ms", SHARD, "producers_are_forgotten_when_the_settings_say"),
    ("producer.id.expiration.ms", SHARD, "producers_that_are_not_forgotten_yet_are_known_after_a_restart"),
    ("queued.max.request.bytes", IDLE, "clients_that_sit_on_unfinished_frames"),
    ("quota.window.num", SHARD, "rates_are_averages_over_the_windows_that_the_settings_say"),
    ("quota.window.size.seconds", SHARD, "rates_are_averages_over_the_windows_that_the_settings_say"),
    ("replica.alter.log.dirs.io.max.bytes.per.second", "src/shard/moves/tests.rs", "a_slow_move_is_described_goes_on_after_a_restart_and_is_given_up_when_it_is_asked_for"),
    ("replica.fetch.backoff.ms", FETCHER, "replicas_are_as_patient_as_the_settings_say"),
    ("replica.fetch.max.bytes", FETCHER, "as_much_is_fetched_in_one_go_as_the_settings_say"),
    ("replica.fetch.min.bytes", FETCHER, "as_much_is_fetched_in_one_go_as_the_settings_say"),
    ("replica.fetch.response.max.bytes", FETCHER, "as_much_is_fetched_in_one_go_as_the_settings_say"),
    ("replica.fetch.wait.max.ms", FETCHER, "as_much_is_fetched_in_one_go_as_the_settings_say"),
    ("replica.high.watermark.checkpoint.interval.ms", SHARD, "checkpoints_are_written_as_often_as_the_settings_say"),
    ("replica.lag.time.max.ms", FETCHER, "replicas_are_as_patient_as_the_settings_say"),
    ("replica.selector.class", FETCHER, "consumers_are_sent_to_the_replica_in_their_rack_if_the_settings_say_so"),
    ("replica.socket.timeout.ms", FETCHER, "replicas_are_as_patient_as_the_settings_say"),
    ("replication.quota.window.num", FETCHER, "replicas_that_are_held_back_copy_as_slowly_as_the_settings_say"),
    ("replication.quota.window.size.seconds", FETCHER, "replicas_that_are_held_back_copy_as_slowly_as_the_settings_say"),
    ("request.timeout.ms", FETCHER, "replicas_are_as_patient_as_the_settings_say"),
    ("security.inter.broker.protocol", CONFIG, "unsafe_or_impossible_settings_are_refused"),
    ("socket.connection.setup.timeout.ms", CLUSTER, "a_connection_may_take_as_long_as_the_settings_say"),
    ("socket.listen.backlog.size", "src/io/real/listener.rs", "as_many_may_wait_as_was_said"),
    ("socket.receive.buffer.bytes", LIMITS, "sockets_have_the_buffers_that_are_set"),
    ("socket.request.max.bytes", "tests/attacks/frames.rs", "frames_longer_than_the_broker_takes"),
    ("socket.send.buffer.bytes", LIMITS, "sockets_have_the_buffers_that_are_set"),
    ("unclean.leader.election.enable", CLUSTER, "a_replica_that_lacks_records_leads_only_if_the_settings_say_so"),
    ("unclean.leader.election.interval.ms", CLUSTER, "a_replica_that_lacks_records_leads_only_if_the_settings_say_so"),
];

/// Topic configs.
#[rustfmt::skip]
const TOPIC: &[SeenBy] = &[
    ("cleanup.policy", CLEANER, "a_compacted_topic_keeps_the_newest_of_each_key_and_goes_on_there_after_a_restart"),
    ("compression.gzip.level", SETTINGS, "records_are_compressed_as_hard_as_the_settings_say"),
    ("compression.type", SETTINGS, "records_are_compressed_as_hard_as_the_settings_say"),
    ("compression.zstd.level", SETTINGS, "records_are_compressed_as_hard_as_the_settings_say"),
    ("delete.retention.ms", COMPACTION, "a_tombstone_stays_as_long_as_the_settings_say"),
    ("file.delete.delay.ms", SETTINGS, "what_is_too_much_goes_and_its_files_stay_for_a_while"),
    ("flush.messages", SHARD, "records_are_flushed_after_the_time_or_number_that_the_settings_say"),
    ("flush.ms", SHARD, "records_are_flushed_after_the_time_or_number_that_the_settings_say"),
    ("follower.replication.throttled.replicas", FETCHER, "replicas_that_are_held_back_copy_as_slowly_as_the_settings_say"),
    ("index.interval.bytes", SETTINGS, "segments_and_their_indexes_are_as_large_as_the_settings_say"),
    ("leader.replication.throttled.replicas", FETCHER, "replicas_that_are_held_back_copy_as_slowly_as_the_settings_say"),
    ("max.compaction.lag.ms", COMPACTION, "records_are_compacted_neither_sooner_nor_later_than_the_settings_say"),
    ("max.message.bytes", ADMIN, "topic_configs_are_changed_described_and_felt"),
    ("message.timestamp.after.max.ms", SETTINGS, "timestamps_are_judged_or_replaced"),
    ("message.timestamp.before.max.ms", SETTINGS, "timestamps_are_judged_or_replaced"),
    ("message.timestamp.type", SETTINGS, "timestamps_are_judged_or_replaced"),
    ("min.cleanable.dirty.ratio", COMPACTION, "a_log_is_compacted_when_as_much_of_it_is_dirty_as_the_settings_say"),
    ("min.compaction.lag.ms", COMPACTION, "records_are_compacted_neither_sooner_nor_later_than_the_settings_say"),
    ("min.insync.replicas", REPLICA, "small_isr_refuses_acks_all_and_freezes_the_high_watermark"),
    ("preallocate", SETTINGS, "segments_and_their_indexes_are_as_large_as_the_settings_say"),
    ("retention.bytes", SETTINGS, "what_is_too_much_goes_and_its_files_stay_for_a_while"),
    ("retention.ms", SHARD, "records_go_when_they_are_as_old_as_the_finest_unit_says"),
    ("segment.bytes", SETTINGS, "what_is_too_much_goes_and_its_files_stay_for_a_while"),
    ("segment.index.bytes", SETTINGS, "segments_and_their_indexes_are_as_large_as_the_settings_say"),
    ("segment.jitter.ms", SHARD, "rolls_come_early_by_a_random_part_of_the_jitter"),
    ("segment.ms", SHARD, "segments_are_rolled_when_they_are_as_old_as_the_settings_say"),
    ("unclean.leader.election.enable", CLUSTER, "a_replica_that_lacks_records_leads_only_if_the_settings_say_so"),
];

/// What keys are called in tests that do not write them out: of a machine, that knows them by another name, or in a loop.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("compression.gzip.level", "compression.{codec}.level"),
    ("compression.zstd.level", "compression.{codec}.level"),
    ("min.insync.replicas", "min_insync_replicas"),
    ("socket.listen.backlog.size", "backlog"),
];

/// Whether the source has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    let at = lines.iter().position(|line| line.starts_with(&head));
    at.is_some_and(|at| lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).any(|line| *line == "#[test]"))
}

fn check<'a>(table: &[SeenBy], honoured: impl Iterator<Item = &'a str>) {
    let honoured: BTreeSet<&str> = honoured.collect();
    let seen: BTreeSet<&str> = table.iter().map(|(key, ..)| *key).collect();
    let unseen: Vec<_> = honoured.difference(&seen).collect();
    assert!(unseen.is_empty(), "called honoured, and no test sees it: {unseen:?}");
    let stale: Vec<_> = seen.difference(&honoured).collect();
    assert!(stale.is_empty(), "not called honoured: {stale:?}");
    assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0), "by name, and each once");
    for (key, file, test) in table {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{key}: {file}: {error}"));
        assert!(has_test(&source, test), "{key}: there is no test {test} in {file}");
        let other = OTHER_NAMES.iter().find(|(name, _)| name == key).map(|(_, other)| *other);
        assert!(source.contains(key) || other.is_some_and(|other| source.contains(other)), "{key} does not occur in {file}");
    }
}

#[test]
fn the_effect_of_every_honoured_key_is_seen_by_a_test() {
    let of_files = BROKER_KEYS.iter().chain(HIDDEN_KEYS).chain(RUN_TIME_ONLY);
    check(BROKER, of_files.filter(|key| key.status == Status::Honoured).map(|key| key.name));
    check(TOPIC, TOPIC_KEYS.iter().filter(|def| def.key.status == Status::Honoured).map(|def| def.key.name));
}

#[test]
fn only_a_test_is_taken_for_one() {
    let source =
        "#[test]\nfn one() {}\n\nfn two() {}\n    #[test]\n    #[ignore]\n    fn three() {}\n#[cfg(test)]\nfn four() {}\n";
    let found = ["one", "two", "three", "four", "five", "on"].map(|name| has_test(source, name));
    assert_eq!(found, [true, false, true, false, false, false]);
}
