//! All members of all groups on one thread, each with a connection of its own, and what is measured of them together.
//!
//! A JoinGroup is answered when everybody else of its group has joined, and a broker answers the requests of a connection in their order:
//! members that shared a connection would wait for each other's groups. So none do, as none of Kafka's clients do.

use super::assign;
use super::member::{Manners, Member, What};
use crate::clock::{self, SECOND};
use crate::kafka::{self, Client, fail};
use crate::link::Link;
use crate::poll::{self, Poller};
use crate::process::Cpu;
use crate::run::{BrokerUse, Sample};
use crate::stats::{Interval, Phase, histogram};
use crate::worker::Failure;
use flumen::protocol::StrBytes;
use hdrhistogram::Histogram;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::ops::Range;

/// Connections that are made before one is awaited, so that the broker's backlog of new ones does not run over.
const CONNECTS: usize = 32;
/// Requests that leave before answers are looked at again.
const SENDS: usize = 64;
/// Longest wait for something to happen, in nanoseconds.
const LONGEST_WAIT: u64 = SECOND / 10;
/// Longest wait for all groups to be stable, in nanoseconds.
const PATIENCE: u64 = 120 * SECOND;
/// How long answers are awaited after the end, in nanoseconds.
const DRAIN: u64 = 10 * SECOND;

fn lost(error: io::Error) -> Failure {
    Failure(format!("a connection was lost: {error}"))
}

/// A member and its connection.
struct Place {
    link: Link,
    member: Member,
    group: usize,
    /// Whether it is meant to be in its group.
    is_wanted: bool,
    /// Its entry in the timetable.
    noted: Option<u64>,
}

/// One group.
struct Group {
    name: StrBytes,
    /// Its members' places.
    places: Range<usize>,
    /// It is stable only in a generation after this one.
    beyond: i32,
    /// When one of its members last asked to join.
    last_join: u64,
    /// Since when all who are wanted have their shares of one generation.
    stable_at: Option<u64>,
}

/// What members begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Join,
    Leave,
}

/// What came of a change in all groups.
pub struct Stage {
    pub name: &'static str,
    /// Until all groups were stable.
    pub seconds: f64,
    /// Of each group: from its last JoinGroup, when nobody waits for a heartbeat or timer any more, until it was stable. In nanoseconds.
    pub rebalances: Histogram<u64>,
    pub joins: u64,
    pub syncs: u64,
    pub own_cpu: Cpu,
    pub broker: Option<BrokerUse>,
    /// By Kafka's code.
    pub errors: BTreeMap<i16, u64>,
}

/// The members.
pub struct Crowd {
    manners: Manners,
    poller: Poller,
    places: Vec<Place>,
    groups: Vec<Group>,
    /// When members want to send, the earliest first; may hold entries that are no longer true.
    timetable: BinaryHeap<Reverse<(u64, usize)>>,
    counted: Interval,
    /// Groups that are stable.
    stable: usize,
    joins: u64,
    syncs: u64,
    /// Nothing new is asked.
    is_silent: bool,
}

impl Crowd {
    /// Connects so many members for each group, given by name and its coordinator's address.
    pub fn connect(groups: Vec<(StrBytes, String)>, members: usize, manners: Manners, seed: u64) -> Result<Self, Failure> {
        poll::exact_timers();
        let mut crowd = Self {
            manners,
            poller: Poller::new()?,
            places: Vec::with_capacity(groups.len() * members),
            groups: Vec::with_capacity(groups.len()),
            timetable: BinaryHeap::new(),
            counted: Interval::new(Phase::Warmup, 0),
            stable: 0,
            joins: 0,
            syncs: 0,
            is_silent: false,
        };
        for (name, address) in groups {
            crowd.add_group(name, &address, members, seed)?;
        }
        Ok(crowd)
    }

    fn add_group(&mut self, name: StrBytes, address: &str, members: usize, seed: u64) -> Result<(), Failure> {
        let (first, group) = (self.places.len(), self.groups.len());
        for number in 0..members {
            let index = first + number;
            let link = Link::new(kafka::connect(address)?)?;
            self.poller.add(link.fd(), index)?;
            let member = Member::new(name.clone(), number == 0, seed ^ (index as u64) << 20);
            self.places.push(Place { link, member, group, is_wanted: false, noted: None });
            if index % CONNECTS == CONNECTS - 1 {
                Client::connect(address)?;
            }
        }
        self.groups.push(Group { name, places: first..first + members, beyond: 0, last_join: 0, stable_at: None });
        Ok(())
    }

    /// The heartbeats of first members have the interval of all from now on.
    pub fn level(&mut self) {
        self.manners.first_interval = self.manners.interval;
    }

