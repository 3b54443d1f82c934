//! A cluster under load, and the faults that can be done to it. After each fault the cluster is whole again and everything has been checked.

use crate::checker::Checker;
use crate::network::Network;
use crate::nodes::{Cluster, Layout, Roles, SESSION_TIMEOUT, host};
use crate::support::broker::Kind;
use crate::support::router::Router;
use crate::wire::Link;
use std::time::{Duration, Instant};

const TOPIC: &str = "watched";
/// The replicas of each partition: the third broker leads none, so that there is a plain follower.
const PLACES: [&[i32]; 3] = [&[1, 2, 3], &[2, 1, 3], &[1, 3, 2]];
const CONFIGS: [(&str, &str); 3] =
    [("min.insync.replicas", "2"), ("unclean.leader.election.enable", "false"), ("segment.bytes", "1048576")];
/// Load after a fault has taken effect: what a node misses while it is down, so that it has to catch up.
const MEANWHILE: Duration = Duration::from_secs(4);
/// The broker that comes and goes.
const GUEST: i32 = 4;
const LOSSY: Link =
    Link { cut: false, delay: Duration::from_millis(1), loss: 30, late: 100, late_by: Duration::from_millis(15), rate: 0 };
const SLOW: Link =
    Link { cut: false, delay: Duration::from_millis(100), loss: 0, late: 0, late_by: Duration::ZERO, rate: 3_000_000 };
/// Beside other faults: a tenth of [`LOSSY`]'s loss, and some way.
const POOR: Link = Link { delay: Duration::from_millis(10), loss: 5, ..LOSSY };
/// How long a cluster lives with bad links.
const BAD_LINKS: Duration = Duration::from_secs(30);
/// A broker whose only log dir has failed stops; else it is taken down after this time.
const FULL_DISK: Duration = Duration::from_secs(20);
const TOPIC_ALREADY_EXISTS: i16 = 36;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Of partition 0.
    Leader,
    /// A broker that leads no partition of the topic.
    Follower,
    /// The leader of the controller quorum.
    Controller,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// SIGTERM.
    Clean,
    /// SIGKILL.
    Hard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Both,
    /// Nothing comes from the node to the others.
    Out,
    /// Nothing comes from the others to the node.
    In,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It goes down and stays down until the others have gone on without it.
    Stop(Who, How),
    /// It goes down and is started again at once.
    Bounce(Who, How),
    /// SIGSTOP for twice the session timeout.
    Pause(Who),
    /// No packets between one node and the other nodes for twice the session timeout; clients reach all of them.
    Partition(Who, Way),
    /// No packets between the leader and one follower; both reach everybody else.
    Quarrel,
    /// The node is cut off from everybody.
    Alone(Who),
    /// 100 ms and 3 Mbit/s on all links.
    SlowLinks,
    /// Loss and overtaking on all links.
    LossyLinks,
    FullDisk(Who),
    /// Killed; it comes back with an empty log dir.
    WipedDisk(Who),
    /// Two of three nodes are killed.
    TwoDown,
    AllKilled,
    /// Each broker in turn is stopped and started again, as for a new version.
    RollingRestart,
    /// A fourth broker comes, gets a replica of each partition, and leaves again; while they move to it, the leader of one is restarted.
    Guest(Option<How>),
}

impl Fault {
    /// It says what the links are like, so that nothing else can.
    pub fn has_links_of_its_own(self) -> bool {
        matches!(self, Fault::Partition(..) | Fault::Quarrel | Fault::Alone(_) | Fault::SlowLinks | Fault::LossyLinks)
    }

    /// Within how many session timeouts after its end everything goes on by itself. Who comes back with another disk cannot show that he
    /// is who he was: he has to wait until the session of that one is over, as in Kafka, and where that one was the active controller, the
    /// session begins anew with the next.
    fn sessions(self) -> u32 {
        if matches!(self, Fault::WipedDisk(_)) { 2 } else { 1 }
    }
}

