//! A command on its way to whoever decides: this node's queue if it leads the quorum, else Kafka's request to the leader.
//!
//! Leaders change, and a request may be lost on its way or refused by somebody who leads no more. As with Kafka that is nobody's concern
//! but the door's: it asks again, at the next leader, as long as the kind of request is worth it. What was asked may then be done twice, so
//! each of these requests says the same when it comes twice, or is refused the second time by what the first has changed.

use super::channel::{Line, Unanswered};
use crate::controller::{
    BrokerRegistration, Command, ConfigAlteration, ConfigChange, ConfigOperation, ConfigResource, ProducerIdBlock, Refusal, Reply,
};
use crate::io::reply;
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use crate::protocol::generated::{
    AllocateProducerIdsRequest, AlterConfigsRequest, BrokerRegistrationRequest, IncrementalAlterConfigsRequest,
    UnregisterBrokerRequest, alter_configs_request as legacy, broker_registration_request as registering,
    incremental_alter_configs_request as incremental,
};
use crate::shard::Stopping;
use crate::shard::core::Core;
use crate::shard::quota::Mutations;
use futures_util::future::select;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Pause before the controller is asked again, if nobody new leads meanwhile.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long clients' requests and what a broker needs now and then are tried; Kafka's bound.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Kinds of resources and operations on the wire.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

impl Core {
    /// Has a command decided, here or elsewhere, as long as it is worth trying.
    pub(super) async fn carry_out(self: &Rc<Self>, command: Command, mutations: Option<Mutations>) -> Result<Reply, Stopping> {
        let patience = match command {
            // Whoever leads a partition has nothing better to do than to ask again.
            Command::AlterPartition(_) => Duration::MAX,
            _ => PATIENCE,
        };
        self.carry_out_within(command, mutations, patience).await
    }

    /// The same, for so long at most.
    pub(super) async fn carry_out_within(
        self: &Rc<Self>,
        command: Command,
        mutations: Option<Mutations>,
        patience: Duration,
    ) -> Result<Reply, Stopping> {
        let until = self.io.now().after(patience);
        loop {
            let new_leader = self.in_cluster().leader_changed.notified();
            if self.in_cluster().decides() {
                let (sender, answer) = reply();
                self.enqueue_command_here(command.clone(), mutations, sender);
                match answer.await {
                    Ok(Ok(decided)) => return Ok(decided),
                    // It leads no more.
                    Ok(Err(Stopping)) => {}
                    // It can never be decided, or this node stops.
                    Err(_) => return Err(Stopping),
                }
            } else {
                let limit = self.in_cluster().answer_limit.min(until.since(self.io.now())).max(RETRY_PAUSE);
                match self.ask_leader(&command, limit).await {
                    Ok(decided) if !says_not_controller(&decided) => return Ok(decided),
                    Ok(_) | Err(Asked::Unanswered) => {}
                    Err(Asked::NotForOthers) => return Err(Stopping),
                }
            }
            if self.is_stopping() || self.io.now() >= until {
                return Err(Stopping);
            }
            self.wait_for_controller(new_leader).await;
        }
    }

    /// A moment, or until somebody else leads: `new_leader` was taken before the controller was asked.
    pub(super) async fn wait_for_controller(&self, new_leader: impl Future<Output = ()>) {
        select(pin!(new_leader), pin!(self.io.sleep(RETRY_PAUSE))).await;
    }

