//! A client of the cluster: it knows who leads, and asks whom it is told to.

pub use crate::connection::Lost;

use crate::connection::Client as Connection;
use crate::history::Tp;
use crate::producers::draw;
use flumen::io::Io;
use flumen::protocol::Request;
use flumen::protocol::generated::find_coordinator_request::FindCoordinatorRequest;
use flumen::protocol::generated::metadata_request::MetadataRequest;
use flumen::protocol::generated::metadata_response::MetadataResponse;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Longer than a connection takes over the slowest link.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// Where the brokers are, by id.
pub type Brokers = Rc<RefCell<BTreeMap<i32, SocketAddr>>>;

/// Who leads a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leader {
    pub broker: i32,
    pub epoch: i32,
}

pub struct Client {
    pub io: Io,
    brokers: Brokers,
    open: BTreeMap<i32, Connection>,
    at: i32,
    leaders: BTreeMap<Tp, (Leader, Vec<i32>)>,
    /// Nobody who tells of an earlier epoch is believed, as in Kafka's clients: a leader may not know yet that it leads no more.
    epochs: BTreeMap<Tp, i32>,
}

impl Client {
    pub fn new(io: Io, brokers: Brokers) -> Self {
        let at = *brokers.borrow().first_key_value().expect("a cluster has brokers").0;
        Self { io, brokers, open: BTreeMap::new(), at, leaders: BTreeMap::new(), epochs: BTreeMap::new() }
    }

    /// Asks this broker from now on.
    pub fn to(&mut self, broker: i32) -> &mut Self {
        self.at = broker;
        self
    }

    /// Whom it asks.
    pub fn asks(&self) -> i32 {
        self.at
    }

    /// Asks any broker from now on.
    pub fn to_any(&mut self) -> &mut Self {
        let ids: Vec<i32> = self.brokers.borrow().keys().copied().collect();
        self.at = ids[draw(&self.io, ids.len() as u64) as usize];
        self
    }

    fn connection(&mut self) -> Result<&mut Connection, Lost> {
        let address = *self.brokers.borrow().get(&self.at).ok_or(Lost)?;
        let io = &self.io;
        let new = || Connection::new(io.clone(), address).with_connect_limit(CONNECT_LIMIT);
        Ok(self.open.entry(self.at).or_insert_with(new))
    }

    /// Ends all connections.
    pub fn hang_up(&mut self) {
        self.open.values_mut().for_each(Connection::hang_up);
    }

    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Lost> {
        self.connection()?.call(version, request).await
    }

    pub async fn pipeline<R: Request>(&mut self, version: i16, requests: &[R]) -> Result<Vec<R::Response>, Lost> {
        self.connection()?.pipeline(version, requests).await
    }

    pub async fn tell<R: Request>(&mut self, version: i16, request: &R) -> Result<(), Lost> {
        self.connection()?.tell(version, request).await
    }

    /// All topics and brokers, as whom it asks knows them.
    pub async fn metadata(&mut self) -> Result<MetadataResponse, Lost> {
        let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        self.call(12, &request).await
    }

    /// Who leads, if anybody is known; asks somebody if not. It is the one to ask then.
    pub async fn leader(&mut self, tp: &Tp) -> Result<Leader, Lost> {
        self.replicas(tp).await.map(|(leader, _)| leader)
    }

    /// The same with all replicas.
    pub async fn replicas(&mut self, tp: &Tp) -> Result<(Leader, Vec<i32>), Lost> {
        if !self.leaders.contains_key(tp) {
            self.refresh().await?;
        }
        let (leader, replicas) = self.leaders.get(tp).cloned().ok_or(Lost)?;
        self.at = leader.broker;
        Ok((leader, replicas))
    }

    async fn refresh(&mut self) -> Result<(), Lost> {
        let metadata = self.to_any().metadata().await?;
        for topic in &metadata.topics {
            let Some(name) = &topic.name else { continue };
            for partition in &topic.partitions {
                let tp = (name.to_string(), partition.partition_index);
                let leader = Leader { broker: partition.leader_id, epoch: partition.leader_epoch };
                let known = self.epochs.entry(tp.clone()).or_insert(leader.epoch);
                if leader.broker >= 0 && leader.epoch >= *known {
                    *known = leader.epoch;
                    self.leaders.insert(tp, (leader, partition.replica_nodes.clone()));
                }
            }
        }
        Ok(())
    }

    /// What is known of a partition's leader was wrong.
    pub fn forget(&mut self, tp: &Tp) {
        self.leaders.remove(tp);
    }

    /// Asks anybody who coordinates a group, which is the one to ask then.
    pub async fn find_coordinator(&mut self, group: &'static str) -> Result<i16, Lost> {
        let find = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..FindCoordinatorRequest::default() };
        let answer = self.to_any().call(4, &find).await?.coordinators.remove(0);
        if answer.error_code == 0 {
            self.at = answer.node_id;
        }
        Ok(answer.error_code)
    }
}
