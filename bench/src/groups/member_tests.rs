use super::*;
use crate::stats::Phase;
use flumen::protocol::frame::AnswerTo;
use flumen::protocol::generated::heartbeat_response::HeartbeatResponse;
use flumen::protocol::generated::join_group_response::JoinGroupResponseMember;
use flumen::protocol::{ApiKey, Chunk, Message, RequestFrame};

const VERSIONS: Versions = Versions { join: 9, sync: 5, heartbeat: 4, leave: 5 };
const TOPIC: StrBytes = StrBytes::from_static("t");

fn manners() -> Manners {
    Manners {
        topic: TOPIC,
        partitions: 4,
        subscription: assign::subscription(&TOPIC),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 60_000,
        versions: VERSIONS,
        interval: 3 * SECOND,
        first_interval: SECOND,
    }
}

/// A member with a coordinator that is played by the test.
struct Play {
    member: Member,
    manners: Manners,
    counted: Interval,
    number: i32,
}

impl Play {
    fn new() -> Self {
        let member = Member::new(StrBytes::from_static("g"), false, 1);
        Self { member, manners: manners(), counted: Interval::new(Phase::Measured, 0), number: 0 }
    }

    /// What the member asks at that time.
    fn asks(&mut self, now: u64) -> (What, RequestFrame) {
        assert!(self.member.due().is_some_and(|due| due <= now), "nothing is due at {now}: {:?}", self.member.due());
        let (what, frame) = self.member.send(now, &self.manners).unwrap();
        self.number += 1;
        (what, RequestFrame::parse(frame.slice(4..)).unwrap())
    }

    fn answer<M: Message>(&mut self, now: u64, api_key: ApiKey, version: i16, answer: &M) -> Result<(), Failure> {
        let chunks = AnswerTo { api_key, version, correlation_id: self.number }.encode(answer).unwrap();
        let whole: Vec<u8> = chunks
            .into_iter()
            .flat_map(|chunk| match chunk {
                Chunk::Bytes(bytes) => bytes.to_vec(),
                Chunk::External { .. } => unreachable!("there are no records"),
            })
            .collect();
        self.member.receive(now, Bytes::from(whole).slice(4..), &self.manners, &mut self.counted)
    }

    fn joined(&mut self, now: u64, error: ErrorCode, leader: &'static str) -> Result<(), Failure> {
        let member = |member_id: &'static str| JoinGroupResponseMember {
            member_id: StrBytes::from_static(member_id),
            ..Default::default()
        };
        let members = if leader == "me" { vec![member("me"), member("other")] } else { Vec::new() };
        let answer = JoinGroupResponse {
            error_code: error.code(),
            generation_id: 7,
            leader: StrBytes::from_static(leader),
            member_id: StrBytes::from_static("me"),
            members,
            ..Default::default()
        };
        self.answer(now, ApiKey::JoinGroup, VERSIONS.join, &answer)
    }

    fn synced(&mut self, now: u64, error: ErrorCode) -> Result<(), Failure> {
        let share = assign::share(&TOPIC, 4, vec![StrBytes::from_static("me"), StrBytes::from_static("other")]).remove(0);
        let answer = SyncGroupResponse { error_code: error.code(), assignment: share.assignment, ..Default::default() };
        self.answer(now, ApiKey::SyncGroup, VERSIONS.sync, &answer)
    }

    fn beaten(&mut self, now: u64, error: ErrorCode) -> Result<(), Failure> {
        let answer = HeartbeatResponse { error_code: error.code(), ..Default::default() };
        self.answer(now, ApiKey::Heartbeat, VERSIONS.heartbeat, &answer)
    }

    /// Joins as a follower, and has its share at `now`.
    fn settle(&mut self, now: u64) {
        self.member.join(now);
        self.asks(now);
        self.joined(now, ErrorCode::None, "other").unwrap();
        self.asks(now);
        self.synced(now, ErrorCode::None).unwrap();
    }
}

