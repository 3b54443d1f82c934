//! Which broker gets the replicas of one that is to be emptied: pure decisions on what the cluster tells of itself.
//!
//! Each replica that leaves is replaced in its place in the list, so that the others, and the preferred leader if that is another, stay
//! who they are. The replacement is, of the brokers that are alive and have no replica of the partition: one in a rack that the others are
//! not in, as far as there is one; of those one with the fewest replicas, with what has been decided before counted in; of those the
//! preferred leader of the fewest partitions.

use std::collections::BTreeMap;
use std::fmt;

/// A partition as the cluster tells of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct PartitionView {
    pub(super) topic: String,
    pub(super) index: i32,
    /// Its replicas; while they are being changed, the old and the new ones.
    pub(super) replicas: Vec<i32>,
    /// Those of them that are on their way out; not empty only while the replicas are being changed.
    pub(super) removing: Vec<i32>,
    /// Those of them that are on their way in, likewise.
    pub(super) adding: Vec<i32>,
}

impl PartitionView {
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }

    /// Whether its replicas are being changed.
    pub(super) fn is_moving(&self) -> bool {
        !self.removing.is_empty() || !self.adding.is_empty()
    }

    /// Its replicas once that is done.
    pub(super) fn target(&self) -> Vec<i32> {
        self.replicas.iter().copied().filter(|replica| !self.removing.contains(replica)).collect()
    }
}

/// What is known of a cluster.
#[derive(Clone, Default, Debug)]
pub(super) struct ClusterView {
    /// Brokers that are alive, and their racks.
    pub(super) brokers: BTreeMap<i32, Option<String>>,
    pub(super) partitions: Vec<PartitionView>,
}

/// A replica that gets another broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub(super) topic: String,
    pub(super) index: i32,
    pub(super) from: Vec<i32>,
    pub(super) to: Vec<i32>,
    /// Who leaves and who comes.
    pub(super) old: i32,
    pub(super) new: i32,
    /// Why it is that broker.
    why: String,
}

impl Move {
    /// The partition.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, index, from, to, old, new, why } = self;
        write!(f, "{topic}-{index}: {from:?} becomes {to:?}: broker {new} takes the place of {old}; {why}")
    }
}

/// How a broker can be emptied.
#[derive(Clone, Default, Debug)]
pub(super) struct Drain {
    /// What can be done now, by topic and partition.
    pub(super) moves: Vec<Move>,
    /// Partitions with a replica there whose replicas are being changed already: that has to end first.
    pub(super) busy: Vec<String>,
    /// Partitions for whose replica there is no other broker.
    pub(super) stuck: Vec<String>,
}

/// What each broker has, with all changes done.
#[derive(Default)]
struct Load {
    replicas: BTreeMap<i32, usize>,
    preferred: BTreeMap<i32, usize>,
}

impl Load {
    fn of(view: &ClusterView) -> Self {
        let mut load = Self::default();
        for partition in &view.partitions {
            let target = partition.target();
            target.iter().for_each(|replica| *load.replicas.entry(*replica).or_default() += 1);
            target.first().into_iter().for_each(|first| *load.preferred.entry(*first).or_default() += 1);
        }
        load
    }

    fn replicas_of(&self, broker: i32) -> usize {
        self.replicas.get(&broker).copied().unwrap_or(0)
    }

    fn preferred_of(&self, broker: i32) -> usize {
        self.preferred.get(&broker).copied().unwrap_or(0)
    }

    fn add(&mut self, broker: i32, is_preferred: bool) {
        *self.replicas.entry(broker).or_default() += 1;
        if is_preferred {
            *self.preferred.entry(broker).or_default() += 1;
        }
    }
}

/// Says how the broker `drained` gets rid of all of its replicas.
pub(super) fn drain(view: &ClusterView, drained: i32) -> Drain {
    let (mut load, mut plan) = (Load::of(view), Drain::default());
    let mut partitions: Vec<&PartitionView> = view.partitions.iter().collect();
    partitions.sort_by(|a, b| (&a.topic, a.index).cmp(&(&b.topic, b.index)));
    for partition in partitions.into_iter().filter(|partition| partition.replicas.contains(&drained)) {
        if partition.is_moving() {
            plan.busy.push(partition.name());
            continue;
        }
        match replace(view, &load, partition, drained) {
            Some(found) => {
                load.add(found.new, found.to.first() == Some(&found.new));
                plan.moves.push(found);
            }
            None => plan.stuck.push(partition.name()),
        }
    }
    plan
}

