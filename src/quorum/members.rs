//! Who is in the quorum, as the log says it where the voters can change (`kraft.version` 1, KIP-853): openraft's membership to and from
//! Kafka's voters records.
//!
//! A voters record names each voter with the directory of its metadata and with its listeners. Who is to become one gets the log first, so
//! that nobody waits for it afterwards: openraft calls it a learner, and Kafka, where such a node fetches for itself, has no word for it.
//! Learners stand in a tagged field of the record, which Kafka passes over.

use super::entry::{broker_id, raft_id};
use super::types::Membership;
use crate::model::{BrokerId, TopicId};
use crate::protocol::Message as _;
use crate::protocol::generated::voters_record::{Endpoint, KRaftVersionFeature, Voter};
use crate::protocol::generated::{KRaftVersionRecord, VotersRecord};
use crate::record::{Batch, ControlRecordType};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Tag of the learners in a voters record: far from those that Kafka gives.
const LEARNERS_TAG: u32 = 10_000;
/// Level of `kraft.version` with which voters can change.
pub const KRAFT_VERSION_DYNAMIC: i16 = 1;

/// Where a controller listens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MemberEndpoint {
    /// Name of the listener.
    pub listener: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What the log says of a member of the quorum, beside its `node.id`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Member {
    /// The directory of its metadata: with another one (a new disk) it is another member. Zero where the voters are fixed.
    pub directory: TopicId,
    /// Its controller listeners.
    pub endpoints: Vec<MemberEndpoint>,
    /// The levels of `kraft.version` that it knows.
    pub kraft_versions: (i16, i16),
}

impl Member {
    /// One of this release.
    pub fn new(directory: TopicId, endpoints: Vec<MemberEndpoint>) -> Self {
        Self { directory, endpoints, kraft_versions: (0, KRAFT_VERSION_DYNAMIC) }
    }

    /// Host and port of a listener, or of the first if there is none of this name.
    pub(super) fn address(&self, listener: &str) -> Option<(String, u16)> {
        let named = self.endpoints.iter().find(|endpoint| endpoint.listener.eq_ignore_ascii_case(listener));
        named.or(self.endpoints.first()).map(|endpoint| (endpoint.host.clone(), endpoint.port))
    }

    fn to_voter(&self, id: u64) -> Voter {
        let (min_supported_version, max_supported_version) = self.kraft_versions;
        let endpoint = |endpoint: &MemberEndpoint| Endpoint {
            name: endpoint.listener.as_str().into(),
            host: endpoint.host.as_str().into(),
            port: endpoint.port,
            ..Endpoint::default()
        };
        Voter {
            voter_id: broker_id(id).0,
            voter_directory_id: self.directory,
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            kraft_version_feature: KRaftVersionFeature {
                min_supported_version,
                max_supported_version,
                ..KRaftVersionFeature::default()
            },
            ..Voter::default()
        }
    }

    fn from_voter(voter: &Voter) -> (u64, Self) {
        let endpoint = |endpoint: &Endpoint| MemberEndpoint {
            listener: endpoint.name.to_string(),
            host: endpoint.host.to_string(),
            port: endpoint.port,
        };
        let versions = &voter.kraft_version_feature;
        let member = Self {
            directory: voter.voter_directory_id,
            endpoints: voter.endpoints.iter().map(endpoint).collect(),
            kraft_versions: (versions.min_supported_version, versions.max_supported_version),
        };
        (raft_id(BrokerId(voter.voter_id)), member)
    }
}

/// A membership of these voters.
///
/// # Errors
/// There is none.
pub(super) fn of_voters(voters: impl IntoIterator<Item = (BrokerId, Member)>) -> Result<Membership, String> {
    let nodes: BTreeMap<u64, Member> = voters.into_iter().map(|(id, member)| (raft_id(id), member)).collect();
    whole(vec![nodes.keys().copied().collect()], nodes)
}

fn whole(sets: Vec<BTreeSet<u64>>, nodes: BTreeMap<u64, Member>) -> Result<Membership, String> {
    Membership::new(sets, nodes).map_err(|error| error.to_string())
}

