//! Which leaders and replicas move so that no broker has much more to do than another: pure decisions on what was measured.
//!
//! A partition to which `b` bytes are written in a second makes every broker that has a replica take `b` of them, and its leader send them
//! on to all others: with `r` replicas the leader has `r·b` to do and each follower `b`. What consumers read is not known, no request of
//! Kafka's tells it. The sum over the replicas of a broker is its load, counted as if every partition were led by its preferred leader.
//!
//! Moves are found one after the other, each on the loads that the ones before it leave:
//! 1. Whoever is not led by its preferred leader, though that is in sync, gets it back. That copies nothing.
//! 2. The broker with the highest load gives something away, as long as it is above the mean by more than [`TOLERANCE`]: a leadership, which
//!    copies nothing, if that helps, else a replica. It is always the move after which the higher of the two loads is the lowest. If there is
//!    none for this broker, the next one below it is looked at.
//! 3. Whoever has at least two replicas more than another gives one away, the smallest that leaves the other within the tolerance.
//! 4. The same with preferred leaderships.
//!
//! A move of step 2 has to pay: the load that it takes from the higher broker is at least [`LEAST_SHARE`] of the mean, and a replica is not
//! copied if in [`PAYS_WITHIN_S`] it would not save as many bytes as that takes. No move puts replicas of a partition into the same rack that
//! were in different ones, nobody gets a partition twice, a partition is moved once at most, and one that is being changed, or has a replica
//! that is dead or behind, is left alone.
//!
//! It ends: step 2 lowers the higher of two loads by something that matters, and steps 3 and 4 make no load that step 2 would look at.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How far above the mean a load may be, in percent.
const TOLERANCE: u64 = 10;
/// What a move has to take from the higher of two loads, in percent of the mean.
const LEAST_SHARE: u64 = 2;
/// The same in bytes per second: a cluster with next to nothing to do is not worth it.
const LEAST_GAIN: u64 = 1024;
/// Seconds within which copying a replica has to pay.
const PAYS_WITHIN_S: u64 = 24 * 3600;

/// A partition, and what was measured of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Partition {
    pub(super) topic: String,
    pub(super) index: i32,
    /// The preferred leader first.
    pub(super) replicas: Vec<i32>,
    pub(super) isr: Vec<i32>,
    /// -1 for none.
    pub(super) leader: i32,
    /// Its replicas are being changed, or what is written to it is not known.
    pub(super) is_fixed: bool,
    /// What is written to it, in bytes per second.
    pub(super) written: u64,
    /// Bytes of its log.
    pub(super) size: u64,
}

impl Partition {
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }

    /// What a broker has to do for it if these are its replicas.
    fn load_of(&self, replicas: &[i32], broker: i32) -> u64 {
        match replicas.iter().position(|replica| *replica == broker) {
            None => 0,
            Some(0) => self.written.saturating_mul(replicas.len() as u64),
            Some(_) => self.written,
        }
    }
}

/// What was measured of a cluster.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Cluster {
    /// Brokers that are alive, and their racks.
    pub(super) brokers: BTreeMap<i32, Option<String>>,
    pub(super) partitions: Vec<Partition>,
}

/// What a broker has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Load {
    /// Bytes per second that it takes and sends on.
    pub(super) bytes: u64,
    pub(super) replicas: u64,
    /// Partitions whose preferred leader it is.
    pub(super) led: u64,
    /// Bytes of its logs.
    pub(super) size: u64,
}

/// A partition that is changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) topic: String,
    pub(super) index: i32,
    /// Its replicas, before and after.
    pub(super) from: Vec<i32>,
    pub(super) to: Vec<i32>,
    /// Bytes that are copied for it.
    pub(super) copies: u64,
    why: String,
}

impl Step {
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, index, from, to, copies, why } = self;
        match from == to {
            true => write!(f, "{topic}-{index}: {} leads {from:?} again", to[0])?,
            false => write!(f, "{topic}-{index}: {from:?} becomes {to:?}")?,
        }
        match copies {
            0 => write!(f, "; {why}; nothing is copied"),
            copies => write!(f, "; {why}; {} are copied", Bytes(*copies)),
        }
    }
}

/// What is to be done, in this order, and what comes of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) before: BTreeMap<i32, Load>,
    pub(super) after: BTreeMap<i32, Load>,
}

