//! Requests out of the schemas: for each field a value that means something to a broker, or that it must refuse.

use super::schema::{Field, Message, Type};
use super::tree::{self, Tree};
use super::wire::Random;
use flumen::model::{Offset, ProducerId};
use flumen::record::{BatchBuilder, Compression};
use std::collections::BTreeSet;

pub struct Generator<'a> {
    pub message: &'a Message,
    pub version: i16,
    pub random: &'a mut Random,
    /// Makes groups that nobody else has.
    pub number: u64,
}

fn numbers(values: &[i64]) -> Vec<Tree> {
    values.iter().map(|&value| Tree::Number(value)).collect()
}

fn texts(values: &[&str]) -> Vec<Tree> {
    values.iter().map(|value| Tree::text(value)).collect()
}

impl Generator<'_> {
    pub fn request(&mut self) -> Tree {
        let name = self.message.name.clone();
        let mut tree = self.structure(&name, 0);
        if ["ProduceRequest", "JoinGroupRequest", "DescribeConfigsRequest", "DescribeProducersRequest"].contains(&name.as_str()) {
            // Apache Kafka keeps what a produce says of a partition in several maps, and which of two record sets it answers for is
            // chance; a join that names a protocol twice it never answers. What is described twice is answered twice, which Flumen does not.
            name_once(&mut tree);
        }
        tree
    }

    fn structure(&mut self, name: &str, depth: usize) -> Tree {
        let of = self.message.find(name).clone();
        let mut fields = Vec::new();
        let version = self.version;
        for field in of.fields.iter().filter(|field| field.versions.contains(version)) {
            if field.is_tagged_in(self.version) && self.random.one_in(2) {
                continue;
            }
            let value = if self.random.one_in(6) && self.may_be_default(field) {
                tree::default(field)
            } else if field.nullable.contains(self.version)
                && field.ty != Type::Records
                && field.name != "ConfigurationKeys"
                && self.random.one_in(5)
            {
                // Apache Kafka never answers a produce with null for records.
                Tree::Null
            } else {
                self.value(name, field, depth)
            };
            fields.push((field.name.clone(), value));
        }
        Tree::Struct(fields)
    }

    /// Defaults that would make a broker wait, or forward a request, or create what the other requests do not expect.
    fn may_be_default(&self, field: &Field) -> bool {
        ![
            "Records",
            "ResourceName",
            "ConfigurationKeys",
            "ConfigurationKeys",
            "AllowAutoTopicCreation",
            "Acks",
            "MaxWaitMs",
            "timeoutMs",
            "TimeoutMs",
            "ReplicaId",
            "KeyType",
            "TopicId",
        ]
        .contains(&field.name.as_str())
            && !matches!(field.ty, Type::Struct(_))
    }

    fn value(&mut self, of: &str, field: &Field, depth: usize) -> Tree {
        match &field.ty {
            Type::Array(element) => {
                let never_empty = field.name == "ConfigurationKeys";
                let least = usize::from(never_empty || depth == 0 && !self.random.one_in(8));
                let count = least + self.random.below(3 - least.min(1));
                Tree::list((0..count).map(|_| self.element(of, field, element, depth)).collect::<Vec<_>>())
            }
            ty => self.element(of, field, ty, depth),
        }
    }

    fn element(&mut self, of: &str, field: &Field, ty: &Type, depth: usize) -> Tree {
        if let Type::Struct(name) = ty {
            return self.structure(name, depth + 1);
        }
        let choices = self.choices(of, &field.name, ty);
        choices[self.random.below(choices.len())].clone()
    }

    /// What a field may have, by its name and where it stands.
    fn choices(&mut self, of: &str, field: &str, ty: &Type) -> Vec<Tree> {
        let message = self.message.name.as_str();
        match (message, of, field) {
            ("JoinGroupRequest", _, "GroupId") => vec![Tree::text(""), Tree::Text(format!("joined-{}", self.number))],
            ("CreateTopicsRequest", "CreatableTopic", "Name") | ("DeleteTopicsRequest", _, "Name" | "TopicNames") => {
                texts(&["made", "made.too", "made_too", "", "..", "bad/name", "absent"])
            }
            // One name of them is too long for what marks a copy.
            ("AlterReplicaLogDirsRequest", _, "Name") => {
                let mut names = text_choices("Name");
                names.push(Tree::Text("l".repeat(220)));
                names
            }
            ("AlterReplicaLogDirsRequest", _, "Path") => texts(&["<log dir>", "<log dir>", "/nowhere", "", "data"]),
            ("CreatePartitionsRequest", _, "Name") => texts(&["growing", "absent", ""]),
            ("DeleteTopicsRequest", _, "TopicId") => vec![Tree::Uuid([0; 16]), Tree::Uuid([9; 16])],
            (_, "CreatableTopicConfig" | "CreateableTopicConfig", "Name") => {
                texts(&["retention.ms", "segment.bytes", "cleanup.policy", "compression.type", "no.such.config"])
            }
            (_, "CreatableTopicConfig" | "CreateableTopicConfig", "Value") => {
                texts(&["1048576", "-1", "compact", "compact,delete", "words", "", "gzip"])
            }
            // Addresses are described, but none is given a quota: Flumen refuses that. And nobody gets one that the test would feel.
            ("AlterClientQuotasRequest", _, "EntityType") => texts(&["user", "user", "client-id", "client-id", "", "planet"]),
            (_, _, "EntityType") => texts(&["user", "client-id", "ip", "", "planet"]),
            (_, _, "EntityName" | "Match") => texts(&["alice", "alice", "bob", ""]),
            ("AlterClientQuotasRequest", _, "Key") => texts(&[
                "producer_byte_rate",
                "consumer_byte_rate",
                "request_percentage",
                "controller_mutation_rate",
                "connection_creation_rate",
                "no_such_rate",
            ]),
            ("AlterClientQuotasRequest", _, "Value") => [1e9, 2e9, 1e9 + 0.5, 0.0, -1.0].map(Tree::Float).to_vec(),
            // The broker that is asked is the only one.
            ("UnregisterBrokerRequest", _, "BrokerId") => numbers(&[0, 2, 77, -1]),
            (_, _, "MatchType") => numbers(&[0, 0, 1, 2, 2, 3, -1]),
            // What both serve, and levels that both take or both refuse; level 1 of kraft.version, Apache Kafka alone would.
            ("UpdateFeaturesRequest", _, "Feature") => {
                texts(&["metadata.version", "metadata.version", "kraft.version", "no.such.feature", ""])
            }
            ("UpdateFeaturesRequest", _, "MaxVersionLevel") => numbers(&[29, 29, 28, 25, 23, 22, 17, 7, 30, 0, -1]),
            ("UpdateFeaturesRequest", _, "UpgradeType") => numbers(&[1, 1, 2, 2, 3, 0, 4, -1]),
            // Neither loggers, which are ours, nor groups, which cannot be described yet; and of a broker not all its settings, which are
            // the test's.
            ("DescribeConfigsRequest", _, "ResourceType") => numbers(&[2, 2, 2, 4, 16, 0, 3, 127]),
            // What all brokers share has a rule of its own where there are eligible leader replicas (KIP-966).
            ("AlterConfigsRequest" | "IncrementalAlterConfigsRequest", _, "ResourceName") => texts(&["one", "absent", "1", "7"]),
            (_, _, "ConfigurationKeys") => texts(&["retention.ms", "num.partitions", "no.such.config", "node.id"]),
            _ => match ty {
                Type::Str => text_choices(field),
                Type::Uuid => {
                    vec![Tree::text("<id of one>"), Tree::text("<id of three>"), Tree::Uuid([9; 16]), Tree::Uuid([0; 16])]
                }
                Type::Records => self.records(),
                Type::Bytes => vec![Tree::Bytes(Vec::new()), Tree::Bytes(b"some bytes".to_vec())],
                Type::Bool if field == "AllowAutoTopicCreation" => numbers(&[0]),
                Type::Bool => numbers(&[0, 1]),
                Type::F64 => vec![Tree::Float(1.5)],
                _ => number_choices(field),
            },
        }
    }

    /// Batches, good and bad.
    fn records(&mut self) -> Vec<Tree> {
        let batch = |compression: Compression, records: i64| {
            let mut builder = BatchBuilder::new(compression).base_offset(Offset(0));
            (0..records).for_each(|n| {
                builder.append(1_700_000_000_000 + n, Some(b"key"), Some(b"value"));
            });
            builder.build().to_vec()
        };
        let good = batch(Compression::NONE, 3);
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let mut idempotent = BatchBuilder::new(Compression::NONE).producer(ProducerId(7), 0, 5);
        idempotent.append(1_700_000_000_000, None, Some(b"value"));
        [
            good.clone(),
            batch(Compression::of(flumen::record::Codec::Gzip), 5),
            idempotent.build().to_vec(),
            Vec::new(),
            good[..good.len() - 1].to_vec(),
            // A byte that the CRC covers.
            changed(good.len() - 1, 0xff),
            [good.clone(), good.clone()].concat(),
        ]
        .map(Tree::Bytes)
        .to_vec()
    }
}

