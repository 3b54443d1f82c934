//! The builder of partition changes: the exact record of each rule, and what holds after every change.

use super::image::{Broker, MetadataImage, Partition, Topic};
use super::partition_change::{Election, PartitionChange, TopicRules};
use super::tests::plain_broker;
use super::{DIRECTORY_LOST, DIRECTORY_UNASSIGNED, MetadataDelta};
use crate::model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use crate::protocol::generated::PartitionChangeRecord;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const TOPIC: TopicId = TopicId([9; 16]);
const INDEX: PartitionIndex = PartitionIndex(3);
const PLAIN: TopicRules = TopicRules { has_elr: false, min_isr: 1, allows_unclean: false, is_alone: false };
const ELR: TopicRules = TopicRules { has_elr: true, min_isr: 2, allows_unclean: false, is_alone: false };

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn dir(id: i32) -> TopicId {
    TopicId([id as u8 + 100; 16])
}

/// Brokers 1 to 5 with a directory each, of which those in `active` are not fenced.
fn image(active: &[i32]) -> MetadataImage {
    let broker = |id: i32| {
        let broker = Broker { fenced: !active.contains(&id), log_dirs: vec![dir(id)], ..plain_broker(id) };
        (BrokerId(id), Arc::new(broker))
    };
    MetadataImage { brokers: Arc::new((1..=5).map(broker).collect()), ..MetadataImage::default() }
}

/// A partition that is led by `leader`, or by nobody if that is 0.
fn partition(replicas: &[i32], isr: &[i32], leader: i32) -> Partition {
    Partition {
        replicas: ids(replicas),
        directories: replicas.iter().map(|id| dir(*id)).collect(),
        isr: ids(isr),
        leader: (leader > 0).then_some(BrokerId(leader)),
        leader_epoch: LeaderEpoch(5),
        partition_epoch: 7,
        ..Partition::default()
    }
}

/// What comes of what `wish` wants.
fn built(
    image: &MetadataImage,
    rules: TopicRules,
    partition: &Partition,
    wish: impl FnOnce(&mut PartitionChange<'_>),
) -> Option<PartitionChangeRecord> {
    let mut change = PartitionChange::new(image, rules, TOPIC, INDEX, partition);
    wish(&mut change);
    change.build()
}

fn record() -> PartitionChangeRecord {
    PartitionChangeRecord { partition_id: INDEX.0, topic_id: TOPIC, ..PartitionChangeRecord::default() }
}

#[test]
fn nothing_wanted_is_no_record() {
    let all = image(&[1, 2, 3]);
    for rules in [PLAIN, ELR] {
        assert_eq!(built(&all, rules, &partition(&[1, 2, 3], &[1, 2, 3], 1), |_| {}), None);
    }
}

#[test]
fn who_leaves_is_replaced_in_the_order_of_the_replicas() {
    let all = image(&[1, 2, 3]);
    let before = partition(&[3, 1, 2], &[1, 2, 3], 1);
    let follower = built(&all, PLAIN, &before, |change| change.remove(BrokerId(2)));
    assert_eq!(follower, Some(PartitionChangeRecord { isr: Some(vec![1, 3]), ..record() }));
    let leader = built(&all, PLAIN, &before, |change| change.remove(BrokerId(1)));
    assert_eq!(leader, Some(PartitionChangeRecord { isr: Some(vec![2, 3]), leader: 3, ..record() }));
    let with_3_fenced = built(&image(&[1, 2]), PLAIN, &before, |change| change.remove(BrokerId(1)));
    assert_eq!(with_3_fenced, Some(PartitionChangeRecord { isr: Some(vec![2, 3]), leader: 2, ..record() }));
}

#[test]
fn the_last_in_sync_stays_so_without_a_leader() {
    let all = image(&[1, 2]);
    let before = partition(&[1, 2], &[1], 1);
    let left = built(&all, PLAIN, &before, |change| change.remove(BrokerId(1)));
    assert_eq!(left, Some(PartitionChangeRecord { leader: -1, ..record() }));
    let leaderless = partition(&[1, 2], &[1], 0);
    assert_eq!(built(&all, PLAIN, &leaderless, |change| change.remove(BrokerId(1))), None);
    let back = built(&image(&[2]), PLAIN, &leaderless, |change| change.accept(BrokerId(1)));
    assert_eq!(back, Some(PartitionChangeRecord { leader: 1, ..record() }));
}

#[test]
fn who_has_the_only_replica_leads_where_it_is_put() {
    // Its disk was replaced: the directory that the metadata name is gone.
    let moved = |replicas: &[i32]| {
        let gone = Partition { directories: vec![dir(50); replicas.len()], ..partition(replicas, &[1], 0) };
        built(&image(&[1]), PLAIN, &gone, |change| change.place(BrokerId(1), dir(1)))
    };
    let led = PartitionChangeRecord { leader: 1, directories: Some(vec![dir(1)]), ..record() };
    assert_eq!(moved(&[1]), Some(led));
    let placed = PartitionChangeRecord { directories: Some(vec![dir(1), dir(50)]), ..record() };
    assert_eq!(moved(&[1, 2]), Some(placed), "2 may have what is gone from 1");
}

#[test]
fn an_unclean_election_is_told_as_such() {
    let all = image(&[1, 2]);
    let mut before = partition(&[1, 2], &[1], 1);
    let unclean = |change: &mut PartitionChange<'_>| {
        change.election = Election::Unclean;
        change.remove(BrokerId(1));
    };
    let elected = PartitionChangeRecord { leader: 2, isr: Some(vec![2]), leader_recovery_state: 1, ..record() };
    assert_eq!(built(&all, PLAIN, &before, unclean), Some(elected.clone()));
    before.recovering = true;
    let again = PartitionChangeRecord { leader_recovery_state: -1, ..elected };
    assert_eq!(built(&all, PLAIN, &before, unclean), Some(again), "it is recovering already");
    let recovered = built(&all, PLAIN, &before, |change| change.recovering = false);
    assert_eq!(recovered, Some(PartitionChangeRecord { leader_recovery_state: 0, ..record() }));
}