/// A number of bytes, to be read by people.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let (mut unit, mut scaled) = (None, self.0 as f64);
        for name in units {
            if scaled < 1024.0 {
                break;
            }
            (unit, scaled) = (Some(name), scaled / 1024.0);
        }
        match unit {
            None => write!(f, "{} B", self.0),
            Some(name) => write!(f, "{scaled:.1} {name}"),
        }
    }
}

/// Says what is to be moved, `most` partitions at most; without replicas if `leaders_only`.
pub(super) fn plan(cluster: &Cluster, leaders_only: bool, most: usize) -> Plan {
    let mut planning = Planning::new(cluster, most);
    let before = planning.loads.clone();
    planning.restore_preferred();
    planning.lower_loads(leaders_only);
    if !leaders_only {
        planning.spread(&Spread::REPLICAS);
    }
    planning.spread(&Spread::LEADERS);
    let moved = &planning.moved;
    // Whoever is moved anyway is led by whom that makes the first.
    let is_needed = |step: &Step| step.from != step.to || !moved.contains(&step.name());
    planning.steps.retain(is_needed);
    Plan { steps: planning.steps, before, after: planning.loads }
}

/// What is spread evenly by number.
struct Spread {
    name: &'static str,
    count: fn(&Load) -> u64,
    is_leaders: bool,
}

impl Spread {
    const REPLICAS: Self = Self { name: "replicas", count: |load| load.replicas, is_leaders: false };
    const LEADERS: Self = Self { name: "preferred leaderships", count: |load| load.led, is_leaders: true };
}

struct Planning<'a> {
    cluster: &'a Cluster,
    loads: BTreeMap<i32, Load>,
    mean: u64,
    moved: BTreeSet<String>,
    steps: Vec<Step>,
    most: usize,
}

/// A change of one partition that takes `gain` from the higher of two loads.
struct Candidate<'a> {
    partition: &'a Partition,
    to: Vec<i32>,
    taker: i32,
    gain: u64,
    copies: u64,
}

impl<'a> Planning<'a> {
    fn new(cluster: &'a Cluster, most: usize) -> Self {
        let mut loads: BTreeMap<i32, Load> = cluster.brokers.keys().map(|broker| (*broker, Load::default())).collect();
        for partition in &cluster.partitions {
            for replica in &partition.replicas {
                if let Some(load) = loads.get_mut(replica) {
                    add(load, partition, &partition.replicas, *replica);
                }
            }
        }
        let sum: u64 = loads.values().map(|load| load.bytes).sum();
        let mean = sum / (loads.len() as u64).max(1);
        Self { cluster, loads, mean, moved: BTreeSet::new(), steps: vec![], most }
    }

    fn load(&self, broker: i32) -> Load {
        self.loads.get(&broker).copied().unwrap_or_default()
    }

    /// The highest load that nobody cares about.
    fn tolerated(&self) -> u64 {
        self.mean.saturating_add(self.mean.saturating_mul(TOLERANCE) / 100)
    }

    fn is_healthy(&self, partition: &Partition) -> bool {
        let is_there = |replica: &i32| self.cluster.brokers.contains_key(replica) && partition.isr.contains(replica);
        !partition.is_fixed && partition.leader >= 0 && partition.replicas.iter().all(is_there)
    }