pub struct Scene {
    pub cluster: Cluster,
    pub checker: Checker,
    /// Packets are lost and late all the time, so that no fault is quite over.
    has_bad_links: bool,
}

type Verdict = Result<(), String>;

impl Scene {
    pub fn new(name: &str, layout: &Layout<'_>) -> Scene {
        let cluster = Cluster::start(name, layout);
        create(&cluster, TOPIC, &PLACES, &CONFIGS);
        let checker = Checker::start(name, &cluster, TOPIC);
        let scene = Scene { cluster, checker, has_bad_links: false };
        scene.checker.await_progress(&scene.cluster, scene.limit()).unwrap_or_else(|wrong| panic!("without any fault: {wrong}"));
        scene
    }

    /// A scene that has seen all these faults and whose records are all there.
    pub fn play(name: &str, layout: &Layout<'_>, faults: impl IntoIterator<Item = Fault>) {
        let mut scene = Scene::new(name, layout);
        for fault in faults {
            scene.strike(fault).unwrap_or_else(|wrong| panic!("{fault:?}: {wrong}"));
        }
        scene.end();
    }

    pub fn end(self) {
        self.checker.finish(&self.cluster).unwrap_or_else(|wrong| panic!("at the end: {wrong}"));
    }

    /// The longest time until every partition is written and read again, after the end of a fault or when the rest must do without what
    /// failed: a session, in which the fault is noticed; an election of controllers before it, where one failed; and what clients of ours
    /// take to notice, up to 6 s for answers that do not come. Apache Kafka gets more: three JVMs that recover share two cores with the test.
    pub fn limit(&self) -> Duration {
        SESSION_TIMEOUT
            + match self.cluster.kind {
                Kind::Flumen => Duration::from_secs(12),
                Kind::Kafka => Duration::from_secs(45),
            }
    }

    /// The longest time from the end of a fault until clients that come anew are served by all partitions: Flumen has to be whole again within
    /// a session timeout, the start of processes included. Of Apache Kafka only that it comes about is demanded, since it is told how long it
    /// takes: a JVM alone needs longer to start.
    fn limit_after(&self, fault: Fault) -> Duration {
        match self.cluster.kind {
            Kind::Flumen if !self.has_bad_links => SESSION_TIMEOUT * fault.sessions(),
            _ => self.limit(),
        }
    }

    pub fn find(&self, who: Who) -> i32 {
        match who {
            Who::Leader => self.cluster.leader(TOPIC, 0),
            Who::Controller => self.cluster.active_controller(),
            Who::Follower => {
                self.cluster.await_preferred_leaders(TOPIC);
                let leaders: Vec<i32> = self.cluster.partitions(TOPIC).iter().map(|found| found.leader_id).collect();
                let mut brokers = self.cluster.brokers().into_iter();
                brokers.find(|id| !leaders.contains(id)).expect("a broker that leads nothing")
            }
        }
    }

    fn found(&mut self, fault: Fault, who: Who) -> i32 {
        let node = self.find(who);
        let controller = self.cluster.active_controller();
        self.checker.report.inject(&format!("{fault:?}"), &format!("node {node} (the active controller is {controller})"));
        node
    }

    pub fn down(&mut self, node: i32, how: How) {
        match how {
            How::Clean => self.cluster.stop(node),
            How::Hard => self.cluster.kill(node),
        }
    }

    pub fn progress(&mut self, when: &str) -> Verdict {
        let took = self.checker.await_progress(&self.cluster, self.limit()).map_err(|wrong| format!("{when}: {wrong}"))?;
        self.checker.report.took(&format!("written and read {when}"), took);
        Ok(())
    }

    /// The same by those who are left. Had they been thrown out of sync when the fault struck, which a busy machine can do to them, then
    /// nobody may lead: that is kept in the report, and what they were promised is checked when all are back.
    fn progress_without(&mut self, node: i32, when: &str) -> Verdict {
        let progress = self.progress(when);
        if progress.is_err() && self.was_alone_in_sync(node) {
            self.checker.report.say(&format!("    not {when}: node {node} alone was in sync"));
            return Ok(());
        }
        progress
    }

