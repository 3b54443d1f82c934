//! Kafka's timeouts of a quorum, as openraft has them.
//!
//! In Kafka a follower fetches; without an answer of the leader for `controller.quorum.fetch.timeout.ms` it stands for election. A
//! candidate waits `controller.quorum.election.timeout.ms` for votes, and then up to `controller.quorum.election.backoff.max.ms` more
//! before it tries again, so that two of them do not meet for ever.
//!
//! In openraft a leader sends, and everything follows from one range, `min..max`. A follower gives its leader a lease of `max` with each
//! heartbeat, during which it votes for nobody else, and stands for election a random time of the range after that. A candidate tries again
//! after a random time of the range. So `max` is half of the fetch timeout or the whole election timeout, whichever is shorter: a follower
//! that hears nothing stands within the fetch timeout, and a candidate tries again within the election timeout. The width of the range is
//! what keeps two candidates apart: the backoff, but no more than half of `max`. With Kafka's defaults (2,000, 1,000 and 1,000 ms) it is
//! 500..1,000 ms, and a leader that is gone has a successor within 2 s.
//!
//! A heartbeat is sent every three quarters of `min`, and its answer must be back before the next, so this bounds the round trips that a
//! quorum can live with. A leader that no majority has answered for the fetch timeout does not act as one until it is answered again, as in
//! Kafka; it goes on sending, with pauses in which the others can elect another if it is only their answers that are lost.

use super::settings::QuorumTimeouts;
use openraft::{Config, ConfigError, SnapshotPolicy};
use std::time::Duration;

/// A day in milliseconds: who is alone needs neither elections nor heartbeats by the clock.
const SELDOM_MS: u64 = 24 * 3600 * 1000;
/// Shorter ranges than this make no sense.
const LEAST_MS: u64 = 16;

/// What is the same for all: snapshots are written when openraft is told to, and what a snapshot holds it need not know any more. Nobody
/// leads again after a restart without an election: the others may have gone on.
fn base() -> Config {
    Config {
        cluster_name: super::METADATA_TOPIC.to_owned(),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

/// For a voter that is alone: it stands for election when it is told to (each start anew).
pub(super) fn alone() -> Result<Config, ConfigError> {
    let config = Config {
        heartbeat_interval: SELDOM_MS,
        election_timeout_min: 2 * SELDOM_MS,
        election_timeout_max: 3 * SELDOM_MS,
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        ..base()
    };
    config.validate()
}

/// For one of several. `stands` says whether it may stand for election from the start.
pub(super) fn among_others(timeouts: &QuorumTimeouts, stands: bool) -> Result<Config, ConfigError> {
    let (min, max) = range(timeouts);
    let config = Config {
        heartbeat_interval: min * 3 / 4,
        election_timeout_min: min,
        election_timeout_max: max,
        enable_tick: true,
        enable_heartbeat: true,
        enable_elect: stands,
        enable_pre_vote: Some(true),
        quorum_loss_probe_interval: Some(2 * max),
        // A voter whose disk was replaced comes back with nothing, and is given everything again.
        allow_log_reversion: Some(true),
        ..base()
    };
    config.validate()
}

/// openraft's range, in milliseconds.
fn range(timeouts: &QuorumTimeouts) -> (u64, u64) {
    let max = (timeouts.fetch_ms / 2).min(timeouts.election_ms).max(LEAST_MS);
    let width = timeouts.election_backoff_max_ms.clamp(LEAST_MS / 4, max / 2);
    (max - width, max)
}

/// How often somebody looks whether anything has changed by time alone.
pub(super) fn look(timeouts: &QuorumTimeouts) -> Duration {
    Duration::from_millis(range(timeouts).0 / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    #[test]
    fn whatever_is_configured_openraft_can_keep() {
        let defaults = QuorumTimeouts::default();
        assert_eq!(range(&defaults), (500, 1_000));
        for election_ms in [0, 1, 50, 1_000, 60_000] {
            for fetch_ms in [0, 1, 100, 2_000, 60_000] {
                for election_backoff_max_ms in [0, 10, 1_000, 60_000] {
                    let timeouts = QuorumTimeouts { election_ms, fetch_ms, election_backoff_max_ms, ..defaults };
                    among_others(&timeouts, true).unwrap();
                    assert!(look(&timeouts) > Duration::ZERO);
                }
            }
        }
        alone().unwrap();
    }

    #[test]
    fn voters_stand_as_far_apart_as_the_settings_say() {
        let range_of = |lines: &[(&str, &str)]| {
            let settings: Vec<_> = lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            range(&(&BrokerConfig::load(None, &settings).unwrap().0).into())
        };
        let (fetch, election) = ("controller.quorum.fetch.timeout.ms", "controller.quorum.election.timeout.ms");
        let backoff = "controller.quorum.election.backoff.max.ms";
        assert_eq!(range_of(&[]), (500, 1_000));
        assert_eq!(range_of(&[(backoff, "100")]), (900, 1_000));
        assert_eq!(range_of(&[(fetch, "10000"), (election, "4000"), (backoff, "1500")]), (2_500, 4_000));
    }
}
