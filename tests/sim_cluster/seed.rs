//! One seed: a cluster, its clients, episodes of faults, and the judgement at the end.

use crate::client::Client;
use crate::cluster::{Cluster, Node, roles};
use crate::consumers::{follow, read_all};
use crate::groups;
use crate::history::{Shared, Tp};
use crate::nemesis::{Draw, Kind};
use crate::producers::{PARTITIONS, TOPIC, idempotent, plain};
use crate::topics;
use crate::transitions;
use flumen::io::Io;
use flumen::io::sim::{HostId, Options, World};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

const CLIENTS: usize = 3;
/// Members of a group, the last of them static.
const MEMBERS: [(&str, Option<&str>); 3] = [("first", None), ("second", None), ("third", Some("static"))];
/// Kinds of faults that each seed owes.
const OWED: u64 = 3;
/// So many seeds, one after the other, owe all kinds.
pub const SEEDS_OF_ALL_KINDS: u64 = (Kind::ALL.len() as u64).div_ceil(OWED);

/// The world of one seed.
pub struct Stage {
    pub seed: u64,
    pub world: World,
    pub cluster: Cluster,
    pub clients: Vec<HostId>,
    /// Acks wait for the device, so that even a power loss may take nothing.
    pub durable: bool,
    pub draw: Draw,
    /// How often each kind of fault has struck.
    pub struck: BTreeMap<&'static str, u64>,
    /// The broker that is to leave.
    pub leaving: Option<i32>,
    /// The longest that it took until all could be written to again, and until nobody lagged.
    pub slowest: (Duration, Duration),
    owed: Vec<Kind>,
}

/// All of a partition's log on a node's disk, and its first segment.
#[derive(PartialEq)]
struct LogOnDisk {
    first: Option<PathBuf>,
    bytes: Vec<u8>,
}

/// What a seed did.
#[derive(Clone)]
pub struct Outcome {
    pub trace: u64,
    pub acked: usize,
    pub faults: Vec<(&'static str, u64)>,
    pub counts: Vec<(&'static str, u64)>,
}

impl Stage {
    fn new(seed: u64, planted: Option<&'static str>) -> Self {
        let kinds = Kind::ALL.len() as u64;
        let owed: Vec<Kind> = (0..OWED).map(|n| Kind::ALL[((seed * OWED + n) % kinds) as usize]).collect();
        let durable = seed % 2 == 1 || owed.contains(&Kind::PowerLossOfAll);
        let mut draw = Draw::new(seed);
        let roles = roles(draw.below(4));
        let eligible = seed / 2 % 2 == 1;
        Self { draw, owed, ..Self::with(seed, planted, roles, durable, eligible) }
    }

    /// A world of nodes with these roles, to which nothing is owed.
    pub fn of(seed: u64, planted: Option<&'static str>, roles: &[&'static str], durable: bool) -> Self {
        Self::with(seed, planted, roles, durable, false)
    }

    fn with(seed: u64, planted: Option<&'static str>, roles: &[&'static str], durable: bool, eligible: bool) -> Self {
        let world = World::new(seed, Options { planted, ..Options::default() });
        let cluster = Cluster::new(world.clone(), roles, durable, eligible);
        let clients = (0..CLIENTS).map(|number| world.add_host(&format!("client{number}"), 1)).collect();
        let (struck, leaving, slowest) = (BTreeMap::new(), None, (Duration::ZERO, Duration::ZERO));
        Self { seed, world, cluster, clients, durable, draw: Draw::new(seed), struck, leaving, slowest, owed: vec![] }
    }

    pub fn start(&mut self, history: &Shared) {
        let (_, first) = self.cluster.nodes.split_last().expect("there are nodes");
        first.iter().for_each(|node| self.cluster.start(node));
        self.create_topics();
        self.await_health(history);
        self.slowest = (Duration::ZERO, Duration::ZERO);
    }

    /// Starts everybody who asks something of the cluster; they end when the history is over.
    fn start_clients(&self, history: &Shared, ended: &Rc<RefCell<usize>>) -> usize {
        let mut started = 0;
        let mut start = |task: Box<dyn FnOnce(Client) -> std::pin::Pin<Box<dyn Future<Output = ()>>>>| {
            let (io, ended): (Io, _) = (self.world.io(self.clients[started % CLIENTS], 0), ended.clone());
            let running = task(Client::new(io.clone(), self.cluster.brokers.clone()));
            io.spawn(async move {
                running.await;
                *ended.borrow_mut() += 1;
            });
            started += 1;
        };
        let h = || history.clone();
        for _ in 0..3 {
            let history = h();
            start(Box::new(move |client| Box::pin(plain(client, history, 150))));
        }
        let idempotents = [(TOPIC, 0), (TOPIC, 1), (TOPIC, 1), ("eager", 0), ("pair", 0), ("unclean", 0)];
        for (number, (topic, partition)) in idempotents.into_iter().enumerate() {
            let (history, tp) = (h(), (topic.to_owned(), partition));
            start(Box::new(move |client| Box::pin(idempotent(client, history, number, tp))));
        }
        for any in [false, false, true, true] {
            let history = h();
            start(Box::new(move |client| Box::pin(follow(client, history, any))));
        }
        for (name, instance) in MEMBERS {
            let history = h();
            start(Box::new(move |client| Box::pin(groups::take_part(client, history, name, instance))));
        }
        started
    }