#[test]
fn who_falls_out_below_the_minimum_is_eligible() {
    let all = image(&[1, 2, 3]);
    let two = partition(&[1, 2, 3], &[1, 2], 1);
    let fallen = built(&all, ELR, &two, |change| change.remove(BrokerId(2)));
    assert_eq!(fallen, Some(PartitionChangeRecord { isr: Some(vec![1]), eligible_leader_replicas: Some(vec![2]), ..record() }));
    let three = partition(&[1, 2, 3], &[1, 2, 3], 1);
    let enough = built(&all, ELR, &three, |change| change.remove(BrokerId(2)));
    assert_eq!(enough, Some(PartitionChangeRecord { isr: Some(vec![1, 3]), ..record() }), "what is acked is in both of them");
    let one = Partition { eligible_leader_replicas: ids(&[2]), ..partition(&[1, 2, 3], &[1], 1) };
    let elected = PartitionChangeRecord { leader: 2, isr: Some(vec![2]), eligible_leader_replicas: Some(vec![1]), ..record() };
    assert_eq!(built(&all, ELR, &one, |change| change.remove(BrokerId(1))), Some(elected), "cleanly");
    let joined = built(&all, ELR, &one, |change| change.isr = ids(&[1, 3]));
    let cleared = PartitionChangeRecord { isr: Some(vec![1, 3]), eligible_leader_replicas: Some(vec![]), ..record() };
    assert_eq!(joined, Some(cleared));
    let off = built(&all, PLAIN, &one, |_| {});
    assert_eq!(off, Some(PartitionChangeRecord { eligible_leader_replicas: Some(vec![]), ..record() }), "without the feature");
}

