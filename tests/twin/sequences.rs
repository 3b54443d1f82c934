//! Stories: requests that follow each other, in each version, and requests at the same time.

use super::tree::Tree;
use super::{PATIENCE, PAUSE, Twins};
use flumen::model::{Offset, ProducerId};
use flumen::protocol::ApiKey;
use flumen::protocol::api::SERVED;
use flumen::record::{BatchBuilder, Compression};

/// What a member of the consumer protocol wants: version 0, the topic `three`, no data of its own.
const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x05three\xff\xff\xff\xff";
/// Connections that ask at the same time.
const AT_ONCE: usize = 6;

pub fn all(twins: &mut Twins) {
    for version in versions(ApiKey::Produce) {
        life_of_a_topic(twins, version);
    }
    for version in versions(ApiKey::Fetch) {
        errors_of_fetch(twins, version);
    }
    deleted_records(twins);
    sequence_numbers(twins);
    for version in versions(ApiKey::JoinGroup) {
        life_of_a_group(twins, version);
    }
    at_the_same_time(twins);
}

fn versions(api: ApiKey) -> std::ops::RangeInclusive<i16> {
    let served = SERVED.iter().find(|served| served.api_key == api).expect("an API that is served");
    served.min..=served.max
}

/// The version of `api` that is `version`, or the next that there is.
fn near(api: ApiKey, version: i16) -> i16 {
    let versions = versions(api);
    version.clamp(*versions.start(), *versions.end())
}

fn number(number: i64) -> Tree {
    Tree::Number(number)
}

/// A topic by all its names: a version has one of them.
fn named(topic: &str, id: &str, rest: &[(&str, Tree)]) -> Tree {
    let mut fields = vec![("Name", Tree::text(topic)), ("Topic", Tree::text(topic)), ("TopicId", Tree::text(id))];
    fields.extend(rest.iter().cloned());
    Tree::of(&fields)
}

fn records(mut builder: BatchBuilder, count: i64) -> Tree {
    for n in 0..count {
        builder.append(1_700_000_000_000 + n, Some(b"key"), Some(b"value"));
    }
    Tree::Bytes(builder.build().to_vec())
}

fn plain(count: i64) -> Tree {
    records(BatchBuilder::new(Compression::NONE).base_offset(Offset(0)), count)
}

fn numbered(producer: i64, epoch: i16, sequence: i32) -> Tree {
    records(BatchBuilder::new(Compression::NONE).producer(ProducerId(producer), epoch, sequence), 2)
}

fn produce(topic: &str, id: &str, partition: i64, records: Tree) -> Tree {
    let partition = Tree::of(&[("Index", number(partition)), ("Records", records)]);
    let topic = named(topic, id, &[("PartitionData", Tree::list([partition]))]);
    Tree::of(&[("Acks", number(-1)), ("TimeoutMs", number(10_000)), ("TopicData", Tree::list([topic]))])
}

/// A fetch of partitions `(index, offset)`; the reader takes the leader to be in `epoch`.
fn fetch_in_epoch(topic: &str, id: &str, places: &[(i64, i64)], epoch: i64) -> Tree {
    let partition = |(partition, offset): &(i64, i64)| {
        Tree::of(&[
            ("Partition", number(*partition)),
            ("CurrentLeaderEpoch", number(epoch)),
            ("FetchOffset", number(*offset)),
            ("PartitionMaxBytes", number(1 << 20)),
        ])
    };
    let partitions = Tree::list(places.iter().map(partition).collect::<Vec<_>>());
    let topics = Tree::list([named(topic, id, &[("Partitions", partitions)])]);
    Tree::of(&[("MaxWaitMs", number(0)), ("MaxBytes", number(1 << 20)), ("SessionEpoch", number(-1)), ("Topics", topics)])
}

fn fetch(topic: &str, id: &str, places: &[(i64, i64)]) -> Tree {
    fetch_in_epoch(topic, id, places, -1)
}

