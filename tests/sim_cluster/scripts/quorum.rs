//! What controllers tell, and what they have when some of them go.

use super::{Script, safe};
use crate::client::Client;
use crate::history::Shared;
use crate::nemesis::Kind;
use crate::requests::{create_topic, init_producer_id, topic_error};
use crate::seed::Stage;
use flumen::io::sim::Crash;
use flumen::protocol::generated::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use std::collections::BTreeSet;
use std::time::Duration;

/// Ids of one block, and so many more that a broker has to ask for the next one.
const A_BLOCK: usize = 1000;

/// The active controller is cut off from the others and still hears the brokers.
pub const CONTROLLER_ALONE: Script = Script { name: "a controller without a majority", durable: false, play: controller_alone };

/// All controllers lose power when they have told what they decided.
pub const CONTROLLERS_LOSE_POWER: Script =
    Script { name: "power lost by all controllers", durable: false, play: controllers_lose_power };

fn controller_alone(stage: &mut Stage, _: &Shared) {
    let (one, others) = stage.cast(&safe());
    let mut seen = BTreeSet::new();
    stage.take_ids(&mut seen, one, 1);
    stage.take_ids(&mut seen, others[0], 1);
    let active = stage.active_controller(one, |_| true);
    let rest: Vec<i32> = stage.controllers().into_iter().filter(|id| *id != active).collect();
    rest.iter().for_each(|id| stage.part(active, *id));
    // Whoever is told of a block by a controller that nobody else hears has ids that the next controller gives to somebody else.
    stage.take_ids(&mut seen, one, A_BLOCK + 1);
    stage.active_controller(others[0], move |id| id != active);
    stage.take_ids(&mut seen, others[0], A_BLOCK + 1);
    rest.iter().for_each(|id| stage.join_again(active, *id));
}

fn controllers_lose_power(stage: &mut Stage, _: &Shared) {
    const NAMES: [&str; 4] = ["one", "two", "three", "four"];
    let (one, _) = stage.cast(&safe());
    let brokers = stage.cluster.brokers.clone();
    stage.world.run(stage.clients[0], move |io| async move {
        let mut client = Client::new(io, brokers);
        for name in NAMES {
            let told = create_topic(client.to(one), name, 1, &[]).await;
            hold!(matches!(told, Ok(0)), "nothing happens, and a topic is not created: {told:?}");
        }
    });
    stage.note(Kind::PowerLoss);
    for id in stage.controllers() {
        stage.cluster.crash(stage.cluster.get(id), Crash::PowerLoss);
    }
    stage.world.run_for(Duration::from_millis(500));
    stage.controllers().into_iter().for_each(|id| stage.start_node(id));
    stage.active_controller(one, |_| true);
    stage.world.run_for(Duration::from_secs(2));
    // A broker that was not away keeps in memory what it was told: a new one learns what is on the devices.
    stage.kill(one);
    stage.start_node(one);
    let brokers = stage.cluster.brokers.clone();
    let missing = stage.world.run(stage.clients[0], move |io| async move {
        let mut client = Client::new(io.clone(), brokers);
        let mut missing = Vec::new();
        for name in NAMES {
            let mut told = topic_error(client.to(one), name).await;
            for _ in 0..100 {
                if told.is_ok() {
                    break;
                }
                io.sleep(Duration::from_millis(100)).await;
                told = topic_error(client.to(one), name).await;
            }
            if told.is_ok_and(|error| error == 3) {
                missing.push(name);
            }
        }
        missing
    });
    hold!(missing.is_empty(), "topics were created and are gone: {missing:?}");
}

impl Stage {
    /// Asks a broker for producer ids until it has given so many; each is new.
    fn take_ids(&self, seen: &mut BTreeSet<i64>, broker: i32, count: usize) {
        let brokers = self.cluster.brokers.clone();
        let ids = self.world.run(self.clients[0], move |io| async move {
            let mut client = Client::new(io.clone(), brokers);
            let (mut ids, mut failed) = (Vec::new(), 0);
            while ids.len() < count && failed < 100 {
                match init_producer_id(client.to(broker)).await {
                    Ok((0, id, _)) => ids.push(id),
                    _ => {
                        failed += 1;
                        io.sleep(Duration::from_millis(50)).await;
                    }
                }
            }
            ids
        });
        hold!(ids.len() == count, "seed {}: broker {broker} gives {} producer ids only", self.seed, ids.len());
        for id in ids {
            hold!(seen.insert(id), "producer id {id} is given twice, the second time by broker {broker}");
        }
    }

    /// Who leads the metadata quorum, as a broker knows it.
    fn active_controller(&self, by: i32, is: impl Fn(i32) -> bool + 'static) -> i32 {
        let (brokers, seed) = (self.cluster.brokers.clone(), self.seed);
        self.world.run(self.clients[0], move |io| async move {
            let mut client = Client::new(io.clone(), brokers);
            for _ in 0..200 {
                let topic = TopicData {
                    topic_name: "__cluster_metadata".into(),
                    partitions: vec![PartitionData::default()],
                    ..TopicData::default()
                };
                let request = DescribeQuorumRequest { topics: vec![topic], ..DescribeQuorumRequest::default() };
                if let Ok(answer) = client.to(by).call(2, &request).await
                    && let Some(topic) = answer.topics.first()
                    && topic.partitions[0].error_code == 0
                    && is(topic.partitions[0].leader_id)
                {
                    return topic.partitions[0].leader_id;
                }
                io.sleep(Duration::from_millis(100)).await;
            }
            crate::verdict::violated(format!("seed {seed}: no controller leads"))
        })
    }
}