    /// Partitions with a replica on a broker that may be moved.
    fn movable(&self, broker: i32) -> impl Iterator<Item = &'a Partition> {
        let all = self.cluster.partitions.iter();
        all.filter(move |partition| partition.replicas.contains(&broker))
            .filter(|partition| self.is_healthy(partition) && !self.moved.contains(&partition.name()))
    }

    fn is_full(&self) -> bool {
        self.moved.len() >= self.most
    }

    fn take(&mut self, partition: &Partition, to: Vec<i32>, copies: u64, why: String) {
        for broker in partition.replicas.iter().chain(&to).copied().collect::<BTreeSet<i32>>() {
            if let Some(load) = self.loads.get_mut(&broker) {
                remove(load, partition, &partition.replicas, broker);
                add(load, partition, &to, broker);
            }
        }
        self.moved.insert(partition.name());
        let (topic, index, from) = (partition.topic.clone(), partition.index, partition.replicas.clone());
        self.steps.push(Step { topic, index, from, to, copies, why });
    }

    // ---- 1 ---------------------------------------------------------------------------------------------------------------------

    fn restore_preferred(&mut self) {
        for partition in &self.cluster.partitions {
            let Some(&preferred) = partition.replicas.first() else { continue };
            let is_there = self.cluster.brokers.contains_key(&preferred) && partition.isr.contains(&preferred);
            if partition.leader == preferred || !is_there || partition.is_fixed {
                continue;
            }
            let why = format!("it is the preferred leader and in sync, and {} leads", partition.leader);
            let (topic, index, from) = (partition.topic.clone(), partition.index, partition.replicas.clone());
            self.steps.push(Step { topic, index, to: from.clone(), from, copies: 0, why });
        }
    }

    // ---- 2 ---------------------------------------------------------------------------------------------------------------------

    fn lower_loads(&mut self, leaders_only: bool) {
        while !self.is_full() {
            let mut high: Vec<(u64, i32)> = self.loads.iter().map(|(broker, load)| (load.bytes, *broker)).collect();
            high.retain(|(bytes, _)| *bytes > self.tolerated());
            high.sort_by_key(|(bytes, broker)| (Reverse(*bytes), *broker));
            let found = high.iter().find_map(|(_, broker)| {
                let leader = self.best_leader_move(*broker);
                let best = leader.or_else(|| if leaders_only { None } else { self.best_replica_move(*broker) });
                best.map(|best| (*broker, best))
            });
            let Some((broker, Candidate { partition, to, taker, copies, .. })) = found else { return };
            let (had, taker_had) = (self.load(broker).bytes, self.load(taker).bytes);
            self.take(partition, to, copies, String::new());
            let percent = had.saturating_mul(100) / self.mean.max(1);
            let why = format!(
                "{} are written to it in a second; broker {broker} has {} to do, {percent} % of the mean, and gets {}, broker {taker} gets {} \
                 instead of {}",
                Bytes(partition.written),
                Bytes(had),
                Bytes(self.load(broker).bytes),
                Bytes(self.load(taker).bytes),
                Bytes(taker_had)
            );
            self.steps.last_mut().expect("it was taken just now").why = why;
        }
    }

    /// What a move of `shifted` from one broker to another takes from the higher of their loads.
    fn gain(&self, from: i32, to: i32, shifted: u64) -> u64 {
        let (high, low) = (self.load(from).bytes, self.load(to).bytes);
        let after = high.saturating_sub(shifted).max(low.saturating_add(shifted));
        high.saturating_sub(after)
    }

    fn least_gain(&self) -> u64 {
        (self.mean.saturating_mul(LEAST_SHARE) / 100).max(LEAST_GAIN)
    }

    fn best_leader_move(&self, broker: i32) -> Option<Candidate<'a>> {
        let led = self.movable(broker).filter(|partition| partition.replicas.first() == Some(&broker));
        let candidates = led.flat_map(|partition| {
            partition.replicas[1..].iter().map(move |&taker| {
                let to = with_first(&partition.replicas, taker);
                let shifted = partition.load_of(&partition.replicas, broker) - partition.load_of(&to, broker);
                Candidate { partition, to, taker, gain: self.gain(broker, taker, shifted), copies: 0 }
            })
        });
        self.best(candidates)
    }

    fn best_replica_move(&self, broker: i32) -> Option<Candidate<'a>> {
        let limit = self.most_replicas();
        let candidates = self.movable(broker).flat_map(|partition| {
            self.takers(partition, broker).filter(|taker| self.load(*taker).replicas < limit).map(move |taker| {
                let shifted = partition.load_of(&partition.replicas, broker);
                let to = replaced(&partition.replicas, broker, taker);
                Candidate { partition, to, taker, gain: self.gain(broker, taker, shifted), copies: partition.size }
            })
        });
        self.best(candidates.filter(|candidate| candidate.gain.saturating_mul(PAYS_WITHIN_S) >= candidate.copies))
    }

    fn best(&self, candidates: impl Iterator<Item = Candidate<'a>>) -> Option<Candidate<'a>> {
        let paying = candidates.filter(|candidate| candidate.gain >= self.least_gain());
        let low = |candidate: &Candidate<'_>| Reverse(self.load(candidate.taker).bytes);
        paying.max_by_key(|candidate| (candidate.gain, low(candidate), Reverse(candidate.copies)))
    }

    /// A broker may have so many replicas before it gets one for its load: a few more than the mean, which step 3 evens out.
    fn most_replicas(&self) -> u64 {
        let sum: u64 = self.loads.values().map(|load| load.replicas).sum();
        let mean = sum.div_ceil((self.loads.len() as u64).max(1));
        mean + (mean / 10).max(2)
    }

    /// Who may have the replica that a broker gives away.
    fn takers(&self, partition: &'a Partition, broker: i32) -> impl Iterator<Item = i32> {
        let others: Vec<i32> = partition.replicas.iter().copied().filter(|replica| *replica != broker).collect();
        let shared = self.in_rack_of(&others, broker);
        let all = self.cluster.brokers.keys().copied();
        all.filter(move |taker| *taker != broker && !others.contains(taker) && self.in_rack_of(&others, *taker) <= shared)
    }

    /// How many of the brokers are in the rack of another one. Without racks nobody shares one.
    fn in_rack_of(&self, brokers: &[i32], other: i32) -> usize {
        let rack = |broker: &i32| self.cluster.brokers.get(broker).cloned().flatten();
        let wanted = rack(&other);
        brokers.iter().filter(|broker| wanted.is_some() && rack(broker) == wanted).count()
    }

    // ---- 3 and 4 -----------------------------------------------------------------------------------------------------------------

    fn spread(&mut self, what: &Spread) {
        while !self.is_full() {
            let mut brokers: Vec<(u64, i32)> = self.loads.iter().map(|(broker, load)| ((what.count)(load), *broker)).collect();
            brokers.sort();
            let pairs = brokers.iter().rev().flat_map(|giver| brokers.iter().map(move |taker| (*giver, *taker)));
            let uneven = pairs.filter(|((most, _), (least, _))| *most >= *least + 2);
            let found = uneven.into_iter().find_map(|((most, giver), (least, taker))| {
                let found = if what.is_leaders { self.smallest_led(giver, taker) } else { self.smallest_replica(giver, taker) };
                found.map(|found| (found, giver, most, taker, least))
            });
            let Some((candidate, giver, most, taker, least)) = found else { return };
            let why = format!("broker {giver} has {most} {}, broker {taker} has {least}", what.name);
            self.take(candidate.partition, candidate.to, candidate.copies, why);
        }
    }

    /// Whether a broker may get so much more.
    fn has_room(&self, broker: i32, shifted: u64) -> bool {
        shifted == 0 || self.load(broker).bytes.saturating_add(shifted) <= self.tolerated()
    }

    fn smallest_replica(&self, giver: i32, taker: i32) -> Option<Candidate<'a>> {
        let all = self.movable(giver).filter(|partition| self.takers(partition, giver).any(|other| other == taker));
        let small = all.filter(|partition| self.has_room(taker, partition.load_of(&partition.replicas, giver)));
        let partition = small.min_by_key(|partition| (partition.size, partition.written))?;
        let to = replaced(&partition.replicas, giver, taker);
        Some(Candidate { partition, to, taker, gain: 0, copies: partition.size })
    }

    fn smallest_led(&self, giver: i32, taker: i32) -> Option<Candidate<'a>> {
        let led = self.movable(giver).filter(|partition| partition.replicas.first() == Some(&giver));
        let shifted = |partition: &Partition| partition.load_of(&partition.replicas, giver) - partition.written;
        let small = led.filter(|partition| partition.replicas.contains(&taker) && self.has_room(taker, shifted(partition)));
        let partition = small.min_by_key(|partition| shifted(partition))?;
        let to = with_first(&partition.replicas, taker);
        Some(Candidate { partition, to, taker, gain: 0, copies: 0 })
    }
}

fn add(load: &mut Load, partition: &Partition, replicas: &[i32], broker: i32) {
    if replicas.contains(&broker) {
        load.bytes += partition.load_of(replicas, broker);
        load.replicas += 1;
        load.size += partition.size;
        load.led += u64::from(replicas.first() == Some(&broker));
    }
}

fn remove(load: &mut Load, partition: &Partition, replicas: &[i32], broker: i32) {
    if replicas.contains(&broker) {
        load.bytes -= partition.load_of(replicas, broker);
        load.replicas -= 1;
        load.size -= partition.size;
        load.led -= u64::from(replicas.first() == Some(&broker));
    }
}

/// The replicas with another one in the place of `old`.
fn replaced(replicas: &[i32], old: i32, new: i32) -> Vec<i32> {
    replicas.iter().map(|&replica| if replica == old { new } else { replica }).collect()
}

/// The replicas with the first and `first` in each other's place.
fn with_first(replicas: &[i32], first: i32) -> Vec<i32> {
    let mut replicas = replicas.to_vec();
    if let Some(at) = replicas.iter().position(|replica| *replica == first) {
        replicas.swap(0, at);
    }
    replicas
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