    fn was_alone_in_sync(&self, node: i32) -> bool {
        let others = self.cluster.addresses().into_iter().filter(|address| *address != self.cluster.address(node)).collect();
        let mut router = Router::new(others, 0, Duration::from_secs(5));
        let asked = router.connect_to_any().and_then(|mut client| client.metadata(Some(&[TOPIC])));
        let mut topics = asked.into_iter().flat_map(|answer| answer.topics);
        topics.any(|topic| topic.partitions.iter().any(|found| found.leader_id < 0 && found.isr_nodes == [node]))
    }

    /// Starts nodes that were down, which ends the fault.
    pub fn come_back(&mut self, fault: Fault, nodes: &[i32]) -> Verdict {
        let since = Instant::now();
        nodes.iter().for_each(|node| self.cluster.start_without_waiting(*node));
        self.recover(fault, since, nodes)
    }

    /// The fault was over at `since`, when these nodes were started: everything goes on in time, all brokers and replicas are back, and
    /// nothing was lost.
    fn recover(&mut self, fault: Fault, since: Instant, started: &[i32]) -> Verdict {
        let limit = self.limit_after(fault);
        let (took, waited) = self.checker.await_newcomers(&self.cluster, since, limit)?;
        self.checker.report.took("taken and served by all partitions", took);
        if took > limit {
            let waited = waited.as_secs_f64();
            self.checker.report.say(&format!("    more than {limit:?}, of which nodes waited {waited:.2} s for a core"));
        }
        started.iter().for_each(|node| self.cluster.wait_until_ready(*node));
        self.progress("again")?;
        self.cluster.await_brokers();
        self.cluster.await_in_sync(TOPIC);
        self.checker.report.took("all replicas in sync", since.elapsed());
        self.checker.check()
    }

    /// Does one thing to the cluster, looks what it does meanwhile, and waits until it is whole again.
    ///
    /// # Errors
    /// What the checker found.
    pub fn strike(&mut self, fault: Fault) -> Verdict {
        let before = self.checker.counts();
        self.inflict(fault)?;
        let counts = self.checker.counts() - before;
        self.checker.report.say(&format!("    found right: {counts}"));
        Ok(())
    }

    fn inflict(&mut self, fault: Fault) -> Verdict {
        // On a busy machine a broker may have been fenced for a moment; the rest must be able to do without the one that fails.
        self.cluster.await_brokers();
        self.cluster.await_in_sync(TOPIC);
        match fault {
            Fault::Stop(who, how) => self.stop(fault, who, how),
            Fault::Bounce(who, how) => {
                let node = self.found(fault, who);
                self.down(node, how);
                self.come_back(fault, &[node])
            }
            Fault::Pause(who) => {
                let node = self.found(fault, who);
                self.cluster.pause(node);
                let held = self.hold(node, "without it");
                let since = Instant::now();
                self.cluster.resume(node);
                held.and_then(|()| self.recover(fault, since, &[]))
            }
            Fault::Partition(who, way) => {
                let node = self.found(fault, who);
                let others = self.cluster.nodes().into_iter().filter(|other| *other != node);
                others.for_each(|other| cut(&self.cluster.network, host(node), host(other), way));
                self.until_healed(fault, node, "on the other side")
            }
            Fault::Quarrel => self.quarrel(fault),
            Fault::Alone(who) => {
                let node = self.found(fault, who);
                let others = (0..=self.cluster.network.clients()).filter(|other| *other != host(node));
                others.for_each(|other| cut(&self.cluster.network, host(node), other, Way::Both));
                self.until_healed(fault, node, "on the other side")
            }
            Fault::SlowLinks => self.bad_links(fault, SLOW),
            Fault::LossyLinks => self.bad_links(fault, LOSSY),
            Fault::FullDisk(who) => self.full_disk(fault, who),
            Fault::WipedDisk(who) => {
                assert!(self.checker.promise.disks() >= 1, "{:?} promises nothing when a disk is lost", self.checker.promise);
                let node = self.found(fault, who);
                self.cluster.kill(node);
                self.cluster.wipe(node);
                self.come_back(fault, &[node])
            }
            Fault::TwoDown => self.two_down(fault),
            Fault::AllKilled => self.all_killed(fault),
            Fault::RollingRestart => self.rolling_restart(fault),
            Fault::Guest(how) => self.guest(fault, how),
        }
    }

