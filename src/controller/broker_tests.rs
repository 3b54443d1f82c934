//! Brokers of a cluster: registration, heartbeats, sessions, fencing and controlled shutdown, with their exact records.

use super::heartbeats::{BrokerState, News};
use super::tests::{CLUSTER_ID, SESSION_MS, World, assigned, config};
use super::*;
use crate::model::{LeaderEpoch, PartitionIndex};
use crate::protocol::generated::*;

/// A log directory of a broker.
pub(super) fn dir(broker: i32, number: u8) -> TopicId {
    TopicId([16 * number + broker as u8 + 100; 16])
}

/// What broker `id` registers with in its `life`th incarnation: one log directory, no clean stop.
pub(super) fn registration(id: i32, life: u8) -> BrokerRegistration {
    let mut incarnation = TopicId([life; 16]);
    incarnation.0[15] = id as u8;
    BrokerRegistration {
        broker: BrokerId(id),
        cluster_id: CLUSTER_ID.to_owned(),
        incarnation,
        endpoints: vec![Endpoint { name: "PLAINTEXT".into(), host: "h".into(), port: 9092, security_protocol: 0 }],
        features: vec![(METADATA_VERSION.into(), MIN_METADATA_VERSION, MAX_METADATA_VERSION), (KRAFT_VERSION.into(), 0, 1)],
        log_dirs: vec![dir(id, 1)],
        ..BrokerRegistration::default()
    }
}

/// A heartbeat of a broker that has read everything and is ready.
pub(super) fn beat(world: &World, id: i32) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest {
        broker_id: id,
        broker_epoch: world.image().broker(BrokerId(id)).map_or(-1, |broker| broker.epoch),
        current_metadata_offset: world.image().next_offset().0 - 1,
        ..BrokerHeartbeatRequest::default()
    }
}

impl World {
    /// A cluster of brokers 1 to `brokers`, registered and unfenced by their heartbeats.
    pub(super) fn cluster(brokers: i32) -> Self {
        let mut world = Self::new(0);
        world.heartbeats = Some(Heartbeats::new(world.image(), SESSION_MS, 0));
        for id in 1..=brokers {
            world.register(registration(id, 1)).unwrap();
            world.unfence(id);
        }
        world
    }

    pub(super) fn register(&mut self, registration: BrokerRegistration) -> Result<i64, ErrorCode> {
        let Reply::Registered(registered) = self.call(Command::RegisterBroker(registration)) else { panic!() };
        registered.map_err(|refusal| refusal.0)
    }

    /// Sends a heartbeat and gives `(error, caught up, fenced, should shut down)`.
    pub(super) fn beat(&mut self, request: BrokerHeartbeatRequest) -> (i16, bool, bool, bool) {
        let now_ms = self.now_ms;
        let heartbeats = self.heartbeats.as_mut().unwrap();
        heartbeats.contact(BrokerId(request.broker_id), request.broker_epoch, now_ms);
        let Reply::BrokerHeartbeat(told) = self.call(Command::BrokerHeartbeat(request)) else { panic!() };
        (told.error_code, told.is_caught_up, told.is_fenced, told.should_shut_down)
    }

    pub(super) fn unfence(&mut self, id: i32) {
        let request = beat(self, id);
        assert_eq!(self.beat(request), (0, true, false, false));
        assert!(self.image().is_active(BrokerId(id)));
    }

    pub(super) fn stop(&mut self, id: i32) -> (i16, bool, bool, bool) {
        let request = BrokerHeartbeatRequest { want_shut_down: true, ..beat(self, id) };
        self.beat(request)
    }

    /// Fences whoever was not heard of; gives who that was.
    pub(super) fn fence_silent(&mut self) -> Vec<i32> {
        let mut fenced = vec![];
        while let Some((broker, epoch)) = self.heartbeats.as_mut().unwrap().tick(self.now_ms) {
            assert_eq!(self.call(Command::FenceBroker { broker, epoch }), Reply::Ticked { more: true });
            fenced.push(broker.0);
        }
        fenced
    }

