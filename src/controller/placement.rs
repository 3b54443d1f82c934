//! Which brokers get the replicas of new partitions: striped over the racks, as Kafka places them.
//!
//! The replicas of a partition shall stand in as many racks as there are, leaders and replicas shall spread evenly over the brokers, and
//! fenced brokers shall be used only where unfenced ones have run out. So the racks form a ring, and in each rack the unfenced brokers
//! form one and the fenced ones another. Every partition begins one rack further than the one before it, and one broker further in each
//! ring. After as many partitions as there are unfenced brokers the same sets would come again, so all rings are shuffled then. Where
//! everything begins is chance, or every topic would begin on the same broker.

use super::image::{Broker, MetadataImage};
use crate::model::{BrokerId, TopicId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Replicas of `count` new partitions, the leader of each first; it is unfenced. `seed` is random.
///
/// # Errors
/// Why it cannot be done; goes with `INVALID_REPLICATION_FACTOR`.
pub(super) fn place(image: &MetadataImage, count: usize, factor: usize, seed: [u8; 16]) -> Result<Vec<Vec<BrokerId>>, String> {
    let mut stripes = Stripes::over(image, seed);
    if factor == 0 {
        return Err("The replication factor must be positive.".to_owned());
    }
    if factor > stripes.brokers {
        return Err(format!(
            "The target replication factor of {factor} cannot be reached because only {} broker(s) are registered.",
            stripes.brokers
        ));
    }
    if stripes.unfenced == 0 {
        return Err("All brokers are currently fenced.".to_owned());
    }
    Ok((0..count).map(|_| stripes.next(factor)).collect())
}

/// The directory of a new replica: the broker's only one, else for the broker to choose and report.
pub(super) fn directory(broker: Option<&Broker>) -> TopicId {
    match broker.map(|broker| &*broker.log_dirs) {
        Some([]) => super::DIRECTORY_MIGRATING,
        Some([only]) => *only,
        _ => super::DIRECTORY_UNASSIGNED,
    }
}

/// Brokers that are taken in turn, each at most once a partition.
#[derive(Default)]
struct Ring {
    brokers: Vec<BrokerId>,
    first: usize,
    taken: usize,
    /// The partition for which brokers were taken last.
    partition: usize,
}

impl Ring {
    fn next(&mut self, partition: usize) -> Option<BrokerId> {
        let count = self.brokers.len();
        if count == 0 {
            return None;
        }
        if self.partition != partition {
            (self.partition, self.taken, self.first) = (partition, 0, (self.first + 1) % count);
        }
        if self.taken == count {
            return None;
        }
        self.taken += 1;
        Some(self.brokers[(self.first + self.taken - 1) % count])
    }
}

#[derive(Default)]
struct Rack {
    unfenced: Ring,
    fenced: Ring,
}

impl Rack {
    fn next(&mut self, partition: usize) -> Option<BrokerId> {
        self.unfenced.next(partition).or_else(|| self.fenced.next(partition))
    }
}

/// The racks, and how far placement has come.
struct Stripes {
    racks: Vec<Rack>,
    /// Rack that the next partition begins with.
    first: usize,
    /// Number of the next partition, from 0.
    partition: usize,
    /// Partitions since the rings were shuffled.
    unshuffled: usize,
    /// Brokers that may get replicas: all but those that are on their way out.
    brokers: usize,
    unfenced: usize,
    chance: Chance,
}

impl Stripes {
    fn over(image: &MetadataImage, seed: [u8; 16]) -> Self {
        let mut racks: BTreeMap<Option<Arc<str>>, Rack> = BTreeMap::new();
        let (mut brokers, mut unfenced) = (0, 0);
        for broker in image.brokers().filter(|broker| !broker.in_controlled_shutdown) {
            let rack = racks.entry(broker.rack.clone()).or_default();
            let ring = if broker.fenced { &mut rack.fenced } else { &mut rack.unfenced };
            ring.brokers.push(broker.id);
            brokers += 1;
            unfenced += usize::from(!broker.fenced);
        }
        let mut chance = Chance::new(seed);
        let mut racks: Vec<Rack> = racks.into_values().collect();
        for rack in &mut racks {
            rack.unfenced.first = chance.below(rack.unfenced.brokers.len());
            rack.fenced.first = chance.below(rack.fenced.brokers.len());
        }
        let first = chance.below(racks.len());
        Self { racks, first, partition: 0, unshuffled: 0, brokers, unfenced, chance }
    }

    /// Replicas of the next partition. There are as many brokers, and one that is not fenced.
    fn next(&mut self, factor: usize) -> Vec<BrokerId> {
        if self.unshuffled == self.unfenced && self.unfenced > 1 {
            self.shuffle();
        }
        let (partition, count, first) = (self.partition, self.racks.len(), self.first % self.racks.len());
        let racks = &mut self.racks;
        let leader = (0..count).find_map(|step| {
            let rack = (first + step) % count;
            Some((rack, racks[rack].unfenced.next(partition)?))
        });
        let (leader_rack, leader) = leader.expect("some broker is not fenced");
        let mut replicas = Vec::with_capacity(factor);
        replicas.push(leader);
        // The leader's rack has had its turn of the first round.
        let mut skipped = Some(leader_rack);
        let mut rack = first;
        while replicas.len() < factor {
            if skipped == Some(rack) {
                skipped = None;
            } else {
                replicas.extend(racks[rack].next(partition));
            }
            rack = (rack + 1) % count;
        }
        self.first = (first + 1) % count;
        self.partition += 1;
        self.unshuffled += 1;
        replicas
    }

    fn shuffle(&mut self) {
        self.chance.shuffle(&mut self.racks);
        for rack in &mut self.racks {
            self.chance.shuffle(&mut rack.unfenced.brokers);
            self.chance.shuffle(&mut rack.fenced.brokers);
        }
        self.unshuffled = 0;
    }
}

/// A run of numbers out of one random draw (SplitMix64): a request draws once, however many partitions it asks for.
struct Chance(u64);

impl Chance {
    fn new(seed: [u8; 16]) -> Self {
        let seed = u128::from_be_bytes(seed);
        Self(((seed >> 64) as u64).rotate_left(32).wrapping_add(seed as u64))
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    fn below(&mut self, end: usize) -> usize {
        (self.number() % (end as u64).max(1)) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plain_broker;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Brokers by number, `(rack, fenced)`; 0 is no rack.
    fn image(brokers: &[(u8, bool)]) -> MetadataImage {
        let broker = |(id, (rack, fenced)): (i32, &(u8, bool))| {
            let rack = (*rack > 0).then(|| format!("rack {rack}").into());
            let broker = Broker { rack, fenced: *fenced, ..plain_broker(id) };
            (BrokerId(id), Arc::new(broker))
        };
        MetadataImage { brokers: Arc::new((1..).zip(brokers).map(broker).collect()), ..MetadataImage::default() }
    }

    fn ids(ids: &[i32]) -> BTreeSet<BrokerId> {
        ids.iter().copied().map(BrokerId).collect()
    }

    #[test]
    fn a_partition_of_three_replicas_stands_in_three_racks() {
        let racks = [(1, false), (1, false), (2, false), (2, false), (3, false), (3, false)];
        for seed in 0..20 {
            let placed = place(&image(&racks), 12, 3, [seed; 16]).unwrap();
            for replicas in &placed {
                let in_racks: BTreeSet<u8> = replicas.iter().map(|id| racks[id.0 as usize - 1].0).collect();
                assert_eq!(in_racks.len(), 3, "{replicas:?}");
            }
            // Six partitions are one round of leaders, whatever the racks.
            let leaders: BTreeSet<BrokerId> = placed.iter().map(|replicas| replicas[0]).collect();
            assert_eq!(leaders.len(), 6);
        }
    }

    #[test]
    fn a_fenced_broker_leads_nothing_and_is_used_last_in_its_rack() {
        let brokers = [(1, false), (1, true), (2, true), (2, true)];
        for seed in 0..20 {
            for replicas in place(&image(&brokers), 5, 2, [seed; 16]).unwrap() {
                assert_eq!(replicas[0], BrokerId(1), "the only one that may lead");
                assert!(ids(&[3, 4]).contains(&replicas[1]), "{replicas:?}: the other rack comes first");
            }
            let all = place(&image(&brokers), 1, 4, [seed; 16]).unwrap().remove(0);
            assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), ids(&[1, 2, 3, 4]));
        }
    }

    #[test]
    fn what_cannot_be_placed_is_refused() {
        let refused = |brokers: &[(u8, bool)], factor| place(&image(brokers), 1, factor, [0; 16]).unwrap_err();
        assert!(refused(&[(0, false)], 2).contains("only 1 broker(s) are registered"));
        assert_eq!(refused(&[(0, true)], 1), "All brokers are currently fenced.");
        assert!(refused(&[(0, false)], 0).contains("positive"));
        assert!(refused(&[], 1).contains("only 0 broker(s)"));
    }

    #[test]
    fn a_directory_is_named_where_there_is_no_choice() {
        let with = |dirs: &[u8]| {
            let mut broker = (**image(&[(0, false)]).broker(BrokerId(1)).unwrap()).clone();
            broker.log_dirs = dirs.iter().map(|dir| TopicId([*dir; 16])).collect();
            directory(Some(&broker))
        };
        assert_eq!((with(&[7]), with(&[7, 8])), (TopicId([7; 16]), super::super::DIRECTORY_UNASSIGNED));
        assert_eq!((with(&[]), directory(None)), (super::super::DIRECTORY_MIGRATING, super::super::DIRECTORY_UNASSIGNED));
    }

    proptest! {
        /// Whatever the racks: replicas are different brokers, the first is unfenced, and without racks each unfenced broker leads
        /// as many partitions as any other, give or take one.
        #[test]
        fn placement_is_legal_and_even(
            brokers in prop::collection::vec((0u8..4, prop::bool::weighted(0.3)), 1..9),
            factor in 1usize..9,
            count in 1usize..40,
            seed in any::<[u8; 16]>(),
        ) {
            let unfenced: BTreeSet<i32> =
                (1..).zip(&brokers).filter(|(_, (_, fenced))| !fenced).map(|(id, _)| id).collect();
            let placed = place(&image(&brokers), count, factor, seed);
            prop_assert_eq!(placed.is_ok(), factor <= brokers.len() && !unfenced.is_empty());
            for replicas in placed.into_iter().flatten() {
                prop_assert_eq!(replicas.len(), factor);
                prop_assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), factor);
                prop_assert!(unfenced.contains(&replicas[0].0));
            }
            let flat: Vec<(u8, bool)> = brokers.iter().map(|(_, fenced)| (0, *fenced)).collect();
            if let Ok(placed) = place(&image(&flat), count, 1, seed) {
                let led = |id: &i32| placed.iter().filter(|replicas| replicas[0].0 == *id).count();
                let counts: Vec<usize> = unfenced.iter().map(led).collect();
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
            }
        }
    }
}
