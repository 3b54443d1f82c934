//! Controllers become voters while the cluster runs, and are none any more (KIP-853), by Kafka's own requests.

use super::*;
use crate::model::{LeaderEpoch, Offset, TopicId};
use crate::protocol::Message;
use crate::protocol::generated::update_features_request::FeatureUpdateKey;
use crate::protocol::generated::voters_record::{Endpoint, KRaftVersionFeature, Voter};
use crate::protocol::generated::{
    AddRaftVoterRequest, KRaftVersionRecord, RemoveRaftVoterRequest, SnapshotFooterRecord, SnapshotHeaderRecord,
    UpdateFeaturesRequest, UpdateFeaturesResponse, UpdateRaftVoterRequest, UpdateRaftVoterResponse, VotersRecord,
    add_raft_voter_request as adding, update_raft_voter_request as updating,
};
use crate::record::{BatchBuilder, Compression, ControlRecordType};

const STATE: &str =
    r#"{"leaderId":-1,"leaderEpoch":0,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;

/// As [`Stage::node`] has formatted it.
fn directory(id: i32) -> TopicId {
    TopicId([100 + id as u8; 16])
}

/// A batch of control records as Apache Kafka writes them.
fn control(base: i64, records: &[(ControlRecordType, Bytes)]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE).base_offset(Offset(base)).leader_epoch(LeaderEpoch(0)).control(true);
    for (kind, value) in records {
        builder.append(1_000, Some(&kind.key()), Some(value));
    }
    builder.build()
}

/// What `kafka-storage format --standalone` writes on node 1.
fn first_checkpoint() -> Bytes {
    let endpoint = Endpoint { name: "CONTROLLER".into(), host: "node1".into(), port: CONTROLLERS, ..Endpoint::default() };
    let voter = Voter {
        voter_id: 1,
        voter_directory_id: directory(1),
        endpoints: vec![endpoint],
        kraft_version_feature: KRaftVersionFeature { max_supported_version: 1, ..KRaftVersionFeature::default() },
        ..Voter::default()
    };
    let voters = VotersRecord { voters: vec![voter], ..VotersRecord::default() };
    let version = KRaftVersionRecord { kraft_version: 1, ..KRaftVersionRecord::default() };
    let head = [
        (ControlRecordType::SnapshotHeader, SnapshotHeaderRecord::default().to_bytes(0).unwrap()),
        (ControlRecordType::KRaftVersion, version.to_bytes(0).unwrap()),
        (ControlRecordType::KRaftVoters, voters.to_bytes(0).unwrap()),
    ];
    let footer = [(ControlRecordType::SnapshotFooter, SnapshotFooterRecord::default().to_bytes(0).unwrap())];
    Bytes::from([control(0, &head), control(3, &footer)].concat())
}

/// Three nodes that are broker and controller in one: the first is the only voter, the others are to be added.
fn stage() -> Stage {
    stage_with(11, &[])
}

fn stage_with(seed: u64, more: &[(i32, &str, &str)]) -> Stage {
    let servers = format!("node1:{CONTROLLERS}");
    let settings = [(0, "controller.quorum.voters", ""), (0, "controller.quorum.bootstrap.servers", servers.as_str())];
    let mut stage = Stage::with(seed, &["broker,controller"; 3], &[&settings[..], more].concat());
    for node in &mut stage.nodes {
        node.config.set_voters_can_change();
        let (name, content) = match node.id {
            1 => ("00000000000000000000-0000000000.checkpoint", first_checkpoint()),
            _ => ("quorum-state", Bytes::from_static(STATE.as_bytes())),
        };
        stage.world.run(node.host, move |io| async move {
            let dir = Path::new("/data/__cluster_metadata-0");
            io.create_dir_all(dir).await.unwrap();
            io.replace_file(&dir.join(name), content).await.unwrap();
            io.sync_dir(Path::new("/data")).await.unwrap();
        });
    }
    stage
}