    /// Serves all connections until `done` or the deadline; whether it was done.
    fn drive(&mut self, deadline: u64, done: impl Fn(&Self) -> bool) -> Result<bool, Failure> {
        loop {
            if done(self) {
                return Ok(true);
            }
            let now = clock::now();
            if now >= deadline {
                return Ok(false);
            }
            self.turn(now, deadline)?;
        }
    }

    /// One round: what is due leaves, then what has come is taken.
    fn turn(&mut self, now: u64, until: u64) -> Result<(), Failure> {
        let mut sends = 0;
        while let Some(&Reverse((due, index))) = self.timetable.peek() {
            if due > now || sends == SENDS || self.is_silent {
                break;
            }
            self.timetable.pop();
            if self.places[index].noted == Some(due) {
                self.places[index].noted = None;
                self.pump(index, now)?;
                sends += 1;
            }
        }
        let next = self.timetable.peek().filter(|_| !self.is_silent).map_or(until, |Reverse((due, _))| *due).min(until);
        let timeout = next.saturating_sub(clock::now()).min(LONGEST_WAIT);
        for event in 0..self.poller.wait(Some(timeout))? {
            let event = self.poller.event(event);
            if event.readable {
                self.take(event.token)?;
            }
            self.pump(event.token, clock::now())?;
        }
        Ok(())
    }

