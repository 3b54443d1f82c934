//! Membership and placement change while everybody works.

use crate::client::{Client, Lost};
use crate::history::{Shared, Tp};
use crate::seed::Stage;
use crate::topics::{self, Topic};
use flumen::protocol::generated::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use flumen::protocol::generated::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use flumen::protocol::generated::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use flumen::protocol::generated::unregister_broker_request::UnregisterBrokerRequest;
use std::time::Duration;

/// Already there; no reassignment; nothing to elect.
const TOPIC_ALREADY_EXISTS: i16 = 36;

impl Topic {
    fn request(&self, durable: bool) -> CreatableTopic {
        let unclean = if self.unclean { "true" } else { "false" };
        let settings = [
            Some(("min.insync.replicas", self.min_insync)),
            Some(("segment.ms", "5000")),
            Some(("unclean.leader.election.enable", unclean)),
            durable.then_some(("flush.messages", "1")),
        ];
        let config = |(name, value): (&str, &str)| CreatableTopicConfig {
            name: name.into(),
            value: Some(value.into()),
            ..CreatableTopicConfig::default()
        };
        CreatableTopic {
            name: self.name.into(),
            num_partitions: self.partitions,
            replication_factor: self.replicas,
            configs: settings.into_iter().flatten().map(config).collect(),
            ..CreatableTopic::default()
        }
    }
}

impl Stage {
    pub fn create_topics(&mut self) {
        let (brokers, durable, seed) = (self.cluster.brokers.clone(), self.durable, self.seed);
        let refused = self.world.run(self.clients[0], move |io| async move {
            let mut client = Client::new(io.clone(), brokers);
            for _ in 0..100 {
                let topics = topics::TOPICS.iter().map(|topic| topic.request(durable)).collect();
                let request = CreateTopicsRequest { topics, timeout_ms: 5000, validate_only: false };
                if let Ok(answer) = client.to_any().call(7, &request).await {
                    let errors: Vec<_> =
                        answer.topics.iter().map(|topic| (topic.error_code, topic.error_message.clone())).collect();
                    if errors.iter().all(|(error, _)| [0, TOPIC_ALREADY_EXISTS].contains(error)) {
                        return None;
                    }
                    hold!(errors.iter().all(|(error, _)| [0, 7, 36, 38, 41].contains(error)), "topics are refused: {errors:?}");
                }
                io.sleep(Duration::from_millis(100)).await;
            }
            Some(())
        });
        hold!(refused.is_none(), "seed {seed}: the topics are not created");
    }

    /// Asks for new places of a partition; whether that was answered.
    pub fn reassign(&self, tp: &Tp, replicas: Vec<i32>) -> bool {
        let tp = tp.clone();
        let brokers = self.cluster.brokers.clone();
        self.world.run(self.clients[1], move |io| async move {
            let mut client = Client::new(io, brokers);
            let partition =
                ReassignablePartition { partition_index: tp.1, replicas: Some(replicas), ..ReassignablePartition::default() };
            let topic =
                ReassignableTopic { name: tp.0.as_str().into(), partitions: vec![partition], ..ReassignableTopic::default() };
            let request = AlterPartitionReassignmentsRequest {
                timeout_ms: 3000,
                topics: vec![topic],
                ..AlterPartitionReassignmentsRequest::default()
            };
            match client.to_any().call(0, &request).await {
                Ok(answer) if answer.error_code == 0 => {
                    let error = answer.responses[0].partitions[0].error_code;
                    hold!(error == 0, "a reassignment of {tp:?} is refused with {error}");
                    true
                }
                Ok(answer) => {
                    hold!([7, 41].contains(&answer.error_code), "a reassignment is refused with {}", answer.error_code);
                    false
                }
                Err(Lost) => false,
            }
        })
    }

    /// The spare broker is to leave: its replicas go elsewhere.
    pub fn begin_to_leave(&mut self) {
        let id = self.cluster.nodes.last().expect("there are nodes").id;
        if !self.cluster.brokers.borrow().contains_key(&id) {
            return;
        }
        self.leaving = Some(id);
        self.drain(id);
    }

    /// Moves what a broker has; what is not answered is asked for again later.
    fn drain(&mut self, id: i32) {
        let brokers = self.cluster.brokers.clone();
        let placed = self.world.run(self.clients[1], move |io| async move {
            let mut client = Client::new(io, brokers);
            let metadata = client.to_any().metadata().await.ok()?;
            let of = |topic: &MetadataResponseTopic| {
                let name = topic.name.as_deref().unwrap_or_default().to_owned();
                let partition =
                    |one: &MetadataResponsePartition| ((name.clone(), one.partition_index), one.replica_nodes.clone());
                topic.partitions.iter().map(partition).collect::<Vec<_>>()
            };
            Some(metadata.topics.iter().flat_map(of).collect::<Vec<(Tp, Vec<i32>)>>())
        });
        for (tp, replicas) in placed.unwrap_or_default() {
            if !replicas.contains(&id) {
                continue;
            }
            let mut members: Vec<i32> = self.cluster.members().iter().map(|node| node.id).filter(|other| *other != id).collect();
            self.draw.shuffle(&mut members);
            // Who has it already keeps it.
            members.sort_by_key(|member| !replicas.contains(member));
            let wanted = topics::TOPICS.iter().find(|topic| topic.name == tp.0).map_or(3, |topic| topic.replicas as usize);
            members.truncate(wanted);
            self.reassign(&tp, members);
        }
    }

    /// The cluster is well: who was to leave goes.
    pub fn leave(&mut self, history: &Shared) {
        let Some(id) = self.leaving else { return };
        self.drain(id);
        self.await_health(history);
        let node = self.cluster.get(id);
        self.cluster.stop_and_wait(node);
        self.cluster.brokers.borrow_mut().remove(&id);
        let (brokers, seed) = (self.cluster.brokers.clone(), self.seed);
        let gone = self.world.run(self.clients[1], move |io| async move {
            let mut client = Client::new(io.clone(), brokers);
            for _ in 0..50 {
                let request = UnregisterBrokerRequest { broker_id: id };
                match client.to_any().call(0, &request).await {
                    // Asked again after the answer was lost, nobody knows it any more.
                    Ok(answer) if [0, 102].contains(&answer.error_code) => return true,
                    Ok(answer) => hold!([7, 41].contains(&answer.error_code), "broker {id} stays: {}", answer.error_code),
                    Err(Lost) => {}
                }
                io.sleep(Duration::from_millis(100)).await;
            }
            false
        });
        hold!(gone, "seed {seed}: broker {id} is not unregistered");
        self.leaving = None;
        history.borrow_mut().count("brokers that left");
    }
}