#[test]
fn an_eligible_replica_comes_back_cleanly_and_a_last_known_leader_does_not() {
    let nobody = image(&[]);
    let one = partition(&[1, 2], &[1], 1);
    let gone = PartitionChangeRecord {
        leader: -1,
        isr: Some(vec![]),
        eligible_leader_replicas: Some(vec![1]),
        last_known_elr: Some(vec![1]),
        ..record()
    };
    assert_eq!(built(&nobody, ELR, &one, |change| change.remove(BrokerId(1))), Some(gone.clone()));
    let eligible = Partition { eligible_leader_replicas: ids(&[1]), last_known_elr: ids(&[1]), ..partition(&[1, 2], &[], 0) };
    let back = PartitionChangeRecord {
        leader: 1,
        isr: Some(vec![1]),
        eligible_leader_replicas: Some(vec![]),
        last_known_elr: Some(vec![]),
        ..record()
    };
    assert_eq!(built(&nobody, ELR, &eligible, |change| change.accept(BrokerId(1))), Some(back.clone()));
    let uncleanly = PartitionChangeRecord { eligible_leader_replicas: None, ..gone };
    assert_eq!(built(&nobody, ELR, &one, |change| change.remove_unclean(BrokerId(1))), Some(uncleanly));
    let known = Partition { last_known_elr: ids(&[1]), ..partition(&[1, 2], &[], 0) };
    let recovering = PartitionChangeRecord { eligible_leader_replicas: None, leader_recovery_state: 1, ..back };
    assert_eq!(built(&nobody, ELR, &known, |change| change.accept(BrokerId(1))), Some(recovering));
    assert_eq!(built(&nobody, ELR, &known, |change| change.accept(BrokerId(2))), None, "it never had all records");
}

#[test]
fn a_reassignment_ends_when_all_that_stays_is_in_sync() {
    let all = image(&[1, 2, 3]);
    let moving = Partition { adding_replicas: ids(&[3]), removing_replicas: ids(&[1]), ..partition(&[3, 2, 1], &[1, 2], 1) };
    assert_eq!(built(&all, PLAIN, &moving, |_| {}), None, "3 is not in sync yet");
    let done = PartitionChangeRecord {
        leader: 3,
        isr: Some(vec![2, 3]),
        replicas: Some(vec![3, 2]),
        directories: Some(vec![dir(3), dir(2)]),
        adding_replicas: Some(vec![]),
        removing_replicas: Some(vec![]),
        ..record()
    };
    assert_eq!(built(&all, PLAIN, &moving, |change| change.isr = ids(&[1, 2, 3])), Some(done.clone()));
    let led_by_2 = Partition { leader: Some(BrokerId(2)), ..moving };
    let same_leader = PartitionChangeRecord { leader: 2, ..done };
    let finished = built(&all, PLAIN, &led_by_2, |change| change.isr = ids(&[1, 2, 3]));
    assert_eq!(finished, Some(same_leader), "a new epoch, in which 1 is not believed");
}

#[test]
fn directories_follow_the_replicas() {
    let all = image(&[1, 2, 3]);
    let before = partition(&[1, 2], &[1, 2], 1);
    let added = built(&all, PLAIN, &before, |change| {
        change.replicas = ids(&[3, 1, 2]);
        change.adding = ids(&[3]);
    });
    let expected = PartitionChangeRecord {
        replicas: Some(vec![3, 1, 2]),
        adding_replicas: Some(vec![3]),
        directories: Some(vec![dir(3), dir(1), dir(2)]),
        ..record()
    };
    assert_eq!(added, Some(expected));
    let placed = built(&all, PLAIN, &before, |change| change.place(BrokerId(2), TopicId([77; 16])));
    assert_eq!(placed, Some(PartitionChangeRecord { directories: Some(vec![dir(1), TopicId([77; 16])]), ..record() }));
    let mut unknown = before.clone();
    unknown.directories.clear();
    let repaired = built(&all, PLAIN, &unknown, |_| {});
    assert_eq!(repaired, Some(PartitionChangeRecord { directories: Some(vec![dir(1), dir(2)]), ..record() }));
}

#[test]
fn a_replica_without_its_directory_does_not_lead() {
    let all = image(&[1, 2]);
    let mut before = partition(&[1, 2], &[1, 2], 1);
    for lost in [DIRECTORY_LOST, TopicId([77; 16])] {
        before.directories[0] = lost;
        let moved = built(&all, PLAIN, &before, |_| {});
        assert_eq!(moved, Some(PartitionChangeRecord { leader: 2, ..record() }));
    }
    before.directories[0] = DIRECTORY_UNASSIGNED;
    assert_eq!(built(&all, PLAIN, &before, |_| {}), None, "it is about to be placed");
}