/// The same without somebody who learns or votes.
///
/// # Errors
/// Nobody would be left.
pub(super) fn without(membership: &Membership, id: u64) -> Result<Membership, String> {
    changed(membership, |voters, nodes| {
        voters.remove(&id);
        nodes.remove(&id);
    })
}

/// The same with somebody who learns.
pub(super) fn with_learner(membership: &Membership, id: u64, member: Member) -> Result<Membership, String> {
    changed(membership, |_, nodes| drop(nodes.insert(id, member)))
}

/// The same, but who has learned votes.
pub(super) fn with_voter(membership: &Membership, id: u64) -> Result<Membership, String> {
    changed(membership, |voters, _| {
        voters.insert(id);
    })
}

fn changed(
    membership: &Membership,
    change: impl FnOnce(&mut BTreeSet<u64>, &mut BTreeMap<u64, Member>),
) -> Result<Membership, String> {
    let mut voters: BTreeSet<u64> = membership.voter_ids().collect();
    let mut nodes: BTreeMap<u64, Member> = membership.nodes().map(|(id, member)| (*id, member.clone())).collect();
    change(&mut voters, &mut nodes);
    whole(vec![voters], nodes)
}

/// The voters records of a membership: one for each set that has to agree, which is one but for a while.
pub(super) fn records(membership: &Membership) -> Vec<Bytes> {
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let voter = |id: &u64| membership.get_node(id).cloned().unwrap_or_default().to_voter(*id);
    let encode = |record: &VotersRecord| record.to_bytes(0).expect("version 0 has all of it");
    let learners: Vec<Voter> = membership.nodes().map(|(id, _)| id).filter(|id| !voters.contains(id)).map(voter).collect();
    let learners = (!learners.is_empty()).then(|| {
        let record = VotersRecord { voters: learners, ..VotersRecord::default() };
        (LEARNERS_TAG, encode(&record))
    });
    let record = |ids: &BTreeSet<u64>| VotersRecord {
        voters: ids.iter().map(voter).collect(),
        unknown_tagged_fields: learners.iter().cloned().collect(),
        ..VotersRecord::default()
    };
    membership.get_joint_config().iter().map(|ids| encode(&record(ids))).collect()
}

/// The record that says that voters can change.
pub(super) fn kraft_version_record() -> Bytes {
    let record = KRaftVersionRecord { kraft_version: KRAFT_VERSION_DYNAMIC, ..KRaftVersionRecord::default() };
    record.to_bytes(0).expect("version 0 has all of it")
}

/// The membership that a control batch names, if it names one.
///
/// # Errors
/// A record that cannot be read.
pub(super) fn named_in(batch: &Batch<'_>) -> Result<Option<Membership>, String> {
    if !batch.header.attributes.is_control() {
        return Ok(None);
    }
    let at = |error: &dyn std::fmt::Display| format!("control record in the batch at {}: {error}", batch.header.base_offset);
    let read = |value: Bytes| VotersRecord::from_bytes(value, 0).map_err(|error| at(&error));
    let (mut sets, mut nodes) = (vec![], BTreeMap::new());
    for record in batch.records().into_iter().flatten() {
        let record = record.map_err(|error| at(&error))?;
        if ControlRecordType::parse_key(record.key).map_err(|error| at(&error))? != Some(ControlRecordType::KRaftVoters) {
            continue;
        }
        let record = read(Bytes::copy_from_slice(record.value.unwrap_or_default()))?;
        let voters: BTreeMap<u64, Member> = record.voters.iter().map(Member::from_voter).collect();
        sets.push(voters.keys().copied().collect::<BTreeSet<u64>>());
        nodes.extend(voters);
        for (_, learners) in record.unknown_tagged_fields.iter().filter(|(tag, _)| *tag == LEARNERS_TAG) {
            nodes.extend(read(learners.clone())?.voters.iter().map(Member::from_voter));
        }
    }
    if sets.is_empty() { Ok(None) } else { whole(sets, nodes).map(Some).map_err(|error| at(&error)) }
}
