//! ElectLeaders (43), versions 0 to 2: partitions get their preferred leader, or any where there is none.

use super::Call;
use crate::controller::{Command, Reply};
use crate::protocol::generated::elect_leaders_request::ElectLeadersRequest;
use crate::protocol::generated::elect_leaders_response::{ElectLeadersResponse, PartitionResult, ReplicaElectionResult};
use std::rc::Rc;

pub(super) async fn handle(call: Rc<Call>, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let named = request.topic_partitions.clone().unwrap_or_default();
    match call.decide(Command::ElectLeaders(request)).await {
        Ok(Reply::ElectLeaders(response)) => {
            call.compute(false, move || drop(named)).await;
            response
        }
        Ok(other) => unreachable!("ElectLeaders was answered with {other:?}"),
        Err(undecided) => {
            // Before version 1 an error has no other place than at each partition.
            let code = undecided.error().code();
            let error_code = if call.version() < 1 { 0 } else { code };
            let result = move |partition_id| PartitionResult { partition_id, error_code: code, ..PartitionResult::default() };
            let refuse = move || {
                let results = named.into_iter().map(|topic| ReplicaElectionResult {
                    topic: topic.topic,
                    partition_result: topic.partitions.into_iter().map(result).collect(),
                });
                ElectLeadersResponse { error_code, replica_election_results: results.collect(), ..Default::default() }
            };
            call.compute(false, refuse).await
        }
    }
}