    pub(super) fn topic_id(&self, name: &str) -> TopicId {
        self.image().topic_by_name(name).unwrap().id
    }

    /// Partition 0 of a topic.
    pub(super) fn first(&self, name: &str) -> Partition {
        self.image().partition(self.topic_id(name), PartitionIndex(0)).unwrap().clone()
    }

    /// A change of partition 0 of a topic, with everything else left alone.
    pub(super) fn change_of(&self, name: &str) -> PartitionChangeRecord {
        PartitionChangeRecord { partition_id: 0, topic_id: self.topic_id(name), ..PartitionChangeRecord::default() }
    }

    fn registration_change(&self, id: i32) -> BrokerRegistrationChangeRecord {
        BrokerRegistrationChangeRecord {
            broker_id: id,
            broker_epoch: self.image().broker(BrokerId(id)).unwrap().epoch,
            ..BrokerRegistrationChangeRecord::default()
        }
    }

    pub(super) fn finalize(&mut self, name: &str, feature_level: i16) {
        let level = FeatureLevelRecord { name: name.into(), feature_level, ..FeatureLevelRecord::default() };
        self.commit(vec![level.into()]);
    }
}

pub(super) fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

/// The ISR and the leader, 0 for nobody.
pub(super) fn led(partition: &Partition) -> (Vec<i32>, i32) {
    (partition.isr.iter().map(|id| id.0).collect(), partition.leader.map_or(0, |leader| leader.0))
}

#[test]
fn every_rule_for_registrations() {
    let mut world = World::cluster(2);
    let with = |change: &dyn Fn(&mut BrokerRegistration)| {
        let mut registration = registration(3, 1);
        change(&mut registration);
        registration
    };
    let reserved = |last: u8| TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    for (refused, code) in [
        (with(&|r| r.cluster_id = "other".to_owned()), ErrorCode::InconsistentClusterId),
        (with(&|r| r.broker = BrokerId(-1)), ErrorCode::InvalidRegistration),
        (with(&|r| r.log_dirs = vec![]), ErrorCode::InvalidRegistration),
        (with(&|r| r.log_dirs = vec![reserved(99)]), ErrorCode::InvalidRegistration),
        (with(&|r| r.log_dirs = vec![dir(3, 1), dir(3, 2), dir(3, 1)]), ErrorCode::InvalidRegistration),
        (with(&|r| r.log_dirs.push(dir(2, 1))), ErrorCode::InvalidRegistration),
        (with(&|r| r.features = vec![]), ErrorCode::InvalidRegistration),
        (with(&|r| r.features[0] = (METADATA_VERSION.into(), 7, 28)), ErrorCode::UnsupportedVersion),
        (with(&|r| r.features.push(("x".into(), 1, 2))), ErrorCode::UnsupportedVersion),
        (with(&|r| r.features[1].2 = 0), ErrorCode::UnsupportedVersion),
        (with(&|r| drop(r.features.pop())), ErrorCode::UnsupportedVersion),
    ] {
        let shown = format!("{refused:?}");
        assert_eq!(world.register(refused), Err(code), "{shown}");
        assert_eq!(world.image().brokers().len(), 2);
    }
    let accepted = with(&|r| {
        r.features.push(("x".into(), 0, 2));
        r.log_dirs = vec![reserved(100)];
    });
    assert!(world.register(accepted).is_ok(), "an id above the reserved ones, and levels from 0");
    world.finalize("transaction.version", 2);
    let mut without = registration(4, 1);
    assert_eq!(world.register(without.clone()), Err(ErrorCode::UnsupportedVersion), "what is not named is supported at 0 only");
    without.features.push(("transaction.version".into(), 0, 2));
    assert!(world.register(without).is_ok());
}

