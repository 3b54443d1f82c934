//! [`Shards`]: the partitions of all cores, seen from one of them.

use super::seam::{BrokerConfig, ControllerCommand, ControllerReply, MetadataImage};
use super::{
    Budget, DeletedRecords, EpochEnd, EpochEndOffset, FetchRead, FetchResult, ListOffset, ListedOffset, LogSize, ProduceResult,
    ProduceSlice, placement,
};
use crate::io::{Accepted, Io, Mono};
use crate::model::{Offset, PartitionIndex, ProducerId, TopicId, TopicIdPartition};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

/// This core's handle to the partitions, wherever they live. Clone freely; it stays on its core.
#[derive(Clone)]
pub struct Shards {
    _todo: Rc<()>,
}

/// Why a call got no answer: the broker is stopping.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the broker is stopping")]
pub struct Stopping;

/// Counts one connection of this core until it is dropped.
pub struct ConnectionGuard {
    _todo: Rc<()>,
}

impl Shards {
    /// The devices of this core.
    pub fn io(&self) -> &Io {
        todo!()
    }

    /// The broker's settings.
    pub fn config(&self) -> &Arc<BrokerConfig> {
        todo!()
    }

    /// Memory for requests of this core; `server` reserves before it reads a request.
    pub fn budget(&self) -> &Budget {
        todo!()
    }

    /// The metadata that this core has applied.
    pub fn image(&self) -> Arc<MetadataImage> {
        todo!()
    }

    /// The core that owns a partition.
    pub fn owner(&self, topic_id: TopicId, partition: PartitionIndex) -> usize {
        placement::owner(topic_id, partition, self.io().cores())
    }

    /// Appends batches; the results are in the order of `slices`. The slices are on their way when this returns: the order of calls
    /// is the order in each partition. `acks` is 0, 1 or -1; with -1 a slice that has not reached its in-sync replicas at `deadline`
    /// gets REQUEST_TIMED_OUT (and may be in the log).
    pub fn produce(
        &self,
        slices: Vec<ProduceSlice>,
        acks: i16,
        deadline: Mono,
    ) -> impl Future<Output = Vec<ProduceResult>> + 'static {
        let _ = (slices, acks, deadline);
        async { todo!() }
    }

    /// Reads; the results are in the order of `read.partitions`.
    pub fn fetch(&self, read: FetchRead) -> impl Future<Output = Vec<FetchResult>> + 'static {
        let _ = read;
        async { todo!() }
    }

    /// Finds offsets by time; the results are in the order of `queries`.
    pub fn list_offsets(
        &self,
        queries: Vec<ListOffset>,
        isolation: super::Isolation,
        replica_id: crate::model::BrokerId,
    ) -> impl Future<Output = Vec<ListedOffset>> + 'static {
        let _ = (queries, isolation, replica_id);
        async { todo!() }
    }

    /// Finds the ends of leader epochs; the results are in the order of `queries`.
    pub fn epoch_end_offsets(&self, queries: Vec<EpochEnd>) -> impl Future<Output = Vec<EpochEndOffset>> + 'static {
        let _ = queries;
        async { todo!() }
    }

    /// Deletes the records before an offset (-1: before the high watermark); the results are in the order of `partitions`.
    pub fn delete_records(
        &self,
        partitions: Vec<(TopicIdPartition, Offset)>,
    ) -> impl Future<Output = Vec<DeletedRecords>> + 'static {
        let _ = partitions;
        async { todo!() }
    }

    /// Sizes of all logs of the broker.
    pub fn log_sizes(&self) -> impl Future<Output = Vec<LogSize>> + 'static {
        async { todo!() }
    }

    /// Lets the controller decide and commit. When the answer comes, every core of this broker has applied the decision: new
    /// partitions take records.
    pub fn controller(&self, command: ControllerCommand) -> impl Future<Output = Result<ControllerReply, Stopping>> + 'static {
        let _ = command;
        async { todo!() }
    }

    /// A producer id that nobody has had. Each core hands out a block; a new block is a controller's decision.
    pub fn producer_id(&self) -> impl Future<Output = Result<ProducerId, Stopping>> + 'static {
        async { todo!() }
    }

    /// The core with the fewest connections.
    pub fn least_loaded(&self) -> usize {
        todo!()
    }

    /// Gives an accepted connection to another core (or this one): the handler that was registered there gets it. `listener` is the
    /// listener's index in the broker's list. Counts as one of that core's connections from now on, see [`ConnectionGuard`].
    pub fn hand_off(&self, core: usize, accepted: Accepted, listener: usize) {
        let _ = (core, accepted, listener);
        todo!()
    }

    /// Registers what gets the connections that are handed to this core. The guard is to be kept as long as the connection lives.
    pub fn on_connection(&self, handler: impl Fn(Accepted, usize, ConnectionGuard) + 'static) {
        let _ = handler;
        todo!()
    }
}