#[test]
fn a_replica_that_was_given_up_leads_only_by_an_unclean_election_and_before_nobody() {
    let mut before = Partition { leader: None, ..partition(&[1, 2], &[2], 2) };
    before.directories[0] = DIRECTORY_LOST;
    let unclean = |change: &mut PartitionChange<'_>| change.election = Election::Unclean;
    let elected =
        |leader: i32| Some(PartitionChangeRecord { leader, isr: Some(vec![leader]), leader_recovery_state: 1, ..record() });
    assert_eq!(built(&image(&[1]), PLAIN, &before, unclean), elected(1), "there is nobody else");
    assert_eq!(built(&image(&[1]), PLAIN, &before, |_| {}), None);
    before.isr = vec![BrokerId(3)];
    assert_eq!(built(&image(&[1, 2]), PLAIN, &before, unclean), elected(2), "who is only behind goes before");
}

#[test]
fn the_preferred_replica_takes_over_if_it_can() {
    let before = partition(&[1, 2], &[1, 2], 2);
    let preferred = |change: &mut PartitionChange<'_>| change.election = Election::Preferred;
    let elected = Some(PartitionChangeRecord { leader: 1, ..record() });
    assert_eq!(built(&image(&[1, 2]), PLAIN, &before, preferred), elected);
    assert_eq!(built(&image(&[2]), PLAIN, &before, preferred), None);
    assert_eq!(built(&image(&[1, 2]), PLAIN, &partition(&[1, 2], &[2], 2), preferred), None);
    assert_eq!(built(&image(&[1, 2]), PLAIN, &before, |_| {}), None, "any other election leaves the leader alone");
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    Nothing,
    Remove(i32),
    RemoveUnclean(i32),
    Accept(i32),
    Elect(Election),
}

fn wish() -> impl Strategy<Value = Wish> {
    let elections = [Election::Online, Election::Preferred, Election::Unclean];
    prop_oneof![
        Just(Wish::Nothing),
        (1..=5).prop_map(Wish::Remove),
        (1..=5).prop_map(Wish::RemoveUnclean),
        (1..=5).prop_map(Wish::Accept),
        prop::sample::select(elections.to_vec()).prop_map(Wish::Elect),
    ]
}

fn apply_wish(wish: Wish, election: Election, change: &mut PartitionChange<'_>) {
    change.election = election;
    match wish {
        Wish::Nothing => {}
        Wish::Remove(id) => change.remove(BrokerId(id)),
        Wish::RemoveUnclean(id) => change.remove_unclean(BrokerId(id)),
        Wish::Accept(id) => change.accept(BrokerId(id)),
        Wish::Elect(election) => change.election = election,
    }
}

/// A partition as it may be found: each replica with what it is to the partition, and the index of who leads, if there is one.
fn any_partition(has_elr: bool) -> impl Strategy<Value = Partition> {
    let order = Just(vec![1, 2, 3, 4, 5]).prop_shuffle();
    let parts = (order, 1usize..=5, prop::collection::vec(0u8..4, 5), any::<u8>(), prop::bool::weighted(0.3));
    parts.prop_map(move |(order, count, roles, leader, is_moving)| {
        let replicas = &order[..count];
        let of_role = |wanted: &[u8]| -> Vec<i32> {
            replicas.iter().zip(&roles).filter(|(_, role)| wanted.contains(role)).map(|(id, _)| *id).collect()
        };
        let mut isr = of_role(&[0, 1]);
        let elr = if has_elr { of_role(&[2]) } else { vec![] };
        if isr.is_empty() && !has_elr {
            isr.push(replicas[0]);
        }
        let leader = isr.get(usize::from(leader) % (isr.len() + 1)).copied();
        let last_known = if has_elr && leader.is_none() { vec![replicas[0]] } else { vec![] };
        let (adding, removing) = if is_moving && count > 2 { (vec![replicas[0]], vec![replicas[1]]) } else { (vec![], vec![]) };
        Partition {
            eligible_leader_replicas: ids(&elr),
            last_known_elr: ids(&last_known),
            adding_replicas: ids(&adding),
            removing_replicas: ids(&removing),
            ..partition(replicas, &isr, leader.unwrap_or(0))
        }
    })
}

