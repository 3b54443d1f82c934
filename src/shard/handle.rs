//! [`Shards`]: the partitions of all cores, seen from one of them.

use super::control::{
    FetchedMetadata, FetchedSnapshot, Forwarded, MetadataFetch, QuorumCall, QuorumView, SnapshotFetch, VoterChange,
};
use super::core::{Core, FIRST_CORE};
use super::gather::Asker;
use super::message::Message;
use super::settings::Settings;
use super::{
    ActiveProducers, DeletedRecords, EpochEnd, EpochEndOffset, FetchRead, FetchResult, Isolation, ListOffset, ListedOffset,
    LogDirState, LogSize, ProduceResult, ProduceSlice, placement,
};
use crate::config::{BrokerConfig, LiveConfig, QuorumVoter};
use crate::controller::{Command, MetadataImage, Refusal, Reply};
use crate::io::{Io, LocalReceiver, Mono, ReplyReceiver, ReplySender, local_reply, reply};
use crate::model::{BrokerId, ErrorCode, Offset, PartitionIndex, ProducerId, TopicId, TopicIdPartition, TopicPartition};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

/// This core's handle to the partitions, wherever they live. Clone freely; it stays on its core.
#[derive(Clone)]
pub struct Shards {
    core: Rc<Core>,
    cluster_id: Rc<str>,
}

/// Why a call got no answer: the broker is stopping.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the broker is stopping")]
pub struct Stopping;

/// One request's slices by owner core, with their places in the request.
type ByOwner<T> = BTreeMap<usize, (Vec<usize>, Vec<T>)>;

/// Slices of one request that are split, or put together, in one go.
const MANY: usize = 2000;
/// Slices of a produce that go to their owners in one message, and that an owner takes in one go. Whoever has more hands them over in
/// parts: their order in each partition stays.
pub const MAX_SLICES: usize = 512;

/// An answer on its way, from this core or another.
enum Answer<T: Send + 'static> {
    /// Work of this core, done by whoever waits for it.
    Here(Pin<Box<dyn Future<Output = Vec<T>>>>),
    Local(LocalReceiver<Vec<T>>),
    Remote(ReplyReceiver<Vec<T>>),
}

impl<T: Send + 'static> Answer<T> {
    async fn get(self) -> Option<Vec<T>> {
        match self {
            Self::Here(work) => Some(work.await),
            Self::Local(answer) => answer.await.ok(),
            Self::Remote(answer) => answer.await.ok(),
        }
    }
}

impl Shards {
    pub(super) fn new(core: Rc<Core>, cluster_id: &str) -> Self {
        Self { core, cluster_id: cluster_id.into() }
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// The devices of this core.
    pub fn io(&self) -> &Io {
        &self.core.io
    }

    /// The broker's settings.
    pub fn config(&self) -> &Arc<BrokerConfig> {
        &self.core.config
    }

    /// `cluster.id`, as the log dirs have it.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The metadata that this core has applied.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.core.image.borrow().clone()
    }

    /// The core that owns a partition.
    pub fn owner(&self, topic_id: TopicId, partition: PartitionIndex) -> usize {
        placement::owner(topic_id, partition, self.core.cores())
    }

    /// Splits what is asked by owner, asks, and puts the answers in order; `lost` stands for what an owner that is gone has not
    /// answered.
    async fn ask_owners<Q, T, F>(
        &self,
        queries: Vec<Q>,
        id: impl Fn(&Q) -> TopicIdPartition + Send + 'static,
        here: impl Fn(Rc<Core>, Vec<Q>) -> F,
        message: impl Fn(Vec<Q>, crate::io::ReplySender<Vec<T>>) -> Message,
        lost: impl Fn() -> T + Send + 'static,
    ) -> Vec<T>
    where
        Q: Send + 'static,
        T: Send + 'static,
        F: Future<Output = Vec<T>> + 'static,
    {
        let (count, cores) = (queries.len(), self.core.cores());
        let by_owner = self.core.io.compute(count > MANY, move || split(queries, id, cores)).await;
        merge(self.core.io.clone(), count, self.ask(by_owner, here, message), lost).await
    }