/// The replacement of one replica.
fn replace(view: &ClusterView, load: &Load, partition: &PartitionView, old: i32) -> Option<Move> {
    let from = partition.target();
    let others: Vec<i32> = from.iter().copied().filter(|replica| *replica != old).collect();
    let shared = |broker: i32| neighbours(view, &others, broker);
    let score = |broker: &i32| (shared(*broker), load.replicas_of(*broker), load.preferred_of(*broker), *broker);
    let free = view.brokers.keys().copied().filter(|broker| *broker != old && !others.contains(broker));
    let new = free.clone().min_by_key(score)?;
    let to: Vec<i32> = from.iter().map(|&replica| if replica == old { new } else { replica }).collect();
    let held = load.replicas_of(new);
    let rack = match &view.brokers[&new] {
        None => String::new(),
        Some(rack) if shared(new) == 0 => format!(", in rack {rack}, where there is no other"),
        Some(rack) => format!(", in rack {rack}, where there are {} others", shared(new)),
    };
    let why = match free.clone().count() {
        1 => format!("it is the only one without a replica{rack}"),
        count => format!("of {count} it is the one to take it: it has {held} replicas{rack}"),
    };
    Some(Move { topic: partition.topic.clone(), index: partition.index, from, to, old, new, why })
}

/// How many of the brokers are in the rack of another one. Who has no rack shares it with all others that have none.
fn neighbours(view: &ClusterView, brokers: &[i32], of: i32) -> usize {
    let rack = |broker: i32| view.brokers.get(&broker).cloned().flatten();
    let racks: Vec<Option<String>> = brokers.iter().map(|broker| rack(*broker)).collect();
    racks.iter().filter(|other| **other == rack(of)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn partition(topic: &str, index: i32, replicas: &[i32]) -> PartitionView {
        PartitionView { topic: topic.to_owned(), index, replicas: replicas.to_vec(), removing: vec![], adding: vec![] }
    }

    fn view(brokers: &[(i32, Option<&str>)], partitions: Vec<PartitionView>) -> ClusterView {
        let brokers = brokers.iter().map(|(id, rack)| (*id, rack.map(str::to_owned))).collect();
        ClusterView { brokers, partitions }
    }

    /// The cluster after all moves.
    fn after(view: &ClusterView, plan: &Drain) -> ClusterView {
        let mut view = view.clone();
        for one in &plan.moves {
            let partition = view.partitions.iter_mut().find(|p| p.topic == one.topic && p.index == one.index);
            partition.expect("a partition of the cluster").replicas = one.to.clone();
        }
        view
    }

    #[test]
    fn a_replica_is_replaced_in_its_place() {
        let view =
            view(&[(1, None), (2, None), (3, None), (4, None)], vec![partition("t", 0, &[1, 2, 3]), partition("s", 5, &[4])]);
        let plan = drain(&view, 2);
        assert_eq!(plan.moves.len(), 1);
        assert_eq!((&plan.moves[0].from[..], &plan.moves[0].to[..]), (&[1, 2, 3][..], &[1, 4, 3][..]));
        let said = plan.moves[0].to_string();
        assert!(said.starts_with("t-0: [1, 2, 3] becomes [1, 4, 3]: broker 4 takes the place of 2"), "{said}");
        assert!(said.contains("the only one without a replica"), "{said}");
        assert!(drain(&view, 9).moves.is_empty());
    }

    #[test]
    fn without_another_broker_nothing_is_lost() {
        let view = view(&[(1, None), (2, None)], vec![partition("t", 0, &[1, 2]), partition("t", 1, &[2])]);
        let plan = drain(&view, 2);
        assert_eq!(plan.stuck, ["t-0"]);
        assert_eq!(plan.moves.iter().map(|one| one.to.clone()).collect::<Vec<_>>(), [[1]]);
        assert_eq!(drain(&self::view(&[(2, None)], view.partitions), 2).stuck, ["t-0", "t-1"]);
    }

    #[test]
    fn racks_come_before_numbers() {
        let racks = [(1, Some("a")), (2, Some("b")), (3, Some("c")), (4, Some("a")), (5, Some("c"))];
        let mut partitions = vec![partition("t", 0, &[1, 3])];
        // Broker 5 has much more than broker 4, and is in a rack of its own for this partition.
        partitions.extend((0..9).map(|index| partition("u", index, &[5, 2])));
        let plan = drain(&view(&racks, partitions), 3);
        assert_eq!(plan.moves[0].to, [1, 2], "{}", plan.moves[0]);
        let few = [(1, Some("a")), (3, Some("c")), (4, Some("a")), (5, Some("a"))];
        let plan = drain(&view(&few, vec![partition("t", 0, &[1, 3])]), 3);
        assert_eq!(plan.moves[0].to, [1, 4], "a rack is shared where there is no other");
        assert!(plan.moves[0].to_string().contains("in rack a, where there are 1 others"), "{}", plan.moves[0]);
    }

    #[test]
    fn what_is_under_way_is_waited_for_and_counted() {
        let mut moving = partition("t", 0, &[1, 2, 3]);
        (moving.removing, moving.adding) = (vec![2], vec![3]);
        assert_eq!(moving.target(), [1, 3]);
        let view = view(&[(1, None), (2, None), (3, None), (4, None)], vec![moving, partition("t", 1, &[1, 2])]);
        let plan = drain(&view, 2);
        assert_eq!(plan.busy, ["t-0"]);
        assert_eq!(plan.moves[0].to, [1, 4], "3 has one on its way");
    }

    #[test]
    fn what_was_done_before_is_not_done_again() {
        let partitions = (0..30).map(|index| partition("t", index, &[index % 4, (index + 1) % 4])).collect();
        let mut view = view(&[(0, None), (1, None), (2, None), (3, None)], partitions);
        let whole = drain(&view, 1);
        // A step, an interruption, and the rest.
        let step = Drain { moves: whole.moves[..7].to_vec(), ..Drain::default() };
        view = after(&view, &step);
        assert_eq!(drain(&view, 1).moves, whole.moves[7..]);
        assert!(drain(&after(&view, &drain(&view, 1)), 1).moves.is_empty());
    }

    prop_compose! {
        /// Up to 8 brokers in up to 3 racks, or without, and partitions with up to 3 replicas on them.
        fn clusters()(count in 1_i32..8, racks in 0_i32..4, seeds in prop::collection::vec((0_i32..8, 1_i32..4), 0..60)) -> ClusterView {
            let rack = |id: i32| (racks > 0).then(|| format!("r{}", id % racks));
            let brokers = (0..count).map(|id| (id, rack(id))).collect();
            let replicas = |first: i32, factor: i32| (0..factor.min(count)).map(|step| (first + step) % count).collect();
            let one = |(index, (first, factor)): (usize, (i32, i32))| PartitionView { replicas: replicas(first, factor), ..partition("t", index as i32, &[]) };
            ClusterView { brokers, partitions: seeds.into_iter().enumerate().map(one).collect() }
        }
    }

    proptest! {
        #[test]
        fn a_drained_broker_has_nothing_and_nothing_is_lost(view in clusters(), drained in 0_i32..8) {
            let plan = drain(&view, drained);
            let changed = after(&view, &plan);
            for (before, now) in view.partitions.iter().zip(&changed.partitions) {
                prop_assert_eq!(before.replicas.len(), now.replicas.len());
                let distinct: BTreeSet<i32> = now.replicas.iter().copied().collect();
                prop_assert_eq!(distinct.len(), now.replicas.len());
                prop_assert!(now.replicas.iter().all(|replica| view.brokers.contains_key(replica)));
                let stays = |replica: &&i32| **replica != drained;
                let kept: Vec<&i32> = before.replicas.iter().filter(stays).collect();
                prop_assert!(kept.iter().all(|replica| now.replicas.contains(replica)), "the others stay");
                let is_stuck = plan.stuck.contains(&before.name());
                prop_assert_eq!(now.replicas.contains(&drained), is_stuck);
                prop_assert_eq!(is_stuck, before.replicas.contains(&drained) && before.replicas.len() == view.brokers.len());
            }
        }

        /// Nobody who takes a replica ends up with two more than another that could have taken it as well.
        #[test]
        fn what_leaves_is_spread_evenly(view in clusters(), drained in 0_i32..8) {
            let plan = drain(&view, drained);
            let load = Load::of(&after(&view, &plan));
            let last: BTreeMap<i32, &Move> = plan.moves.iter().map(|one| (one.new, one)).collect();
            for (taker, one) in last {
                let others: Vec<i32> = one.to.iter().copied().filter(|replica| *replica != taker).collect();
                let rank = |broker: i32| neighbours(&view, &others, broker);
                for other in view.brokers.keys().copied().filter(|other| *other != drained && !one.to.contains(other)) {
                    prop_assert!(rank(taker) <= rank(other), "racks first");
                    let is_even = load.replicas_of(taker) <= load.replicas_of(other) + 1;
                    prop_assert!(rank(taker) < rank(other) || is_even, "{} has more than {other}", one);
                }
            }
        }
    }
}
