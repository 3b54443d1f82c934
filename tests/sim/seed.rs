//! One seed: a broker, its clients, a minute of faults, and the judgement at the end.

use crate::client::Client;
use crate::consumers::{follow, read_all};
use crate::history::Shared;
use crate::nemesis::{Draw, strike};
use crate::producers::{PARTITIONS, TOPIC, idempotent, plain};
use crate::requests::create_topic;
use crate::{admin, requests};
use flumen::config::BrokerConfig;
use flumen::io::Io;
use flumen::io::sim::{HostId, Options, World};
use flumen::server::Broker;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const PORT: u16 = 9092;
const CLIENTS: usize = 3;
/// A topic that is written to seldom, so that readers really wait.
const QUIET: &str = "quiet";
const SETTINGS: &[(&str, &str)] = &[
    ("listeners", "PLAINTEXT://0.0.0.0:9092"),
    ("advertised.listeners", "PLAINTEXT://broker:9092"),
    ("log.dirs", "/data/a,/data/b"),
    ("auto.create.topics.enable", "false"),
    ("log.index.interval.bytes", "256"),
    ("log.flush.offset.checkpoint.interval.ms", "2000"),
    ("log.flush.start.offset.checkpoint.interval.ms", "2000"),
    ("replica.high.watermark.checkpoint.interval.ms", "700"),
    ("log.segment.delete.delay.ms", "1000"),
    ("log.retention.check.interval.ms", "3000"),
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
    cores: usize,
    config: BrokerConfig,
}

/// What a seed did.
pub struct Outcome {
    pub trace: u64,
    pub acked: usize,
    pub faults: Vec<(&'static str, u64)>,
    pub counts: Vec<(&'static str, u64)>,
}

impl Stage {
    fn new(seed: u64, planted: Option<&'static str>) -> Self {
        let cores = 1 + (seed % 3) as usize;
        let world = World::new(seed, Options { planted, ..Options::default() });
        let broker = world.add_host("broker", cores);
        let clients = (0..CLIENTS).map(|number| world.add_host(&format!("client{number}"), 1)).collect();
        let settings: Vec<_> = SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = BrokerConfig::load(None, &settings).expect("the settings are valid").0;
        Self { seed, world, broker, clients, durable: seed % 2 == 1, storm: seed % 4 >= 2, draw: Draw::new(seed), cores, config }
    }

    /// Starts the broker's process.
    pub fn start(&mut self) {
        let broker = Broker::new(self.config.clone(), self.cores);
        let seed = self.seed;
        self.world.start(self.broker, move |io: Io| {
            let broker = broker.clone();
            async move {
                if let Err(error) = broker.run_core(io).await {
                    panic!("seed {seed}: the broker does not start: {error}");
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
        assert!(served, "seed {}: the broker does not serve", self.seed);
    }

    fn create_topics(&mut self, history: &Shared) {
        let (address, durable, history) = (self.address(), self.durable, history.clone());
        self.world.run(self.clients[0], |io| async move {
            let mut client = Client::new(io, address);
            let mut configs = vec![("segment.ms", "4000")];
            if durable {
                configs.push(("flush.messages", "1"));
            }
            for (name, partitions) in [(TOPIC, PARTITIONS), (QUIET, 1)] {
                let created = create_topic(&mut client, name, partitions, &configs).await;
                assert_eq!(created.ok(), Some(0), "topic {name} is created");
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
            start(number, Box::new(move |io| Box::pin(plain(Client::new(io, address), history, TOPIC, PARTITIONS, 150))));
        }
        for number in 0..2 {
            let (history, partition) = (h(), (number % PARTITIONS as usize) as i32);
            start(
                number + 1,
                Box::new(move |io| Box::pin(idempotent(Client::new(io, address), history, number as u64, partition))),
            );
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
        start(
            1,
            Box::new(move |io| Box::pin(admin::administer(Client::new(io.clone(), address), Client::new(io, address), history))),
        );
        started
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
    stage.start();
    stage.wait_until_served();
    stage.create_topics(&history);
    let ended = Rc::new(RefCell::new(0));
    let started = stage.start_clients(&history, &ended);
    history.borrow_mut().calm_since = Some(stage.world.now());
    let end = stage.world.now().after(time);
    while stage.world.now() < end {
        let quiet = if stage.storm { stage.draw.millis(300, 1500) } else { stage.draw.millis(1500, 6000) };
        stage.world.run_for(quiet);
        strike(&mut stage, &history);
    }
    stage.world.run_for(Duration::from_secs(1));
    history.borrow_mut().over = true;
    let all_ended = stage.world.run_until(Duration::from_secs(60), || *ended.borrow() == started);
    assert!(all_ended, "seed {seed}: a client hangs");
    stage.judge(&history);
    let history = history.borrow();
    Outcome {
        trace: stage.world.trace(),
        acked: history.invariants.acked.len(),
        faults: stage.world.faults().seen(),
        counts: history.counts.iter().map(|(name, count)| (*name, *count)).collect(),
    }
}
