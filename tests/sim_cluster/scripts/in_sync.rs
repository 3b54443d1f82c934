//! Who is in sync, and what an ack of all of them is worth.

use super::{Known, ONE, Script, Write, safe};
use crate::client::Client;
use crate::history::{Shared, Tp};
use crate::nemesis::Kind;
use crate::producers::{PARTITIONS, TOPIC};
use crate::seed::Stage;
use flumen::io::sim::Crash;
use flumen::protocol::generated::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use std::time::Duration;

/// A leader is left alone.
pub const ALONE: Script = Script { name: "fewer in sync than min.insync.replicas", durable: false, play: alone };

/// Everybody's power goes when acks have been told and the devices are slow.
pub const POWER_AFTER_ACK: Script = Script { name: "power lost right after an ack", durable: true, play: power_after_ack };

/// A machine is replaced by an empty one of the same id while it is cut off from the controllers only, so that it does not know: both
/// follow the same leader.
pub const TWO_OF_ONE: Script = Script { name: "two machines of one id", durable: false, play: two_of_one };

/// A leader proposes a new replica for the ISR; before the controller hears of it, the reassignment is cancelled and begun again, and the
/// replica has nothing any more.
pub const DELAYED_PROPOSAL: Script = Script { name: "a proposal that comes too late", durable: false, play: delayed_proposal };

fn alone(stage: &mut Stage, history: &Shared) {
    let tp = safe();
    let (first, others) = stage.cast(&tp);
    stage.write_to_all(history, &tp, first, ONE);
    others.iter().for_each(|id| stage.kill(*id));
    stage.await_known(first, &tp, "in sync with itself alone", |known| known.isr.len() == 1);
    let told = stage.write(history, &tp, first, Write { timeout_ms: 2000, ..ONE });
    hold!(!matches!(told, Some((0, _))), "{tp:?} has min.insync.replicas=2, and {told:?} was told by the only one in sync");
}

fn power_after_ack(stage: &mut Stage, history: &Shared) {
    for id in stage.ids(|node| node.is_broker) {
        stage.world.slow_disk(stage.cluster.get(id).host, "/data/safe-", Duration::from_millis(300));
    }
    let all: Vec<Tp> = (0..PARTITIONS).map(|partition| (TOPIC.to_owned(), partition)).collect();
    let leaders: Vec<i32> = all.iter().map(|tp| stage.cast(tp).0).collect();
    for _ in 0..3 {
        for (tp, leader) in all.iter().zip(&leaders) {
            stage.write_to_all(history, tp, *leader, ONE);
        }
    }
    stage.note(Kind::PowerLossOfAll);
    for node in &stage.cluster.nodes {
        stage.cluster.crash(node, Crash::PowerLoss);
        stage.world.repair_disk(node.host);
    }
}

fn two_of_one(stage: &mut Stage, history: &Shared) {
    let tp = safe();
    let (first, others) = stage.cast(&tp);
    let (second, third) = (others[0], others[1]);
    stage.write_to_all(history, &tp, first, ONE);
    stage.controllers().into_iter().for_each(|id| stage.part(third, id));
    stage.await_known(first, &tp, "without who was cut off", move |known| !known.isr.contains(&third));
    stage.lose_a_disk(history);
    let old = stage.cluster.replace(third);
    stage.start_node(third);
    stage.await_known(first, &tp, "with the new machine in sync", move |known| known.isr.contains(&third));
    stage.part(first, third);
    stage.write(history, &tp, first, Write { timeout_ms: 1000, ..ONE });
    stage.kill(first);
    stage.kill(second);
    stage.cluster.crash(&old, Crash::PowerLoss);
    // What was on its way to it when the leader was killed comes too late.
    stage.see(third, &tp, Duration::from_secs(4), move |known| known.leader == third);
    stage.join_again(first, third);
}

fn delayed_proposal(stage: &mut Stage, history: &Shared) {
    let tp = safe();
    let (first, others) = stage.cast(&tp);
    let (second, third) = (others[0], others[1]);
    let new = stage.ids(|node| node.is_broker).into_iter().next_back().expect("there are brokers");
    stage.start_node(new);
    stage.await_health(history);
    stage.write_to_all(history, &tp, first, ONE);
    let controllers = stage.controllers();
    stage.move_by(second, &tp, Some(vec![first, second, new]));
    for id in &controllers {
        let (from, to) = (stage.cluster.get(first).host, stage.cluster.get(*id).host);
        stage.world.cut(from, to);
    }
    stage.note(Kind::OneWay);
    stage.world.run_for(Duration::from_millis(600));
    stage.move_by(second, &tp, None);
    stage.part(first, new);
    stage.world.run_for(Duration::from_millis(300));
    stage.move_by(second, &tp, Some(vec![first, second, new]));
    stage.world.run_for(Duration::from_millis(300));
    controllers.iter().for_each(|id| stage.join_again(first, *id));
    let joined = move |known: &Known| known.isr.contains(&new);
    stage.see(second, &tp, Duration::from_secs(1), joined);
    [first, second, third].into_iter().for_each(|id| stage.kill(id));
    stage.join_again(first, new);
    stage.see(new, &tp, Duration::from_secs(2), move |known| known.leader == new);
}

impl Stage {
    /// Asks a broker for new places of a partition, or to leave it where it was.
    fn move_by(&self, by: i32, tp: &Tp, replicas: Option<Vec<i32>>) {
        let (brokers, tp) = (self.cluster.brokers.clone(), tp.clone());
        let told = self.world.run(self.clients[0], move |io| async move {
            let mut client = Client::new(io, brokers);
            let partition = ReassignablePartition { partition_index: tp.1, replicas, ..ReassignablePartition::default() };
            let name = tp.0.as_str().into();
            let topic = ReassignableTopic { name, partitions: vec![partition], ..ReassignableTopic::default() };
            let request = AlterPartitionReassignmentsRequest {
                timeout_ms: 3000,
                topics: vec![topic],
                ..AlterPartitionReassignmentsRequest::default()
            };
            let answer = client.to(by).call(0, &request).await.ok()?;
            Some((answer.error_code, answer.responses.first().map(|topic| topic.partitions[0].error_code)))
        });
        hold!(told == Some((0, Some(0))), "seed {}: a reassignment is answered with {told:?}", self.seed);
    }
}