#[test]
fn a_broker_that_is_alive_keeps_its_id() {
    let mut world = World::cluster(2);
    let epoch = world.image().broker(BrokerId(1)).unwrap().epoch;
    assert_eq!(world.register(registration(1, 2)), Err(ErrorCode::DuplicateBrokerRegistration));
    let amended = BrokerRegistration { rack: Some("r".into()), ..registration(1, 1) };
    assert_eq!(world.register(amended), Ok(epoch), "the same incarnation says more of itself");
    let broker = world.image().broker(BrokerId(1)).unwrap();
    assert_eq!((broker.rack.as_deref(), broker.fenced), (Some("r"), false));
    world.now_ms = SESSION_MS;
    assert_eq!(world.register(registration(1, 2)), Err(ErrorCode::DuplicateBrokerRegistration), "the last moment of its session");
    world.now_ms = SESSION_MS + 1;
    let next = world.image().next_offset().0;
    assert_eq!(world.register(registration(1, 2)), Ok(next));
    assert!(world.image().broker(BrokerId(1)).unwrap().fenced);
    let stale = BrokerHeartbeatRequest { broker_epoch: epoch, ..beat(&world, 1) };
    assert_eq!(world.beat(stale), (ErrorCode::StaleBrokerEpoch.code(), false, true, false));
    let unknown = BrokerHeartbeatRequest { broker_id: 9, ..beat(&world, 9) };
    assert_eq!(world.beat(unknown).0, ErrorCode::StaleBrokerEpoch.code());
}

/// Started again where it was: what has the lock of its log directory and its address is what is left of it.
#[test]
fn who_is_in_the_place_of_a_broker_need_not_wait_for_the_end_of_its_session() {
    let mut world = World::cluster(2);
    let epoch = world.image().broker(BrokerId(1)).unwrap().epoch;
    let mut second = registration(1, 2);
    assert_eq!(world.register(second.clone()), Err(ErrorCode::DuplicateBrokerRegistration), "as in Kafka, unless it is allowed");
    world.believes_successors = true;
    let elsewhere =
        BrokerRegistration { endpoints: vec![Endpoint { port: 9999, ..second.endpoints[0].clone() }], ..second.clone() };
    assert_eq!(world.register(elsewhere), Err(ErrorCode::DuplicateBrokerRegistration), "a copy of its disk on another machine");
    let other_disk = BrokerRegistration { log_dirs: vec![dir(1, 1), dir(1, 2)], ..second.clone() };
    assert_eq!(
        world.register(other_disk),
        Err(ErrorCode::DuplicateBrokerRegistration),
        "that directory may be another machine's"
    );
    let none = BrokerRegistration { log_dirs: vec![], ..second.clone() };
    assert_eq!(world.register(none), Err(ErrorCode::DuplicateBrokerRegistration));
    second.rack = Some("r".into());
    let next = world.image().next_offset().0;
    assert_eq!(world.register(second), Ok(next));
    assert!(world.image().broker(BrokerId(1)).unwrap().fenced);
    let stale = BrokerHeartbeatRequest { broker_epoch: epoch, ..beat(&world, 1) };
    assert_eq!(world.beat(stale).0, ErrorCode::StaleBrokerEpoch.code());
}

#[test]
fn a_new_incarnation_is_in_no_isr_and_its_registration_comes_last() {
    let mut world = World::cluster(2);
    world.code(assigned("t", &[(0, &[1, 2])]));
    world.code(assigned("u", &[(0, &[1])]));
    let epoch = world.image().next_offset().0;
    let expected: Vec<MetadataRecord> = vec![
        PartitionChangeRecord { isr: Some(vec![2]), leader: 2, ..world.change_of("t") }.into(),
        PartitionChangeRecord { leader: -1, ..world.change_of("u") }.into(),
    ];
    world.now_ms = 2 * SESSION_MS;
    assert_eq!(world.register(registration(1, 2)), Ok(epoch));
    let batch = world.log.last().unwrap();
    assert_eq!(batch[..2], expected[..]);
    assert!(matches!(&batch[2], MetadataRecord::RegisterBroker(record) if record.broker_epoch == epoch && record.fenced));
    // It is unfenced when it has read its registration, which is two records behind its epoch.
    let early = BrokerHeartbeatRequest { current_metadata_offset: epoch + 1, ..beat(&world, 1) };
    assert_eq!(world.beat(early), (0, false, true, false));
    let unready = BrokerHeartbeatRequest { want_fence: true, ..beat(&world, 1) };
    assert_eq!(world.beat(unready), (0, true, true, false));
    let takes_over = PartitionChangeRecord { leader: 1, ..world.change_of("u") };
    let unfenced = BrokerRegistrationChangeRecord { fenced: -1, ..world.registration_change(1) };
    world.unfence(1);
    assert_eq!(*world.log.last().unwrap(), vec![MetadataRecord::from(unfenced), takes_over.into()]);
    assert_eq!((led(&world.first("t")), led(&world.first("u"))), ((vec![2], 2), (vec![1], 1)));
    assert_eq!(world.first("u").leader_epoch, LeaderEpoch(2), "consumers find out that the log may have lost its end");
}