fn add(id: i32) -> AddRaftVoterRequest {
    let listener = adding::Listener {
        name: "CONTROLLER".into(),
        host: format!("node{id}").as_str().into(),
        port: CONTROLLERS,
        ..adding::Listener::default()
    };
    AddRaftVoterRequest {
        cluster_id: Some(CLUSTER_ID.into()),
        timeout_ms: 20_000,
        voter_id: id,
        voter_directory_id: directory(id),
        listeners: vec![listener],
        ..AddRaftVoterRequest::default()
    }
}

fn remove(id: i32, directory: TopicId) -> RemoveRaftVoterRequest {
    let cluster_id = Some(CLUSTER_ID.into());
    RemoveRaftVoterRequest { cluster_id, voter_id: id, voter_directory_id: directory, ..RemoveRaftVoterRequest::default() }
}

#[test]
fn a_single_node_becomes_three_voters_that_go_on_without_it() {
    let stage = stage();
    stage.start(1);
    stage.await_brokers(1, &[1]);
    assert_eq!(stage.create_topic(1, "before", 2), 0);
    (2..=3).for_each(|id| stage.start(id));
    for id in 1..=3 {
        stage.await_brokers(id, &[1, 2, 3]);
    }
    let added = |asked: i32, port: u16, request: AddRaftVoterRequest| stage.ask(asked, port, 0, request).unwrap().error_code;
    // A tool may ask any broker, or the controller that leads.
    assert_eq!(added(2, CLIENTS, add(2)), 0);
    assert_eq!(added(1, CONTROLLERS, add(3)), 0);
    assert_eq!(added(2, CONTROLLERS, add(3)), 6, "it does not lead");
    assert_eq!(added(3, CLIENTS, add(3)), 126, "it is there already");
    assert_eq!(added(3, CLIENTS, AddRaftVoterRequest { cluster_id: Some("another".into()), ..add(3) }), 104);
    assert_eq!(added(3, CLIENTS, AddRaftVoterRequest { voter_directory_id: TopicId::ZERO, ..add(3) }), 42);
    let removed = |id: i32, directory: TopicId| stage.ask(2, CLIENTS, 0, remove(id, directory)).unwrap().error_code;
    assert_eq!(removed(3, directory(2)), 127, "it has another disk");

    let quorum = stage.describe_quorum(3, CLIENTS, |answer| answer.topics[0].partitions[0].error_code == 0);
    let voters: Vec<_> =
        quorum.topics[0].partitions[0].current_voters.iter().map(|one| (one.replica_id, one.replica_directory_id)).collect();
    assert_eq!(voters, [1, 2, 3].map(|id| (id, directory(id))));
    let nodes: Vec<_> = quorum.nodes.iter().map(|node| (node.node_id, node.listeners[0].host.to_string())).collect();
    assert_eq!(nodes, [1, 2, 3].map(|id| (id, format!("node{id}"))));

    stage.world.crash(stage.get(1).host, Crash::PowerLoss);
    stage.await_brokers(2, &[2, 3]);
    assert_eq!(stage.create_topic(3, "without", 2), 0);
    assert_eq!(removed(1, directory(1)), 0);
    // It follows again when it is back, and is none of the voters.
    stage.start(1);
    stage.await_brokers(1, &[1, 2, 3]);
    assert_eq!(stage.create_topic(1, "after", 2), 0);
    let quorum = stage.describe_quorum(1, CLIENTS, |answer| answer.topics[0].partitions[0].observers.len() == 1);
    let ids: Vec<i32> = quorum.topics[0].partitions[0].current_voters.iter().map(|one| one.replica_id).collect();
    assert_eq!((ids, quorum.topics[0].partitions[0].observers[0].replica_id), (vec![2, 3], 1));
}

/// Where the voters are a setting they stay what they are.
#[test]
fn fixed_voters_are_not_changed() {
    let stage = Stage::new(12, &["broker,controller", "broker,controller", "broker,controller"]);
    stage.start_all();
    stage.await_brokers(1, &[1, 2, 3]);
    assert_eq!(stage.ask(1, CLIENTS, 0, add(4)).unwrap().error_code, 35);
    assert_eq!(stage.ask(2, CLIENTS, 0, remove(3, directory(3))).unwrap().error_code, 35);
}

