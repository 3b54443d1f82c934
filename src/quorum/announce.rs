//! What a controller says of itself where the voters can change (KIP-853), until the log says it too:
//!
//! - **It wants the log.** A controller that no leader sends anything to was not added yet, or was taken out, or has moved: it asks whoever it
//!   knows, by a message of our own.
//! - **It listens elsewhere.** A voter that was started with other listeners, or knows other levels of `kraft.version` than the log says,
//!   tells the leader by UpdateRaftVoter (82). Until then the leader looks for it where it was.
//! - **It wants to vote.** With `controller.quorum.auto.join.enable` a controller that follows has itself added by AddRaftVoter (80), and the
//!   voter that had its id and another disk removed before (KIP-1186).
//!
//! Whatever is lost on the way is said again at the next look; each is done once, however often it is said.

use super::codec::{Answer, Message};
use super::entry::raft_id;
use super::members::Member;
use super::node::Node;
use super::{METADATA_TOPIC, MemberEndpoint};
use crate::model::{ErrorCode, TopicId};
use crate::protocol::generated::update_raft_voter_response::CurrentLeader;
use crate::protocol::generated::{
    AddRaftVoterRequest, DescribeQuorumRequest, RemoveRaftVoterRequest, UpdateRaftVoterRequest, add_raft_voter_request as adding,
    describe_quorum_request as describing, update_raft_voter_request as updating,
};
use std::rc::Weak;
use std::time::Duration;

/// How long the leader may take to make this node a voter. It is a follower already, so that it has nearly everything.
const JOIN_LIMIT: Duration = Duration::from_secs(10);

/// What is to be said now.
enum Due {
    /// Nothing: the log says it.
    Nothing,
    Log,
    Move,
    Join,
}

impl Node {
    /// Says of this node what is to be said, for as long as somebody holds it.
    pub(super) async fn announce(node: Weak<Self>) {
        loop {
            let Some(this) = node.upgrade().filter(|this| !this.is_closed.get()) else { return };
            let (io, pause) = (this.io.clone(), Duration::from_millis(this.how.timeouts.fetch_ms) / 4);
            match this.due() {
                Due::Nothing => {}
                Due::Log => {
                    let is_given = this.ask_for_the_log().await;
                    if !is_given && this.how.auto_join {
                        this.remove_its_old_disk().await;
                    }
                }
                Due::Move => this.tell_where_it_is().await,
                Due::Join => this.join().await,
            }
            drop(this);
            io.sleep(pause).await;
        }
    }

    fn due(&self) -> Due {
        let may_say = self.journal.are_voters_in_log() && self.leads_in().is_none();
        let Some(own) = self.how.member.as_ref().filter(|_| may_say) else { return Due::Nothing };
        let members = self.members();
        let id = raft_id(self.how.node);
        let known = members.get_node(&id).filter(|known| known.directory == own.directory);
        let is_voter = members.voter_ids().any(|voter| voter == id);
        let limit = Duration::from_millis(self.how.timeouts.fetch_ms);
        let is_silent = members.voter_ids().next().is_none() || self.io.now().since(self.heard.get()) > limit;
        match known {
            Some(known) if is_voter && known != own => Due::Move,
            _ if is_silent => Due::Log,
            Some(_) if !is_voter && self.how.auto_join => Due::Join,
            _ => Due::Nothing,
        }
    }

    /// Whether somebody says that it is given.
    async fn ask_for_the_log(&self) -> bool {
        let Some(member) = self.how.member.clone() else { return false };
        let message = Message::Join { id: self.how.node, member };
        for (host, port) in self.whom_to_ask() {
            match self.peers.ask_once(&host, port, &message).await {
                Ok(Answer::Joined) => return true,
                Ok(other) => tracing::debug!("{host}:{port} answers {other:?}"),
                Err(why) => tracing::debug!("{host}:{port} does not let this controller follow: {why}"),
            }
        }
        false
    }

    /// The leader first, if one is known, and everybody else.
    fn whom_to_ask(&self) -> Vec<(String, u16)> {
        let leader = self.state().leader.and_then(|leader| self.peers.server_of(leader));
        let mut all: Vec<(String, u16)> = leader.into_iter().collect();
        for server in self.how.servers.iter().cloned().chain(self.peers.known_servers()) {
            if !all.contains(&server) {
                all.push(server);
            }
        }
        all
    }

    /// Whoever is asked and does not lead says who does, and in which epoch: that one is asked next, once.
    async fn tell_where_it_is(&self) {
        let Some(member) = &self.how.member else { return };
        let mut epoch = self.state().epoch;
        for (host, port) in self.whom_to_ask() {
            let Some((error, leader)) = self.update_at(&host, port, member, epoch).await else { continue };
            if error == ErrorCode::None.code() {
                tracing::info!(endpoints = ?member.endpoints, "the quorum was told where this controller is");
                return;
            }
            let Some((host, port)) = place_of(&leader).filter(|_| leader.leader_epoch >= epoch) else { continue };
            epoch = leader.leader_epoch;
            if let Some((error, _)) = self.update_at(&host, port, member, epoch).await {
                if error == ErrorCode::None.code() {
                    tracing::info!(endpoints = ?member.endpoints, "the quorum was told where this controller is");
                    return;
                }
                tracing::warn!(error, "the leader of the quorum does not take note of where this controller is");
            }
        }
    }