fn list_offsets(topic: &str, timestamp: i64) -> Tree {
    let partition = Tree::of(&[("PartitionIndex", number(0)), ("Timestamp", number(timestamp))]);
    let topic = Tree::of(&[("Name", Tree::text(topic)), ("Partitions", Tree::list([partition]))]);
    Tree::of(&[("ReplicaId", number(-1)), ("Topics", Tree::list([topic]))])
}

/// With as many partitions and replicas as the broker gives by default.
fn create(topic: &str) -> Tree {
    let topic = Tree::of(&[("Name", Tree::text(topic)), ("NumPartitions", number(-1)), ("ReplicationFactor", number(-1))]);
    Tree::of(&[("Topics", Tree::list([topic])), ("timeoutMs", number(30_000))])
}

fn delete(topic: &str) -> Tree {
    let topic = Tree::of(&[("Name", Tree::text(topic)), ("TopicId", Tree::Uuid([0; 16]))]);
    Tree::of(&[("Topics", Tree::list([topic])), ("TimeoutMs", number(30_000))])
}

impl Twins {
    /// Creates a topic; both lead it when this returns.
    fn create(&mut self, topic: &str) {
        self.ask(ApiKey::CreateTopics, 7, &create(topic));
        for _ in 0..PATIENCE * 20 {
            let (flumen, kafka) = self.ask_once(ApiKey::ListOffsets, 7, &list_offsets(topic, -1));
            if flumen == kafka {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("{topic} is not led by both");
    }

    /// What each says of itself in a field of an answer, to be named by a symbol.
    fn remember(&mut self, symbol: &str, field: &str, (flumen, kafka): &(Tree, Tree)) {
        for (side, answer) in [(&mut self.flumen, flumen), (&mut self.kafka, kafka)] {
            side.remember(symbol, answer.field(field).expect("a field of the answer").clone());
        }
    }
}

/// Create, produce, read, delete, produce again, create again.
fn life_of_a_topic(twins: &mut Twins, version: i16) {
    let topic = format!("life-{version}");
    let fetch_version = near(ApiKey::Fetch, version);
    for life in ["", " 2"] {
        let id = format!("<id of {topic}{life}>");
        twins.create(&topic);
        for (partition, count) in [(0, 3), (1, 1), (0, 2), (7, 2)] {
            twins.ask(ApiKey::Produce, version, &produce(&topic, &id, partition, plain(count)));
        }
        twins.ask(ApiKey::ListOffsets, 7, &list_offsets(&topic, -1));
        twins.ask(ApiKey::ListOffsets, 7, &list_offsets(&topic, -2));
        twins.ask(ApiKey::Fetch, fetch_version, &fetch(&topic, &id, &[(0, 0), (1, 1), (7, 0)]));
        twins.ask(ApiKey::DeleteTopics, 6, &delete(&topic));
        twins.ask(ApiKey::Produce, version, &produce(&topic, &id, 0, plain(1)));
        twins.ask(ApiKey::Fetch, fetch_version, &fetch(&topic, &id, &[(0, 0)]));
        twins.ask(ApiKey::ListOffsets, 7, &list_offsets(&topic, -1));
        twins.ask(ApiKey::DeleteTopics, 6, &delete(&topic));
    }
}

/// Each error comes with records that are null, or empty, or not there at all.
fn errors_of_fetch(twins: &mut Twins, version: i16) {
    let topic = format!("errors-{version}");
    let id = format!("<id of {topic}>");
    twins.create(&topic);
    twins.ask(ApiKey::Produce, 9, &produce(&topic, &id, 0, plain(3)));
    for places in [&[(0, 3)][..], &[(0, 4)], &[(0, -1)], &[(9, 0)], &[(0, 0), (0, 4), (1, 0), (9, 0)]] {
        twins.ask(ApiKey::Fetch, version, &fetch(&topic, &id, places));
    }
    // The epoch of the leader: none, its own, and those that are not yet.
    for epoch in [-1, 0, 1, 5] {
        twins.ask(ApiKey::Fetch, version, &fetch_in_epoch(&topic, &id, &[(0, 1)], epoch));
    }
    twins.flumen.remember("<no id>", Tree::Uuid([9; 16]));
    twins.kafka.remember("<no id>", Tree::Uuid([9; 16]));
    twins.ask(ApiKey::Fetch, version, &fetch("absent", "<no id>", &[(0, 0)]));
}

fn deleted_records(twins: &mut Twins) {
    let (topic, id) = ("shortened", "<id of shortened>");
    twins.create(topic);
    for _ in 0..3 {
        twins.ask(ApiKey::Produce, 9, &produce(topic, id, 0, plain(2)));
    }
    for (version, offset) in [(0, 1), (1, 3), (2, 3), (2, 2), (2, 7), (2, -1)] {
        let partition = Tree::of(&[("PartitionIndex", number(0)), ("Offset", number(offset))]);
        let asked = Tree::of(&[("Name", Tree::text(topic)), ("Partitions", Tree::list([partition]))]);
        let request = Tree::of(&[("Topics", Tree::list([asked])), ("TimeoutMs", number(10_000))]);
        twins.ask(ApiKey::DeleteRecords, version, &request);
        twins.ask(ApiKey::ListOffsets, 7, &list_offsets(topic, -2));
        for place in [0, offset.max(0), 6] {
            twins.ask(ApiKey::Fetch, 12, &fetch(topic, id, &[(0, place)]));
        }
    }
}

/// An idempotent producer that says again what it said, leaves something out, and comes with older and newer epochs.
fn sequence_numbers(twins: &mut Twins) {
    let (topic, id) = ("numbered", "<id of numbered>");
    twins.create(topic);
    let steps =
        [(0, 0), (0, 2), (0, 0), (0, 2), (0, 9), (1, 4), (1, 0), (0, 4), (1, 2), (1, 0), (3, 0), (2, 0), (3, 2), (3, 2), (3, 1)];
    for (epoch, sequence) in steps {
        for version in [3, 7, 8, 9, 11] {
            twins.ask(ApiKey::Produce, version, &produce(topic, id, 0, numbered(4_000, epoch, sequence)));
        }
    }
}

/// The one member of a group and what it asks.
struct Story {
    group: Tree,
    version: i16,
    generation: i64,
}

impl Story {
    fn join(&self, member: &str) -> Tree {
        let protocol = Tree::of(&[("Name", Tree::text("range")), ("Metadata", Tree::Bytes(SUBSCRIPTION.to_vec()))]);
        Tree::of(&[
            ("GroupId", self.group.clone()),
            ("SessionTimeoutMs", number(45_000)),
            ("RebalanceTimeoutMs", number(6_000)),
            ("MemberId", Tree::text(member)),
            ("ProtocolType", Tree::text("consumer")),
            ("Protocols", Tree::list([protocol])),
        ])
    }

    /// Of the member in a generation.
    fn member(&self, generation: i64, rest: &[(&str, Tree)]) -> Tree {
        let mut fields = vec![
            ("GroupId", self.group.clone()),
            ("GenerationId", number(generation)),
            ("GenerationIdOrMemberEpoch", number(generation)),
            ("MemberId", Tree::text("<member>")),
        ];
        fields.extend(rest.iter().cloned());
        Tree::of(&fields)
    }

    fn sync(&self) -> Tree {
        let assignment = [("MemberId", Tree::text("<member>")), ("Assignment", Tree::Bytes(b"all of it".to_vec()))];
        self.member(
            self.generation,
            &[
                ("Assignments", Tree::list([Tree::of(&assignment)])),
                ("ProtocolType", Tree::text("consumer")),
                ("ProtocolName", Tree::text("range")),
            ],
        )
    }

    fn commit(&self, generation: i64) -> Tree {
        let partition = |index: i64| {
            Tree::of(&[
                ("PartitionIndex", number(index)),
                ("CommittedOffset", number(5)),
                ("CommittedLeaderEpoch", number(0)),
                ("CommittedMetadata", Tree::text("words")),
            ])
        };
        let topic = named("three", "<id of three>", &[("Partitions", Tree::list([partition(0), partition(9)]))]);
        self.member(generation, &[("Topics", Tree::list([topic]))])
    }

    fn committed(&self) -> Tree {
        let indexes = Tree::list([number(0), number(1), number(9)]);
        let topics = Tree::list([named("three", "<id of three>", &[("PartitionIndexes", indexes)])]);
        let asked = [
            ("GroupId", self.group.clone()),
            ("groupId", self.group.clone()),
            ("MemberEpoch", number(-1)),
            ("Topics", topics.clone()),
        ];
        Tree::of(&[("GroupId", self.group.clone()), ("Topics", topics), ("Groups", Tree::list([Tree::of(&asked)]))])
    }

    fn leave(&self) -> Tree {
        let members = ["<member>", "stranger"].map(|member| Tree::of(&[("MemberId", Tree::text(member))]));
        self.member(self.generation, &[("Members", Tree::list(members))])
    }

    fn ask(&self, twins: &mut Twins, api: ApiKey, tree: &Tree) -> (Tree, Tree) {
        twins.ask(api, near(api, self.version), tree)
    }
}

/// Join, sync, commit, fall behind, leave, be deleted.
fn life_of_a_group(twins: &mut Twins, version: i16) {
    let group = Tree::Text(format!("story-{version}"));
    // A version that gives the id away at once is in its second generation after the second join.
    let story = Story { group: group.clone(), version, generation: if version < 4 { 2 } else { 1 } };
    let now = story.generation;
    let first = story.ask(twins, ApiKey::JoinGroup, &story.join(""));
    twins.remember("<member>", "MemberId", &first);
    story.ask(twins, ApiKey::JoinGroup, &story.join("<member>"));
    story.ask(twins, ApiKey::Heartbeat, &story.member(now, &[]));
    story.ask(twins, ApiKey::SyncGroup, &story.sync());
    for generation in [now, now + 1, now - 1, -1] {
        story.ask(twins, ApiKey::Heartbeat, &story.member(generation, &[]));
    }
    for generation in [now, now - 1, -1] {
        story.ask(twins, ApiKey::OffsetCommit, &story.commit(generation));
    }
    let describe = Tree::of(&[("Groups", Tree::list([group.clone()]))]);
    let deletion = Tree::of(&[("GroupsNames", Tree::list([group]))]);
    story.ask(twins, ApiKey::OffsetFetch, &story.committed());
    story.ask(twins, ApiKey::DescribeGroups, &describe);
    story.ask(twins, ApiKey::DeleteGroups, &deletion);
    story.ask(twins, ApiKey::LeaveGroup, &story.leave());
    story.ask(twins, ApiKey::Heartbeat, &story.member(now, &[]));
    story.ask(twins, ApiKey::DescribeGroups, &describe);
    story.ask(twins, ApiKey::DeleteGroups, &deletion);
    story.ask(twins, ApiKey::DescribeGroups, &describe);
    story.ask(twins, ApiKey::OffsetFetch, &story.committed());
}

/// Who is first is chance; what all of them are told together is not.
fn at_the_same_time(twins: &mut Twins) {
    let many = |tree: Tree| vec![tree; AT_ONCE];
    twins.ask_at_once(ApiKey::CreateTopics, 7, &many(create("contended")));
    twins.create("shared");
    twins.ask_at_once(ApiKey::Produce, 9, &many(produce("shared", "", 0, plain(2))));
    twins.ask(ApiKey::ListOffsets, 7, &list_offsets("shared", -1));
    twins.ask(ApiKey::Fetch, 12, &fetch("shared", "", &[(0, 0)]));
    // One of them is written, the others are its duplicates.
    twins.ask_at_once(ApiKey::Produce, 9, &many(produce("shared", "", 1, numbered(4_001, 0, 0))));
    twins.ask_at_once(ApiKey::Fetch, 12, &many(fetch("shared", "", &[(0, 0), (1, 0), (9, 0)])));
    twins.ask_at_once(ApiKey::DeleteTopics, 6, &many(delete("contended")));
    let absent: Vec<Tree> = (0..AT_ONCE).map(|n| produce(&format!("absent-{n}"), "", 0, plain(1))).collect();
    twins.ask_at_once(ApiKey::Produce, 9, &absent);
}