#[test]
fn a_leader_joins_shares_out_and_beats() {
    let mut play = Play::new();
    assert_eq!(play.member.due(), None, "it is not told to join");
    play.member.join(10);
    let (what, request) = play.asks(10);
    let request: JoinGroupRequest = request.decode().unwrap();
    assert_eq!((what, &*request.member_id, &*request.protocol_type), (What::Join, "", "consumer"));
    assert_eq!(play.member.due(), None, "it waits for its answer");
    play.joined(20, ErrorCode::MemberIdRequired, "").unwrap();
    assert!(play.member.is_ready() && play.member.due().is_none(), "it waits to be let in");
    play.member.join(20);
    assert!(!play.member.is_ready());
    let request: JoinGroupRequest = play.asks(20).1.decode().unwrap();
    assert_eq!((&*request.member_id, &request.protocols[0].metadata), ("me", &assign::subscription(&TOPIC)));
    play.joined(30, ErrorCode::None, "me").unwrap();
    let request: SyncGroupRequest = play.asks(30).1.decode().unwrap();
    assert_eq!((request.generation_id, request.assignments.len()), (7, 2));
    let shares: Vec<_> = request.assignments.iter().map(|one| assign::read(&one.assignment, "t").unwrap()).collect();
    assign::covers(4, shares.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(play.member.settled(), None);
    play.synced(40, ErrorCode::None).unwrap();
    assert_eq!((play.member.settled(), play.member.partitions()), (Some(7), &[0, 2][..]));
    let first = play.member.due().unwrap();
    assert!((40..40 + 3 * SECOND).contains(&first), "within the interval");
    let request: HeartbeatRequest = play.asks(first + 5).1.decode().unwrap();
    assert_eq!((request.generation_id, &*request.member_id), (7, "me"));
    play.beaten(first + 1_005, ErrorCode::None).unwrap();
    assert_eq!(play.member.due(), Some(first + 3 * SECOND), "the timetable is not moved by answers");
    assert_eq!(play.counted.produced.requests, 1);
    assert!(play.counted.histograms[&Metric::Ack].max() >= 1_005);
}

#[test]
fn a_member_joins_again_when_its_group_rebalances() {
    let mut play = Play::new();
    play.settle(0);
    let due = play.member.due().unwrap();
    play.asks(due);
    play.beaten(due, ErrorCode::RebalanceInProgress).unwrap();
    assert_eq!(play.member.settled(), None);
    assert!(play.counted.errors.is_empty(), "that is how it has to be");
    let request: JoinGroupRequest = play.asks(due).1.decode().unwrap();
    assert_eq!(&*request.member_id, "me");
    play.joined(due, ErrorCode::None, "other").unwrap();
    let request: SyncGroupRequest = play.asks(due).1.decode().unwrap();
    assert!(request.assignments.is_empty(), "it does not lead");
    play.synced(due, ErrorCode::RebalanceInProgress).unwrap();
    assert_eq!(play.asks(due).0, What::Join);
}

#[test]
fn a_member_that_is_not_known_any_more_begins_anew() {
    let mut play = Play::new();
    play.settle(0);
    let due = play.member.due().unwrap();
    play.asks(due);
    play.beaten(due, ErrorCode::UnknownMemberId).unwrap();
    let request: JoinGroupRequest = play.asks(due).1.decode().unwrap();
    assert_eq!(&*request.member_id, "");
    assert_eq!(play.counted.errors[&ErrorCode::UnknownMemberId.code()], 1);
}

#[test]
fn a_coordinator_that_is_not_ready_is_asked_again() {
    let mut play = Play::new();
    play.member.join(0);
    play.asks(0);
    play.joined(5, ErrorCode::CoordinatorLoadInProgress, "").unwrap();
    assert_eq!(play.member.due(), Some(5 + RETRY));
    assert_eq!(play.asks(5 + RETRY).0, What::Join);
    assert!(play.joined(6, ErrorCode::GroupMaxSizeReached, "").unwrap_err().0.contains("GROUP_MAX_SIZE_REACHED"));
}

#[test]
fn a_member_leaves_when_it_has_its_answer() {
    let mut play = Play::new();
    play.settle(0);
    let due = play.member.due().unwrap();
    play.asks(due);
    play.member.leave(due);
    assert_eq!(play.member.due(), None, "the heartbeat's answer comes first");
    play.beaten(due + 1, ErrorCode::None).unwrap();
    let (what, request) = play.asks(due + 1);
    let request: LeaveGroupRequest = request.decode().unwrap();
    assert_eq!((what, &*request.members[0].member_id), (What::Leave, "me"));
    play.answer(due + 2, ApiKey::LeaveGroup, VERSIONS.leave, &LeaveGroupResponse::default()).unwrap();
    assert_eq!((play.member.due(), play.member.settled(), &**play.member.id()), (None, None, ""));
}

#[test]
fn the_first_member_beats_at_its_own_interval() {
    let mut play = Play::new();
    play.member = Member::new(StrBytes::from_static("g"), true, 1);
    play.settle(0);
    let first = play.member.due().unwrap();
    assert!(first < SECOND);
    play.asks(first);
    play.beaten(first, ErrorCode::None).unwrap();
    assert_eq!(play.member.due(), Some(first + SECOND));
}
