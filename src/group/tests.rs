use super::*;
use std::collections::VecDeque;
use std::sync::Arc;

const SESSION: i32 = 10_000;
const REBALANCE: i32 = 60_000;

/// A coordinator with its clock and its log; whoever asks waits in `answers`.
pub(super) struct World {
    pub(super) coordinator: Coordinator,
    pub(super) now: Now,
    /// Appends that have not been reported yet.
    pub(super) under_way: VecDeque<(WriteId, Vec<Record>)>,
    /// What has been written.
    pub(super) log: Vec<Record>,
    pub(super) answers: BTreeMap<Ticket, Answer>,
    pub(super) asked: u64,
    /// Whether appends succeed at once.
    pub(super) writes: bool,
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        Self {
            coordinator: Coordinator::new(config),
            now: Now { mono_ms: 0, wall_ms: 1_000_000 },
            under_way: VecDeque::new(),
            log: Vec::new(),
            answers: BTreeMap::new(),
            asked: 0,
            writes: true,
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.coordinator.on_event(input, self.now, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Answer { ticket, answer } => {
                    assert!(self.answers.insert(ticket, answer).is_none(), "{ticket:?} is answered twice");
                }
                Effect::Append { write, records } => self.under_way.push_back((write, records)),
            }
        }
        while self.writes && !self.under_way.is_empty() {
            self.report(ErrorCode::None);
        }
    }

    /// The oldest append has ended.
    pub(super) fn report(&mut self, error: ErrorCode) {
        let (write, records) = self.under_way.pop_front().expect("something is being written");
        if error == ErrorCode::None {
            self.log.extend(records);
        }
        self.input(Input::Written { write, error });
    }

    pub(super) fn ask(&mut self, request: Request) -> Ticket {
        self.asked += 1;
        let ticket = Ticket(self.asked);
        self.input(Input::Request { ticket, request });
        ticket
    }

    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now.mono_ms + ms;
        while let Some(due) = self.coordinator.next_deadline_ms().filter(|&due| due <= end) {
            self.set_clock(due.max(self.now.mono_ms));
            self.input(Input::Tick);
        }
        self.set_clock(end);
    }

    fn set_clock(&mut self, mono_ms: u64) {
        self.now.wall_ms += (mono_ms - self.now.mono_ms) as i64;
        self.now.mono_ms = mono_ms;
    }

    pub(super) fn join(&mut self, request: JoinGroup) -> Ticket {
        let unique = u128::from(self.asked);
        self.ask(Request::Join(JoinGroup { unique, ..request }))
    }

    /// A member that has got its id.
    fn admitted(&mut self, request: &JoinGroup) -> MemberId {
        let ticket = self.join(request.clone());
        let joined = self.joined(ticket);
        assert_eq!(joined.error, ErrorCode::MemberIdRequired);
        joined.member
    }

    pub(super) fn joined(&self, ticket: Ticket) -> Joined {
        match &self.answers[&ticket] {
            Answer::Joined(joined) => joined.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn sync(&mut self, member: &MemberId, generation: i32, assignments: &[(&MemberId, &str)]) -> Ticket {
        let assignments = assignments.iter().map(|&(id, text)| (id.clone(), Bytes::copy_from_slice(text.as_bytes()))).collect();
        let caller = caller(member, generation);
        self.ask(Request::Sync(SyncGroup { caller, protocol_type: None, protocol: None, assignments }))
    }

    fn synced(&self, ticket: Ticket) -> Result<String, ErrorCode> {
        match &self.answers[&ticket] {
            Answer::Synced(synced) if synced.error == ErrorCode::None => {
                Ok(String::from_utf8(synced.assignment.to_vec()).unwrap())
            }
            Answer::Synced(synced) => Err(synced.error),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn heartbeat(&mut self, member: &MemberId, generation: i32) -> ErrorCode {
        let ticket = self.ask(Request::Heartbeat(caller(member, generation)));
        match self.answers[&ticket] {
            Answer::Done(error) => error,
            ref other => panic!("{other:?}"),
        }
    }

    pub(super) fn leave(&mut self, member: &str, instance: Option<&str>) -> Result<Vec<ErrorCode>, ErrorCode> {
        let members = vec![Leaving { member: member.into(), instance: instance.map(InstanceId::from) }];
        let ticket = self.ask(Request::Leave { group: "g".into(), members });
        match &self.answers[&ticket] {
            Answer::Left(left) => left.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn state(&self) -> (State, i32) {
        let group = self.coordinator.describe("g").expect("the group is there");
        (group.state, group.generation)
    }

    pub(super) fn members(&self) -> Vec<MemberId> {
        self.coordinator.describe("g").map_or(vec![], |group| group.members.into_iter().map(|one| one.member).collect())
    }

    /// Two members in a stable group of generation 1, the first of which leads.
    pub(super) fn with_two() -> (Self, MemberId, MemberId) {
        let mut world = Self::new(Config::default());
        let a = world.admitted(&dynamic());
        let b = world.admitted(&dynamic());
        let joins = [world.join(rejoin(&a)), world.join(rejoin(&b))];
        world.pass(6_000);
        let leader = world.joined(joins[0]).leader;
        assert_eq!((&*leader, world.joined(joins[1]).generation), (&*a, 1));
        let first = world.sync(&a, 1, &[(&a, "of a"), (&b, "of b")]);
        let second = world.sync(&b, 1, &[]);
        assert_eq!((world.synced(first), world.synced(second)), (Ok("of a".to_owned()), Ok("of b".to_owned())));
        assert_eq!(world.state(), (State::Stable, 1));
        (world, a, b)
    }

    /// Another coordinator, from what the first has written.
    pub(super) fn restarted(&self) -> Self {
        let mut world = Self::new(self.coordinator.config.clone());
        world.now = self.now;
        for record in &self.log {
            // As bytes, as they are in the log.
            let key = ConsumerOffsetsKey::from_bytes(record.key.to_bytes().unwrap()).unwrap();
            let value = record
                .value
                .as_ref()
                .map(|value| ConsumerOffsetsValue::from_bytes(key.kind(), value.to_bytes(3).unwrap()).unwrap());
            world.coordinator.load(&key, value.as_ref());
        }
        let mut effects = Vec::new();
        world.coordinator.loaded(world.now, &mut effects);
        world.carry_out(effects);
        world
    }
}

pub(super) fn caller(member: &MemberId, generation: i32) -> Caller {
    Caller { group: "g".into(), member: member.clone(), instance: None, generation }
}

fn protocols(names: &[&str]) -> Vec<Protocol> {
    names.iter().map(|&name| Protocol { name: Arc::from(name), metadata: Bytes::from_static(b"topics") }).collect()
}

pub(super) fn dynamic() -> JoinGroup {
    JoinGroup {
        group: "g".into(),
        member: "".into(),
        instance: None,
        client_id: Arc::from("client"),
        client_host: Arc::from("/127.0.0.1"),
        session_timeout_ms: SESSION,
        rebalance_timeout_ms: REBALANCE,
        protocol_type: Arc::from("consumer"),
        protocols: protocols(&["range", "roundrobin"]),
        needs_member_id: true,
        can_skip_assignment: true,
        unique: 0,
    }
}

pub(super) fn rejoin(member: &MemberId) -> JoinGroup {
    JoinGroup { member: member.clone(), ..dynamic() }
}

pub(super) fn fixed(instance: &str) -> JoinGroup {
    JoinGroup { instance: Some(instance.into()), ..dynamic() }
}

#[test]
fn a_first_member_waits_for_others_then_leads() {
    let mut world = World::new(Config::default());
    let a = world.admitted(&dynamic());
    assert!(a.starts_with("client-") && a.len() == "client-".len() + 36, "{a:?}");
    assert_eq!(world.log.len(), 1, "the group is written when it is made");
    let join = world.join(rejoin(&a));
    world.pass(2_999);
    assert!(!world.answers.contains_key(&join));
    world.pass(1);
    let joined = world.joined(join);
    assert_eq!((joined.error, joined.generation, &*joined.leader, &joined.member), (ErrorCode::None, 1, &*a, &a));
    assert_eq!((joined.protocol.as_deref(), joined.members.len()), (Some("range"), 1));
    assert_eq!(world.state(), (State::CompletingRebalance, 1));
    let sync = world.sync(&a, 1, &[(&a, "all")]);
    assert_eq!(world.synced(sync), Ok("all".to_owned()));
    assert_eq!(world.heartbeat(&a, 1), ErrorCode::None);
}

#[test]
fn members_that_come_shortly_after_another_are_in_its_generation() {
    let (world, ..) = World::with_two();
    assert_eq!(world.members().len(), 2);
}

#[test]
fn a_newcomer_makes_all_join_again() {
    let (mut world, a, b) = World::with_two();
    let c = world.admitted(&dynamic());
    let join = world.join(rejoin(&c));
    assert_eq!(world.state().0, State::PreparingRebalance);
    assert_eq!(
        (world.heartbeat(&a, 1), world.heartbeat(&b, 1)),
        (ErrorCode::RebalanceInProgress, ErrorCode::RebalanceInProgress)
    );
    let late = world.sync(&a, 1, &[]);
    assert_eq!(world.synced(late), Err(ErrorCode::RebalanceInProgress));
    world.join(rejoin(&a));
    assert!(!world.answers.contains_key(&join));
    let last = world.join(rejoin(&b));
    let joined = world.joined(last);
    assert_eq!((joined.generation, &*joined.leader, joined.members.len()), (2, &*a, 0));
    assert_eq!(world.joined(join).generation, 2);
    assert_eq!(world.heartbeat(&a, 1), ErrorCode::IllegalGeneration);
    assert_eq!(world.heartbeat(&a, 2), ErrorCode::None, "also before there is an assignment");
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let (mut world, a, b) = World::with_two();
    let c = world.admitted(&dynamic());
    world.join(rejoin(&c));
    let join = world.join(rejoin(&b));
    for _ in 0..REBALANCE / 5_000 {
        assert!(!world.answers.contains_key(&join));
        world.heartbeat(&a, 1);
        world.pass(5_000);
    }
    let joined = world.joined(join);
    let members = world.members();
    assert_eq!((joined.generation, members.contains(&a), members.len()), (2, false, 2));
    assert_ne!(&*joined.leader, &*a, "another one leads");
    assert_eq!(world.heartbeat(&a, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn who_is_not_heard_of_is_out_and_the_last_one_leaves_an_empty_group() {
    let (mut world, a, b) = World::with_two();
    world.pass(9_000);
    assert_eq!(world.heartbeat(&a, 1), ErrorCode::None);
    world.pass(1_000);
    assert_eq!(world.heartbeat(&b, 1), ErrorCode::UnknownMemberId);
    assert_eq!(world.state(), (State::PreparingRebalance, 1));
    let join = world.join(rejoin(&a));
    assert_eq!((world.joined(join).generation, world.joined(join).members.len()), (2, 1));
    world.pass(10_000);
    assert_eq!(world.state(), (State::Empty, 3));
    let restarted = world.restarted();
    assert_eq!(restarted.state(), (State::Empty, 3));
}

#[test]
fn leaving_is_told_and_shared_out() {
    let (mut world, a, b) = World::with_two();
    assert_eq!(world.leave("nobody", None), Ok(vec![ErrorCode::UnknownMemberId]));
    assert_eq!(world.leave("", Some("nobody")), Ok(vec![ErrorCode::UnknownMemberId]));
    assert_eq!(world.state(), (State::Stable, 1));
    assert_eq!(world.leave(&b, None), Ok(vec![ErrorCode::None]));
    assert_eq!(world.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(world.leave(&a, None), Ok(vec![ErrorCode::None]));
    assert_eq!(world.state(), (State::Empty, 2));
    let pending = world.admitted(&dynamic());
    assert_eq!(world.leave(&pending, None), Ok(vec![ErrorCode::None]));
    assert_eq!(world.leave(&pending, None), Ok(vec![ErrorCode::UnknownMemberId]));
}

#[test]
fn an_id_that_was_given_out_is_waited_for_as_long_as_a_session() {
    let (mut world, a, b) = World::with_two();
    let lost = world.admitted(&dynamic());
    let c = world.admitted(&dynamic());
    let joins = [world.join(rejoin(&c)), world.join(rejoin(&a)), world.join(rejoin(&b))];
    world.pass(9_999);
    assert!(joins.iter().all(|join| !world.answers.contains_key(join)));
    world.pass(1);
    assert!(joins.iter().all(|&join| world.joined(join).generation == 2));
    let late = world.join(rejoin(&lost));
    assert_eq!(world.joined(late).error, ErrorCode::UnknownMemberId);
}

#[test]
fn who_never_asks_for_an_assignment_is_out() {
    let mut world = World::new(Config::default());
    let a = world.admitted(&dynamic());
    let b = world.admitted(&dynamic());
    world.join(rejoin(&a));
    world.join(rejoin(&b));
    world.pass(6_000);
    world.sync(&a, 1, &[]);
    for _ in 0..REBALANCE / 5_000 {
        assert_eq!(world.state().0, State::Stable);
        (world.heartbeat(&a, 1), world.heartbeat(&b, 1));
        world.pass(5_000);
    }
    assert_eq!(world.state().0, State::PreparingRebalance);
    assert_eq!(world.members(), [a]);
}

#[test]
fn a_static_member_comes_back_without_a_rebalance_and_the_one_before_it_is_fenced() {
    let mut world = World::new(Config::default());
    let joins = [world.join(fixed("one")), world.join(fixed("two"))];
    world.pass(6_000);
    let [one, two] = joins.map(|join| world.joined(join).member);
    let leader = world.joined(joins[0]).leader;
    assert_eq!(&*leader, &*one, "the first to come leads");
    world.sync(&one, 1, &[(&one, "1"), (&two, "2")]);
    world.sync(&two, 1, &[]);
    let again = world.join(fixed("one"));
    let joined = world.joined(again);
    assert_ne!(joined.member, one);
    assert_eq!((joined.generation, &*joined.leader, joined.skip_assignment), (1, &*joined.member, true));
    assert_eq!(joined.members.len(), 2, "a leader that is told to skip still knows the members");
    let synced = world.sync(&joined.member, 1, &[(&two, "changed")]);
    assert_eq!(world.synced(synced), Ok("1".to_owned()), "one assignment a generation");
    let old = Caller { instance: Some("one".into()), ..caller(&one, 1) };
    let ticket = world.ask(Request::Heartbeat(old));
    assert_eq!(world.answers[&ticket], Answer::Done(ErrorCode::FencedInstanceId));
    assert_eq!(world.heartbeat(&two, 1), ErrorCode::None, "nobody else notices");
    let restarted = world.restarted();
    assert!(restarted.members().contains(&joined.member), "the new id is in the log");
    // An older client would assign if it was told that it leads.
    let older = world.join(JoinGroup { can_skip_assignment: false, ..fixed("one") });
    let joined_again = world.joined(older);
    assert_eq!((&*joined_again.leader, joined_again.members.len()), (&*joined.member, 0));
    assert_ne!(joined_again.member, joined.member);
}

#[test]
fn a_static_member_whose_new_id_is_not_written_keeps_the_old_one() {
    let mut world = World::new(Config::default());
    let join = world.join(fixed("one"));
    world.pass(3_000);
    let one = world.joined(join).member;
    world.sync(&one, 1, &[(&one, "1")]);
    world.writes = false;
    let again = world.join(fixed("one"));
    assert!(!world.answers.contains_key(&again), "not before it is written");
    world.report(ErrorCode::NotLeaderOrFollower);
    assert_eq!(world.joined(again).error, ErrorCode::NotCoordinator);
    assert_eq!(world.heartbeat(&one, 1), ErrorCode::None);
    world.pass(10_000);
    assert_eq!(world.heartbeat(&one, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_static_member_that_is_away_stays_through_a_rebalance() {
    let mut world = World::new(Config::default());
    let joins = [world.join(fixed("one")), world.join(fixed("two"))];
    world.pass(6_000);
    let [one, two] = joins.map(|join| world.joined(join).member);
    world.sync(&one, 1, &[]);
    world.sync(&two, 1, &[]);
    let c = JoinGroup { session_timeout_ms: 1_000_000, ..fixed("three") };
    world.join(c);
    // Only the second one comes back.
    let join = world.join(JoinGroup { member: two.clone(), session_timeout_ms: 1_000_000, ..fixed("two") });
    let beat = Caller { instance: Some("one".into()), ..caller(&one, 1) };
    for _ in 0..REBALANCE / 5_000 {
        world.ask(Request::Heartbeat(beat.clone()));
        world.pass(5_000);
    }
    let joined = world.joined(join);
    assert_eq!(joined.generation, 2);
    assert_ne!(&*joined.leader, &*one, "who is away cannot lead");
    assert_eq!(world.members().len(), 3);
}

#[test]
fn an_assignment_is_nobodys_before_it_is_written() {
    let mut world = World::new(Config::default());
    let join = world.join(JoinGroup { needs_member_id: false, ..dynamic() });
    world.pass(3_000);
    let a = world.joined(join).member;
    world.writes = false;
    let sync = world.sync(&a, 1, &[(&a, "all")]);
    assert!(!world.answers.contains_key(&sync));
    assert_eq!(world.state().0, State::CompletingRebalance);
    world.report(ErrorCode::NotEnoughReplicas);
    assert_eq!(world.synced(sync), Err(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(world.state().0, State::PreparingRebalance, "everybody joins again");
    world.writes = true;
    let again = world.join(rejoin(&a));
    assert_eq!(world.joined(again).generation, 2);
}

#[test]
fn a_group_that_cannot_be_written_is_not_there() {
    let mut world = World::new(Config::default());
    world.writes = false;
    let join = world.join(JoinGroup { needs_member_id: false, ..dynamic() });
    world.report(ErrorCode::KafkaStorageError);
    assert_eq!(world.joined(join).error, ErrorCode::NotCoordinator);
    assert_eq!((world.coordinator.describe("g"), world.coordinator.next_deadline_ms()), (None, None));
}

#[test]
fn joins_are_refused_as_kafka_does() {
    let (mut world, a, _) = World::with_two();
    let mut refusal = |request: JoinGroup| {
        let ticket = world.join(request);
        let joined = world.joined(ticket);
        assert_eq!(joined.generation, -1);
        joined.error
    };
    assert_eq!(refusal(JoinGroup { group: "".into(), session_timeout_ms: 1, ..dynamic() }), ErrorCode::InvalidGroupId);
    assert_eq!(refusal(JoinGroup { session_timeout_ms: 5_999, ..dynamic() }), ErrorCode::InvalidSessionTimeout);
    assert_eq!(refusal(JoinGroup { session_timeout_ms: 1_800_001, ..dynamic() }), ErrorCode::InvalidSessionTimeout);
    assert_eq!(refusal(JoinGroup { group: "other".into(), ..rejoin(&a) }), ErrorCode::UnknownMemberId);
    assert_eq!(refusal(rejoin(&"nobody".into())), ErrorCode::UnknownMemberId);
    assert_eq!(refusal(JoinGroup { protocol_type: Arc::from("connect"), ..dynamic() }), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(refusal(JoinGroup { protocols: protocols(&["sticky"]), ..dynamic() }), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(refusal(JoinGroup { group: "new".into(), protocols: vec![], ..dynamic() }), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(refusal(JoinGroup { instance: Some("x".into()), ..rejoin(&a) }), ErrorCode::UnknownMemberId);
    let new = world.coordinator.describe("new").expect("it is there, as in Kafka, until offsets are looked at for their age");
    assert_eq!((new.state, &*new.protocol_type), (State::Empty, ""));
    assert_eq!(world.state(), (State::Stable, 1));
}

#[test]
fn a_full_group_takes_nobody_in() {
    let mut world = World::new(Config { max_size: 1, ..Config::default() });
    let a = world.admitted(&dynamic());
    let b = world.admitted(&dynamic());
    let first = world.join(rejoin(&a));
    let second = world.join(rejoin(&b));
    assert_eq!(world.joined(second).error, ErrorCode::GroupMaxSizeReached);
    world.pass(3_000);
    assert_eq!(world.joined(first).error, ErrorCode::None);
}

#[test]
fn a_protocol_that_all_support_is_chosen_by_votes() {
    let mut world = World::new(Config::default());
    let ask = |names: &[&str]| JoinGroup { needs_member_id: false, protocols: protocols(names), ..dynamic() };
    let joins = [world.join(ask(&["a", "b", "c"])), world.join(ask(&["c", "b"])), world.join(ask(&["x", "c", "b"]))];
    world.pass(9_000);
    assert!(joins.iter().all(|&join| world.joined(join).protocol.as_deref() == Some("c")));
}

#[test]
fn a_lost_answer_is_given_again() {
    let (mut world, a, b) = World::with_two();
    let again = world.join(rejoin(&b));
    assert_eq!((world.joined(again).generation, world.state()), (1, (State::Stable, 1)), "a follower changes nothing");
    let changed = world.join(JoinGroup { protocols: protocols(&["range"]), ..rejoin(&b) });
    assert!(!world.answers.contains_key(&changed));
    let leader = world.join(rejoin(&a));
    assert_eq!((world.joined(leader).generation, world.joined(changed).generation), (2, 2));
    let leader = world.join(rejoin(&a));
    assert_eq!(
        (world.joined(leader).generation, world.joined(leader).members.len()),
        (2, 2),
        "also to the leader, until it has assigned"
    );
    world.sync(&a, 2, &[]);
    world.join(rejoin(&a));
    assert_eq!(world.state(), (State::PreparingRebalance, 2), "a leader that joins again wants a rebalance");
}

#[test]
fn a_coordinator_that_starts_anew_knows_the_groups() {
    let (world, a, b) = World::with_two();
    let mut world = world.restarted();
    assert_eq!(world.state(), (State::Stable, 1));
    assert_eq!((world.heartbeat(&a, 1), world.heartbeat(&b, 1)), (ErrorCode::None, ErrorCode::None));
    let sync = world.sync(&b, 1, &[]);
    assert_eq!(world.synced(sync), Ok("of b".to_owned()));
    world.pass(10_000);
    assert_eq!(world.heartbeat(&a, 1), ErrorCode::UnknownMemberId, "whom nobody hears of is out after one session");
}