#[test]
fn an_unclean_stop_costs_eligibility() {
    for is_clean in [false, true] {
        let mut world = World::cluster(3);
        world.finalize("eligible.leader.replicas.version", 1);
        let min_isr = config("min.insync.replicas", Some("2"));
        for (name, replicas) in [("t", [1, 2]), ("u", [2, 1])] {
            let created = assigned(name, &[(0, &replicas)]);
            world.code(create_topics_request::CreatableTopic { configs: vec![min_isr.clone()], ..created });
        }
        // In `u`, broker 1 is eligible only.
        let fallen =
            PartitionChangeRecord { isr: Some(vec![2]), eligible_leader_replicas: Some(vec![1]), ..world.change_of("u") };
        world.commit(vec![fallen.into()]);
        world.now_ms = 2 * SESSION_MS;
        let previous_epoch = if is_clean { world.image().broker(BrokerId(1)).unwrap().epoch } else { -1 };
        let mut features = registration(1, 2).features;
        features.push(("eligible.leader.replicas.version".into(), 0, 1));
        world.register(BrokerRegistration { previous_epoch, features, ..registration(1, 2) }).unwrap();
        let eligible = if is_clean { vec![BrokerId(1)] } else { vec![] };
        let (t, u) = (world.first("t"), world.first("u"));
        assert_eq!((led(&t), &t.eligible_leader_replicas), ((vec![2], 2), &eligible), "clean: {is_clean}");
        assert_eq!((led(&u), &u.eligible_leader_replicas), ((vec![2], 2), &eligible), "clean: {is_clean}");
    }
}

#[test]
fn each_state_and_each_heartbeat() {
    use BrokerState::*;
    let next = |state, want_fence, want_shut_down, (is_caught_up, leads, others_know)| {
        let request = BrokerHeartbeatRequest { want_fence, want_shut_down, ..BrokerHeartbeatRequest::default() };
        BrokerState::next(state, &request, &News { state, is_caught_up, others_know }, || leads)
    };
    let all: Vec<(bool, bool, bool)> = (0..8).map(|bits| (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0)).collect();
    for news in all {
        let (is_caught_up, leads, others_know) = news;
        for want_fence in [false, true] {
            assert_eq!(next(Fenced, want_fence, true, news), ShutdownNow);
            for want_shut_down in [false, true] {
                let goes = !leads && others_know;
                let gone = if goes { ShutdownNow } else { ControlledShutdown };
                assert_eq!(next(ControlledShutdown, want_fence, want_shut_down, news), gone);
                assert_eq!(next(ShutdownNow, want_fence, want_shut_down, news), ShutdownNow);
            }
        }
        assert_eq!(next(Fenced, false, false, news), if is_caught_up { Unfenced } else { Fenced });
        assert_eq!(next(Fenced, true, false, news), Fenced);
        assert_eq!(next(Unfenced, false, false, news), Unfenced);
        assert_eq!(next(Unfenced, true, false, news), Fenced);
        assert_eq!(next(Unfenced, true, true, news), ShutdownNow);
        assert_eq!(next(Unfenced, false, true, news), if leads { ControlledShutdown } else { ShutdownNow });
    }
}

