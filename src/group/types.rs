//! What the coordinator is asked and answers.

use crate::model::{ErrorCode, TopicId, TopicPartition};
use crate::protocol::generated::{ConsumerOffsetsKey, ConsumerOffsetsValue};
use bytes::Bytes;
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// `group.id`.
    GroupId
}
name! {
    /// The name that the coordinator gives a member.
    MemberId
}
name! {
    /// `group.instance.id` of a static member (KIP-345).
    InstanceId
}

/// Whoever asked: the caller's number, returned with the answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Which append has succeeded or failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WriteId(pub u64);

/// The time, by both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Milliseconds of a clock that does not go back: for timeouts.
    pub mono_ms: u64,
    /// Milliseconds since 1970: for records.
    pub wall_ms: i64,
}

/// The broker's settings for groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: u64,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.max.size`.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention_ms: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            initial_rebalance_delay_ms: 3_000,
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            max_size: usize::MAX,
            offset_metadata_max_bytes: 4096,
            offsets_retention_ms: 10_080 * 60_000,
        }
    }
}

/// A way of assigning partitions that a member supports, with what it tells the leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// `range`, `cooperative-sticky` ...
    pub name: Arc<str>,
    /// The client's; nobody but the leader looks into it.
    pub metadata: Bytes,
}

/// JoinGroup (11).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinGroup {
    /// Which group.
    pub group: GroupId,
    /// Empty for a new member.
    pub member: MemberId,
    /// Of a static member.
    pub instance: Option<InstanceId>,
    /// Of the request's header; empty if it has none.
    pub client_id: Arc<str>,
    /// Address of the client, as Kafka writes it: `/127.0.0.1`.
    pub client_host: Arc<str>,
    /// Within the broker's bounds, or `INVALID_SESSION_TIMEOUT`.
    pub session_timeout_ms: i32,
    /// The session timeout where the version has none.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect` ...
    pub protocol_type: Arc<str>,
    /// In the order of the member's preference.
    pub protocols: Vec<Protocol>,
    /// Version 4 and later: a dynamic member gets its id first (KIP-394).
    pub needs_member_id: bool,
    /// Version 9 and later: a leader can be told not to assign (KIP-814).
    pub can_skip_assignment: bool,
    /// Something that nobody else has: what a new member's id ends in.
    pub unique: u128,
}

/// Answer to [`JoinGroup`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// `None`: the rest says how the group is.
    pub error: ErrorCode,
    /// -1 with an error.
    pub generation: i32,
    /// Of the group.
    pub protocol_type: Option<Arc<str>>,
    /// The chosen one.
    pub protocol: Option<Arc<str>>,
    /// Empty with an error.
    pub leader: Arc<str>,
    /// The caller's id, also with `MEMBER_ID_REQUIRED`.
    pub member: MemberId,
    /// The leader keeps the assignment that is there.
    pub skip_assignment: bool,
    /// For the leader: all members with their metadata.
    pub members: Vec<JoinedMember>,
}

impl Joined {
    /// What a member is told that does not get in.
    pub fn refused(member: MemberId, error: ErrorCode) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: Arc::from(""),
            member,
            skip_assignment: false,
            members: Vec::new(),
        }
    }
}

/// One member, as the leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    /// Its id.
    pub member: MemberId,
    /// Of a static member.
    pub instance: Option<InstanceId>,
    /// What it said about the chosen protocol.
    pub metadata: Bytes,
}

/// SyncGroup (14).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncGroup {
    /// Who asks.
    pub caller: Caller,
    /// From version 5 on.
    pub protocol_type: Option<Arc<str>>,
    /// From version 5 on.
    pub protocol: Option<Arc<str>>,
    /// The leader's decision.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// A member that speaks up, and the generation that it believes in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Its group.
    pub group: GroupId,
    /// Its id.
    pub member: MemberId,
    /// Of a static member.
    pub instance: Option<InstanceId>,
    /// Its generation.
    pub generation: i32,
}

