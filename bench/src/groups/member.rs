//! One member of a group: what it asks next, and what an answer makes of it. It does what Kafka's clients do, and knows neither sockets
//! nor other members.
//!
//! ```text
//! out --JoinGroup--> ready: it has an id (KIP-394) --JoinGroup--> in a generation --SyncGroup--> settled --Heartbeat--+
//!                                                       ^                                                            |
//!                                                       +------------ REBALANCE_IN_PROGRESS --------------------------+
//! ```

use super::assign;
use crate::clock::SECOND;
use crate::kafka::{self, error_name, fail, is_retriable};
use crate::random::Random;
use crate::stats::{Counts, Interval, Metric};
use crate::worker::Failure;
use bytes::Bytes;
use flumen::model::ErrorCode;
use flumen::protocol::StrBytes;
use flumen::protocol::generated::heartbeat_request::HeartbeatRequest;
use flumen::protocol::generated::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use flumen::protocol::generated::join_group_response::JoinGroupResponse;
use flumen::protocol::generated::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use flumen::protocol::generated::leave_group_response::LeaveGroupResponse;
use flumen::protocol::generated::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use flumen::protocol::generated::sync_group_response::SyncGroupResponse;

/// Before something is asked again that could not be done, in nanoseconds.
const RETRY: u64 = SECOND / 10;
const PROTOCOL_TYPE: StrBytes = StrBytes::from_static("consumer");
/// Eager: members give up what they have when they join again.
const PROTOCOL: StrBytes = StrBytes::from_static("range");

/// Versions that are spoken.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    pub join: i16,
    pub sync: i16,
    pub heartbeat: i16,
    pub leave: i16,
}

/// What all members have in common.
#[derive(Clone, Debug)]
pub struct Manners {
    pub topic: StrBytes,
    /// How many the topic has.
    pub partitions: i32,
    /// What each says in its JoinGroup.
    pub subscription: Bytes,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub versions: Versions,
    /// Nanoseconds between two heartbeats of a member.
    pub interval: u64,
    /// The same of the first member of a group.
    pub first_interval: u64,
}

/// What a member may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Join,
    Sync,
    Heartbeat,
    Leave,
}

struct Asked {
    what: What,
    intended: u64,
    sent: u64,
    bytes: u64,
}

/// A member, which has at most one request under way.
pub struct Member {
    group: StrBytes,
    is_first: bool,
    /// Empty as long as the coordinator has not given it one.
    id: StrBytes,
    generation: i32,
    /// It has its id, and waits to be let in.
    is_ready: bool,
    settled: bool,
    partitions: Vec<i32>,
    /// Of a leader, to be sent with its next SyncGroup.
    assignments: Vec<SyncGroupRequestAssignment>,
    /// What it asks next, and when.
    next: Option<(u64, What)>,
    asked: Option<Asked>,
    correlation: i32,
    phases: Random,
}

impl Member {
    /// A member that is not there yet. `is_first`: it is there before the others.
    pub fn new(group: StrBytes, is_first: bool, seed: u64) -> Self {
        Self {
            group,
            is_first,
            id: StrBytes::EMPTY,
            generation: 0,
            is_ready: false,
            settled: false,
            partitions: Vec::new(),
            assignments: Vec::new(),
            next: None,
            asked: None,
            correlation: 0,
            phases: Random::new(seed),
        }
    }

    /// It joins, at `at`: for its id at first, and once it is ready for its place.
    pub fn join(&mut self, at: u64) {
        (self.is_ready, self.settled) = (false, false);
        self.next = Some((at, What::Join));
    }

    /// It leaves, as soon as it has no answer to wait for.
    pub fn leave(&mut self, at: u64) {
        self.next = Some((at, What::Leave));
    }

    /// Whether it has got its id, and waits for another [`Member::join`].
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub fn id(&self) -> &StrBytes {
        &self.id
    }

    /// The generation in which it has its share; `None` while it has none.
    pub fn settled(&self) -> Option<i32> {
        self.settled.then_some(self.generation)
    }

    /// Its share.
    pub fn partitions(&self) -> &[i32] {
        &self.partitions
    }

    pub fn awaits_an_answer(&self) -> bool {
        self.asked.is_some()
    }

    /// When its next request is meant to leave; `None` while it awaits an answer or is out.
    pub fn due(&self) -> Option<u64> {
        if self.asked.is_some() { None } else { self.next.map(|(at, _)| at) }
    }

    /// The request that is due, as a whole frame.
    ///
    /// # Panics
    /// If none is due.
    pub fn send(&mut self, now: u64, manners: &Manners) -> Result<(What, Bytes), Failure> {
        let (intended, what) = self.next.take().expect("the caller has asked when something is due");
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let (versions, number) = (manners.versions, self.correlation);
        let frame = match what {
            What::Join => kafka::frame(&self.join_request(manners), versions.join, number)?,
            What::Sync => kafka::frame(&self.sync_request(), versions.sync, number)?,
            What::Heartbeat => kafka::frame(&self.heartbeat_request(), versions.heartbeat, number)?,
            What::Leave => kafka::frame(&self.leave_request(), versions.leave, number)?,
        };
        self.asked = Some(Asked { what, intended, sent: now, bytes: frame.len() as u64 });
        Ok((what, frame))
    }