    /// Asks other cores by a message each; this core's part is done by whoever awaits the answer.
    fn ask<Q, T, F>(
        &self,
        by_owner: ByOwner<Q>,
        here: impl Fn(Rc<Core>, Vec<Q>) -> F,
        message: impl Fn(Vec<Q>, crate::io::ReplySender<Vec<T>>) -> Message,
    ) -> Vec<(Vec<usize>, Answer<T>)>
    where
        T: Send + 'static,
        F: Future<Output = Vec<T>> + 'static,
    {
        let ask_one = |(owner, (places, list))| {
            if owner == self.core.index {
                (places, Answer::Here(Box::pin(here(self.core.clone(), list))))
            } else {
                let (sender, answer) = reply();
                self.core.send(owner, message(list, sender));
                (places, Answer::Remote(answer))
            }
        };
        by_owner.into_iter().map(ask_one).collect()
    }

    /// Appends batches; the results are in the order of `slices`. The slices are on their way when this returns: the order of calls
    /// is the order in each partition. `acks` is 0, 1 or -1; with -1 a slice that has not reached its in-sync replicas at `deadline`
    /// gets REQUEST_TIMED_OUT (and may be in the log). At most [`MAX_SLICES`] at once.
    pub fn produce(
        &self,
        slices: Vec<ProduceSlice>,
        acks: i16,
        deadline: Mono,
    ) -> impl Future<Output = Vec<ProduceResult>> + use<> {
        let count = slices.len();
        assert!(count <= MAX_SLICES, "a produce that is too large for one go");
        let ask = |owner, slices| {
            if owner == self.core.index {
                let (sender, answer) = local_reply();
                self.core.produce(slices, acks, deadline, Asker::Local(sender));
                Answer::Local(answer)
            } else {
                let (reply, answer) = reply();
                self.core.send(owner, Message::Produce { slices, acks, deadline, reply });
                Answer::Remote(answer)
            }
        };
        let answers = match &slices[..] {
            // Most requests have one slice, which need not be sorted.
            [slice] => vec![(vec![0], ask(self.owner(slice.topic_id, slice.partition), slices))],
            _ => {
                let id = |slice: &ProduceSlice| TopicIdPartition { topic_id: slice.topic_id, partition: slice.partition };
                let by_owner = split(slices, id, self.core.cores());
                by_owner.into_iter().map(|(owner, (places, slices))| (places, ask(owner, slices))).collect()
            }
        };
        merge(self.core.io.clone(), count, answers, || ProduceResult::failed(ErrorCode::NotLeaderOrFollower, None))
    }

    /// Reads; the results are in the order of `read.partitions`.
    pub async fn fetch(&self, mut read: FetchRead) -> Vec<FetchResult> {
        let partitions = std::mem::take(&mut read.partitions);
        let part = |partitions| FetchRead { partitions, ..read.clone() };
        self.ask_owners(
            partitions,
            |p| TopicIdPartition { topic_id: p.topic_id, partition: p.partition },
            |core, partitions| {
                let read = part(partitions);
                async move { core.fetch(read).await }
            },
            |partitions, reply| Message::Fetch { read: part(partitions), reply },
            || FetchResult::failed(ErrorCode::NotLeaderOrFollower),
        )
        .await
    }

    /// Finds offsets by time; the results are in the order of `queries`. `replica_id` is -1 for a client.
    pub async fn list_offsets(&self, queries: Vec<ListOffset>, isolation: Isolation, replica_id: BrokerId) -> Vec<ListedOffset> {
        self.ask_owners(
            queries,
            |query| query.id,
            move |core, queries| async move { core.list_offsets(queries, isolation, replica_id).await },
            |queries, reply| Message::ListOffsets { queries, isolation, replica_id, reply },
            || ListedOffset::nothing(ErrorCode::NotLeaderOrFollower),
        )
        .await
    }

    /// Finds the ends of leader epochs; the results are in the order of `queries`.
    pub async fn epoch_end_offsets(&self, queries: Vec<EpochEnd>) -> Vec<EpochEndOffset> {
        self.ask_owners(
            queries,
            |query| query.id,
            |core, queries| async move { core.epoch_ends(queries).await },
            |queries, reply| Message::EpochEnds { queries, reply },
            || EpochEndOffset::nothing(ErrorCode::NotLeaderOrFollower),
        )
        .await
    }

    /// Deletes the records before an offset (-1: before the high watermark); the results are in the order of `partitions`.
    pub async fn delete_records(&self, partitions: Vec<(TopicIdPartition, Offset)>) -> Vec<DeletedRecords> {
        self.ask_owners(
            partitions,
            |(id, _)| *id,
            |core, partitions| async move { core.delete_records(partitions).await },
            |partitions, reply| Message::DeleteRecords { partitions, reply },
            || DeletedRecords::failed(ErrorCode::NotLeaderOrFollower),
        )
        .await
    }