/// Answer to [`SyncGroup`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synced {
    /// `None`: the rest says what is the member's.
    pub error: ErrorCode,
    /// Of the group.
    pub protocol_type: Option<Arc<str>>,
    /// Of this generation.
    pub protocol: Option<Arc<str>>,
    /// The leader's words.
    pub assignment: Bytes,
}

/// Somebody who leaves: by member id, or by instance id alone (an administrator's removal).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaving {
    /// May be empty.
    pub member: MemberId,
    /// Of a static member.
    pub instance: Option<InstanceId>,
}

/// OffsetCommit (8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitOffsets {
    /// Without member and with generation -1: somebody who is no member.
    pub caller: Caller,
    /// What is committed.
    pub partitions: Vec<CommitPartition>,
    /// What a member of a group that is not there is told: `GROUP_ID_NOT_FOUND` from version 9 on, before it `ILLEGAL_GENERATION`.
    pub error_without_group: ErrorCode,
    /// Versions 2 to 4: how long it is to be kept.
    pub retention_ms: Option<i64>,
}

/// One offset to be committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitPartition {
    /// Where.
    pub partition: TopicPartition,
    /// Zero if it is not known.
    pub topic_id: TopicId,
    /// Of the next record to be read.
    pub offset: i64,
    /// Of the last record that was read, or -1.
    pub leader_epoch: i32,
    /// The client's words.
    pub metadata: Arc<str>,
}

/// What is asked of the coordinator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Answered with [`Answer::Joined`], possibly much later.
    Join(JoinGroup),
    /// Answered with [`Answer::Synced`], possibly much later.
    Sync(SyncGroup),
    /// Answered with [`Answer::Done`].
    Heartbeat(Caller),
    /// LeaveGroup (13). Answered with [`Answer::Left`].
    Leave {
        /// The group.
        group: GroupId,
        /// Who leaves it.
        members: Vec<Leaving>,
    },
    /// Answered with [`Answer::Committed`].
    Commit(CommitOffsets),
    /// DeleteGroups (42). Answered with [`Answer::Done`].
    DeleteGroup(GroupId),
    /// OffsetDelete (47). Answered with [`Answer::OffsetsDeleted`].
    DeleteOffsets {
        /// The group.
        group: GroupId,
        /// What it is to forget.
        partitions: Vec<TopicPartition>,
    },
}

/// What the coordinator answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Request::Join`].
    Joined(Joined),
    /// To [`Request::Sync`].
    Synced(Synced),
    /// To [`Request::Heartbeat`] and [`Request::DeleteGroup`].
    Done(ErrorCode),
    /// To [`Request::Commit`]: one for each partition.
    Committed(Vec<ErrorCode>),
    /// To [`Request::DeleteOffsets`]: an error for all, or one for each.
    OffsetsDeleted(Result<Vec<ErrorCode>, ErrorCode>),
    /// To [`Request::Leave`]: an error for all, or one for each.
    Left(Result<Vec<ErrorCode>, ErrorCode>),
}

/// A record for `__consumer_offsets`; without a value it is a tombstone.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// Its key.
    pub key: ConsumerOffsetsKey,
    /// Its value.
    pub value: Option<ConsumerOffsetsValue>,
}

/// What may happen to the coordinator.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Somebody asks.
    Request {
        /// Returned with the answer.
        ticket: Ticket,
        /// What.
        request: Request,
    },
    /// The records of an [`Effect::Append`] are below the high watermark, or never will be.
    Written {
        /// Which.
        write: WriteId,
        /// `None` is success.
        error: ErrorCode,
    },
    /// It is time to forget offsets that are too old (`offsets.retention.check.interval.ms`).
    ExpireOffsets,
    /// Topics have been deleted.
    TopicsDeleted(Vec<Arc<str>>),
    /// Time has passed; see [`super::Coordinator::next_deadline_ms`].
    Tick,
}

/// What is to be done, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Tell whoever asked.
    Answer {
        /// As given with the request.
        ticket: Ticket,
        /// What.
        answer: Answer,
    },
    /// Append records to the coordinator's partition in one batch, in the order of these effects, and report with [`Input::Written`].
    Append {
        /// To be reported.
        write: WriteId,
        /// At least one.
        records: Vec<Record>,
    },
}
