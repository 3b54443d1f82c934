//! What is done to the nodes, their disks and their network, drawn from the seed: episodes of one fault or several at once, each of
//! which ends, and after each the cluster has to be well again by itself.
//!
//! Which faults may meet follows from what is promised. A fault that takes from a disk what was written (a wiped disk, a failed sync, a
//! power loss where acks do not wait for the device) comes alone or with mild ones: replication promises to survive one of it at a time,
//! as long as the others are in sync. All others meet as they like.

use crate::cluster::{Node, SESSION_TIMEOUT};
use crate::history::{Shared, Tp};
use crate::seed::Stage;
use crate::topics;
use flumen::io::sim::{Crash, DiskFault, DiskOp, HostId, NetOptions};
use std::collections::BTreeMap;
use std::time::Duration;

/// A small generator of our own: the world's chance is the brokers' and the clients'.
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        let mut draw = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // The first numbers of neighbours are alike.
        (0..8).for_each(|_| {
            draw.below(2);
        });
        draw
    }

    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }

    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }

    pub fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        for at in (1..of.len()).rev() {
            of.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Kind { $($kind,)* }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    Kill "node killed",
    KillAll "all nodes killed",
    PowerLoss "node lost power",
    PowerLossOfAll "all nodes lost power",
    Pause "short pause",
    LongPause "pause of two sessions",
    Partition "pair cut off",
    OneWay "pair cut off one way",
    Isolation "node cut off",
    SlowLinks "slow links",
    Stalls "stalled links",
    Resets "connections reset",
    FullDisk "full disk",
    FailedWrite "failed writes",
    FailedSync "failed sync",
    SlowDisk "slow disk",
    Wipe "wiped disk",
    ClockJump "clock jump",
    TwoControllers "two controllers down",
    Stop "controlled shutdown",
    Outage "node down for long",
    RollingRestart "rolling restart",
    Reassign "reassignments",
    Join "broker added",
    Leave "broker removed",
}

use Kind::*;

/// They hurt nobody's log, and let nobody be taken for dead.
const MILD: &[Kind] = &[SlowLinks, Resets, ClockJump, Pause];
/// They may meet each other; what stands here more often comes more often.
const FREE: &[Kind] = &[
    Kill,
    Kill,
    Kill,
    Pause,
    LongPause,
    LongPause,
    Partition,
    Partition,
    OneWay,
    OneWay,
    Isolation,
    Isolation,
    SlowLinks,
    Stalls,
    Resets,
    FullDisk,
    FailedWrite,
    SlowDisk,
    ClockJump,
    TwoControllers,
    Stop,
    Reassign,
    Reassign,
    KillAll,
    Join,
    Leave,
];
/// They take what is not on the device, so only where acks wait for that.
const FREE_OF_DURABLE: &[Kind] = &[PowerLoss, PowerLoss, PowerLoss, PowerLossOfAll];

/// A fault that is to come, counted from the start of its episode.
struct Strike {
    kind: Kind,
    begins: Duration,
    ends: Duration,
    nodes: Vec<i32>,
}

impl Stage {
    /// One episode, and its end.
    pub fn strike(&mut self, main: Kind, history: &Shared) {
        let plan = self.plan(main, history);
        if std::env::var("SIM_TALK").is_ok() {
            let at = self.world.now().0 / 1_000_000;
            let told: Vec<_> = plan.iter().map(|one| (one.kind, one.begins, one.ends, &one.nodes)).collect();
            eprintln!("seed {} at {at} ms: {told:?}", self.seed);
        }
        let mut steps: BTreeMap<(Duration, usize, bool), ()> = BTreeMap::new();
        for (index, strike) in plan.iter().enumerate() {
            steps.insert((strike.begins, index, false), ());
            steps.insert((strike.ends, index, true), ());
        }
        let began = self.world.now();
        for (at, index, is_end) in steps.into_keys() {
            self.world.run_for(began.after(at).since(self.world.now()));
            let strike = &plan[index];
            if is_end {
                self.end(strike);
            } else {
                *self.struck.entry(strike.kind.name()).or_default() += 1;
                self.begin(strike, history);
            }
        }
        self.end_all();
    }

    /// A kind that is not owed.
    pub fn draw_kind(&mut self) -> Kind {
        loop {
            let kind = self.draw.one_of(Kind::ALL);
            if self.durable || kind != PowerLossOfAll {
                return kind;
            }
        }
    }

    fn loses(&self, kind: Kind) -> bool {
        matches!(kind, Wipe | FailedSync) || kind == PowerLoss && !self.durable
    }

