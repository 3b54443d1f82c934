//! Which APIs we serve and in which versions, and which header goes with which version.
//!
//! [`SERVED`] is the one list of a broker: what stands in it is advertised by ApiVersions and accepted, anything else is neither. A new
//! API is one line there and a file in `api/`. [`SERVED_BY_CONTROLLERS`] is the same of the listeners of controllers.

use super::generated::ApiKey;

/// A line of [`SERVED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedApi {
    /// The API.
    pub api_key: ApiKey,
    /// Lowest version that ApiVersions advertises.
    pub advertised_min: i16,
    /// Lowest version that is accepted; only Produce's differs from the advertised one.
    pub min: i16,
    /// Highest version, advertised and accepted.
    pub max: i16,
}

/// Every API that this broker answers, ascending by number.
pub const SERVED: &[ServedApi] = &[
    // librdkafka takes a broker without Produce 0 for one of the 0.8 days; Kafka advertises and rejects it (KAFKA-18659).
    ServedApi { api_key: ApiKey::Produce, advertised_min: 0, min: 3, max: 13 },
    served(ApiKey::Fetch, 4, 18),
    served(ApiKey::ListOffsets, 1, 11),
    served(ApiKey::Metadata, 0, 13),
    served(ApiKey::OffsetCommit, 2, 10),
    served(ApiKey::OffsetFetch, 1, 10),
    // librdkafka compresses with LZ4 only where this API is.
    served(ApiKey::FindCoordinator, 0, 6),
    served(ApiKey::JoinGroup, 0, 9),
    served(ApiKey::Heartbeat, 0, 4),
    served(ApiKey::LeaveGroup, 0, 5),
    served(ApiKey::SyncGroup, 0, 5),
    served(ApiKey::DescribeGroups, 0, 6),
    served(ApiKey::ListGroups, 0, 5),
    served(ApiKey::ApiVersions, 0, 4),
    served(ApiKey::CreateTopics, 2, 7),
    served(ApiKey::DeleteTopics, 1, 6),
    served(ApiKey::DeleteRecords, 0, 2),
    served(ApiKey::InitProducerId, 0, 5),
    served(ApiKey::OffsetForLeaderEpoch, 2, 4),
    served(ApiKey::DescribeConfigs, 1, 4),
    served(ApiKey::AlterConfigs, 0, 2),
    served(ApiKey::AlterReplicaLogDirs, 1, 2),
    served(ApiKey::DescribeLogDirs, 1, 4),
    served(ApiKey::CreatePartitions, 0, 3),
    served(ApiKey::DeleteGroups, 0, 2),
    served(ApiKey::ElectLeaders, 0, 2),
    served(ApiKey::IncrementalAlterConfigs, 0, 1),
    served(ApiKey::AlterPartitionReassignments, 0, 1),
    served(ApiKey::ListPartitionReassignments, 0, 0),
    served(ApiKey::OffsetDelete, 0, 0),
    served(ApiKey::DescribeClientQuotas, 0, 1),
    served(ApiKey::AlterClientQuotas, 0, 1),
    served(ApiKey::DescribeQuorum, 0, 2),
    served(ApiKey::UpdateFeatures, 0, 2),
    served(ApiKey::DescribeCluster, 0, 2),
    served(ApiKey::DescribeProducers, 0, 0),
    served(ApiKey::UnregisterBroker, 0, 0),
    served(ApiKey::ListConfigResources, 0, 1),
    served(ApiKey::DescribeTopicPartitions, 0, 0),
    served(ApiKey::AddRaftVoter, 0, 1),
    served(ApiKey::RemoveRaftVoter, 0, 0),
];

/// Every API that a controller answers on its own listeners, ascending by number. What voters say to each other is not Kafka's, and not
/// here; of what Kafka's controllers answer, that for SASL, ACLs, SCRAM and delegation tokens is not there yet.
pub const SERVED_BY_CONTROLLERS: &[ServedApi] = &[
    served(ApiKey::Fetch, 4, 18),
    served(ApiKey::ApiVersions, 0, 4),
    served(ApiKey::CreateTopics, 2, 7),
    served(ApiKey::DeleteTopics, 1, 6),
    served(ApiKey::DescribeConfigs, 1, 4),
    served(ApiKey::AlterConfigs, 0, 2),
    served(ApiKey::CreatePartitions, 0, 3),
    served(ApiKey::ElectLeaders, 0, 2),
    served(ApiKey::IncrementalAlterConfigs, 0, 1),
    served(ApiKey::AlterPartitionReassignments, 0, 1),
    served(ApiKey::ListPartitionReassignments, 0, 0),
    served(ApiKey::AlterClientQuotas, 0, 1),
    served(ApiKey::DescribeQuorum, 0, 2),
    served(ApiKey::AlterPartition, 2, 3),
    served(ApiKey::UpdateFeatures, 0, 2),
    served(ApiKey::Envelope, 0, 0),
    served(ApiKey::FetchSnapshot, 0, 1),
    served(ApiKey::DescribeCluster, 0, 2),
    served(ApiKey::BrokerRegistration, 0, 4),
    served(ApiKey::BrokerHeartbeat, 0, 1),
    served(ApiKey::UnregisterBroker, 0, 0),
    served(ApiKey::AllocateProducerIds, 0, 0),
    served(ApiKey::AssignReplicasToDirs, 0, 0),
    served(ApiKey::AddRaftVoter, 0, 1),
    served(ApiKey::RemoveRaftVoter, 0, 0),
    served(ApiKey::UpdateRaftVoter, 0, 0),
];