    /// Where the leader is, as another server has it. The leader itself takes note of nobody whom it does not know.
    async fn leader_by(&self, host: &str, port: u16, member: &Member) -> Option<(String, u16)> {
        let (_, leader) = self.update_at(host, port, member, self.state().epoch).await?;
        place_of(&leader)
    }

    async fn update_at(&self, host: &str, port: u16, member: &Member, epoch: i32) -> Option<(i16, CurrentLeader)> {
        let (min_supported_version, max_supported_version) = member.kraft_versions;
        let listener = |endpoint: &MemberEndpoint| updating::Listener {
            name: endpoint.listener.as_str().into(),
            host: endpoint.host.as_str().into(),
            port: endpoint.port,
        };
        let request = UpdateRaftVoterRequest {
            cluster_id: Some(self.how.cluster_id.as_str().into()),
            current_leader_epoch: epoch,
            voter_id: self.how.node.0,
            voter_directory_id: member.directory,
            listeners: member.endpoints.iter().map(listener).collect(),
            kraft_version_feature: updating::KRaftVersionFeature { min_supported_version, max_supported_version },
        };
        match self.peers.call_once(host, port, &request, Duration::ZERO).await {
            Ok(response) => Some((response.error_code, response.current_leader)),
            Err(why) => {
                tracing::debug!("{host}:{port} is not told where this controller is: {why}");
                None
            }
        }
    }

    /// Has this node, which follows, made a voter.
    async fn join(&self) {
        let Some(member) = &self.how.member else { return };
        let Some((host, port)) = self.state().leader.and_then(|leader| self.peers.server_of(leader)) else { return };
        let listener = |endpoint: &MemberEndpoint| adding::Listener {
            name: endpoint.listener.as_str().into(),
            host: endpoint.host.as_str().into(),
            port: endpoint.port,
        };
        let request = AddRaftVoterRequest {
            cluster_id: Some(self.how.cluster_id.as_str().into()),
            timeout_ms: JOIN_LIMIT.as_millis() as i32,
            voter_id: self.how.node.0,
            voter_directory_id: member.directory,
            listeners: member.endpoints.iter().map(listener).collect(),
            // Kafka's controllers need the answer before they fetch on; this one is sent the log all the while.
            ack_when_committed: true,
        };
        match self.peers.call_once(&host, port, &request, JOIN_LIMIT).await {
            Ok(response) => told("joins the voters", response.error_code),
            Err(why) => tracing::debug!("{host}:{port} does not let this controller join the voters: {why}"),
        }
    }

    /// A voter of this node's id that has another disk is this node before it lost it: it is taken out, so that this one can come in.
    async fn remove_its_old_disk(&self) {
        let Some(member) = &self.how.member else { return };
        let topics = vec![describing::TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![describing::PartitionData { partition_index: 0 }],
        }];
        let request = DescribeQuorumRequest { topics };
        let (mut servers, mut asked) = (self.whom_to_ask(), 0);
        while let Some((host, port)) = servers.get(asked).cloned() {
            asked += 1;
            let Ok(mut response) = self.peers.call_once(&host, port, &request, Duration::ZERO).await else { continue };
            let partition = response.topics.pop().and_then(|mut topic| topic.partitions.pop());
            // Only the leader knows; whoever else is asked says who that is. This node may know of nobody but one server.
            let Some(partition) = partition.filter(|partition| partition.error_code == 0) else {
                let leader = self.leader_by(&host, port, member).await;
                servers.extend(leader.filter(|leader| !servers.contains(leader)));
                continue;
            };
            let old = partition.current_voters.iter().find(|voter| voter.replica_id == self.how.node.0);
            let is_other = |id: TopicId| id != TopicId::default() && id != member.directory;
            let Some(old) = old.filter(|old| is_other(old.replica_directory_id)) else { return };
            let request = RemoveRaftVoterRequest {
                cluster_id: Some(self.how.cluster_id.as_str().into()),
                voter_id: self.how.node.0,
                voter_directory_id: old.replica_directory_id,
            };
            match self.peers.call_once(&host, port, &request, JOIN_LIMIT).await {
                Ok(response) => told("removes the voter with the disk that it had", response.error_code),
                Err(why) => tracing::debug!("{host}:{port} does not remove the voter with the old disk: {why}"),
            }
            return;
        }
    }
}

/// Where a leader is that an answer tells of, if it tells of one.
fn place_of(leader: &CurrentLeader) -> Option<(String, u16)> {
    let port = u16::try_from(leader.port).ok().filter(|port| leader.leader_id >= 0 && *port > 0)?;
    Some((leader.host.to_string(), port))
}

fn told(what: &str, code: i16) {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => tracing::info!("this controller {what} by itself"),
        error => tracing::info!(?error, "this controller {what} by itself, but not yet"),
    }
}
