//! Asking a cluster: any broker of it, or one.

use crate::cli::placement::{ClusterView, PartitionView};
use crate::client::{CallError, Connection};
use crate::io::Io;
use crate::model::ErrorCode;
use crate::protocol::Request;
use crate::protocol::generated::metadata_response::MetadataResponseBroker;
use crate::protocol::generated::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, MetadataRequest, MetadataResponse,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// What the brokers know this command as.
const CLIENT_ID: &str = "flumen-cluster";
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// How long nobody may answer before it is given up, and how long to wait between two tries.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Brokers that can be asked, and a connection to one of them.
pub(super) struct Admin {
    pub(super) io: Io,
    servers: Vec<(String, u16)>,
    connection: RefCell<Option<Connection>>,
}

impl Admin {
    pub(super) fn new(io: Io, servers: Vec<(String, u16)>) -> Self {
        Self { io, servers, connection: RefCell::default() }
    }

    /// What the cluster tells of itself.
    pub(super) async fn view(&self) -> Result<ClusterView, String> {
        let metadata = self.metadata().await?;
        view(&metadata, &self.ongoing().await?)
    }

    pub(super) async fn metadata(&self) -> Result<MetadataResponse, String> {
        self.call(&MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() }).await
    }

    pub(super) async fn ongoing(&self) -> Result<ListPartitionReassignmentsResponse, String> {
        let until = self.io.now().after(PATIENCE);
        loop {
            let all = ListPartitionReassignmentsRequest { topics: None, ..ListPartitionReassignmentsRequest::default() };
            let answer = self.call(&all).await?;
            match ErrorCode::from_code(answer.error_code) {
                Some(ErrorCode::None) => return Ok(answer),
                code if is_passing(code) && self.io.now() < until => self.io.sleep(RETRY).await,
                _ => return Err(failed("ListPartitionReassignments", answer.error_code, answer.error_message.as_deref())),
            }
        }
    }

    /// Asks any broker, again and again if need be. Only for what may be asked twice.
    pub(super) async fn call<R: Request>(&self, request: &R) -> Result<R::Response, String> {
        let until = self.io.now().after(PATIENCE);
        loop {
            let asked = match self.connected().await {
                Ok(connection) => match connection.version_of::<R>() {
                    Ok(version) => connection.call(version, request, ANSWER).await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            match asked {
                Ok(answer) => return Ok(answer),
                Err(CallError::Closed(..)) if self.io.now() < until => {
                    *self.connection.borrow_mut() = None;
                    self.io.sleep(RETRY).await;
                }
                Err(error) => return Err(format!("{}: {error}", R::API_KEY.name())),
            }
        }
    }

    /// Asks this broker and no other, by a connection of its own.
    pub(super) async fn call_at<R: Request>(&self, at: &MetadataResponseBroker, request: &R) -> Result<R::Response, String> {
        let until = self.io.now().after(PATIENCE);
        let port = u16::try_from(at.port).unwrap_or(0);
        loop {
            let asked = match self.connect(&at.host, port).await {
                Ok(connection) => match connection.version_of::<R>() {
                    Ok(version) => connection.call(version, request, ANSWER).await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            match asked {
                Ok(answer) => return Ok(answer),
                Err(CallError::Closed(..)) if self.io.now() < until => self.io.sleep(RETRY).await,
                Err(error) => return Err(format!("broker {}: {}: {error}", at.node_id, R::API_KEY.name())),
            }
        }
    }

    /// The connection, or a new one to the first broker that takes it.
    async fn connected(&self) -> Result<Connection, CallError> {
        let open = self.connection.borrow().clone().filter(|connection| connection.closed().is_none());
        if let Some(connection) = open {
            return Ok(connection);
        }
        let mut why = nowhere("no broker has an address".to_owned());
        for (host, port) in &self.servers {
            match self.connect(host, *port).await {
                Ok(connection) => {
                    *self.connection.borrow_mut() = Some(connection.clone());
                    return Ok(connection);
                }
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// A connection to the first address of a host that takes it.
    async fn connect(&self, host: &str, port: u16) -> Result<Connection, CallError> {
        let addresses = self.io.resolve(host, port).await.map_err(|error| nowhere(format!("{host}: {error}")))?;
        let mut why = nowhere(format!("{host} has no address"));
        for address in addresses {
            match Connection::open(&self.io, address, CLIENT_ID, CONNECT).await {
                Ok(connection) => return Ok(connection),
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

fn nowhere(why: String) -> CallError {
    CallError::Closed(SocketAddr::from(([0, 0, 0, 0], 0)), why)
}

/// Whether a moment later the answer may be another: the controller has moved or is being elected.
pub(super) fn is_passing(code: Option<ErrorCode>) -> bool {
    matches!(code, Some(ErrorCode::NotController | ErrorCode::RequestTimedOut | ErrorCode::UnknownServerError))
}

pub(super) fn failed(what: &str, code: i16, text: Option<&str>) -> String {
    let code = ErrorCode::from_code(code).map_or_else(|| code.to_string(), |code| code.to_string());
    format!("{what}: {code} {}", text.unwrap_or_default())
}

/// What the answers say of the cluster.
pub(super) fn view(metadata: &MetadataResponse, ongoing: &ListPartitionReassignmentsResponse) -> Result<ClusterView, String> {
    let rack =
        |rack: &Option<crate::protocol::StrBytes>| rack.as_ref().map(|rack| rack.to_string()).filter(|rack| !rack.is_empty());
    let brokers = metadata.brokers.iter().map(|broker| (broker.node_id, rack(&broker.rack))).collect();
    let mut moving = BTreeMap::new();
    for topic in &ongoing.topics {
        for partition in &topic.partitions {
            moving.insert((&*topic.name, partition.partition_index), partition);
        }
    }
    let mut partitions = vec![];
    for topic in &metadata.topics {
        let Some(name) = topic.name.as_deref() else { continue };
        if topic.error_code != ErrorCode::None.code() {
            return Err(failed(&format!("topic {name}"), topic.error_code, None));
        }
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let view = PartitionView { topic: name.to_owned(), index, ..PartitionView::default() };
            partitions.push(match moving.get(&(name, index)) {
                Some(change) => PartitionView {
                    replicas: change.replicas.clone(),
                    removing: change.removing_replicas.clone(),
                    adding: change.adding_replicas.clone(),
                    ..view
                },
                None => PartitionView { replicas: partition.replica_nodes.clone(), ..view },
            });
        }
    }
    Ok(ClusterView { brokers, partitions })
}