    /// Nothing is done to the brokers any more: whoever shares partitions agrees on them soon, and stays a while.
    fn wait_until_groups_settle(&mut self, history: &Shared) {
        let settled = || history.borrow().invariants.groups.is_settled(MEMBERS.len(), PARTITIONS);
        let in_time = self.world.run_until(Duration::from_secs(90), settled);
        hold!(in_time, "seed {}: the group does not come to rest", self.seed);
    }

    /// Every replica holds everything, and the same.
    pub fn judge(&mut self, history: &Shared) {
        let (brokers, history) = (self.cluster.brokers.clone(), history.clone());
        let placed = self.world.run(self.clients[0], |io| async move {
            let mut client = Client::new(io, brokers);
            let mut placed: Vec<(Tp, Vec<i32>)> = Vec::new();
            for tp in topics::all() {
                let (_, replicas) = client.replicas(&tp).await.expect("all is well");
                for &replica in &replicas {
                    client.replicas(&tp).await.expect("it is known");
                    if let Err(why) = read_all(&mut client, &history, &tp, replica).await {
                        crate::verdict::violated(why);
                    }
                }
                placed.push((tp, replicas));
            }
            placed
        });
        for (tp, replicas) in placed {
            for pair in replicas.windows(2) {
                let (one, other) = (self.log(pair[0], &tp), self.log(pair[1], &tp));
                let at = one.bytes.iter().zip(&other.bytes).position(|(a, b)| a != b);
                let (ours, theirs) = (one.bytes.len(), other.bytes.len());
                hold!(one == other, "the logs of {tp:?} differ on {pair:?} ({ours} and {theirs} bytes), first at {at:?}");
            }
        }
        self.judge_metadata();
    }

    /// What controllers have committed is the same bytes everywhere; one may have heard of more than another.
    fn judge_metadata(&self) {
        let of = |node: &Node| self.log(node.id, &("__cluster_metadata".to_owned(), 0));
        let logs: Vec<_> = self.cluster.nodes.iter().filter(|node| node.is_controller).map(of).collect();
        for pair in logs.windows(2) {
            let at = pair[0].bytes.iter().zip(&pair[1].bytes).position(|(a, b)| a != b);
            let comparable = pair[0].first == pair[1].first && pair[0].first.is_some();
            hold!(!comparable || at.is_none(), "the controllers' metadata differ at {at:?}");
        }
    }

    /// The longest log of the metadata.
    fn metadata(&self) -> Vec<u8> {
        let of = |node: &Node| self.log(node.id, &("__cluster_metadata".to_owned(), 0)).bytes;
        let logs = self.cluster.nodes.iter().filter(|node| node.is_controller).map(of);
        logs.max_by_key(Vec::len).expect("there are controllers")
    }

    fn log(&self, node: i32, (topic, partition): &Tp) -> LogOnDisk {
        let disk = self.world.disk(self.cluster.get(node).host);
        let dir = format!("/data/{topic}-{partition}");
        let mut files = disk.files();
        files.retain(|path| path.starts_with(&dir) && path.extension().is_some_and(|extension| extension == "log"));
        files.sort();
        let bytes = files.iter().flat_map(|path| disk.read(path).expect("it is listed")).collect();
        LogOnDisk { first: files.into_iter().next(), bytes }
    }

    /// What was done and reached.
    pub fn outcome(&self, history: &Shared) -> Outcome {
        let history = history.borrow();
        let (progress, health) = self.slowest;
        let slowest = [("slowest progress ms", progress), ("slowest health ms", health)];
        let slowest = slowest.into_iter().map(|(name, took)| (name, took.as_millis() as u64));
        let counts = history.counts.iter().map(|(name, count)| (*name, *count)).chain(self.world.faults().seen()).chain(slowest);
        let counts = counts.chain(transitions::count(&self.metadata()));
        Outcome {
            trace: self.world.trace(),
            acked: history.invariants.committed.acked(),
            faults: self.struck.iter().map(|(name, count)| (*name, *count)).collect(),
            counts: counts.collect(),
        }
    }
}

/// Runs a seed for so much virtual time.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(seed: u64, planted: Option<&'static str>, time: Duration) -> Outcome {
    let mut stage = Stage::new(seed, planted);
    crate::WORLD.set(Some(stage.world.clone()));
    let history = Shared::default();
    stage.start(&history);
    let ended = Rc::new(RefCell::new(0));
    let started = stage.start_clients(&history, &ended);
    let end = stage.world.now().after(time);
    let mut owed = stage.owed.clone();
    while stage.world.now() < end || !owed.is_empty() {
        let quiet = stage.draw.millis(300, 2000);
        stage.world.run_for(quiet);
        let main = owed.pop().unwrap_or_else(|| stage.draw_kind());
        stage.strike(main, &history);
        stage.await_health(&history);
        stage.leave(&history);
    }
    stage.world.run_for(Duration::from_secs(1));
    stage.wait_until_groups_settle(&history);
    history.borrow_mut().over = true;
    let all_ended = stage.world.run_until(Duration::from_secs(60), || *ended.borrow() == started);
    hold!(all_ended, "seed {seed}: a client hangs");
    stage.await_health(&history);
    stage.world.run_for(Duration::from_secs(2));
    stage.judge(&history);
    stage.outcome(&history)
}