    /// Asks the leading controller once.
    async fn ask_leader(&self, command: &Command, limit: Duration) -> Result<Reply, Asked> {
        let decided = match command {
            Command::RegisterBroker(registration) => {
                let response = self.call_leader(Line::Life, &registration_request(registration), limit).await?;
                Reply::Registered(match error(response.error_code) {
                    ErrorCode::None => Ok(response.broker_epoch),
                    error => Err(Refusal(error, None)),
                })
            }
            Command::BrokerHeartbeat(request) => Reply::BrokerHeartbeat(self.call_leader(Line::Life, request, limit).await?),
            Command::AlterPartition(request) => Reply::AlterPartition(self.call_leader(Line::Partitions, request, limit).await?),
            Command::AssignReplicasToDirs(request) => {
                Reply::AssignReplicasToDirs(self.call_leader(Line::Partitions, request, limit).await?)
            }
            Command::AllocateProducerIds { broker, epoch } => {
                let request = AllocateProducerIdsRequest { broker_id: broker.0, broker_epoch: *epoch };
                let response = self.call_leader(Line::Partitions, &request, limit).await?;
                Reply::ProducerIds(match error(response.error_code) {
                    ErrorCode::None => {
                        Ok(ProducerIdBlock { first: response.producer_id_start, count: i64::from(response.producer_id_len) })
                    }
                    error => Err(error),
                })
            }
            Command::CreateTopics(request) => Reply::CreateTopics(self.call_leader(Line::Clients, request, limit).await?),
            Command::DeleteTopics(request) => Reply::DeleteTopics(self.call_leader(Line::Clients, request, limit).await?),
            Command::CreatePartitions(request) => Reply::CreatePartitions(self.call_leader(Line::Clients, request, limit).await?),
            Command::AlterClientQuotas(request) => {
                Reply::AlterClientQuotas(self.call_leader(Line::Clients, request, limit).await?.entries)
            }
            Command::ElectLeaders(request) => Reply::ElectLeaders(self.call_leader(Line::Clients, request, limit).await?),
            Command::AlterPartitionReassignments(request) => {
                Reply::AlterPartitionReassignments(self.call_leader(Line::Clients, request, limit).await?)
            }
            Command::UpdateFeatures(request) => {
                let response = self.call_leader(Line::Clients, request, limit).await?;
                Reply::UpdateFeatures(outcome(response.error_code, response.error_message))
            }
            Command::UnregisterBroker { broker } => {
                let request = UnregisterBrokerRequest { broker_id: broker.0 };
                let response = self.call_leader(Line::Clients, &request, limit).await?;
                Reply::Unregistered(outcome(response.error_code, response.error_message))
            }
            Command::AlterConfigs { alterations, validate_only } => self.ask_configs(alterations, *validate_only, limit).await?,
            // What a controller asks of itself.
            Command::FenceBroker { .. }
            | Command::BalanceLeaders
            | Command::ElectUncleanLeaders
            | Command::UnfenceBroker { .. } => return Err(Asked::NotForOthers),
        };
        Ok(decided)
    }

    async fn ask_configs(&self, alterations: &[ConfigAlteration], validate_only: bool, limit: Duration) -> Result<Reply, Asked> {
        let (kind, name) = (|a: &ConfigAlteration| resource(&a.resource).0, |a: &ConfigAlteration| resource(&a.resource).1);
        let is_incremental = alterations.iter().all(|alteration| matches!(alteration.change, ConfigChange::Incremental(_)));
        let answers: Vec<(i8, StrBytes, Result<(), Refusal>)> = if is_incremental {
            let resources = alterations.iter().map(|alteration| incremental::AlterConfigsResource {
                resource_type: kind(alteration),
                resource_name: name(alteration),
                configs: operations(&alteration.change),
            });
            let request = IncrementalAlterConfigsRequest { resources: resources.collect(), validate_only };
            let response = self.call_leader(Line::Clients, &request, limit).await?;
            let told = response.responses.into_iter();
            told.map(|one| (one.resource_type, one.resource_name, outcome(one.error_code, one.error_message))).collect()
        } else {
            let resources = alterations.iter().map(|alteration| legacy::AlterConfigsResource {
                resource_type: kind(alteration),
                resource_name: name(alteration),
                configs: values(&alteration.change),
            });
            let request = AlterConfigsRequest { resources: resources.collect(), validate_only };
            let response = self.call_leader(Line::Clients, &request, limit).await?;
            let told = response.responses.into_iter();
            told.map(|one| (one.resource_type, one.resource_name, outcome(one.error_code, one.error_message))).collect()
        };
        // In the order of the request, whatever that of the answer is.
        let of = |alteration: &ConfigAlteration| {
            let found = answers.iter().find(|(k, n, _)| *k == kind(alteration) && *n == name(alteration));
            found.map_or_else(|| Err(Refusal(ErrorCode::UnknownServerError, None)), |(_, _, outcome)| outcome.clone())
        };
        Ok(Reply::AlterConfigs(alterations.iter().map(of).collect()))
    }
}