    fn join_request(&self, manners: &Manners) -> JoinGroupRequest {
        JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: manners.session_timeout_ms,
            rebalance_timeout_ms: manners.rebalance_timeout_ms,
            member_id: self.id.clone(),
            protocol_type: PROTOCOL_TYPE,
            protocols: vec![JoinGroupRequestProtocol { name: PROTOCOL, metadata: manners.subscription.clone() }],
            ..Default::default()
        }
    }

    fn sync_request(&mut self) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: Some(PROTOCOL_TYPE),
            protocol_name: Some(PROTOCOL),
            assignments: std::mem::take(&mut self.assignments),
            ..Default::default()
        }
    }

    fn heartbeat_request(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..Default::default()
        }
    }

    fn leave_request(&self) -> LeaveGroupRequest {
        let members = vec![MemberIdentity { member_id: self.id.clone(), ..Default::default() }];
        LeaveGroupRequest { group_id: self.group.clone(), members, ..Default::default() }
    }

    /// Takes the answer to what it has asked, without its size prefix. Heartbeats are counted.
    pub fn receive(&mut self, now: u64, frame: Bytes, manners: &Manners, counted: &mut Interval) -> Result<(), Failure> {
        let Some(asked) = self.asked.take() else { return fail("an answer that was not asked for") };
        let (versions, number) = (manners.versions, self.correlation);
        match asked.what {
            What::Join => {
                let answer = kafka::answer::<JoinGroupRequest>(frame, versions.join, number)?;
                self.joined(now, &answer, manners, counted)
            }
            What::Sync => {
                let answer = kafka::answer::<SyncGroupRequest>(frame, versions.sync, number)?;
                self.synced(now, &answer, manners, counted)
            }
            What::Heartbeat => {
                let answer = kafka::answer::<HeartbeatRequest>(frame, versions.heartbeat, number)?;
                counted.produced.add(Counts { requests: 1, records: 0, bytes: asked.bytes });
                counted.record(Metric::Ack, now.saturating_sub(asked.intended), 1);
                counted.record(Metric::Service, now.saturating_sub(asked.sent), 1);
                self.beaten(now, asked.intended, answer.error_code, manners, counted)
            }
            What::Leave => self.left(&kafka::answer::<LeaveGroupRequest>(frame, versions.leave, number)?),
        }
    }

    fn joined(&mut self, now: u64, answer: &JoinGroupResponse, manners: &Manners, counted: &mut Interval) -> Result<(), Failure> {
        // A copy, since a string off the wire keeps its whole frame.
        let id = || StrBytes::from(answer.member_id.as_str());
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {
                (self.id, self.generation) = (id(), answer.generation_id);
                if answer.leader == answer.member_id {
                    let members = answer.members.iter().map(|member| member.member_id.clone()).collect();
                    self.assignments = assign::share(&manners.topic, manners.partitions, members);
                }
                self.then(now, What::Sync);
                Ok(())
            }
            Some(ErrorCode::MemberIdRequired) => {
                (self.id, self.is_ready) = (id(), true);
                Ok(())
            }
            _ => self.refused(now, What::Join, answer.error_code, counted),
        }
    }

    fn synced(&mut self, now: u64, answer: &SyncGroupResponse, manners: &Manners, counted: &mut Interval) -> Result<(), Failure> {
        if answer.error_code != 0 {
            // A leader has to be told again who its members are.
            return self.refused(now, What::Join, answer.error_code, counted);
        }
        self.partitions = assign::read(&answer.assignment, &manners.topic)?;
        self.settled = true;
        // Somewhere in the interval: members that were settled at once must not beat at once for ever.
        let part = self.phases.fraction() * self.interval(manners) as f64;
        self.then(now + part as u64, What::Heartbeat);
        Ok(())
    }

    fn beaten(&mut self, now: u64, intended: u64, code: i16, manners: &Manners, counted: &mut Interval) -> Result<(), Failure> {
        if code == 0 {
            self.then(intended + self.interval(manners), What::Heartbeat);
            return Ok(());
        }
        self.refused(now, What::Heartbeat, code, counted)
    }

    fn left(&mut self, answer: &LeaveGroupResponse) -> Result<(), Failure> {
        let errors = answer.members.iter().map(|member| member.error_code);
        if let Some(code) = std::iter::once(answer.error_code).chain(errors).find(|code| *code != 0) {
            return fail(format!("a member of {} cannot leave: {}", self.group, error_name(code)));
        }
        (self.id, self.settled) = (StrBytes::EMPTY, false);
        self.partitions.clear();
        Ok(())
    }

    fn interval(&self, manners: &Manners) -> u64 {
        if self.is_first { manners.first_interval } else { manners.interval }
    }

    /// What it asks next, unless it is to leave.
    fn then(&mut self, at: u64, what: What) {
        self.next.get_or_insert((at, what));
    }

    /// What it asked was not done: joins again, or asks the same again after a while. That a group rebalances is no error.
    fn refused(&mut self, now: u64, what: What, code: i16, counted: &mut Interval) -> Result<(), Failure> {
        let error = ErrorCode::from_code(code);
        if error != Some(ErrorCode::RebalanceInProgress) {
            counted.error(code);
        }
        let (at, what) = match error {
            Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => (now, What::Join),
            Some(ErrorCode::UnknownMemberId) => {
                self.id = StrBytes::EMPTY;
                (now, What::Join)
            }
            _ if is_retriable(code) => (now + RETRY, what),
            _ => return fail(format!("{what:?} of a member of {}: {}", self.group, error_name(code))),
        };
        if what == What::Join {
            self.settled = false;
        }
        self.then(at, what);
        Ok(())
    }
}

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
