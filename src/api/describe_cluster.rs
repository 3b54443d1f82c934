//! DescribeCluster (60), versions 0 to 2: the brokers, for admin clients.

use super::Call;
use super::context::text;
use super::metadata::{CLUSTER_OPERATIONS, NO_OPERATIONS};
use crate::model::ErrorCode;
use crate::protocol::generated::describe_cluster_request::DescribeClusterRequest;
use crate::protocol::generated::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use std::rc::Rc;

/// `EndpointType` of brokers; controllers are 2.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// On a listener of controllers: the voters.
pub(super) async fn of_controllers(call: Rc<Call>, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != CONTROLLERS {
        let (error, message) = match request.endpoint_type {
            BROKERS => (ErrorCode::MismatchedEndpointType, "this is a listener of controllers, not of brokers"),
            _ => (ErrorCode::UnsupportedEndpointType, "the endpoint type is not known"),
        };
        return DescribeClusterResponse { error_code: error.code(), error_message: Some(text(message)), ..Default::default() };
    }
    let context = &call.context;
    let leader = context.shards.describe_quorum().await.leader.0;
    let controller = |voter: crate::config::QuorumVoter| DescribeClusterBroker {
        broker_id: voter.id.0,
        host: text(&voter.host),
        port: i32::from(voter.port),
        rack: None,
        is_fenced: false,
    };
    DescribeClusterResponse {
        endpoint_type: CONTROLLERS,
        cluster_id: text(context.shards.cluster_id()),
        controller_id: leader.map_or(-1, |id| id.0),
        brokers: context.shards.quorum_voters().await.into_iter().map(controller).collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => NO_OPERATIONS,
        },
        ..Default::default()
    }
}

pub(super) async fn handle(call: Rc<Call>, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        let (error, message) = match request.endpoint_type {
            CONTROLLERS => (ErrorCode::MismatchedEndpointType, "this is a listener of brokers, not of controllers"),
            _ => (ErrorCode::UnsupportedEndpointType, "the endpoint type is not known"),
        };
        return DescribeClusterResponse { error_code: error.code(), error_message: Some(text(message)), ..Default::default() };
    }
    let context = &call.context;
    let image = context.shards.image();
    let brokers = image
        .brokers()
        .filter(|broker| request.include_fenced_brokers || !broker.fenced)
        .filter_map(|broker| context.node(&image, broker.id, &call.connection).map(|node| (node, broker.fenced)))
        .map(|(node, is_fenced)| DescribeClusterBroker {
            broker_id: node.id.0,
            host: node.host,
            port: node.port,
            rack: node.rack,
            is_fenced,
        });
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: text(context.shards.cluster_id()),
        controller_id: context.controller_id(&image),
        brokers: brokers.collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => NO_OPERATIONS,
        },
        ..Default::default()
    }
}
