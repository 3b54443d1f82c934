//! Controllers come and go with Kafka's own tools (KIP-853), while producers and consumers run: one becomes three, the one that leads is
//! killed, each kind is taken out (who leads too), one moves to another port, and where the settings say so they join by themselves. A
//! quorum whose voters were fixed becomes one whose voters can change.

use crate::checker::Checker;
use crate::nodes::{Cluster, Layout, Roles, Voters};
use crate::support::members::wait_until;
use crate::support::tools;
use serde_json::Value;
use std::time::{Duration, Instant};

/// The checker's topic.
const WATCHED: &str = "watched";
/// Tools are JVMs that share two cores with the brokers.
const LIMIT: Duration = Duration::from_secs(120);
/// Where a controller listens that has moved.
const OTHER_PORT: u16 = 9095;
/// A controller that comes later.
const NEW_NODE: i32 = 4;

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const QUORUM: &str = "org.apache.kafka.tools.MetadataQuorumCommand";
const FEATURES: &str = "org.apache.kafka.tools.FeatureCommand";

struct Stage {
    cluster: Cluster,
    checker: Checker,
}

/// Who votes and who follows, as `describe --status` tells it: `id` and directory of each, and of voters where they listen.
#[derive(Debug)]
struct Status {
    leader: i32,
    voters: Vec<(i32, String, String)>,
    observers: Vec<(i32, String)>,
}

impl Status {
    fn read(text: &str) -> Status {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("{name} is not in {text}")).trim().to_owned()
        };
        let list = |name: &str| -> Vec<Value> { serde_json::from_str(&value(name)).unwrap_or_else(|_| panic!("{name}: {text}")) };
        let id = |one: &Value| i32::try_from(one["id"].as_i64().expect("an id")).unwrap();
        let directory = |one: &Value| one["directoryId"].as_str().unwrap_or_default().to_owned();
        let endpoint = |one: &Value| one["endpoints"][0].as_str().unwrap_or_default().to_owned();
        Status {
            leader: value("LeaderId").parse().expect("a leader"),
            voters: list("CurrentVoters").iter().map(|one| (id(one), directory(one), endpoint(one))).collect(),
            observers: list("CurrentObservers").iter().map(|one| (id(one), directory(one))).collect(),
        }
    }

    fn voter_ids(&self) -> Vec<i32> {
        self.voters.iter().map(|(id, ..)| *id).collect()
    }

    fn observer_ids(&self) -> Vec<i32> {
        self.observers.iter().map(|(id, _)| *id).collect()
    }
}

impl Stage {
    fn start(name: &str, layout: &Layout<'_>) -> Stage {
        let cluster = Cluster::start(name, layout);
        let partitions = ["--create", "--topic", WATCHED, "--partitions", "3", "--replication-factor", "3"];
        let bootstrap = cluster.bootstrap();
        tools::kafka_tool(TOPICS, &[&["--bootstrap-server", &bootstrap], &partitions[..]].concat(), b"");
        cluster.await_in_sync(WATCHED);
        let checker = Checker::start(name, &cluster, WATCHED);
        Stage { cluster, checker }
    }

    /// One step, after which everything that was acked meanwhile is there and the load goes on.
    fn step(&mut self, what: &str, act: impl FnOnce(&mut Stage)) {
        self.checker.report.inject(what, "");
        let began = Instant::now();
        act(self);
        self.checker.report.took("done", began.elapsed());
        let checked = self.checker.await_progress(&self.cluster, LIMIT).and_then(|_| self.checker.check());
        checked.unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
    }

    fn finish(self) {
        self.checker.finish(&self.cluster).unwrap_or_else(|wrong| panic!("at the end: {wrong}"));
    }

    fn tool(&self, main: &str, arguments: &[&str]) -> String {
        let bootstrap = self.cluster.bootstrap();
        let arguments = [&["--bootstrap-server", bootstrap.as_str()][..], arguments].concat();
        String::from_utf8(tools::kafka_tool(main, &arguments, b"")).expect("text")
    }

    fn status(&self) -> Status {
        Status::read(&self.tool(QUORUM, &["describe", "--status"]))
    }

