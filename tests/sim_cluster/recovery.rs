//! Nobody disturbs the cluster any more: it is well again by itself, and soon.

use crate::client::Client;
use crate::cluster::SESSION_TIMEOUT;
use crate::history::{Shared, Tp};
use crate::requests::{batch, produce, send};
use crate::seed::Stage;
use crate::topics;
use flumen::io::Mono;
use flumen::protocol::generated::metadata_response::MetadataResponse;
use std::collections::BTreeSet;
use std::time::Duration;

/// An election of controllers, and how long somebody who was refused waits before it tries again.
const ELECTION: Duration = Duration::from_secs(5);
/// From then on to the last replica that is in sync again.
const CATCH_UP: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);

/// What an answer to Metadata lacks of a cluster in which all partitions can be written to.
fn lacks_leaders(answer: &MetadataResponse, brokers: &BTreeSet<i32>, concerned: &[Tp]) -> Option<String> {
    let known: BTreeSet<i32> = answer.brokers.iter().map(|broker| broker.node_id).collect();
    if known != *brokers {
        return Some(format!("brokers {known:?} instead of {brokers:?}"));
    }
    for (topic, partition) in concerned {
        let found = answer.topics.iter().find(|found| found.name.as_deref() == Some(topic));
        let found = found.and_then(|found| found.partitions.iter().find(|found| found.partition_index == *partition));
        match found {
            Some(found) if brokers.contains(&found.leader_id) && found.error_code == 0 => {}
            other => return Some(format!("{topic}-{partition}: {other:?}")),
        }
    }
    None
}

/// What it lacks of one in which nobody lags and nothing moves.
fn lacks_replicas(answer: &MetadataResponse) -> Option<String> {
    for topic in &answer.topics {
        for partition in &topic.partitions {
            let (isr, replicas): (BTreeSet<_>, BTreeSet<_>) =
                (partition.isr_nodes.iter().collect(), partition.replica_nodes.iter().collect());
            let wanted = topics::TOPICS.iter().find(|known| topic.name.as_deref() == Some(known.name));
            let as_many = wanted.is_none_or(|wanted| wanted.replicas as usize == replicas.len());
            if isr != replicas || !as_many {
                return Some(format!("{:?}-{}: {isr:?} of {replicas:?}", topic.name.as_deref(), partition.partition_index));
            }
        }
    }
    None
}

impl Stage {
    /// Waits until every broker tells the same of a cluster that is well.
    fn await_metadata(
        &mut self,
        asked: BTreeSet<i32>,
        limit: Duration,
        what: &str,
        lacks: impl Fn(&MetadataResponse) -> Option<String> + 'static,
    ) {
        let began = self.world.now();
        let brokers = self.cluster.brokers.clone();
        let seed = self.seed;
        let missing = self.world.run(self.clients[0], move |io| async move {
            let mut client = Client::new(io.clone(), brokers);
            for id in asked {
                loop {
                    let missing = match client.to(id).metadata().await {
                        Ok(answer) => lacks(&answer),
                        Err(_) => Some("no answer".to_owned()),
                    };
                    let Some(missing) = missing else { break };
                    if io.now().since(began) > limit {
                        return Some(format!("broker {id}: {missing}"));
                    }
                    io.sleep(POLL).await;
                }
            }
            None
        });
        hold!(missing.is_none(), "seed {seed}: {what} within {limit:?}: {}", missing.unwrap_or_default());
    }

    /// All partitions have leaders and take what all replicas are to have.
    pub fn await_progress(&mut self, history: &Shared) {
        let began = self.world.now();
        self.await_progress_without(history, None);
        let took = self.world.now().since(began);
        self.slowest.0 = self.slowest.0.max(took);
    }

    /// The same while a broker is down; who has no other replica is not asked for then.
    pub fn await_progress_without(&mut self, history: &Shared, down: Option<i32>) {
        let (began, limit) = (self.world.now(), SESSION_TIMEOUT + ELECTION);
        let mut brokers = self.members();
        let concerned: Vec<Tp> = topics::all().filter(|tp| down.is_none() || topics::find(&tp.0).replicas > 1).collect();
        brokers.retain(|id| down != Some(*id));
        let (asked, wanted) = (brokers.clone(), concerned.clone());
        let what = "not all partitions have leaders";
        self.await_metadata(asked, limit, what, move |answer| lacks_leaders(answer, &brokers, &wanted));
        self.produce_to_all(history, concerned, began.after(limit));
    }

    fn members(&self) -> BTreeSet<i32> {
        self.cluster.brokers.borrow().keys().copied().collect()
    }

    /// The same, and nobody lags.
    pub fn await_health(&mut self, history: &Shared) {
        let began = self.world.now();
        self.await_progress(history);
        self.await_metadata(self.members(), CATCH_UP, "not all replicas are in sync", lacks_replicas);
        self.slowest.1 = self.slowest.1.max(self.world.now().since(began));
    }

    fn produce_to_all(&mut self, history: &Shared, concerned: Vec<Tp>, until: Mono) {
        let (brokers, history, seed) = (self.cluster.brokers.clone(), history.clone(), self.seed);
        let refused = self.world.run(self.clients[0], move |io| async move {
            let mut client = Client::new(io.clone(), brokers);
            for tp in concerned {
                loop {
                    let value = {
                        let mut history = history.borrow_mut();
                        let value = history.value();
                        history.invariants.once.on_send(&value, &tp);
                        value
                    };
                    let records = batch(std::slice::from_ref(&value), io.wall_clock_ms(), None);
                    let answer = match client.leader(&tp).await {
                        Ok(_) => send(&mut client, &[produce(&tp.0, tp.1, -1, records)]).await.map(|answers| answers[0]),
                        Err(lost) => Err(lost),
                    };
                    match answer {
                        Ok((0, offset)) => {
                            let mut history = history.borrow_mut();
                            if history.promises(&tp, -1) {
                                history.invariants.committed.on_ack(&tp, offset, &value);
                            }
                            break;
                        }
                        other if io.now() > until => return Some((tp, other.map(|(error, _)| error).ok())),
                        _ => client.forget(&tp),
                    }
                    io.sleep(POLL).await;
                }
            }
            None
        });
        hold!(refused.is_none(), "seed {seed}: {refused:?} is not written to");
    }
}
