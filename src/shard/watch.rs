//! Long polling without polls: the owners of partitions report readable bytes when they grow.

use super::{Isolation, Shards};
use crate::io::Mono;
use crate::model::{LeaderEpoch, Offset, TopicIdPartition};

/// A partition that a fetch waits for.
#[derive(Clone, Copy, Debug)]
pub struct WatchPartition {
    /// Topic and partition.
    pub id: TopicIdPartition,
    /// End of what the read before could see ([`super::FetchResult::readable_end`]): what lies behind it is new. When the partition
    /// has grown in between, the watch fires at once, so no growth is lost between the read and the watch.
    pub seen: Offset,
    /// Leader epoch that the reader knows, [`LeaderEpoch::NONE`] for no check.
    pub current_leader_epoch: LeaderEpoch,
}

/// Waits for growth of some partitions on any cores. Dropping it un-registers it at the owners.
pub struct Watch {
    _todo: (),
}

/// Why a [`Watch`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// There may be something to read or an error to report: read again.
    Ready,
    /// The time is over.
    Deadline,
}

impl Watch {
    /// Waits until `min_bytes` more bytes have become readable over all partitions, or a partition has changed otherwise (error,
    /// deletion, truncation, leader epoch), or the deadline has passed, or the shard stops. May be called again.
    pub async fn wait(&self, min_bytes: u64, deadline: Mono) -> Woken {
        let _ = (min_bytes, deadline);
        todo!()
    }
}

impl Shards {
    /// Watches the partitions that a fetch has just read, all of them with the read's isolation.
    pub fn watch(&self, partitions: Vec<WatchPartition>, isolation: Isolation) -> Watch {
        let _ = (partitions, isolation);
        todo!()
    }
}
