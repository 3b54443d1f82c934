//! Random lives of a group: members that come, go, fall silent and speak out of turn, writes that fail, coordinators that start anew.

use super::tests::{World, caller, fixed, rejoin};
use super::*;
use proptest::prelude::*;

/// Clients of a life; the last two are static members.
const CLIENTS: usize = 6;
const DYNAMIC: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    Pass(u64),
    /// The oldest append ends; if it fails, so do those behind it.
    Write(bool),
    /// The coordinator starts anew; what was being written is in the log or is not.
    Restart(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0..CLIENTS;
    let step = prop_oneof![
        8 => client.clone().prop_map(Step::Join),
        8 => client.clone().prop_map(Step::Sync),
        4 => client.clone().prop_map(Step::Heartbeat),
        2 => client.prop_map(Step::Leave),
        6 => (0..15_000_u64).prop_map(Step::Pass),
        6 => (0..10).prop_map(|n| Step::Write(n > 0)),
        1 => any::<bool>().prop_map(Step::Restart),
    ];
    proptest::collection::vec(step, 1..150)
}

struct Life {
    world: World,
    /// Of each client: its id and the generation that it believes in.
    clients: Vec<(MemberId, i32)>,
    /// Who waits for an answer, and in which generation.
    asked: BTreeMap<Ticket, (usize, i32)>,
    /// What members of each generation were told; a leader assigns everybody the same words, and other ones each time.
    told: BTreeMap<i32, String>,
}

impl Life {
    fn new() -> Self {
        let mut world = World::new(Config::default());
        world.writes = false;
        Self { world, clients: vec![(MemberId::from(""), -1); CLIENTS], asked: BTreeMap::new(), told: BTreeMap::new() }
    }

    fn instance(client: usize) -> Option<InstanceId> {
        (client >= DYNAMIC).then(|| InstanceId::from(&*client.to_string()))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join(client) => {
                let member = self.clients[client].0.clone();
                let request = match Self::instance(client) {
                    Some(instance) => JoinGroup { member, ..fixed(&instance) },
                    None => rejoin(&member),
                };
                let ticket = self.world.join(request);
                self.asked.insert(ticket, (client, -1));
            }
            Step::Sync(client) => {
                let (member, generation) = self.clients[client].clone();
                let words = Bytes::from(self.world.asked.to_string());
                let assignments = self.world.members().into_iter().map(|id| (id, words.clone())).collect();
                let caller = Caller { instance: Self::instance(client), ..caller(&member, generation) };
                let request = SyncGroup { caller, protocol_type: None, protocol: None, assignments };
                let ticket = self.world.ask(Request::Sync(request));
                self.asked.insert(ticket, (client, generation));
            }
            Step::Heartbeat(client) => {
                let (member, generation) = self.clients[client].clone();
                self.world.heartbeat(&member, generation);
            }
            Step::Leave(client) => {
                let member = self.clients[client].0.clone();
                self.world.leave(&member, None).ok();
            }
            Step::Pass(ms) => self.world.pass(ms),
            Step::Write(true) if !self.world.under_way.is_empty() => self.world.report(ErrorCode::None),
            Step::Write(false) => (0..self.world.under_way.len()).for_each(|_| self.world.report(ErrorCode::NotLeaderOrFollower)),
            Step::Write(true) => {}
            Step::Restart(written) => self.restart(written),
        }
    }

    fn restart(&mut self, written: bool) {
        if written {
            let under_way = std::mem::take(&mut self.world.under_way);
            self.world.log.extend(under_way.into_iter().flat_map(|(_, records)| records));
        }
        let world = self.world.restarted();
        let before = std::mem::replace(&mut self.world, world);
        (self.world.log, self.world.asked, self.world.writes) = (before.log, before.asked, false);
        self.asked.clear();
    }

    /// Clients take in what they were answered.
    fn take_answers(&mut self) -> Result<(), TestCaseError> {
        let answered: Vec<Ticket> = self.asked.keys().filter(|ticket| self.world.answers.contains_key(ticket)).copied().collect();
        for ticket in answered {
            let (client, generation) = self.asked.remove(&ticket).expect("listed above");
            match &self.world.answers[&ticket] {
                Answer::Joined(joined) => match joined.error {
                    ErrorCode::None => self.clients[client] = (joined.member.clone(), joined.generation),
                    ErrorCode::MemberIdRequired => self.clients[client] = (joined.member.clone(), -1),
                    ErrorCode::UnknownMemberId => self.clients[client] = ("".into(), -1),
                    _ => {}
                },
                Answer::Synced(synced) if synced.error == ErrorCode::None => {
                    let words = String::from_utf8(synced.assignment.to_vec()).expect("a leader's words");
                    let logged = self.logged(generation);
                    prop_assert!(logged.contains(&words), "{words:?} of generation {generation} is not in the log: {logged:?}");
                    let first = self.told.entry(generation).or_insert_with(|| words.clone());
                    prop_assert_eq!(&*first, &words, "generation {} has two assignments", generation);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the log says was assigned in a generation.
    fn logged(&self, generation: i32) -> Vec<String> {
        let groups = self.world.log.iter().filter_map(|record| match &record.value {
            Some(ConsumerOffsetsValue::GroupMetadata(value)) if value.generation == generation => Some(value),
            _ => None,
        });
        let mut words: Vec<String> = groups
            .flat_map(|group| &group.members)
            .map(|member| String::from_utf8_lossy(&member.assignment).into_owned())
            .collect();
        words.sort();
        words.dedup();
        words
    }
}

proptest! {
    /// Whatever members do, and whenever writes end or fail: each request has one answer, a generation has one assignment, also for a
    /// coordinator that starts anew, and it is in the log before anybody gets it.
    #[test]
    fn a_generation_has_one_assignment(steps in steps()) {
        let mut life = Life::new();
        for step in steps {
            life.step(step);
            life.take_answers()?;
            let generation = life.world.coordinator.describe("g").map_or(0, |group| group.generation);
            let logged = life.logged(generation);
            prop_assert!(logged.len() <= 1, "generation {} is in the log with {:?}", generation, logged);
        }
        // In the end nobody is left waiting.
        life.world.writes = true;
        while !life.world.under_way.is_empty() {
            life.world.report(ErrorCode::None);
        }
        life.world.pass(3_600_000);
        life.take_answers()?;
        prop_assert!(life.asked.is_empty(), "{:?} wait for ever", life.asked);
        if life.world.coordinator.describe("g").is_some() {
            prop_assert!(life.world.state().0 == State::Empty, "{:?}: nobody lives", life.world.members());
        }
    }
}
