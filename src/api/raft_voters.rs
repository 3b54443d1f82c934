//! AddRaftVoter (80), versions 0 and 1, RemoveRaftVoter (81) and UpdateRaftVoter (82), version 0: a controller becomes a voter of the quorum, is
//! none any more, or says where it listens now (KIP-853). Whoever leads does it; the answer comes when the change is committed. The last
//! is asked by controllers of each other only, and says who leads.

use super::Call;
use super::context::text;
use crate::controller::Refusal;
use crate::model::{BrokerId, ErrorCode, TopicId};
use crate::protocol::StrBytes;
use crate::protocol::generated::add_raft_voter_request::Listener;
use crate::protocol::generated::update_raft_voter_response::CurrentLeader;
use crate::protocol::generated::{
    AddRaftVoterRequest, AddRaftVoterResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse, UpdateRaftVoterRequest,
    UpdateRaftVoterResponse, update_raft_voter_request as updating,
};
use crate::shard::VoterChange;
use std::rc::Rc;
use std::time::Duration;

/// Listeners of a voter; nobody has more.
const MOST_LISTENERS: usize = 100;

/// What a node that is alone would call it.
const DEFAULT_LISTENER: &str = "CONTROLLER";

pub(super) async fn add(call: Rc<Call>, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    let listeners: Vec<_> = request.listeners.iter().take(MOST_LISTENERS + 1).map(added).collect();
    let (error, message) = match check(&call, request.cluster_id.as_ref(), request.voter_id, request.voter_directory_id) {
        Err(refusal) => refusal,
        Ok(_) if !has_default(&call, &listeners) || listeners.len() > MOST_LISTENERS => {
            (ErrorCode::InvalidRequest, Some("Add voter request didn't include the endpoint for the default listener".to_owned()))
        }
        Ok((id, directory)) => {
            let limit = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
            change(&call, VoterChange::Add { id, directory, listeners, limit }).await
        }
    };
    AddRaftVoterResponse { error_code: error.code(), error_message: message.as_deref().map(text), ..Default::default() }
}

pub(super) async fn remove(call: Rc<Call>, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse {
    let (error, message) = match check(&call, request.cluster_id.as_ref(), request.voter_id, request.voter_directory_id) {
        Err(refusal) => refusal,
        Ok((id, directory)) => change(&call, VoterChange::Remove { id, directory }).await,
    };
    RemoveRaftVoterResponse { error_code: error.code(), error_message: message.as_deref().map(text), ..Default::default() }
}

pub(super) async fn update(call: Rc<Call>, request: UpdateRaftVoterRequest) -> UpdateRaftVoterResponse {
    let listeners: Vec<_> = request.listeners.iter().take(MOST_LISTENERS + 1).map(updated).collect();
    let feature = &request.kraft_version_feature;
    let (error, message) = match check(&call, request.cluster_id.as_ref(), request.voter_id, request.voter_directory_id) {
        Err(refusal) => refusal,
        Ok(_) if !has_default(&call, &listeners) || listeners.len() > MOST_LISTENERS => (ErrorCode::InvalidRequest, None),
        Ok((id, directory)) => {
            let kraft_versions = (feature.min_supported_version, feature.max_supported_version);
            let epoch = request.current_leader_epoch;
            change(&call, VoterChange::Update { id, directory, listeners, kraft_versions, epoch }).await
        }
    };
    if let Some(message) = message {
        tracing::info!(voter = request.voter_id, ?error, "no note is taken of where a voter is: {message}");
    }
    let current_leader = current_leader(&call).await;
    UpdateRaftVoterResponse { error_code: error.code(), current_leader, ..Default::default() }
}

/// Who leads, and where, as far as this node knows.
async fn current_leader(call: &Call) -> CurrentLeader {
    let shards = &call.context.shards;
    let (leader, leader_epoch) = shards.describe_quorum().await.leader;
    let Some(leader) = leader else { return CurrentLeader { leader_epoch, ..CurrentLeader::default() } };
    match shards.quorum_voters().await.into_iter().find(|voter| voter.id == leader) {
        Some(voter) => CurrentLeader { leader_id: leader.0, leader_epoch, host: text(&voter.host), port: i32::from(voter.port) },
        None => CurrentLeader { leader_epoch, ..CurrentLeader::default() },
    }
}

/// A listener: name, host and port.
type Endpoint = (String, String, u16);

/// Whether the listener is among them by which controllers ask each other.
fn has_default(call: &Call, listeners: &[Endpoint]) -> bool {
    let names = call.context.config.controller_listener_names();
    let default = names.first().map_or(DEFAULT_LISTENER, String::as_str);
    listeners.iter().any(|(name, ..)| name.eq_ignore_ascii_case(default))
}

fn added(listener: &Listener) -> Endpoint {
    (listener.name.to_string(), listener.host.to_string(), listener.port)
}

fn updated(listener: &updating::Listener) -> Endpoint {
    (listener.name.to_string(), listener.host.to_string(), listener.port)
}

/// Who is meant, if it is somebody of this cluster.
fn check(
    call: &Call,
    cluster_id: Option<&StrBytes>,
    id: i32,
    directory: TopicId,
) -> Result<(BrokerId, TopicId), (ErrorCode, Option<String>)> {
    let own = call.context.shards.cluster_id();
    if let Some(theirs) = cluster_id.filter(|theirs| &***theirs != own) {
        let said = format!("The given id \"{}\" doesn't match the cluster id \"{own}\"", &**theirs);
        return Err((ErrorCode::InconsistentClusterId, Some(said)));
    }
    if id < 0 || directory == TopicId::ZERO {
        return Err((ErrorCode::InvalidRequest, Some("The request didn't include a valid voter".to_owned())));
    }
    Ok((BrokerId(id), directory))
}

async fn change(call: &Call, change: VoterChange) -> (ErrorCode, Option<String>) {
    let changed = call.context.shards.change_voters(change).await;
    let Refusal(code, message) = changed.err().unwrap_or(Refusal(ErrorCode::None, None));
    if code == ErrorCode::NotLeaderOrFollower {
        call.lose_lead();
    }
    (code, message)
}