/// Leaves the first of topics with one name or id, and of partitions with one index in a topic.
fn name_once(tree: &mut Tree) {
    match tree {
        Tree::List(items) => {
            let mut here = BTreeSet::new();
            items.retain(|item| {
                let key = ["Name", "TopicId", "Index", "ResourceType", "ResourceName"].map(|field| item.field(field).cloned());
                key.iter().all(Option::is_none) || here.insert(format!("{key:?}"))
            });
            items.iter_mut().for_each(|item| name_once(item));
        }
        Tree::Struct(fields) => fields.iter_mut().for_each(|(_, value)| name_once(value)),
        _ => {}
    }
}

fn text_choices(field: &str) -> Vec<Tree> {
    match field {
        "Name" | "Topic" | "TopicName" | "TopicNames" => texts(&["one", "three", "three", "absent", "", "bad/name"]),
        "GroupId" | "Groups" | "GroupsNames" | "Key" | "CoordinatorKeys" => texts(&["committers", "committers", "absent", ""]),
        "MemberId" => texts(&["", "", "stranger"]),
        "GroupInstanceId" => texts(&["static"]),
        "ProtocolType" => texts(&["consumer", "consumer", ""]),
        "ResourceName" => texts(&["one", "absent", "", "1", "7", "committers"]),
        "StatesFilter" => texts(&["Empty", "stable", "nonsense"]),
        "TypesFilter" => texts(&["classic", "CONSUMER", "nonsense"]),
        "ClientSoftwareName" | "ClientSoftwareVersion" => texts(&["tests", "1.0", "not allowed!", ""]),
        "TransactionalId" => texts(&[""]),
        "CommittedMetadata" => vec![Tree::text(""), Tree::text("words"), Tree::Text("m".repeat(4097))],
        _ => texts(&["", "some"]),
    }
}