#[test]
fn a_silent_broker_is_fenced_and_partitions_come_first() {
    let mut world = World::cluster(3);
    world.code(assigned("t", &[(0, &[1, 2, 3])]));
    world.now_ms = SESSION_MS / 2;
    let heard = beat(&world, 2);
    world.beat(heard);
    world.now_ms = SESSION_MS;
    assert!(world.fence_silent().is_empty());
    world.now_ms = SESSION_MS + 1;
    let first: Vec<MetadataRecord> = vec![
        PartitionChangeRecord { isr: Some(vec![2, 3]), leader: 2, ..world.change_of("t") }.into(),
        BrokerRegistrationChangeRecord { fenced: 1, ..world.registration_change(1) }.into(),
    ];
    let second: Vec<MetadataRecord> = vec![
        PartitionChangeRecord { isr: Some(vec![2]), ..world.change_of("t") }.into(),
        BrokerRegistrationChangeRecord { fenced: 1, ..world.registration_change(3) }.into(),
    ];
    assert_eq!(world.fence_silent(), [1, 3], "one after the other");
    assert_eq!(world.log[world.log.len() - 2..], [first, second]);
    assert!(world.fence_silent().is_empty(), "they have no session any more");
    let stale = Command::FenceBroker { broker: BrokerId(2), epoch: 0 };
    assert_eq!(world.decide(&stale).batches.len(), 0, "another incarnation was meant");
}

#[test]
fn a_broker_that_is_gone_is_fenced_at_once_unless_it_is_heard_of() {
    let mut world = World::cluster(3);
    let intervals = Intervals { session_timeout_ms: SESSION_MS, balance_ms: None, unclean_ms: 1 << 40 };
    let mut schedule = Schedule::new(&intervals, 0);
    let epoch = |world: &World, id: i32| world.image().broker(BrokerId(id)).unwrap().epoch;
    let epochs = [1, 2, 3].map(|id| epoch(&world, id));
    let contacts =
        [1, 2, 3].map(|id| world.heartbeats.as_ref().unwrap().contacts(BrokerId(id), epochs[id as usize - 1]).unwrap());
    world.now_ms = 20;
    let heard = beat(&world, 2);
    world.beat(heard);
    let heartbeats = world.heartbeats.as_mut().unwrap();
    assert!(!heartbeats.is_gone(BrokerId(1), epochs[0] - 1, contacts[0]), "another incarnation was meant");
    assert!(!heartbeats.is_gone(BrokerId(2), epochs[1], contacts[1]), "it was heard of since");
    assert_eq!(schedule.tick(heartbeats, 20), None);
    assert!(heartbeats.is_gone(BrokerId(3), epochs[2], contacts[2]) && heartbeats.is_gone(BrokerId(1), epochs[0], contacts[0]));
    assert!(!heartbeats.has_session(BrokerId(1), epochs[0], 20) && heartbeats.has_session(BrokerId(2), epochs[1], 20));
    // It was wrong: what is heard goes before what was found.
    heartbeats.contact(BrokerId(3), epochs[2], 20);
    assert!(heartbeats.has_session(BrokerId(3), epochs[2], 20));
    let fence = Some(Command::FenceBroker { broker: BrokerId(1), epoch: epochs[0] });
    assert_eq!((schedule.tick(heartbeats, 20), schedule.tick(heartbeats, 20)), (fence, None));
    assert_eq!(heartbeats.contacts(BrokerId(1), epochs[0]), None, "it has no session any more");
    // Whoever is started in its place need not wait for the end of the session.
    assert!(world.register(registration(1, 2)).is_ok());
    assert_eq!(world.register(registration(2, 2)), Err(ErrorCode::DuplicateBrokerRegistration));
}

#[test]
fn a_new_controller_gives_everybody_a_new_session() {
    let mut world = World::cluster(2);
    world.register(registration(3, 1)).unwrap();
    world.now_ms = 10 * SESSION_MS;
    let heartbeats = Heartbeats::new(world.image(), SESSION_MS, world.now_ms);
    let epoch = |id: i32| world.image().broker(BrokerId(id)).unwrap().epoch;
    let alive: Vec<bool> = (1..=3).map(|id| heartbeats.has_session(BrokerId(id), epoch(id), world.now_ms)).collect();
    assert_eq!(alive, [true, true, false], "a fenced broker has to be heard of first");
    world.heartbeats = Some(heartbeats);
    world.now_ms += SESSION_MS + 1;
    assert_eq!(world.fence_silent(), [1, 2]);
}

