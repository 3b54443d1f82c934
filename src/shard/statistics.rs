//! What cores count, and how far groups are behind.

use super::Shards;
use super::core::Core;
use super::message::Message;
use super::requests::{Isolation, ListOffset};
use crate::group::{GroupId, State};
use crate::io::{Counters, ReplyReceiver, Stalls, reply};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, TopicIdPartition, TopicPartition};
use crate::telemetry::{ApiStatistics, RequestStatistics};
use std::rc::Rc;

/// Totals of one core since it started.
#[derive(Clone, Debug, Default)]
pub struct CoreStatistics {
    /// Of its devices.
    pub counters: Counters,
    /// How long tasks held it.
    pub stalls: Stalls,
    /// Requests by API number.
    pub requests: Vec<(i16, ApiStatistics)>,
    /// Partitions that it has.
    pub partitions: usize,
    /// Log dirs whose device has failed.
    pub offline_dirs: usize,
    /// Bytes of segments that nobody writes to any more, read to see whether they are still good.
    pub scrubbed_bytes: u64,
    /// Ranges of committed records that were found damaged while it ran.
    pub damages: u64,
    /// Logs that were damaged and are whole again, or taken for it.
    pub repairs: u64,
}

/// How far a group is behind.
#[derive(Clone, Debug)]
pub struct GroupLag {
    /// `group.id`.
    pub group: GroupId,
    /// What it does.
    pub state: State,
    /// Records between the committed offset and the end of each partition that has one.
    pub lags: Vec<(TopicPartition, i64)>,
}

/// The end of a log, for ListOffsets.
const LATEST: i64 = -1;
/// A client.
const NO_REPLICA: BrokerId = BrokerId(-1);

impl Shards {
    /// Where this core's requests are counted.
    pub fn requests(&self) -> Rc<RequestStatistics> {
        self.core().requests.clone()
    }

    /// Asks every core, in their order; whoever does not answer has stopped, or is held up.
    pub fn ask_cores_for_statistics(&self) -> Vec<ReplyReceiver<CoreStatistics>> {
        let ask = |core| {
            let (sender, answer) = reply();
            self.core().send(core, Message::Statistics { reply: sender });
            answer
        };
        (0..self.core().cores()).map(ask).collect()
    }

    /// How far each group of this broker is behind what it has committed.
    pub async fn group_lags(&self) -> Vec<GroupLag> {
        let found = self.core().ask_all(|reply| Message::GroupOffsetsOfAll { reply }).await;
        let groups: Vec<_> = found.into_iter().flatten().flatten().collect();
        let image = self.image();
        let query = |partition: &TopicPartition| {
            let topic_id = image.topic_by_name(&partition.topic).map(|topic| topic.id).unwrap_or_default();
            let id = TopicIdPartition { topic_id, partition: partition.partition };
            ListOffset { id, current_leader_epoch: LeaderEpoch::NONE, timestamp: LATEST }
        };
        let queries = groups.iter().flat_map(|(_, _, offsets)| offsets.iter().map(|(partition, _)| query(partition))).collect();
        let ends = self.list_offsets(queries, Isolation::ReadUncommitted, NO_REPLICA).await;
        let mut ends = ends.into_iter();
        let mut lags = Vec::with_capacity(groups.len());
        for (group, state, offsets) in groups {
            let ends = ends.by_ref().take(offsets.len());
            let known = offsets.into_iter().zip(ends).filter(|(_, end)| end.error == ErrorCode::None);
            let lag =
                |((partition, committed), end): ((_, i64), super::ListedOffset)| (partition, (end.offset.0 - committed).max(0));
            lags.push(GroupLag { group, state, lags: known.map(lag).collect() });
        }
        lags.sort_by(|a, b| a.group.cmp(&b.group));
        lags
    }
}

impl Core {
    pub(super) fn statistics(&self) -> CoreStatistics {
        CoreStatistics {
            counters: self.io.counters(),
            stalls: self.io.stalls(),
            requests: self.requests.snapshot(),
            partitions: self.partitions.borrow().len(),
            offline_dirs: self.offline.borrow().len(),
            scrubbed_bytes: self.repairs.scrubbed_bytes.get(),
            damages: self.repairs.damages.get(),
            repairs: self.repairs.repairs.get(),
        }
    }
}