impl Stage {
    /// The voters with their disks and the ports at which they listen, once they are as wanted, by whichever node answers first.
    fn await_voters(&self, asked: i32, wanted: &[(i32, TopicId, u16)]) {
        let told = |answer: &DescribeQuorumResponse| -> Vec<(i32, TopicId, u16)> {
            let voters = answer.topics[0].partitions[0].current_voters.iter();
            let port = |id: i32| answer.nodes.iter().find(|node| node.node_id == id).map_or(0, |node| node.listeners[0].port);
            voters.map(|voter| (voter.replica_id, voter.replica_directory_id, port(voter.replica_id))).collect()
        };
        self.describe_quorum(asked, CLIENTS, |answer| answer.topics[0].partitions[0].error_code == 0 && told(answer) == wanted);
    }

    /// The node is ended, and its controller listens at another port from the next start on.
    fn move_controller(&mut self, id: i32, port: u16) {
        self.stop(id);
        let listeners = format!("PLAINTEXT://node{id}:{CLIENTS},CONTROLLER://node{id}:{port}");
        let settings = [
            ("process.roles", "broker,controller"),
            ("node.id", &id.to_string()),
            ("controller.quorum.bootstrap.servers", &format!("node1:{CONTROLLERS}")),
            ("controller.listener.names", "CONTROLLER"),
            ("listeners", &listeners),
            ("log.dirs", "/data"),
        ];
        let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut config = BrokerConfig::load(None, &settings).expect("the settings are valid").0;
        config.set_voters_can_change();
        self.nodes.iter_mut().find(|node| node.id == id).unwrap().config = config;
    }

    fn raise(&self, asked: i32, validate_only: bool) -> UpdateFeaturesResponse {
        let update = FeatureUpdateKey {
            feature: "kraft.version".into(),
            max_version_level: 1,
            upgrade_type: 1,
            ..FeatureUpdateKey::default()
        };
        let request = UpdateFeaturesRequest { timeout_ms: 10_000, feature_updates: vec![update], validate_only };
        self.ask(asked, CLIENTS, 1, request).unwrap()
    }
}

/// It hands over before it goes, and whoever asked it is answered all the same.
#[test]
fn the_leader_itself_is_taken_out_by_whichever_broker_is_asked() {
    let stage = stage_with(16, &[]);
    (1..=3).for_each(|id| stage.start(id));
    stage.await_brokers(1, &[1, 2, 3]);
    for id in 2..=3 {
        assert_eq!(stage.ask(1, CONTROLLERS, 0, add(id)).unwrap().error_code, 0);
    }
    let leader = || {
        stage.describe_quorum(1, CLIENTS, |answer| answer.topics[0].partitions[0].error_code == 0).topics[0].partitions[0]
            .leader_id
    };
    let at = |id: i32| (id, directory(id), CONTROLLERS);
    for by_itself in [true, false] {
        let old = leader();
        let asked = if by_itself { old } else { old % 3 + 1 };
        assert_eq!(stage.ask(asked, CLIENTS, 0, remove(old, directory(old))).unwrap().error_code, 0);
        let rest: Vec<_> = (1..=3).filter(|id| *id != old).map(at).collect();
        stage.await_voters(asked, &rest);
        assert_ne!(leader(), old);
        assert_eq!(stage.ask(asked, CLIENTS, 0, add(old)).unwrap().error_code, 0);
    }
}

