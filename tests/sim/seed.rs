//! One seed: a broker, its clients, a minute of faults, and the judgement at the end.

use crate::client::Client;
use crate::consumers::{follow, read_all};
use crate::history::Shared;
use crate::nemesis::{Draw, Nemesis, strike};
use crate::producers::{PARTITIONS, TOPIC, idempotent, plain, unanswered};
use crate::requests::create_topic;
use crate::verdict::violated;
use crate::{admin, groups, requests, sessions};
use flumen::config::BrokerConfig;
use flumen::io::Io;
use flumen::io::sim::{HostId, Options, World};
use flumen::server::{Broker, RunError};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const PORT: u16 = 9092;
const CLIENTS: usize = 3;
const MOST_CORES: u64 = 3;
/// A topic that is written to seldom, so that readers really wait.
const QUIET: &str = "quiet";
/// Members of a group, the last of them static.
const MEMBERS: [(&str, Option<&str>); 3] = [("first", None), ("second", None), ("third", Some("static"))];
const SETTINGS: &[(&str, &str)] = &[
    ("listeners", "PLAINTEXT://0.0.0.0:9092"),
    ("advertised.listeners", "PLAINTEXT://broker:9092"),
    ("log.dirs", "/data/a,/data/b"),
    ("auto.create.topics.enable", "false"),
    ("log.index.interval.bytes", "256"),
    ("log.flush.offset.checkpoint.interval.ms", "500"),
    ("log.flush.start.offset.checkpoint.interval.ms", "2000"),
    ("replica.high.watermark.checkpoint.interval.ms", "700"),
    ("log.segment.delete.delay.ms", "1000"),
    ("log.retention.check.interval.ms", "3000"),
    ("group.min.session.timeout.ms", "1000"),
    ("group.initial.rebalance.delay.ms", "300"),
    ("offsets.topic.num.partitions", "3"),
];