    /// Waits until the voters and those that follow are these.
    fn await_quorum(&self, voters: &[i32], observers: &[i32]) -> Status {
        let mut last = None;
        wait_until(&format!("voters {voters:?}, observers {observers:?}"), LIMIT, || {
            let status = self.status();
            let so = status.voter_ids() == voters && status.observer_ids() == observers;
            last = Some(status);
            so
        });
        last.expect("it was asked")
    }

    /// Makes a node a voter, by its own settings, which say where it listens and where its disk is.
    fn add(&self, id: i32) {
        let settings = self.cluster.settings_file(id);
        let settings = settings.to_str().expect("a path");
        let said = self.tool(QUORUM, &["--command-config", settings, "add-controller"]);
        assert!(said.contains(&format!("Added controller {id}")), "{said}");
    }

    fn remove(&self, id: i32) {
        let (directory, id) = (self.cluster.metadata_directory(id), id.to_string());
        let said = self.tool(QUORUM, &["remove-controller", "--controller-id", &id, "--controller-directory-id", &directory]);
        // The tool has two spaces there.
        assert!(said.contains(&format!("Removed  KRaft controller {id}")), "{said}");
    }

    fn look_at_the_first(&mut self) {
        let status = self.await_quorum(&[1], &[2, 3]);
        assert_eq!(status.leader, 1);
        assert_eq!(status.voters[0].1, self.cluster.metadata_directory(1));
        for (id, directory) in &status.observers {
            assert_eq!(*directory, self.cluster.metadata_directory(*id));
        }
        let replicas = self.tool(QUORUM, &["describe", "--replication"]);
        let rows: Vec<Vec<&str>> = replicas.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let kinds: Vec<(&str, &str)> = rows.iter().map(|row| (row[0], *row.last().expect("a status"))).collect();
        assert_eq!(kinds, [("1", "Leader"), ("2", "Observer"), ("3", "Observer")], "{replicas}");
    }

    fn add_the_others(&mut self) {
        self.add(2);
        self.add(3);
        let status = self.await_quorum(&[1, 2, 3], &[]);
        for (id, directory, endpoint) in status.voters {
            assert_eq!(directory, self.cluster.metadata_directory(id));
            assert_eq!(endpoint, format!("CONTROLLER://{}", self.cluster.controller_address(id)));
        }
    }

    fn kill_the_leader(&mut self) {
        let (leader, before) = (self.cluster.active_controller(), self.status().voter_ids());
        self.cluster.kill(leader);
        wait_until("another leads", LIMIT, || self.cluster.active_controller() != leader);
        self.cluster.start_again(leader);
        self.cluster.await_brokers();
        self.await_quorum(&before, &[]);
        self.cluster.await_in_sync(WATCHED);
    }

    fn remove_a_follower(&mut self) {
        let leader = self.cluster.active_controller();
        let follower = leader % 3 + 1;
        self.remove(follower);
        let rest: Vec<i32> = (1..=3).filter(|id| *id != follower).collect();
        self.await_quorum(&rest, &[follower]);
        self.add(follower);
        self.await_quorum(&[1, 2, 3], &[]);
    }

    /// It is a broker as before, and follows.
    fn remove_the_leader(&mut self) {
        let leader = self.cluster.active_controller();
        self.remove(leader);
        let rest: Vec<i32> = (1..=3).filter(|id| *id != leader).collect();
        let status = self.await_quorum(&rest, &[leader]);
        assert!(rest.contains(&status.leader), "{status:?}");
        self.cluster.await_brokers();
        self.add(leader);
        self.await_quorum(&[1, 2, 3], &[]);
    }

    /// With the voter that has moved, two of three are a majority.
    fn move_a_voter(&mut self) {
        let leader = self.cluster.active_controller();
        let moved = leader % 3 + 1;
        self.cluster.stop(moved);
        self.cluster.move_controller(moved, OTHER_PORT);
        self.cluster.start_again(moved);
        self.cluster.await_brokers();
        let wanted = format!("CONTROLLER://{}", self.cluster.controller_address(moved));
        wait_until(&format!("voter {moved} is at {wanted}"), LIMIT, || {
            self.status().voters.iter().any(|(id, _, endpoint)| *id == moved && *endpoint == wanted)
        });
        self.cluster.await_in_sync(WATCHED);
        self.kill_the_leader();
    }