    /// The same while packets between all hosts, the clients' included, are lost and late.
    ///
    /// # Errors
    /// What the checker found.
    pub fn strike_over_bad_links(&mut self, fault: Fault) -> Verdict {
        self.checker.report.inject("bad links beside the next fault", &format!("{POOR:?}"));
        self.cluster.network.set_all(POOR);
        self.has_bad_links = true;
        let struck = self.strike(fault);
        self.has_bad_links = false;
        self.cluster.network.heal();
        struck
    }

    fn stop(&mut self, fault: Fault, who: Who, how: How) -> Verdict {
        let node = self.found(fault, who);
        self.down(node, how);
        self.progress_without(node, "without it")?;
        std::thread::sleep(MEANWHILE);
        self.checker.check()?;
        self.come_back(fault, &[node])
    }

    /// Twice the session timeout, in which the others must have gone on.
    fn hold(&mut self, node: i32, when: &str) -> Verdict {
        let since = Instant::now();
        self.progress_without(node, when)?;
        std::thread::sleep((2 * SESSION_TIMEOUT).saturating_sub(since.elapsed()));
        Ok(())
    }

    fn until_healed(&mut self, fault: Fault, node: i32, when: &str) -> Verdict {
        let held = self.hold(node, when);
        let since = Instant::now();
        self.cluster.network.heal();
        held.and_then(|()| self.recover(fault, since, &[]))
    }

    fn quarrel(&mut self, fault: Fault) -> Verdict {
        let leader = self.found(fault, Who::Leader);
        let replicas = self.cluster.partitions(TOPIC).swap_remove(0).replica_nodes;
        let follower = replicas.into_iter().find(|node| *node != leader).expect("a follower");
        cut(&self.cluster.network, host(leader), host(follower), Way::Both);
        self.until_healed(fault, leader, "by those who hear each other")
    }

    fn bad_links(&mut self, fault: Fault, link: Link) -> Verdict {
        self.checker.report.inject(&format!("{fault:?}"), &format!("{link:?}"));
        self.cluster.network.set_all(link);
        let lived = self.progress_for(BAD_LINKS, "over bad links");
        let since = Instant::now();
        self.cluster.network.heal();
        lived.and_then(|()| self.recover(fault, since, &[]))
    }

    /// Everything is written and read again and again for a time.
    pub fn progress_for(&mut self, time: Duration, when: &str) -> Verdict {
        let since = Instant::now();
        let mut longest = Duration::ZERO;
        while since.elapsed() < time {
            let took = self.checker.await_progress(&self.cluster, self.limit()).map_err(|wrong| format!("{when}: {wrong}"))?;
            longest = longest.max(took);
        }
        self.checker.report.took(&format!("written and read {when}, at the longest"), longest);
        Ok(())
    }

    fn full_disk(&mut self, fault: Fault, who: Who) -> Verdict {
        let node = self.found(fault, who);
        self.cluster.fill_disk(node);
        self.progress_without(node, "without it")?;
        let deadline = Instant::now() + FULL_DISK;
        while self.cluster.is_running(node) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        let ended = !self.cluster.is_running(node);
        self.checker.report.say(if ended { "    it has stopped by itself" } else { "    it still runs" });
        self.progress_without(node, "while the disk is full")?;
        if !ended {
            self.cluster.kill(node);
        }
        self.checker.check()?;
        self.cluster.make_room(node);
        self.come_back(fault, &[node])
    }

    /// The controller and another of three nodes: neither controllers nor in-sync replicas are enough until they are back.
    fn two_down(&mut self, fault: Fault) -> Verdict {
        let first = self.found(fault, Who::Controller);
        let second = self.cluster.nodes().into_iter().find(|node| *node != first).expect("another");
        self.cluster.kill(first);
        self.cluster.kill(second);
        std::thread::sleep(2 * SESSION_TIMEOUT);
        self.come_back(fault, &[first, second])
    }