/// Why the leading controller has not answered a command.
enum Asked {
    /// Nobody knows what became of it; worth another try.
    Unanswered,
    /// Nobody but a controller asks it of itself.
    NotForOthers,
}

impl From<Unanswered> for Asked {
    fn from(error: Unanswered) -> Self {
        tracing::debug!(%error, "no answer from the controller");
        Self::Unanswered
    }
}

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

fn outcome(code: i16, message: Option<StrBytes>) -> Result<(), Refusal> {
    match error(code) {
        ErrorCode::None => Ok(()),
        error => Err(Refusal(error, message.map(|text| text.to_string()))),
    }
}

/// Whether an answer is that of somebody who does not lead (any more): as with Kafka the error may be anywhere in it.
pub(super) fn says_not_controller(reply: &Reply) -> bool {
    const CODE: i16 = ErrorCode::NotController as i16;
    let refused = |outcome: &Result<(), Refusal>| matches!(outcome, Err(Refusal(ErrorCode::NotController, _)));
    match reply {
        Reply::CreateTopics(response) => response.topics.iter().any(|topic| topic.error_code == CODE),
        Reply::DeleteTopics(response) => response.responses.iter().any(|topic| topic.error_code == CODE),
        Reply::CreatePartitions(response) => response.results.iter().any(|topic| topic.error_code == CODE),
        Reply::AlterConfigs(outcomes) => outcomes.iter().any(refused),
        Reply::AlterClientQuotas(entries) => entries.iter().any(|entry| entry.error_code == CODE),
        Reply::ElectLeaders(response) => {
            let mut partitions = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
            response.error_code == CODE || partitions.any(|partition| partition.error_code == CODE)
        }
        Reply::AlterPartitionReassignments(response) => {
            let mut partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
            response.error_code == CODE || partitions.any(|partition| partition.error_code == CODE)
        }
        Reply::AssignReplicasToDirs(response) => response.error_code == CODE,
        Reply::ProducerIds(outcome) => *outcome == Err(ErrorCode::NotController),
        Reply::UpdateFeatures(outcome) | Reply::Unregistered(outcome) => refused(outcome),
        Reply::Registered(outcome) => matches!(outcome, Err(Refusal(ErrorCode::NotController, _))),
        Reply::BrokerHeartbeat(response) => response.error_code == CODE,
        // Of a partition it is also said by a controller that knows less of it than its leader: that one is asked again, too.
        Reply::AlterPartition(response) => {
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            response.error_code == CODE || partitions.any(|partition| partition.error_code == CODE)
        }
        Reply::Ticked { .. } | Reply::Unfenced(_) | Reply::TooLarge => false,
    }
}

