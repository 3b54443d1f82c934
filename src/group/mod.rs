//! The group coordinator of one partition of `__consumer_offsets`: who is a member of which group, in which generation, with what
//! assignment (the classic protocol of KIP-62, with KIP-345, KIP-394 and KIP-814).
//!
//! **The promise.** Within a generation the leader's assignment is the only one, it is in the log before any member gets it, and a
//! member whom the group has given up is told so before its partitions are somebody else's. Members, timers and parked requests are
//! known in memory only: a coordinator that starts anew knows the groups as their last record has them, and takes their members to
//! be alive for one session timeout.
//!
//! **The machine.** [`Coordinator::on_event`] takes an [`Input`] and the time and appends [`Effect`]s in the order in which they must be
//! carried out. Requests are parked by their [`Ticket`]; every ticket is answered exactly once. What has to be in the log first waits
//! for [`Input::Written`]: an assignment, and a static member's new id. All else is decided at once.
//!
//! ```text
//! Empty --join--> PreparingRebalance --all joined, or time is up--> CompletingRebalance --leader's assignment written--> Stable
//!   ^                |      ^                                           |  a member joins,     |
//!   +-- nobody left -+      +------------ leaves, is lost, or changes what it supports -------+
//! ```
//!
//! Files: `types` what is asked and answered; `classic` what is known of a group; `join`, `sync` (sync, heartbeat, leave) the
//! requests; `rebalance` from one generation to the next; `offsets` what groups have read, and how it is forgotten; `records` what is in
//! the log; `timers`.
//!
//! Not here yet: transactional commits, KIP-848 and share groups.

mod classic;
mod describe;
mod join;
#[cfg(test)]
mod offset_tests;
mod offsets;
#[cfg(test)]
mod random_tests;
mod rebalance;
mod records;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod types;

pub use classic::State;
pub use describe::{DescribedMember, Description};
pub use offsets::Committed;
pub use types::{
    Answer, Caller, CommitOffsets, CommitPartition, Config, Effect, GroupId, Input, InstanceId, JoinGroup, Joined, JoinedMember,
    Leaving, MemberId, Now, Protocol, Record, Request, SyncGroup, Synced, Ticket, WriteId,
};

use crate::model::{ErrorCode, TopicPartition};
use crate::protocol::generated::{ConsumerOffsetsKey, ConsumerOffsetsValue};
use bytes::Bytes;
use classic::{Group, Member};
use offsets::Offsets;
use std::collections::BTreeMap;
use timers::Timers;

type Groups = BTreeMap<GroupId, Group>;

/// What may be waited for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The end of the rebalance that is being prepared.
    Join(GroupId),
    /// Members that do not ask for their assignment.
    Sync(GroupId),
    /// A member that is not heard of.
    Session(GroupId, MemberId),
    /// An id that was given out and does not join.
    Pending(GroupId, MemberId),
}

/// What goes on when records are written, or cannot be.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Waiting {
    /// Nobody waits.
    Nothing,
    /// The group is there only if this succeeds.
    NewGroup(GroupId),
    /// The leader's decision for a generation.
    Assignment { group: GroupId, generation: i32, assignments: BTreeMap<MemberId, Bytes> },
    /// A static member's new id.
    Replaced(Box<Replaced>),
    /// Offsets, and what is answered for each that was asked for.
    Offsets { ticket: Ticket, group: GroupId, commits: Vec<(TopicPartition, Committed)>, errors: Vec<ErrorCode> },
    /// Offsets that are forgotten, and the group with them if nothing is left of it.
    Deleted { ticket: Option<Ticket>, group: Option<Box<Group>>, id: GroupId, forgotten: Vec<TopicPartition> },
    /// Offsets that somebody wants forgotten.
    OffsetsDeleted { ticket: Ticket, id: GroupId, forgotten: Vec<TopicPartition>, errors: Vec<ErrorCode> },
}

/// How a static member was before it came back, and what it is told if that is written.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Replaced {
    group: GroupId,
    ticket: Ticket,
    instance: InstanceId,
    old: MemberId,
    new: MemberId,
    before: Member,
    answer: Joined,
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Clone, Debug)]
pub struct Coordinator {
    config: Config,
    groups: Groups,
    offsets: Offsets,
    timers: Timers<Timer>,
    waiting: BTreeMap<WriteId, Waiting>,
    next_write: u64,
}

/// One event under way: all of the coordinator but its groups, of which one is at hand.
struct Work<'a> {
    config: &'a Config,
    timers: &'a mut Timers<Timer>,
    waiting: &'a mut BTreeMap<WriteId, Waiting>,
    next_write: &'a mut u64,
    now: Now,
    effects: &'a mut Vec<Effect>,
}