/// The world of one seed.
pub struct Stage {
    pub seed: u64,
    pub world: World,
    pub broker: HostId,
    pub clients: Vec<HostId>,
    /// Acks wait for the device, so that even a power loss may take nothing.
    pub durable: bool,
    /// The broker hardly does anything but crash and recover.
    pub storm: bool,
    pub draw: Draw,
    pub nemesis: Nemesis,
    cores: usize,
    config: BrokerConfig,
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
        let cores = 1 + (seed % MOST_CORES) as usize;
        let world = World::new(seed, Options { planted, ..Options::default() });
        let broker = world.add_host("broker", cores);
        let clients = (0..CLIENTS).map(|number| world.add_host(&format!("client{number}"), 1)).collect();
        let (mut draw, durable, storm) = (Draw::new(seed), seed % 2 == 1, seed % 4 >= 2);
        // What groups say is in a topic that the broker creates.
        let flushed = durable.then_some(("log.flush.interval.messages", "1"));
        let settings: Vec<_> =
            SETTINGS.iter().copied().chain(flushed).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let config = BrokerConfig::load(None, &settings).expect("the settings are valid").0;
        let nemesis = Nemesis::new(&mut draw);
        Self { seed, world, broker, clients, durable, storm, draw, nemesis, cores, config }
    }

    /// Every second start has another number of cores: the same files serve any.
    pub fn change_cores(&mut self, history: &Shared) {
        let cores = 1 + self.draw.below(MOST_CORES) as usize;
        if self.draw.below(2) == 0 && cores != self.cores {
            self.cores = cores;
            self.world.set_cores(self.broker, cores);
            history.borrow_mut().count("starts with other cores");
        }
    }

    /// Starts the broker's process.
    pub fn start(&mut self) {
        let broker = Broker::new(self.config.clone(), self.cores);
        let seed = self.seed;
        self.world.start(self.broker, move |io: Io| {
            let broker = broker.clone();
            async move {
                match broker.run_core(io).await {
                    // A disk has failed, and its only log dir with it.
                    Ok(()) | Err(RunError::CannotGoOn(_)) => {}
                    Err(error) => violated(format!("seed {seed}: the broker does not start: {error}")),
                }
            }
        });
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.world.address(self.broker), PORT)
    }

    /// Waits until a client is answered.
    pub fn wait_until_served(&mut self) {
        let address = self.address();
        let served = self.world.run(self.clients[0], |io| async move {
            let mut client = Client::new(io.clone(), address);
            for _ in 0..200 {
                if requests::topic_error(&mut client, TOPIC).await.is_ok() {
                    return true;
                }
                io.sleep(Duration::from_millis(100)).await;
            }
            false
        });
        hold!(served, "seed {}: the broker does not serve", self.seed);
    }

    fn create_topics(&mut self, history: &Shared) {
        let (address, durable, history) = (self.address(), self.durable, history.clone());
        self.world.run(self.clients[0], |io| async move {
            let mut client = Client::new(io, address);
            let mut configs = vec![("segment.ms", "1200")];
            if durable {
                configs.push(("flush.messages", "1"));
            }
            for (name, partitions) in [(TOPIC, PARTITIONS), (QUIET, 1)] {
                let created = create_topic(&mut client, name, partitions, &configs).await;
                hold!(created.ok() == Some(0), "topic {name} is created");
                history.borrow_mut().invariants.topics.on_created(name);
            }
        });
    }

    /// Starts everybody who asks something of the broker; they end when the history is over.
    fn start_clients(&self, history: &Shared, ended: &Rc<RefCell<usize>>) -> usize {
        let (address, mut started) = (self.address(), 0);
        let mut start = |number: usize, task: Box<dyn FnOnce(Io) -> std::pin::Pin<Box<dyn Future<Output = ()>>>>| {
            let (io, ended) = (self.world.io(self.clients[number % CLIENTS], 0), ended.clone());
            let running = task(io.clone());
            io.spawn(async move {
                running.await;
                *ended.borrow_mut() += 1;
            });
            started += 1;
        };
        let h = || history.clone();
        for number in 0..2 {
            let history = h();
            start(number, Box::new(move |io| Box::pin(plain(Client::new(io, address), history, TOPIC, PARTITIONS, 250))));
        }
        for number in 0..2 {
            let (history, partition) = (h(), (number % PARTITIONS as usize) as i32);
            start(number + 1, Box::new(move |io| Box::pin(idempotent(Client::new(io, address), history, number, partition))));
        }
        for number in 0..2 {
            let history = h();
            start(number + 2, Box::new(move |io| Box::pin(follow(Client::new(io, address), history, TOPIC, PARTITIONS, 400))));
        }
        let history = h();
        start(0, Box::new(move |io| Box::pin(plain(Client::new(io, address), history, QUIET, 1, 1500))));
        for number in 0..3 {
            let history = h();
            start(number, Box::new(move |io| Box::pin(follow(Client::new(io, address), history, QUIET, 1, 5000))));
        }
        let history = h();
        start(1, Box::new(move |io| Box::pin(sessions::follow(Client::new(io, address), history, TOPIC, PARTITIONS, 400))));
        let history = h();
        start(2, Box::new(move |io| Box::pin(sessions::follow(Client::new(io, address), history, QUIET, 1, 5000))));
        let history = h();
        start(0, Box::new(move |io| Box::pin(unanswered(Client::new(io, address), history))));
        let history = h();
        start(
            1,
            Box::new(move |io| Box::pin(admin::administer(Client::new(io.clone(), address), Client::new(io, address), history))),
        );
        for (number, (name, instance)) in MEMBERS.into_iter().enumerate() {
            let history = h();
            start(number, Box::new(move |io| Box::pin(groups::take_part(Client::new(io, address), history, name, instance))));
        }
        started
    }

    /// Nothing is done to the broker any more: whoever shares partitions agrees on them soon, and stays a while.
    fn wait_until_groups_settle(&mut self, history: &Shared) {
        let settled = || history.borrow().invariants.groups.is_settled(MEMBERS.len(), PARTITIONS);
        let in_time = self.world.run_until(Duration::from_secs(90), settled);
        hold!(in_time, "seed {}: the group does not come to rest", self.seed);
    }

    fn judge(&mut self, history: &Shared) {
        let (address, history) = (self.address(), history.clone());
        self.world.run(self.clients[0], |io| async move {
            let mut client = Client::new(io, address);
            for partition in 0..PARTITIONS {
                read_all(&mut client, &history, TOPIC, partition).await;
            }
            read_all(&mut client, &history, QUIET, 0).await;
        });
    }
}

/// Runs a seed for so much virtual time.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(seed: u64, planted: Option<&'static str>, time: Duration) -> Outcome {
    let mut stage = Stage::new(seed, planted);
    let history = Shared::default();
    history.borrow_mut().loses_power = stage.durable;
    stage.start();
    stage.wait_until_served();
    stage.create_topics(&history);
    let ended = Rc::new(RefCell::new(0));
    let started = stage.start_clients(&history, &ended);
    history.borrow_mut().calm_since = Some(stage.world.now());
    let end = stage.world.now().after(time);
    while stage.world.now() < end || !stage.nemesis.is_done() {
        let quiet = if stage.storm { stage.draw.millis(300, 1500) } else { stage.draw.millis(1500, 6000) };
        stage.world.run_for(quiet);
        strike(&mut stage, &history);
    }
    stage.world.run_for(Duration::from_secs(1));
    stage.wait_until_groups_settle(&history);
    history.borrow_mut().over = true;
    let all_ended = stage.world.run_until(Duration::from_secs(60), || *ended.borrow() == started);
    hold!(all_ended, "seed {seed}: a client hangs");
    stage.judge(&history);
    let history = history.borrow();
    Outcome {
        trace: stage.world.trace(),
        acked: history.invariants.acked.len(),
        faults: stage.world.faults().seen(),
        counts: history.counts.iter().map(|(name, count)| (*name, *count)).collect(),
    }
}