    fn all_killed(&mut self, fault: Fault) -> Verdict {
        self.checker.report.inject(&format!("{fault:?}"), "");
        let nodes = self.cluster.nodes();
        nodes.iter().for_each(|node| self.cluster.kill(*node));
        self.come_back(fault, &nodes)
    }

    fn rolling_restart(&mut self, fault: Fault) -> Verdict {
        self.checker.report.inject(&format!("{fault:?}"), "");
        let since = Instant::now();
        for node in self.cluster.brokers() {
            self.cluster.stop(node);
            self.cluster.start_again(node);
            self.cluster.await_brokers();
            self.cluster.await_in_sync(TOPIC);
        }
        self.checker.report.took("all have been restarted", since.elapsed());
        self.recover(fault, Instant::now(), &[])
    }

    fn guest(&mut self, fault: Fault, how: Option<How>) -> Verdict {
        let before: Vec<(i32, Vec<i32>)> =
            self.cluster.partitions(TOPIC).into_iter().map(|found| (found.partition_index, found.replica_nodes)).collect();
        let leader = self.found(fault, Who::Leader);
        self.cluster.add(GUEST, Roles::Broker);
        // It leads the first partition and follows in the others.
        let with_guest = |(index, replicas): &(i32, Vec<i32>)| {
            let rest = replicas[..replicas.len() - 1].iter().copied();
            let guest = std::iter::once(GUEST);
            (*index, if *index == 0 { guest.chain(rest).collect() } else { rest.chain(guest).collect() })
        };
        let target: Vec<(i32, Vec<i32>)> = before.iter().map(with_guest).collect();
        let since = Instant::now();
        self.begin_to_move(&target);
        if let Some(how) = how {
            self.down(leader, how);
            self.progress_without(leader, "without the leader")?;
            self.cluster.start_again(leader);
        }
        self.await_moved(&target);
        self.checker.report.took("replicas moved to the new broker", since.elapsed());
        self.progress("with the new broker")?;
        self.checker.check()?;
        let since = Instant::now();
        self.begin_to_move(&before);
        self.await_moved(&before);
        self.checker.report.took("replicas moved back", since.elapsed());
        self.cluster.stop(GUEST);
        self.cluster.discard(GUEST);
        self.cluster.ask("the broker is forgotten", |client| Ok((client.unregister(GUEST)? == 0).then_some(())));
        self.recover(fault, Instant::now(), &[])
    }

    fn begin_to_move(&self, target: &[(i32, Vec<i32>)]) {
        self.cluster.ask("replicas begin to move", |client| Ok((client.reassign(TOPIC, target)? == 0).then_some(())));
    }

    fn await_moved(&self, target: &[(i32, Vec<i32>)]) {
        self.cluster.await_everywhere("the replicas have moved", &[TOPIC], |answer| {
            let Some(topic) = answer.topics.first() else { return false };
            target.iter().all(|(index, replicas)| {
                topic.partitions.iter().any(|found| found.partition_index == *index && found.replica_nodes == *replicas)
            })
        });
        self.cluster.await_in_sync(TOPIC);
    }
}

fn cut(network: &Network, node: usize, other: usize, way: Way) {
    if way != Way::In {
        network.cut(node, other);
    }
    if way != Way::Out {
        network.cut(other, node);
    }
}

/// Creates a topic whose partitions have these replicas, and waits until they are in sync.
pub fn create(cluster: &Cluster, topic: &str, places: &[&[i32]], configs: &[(&str, &str)]) {
    cluster.ask(&format!("{topic} is created"), |client| match client.create_placed_topic(topic, places, configs)? {
        // A request that was not answered in time may have been carried out.
        0 | TOPIC_ALREADY_EXISTS => Ok(Some(())),
        _ => Ok(None),
    });
    cluster.await_in_sync(topic);
}
