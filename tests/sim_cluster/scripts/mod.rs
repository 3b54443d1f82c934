//! Scripts: faults in an exact order, each written for bugs that chance seldom meets: a leader that dies before anybody has fetched from
//! it, a request that is held up until the world has changed. The same nodes, clients and checks as of a seed; the seed still decides
//! every delay.

mod copies;
mod in_sync;
mod kept;
mod quorum;

pub use copies::{APART, BEHIND_THE_EPOCH, LAGGING, UNHEARD};
pub use in_sync::{ALONE, DELAYED_PROPOSAL, POWER_AFTER_ACK, TWO_OF_ONE};
pub use kept::{COORDINATOR_LOST, LEADER_KNOWS_ITS_EPOCH, LEADER_LOST, PRODUCER_ASKS_AGAIN};
pub use quorum::{CONTROLLER_ALONE, CONTROLLERS_LOSE_POWER};

use crate::client::Client;
use crate::cluster::{Node, roles};
use crate::history::{Shared, Tp};
use crate::nemesis::Kind;
use crate::producers::TOPIC;
use crate::requests::{batch, produce, send};
use crate::seed::{Outcome, Stage};
use flumen::io::sim::Crash;
use flumen::protocol::generated::metadata_response::MetadataResponse;
use std::collections::BTreeSet;
use std::time::Duration;

/// What is done, and to what kind of cluster.
pub struct Script {
    pub name: &'static str,
    /// Acks wait for the device.
    pub durable: bool,
    pub play: fn(&mut Stage, &Shared),
}

/// Three nodes that are just controllers and four that are just brokers, so that either is lost alone. See [`roles`].
const SHAPE: u64 = 2;
const POLL: Duration = Duration::from_millis(20);

/// Plays a script, sees that the cluster is well again afterwards, and judges it.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(script: &Script, seed: u64, planted: Option<&'static str>) -> Outcome {
    let mut stage = Stage::of(seed, planted, roles(SHAPE), script.durable);
    crate::WORLD.set(Some(stage.world.clone()));
    let history = Shared::default();
    stage.start(&history);
    (script.play)(&mut stage, &history);
    stage.end_all();
    stage.await_health(&history);
    stage.world.run_for(Duration::from_secs(1));
    stage.judge(&history);
    stage.outcome(&history)
}

/// A partition of the topic that promises most.
fn safe() -> Tp {
    (TOPIC.to_owned(), 0)
}

/// What a broker tells of a partition.
#[derive(Clone, Debug)]
struct Known {
    leader: i32,
    epoch: i32,
    replicas: Vec<i32>,
    isr: BTreeSet<i32>,
}

impl Known {
    fn of(answer: &MetadataResponse, (topic, partition): &Tp) -> Option<Self> {
        let topic = answer.topics.iter().find(|found| found.name.as_deref() == Some(topic))?;
        let found = topic.partitions.iter().find(|found| found.partition_index == *partition)?;
        Some(Self {
            leader: found.leader_id,
            epoch: found.leader_epoch,
            replicas: found.replica_nodes.clone(),
            isr: found.isr_nodes.iter().copied().collect(),
        })
    }
}

impl Stage {
    /// Waits for a broker to tell this of a partition; what it tells then, or nothing if it has not within the limit.
    fn see(&self, by: i32, tp: &Tp, limit: Duration, is: impl Fn(&Known) -> bool + 'static) -> Option<Known> {
        let (brokers, tp) = (self.cluster.brokers.clone(), tp.clone());
        self.world.run(self.clients[0], move |io| async move {
            let mut client = Client::new(io.clone(), brokers);
            let until = io.now().after(limit);
            loop {
                let known = client.to(by).metadata().await.ok().and_then(|answer| Known::of(&answer, &tp));
                if known.as_ref().is_some_and(&is) {
                    return known;
                }
                if io.now() > until {
                    return None;
                }
                io.sleep(POLL).await;
            }
        })
    }

    /// The same, and it has to.
    fn await_known(&self, by: i32, tp: &Tp, what: &str, is: impl Fn(&Known) -> bool + 'static) -> Known {
        let known = self.see(by, tp, Duration::from_secs(10), is);
        let Some(known) = known else { crate::verdict::violated(format!("seed {}: {tp:?}: never {what}", self.seed)) };
        known
    }

