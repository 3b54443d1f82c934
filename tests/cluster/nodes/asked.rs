//! What is asked of a cluster that is well, and waited for.

use super::{ANSWER_LIMIT, Cluster, Node, PORT, SETTLE_LIMIT, host};
use crate::network;
use crate::support::client::Client;
use crate::support::members::wait_until;
use crate::support::router::Router;
use flumen::protocol::generated::metadata_response::{MetadataResponse, MetadataResponsePartition};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

impl Cluster {
    /// The brokers, also those that are down.
    pub fn brokers(&self) -> Vec<i32> {
        self.nodes.iter().filter(|(_, node)| node.roles.is_broker()).map(|(id, _)| *id).collect()
    }

    pub fn nodes(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    pub fn controllers(&self) -> Vec<i32> {
        self.nodes.iter().filter(|(_, node)| node.roles.is_controller()).map(|(id, _)| *id).collect()
    }

    fn serving(&self) -> Vec<i32> {
        let serves = |node: &Node| node.roles.is_broker() && node.child.is_some() && !node.paused;
        self.nodes.iter().filter(|(_, node)| serves(node)).map(|(id, _)| *id).collect()
    }

    pub fn address(&self, id: i32) -> SocketAddr {
        (network::address(host(id)), PORT).into()
    }

    /// Where a controller is asked.
    pub fn controller_address(&self, id: i32) -> String {
        format!("{}:{}", network::address(host(id)), self.nodes[&id].controller_port)
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.brokers().into_iter().map(|id| self.address(id)).collect()
    }

    /// `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }

    /// A client that goes to whoever leads, and waits so long for an answer.
    pub fn router(&self, turn: usize, limit: Duration) -> Router {
        Router::new(self.addresses(), turn, limit)
    }

    /// Asks the brokers in turn until one has an answer.
    pub fn ask<T>(&self, what: &str, mut ask: impl FnMut(&mut Client) -> io::Result<Option<T>>) -> T {
        let mut router = self.router(0, ANSWER_LIMIT);
        let deadline = Instant::now() + SETTLE_LIMIT;
        loop {
            match router.connect_to_any().and_then(|mut client| ask(&mut client)) {
                Ok(Some(answer)) => return answer,
                Ok(None) => {}
                Err(error) => assert!(Instant::now() < deadline, "{what}: {error}"),
            }
            assert!(Instant::now() < deadline, "{what}: nobody knows after {SETTLE_LIMIT:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until every broker that serves says so of the cluster and of `topics`.
    pub fn await_everywhere(&self, what: &str, topics: &[&str], so: impl Fn(&MetadataResponse) -> bool) {
        let says_so = |id: i32| {
            let answer = Client::connect(self.address(id)).and_then(|mut client| {
                client.limit(ANSWER_LIMIT);
                client.metadata(Some(topics))
            });
            answer.is_ok_and(|answer| so(&answer))
        };
        for id in self.serving() {
            wait_until(&format!("node {id}: {what}"), SETTLE_LIMIT, || says_so(id));
        }
    }

    /// Waits until all brokers that serve know of each other and of nobody else.
    pub fn await_brokers(&self) {
        let wanted = self.serving();
        self.await_everywhere(&format!("the brokers are {wanted:?}"), &[], |answer| {
            let mut found: Vec<i32> = answer.brokers.iter().map(|broker| broker.node_id).collect();
            found.sort_unstable();
            found == wanted
        });
    }

    /// Waits until all replicas of a topic are in sync.
    pub fn await_in_sync(&self, topic: &str) {
        let in_sync = |partition: &MetadataResponsePartition| {
            partition.leader_id >= 0 && partition.isr_nodes.len() == partition.replica_nodes.len()
        };
        self.await_everywhere(&format!("all replicas of {topic} are in sync"), &[topic], |answer| {
            answer.topics[0].error_code == 0 && answer.topics[0].partitions.iter().all(in_sync)
        });
    }

    /// Waits until each partition is led by the first of its replicas.
    pub fn await_preferred_leaders(&self, topic: &str) {
        self.await_everywhere(&format!("the preferred leaders of {topic} lead"), &[topic], |answer| {
            let mut partitions = answer.topics[0].partitions.iter();
            answer.topics[0].error_code == 0 && partitions.all(|found| found.replica_nodes.first() == Some(&found.leader_id))
        });
    }

    /// The partitions of a topic, by index.
    pub fn partitions(&self, topic: &str) -> Vec<MetadataResponsePartition> {
        self.ask(topic, |client| {
            let mut found = client.metadata(Some(&[topic]))?.topics.remove(0);
            found.partitions.sort_by_key(|partition| partition.partition_index);
            let led = found.error_code == 0 && found.partitions.iter().all(|partition| partition.leader_id >= 0);
            Ok((led && !found.partitions.is_empty()).then_some(found.partitions))
        })
    }

    pub fn leader(&self, topic: &str, partition: i32) -> i32 {
        let partitions = self.partitions(topic);
        partitions[usize::try_from(partition).unwrap()].leader_id
    }

    /// The end of what consumers can read of a partition.
    pub fn log_end(&self, topic: &str, partition: i32) -> i64 {
        let mut router = self.router(0, ANSWER_LIMIT);
        self.ask("a log end", |_| {
            let (_, mut leader) = router.connect_to_leader(topic, partition)?;
            let (error, end) = leader.list_offset(topic, partition, -1)?;
            Ok((error == 0).then_some(end))
        })
    }

    /// The node that leads the controller quorum.
    pub fn active_controller(&self) -> i32 {
        self.ask("the active controller", Client::active_controller)
    }
}