    /// Its disk is new, so that its vote is gone with the old one.
    fn replace_a_disk(&mut self) {
        let (leader, before) = (self.cluster.active_controller(), self.status());
        // All it knows without its disk is the first node, which does not lead and has to say who does.
        assert_ne!(leader, 1, "the first leader was killed");
        let wiped = 5 - leader;
        self.cluster.stop(wiped);
        self.cluster.wipe_metadata(wiped);
        let directory = self.cluster.metadata_directory(wiped);
        assert!(before.voters.iter().all(|(_, known, _)| *known != directory));
        self.cluster.start_again(wiped);
        self.cluster.await_brokers();
        wait_until("the new disk votes", LIMIT, || self.status().voters.iter().any(|(_, known, _)| *known == directory));
        self.await_quorum(&[1, 2, 3], &[]);
        self.cluster.await_in_sync(WATCHED);
    }
}

#[test]
fn controllers_are_added_taken_out_and_moved() {
    let mut stage = Stage::start("voters", &Layout { voters: Voters::InLog, ..Layout::THREE });
    stage.step("the quorum is described", Stage::look_at_the_first);
    stage.step("two controllers are added", Stage::add_the_others);
    stage.step("the leader is killed and comes back", Stage::kill_the_leader);
    stage.step("a follower is taken out and added again", Stage::remove_a_follower);
    stage.step("the leader is taken out and added again", Stage::remove_the_leader);
    stage.step("a voter moves to another port", Stage::move_a_voter);
    stage.finish();
}

#[test]
fn controllers_join_by_themselves() {
    let settings = [("controller.quorum.auto.join.enable", "true")];
    let mut stage = Stage::start("joining", &Layout { voters: Voters::InLog, settings: &settings, ..Layout::THREE });
    stage.step("controllers join by themselves", |stage| drop(stage.await_quorum(&[1, 2, 3], &[])));
    stage.step("the leader is killed and comes back", Stage::kill_the_leader);
    stage.step("a voter gets a new disk", Stage::replace_a_disk);
    stage.finish();
}

impl Stage {
    /// The voters are the same, and the log names them with their disks.
    fn raise_kraft_version(&mut self) {
        let said = self.tool(FEATURES, &["upgrade", "--feature", "kraft.version=1"]);
        assert!(said.contains("kraft.version was upgraded to 1"), "{said}");
        let status = self.await_quorum(&[1, 2, 3], &[]);
        for (id, directory, endpoint) in status.voters {
            assert_eq!(directory, self.cluster.metadata_directory(id));
            assert_eq!(endpoint, format!("CONTROLLER://{}", self.cluster.controller_address(id)));
        }
    }

    fn add_a_fourth(&mut self) {
        self.cluster.name_no_voters();
        self.cluster.add(NEW_NODE, Roles::Controller);
        self.await_quorum(&[1, 2, 3], &[NEW_NODE]);
        self.add(NEW_NODE);
        self.await_quorum(&[1, 2, 3, NEW_NODE], &[]);
    }

    /// A node whose settings name no voters any more finds them in its log.
    fn forget_the_setting(&mut self) {
        let follower = self.cluster.active_controller() % 3 + 1;
        self.cluster.stop(follower);
        self.cluster.write_settings(follower);
        self.cluster.start_again(follower);
        self.cluster.await_brokers();
        self.remove(NEW_NODE);
        self.await_quorum(&[1, 2, 3], &[NEW_NODE]);
        self.cluster.await_in_sync(WATCHED);
    }
}

#[test]
fn fixed_voters_become_such_that_can_change() {
    let mut stage = Stage::start("raised", &Layout { spare_hosts: 1, ..Layout::THREE });
    stage.step("kraft.version is raised", Stage::raise_kraft_version);
    stage.step("a fourth controller is added", Stage::add_a_fourth);
    stage.step("the leader is killed and comes back", Stage::kill_the_leader);
    stage.step("a node forgets the setting, and the fourth is taken out", Stage::forget_the_setting);
    stage.finish();
}