/// A voter that comes back elsewhere says so itself; until then the leader looks for it where it was.
#[test]
fn a_voter_that_has_moved_is_found_again() {
    const ELSEWHERE: u16 = 9099;
    let mut stage = stage();
    (1..=3).for_each(|id| stage.start(id));
    stage.await_brokers(1, &[1, 2, 3]);
    for id in 2..=3 {
        assert_eq!(stage.ask(1, CONTROLLERS, 0, add(id)).unwrap().error_code, 0);
    }
    stage.move_controller(3, ELSEWHERE);
    stage.start(3);
    let at = |id: i32| (id, directory(id), if id == 3 { ELSEWHERE } else { CONTROLLERS });
    stage.await_voters(1, &[at(1), at(2), at(3)]);
    // With it two of three are a majority.
    stage.world.crash(stage.get(1).host, Crash::PowerLoss);
    stage.await_brokers(2, &[2, 3]);
    assert_eq!(stage.create_topic(2, "with", 2), 0);

    // What other controllers may not say of themselves.
    let leader = [2, 3].into_iter().find(|id| {
        let answer = stage.ask(*id, at(*id).2, 0, update(3, directory(3), -1)).unwrap();
        answer.current_leader.leader_id == *id
    });
    let leader = leader.expect("one of them leads");
    let told =
        |request: UpdateRaftVoterRequest| -> UpdateRaftVoterResponse { stage.ask(leader, at(leader).2, 0, request).unwrap() };
    let answer = told(update(3, directory(3), -1));
    assert_eq!((answer.error_code, answer.current_leader.port), (74, i32::from(at(leader).2)), "an epoch of long ago");
    let epoch = answer.current_leader.leader_epoch;
    assert_eq!(told(update(3, directory(3), epoch + 1)).error_code, 75, "an epoch to come");
    assert_eq!(told(update(3, directory(2), epoch)).error_code, 127, "it has another disk");
    assert_eq!(told(update(4, directory(3), epoch)).error_code, 127, "there is no such voter");
    let feature = updating::KRaftVersionFeature { min_supported_version: 0, max_supported_version: 0 };
    let old = UpdateRaftVoterRequest { kraft_version_feature: feature, ..update(3, directory(3), epoch) };
    assert_eq!(told(old).error_code, 42, "it would not understand what is in force");
    assert_eq!(told(UpdateRaftVoterRequest { listeners: vec![], ..update(3, directory(3), epoch) }).error_code, 42);
    assert_eq!(told(UpdateRaftVoterRequest { cluster_id: Some("x".into()), ..update(3, directory(3), epoch) }).error_code, 104);
    assert_eq!(told(update(3, directory(3), epoch)).error_code, 0, "as it is");
    let other = 5 - leader;
    assert_eq!(stage.ask(other, at(other).2, 0, update(3, directory(3), epoch)).unwrap().error_code, 6, "it does not lead");
}

/// What voter 3 says of itself after it has moved, or another would.
fn update(id: i32, directory: TopicId, epoch: i32) -> UpdateRaftVoterRequest {
    let listener = updating::Listener { name: "CONTROLLER".into(), host: "node3".into(), port: 9099 };
    UpdateRaftVoterRequest {
        cluster_id: Some(CLUSTER_ID.into()),
        current_leader_epoch: epoch,
        voter_id: id,
        voter_directory_id: directory,
        listeners: vec![listener],
        kraft_version_feature: updating::KRaftVersionFeature { min_supported_version: 0, max_supported_version: 1 },
    }
}

/// Settings may let controllers add themselves, and take out the voter that had their id and a disk that is gone (KIP-1186).
#[test]
fn controllers_join_by_themselves_also_with_a_new_disk() {
    let stage = stage_with(14, &[(0, "controller.quorum.auto.join.enable", "true")]);
    (1..=3).for_each(|id| stage.start(id));
    let at = |id: i32| (id, directory(id), CONTROLLERS);
    stage.await_voters(1, &[at(1), at(2), at(3)]);

    stage.world.crash(stage.get(3).host, Crash::Kill);
    let disk = stage.world.disk(stage.get(3).host);
    assert!(disk.files().into_iter().all(|file| disk.remove(file)));
    let new = TopicId([203; 16]);
    stage.world.run(stage.get(3).host, move |io| async move {
        io.create_dir_all(Path::new("/data")).await.unwrap();
        let meta = format!("version=1\ncluster.id={CLUSTER_ID}\nnode.id=3\ndirectory.id={new}\n");
        io.replace_file(Path::new("/data/meta.properties"), Bytes::from(meta)).await.unwrap();
    });
    stage.start(3);
    stage.await_voters(1, &[at(1), at(2), (3, new, CONTROLLERS)]);
    stage.world.crash(stage.get(2).host, Crash::PowerLoss);
    stage.await_brokers(3, &[1, 3]);
    assert_eq!(stage.create_topic(1, "with", 2), 0);
}

