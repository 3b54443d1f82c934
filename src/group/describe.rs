//! What an administrator sees of groups (DescribeGroups, ListGroups).

use super::classic::State;
use super::types::{InstanceId, MemberId};
use super::{Coordinator, GroupId};
use bytes::Bytes;
use std::sync::Arc;

/// One group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// What it does.
    pub state: State,
    /// Of how many rebalances it is the outcome.
    pub generation: i32,
    /// `consumer`, `connect` ...; empty for a group that has only offsets.
    pub protocol_type: Arc<str>,
    /// The chosen one; empty unless the group is stable.
    pub protocol: Arc<str>,
    /// By id.
    pub members: Vec<DescribedMember>,
}

/// One of its members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    /// Its id.
    pub member: MemberId,
    /// Of a static member.
    pub instance: Option<InstanceId>,
    /// `client.id`.
    pub client_id: Arc<str>,
    /// Address of the client.
    pub client_host: Arc<str>,
    /// What it said about the chosen protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// What is its; empty unless the group is stable.
    pub assignment: Bytes,
}

impl Coordinator {
    /// One group, if it is there.
    pub fn describe(&self, id: &str) -> Option<Description> {
        let group = self.groups.get(id)?;
        let stable = group.state == State::Stable;
        let nothing = || Arc::<str>::from("");
        let protocol = group.protocol.clone().filter(|_| stable).unwrap_or_else(nothing);
        let members = group.members.iter().map(|(id, member)| DescribedMember {
            member: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if stable { member.metadata(&protocol) } else { Bytes::new() },
            assignment: if stable { member.assignment.clone() } else { Bytes::new() },
        });
        let members = members.collect();
        let protocol_type = group.protocol_type.clone().unwrap_or_else(nothing);
        Some(Description { state: group.state, generation: group.generation, protocol_type, protocol, members })
    }

    /// All groups, by name: state and protocol type.
    pub fn list(&self) -> impl Iterator<Item = (&GroupId, State, &str)> {
        self.groups.iter().map(|(id, group)| (id, group.state, group.protocol_type.as_deref().unwrap_or_default()))
    }
}