    /// What a broker had may be lost from now on: nothing is promised to who has no other replica.
    pub fn lose_a_disk(&self, history: &Shared) {
        let mut history = history.borrow_mut();
        history.lost_a_disk = true;
        topics::all().filter(|tp| !history.keeps(tp)).collect::<Vec<_>>().iter().for_each(|tp| {
            history.invariants.committed.forgive(tp);
        });
    }

    fn plan(&mut self, main: Kind, history: &Shared) -> Vec<Strike> {
        let loses = self.loses(main);
        if loses {
            self.lose_a_disk(history);
        }
        let mut kinds = vec![main];
        let others: Vec<Kind> = match loses || matches!(main, RollingRestart | Outage) {
            true => MILD.to_vec(),
            false => FREE.iter().chain(if self.durable { FREE_OF_DURABLE } else { &[] }).copied().collect(),
        };
        for _ in 0..self.draw.below(4) {
            let other = self.draw.one_of(&others);
            if !kinds.contains(&other) {
                kinds.push(other);
            }
        }
        let mut plan = Vec::new();
        for (number, kind) in kinds.into_iter().enumerate() {
            // What takes from a disk comes first, while all others have everything.
            let begins = if number == 0 { Duration::ZERO } else { self.draw.millis(0, 5000) };
            let ends = begins + self.duration(kind);
            plan.push(Strike { kind, begins, ends, nodes: self.victims(kind) });
        }
        plan
    }

    fn duration(&mut self, kind: Kind) -> Duration {
        match kind {
            LongPause => 2 * SESSION_TIMEOUT,
            Pause => self.draw.millis(50, 1500),
            ClockJump | Resets | RollingRestart | Reassign | Join | Leave => Duration::ZERO,
            SlowDisk => self.draw.millis(1000, 6000),
            _ => self.draw.millis(100, 8000),
        }
    }

    fn victims(&mut self, kind: Kind) -> Vec<i32> {
        let mut all: Vec<i32> = self.cluster.present().iter().map(|node| node.id).collect();
        self.draw.shuffle(&mut all);
        let is = |id: &i32, of: fn(&Node) -> bool| of(self.cluster.get(*id));
        match kind {
            TwoControllers => all.retain(|id| is(id, |node| node.is_controller)),
            FailedSync | FailedWrite | FullDisk | SlowDisk | Stop if self.draw.below(4) > 0 => {
                all.retain(|id| is(id, |node| node.is_broker));
            }
            _ => {}
        }
        let count = match kind {
            KillAll | PowerLossOfAll => all.len(),
            Partition | OneWay | TwoControllers => 2,
            _ => 1,
        };
        all.truncate(count);
        all
    }

    fn begin(&mut self, strike: &Strike, history: &Shared) {
        let world = self.world.clone();
        let nodes: Vec<&Node> = strike.nodes.iter().map(|id| self.cluster.get(*id)).collect();
        match strike.kind {
            Kill | KillAll | TwoControllers => nodes.iter().for_each(|node| self.cluster.crash(node, Crash::Kill)),
            PowerLoss | PowerLossOfAll => nodes.iter().for_each(|node| self.cluster.crash(node, Crash::PowerLoss)),
            Pause | LongPause => world.pause(nodes[0].host, strike.ends - strike.begins),
            Partition => world.partition(nodes[0].host, nodes[1].host),
            OneWay => world.cut(nodes[0].host, nodes[1].host),
            Isolation => self.others(nodes[0].host).into_iter().for_each(|other| world.partition(nodes[0].host, other)),
            SlowLinks => world.set_options(|options| {
                options.net.latency = (Duration::from_millis(100), Duration::from_millis(110));
                options.net.bandwidth = 375_000;
            }),
            Stalls => world.set_options(|options| {
                options.net.stalls = 20_000;
                options.net.stall = Duration::from_secs(1);
                options.net.resets = 500;
            }),
            Resets => {
                for other in self.others(nodes[0].host).into_iter().chain(self.clients.clone()) {
                    world.reset_connections(nodes[0].host, other);
                }
            }
            FullDisk => {
                nodes[0].may_fail.set(true);
                let (host, room) = (nodes[0].host, self.draw.below(4096));
                world.set_capacity(host, world.disk(host).used() + room);
            }
            FailedWrite | FailedSync => {
                nodes[0].may_fail.set(true);
                let op = if strike.kind == FailedWrite { DiskOp::Write } else { DiskOp::Sync };
                let (host, after) = (nodes[0].host, self.draw.below(20) as u32);
                world.fail_disk(host, DiskFault { op, path_contains: String::new(), after, times: 1, errno: 5 });
            }
            SlowDisk => {
                let (host, sync) = (nodes[0].host, self.draw.millis(300, 2000));
                world.slow_disk(host, "", sync);
            }
            Wipe => {
                self.cluster.crash(nodes[0], Crash::PowerLoss);
                self.cluster.wipe(nodes[0]);
                self.cluster.format(nodes[0]);
            }
            ClockJump => {
                let (host, by) = (nodes[0].host, self.draw.below(240_000) as i64 - 120_000);
                world.jump_clock(host, by);
            }
            Stop => self.cluster.stop(nodes[0]),
            Outage => {
                self.cluster.crash(nodes[0], Crash::Kill);
                let id = nodes[0].id;
                self.await_progress_without(history, Some(id));
            }
            RollingRestart => self.roll(history),
            Reassign => self.reassign_some(),
            Join => self.join(),
            Leave => self.begin_to_leave(),
        }
    }