#[test]
fn fixed_voters_become_such_that_can_change() {
    let stage = Stage::new(13, &["broker,controller"; 3]);
    stage.start_all();
    stage.await_brokers(1, &[1, 2, 3]);
    let removed = |asked: i32, id: i32| stage.ask(asked, CLIENTS, 0, remove(id, directory(id))).unwrap().error_code;
    assert_eq!(stage.raise(2, true).error_code, 0);
    assert_eq!(removed(1, 3), 35, "it was only looked at");
    stage.world.crash(stage.get(3).host, Crash::Kill);
    stage.await_brokers(1, &[1, 2]);
    let refused = stage.raise(1, false);
    let said = refused.error_message.as_deref().unwrap_or_default();
    assert!(refused.error_code == 95 && said.contains("Voter 3"), "not all of them can say where they are: {said}");
    stage.start(3);
    stage.await_brokers(1, &[1, 2, 3]);
    assert_eq!(stage.raise(3, false).error_code, 0);
    assert_eq!(stage.raise(1, false).error_code, 0, "it is so");
    let at = |id: i32| (id, directory(id), CONTROLLERS);
    stage.await_voters(2, &[at(1), at(2), at(3)]);

    // The settings name them still, and count for nothing: neither now nor after a restart.
    assert_eq!(removed(1, 3), 0);
    stage.await_voters(1, &[at(1), at(2)]);
    stage.nodes.iter().for_each(|node| stage.world.crash(node.host, Crash::PowerLoss));
    stage.start_all();
    stage.await_brokers(1, &[1, 2, 3]);
    stage.await_voters(3, &[at(1), at(2)]);
    assert_eq!(stage.ask(2, CLIENTS, 0, add(3)).unwrap().error_code, 0);
    stage.await_voters(1, &[at(1), at(2), at(3)]);
    stage.world.crash(stage.get(1).host, Crash::PowerLoss);
    stage.await_brokers(3, &[2, 3]);
    assert_eq!(stage.create_topic(2, "after", 2), 0);
}

/// A controller that is the only voter, by a setting, and two brokers that read along.
#[test]
fn a_single_fixed_voter_gets_others() {
    let more = [(3, "controller.quorum.voters", ""), (3, "controller.quorum.bootstrap.servers", "node1:9093")];
    let stage = Stage::with(
        15,
        &["controller", "broker", "broker,controller"],
        &[&[(1, "controller.quorum.voters", "1@node1:9093"), (2, "controller.quorum.voters", "1@node1:9093")], &more[..]]
            .concat(),
    );
    (1..=2).for_each(|id| stage.start(id));
    stage.await_brokers(2, &[2]);
    assert_eq!(stage.raise(2, false).error_code, 0);
    stage.await_voters(2, &[(1, directory(1), CONTROLLERS)]);
    let mut stage = stage;
    stage.nodes[2].config.set_voters_can_change();
    stage.start(3);
    stage.await_brokers(2, &[2, 3]);
    assert_eq!(stage.ask(2, CLIENTS, 0, add(3)).unwrap().error_code, 0);
    let at = |id: i32| (id, directory(id), CONTROLLERS);
    stage.await_voters(3, &[at(1), at(3)]);
    assert_eq!(stage.ask(2, CLIENTS, 0, remove(1, directory(1))).unwrap().error_code, 0);
    stage.await_voters(3, &[at(3)]);
    assert_eq!(stage.create_topic(2, "after", 2), 0);
}