    /// Waits for a broker to tell that somebody leads, and not who is gone.
    fn await_another(&self, by: i32, tp: &Tp, gone: i32) -> Known {
        self.await_known(by, tp, "led by another", move |known| known.leader >= 0 && known.leader != gone)
    }

    /// Who leads a partition, and who else has it, the one first who is to lead next.
    fn cast(&self, tp: &Tp) -> (i32, Vec<i32>) {
        let any = *self.cluster.brokers.borrow().keys().next().expect("there are brokers");
        let known = self.await_known(any, tp, "led with all in sync", |known| known.leader >= 0 && known.isr.len() == 3);
        (known.leader, known.replicas.into_iter().filter(|id| *id != known.leader).collect())
    }

    /// Writes one batch of `count` records of so many bytes each to a broker: error and base offset, if it answers in time.
    fn write(&self, history: &Shared, tp: &Tp, to: i32, how: Write) -> Option<(i16, i64)> {
        let values: Vec<String> = {
            let mut history = history.borrow_mut();
            let value = |_| format!("{}{}", history.value(), "-".repeat(how.bytes));
            (0..how.count).map(value).collect()
        };
        values.iter().for_each(|value| history.borrow_mut().invariants.once.on_send(value, tp));
        let (brokers, asked, sent) = (self.cluster.brokers.clone(), tp.clone(), values.clone());
        let told = self.world.run(self.clients[0], move |io| async move {
            let mut client = Client::new(io.clone(), brokers);
            client.to(to);
            let mut request = produce(&asked.0, asked.1, how.acks, batch(&sent, io.wall_clock_ms(), None));
            request.timeout_ms = how.timeout_ms;
            send(&mut client, &[request]).await.ok().map(|answers| answers[0])
        });
        if std::env::var("SIM_TALK").is_ok() {
            eprintln!("at {} ms: {} records written to {to}: {told:?}", self.world.now().0 / 1_000_000, how.count);
        }
        if let Some((0, base)) = told
            && history.borrow().promises(tp, how.acks)
        {
            for (offset, value) in (base..).zip(&values) {
                history.borrow_mut().invariants.committed.on_ack(tp, offset, value);
            }
        }
        told
    }

    /// The same, and all in sync have it.
    fn write_to_all(&self, history: &Shared, tp: &Tp, to: i32, how: Write) {
        let told = self.write(history, tp, to, how);
        hold!(matches!(told, Some((0, _))), "seed {}: {tp:?} is not written to: {told:?}", self.seed);
    }

    fn note(&mut self, kind: Kind) {
        *self.struck.entry(kind.name()).or_default() += 1;
    }

    fn kill(&mut self, id: i32) {
        if std::env::var("SIM_TALK").is_ok() {
            eprintln!("at {} ms: {id} is killed", self.world.now().0 / 1_000_000);
        }
        self.note(Kind::Kill);
        self.cluster.crash(self.cluster.get(id), Crash::Kill);
    }

    fn start_node(&self, id: i32) {
        self.cluster.start(self.cluster.get(id));
    }

    fn part(&mut self, one: i32, other: i32) {
        self.note(Kind::Partition);
        self.world.partition(self.cluster.get(one).host, self.cluster.get(other).host);
    }

    fn join_again(&self, one: i32, other: i32) {
        self.world.heal(self.cluster.get(one).host, self.cluster.get(other).host);
    }

    fn controllers(&self) -> Vec<i32> {
        self.ids(|node| node.is_controller)
    }

    fn ids(&self, which: impl Fn(&Node) -> bool) -> Vec<i32> {
        self.cluster.nodes.iter().filter(|node| which(node)).map(|node| node.id).collect()
    }
}

/// How something is written.
#[derive(Clone, Copy)]
struct Write {
    count: usize,
    bytes: usize,
    acks: i16,
    timeout_ms: i32,
}

/// One small record that all in sync are to have.
const ONE: Write = Write { count: 1, bytes: 0, acks: -1, timeout_ms: 5000 };