fn registration_request(registration: &BrokerRegistration) -> BrokerRegistrationRequest {
    let listeners = registration.endpoints.iter().map(|endpoint| registering::Listener {
        name: (&*endpoint.name).into(),
        host: (&*endpoint.host).into(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    });
    let features = registration.features.iter().map(|(name, min, max)| registering::Feature {
        name: (&**name).into(),
        min_supported_version: *min,
        max_supported_version: *max,
    });
    BrokerRegistrationRequest {
        broker_id: registration.broker.0,
        cluster_id: (&*registration.cluster_id).into(),
        incarnation_id: registration.incarnation,
        listeners: listeners.collect(),
        features: features.collect(),
        rack: registration.rack.as_deref().map(Into::into),
        is_migrating_zk_broker: false,
        log_dirs: registration.log_dirs.clone(),
        previous_broker_epoch: registration.previous_epoch,
    }
}

/// Kind and name of a resource on the wire; no name is the default of all brokers.
fn resource(resource: &ConfigResource) -> (i8, StrBytes) {
    match resource {
        ConfigResource::Topic(name) => (TOPIC, (&**name).into()),
        ConfigResource::Broker(Some(id)) => (BROKER, (&*id.to_string()).into()),
        ConfigResource::Broker(None) => (BROKER, "".into()),
        ConfigResource::Other(kind, name) => (*kind, (&**name).into()),
    }
}

fn operations(change: &ConfigChange) -> Vec<incremental::AlterableConfig> {
    let ConfigChange::Incremental(operations) = change else { return vec![] };
    let operation = |(name, operation): &(String, ConfigOperation)| {
        let (config_operation, value) = match operation {
            ConfigOperation::Set(value) => (SET, Some(value)),
            ConfigOperation::Delete => (DELETE, None),
            ConfigOperation::Append(value) => (APPEND, Some(value)),
            ConfigOperation::Subtract(value) => (SUBTRACT, Some(value)),
        };
        incremental::AlterableConfig { name: (&**name).into(), config_operation, value: value.map(|value| (&**value).into()) }
    };
    operations.iter().map(operation).collect()
}

fn values(change: &ConfigChange) -> Vec<legacy::AlterableConfig> {
    let ConfigChange::Replace(configs) = change else { return vec![] };
    let config =
        |(name, value): &(String, String)| legacy::AlterableConfig { name: (&**name).into(), value: Some((&**value).into()) };
    configs.iter().map(config).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BrokerId;
    use crate::protocol::Message as _;
    use crate::protocol::generated::alter_partition_response::{PartitionData, TopicData};
    use crate::protocol::generated::{AlterPartitionResponse, BrokerHeartbeatResponse};

    #[test]
    fn who_leads_no_more_says_so_anywhere_in_an_answer() {
        let code = ErrorCode::NotController.code();
        let heartbeat = |error_code| Reply::BrokerHeartbeat(BrokerHeartbeatResponse { error_code, ..Default::default() });
        assert!(says_not_controller(&heartbeat(code)) && !says_not_controller(&heartbeat(77)));
        let of_partition = |error_code| {
            let partitions = vec![PartitionData::default(), PartitionData { error_code, ..Default::default() }];
            let topics = vec![TopicData { partitions, ..Default::default() }];
            Reply::AlterPartition(AlterPartitionResponse { topics, ..Default::default() })
        };
        assert!(says_not_controller(&of_partition(code)) && !says_not_controller(&of_partition(0)));
        assert!(says_not_controller(&Reply::AlterConfigs(vec![Ok(()), Err(Refusal(ErrorCode::NotController, None))])));
        assert!(!says_not_controller(&Reply::Registered(Err(Refusal(ErrorCode::DuplicateBrokerRegistration, None)))));
    }

    #[test]
    fn a_registration_comes_through_the_wire_as_it_was() {
        let registration = BrokerRegistration {
            broker: BrokerId(4),
            cluster_id: "c".to_owned(),
            incarnation: crate::model::TopicId([3; 16]),
            endpoints: vec![crate::controller::Endpoint {
                name: "PLAINTEXT".into(),
                host: "h".into(),
                port: 9092,
                security_protocol: 0,
            }],
            features: crate::controller::supported_features(),
            rack: Some("r".into()),
            log_dirs: vec![crate::model::TopicId([4; 16])],
            previous_epoch: 17,
        };
        let bytes = registration_request(&registration).to_bytes(4).unwrap();
        let read = BrokerRegistrationRequest::from_bytes(bytes, 4).unwrap();
        assert_eq!(BrokerRegistration::from(&read), registration);
    }

    #[test]
    fn config_changes_keep_their_operations() {
        let change = ConfigChange::Incremental(vec![
            ("a".to_owned(), ConfigOperation::Set("1".to_owned())),
            ("b".to_owned(), ConfigOperation::Delete),
            ("c".to_owned(), ConfigOperation::Append("2".to_owned())),
            ("d".to_owned(), ConfigOperation::Subtract("3".to_owned())),
        ]);
        let told: Vec<_> =
            operations(&change).into_iter().map(|o| (o.config_operation, o.value.map(|v| v.to_string()))).collect();
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(told, [(0, value("1")), (1, None), (2, value("2")), (3, value("3"))]);
        assert_eq!(resource(&ConfigResource::Broker(None)), (4, "".into()));
        assert_eq!(resource(&ConfigResource::Broker(Some(BrokerId(7)))), (4, "7".into()));
    }
}