impl Coordinator {
    /// A coordinator without groups.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            offsets: BTreeMap::new(),
            timers: Timers::default(),
            waiting: BTreeMap::new(),
            next_write: 0,
        }
    }

    /// Takes one input and appends what follows from it to `effects`.
    pub fn on_event(&mut self, input: Input, now: Now, effects: &mut Vec<Effect>) {
        let Self { config, groups, offsets, timers, waiting, next_write } = self;
        let mut work = Work { config, timers, waiting, next_write, now, effects };
        match input {
            Input::Request { ticket, request } => match request {
                Request::Join(request) => work.join(groups, ticket, request),
                Request::Sync(request) => work.sync(groups, ticket, request),
                Request::Heartbeat(caller) => {
                    let error = work.heartbeat(groups, &caller).err().unwrap_or(ErrorCode::None);
                    work.answer(ticket, Answer::Done(error));
                }
                Request::Leave { group, members } => {
                    let left = work.leave(groups, &group, &members);
                    work.answer(ticket, Answer::Left(left));
                }
                Request::Commit(request) => work.commit(groups, ticket, request),
                Request::DeleteGroup(id) => work.delete_group(groups, offsets, ticket, id),
                Request::DeleteOffsets { group, partitions } => work.delete_offsets(groups, offsets, ticket, group, partitions),
            },
            Input::Written { write, error } => work.written(groups, offsets, write, error),
            Input::ExpireOffsets => work.expire_offsets(groups, offsets),
            Input::TopicsDeleted(topics) => work.forget_topics(offsets, &topics),
            Input::Tick => work.tick(groups),
        }
    }

    /// When [`Input::Tick`] is due, on the clock of [`Now::mono_ms`].
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.timers.next()
    }

    /// Takes a record that was in the log when the coordinator began, in order. Kinds that are not known here are passed over.
    pub fn load(&mut self, key: &ConsumerOffsetsKey, value: Option<&ConsumerOffsetsValue>) {
        match (key, value) {
            (ConsumerOffsetsKey::GroupMetadata(key), Some(ConsumerOffsetsValue::GroupMetadata(value))) => {
                let id = GroupId::from(&*key.group);
                self.groups.insert(id.clone(), records::read_group(id, value));
            }
            (ConsumerOffsetsKey::GroupMetadata(key), None) => {
                self.groups.remove(&*key.group);
            }
            (ConsumerOffsetsKey::OffsetCommit(key), Some(ConsumerOffsetsValue::OffsetCommit(value))) => {
                let (id, partition, committed) = records::read_offset(key, value);
                self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone(), value.commit_timestamp));
                self.offsets.entry(id).or_default().insert(partition, committed);
            }
            (ConsumerOffsetsKey::OffsetCommit(key), None) => {
                offsets::forget(&mut self.offsets, &GroupId::from(&*key.group), &[records::read_partition(key)]);
            }
            _ => {}
        }
    }

    /// All records have been taken: from now on members have to be heard of. Groups that are larger than they may be rebalance.
    pub fn loaded(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Self { config, groups, timers, waiting, next_write, .. } = self;
        let mut work = Work { config, timers, waiting, next_write, now, effects };
        for group in groups.values_mut() {
            for (id, member) in &group.members {
                work.expect(group.id.clone(), id.clone(), member.session_timeout_ms);
            }
            if group.members.len() > work.config.max_size {
                work.prepare(group);
            }
        }
    }
}

impl Work<'_> {
    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.effects.push(Effect::Answer { ticket, answer });
    }

    /// Appends records; what follows from them.
    fn append(&mut self, records: Vec<Record>, waiting: Waiting) {
        let write = WriteId(*self.next_write);
        *self.next_write += 1;
        self.waiting.insert(write, waiting);
        self.effects.push(Effect::Append { write, records });
    }

    /// The member has to be heard of within its session timeout.
    fn expect(&mut self, group: GroupId, member: MemberId, session_timeout_ms: i32) {
        let deadline = self.now.mono_ms + session_timeout_ms.max(0) as u64;
        self.timers.set(Timer::Session(group, member), deadline);
    }

    fn written(&mut self, groups: &mut Groups, offsets: &mut Offsets, write: WriteId, error: ErrorCode) {
        let error = append_error(error);
        match self.waiting.remove(&write).expect("each append is reported once") {
            Waiting::Nothing => {}
            Waiting::NewGroup(id) => {
                if error != ErrorCode::None {
                    self.drop_group(groups, &id, error);
                }
            }
            Waiting::Assignment { group, generation, assignments } => {
                if let Some(group) = groups.get_mut(&group) {
                    self.assigned(group, generation, assignments, error);
                }
            }
            Waiting::Replaced(replaced) => self.replaced(groups, *replaced, error),
            Waiting::Offsets { ticket, group, commits, errors } => {
                self.committed(groups, offsets, (ticket, group, commits, errors), error);
            }
            Waiting::Deleted { ticket, group, id, forgotten } => {
                self.deleted(groups, offsets, (ticket, group, id, forgotten), error);
            }
            Waiting::OffsetsDeleted { ticket, id, forgotten, errors } => {
                self.offsets_deleted(offsets, (ticket, id, forgotten, errors), error);
            }
        }
    }

    /// A group that could not be written from its start is not there.
    fn drop_group(&mut self, groups: &mut Groups, id: &GroupId, error: ErrorCode) {
        let Some(group) = groups.remove(id) else { return };
        self.timers.cancel(&Timer::Join(id.clone()));
        self.timers.cancel(&Timer::Sync(id.clone()));
        for pending in &group.pending {
            self.timers.cancel(&Timer::Pending(id.clone(), pending.clone()));
        }
        for (member, one) in &group.members {
            self.timers.cancel(&Timer::Session(id.clone(), member.clone()));
            self.answer_parked(member, one.join, one.sync, error);
        }
    }

    fn tick(&mut self, groups: &mut Groups) {
        while let Some(timer) = self.timers.take_due(self.now.mono_ms) {
            let (Timer::Join(id) | Timer::Sync(id) | Timer::Session(id, _) | Timer::Pending(id, _)) = &timer;
            let Some(group) = groups.get_mut(id) else { continue };
            match &timer {
                Timer::Join(_) => self.join_time_is_up(group),
                Timer::Sync(_) => self.sync_time_is_up(group),
                Timer::Session(_, member) => self.not_heard_of(group, member),
                Timer::Pending(_, member) => {
                    group.pending.remove(member);
                    self.complete_if_all_have_joined(group);
                }
            }
        }
    }
}

/// What a client is told when its group could not be written, by the error of the append.
fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}
