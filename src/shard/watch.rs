//! Long polling without polls: the owners of partitions report readable bytes when they grow.
//!
//! A fetch that found too little registers a [`Watch`] with the end that its read saw. The owner compares that with the end that it has
//! now: if the partition has grown in between, or has an error to tell, it reports at once. So nothing is lost between the read and
//! the watch, in whatever order messages, writes and reads happen. Reports say how much has become readable; sizes that are not known
//! (a high watermark that moves over what an earlier start wrote, a last stable offset that jumps) are reported as "read again".

use super::Shards;
use super::core::Core;
use super::message::Message;
use super::requests::Isolation;
use crate::io::{Mono, Notify};
use crate::model::{LeaderEpoch, Offset, TopicIdPartition};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A report without a size: read again.
pub(super) const WAKE: u64 = u64::MAX;

/// Partitions of one watch that are registered, or forgotten, in one go.
const MAX_PARTITIONS: usize = 512;

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

/// Names a watch among those of all cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WatchId {
    /// Core of the reader's connection.
    pub(super) core: usize,
    /// Unique on that core.
    pub(super) number: u64,
}

/// Waits for growth of some partitions on any cores. Dropping it un-registers it at the owners.
pub struct Watch {
    core: Rc<Core>,
    id: WatchId,
    state: Rc<WatchState>,
    /// What was registered, by owner.
    registered: BTreeMap<usize, Vec<TopicIdPartition>>,
}

/// Why a [`Watch`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// There may be something to read or an error to report: read again.
    Ready,
    /// The time is over.
    Deadline,
}

/// What the reader's core knows of a watch.
#[derive(Default)]
pub(super) struct WatchState {
    grown: Cell<u64>,
    changed: Notify,
}

impl WatchState {
    fn grow(&self, bytes: u64) {
        self.grown.set(self.grown.get().saturating_add(bytes));
        self.changed.notify_all();
    }
}

/// Watches of one core's readers by number.
pub(super) type Watches = BTreeMap<u64, Rc<WatchState>>;

impl Watch {
    /// Waits until `min_bytes` more bytes have become readable over all partitions, or a partition has changed otherwise (error,
    /// deletion, truncation, leader epoch), or the deadline has passed, or the shard stops. May be called again.
    pub async fn wait(&self, min_bytes: u64, deadline: Mono) -> Woken {
        let io = self.core.io.clone();
        let mut sleep = std::pin::pin!(io.sleep_until(deadline));
        loop {
            let changed = std::pin::pin!(self.state.changed.notified());
            if self.state.grown.get() >= min_bytes.max(1) || self.core.is_stopping() {
                return Woken::Ready;
            }
            if io.now() >= deadline {
                return Woken::Deadline;
            }
            futures_util::future::select(changed, sleep.as_mut()).await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.core.watches.borrow_mut().remove(&self.id.number);
        for (owner, partitions) in std::mem::take(&mut self.registered) {
            if owner == self.core.index {
                self.core.unwatch(self.id, &partitions);
            } else {
                for partitions in parts(partitions) {
                    self.core.send(owner, Message::Unwatch { watch: self.id, partitions });
                }
            }
        }
    }
}

impl Shards {
    /// Watches the partitions that a fetch has just read, all of them with the read's isolation.
    pub async fn watch(&self, partitions: Vec<WatchPartition>, isolation: Isolation) -> Watch {
        let core = self.core().clone();
        let id = WatchId { core: core.index, number: core.next_watch.replace(core.next_watch.get() + 1) };
        let state = Rc::new(WatchState::default());
        core.watches.borrow_mut().insert(id.number, state.clone());
        let mut by_owner: BTreeMap<usize, Vec<WatchPartition>> = BTreeMap::new();
        for partition in partitions {
            by_owner.entry(core.owner(partition.id)).or_default().push(partition);
        }
        let registered = by_owner.iter().map(|(&owner, list)| (owner, list.iter().map(|p| p.id).collect())).collect();
        let watch = Watch { core, id, state, registered };
        let core = &watch.core;
        for (owner, partitions) in by_owner {
            for partitions in parts(partitions) {
                let is_part_of_many = partitions.len() == MAX_PARTITIONS;
                if owner == core.index {
                    core.watch(id, partitions, isolation);
                } else {
                    core.send(owner, Message::Watch { watch: id, partitions, isolation });
                }
                if is_part_of_many {
                    core.io.yield_if_needed().await;
                }
            }
        }
        watch
    }
}

/// The list in parts of at most [`MAX_PARTITIONS`], so that no core is held up by many of them; a short one as it is.
fn parts<T>(list: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let (mut whole, many) = if list.len() <= MAX_PARTITIONS { (Some(list), Vec::new()) } else { (None, list) };
    let mut many = many.into_iter();
    std::iter::from_fn(move || {
        whole.take().or_else(|| Some(many.by_ref().take(MAX_PARTITIONS).collect::<Vec<T>>()).filter(|part| !part.is_empty()))
    })
}

impl Core {
    /// Registers a watch on partitions of this core, or reports at once.
    pub(super) fn watch(&self, watch: WatchId, partitions: Vec<WatchPartition>, isolation: Isolation) {
        for wanted in partitions {
            let Some(partition) = self.partition(wanted.id) else {
                self.report(watch, WAKE);
                continue;
            };
            let mut state = partition.state_mut();
            let stable = partition.last_stable_offset(&state);
            let seen = state.replica.readable_end(isolation.into(), stable);
            // A consumer may read from a follower; if it may not, its next read says so.
            let allowed = match isolation {
                Isolation::Replica => state.replica.check_leader(wanted.current_leader_epoch),
                Isolation::ReadUncommitted | Isolation::ReadCommitted => state.replica.check_replica(wanted.current_leader_epoch),
            };
            let fine = allowed.is_ok() && !partition.is_closed();
            if fine && seen == wanted.seen {
                state.watchers.add(watch, isolation);
            } else {
                drop(state);
                self.report(watch, WAKE);
            }
        }
    }