    /// Whether a partition of this name could move to another log dir: what marks its copy there has to fit behind the name.
    pub fn may_move(partition: &TopicPartition) -> bool {
        crate::log::may_move(partition)
    }

    /// Lets partitions move to log dirs, given by their places in [`Shards::log_dirs`]; the results are in the order of `partitions`.
    /// Without an error the partition is there already or on its way, and a move to anywhere else is given up.
    pub async fn alter_log_dirs(&self, partitions: Vec<(TopicIdPartition, usize)>) -> Vec<ErrorCode> {
        self.ask_owners(
            partitions,
            |(id, _)| *id,
            |core, partitions| async move { core.alter_log_dirs(partitions).await },
            |partitions, reply| Message::AlterLogDirs { partitions, reply },
            || ErrorCode::NotLeaderOrFollower,
        )
        .await
    }

    /// Who writes to partitions with a producer id; the results are in the order of `partitions`.
    pub async fn active_producers(&self, partitions: Vec<TopicIdPartition>) -> Vec<ActiveProducers> {
        self.ask_owners(
            partitions,
            |id| *id,
            |core, partitions| async move { core.active_producers(partitions).await },
            |partitions, reply| Message::Producers { partitions, reply },
            || Err(ErrorCode::NotLeaderOrFollower),
        )
        .await
    }

    /// The log dirs that take partitions, in the order of `log.dirs`.
    pub fn log_dirs(&self) -> Vec<LogDirState> {
        let Settings { log_dirs, partition_dirs, .. } = &self.core.settings;
        let state = |(dir, path): (usize, &PathBuf)| LogDirState { path: path.clone(), is_offline: self.core.is_offline(dir) };
        log_dirs[..*partition_dirs].iter().enumerate().map(state).collect()
    }

    /// The broker's settings that may change while it runs, as they are.
    pub fn live_config(&self) -> LiveConfig {
        self.core.live.borrow().clone()
    }