#[test]
fn leaderships_move_before_a_broker_goes() {
    let mut world = World::cluster(3);
    world.code(assigned("t", &[(0, &[1, 2])]));
    world.code(assigned("u", &[(0, &[2, 1])]));
    let expected: Vec<MetadataRecord> = vec![
        BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..world.registration_change(1) }.into(),
        PartitionChangeRecord { isr: Some(vec![2]), leader: 2, ..world.change_of("t") }.into(),
        PartitionChangeRecord { isr: Some(vec![2]), ..world.change_of("u") }.into(),
    ];
    assert_eq!(world.stop(1), (0, true, false, false));
    assert_eq!(*world.log.last().unwrap(), expected);
    let moved = world.image().next_offset().0 - 1;
    assert_eq!(world.stop(1), (0, true, false, false), "the others do not know of it");
    for (id, offset) in [(2, moved), (3, moved - 1), (3, moved)] {
        assert!(!world.stop(1).3, "before broker {id} has read up to {offset}");
        let request = BrokerHeartbeatRequest { current_metadata_offset: offset, ..beat(&world, id) };
        world.beat(request);
    }
    let fenced = BrokerRegistrationChangeRecord { fenced: 1, ..world.registration_change(1) };
    assert_eq!(world.stop(1), (0, true, true, true));
    assert_eq!(*world.log.last().unwrap(), vec![MetadataRecord::from(fenced)]);
    let length = world.log.len();
    assert_eq!(world.stop(1), (0, true, true, true));
    assert_eq!(world.log.len(), length, "it is fenced already");
    assert!(world.register(registration(1, 2)).is_ok(), "its next life need not wait for a session to end");
    assert_eq!(world.stop(3), (0, true, true, true), "whoever leads nothing goes at once");
}

#[test]
fn a_broker_that_is_not_ready_is_fenced() {
    let mut world = World::cluster(2);
    world.code(assigned("t", &[(0, &[1, 2])]));
    let request = BrokerHeartbeatRequest { want_fence: true, ..beat(&world, 1) };
    assert_eq!(world.beat(request), (0, true, true, false));
    assert_eq!(led(&world.first("t")), (vec![2], 2));
    world.unfence(1);
    assert_eq!(led(&world.first("t")), (vec![2], 2), "it has to catch up before it is in sync");
}

#[test]
fn replicas_in_a_failed_directory_are_not_in_sync() {
    let mut world = World::cluster(1);
    let two_dirs = BrokerRegistration { log_dirs: vec![dir(2, 1), dir(2, 2)], ..registration(2, 1) };
    world.register(two_dirs).unwrap();
    world.unfence(2);
    world.code(assigned("t", &[(0, &[2, 1])]));
    world.code(assigned("u", &[(0, &[2, 1])]));
    for (name, number) in [("t", 1), ("u", 2)] {
        let directories = Some(vec![dir(2, number), dir(1, 1)]);
        let placed = PartitionChangeRecord { directories, ..world.change_of(name) };
        world.commit(vec![placed.into()]);
    }
    let failed = BrokerHeartbeatRequest { offline_log_dirs: vec![dir(2, 2), dir(9, 9)], ..beat(&world, 2) };
    let expected: Vec<MetadataRecord> = vec![
        PartitionChangeRecord { isr: Some(vec![1]), leader: 1, ..world.change_of("u") }.into(),
        BrokerRegistrationChangeRecord { log_dirs: vec![dir(2, 1)], ..world.registration_change(2) }.into(),
    ];
    assert_eq!(world.beat(failed.clone()), (0, true, false, false));
    assert_eq!(*world.log.last().unwrap(), expected);
    let length = world.log.len();
    world.beat(failed);
    assert_eq!(world.log.len(), length, "it is known by now");
    // The last directory goes together with the wish to be fenced.
    let all = BrokerHeartbeatRequest { want_fence: true, offline_log_dirs: vec![dir(2, 1)], ..beat(&world, 2) };
    assert_eq!(world.beat(all), (0, true, true, false));
    assert_eq!((led(&world.first("t")), world.first("t").partition_epoch), ((vec![1], 1), 2), "it was moved once");
}