/// The image with the partition, changed by the record.
fn after(image: &MetadataImage, before: &Partition, record: &Option<PartitionChangeRecord>) -> Partition {
    let partitions = BTreeMap::from([(INDEX, before.clone())]);
    let topic = Topic { id: TOPIC, name: "t".into(), partitions };
    let mut image = MetadataImage { topics: Arc::new([(TOPIC, Arc::new(topic))].into()), ..image.clone() };
    if let Some(record) = record {
        image.apply(&record.clone().into(), &mut MetadataDelta::default()).unwrap();
    }
    image.partition(TOPIC, INDEX).unwrap().clone()
}

fn is_set(ids: &[BrokerId]) -> bool {
    ids.iter().collect::<BTreeSet<_>>().len() == ids.len()
}

proptest! {
    /// Whatever is found and wanted: who leads is there and in sync, who is in sync or eligible is a replica, nobody is both, the
    /// leader epoch rises with every other leader, and wanting the same again changes nothing.
    #[test]
    fn every_change_leaves_a_sound_partition(
        active in prop::collection::btree_set(1..=5, 0..=5),
        (has_elr, before) in any::<bool>().prop_flat_map(|has_elr| (Just(has_elr), any_partition(has_elr))),
        // With 1, who was eligible when the leader was lost stays so until the next change, as in Kafka.
        min_isr in 2usize..4,
        allows_unclean in any::<bool>(),
        wish in wish(),
    ) {
        let image = image(&active.iter().copied().collect::<Vec<_>>());
        let rules = TopicRules { has_elr, min_isr, allows_unclean, is_alone: false };
        let build = |partition: &Partition| built(&image, rules, partition, |change| apply_wish(wish, rules.election(), change));
        let record = build(&before);
        let now = after(&image, &before, &record);
        let accepted = match wish { Wish::Accept(id) => Some(BrokerId(id)), _ => None };
        let removed = match wish { Wish::Remove(id) | Wish::RemoveUnclean(id) => Some(BrokerId(id)), _ => None };
        if let Some(leader) = now.leader {
            prop_assert!(now.isr.contains(&leader) && Some(leader) != removed);
            prop_assert!(active.contains(&leader.0) || accepted == Some(leader));
        }
        prop_assert!(is_set(&now.replicas) && is_set(&now.isr) && is_set(&now.eligible_leader_replicas));
        prop_assert!(now.isr.iter().chain(&now.eligible_leader_replicas).all(|id| now.replicas.contains(id)));
        prop_assert!(now.isr.iter().all(|id| !now.eligible_leader_replicas.contains(id)));
        prop_assert_eq!(now.directories.len(), now.replicas.len());
        prop_assert!(has_elr || !now.isr.is_empty());
        prop_assert!(has_elr || now.eligible_leader_replicas.is_empty());
        if let Wish::RemoveUnclean(id) = wish && has_elr {
            prop_assert!(!now.eligible_leader_replicas.contains(&BrokerId(id)));
        }
        let rises = |is: bool| i32::from(is);
        prop_assert_eq!(now.partition_epoch, before.partition_epoch + rises(record.is_some()));
        let is_elected = record.as_ref().is_some_and(|record| record.leader != -2);
        prop_assert_eq!(now.leader_epoch.0, before.leader_epoch.0 + rises(is_elected));
        prop_assert!(is_elected || now.leader == before.leader);
        let had_all = |id: BrokerId| before.isr.contains(&id) || before.eligible_leader_replicas.contains(&id);
        if let Some(leader) = now.leader && !now.recovering {
            prop_assert!(had_all(leader), "a clean leader has what was acknowledged");
        }
        prop_assert_eq!(build(&now), None, "wanted twice");
    }
}