    fn end(&mut self, strike: &Strike) {
        let world = self.world.clone();
        let nodes: Vec<&Node> = strike.nodes.iter().map(|id| self.cluster.get(*id)).collect();
        match strike.kind {
            Kill | KillAll | TwoControllers | PowerLoss | PowerLossOfAll | Wipe | Outage => {
                nodes.iter().for_each(|node| self.cluster.start(node));
            }
            Partition | OneWay => world.heal(nodes[0].host, nodes[1].host),
            Isolation => self.others(nodes[0].host).into_iter().for_each(|other| world.heal(nodes[0].host, other)),
            SlowLinks => world.set_options(|options| {
                let NetOptions { latency, bandwidth, .. } = NetOptions::default();
                (options.net.latency, options.net.bandwidth) = (latency, bandwidth);
            }),
            Stalls => world.set_options(|options| (options.net.stalls, options.net.resets) = (0, 0)),
            FullDisk | FailedWrite | FailedSync => self.repair(nodes[0]),
            SlowDisk => world.repair_disk(nodes[0].host),
            Stop => self.start_again(nodes[0]),
            Pause | LongPause | Resets | ClockJump | RollingRestart | Reassign | Join | Leave => {}
        }
    }

    fn others(&self, host: HostId) -> Vec<HostId> {
        self.cluster.nodes.iter().map(|node| node.host).filter(|other| *other != host).collect()
    }

    /// The operator puts a disk in order and starts the node again.
    fn repair(&self, node: &Node) {
        self.world.set_capacity(node.host, u64::MAX);
        self.world.repair_disk(node.host);
        if self.cluster.is_running(node) {
            self.cluster.crash(node, Crash::Kill);
        }
        node.may_fail.set(false);
        self.cluster.start(node);
    }

    /// Starts a node that was told to stop, when it has.
    fn start_again(&self, node: &Node) {
        if node.is_told_to_stop() && self.cluster.is_running(node) {
            let stopped = self.world.run_until(Duration::from_secs(30), || !self.cluster.is_running(node));
            hold!(stopped, "seed {}: node {} does not stop", self.seed, node.id);
        }
        self.cluster.start(node);
    }

    /// Whoever is down comes back; what one fault's end has left, another's takes away.
    pub fn end_all(&mut self) {
        for node in self.cluster.present() {
            self.start_again(node);
        }
    }

    /// One node after the other, as an operator does it: the next when nobody lags.
    fn roll(&mut self, history: &Shared) {
        let mut ids: Vec<i32> = self.cluster.present().iter().map(|node| node.id).collect();
        self.draw.shuffle(&mut ids);
        for id in ids {
            let node = self.cluster.get(id);
            self.cluster.stop_and_wait(node);
            self.cluster.start(node);
            self.await_health(history);
        }
    }

    fn reassign_some(&mut self) {
        let all: Vec<Tp> = topics::all().collect();
        for _ in 0..1 + self.draw.below(3) {
            let tp = self.draw.one_of(&all);
            let mut members: Vec<i32> = self.cluster.members().iter().map(|node| node.id).collect();
            members.retain(|id| self.leaving != Some(*id));
            self.draw.shuffle(&mut members);
            members.truncate(topics::find(&tp.0).replicas as usize);
            self.reassign(&tp, members);
        }
    }

    fn spare(&self) -> &Node {
        self.cluster.nodes.last().expect("there are nodes")
    }

    fn join(&mut self) {
        if self.leaving.is_none() {
            self.cluster.start(self.spare());
        }
    }
}
