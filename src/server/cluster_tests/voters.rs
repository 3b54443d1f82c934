//! Controllers become voters while the cluster runs, and are none any more (KIP-853), by Kafka's own requests.

use super::*;
use crate::model::{LeaderEpoch, Offset, TopicId};
use crate::protocol::Message;
use crate::protocol::generated::voters_record::{Endpoint, KRaftVersionFeature, Voter};
use crate::protocol::generated::{
    AddRaftVoterRequest, KRaftVersionRecord, RemoveRaftVoterRequest, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
    add_raft_voter_request as adding,
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
    let servers = format!("node1:{CONTROLLERS}");
    let settings = [(0, "controller.quorum.voters", ""), (0, "controller.quorum.bootstrap.servers", servers.as_str())];
    let mut stage = Stage::with(11, &["broker,controller"; 3], &settings);
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