/// For whom a listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Clients and other brokers.
    Clients,
    /// Other nodes of the cluster, and tools that ask controllers.
    Controllers,
}

impl Audience {
    /// What is served there.
    pub const fn served(self) -> &'static [ServedApi] {
        match self {
            Self::Clients => SERVED,
            Self::Controllers => SERVED_BY_CONTROLLERS,
        }
    }

    /// Whether an API is answered there in `version`.
    pub fn is_served(self, api_key: ApiKey, version: i16) -> bool {
        let served = self.served().iter().find(|served| served.api_key == api_key);
        served.is_some_and(|served| (served.min..=served.max).contains(&version))
    }
}

const fn served(api_key: ApiKey, min: i16, max: i16) -> ServedApi {
    ServedApi { api_key, advertised_min: min, min, max }
}

/// What is served has a codec, is known to be stable, and stands in order.
const _: () = {
    check(SERVED, Audience::Clients);
    check(SERVED_BY_CONTROLLERS, Audience::Controllers);
};

const fn check(list: &[ServedApi], audience: Audience) {
    let mut i = 0;
    while i < list.len() {
        let ServedApi { api_key, advertised_min, min, max } = list[i];
        let schema = api_key.schema();
        assert!(min >= schema.min && max <= schema.max && min <= max && advertised_min <= min);
        assert!(!(schema.latest_unstable && max == schema.max), "an unstable version is never advertised");
        match audience {
            Audience::Clients => assert!(schema.broker, "an API that Kafka's brokers do not answer"),
            Audience::Controllers => assert!(schema.controller, "an API that Kafka's controllers do not answer"),
        }
        assert!(i == 0 || (list[i - 1].api_key as i16) < api_key as i16);
        i += 1;
    }
}

impl ApiKey {
    /// The line of [`SERVED`], if we serve this API.
    pub fn served(self) -> Option<&'static ServedApi> {
        SERVED.iter().find(|served| served.api_key == self)
    }

    /// Whether we answer this API in `version`.
    pub fn is_served(self, version: i16) -> bool {
        self.served().is_some_and(|served| (served.min..=served.max).contains(&version))
    }

    /// Whether messages in `version` have compact lengths and tagged fields (KIP-482).
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.schema().flexible_from
    }

    /// Version of the request header; defined for versions that do not exist too, so that they can be answered.
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// Version of the response header. That of ApiVersions is always 0, since a client that does not know us yet must find the
    /// error code at a fixed place (KIP-511).
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            Self::ApiVersions => 0,
            _ if self.is_flexible(version) => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_kafkas() {
        assert_eq!(ApiKey::from_code(18), Some(ApiKey::ApiVersions));
        assert_eq!(ApiKey::from_code(4), None, "LeaderAndIsr is gone since Kafka 4.0");
        assert_eq!(ApiKey::DescribeTopicPartitions as i16, 75);
        assert_eq!(ApiKey::OffsetForLeaderEpoch.name(), "OffsetForLeaderEpoch");
        for &api_key in ApiKey::ALL {
            assert_eq!(ApiKey::from_code(api_key as i16), Some(api_key));
        }
    }

    #[test]
    fn header_versions_follow_flexibility_but_for_api_versions() {
        let headers = |api: ApiKey, version| (api.request_header_version(version), api.response_header_version(version));
        assert_eq!(headers(ApiKey::ApiVersions, 2), (1, 0));
        assert_eq!(headers(ApiKey::ApiVersions, 3), (2, 0));
        assert_eq!(headers(ApiKey::ApiVersions, 99), (2, 0));
        assert_eq!(headers(ApiKey::Produce, 8), (1, 0));
        assert_eq!(headers(ApiKey::Produce, 9), (2, 1));
        assert_eq!(headers(ApiKey::SaslHandshake, 1), (1, 0));
        assert_eq!(headers(ApiKey::DescribeCluster, 0), (2, 1));
    }

    #[test]
    fn served_versions_are_what_kafka_answers() {
        assert!(ApiKey::Produce.is_served(3) && !ApiKey::Produce.is_served(2));
        assert_eq!(ApiKey::Produce.served().unwrap().advertised_min, 0);
        assert!(ApiKey::InitProducerId.is_served(5) && !ApiKey::InitProducerId.is_served(6));
        assert!(!ApiKey::Envelope.is_served(0));
        let at = |audience: Audience, api_key| audience.is_served(api_key, 0);
        assert!(at(Audience::Controllers, ApiKey::Envelope) && !at(Audience::Clients, ApiKey::Envelope));
        assert!(at(Audience::Clients, ApiKey::Metadata) && !at(Audience::Controllers, ApiKey::Metadata));
    }
}