#[test]
fn an_unregistered_broker_is_forgotten() {
    let mut world = World::cluster(2);
    world.code(assigned("t", &[(0, &[1, 2])]));
    let expected: Vec<MetadataRecord> = vec![
        PartitionChangeRecord { isr: Some(vec![2]), leader: 2, ..world.change_of("t") }.into(),
        UnregisterBrokerRecord {
            broker_id: 1,
            broker_epoch: world.image().broker(BrokerId(1)).unwrap().epoch,
            ..UnregisterBrokerRecord::default()
        }
        .into(),
    ];
    assert_eq!(world.call(Command::UnregisterBroker { broker: BrokerId(1) }), Reply::Unregistered(Ok(())));
    assert_eq!(*world.log.last().unwrap(), expected);
    assert_eq!(world.first("t").replicas, brokers(&[1, 2]), "reassigning is the operator's");
    let Reply::Unregistered(Err(again)) = world.call(Command::UnregisterBroker { broker: BrokerId(1) }) else { panic!() };
    assert_eq!(again.0, ErrorCode::BrokerIdNotRegistered);
    assert!(!world.heartbeats.as_ref().unwrap().has_session(BrokerId(1), 0, world.now_ms));
}

#[test]
fn blocks_of_producer_ids_do_not_overlap() {
    let mut world = World::cluster(3);
    let mut firsts = vec![];
    for id in [1, 3, 2, 1] {
        let epoch = world.image().broker(BrokerId(id)).unwrap().epoch;
        let reply = world.call(Command::AllocateProducerIds { broker: BrokerId(id), epoch });
        let Reply::ProducerIds(Ok(block)) = reply else { panic!() };
        firsts.push((block.first, block.count));
        let record = ProducerIdsRecord {
            broker_id: id,
            broker_epoch: epoch,
            next_producer_id: block.first + block.count,
            ..Default::default()
        };
        assert_eq!(*world.log.last().unwrap(), vec![MetadataRecord::from(record)]);
    }
    assert_eq!(firsts, [(0, 1000), (1000, 1000), (2000, 1000), (3000, 1000)]);
}

#[test]
fn a_tick_gives_one_thing_at_a_time() {
    let mut world = World::cluster(2);
    let intervals = Intervals { session_timeout_ms: SESSION_MS, balance_ms: Some(20_000), unclean_ms: 20_000 };
    let mut schedule = Schedule::new(&intervals, 0);
    let mut tick = |world: &mut World, now_ms: u64| schedule.tick(world.heartbeats.as_mut().unwrap(), now_ms);
    assert_eq!(tick(&mut world, SESSION_MS), None);
    let now = SESSION_MS + SESSION_MS / 8;
    let fence = |world: &World, id: i32| {
        Some(Command::FenceBroker { broker: BrokerId(id), epoch: world.image().broker(BrokerId(id)).unwrap().epoch })
    };
    for id in [1, 2] {
        assert_eq!(tick(&mut world, now), fence(&world, id));
    }
    assert_eq!((tick(&mut world, now), tick(&mut world, 19_999)), (None, None));
    assert_eq!(tick(&mut world, 20_000), Some(Command::BalanceLeaders));
    assert_eq!((tick(&mut world, 20_000), tick(&mut world, 20_000)), (Some(Command::ElectUncleanLeaders), None));
    schedule.decided(&Command::BalanceLeaders, &Reply::Ticked { more: false }, 20_000);
    assert_eq!(schedule.tick(world.heartbeats.as_mut().unwrap(), 20_000), None);
    schedule.decided(&Command::BalanceLeaders, &Reply::Ticked { more: true }, 20_000);
    assert_eq!(schedule.next_ms(), 20_000);
    assert_eq!(schedule.tick(world.heartbeats.as_mut().unwrap(), 20_000), Some(Command::BalanceLeaders));
    assert!(schedule.next_ms() > 20_000);
}