    /// Takes all whole answers of a member.
    fn take(&mut self, index: usize) -> Result<(), Failure> {
        loop {
            let more = self.places[index].link.fill().map_err(lost)?;
            while let Some(frame) = self.places[index].link.frame().map_err(lost)? {
                let (place, now) = (&mut self.places[index], clock::now());
                let before = place.member.settled();
                place.member.receive(now, frame, &self.manners, &mut self.counted)?;
                let (group, is_ready, has_changed) = (place.group, place.member.is_ready(), place.member.settled() != before);
                if has_changed {
                    self.judge(group, now);
                }
                if is_ready {
                    self.let_in(group, now);
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Sends what a member has to send now, and notes when it wants to send next.
    fn pump(&mut self, index: usize, now: u64) -> Result<(), Failure> {
        let place = &mut self.places[index];
        if !self.is_silent && place.member.due().is_some_and(|due| due <= now) {
            let (what, frame) = place.member.send(now, &self.manners)?;
            place.link.outbox.push_frame(&frame);
            match what {
                What::Join => {
                    self.joins += 1;
                    self.groups[place.group].last_join = now;
                }
                What::Sync => self.syncs += 1,
                What::Heartbeat | What::Leave => {}
            }
        }
        if !place.link.outbox.is_empty() {
            place.link.flush().map_err(lost)?;
        }
        if place.link.watches_writes == place.link.outbox.is_empty() {
            place.link.watches_writes = !place.link.outbox.is_empty();
            self.poller.watch_writes(place.link.fd(), index, place.link.watches_writes)?;
        }
        self.note(index);
        Ok(())
    }

    fn note(&mut self, index: usize) {
        let place = &mut self.places[index];
        if let Some(due) = place.member.due()
            && place.noted != Some(due)
        {
            place.noted = Some(due);
            self.timetable.push(Reverse((due, index)));
        }
    }

    /// Lets those of a group in who have got their ids, once everybody has one. As long as the coordinator waits for somebody to whom it
    /// gave an id it begins no generation: so there is one rebalance, where members that join as they come may race through several.
    fn let_in(&mut self, group: usize, now: u64) {
        let places = self.groups[group].places.clone();
        if self.places[places.clone()].iter().any(|place| place.is_wanted && place.member.id().is_empty()) {
            return;
        }
        for index in places {
            if self.places[index].member.is_ready() {
                self.places[index].member.join(now);
                self.note(index);
            }
        }
    }

    /// Whether a group is stable, since what one of its members has has changed.
    fn judge(&mut self, index: usize, now: u64) {
        let group = &mut self.groups[index];
        let wanted = self.places[group.places.clone()].iter().filter(|place| place.is_wanted);
        let is_stable = agree(wanted.map(|place| place.member.settled()), group.beyond);
        if is_stable != group.stable_at.is_some() {
            group.stable_at = is_stable.then_some(now);
            if is_stable {
                self.stable += 1;
            } else {
                self.stable -= 1;
            }
        }
    }

    /// Lets the members at some places of each group join or leave, all at once, and waits until all groups are stable in a new generation,
    /// in which each partition has one owner.
    pub fn stage(&mut self, name: &'static str, brokers: &[u32], change: Change, places: Range<usize>) -> Result<Stage, Failure> {
        let before = Sample::take(brokers);
        let start = clock::now();
        self.begin(change, places, start);
        if !self.drive(start + PATIENCE, |crowd| crowd.stable == crowd.groups.len())? {
            return fail(format!("{name}: {} of {} groups were stable in time", self.stable, self.groups.len()));
        }
        let after = Sample::take(brokers);
        self.verify()?;
        let (mut rebalances, mut end) = (histogram(), start);
        for group in &self.groups {
            let stable_at = group.stable_at.expect("all groups are stable");
            rebalances.saturating_record(stable_at.saturating_sub(group.last_join));
            end = end.max(stable_at);
        }
        let stage = Stage {
            name,
            seconds: (end - start) as f64 / SECOND as f64,
            rebalances,
            joins: self.joins,
            syncs: self.syncs,
            own_cpu: after.own.since(before.own),
            broker: after.broker_since(&before),
            errors: std::mem::take(&mut self.counted.errors),
        };
        Ok(stage)
    }

    fn begin(&mut self, change: Change, places: Range<usize>, start: u64) {
        self.counted = Interval::new(Phase::Warmup, start);
        (self.stable, self.joins, self.syncs) = (0, 0, 0);
        for index in 0..self.groups.len() {
            let group = &mut self.groups[index];
            let settled = self.places[group.places.clone()].iter().filter_map(|place| place.member.settled());
            (group.beyond, group.stable_at) = (settled.max().unwrap_or(group.beyond), None);
            let all = group.places.clone();
            for place in all.skip(places.start).take(places.len()) {
                let one = &mut self.places[place];
                one.is_wanted = change == Change::Join;
                match change {
                    Change::Join => one.member.join(start),
                    Change::Leave => one.member.leave(start),
                }
                self.note(place);
            }
        }
    }

    /// Whether the shares of each group are disjoint and cover all partitions.
    fn verify(&self) -> Result<(), Failure> {
        for group in &self.groups {
            let wanted = self.places[group.places.clone()].iter().filter(|place| place.is_wanted);
            assign::covers(self.manners.partitions, wanted.map(|place| place.member.partitions()))
                .map_err(|what| Failure(format!("{}: {what}", group.name)))?;
        }
        Ok(())
    }

    /// Heartbeats for so many seconds, second by second, each of which is `told`. No group may rebalance meanwhile.
    pub fn beat(&mut self, phase: Phase, seconds: f64, mut told: impl FnMut(&Interval)) -> Result<Vec<Interval>, Failure> {
        let mut at = clock::now();
        let (end, mut intervals) = (at + clock::seconds(seconds), Vec::new());
        self.joins = 0;
        while at < end {
            let boundary = end.min(at + SECOND);
            self.counted = Interval::new(phase, at);
            self.drive(boundary, |_| false)?;
            self.counted.end = boundary;
            told(&self.counted);
            intervals.push(self.counted.clone());
            at = boundary;
        }
        if self.joins > 0 || self.stable < self.groups.len() {
            return fail(format!("groups have rebalanced by themselves: {} joins", self.joins));
        }
        self.verify()?;
        Ok(intervals)
    }

    /// Waits for the answers to what was asked; nothing new is asked meanwhile.
    pub fn drain(&mut self) -> Result<Interval, Failure> {
        let start = clock::now();
        self.counted = Interval::new(Phase::Late, start);
        self.is_silent = true;
        let awaits = |place: &Place| place.member.awaits_an_answer();
        self.drive(start + DRAIN, |crowd| !crowd.places.iter().any(awaits))?;
        self.is_silent = false;
        let mut late = self.counted.clone();
        late.unanswered = self.places.iter().filter(|place| awaits(place)).count() as u64;
        late.end = clock::now();
        Ok(late)
    }

    /// The names of the groups, and the ids of their members.
    pub fn members(&self) -> Vec<(StrBytes, Vec<StrBytes>)> {
        let members = |group: &Group| {
            let wanted = self.places[group.places.clone()].iter().filter(|place| place.is_wanted);
            (group.name.clone(), wanted.map(|place| place.member.id().clone()).collect::<Vec<_>>())
        };
        self.groups.iter().map(members).collect()
    }
}

/// Whether all members are settled in one generation, which is after `beyond`.
fn agree(mut settled: impl Iterator<Item = Option<i32>>, beyond: i32) -> bool {
    let first = settled.next().flatten().filter(|generation| *generation > beyond);
    first.is_some() && settled.all(|generation| generation == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_stable_when_all_have_their_shares_of_one_new_generation() {
        for (settled, beyond, stable) in [
            (vec![Some(3), Some(3), Some(3)], 2, true),
            (vec![Some(3), Some(3), Some(3)], 3, false),
            (vec![Some(3), None, Some(3)], 2, false),
            (vec![None, Some(3)], 2, false),
            (vec![Some(3), Some(4)], 2, false),
            (vec![Some(1)], 0, true),
            (vec![], 0, false),
        ] {
            assert_eq!(agree(settled.iter().copied(), beyond), stable, "{settled:?} after {beyond}");
        }
    }
}