fn number_choices(field: &str) -> Vec<Tree> {
    let most = i64::from(i32::MAX);
    numbers(match field {
        "PartitionIndex" | "PartitionIndexes" | "Partition" | "Partitions" | "Index" => &[0, 0, 1, 2, 7, -1],
        "GenerationId" | "GenerationIdOrMemberEpoch" | "MemberEpoch" => &[-1, -1, 0, 1],
        "CommittedOffset" => &[0, 5, 7],
        "CommittedLeaderEpoch" | "CurrentLeaderEpoch" | "LastFetchedEpoch" | "LeaderEpoch" => &[-1, -1, 0, 1],
        "Timestamp" => &[-1, -2, -3, -4, -5, -6, -7, 0, 1_700_000_000_001, i64::MAX],
        "FetchOffset" => &[0, 0, 1, 3, 100, -1],
        "PartitionMaxBytes" | "MaxBytes" => &[0, 1, 1000, 1 << 20],
        "MaxWaitMs" => &[0, 1],
        "SessionEpoch" => &[-1, -1, 0, 1],
        "SessionId" => &[0, 0, 0],
        "Acks" => &[1, -1, 2],
        "TimeoutMs" | "timeoutMs" => &[10_000],
        "ReplicaId" => &[-1],
        "NumPartitions" => &[1, 2, -1, 0, -2],
        "ReplicationFactor" => &[1, 1, -1, 0, 2],
        "Count" => &[1, 2, 3, 4, 0, -1],
        "BrokerIds" | "NodeId" | "BrokerId" => &[1, 1, 2, -1],
        "ResourceType" => &[2, 4, 8, 0, 3, 16, 32, 127],
        "KeyType" => &[0, 0, 3, -1],
        "SessionTimeoutMs" => &[6_000, 100, 45_000],
        "RebalanceTimeoutMs" => &[6_000],
        "Offset" => &[0, 1, -1, 100, -2],
        "ProducerId" => &[-1, 5],
        "ProducerEpoch" => &[-1, 0],
        "TransactionTimeoutMs" => &[1000, 60_000],
        "ResponsePartitionLimit" => &[1, 2, 2000],
        "RetentionTimeMs" => &[-1, 1_000_000],
        "EndpointType" => &[1, 2, 3],
        "IsolationLevel" => &[0, 1],
        _ => return numbers(&[0, 1, -1, most]),
    })
}