    /// Sizes of all logs of the broker, and of copies on their way to other log dirs.
    pub fn log_sizes(&self) -> impl Future<Output = Vec<LogSize>> + 'static {
        let answers: Vec<_> = (0..self.core.cores())
            .map(|core| {
                let (reply, answer) = reply();
                self.core.send(core, Message::LogSizes { reply });
                answer
            })
            .collect();
        async move {
            let mut all = Vec::new();
            for answer in answers {
                all.extend(answer.await.unwrap_or_default());
            }
            all.sort_by_key(|size| (size.id, size.is_future));
            all
        }
    }

    /// Lets the controller decide and commit. When the answer comes, every core of this broker has applied the decision: new
    /// partitions take records.
    pub fn controller(&self, command: Command) -> impl Future<Output = Result<Reply, Stopping>> + 'static {
        let (reply, answer) = reply();
        self.core.send(FIRST_CORE, Message::Controller { command, mutations: None, reply });
        async move { answer.await.unwrap_or(Err(Stopping)) }
    }

    /// Whether this node is broker and controller in one, and nobody else votes: then there is no other controller to ask.
    pub fn is_alone(&self) -> bool {
        self.core.settings.is_alone
    }

    /// Hands a client's request on to the controller that leads: `frame` is all of it but its length.
    pub fn forward(&self, frame: Bytes, client: IpAddr) -> impl Future<Output = Forwarded> + 'static {
        self.ask_quorum(move |reply| QuorumCall::Forward { frame, client, reply }, || Forwarded::Nobody)
    }

    /// The answer to a message of another voter; none where there is no voter.
    pub fn quorum_message(&self, request: Bytes) -> impl Future<Output = Option<Vec<u8>>> + 'static {
        self.ask_quorum(move |reply| QuorumCall::Message { request, reply }, || None)
    }

    /// Committed metadata, for a node that follows them.
    pub fn fetch_metadata(&self, fetch: MetadataFetch) -> impl Future<Output = FetchedMetadata> + 'static {
        self.ask_quorum(move |reply| QuorumCall::Fetch { fetch, reply }, FetchedMetadata::nobody)
    }

    /// A piece of a snapshot of the metadata.
    pub fn fetch_snapshot(&self, fetch: SnapshotFetch) -> impl Future<Output = FetchedSnapshot> + 'static {
        self.ask_quorum(move |reply| QuorumCall::FetchSnapshot { fetch, reply }, FetchedSnapshot::nobody)
    }

    /// The quorum as its leader sees it.
    pub fn describe_quorum(&self) -> impl Future<Output = QuorumView> + 'static {
        self.ask_quorum(|reply| QuorumCall::Describe { reply }, QuorumView::default)
    }

    /// Where the voters' controllers are, as far as this node knows.
    pub fn quorum_voters(&self) -> impl Future<Output = Vec<QuorumVoter>> + 'static {
        self.ask_quorum(|reply| QuorumCall::Voters { reply }, Vec::new)
    }

    /// Changes the quorum's voters, if this node leads it.
    pub fn change_voters(&self, change: VoterChange) -> impl Future<Output = Result<(), Refusal>> + 'static {
        let lost = || Err(Refusal(ErrorCode::NotLeaderOrFollower, None));
        self.ask_quorum(move |reply| QuorumCall::Change { change, reply }, lost)
    }

    /// The newest metadata that this node knows to be committed. Its cores, and so [`Shards::image`], get them a little later, and those
    /// of a broker that starts when its logs are open.
    pub fn committed_image(&self) -> impl Future<Output = Arc<MetadataImage>> + 'static {
        let known = self.image();
        let (reply, answer) = reply();
        self.core.send(FIRST_CORE, Message::Quorum(QuorumCall::Image { reply }));
        async move { answer.await.unwrap_or(known) }
    }

    fn ask_quorum<T: Send + 'static>(
        &self,
        call: impl FnOnce(ReplySender<T>) -> QuorumCall,
        lost: fn() -> T,
    ) -> impl Future<Output = T> + 'static {
        let (reply, answer) = reply();
        self.core.send(FIRST_CORE, Message::Quorum(call(reply)));
        async move { answer.await.unwrap_or_else(|_| lost()) }
    }

    /// The broker is about to stop: returns when what it leads is led by others, or after a while. To be called on the first core, while
    /// everything is served.
    pub async fn take_leave(&self) {
        self.core.take_leave().await;
    }

    /// The broker is about to stop: whoever waits for other members of a group on this core is told to look elsewhere.
    pub fn end_groups(&self) {
        self.core.end_coordinations();
    }

    /// A producer id that nobody has had. Each core hands out a block; a new block is a controller's decision.
    pub fn producer_id(&self) -> impl Future<Output = Result<ProducerId, Stopping>> + 'static {
        let core = self.core.clone();
        async move { core.next_producer_id().await }
    }

    /// Whether consumers are sent to replicas in their racks (`replica.selector.class`).
    pub fn is_rack_aware(&self) -> bool {
        self.core.settings.is_rack_aware
    }

    /// Waits until the broker cannot go on (the last log dir, or that of the metadata, has failed) and says why.
    pub async fn fatal(&self) -> String {
        loop {
            let changed = self.core.changed.notified();
            if let Some(reason) = self.core.fatal.borrow().clone() {
                return reason;
            }
            changed.await;
        }
    }
}

fn split<T>(items: Vec<T>, id: impl Fn(&T) -> TopicIdPartition, cores: usize) -> ByOwner<T> {
    let mut by_owner = ByOwner::new();
    for (place, item) in items.into_iter().enumerate() {
        let id = id(&item);
        let (places, list) = by_owner.entry(placement::owner(id.topic_id, id.partition, cores)).or_default();
        places.push(place);
        list.push(item);
    }
    by_owner
}

/// Puts the answers of all owners in the order of the request. An owner that is gone leaves `lost`.
async fn merge<T: Send + 'static>(
    io: Io,
    count: usize,
    answers: Vec<(Vec<usize>, Answer<T>)>,
    lost: impl Fn() -> T + Send + 'static,
) -> Vec<T> {
    if answers.len() == 1 {
        let (places, answer) = answers.into_iter().next().expect("one answer");
        assert!(places.len() == count, "one owner has all");
        let results = answer.get().await;
        return results.unwrap_or_else(|| (0..count).map(|_| lost()).collect());
    }
    let mut merged: Vec<Option<T>> = (0..count).map(|_| None).collect();
    let is_long = count > MANY;
    for (places, answer) in answers {
        let results = answer.get().await.unwrap_or_default();
        let put = move || {
            for (place, result) in places.into_iter().zip(results) {
                merged[place] = Some(result);
            }
            merged
        };
        merged = io.compute(is_long, put).await;
    }
    io.compute(is_long, move || merged.into_iter().map(|result| result.unwrap_or_else(&lost)).collect()).await
}
