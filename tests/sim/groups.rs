//! Members of a consumer group: they join, share partitions, say how far they are, fall silent, leave and come back.

use crate::client::{Client, Lost};
use crate::history::Shared;
use crate::producers::{PARTITIONS, TOPIC, draw, pause};
use bytes::Bytes;
use flumen::protocol::StrBytes;
use flumen::protocol::generated::heartbeat_request::HeartbeatRequest;
use flumen::protocol::generated::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use flumen::protocol::generated::join_group_response::JoinGroupResponse;
use flumen::protocol::generated::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use flumen::protocol::generated::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use flumen::protocol::generated::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use flumen::protocol::generated::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use std::collections::{BTreeMap, BTreeSet};

const GROUP: &str = "sharers";
pub const SESSION_TIMEOUT_MS: i32 = 2_000;
const REBALANCE_TIMEOUT_MS: i32 = 3_000;
/// Longer than a session: the group gives the member up meanwhile.
const SILENCE_MS: u64 = 5_000;

const NONE: i16 = 0;
/// Loading, not available, not here.
const TRY_AGAIN: [i16; 3] = [14, 15, 16];
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
const FENCED_INSTANCE_ID: i16 = 82;

/// Why a member has to join again.
enum Out {
    /// It is not told, or nobody coordinates.
    Lost,
    /// The others join again too.
    Rebalance,
    /// The group does not know it any more.
    Unknown,
}

impl From<Lost> for Out {
    fn from(_: Lost) -> Self {
        Self::Lost
    }
}

/// What an answer's error means.
fn check(error: i16) -> Result<(), Out> {
    match error {
        NONE => Ok(()),
        REBALANCE_IN_PROGRESS => Err(Out::Rebalance),
        ILLEGAL_GENERATION | UNKNOWN_MEMBER_ID | FENCED_INSTANCE_ID => Err(Out::Unknown),
        again if TRY_AGAIN.contains(&again) => Err(Out::Lost),
        other => crate::verdict::violated(format!("a member of a group is told {other}")),
    }
}

struct Member {
    client: Client,
    history: Shared,
    name: &'static str,
    instance: Option<StrBytes>,
    id: StrBytes,
    generation: i32,
    /// What it has, and how far it is.
    owned: BTreeMap<i32, i64>,
}

/// A member for as long as the history goes on; a static one if it has an `instance`.
pub async fn take_part(client: Client, history: Shared, name: &'static str, instance: Option<&'static str>) {
    let (id, instance) = (StrBytes::EMPTY, instance.map(StrBytes::from));
    let mut member = Member { client, history, name, instance, id, generation: -1, owned: BTreeMap::new() };
    let io = member.client.io.clone();
    while !member.history.borrow().over {
        let out = match member.join().await {
            Ok(()) => member.live().await,
            Err(out) => out,
        };
        member.history.borrow_mut().invariants.groups.on_out(name);
        match out {
            Out::Rebalance => {}
            Out::Unknown => member.id = StrBytes::EMPTY,
            Out::Lost => {
                member.history.borrow_mut().count("lost group requests");
                pause(&io, 150).await;
            }
        }
    }
    member.history.borrow_mut().invariants.groups.on_out(name);
}