    /// Forgets a watch.
    pub(super) fn unwatch(&self, watch: WatchId, partitions: &[TopicIdPartition]) {
        for &id in partitions {
            if let Some(partition) = self.partition(id) {
                partition.state_mut().watchers.remove(watch);
            }
        }
    }

    /// Tells the reader's core of growth.
    fn report(&self, watch: WatchId, bytes: u64) {
        if watch.core == self.index {
            self.on_growth(watch, bytes);
        } else if !self.io.planted("growth lost between cores") {
            self.send(watch.core, Message::Growth { watch, bytes });
        }
    }

    /// A report for a reader of this core; too late if the watch is gone.
    pub(super) fn on_growth(&self, watch: WatchId, bytes: u64) {
        let state = self.watches.borrow().get(&watch.number).cloned();
        if let Some(state) = state {
            state.grow(bytes);
        }
    }

    /// The broker is stopping: everybody who waits reads again and gets the errors.
    pub(super) fn wake_all_watches(&self) {
        let all: Vec<_> = self.watches.borrow().values().cloned().collect();
        for state in all {
            state.grow(WAKE);
        }
    }
}

/// Who waits for a partition.
#[derive(Default)]
pub(super) struct Watchers {
    list: Vec<(WatchId, Isolation)>,
}

impl Watchers {
    fn add(&mut self, watch: WatchId, isolation: Isolation) {
        self.list.push((watch, isolation));
    }

    fn remove(&mut self, watch: WatchId) {
        self.list.retain(|(other, _)| *other != watch);
    }

    /// The high watermark has risen by `bytes` (a size that holds if `exact`), the last stable offset with it if `stable_grown` (by
    /// the same size if `committed_exact`).
    pub(super) fn grown(&self, core: &Core, bytes: u64, exact: bool, stable_grown: bool, committed_exact: bool) {
        for &(watch, isolation) in &self.list {
            match isolation {
                Isolation::ReadUncommitted => core.report(watch, if exact { bytes } else { WAKE }),
                // Told when it was appended.
                Isolation::Replica => {}
                Isolation::ReadCommitted if !stable_grown => {}
                Isolation::ReadCommitted => core.report(watch, if committed_exact { bytes } else { WAKE }),
            }
        }
    }

    /// The log has grown by `bytes`, which other brokers may read.
    pub(super) fn appended(&self, core: &Core, bytes: u64) {
        for &(watch, isolation) in &self.list {
            if isolation == Isolation::Replica {
                core.report(watch, bytes);
            }
        }
    }

    /// Something else has changed: everybody reads again.
    pub(super) fn wake_all(&self, core: &Core) {
        for &(watch, _) in &self.list {
            core.report(watch, WAKE);
        }
    }
}

impl From<Isolation> for crate::replica::Isolation {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::ReadUncommitted => Self::ReadUncommitted,
            Isolation::ReadCommitted => Self::ReadCommitted,
            Isolation::Replica => Self::Replica,
        }
    }
}