impl Member {
    async fn join(&mut self) -> Result<(), Out> {
        check(self.client.find_coordinator(GROUP).await?)?;
        let mut joined = self.ask_to_join().await?;
        if joined.error_code == MEMBER_ID_REQUIRED {
            self.id = joined.member_id.clone();
            joined = self.ask_to_join().await?;
        }
        check(joined.error_code)?;
        (self.id, self.generation) = (joined.member_id.clone(), joined.generation_id);
        let assignments = if joined.leader == joined.member_id && !joined.skip_assignment { share(&joined) } else { vec![] };
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("some".into()),
            assignments,
            ..SyncGroupRequest::default()
        };
        let synced = self.client.call(5, &request).await?;
        check(synced.error_code)?;
        let owned: BTreeSet<i32> = synced.assignment.iter().map(|&partition| i32::from(partition)).collect();
        self.history.borrow_mut().invariants.groups.on_assigned(self.name, self.generation, &owned);
        self.history.borrow_mut().count("assignments");
        self.find_position(&owned).await
    }

    async fn ask_to_join(&mut self) -> Result<JoinGroupResponse, Lost> {
        let protocol = JoinGroupRequestProtocol {
            name: "some".into(),
            metadata: Bytes::from_static(b"words"),
            ..JoinGroupRequestProtocol::default()
        };
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..JoinGroupRequest::default()
        };
        self.client.call(9, &request).await
    }

    /// Goes on where others have committed.
    async fn find_position(&mut self, owned: &BTreeSet<i32>) -> Result<(), Out> {
        let least: BTreeMap<i32, i64> =
            owned.iter().map(|&partition| (partition, self.history.borrow().invariants.groups.least(partition))).collect();
        let topic = OffsetFetchRequestTopics {
            name: TOPIC.into(),
            partition_indexes: owned.iter().copied().collect(),
            ..OffsetFetchRequestTopics::default()
        };
        let group =
            OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(vec![topic]), ..OffsetFetchRequestGroup::default() };
        let request = OffsetFetchRequest { groups: vec![group], require_stable: true, ..OffsetFetchRequest::default() };
        let answer = self.client.call(9, &request).await?.groups.remove(0);
        check(answer.error_code)?;
        self.owned.clear();
        for found in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let partition = found.partition_index;
            self.history.borrow_mut().invariants.groups.on_fetched(partition, least[&partition], found.committed_offset);
            self.owned.insert(partition, found.committed_offset);
        }
        Ok(())
    }

    /// Commits and says that it is alive, until it has to join again.
    async fn live(&mut self) -> Out {
        let io = self.client.io.clone();
        while !self.history.borrow().over {
            pause(&io, 300).await;
            let done = match draw(&io, 100) {
                0 => {
                    self.history.borrow_mut().invariants.groups.on_out(self.name);
                    pause(&io, 2 * SILENCE_MS).await;
                    Ok(())
                }
                1 => {
                    let left = self.leave().await;
                    self.history.borrow_mut().count("members left");
                    left.and(Err(Out::Unknown))
                }
                2 => {
                    self.client.hang_up();
                    Ok(())
                }
                3..50 => self.commit().await,
                _ => self.heartbeat().await,
            };
            if let Err(out) = done {
                return out;
            }
        }
        Out::Lost
    }

    async fn commit(&mut self) -> Result<(), Out> {
        let partition = |(&partition, offset): (&i32, &mut i64)| {
            // Numbers that only rise, whoever commits, so that a step back shows.
            *offset = self.history.borrow_mut().invariants.groups.next_offset(partition);
            OffsetCommitRequestPartition { partition_index: partition, committed_offset: *offset, ..Default::default() }
        };
        let partitions: Vec<_> = self.owned.iter_mut().map(partition).collect();
        let topic = OffsetCommitRequestTopic { name: TOPIC.into(), partitions, ..OffsetCommitRequestTopic::default() };
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let answer = self.client.call(8, &request).await?;
        let mut refused = NONE;
        for told in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            match told.error_code {
                NONE => {
                    let mut history = self.history.borrow_mut();
                    history.invariants.groups.on_committed(told.partition_index, self.owned[&told.partition_index]);
                    history.count("commits");
                }
                error => refused = error,
            }
        }
        check(refused)
    }

    async fn heartbeat(&mut self) -> Result<(), Out> {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            ..HeartbeatRequest::default()
        };
        check(self.client.call(4, &request).await?.error_code)
    }

    async fn leave(&mut self) -> Result<(), Out> {
        let identity =
            MemberIdentity { member_id: self.id.clone(), group_instance_id: self.instance.clone(), ..MemberIdentity::default() };
        let request = LeaveGroupRequest { group_id: GROUP.into(), members: vec![identity], ..LeaveGroupRequest::default() };
        check(self.client.call(5, &request).await?.error_code)
    }
}

/// The leader's decision: partitions in turn; an assignment is a byte for each.
fn share(joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
    let count = joined.members.len() as i32;
    let mine = |at: i32| -> Vec<u8> {
        (0..PARTITIONS).filter(|partition| partition % count == at).map(|partition| partition as u8).collect()
    };
    let assignment = |(at, member): (i32, &flumen::protocol::generated::join_group_response::JoinGroupResponseMember)| {
        let assignment = Bytes::from(mine(at));
        SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment, ..Default::default() }
    };
    (0..).zip(&joined.members).map(assignment).collect()
}
