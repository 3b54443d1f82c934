//! Three voters in a simulated world: hosts with disks of their own, on a network. Here is how they live and what is watched at each step;
//! and what happens in a certain order. `fault_tests` has what happens in any order.
//!
//! What must always hold ([`Watched`]): an epoch has one leader; what was decided and told is in every image that reaches its offset, and
//! nothing else than what was tried is in any; images of all nodes are the same at the same offset; blocks of producer ids, each of which
//! is decided on the image that holds the one before, are given once.

use super::codec::{self, Answer, Message};
use super::tests::{create_topic, how, registration};
use super::*;
use crate::config::QuorumVoter;
use crate::controller::MetadataDelta;
use crate::io::Piece;
use crate::io::sim::{Crash, HostId, Options, World};
use crate::model::{Offset, TopicId};
use crate::protocol::frame::SIZE_PREFIX;
use crate::protocol::generated::api_versions_response::ApiVersionsResponse;
use crate::protocol::{Message as _, Reader, Writer};
use crate::record::Batches;
use bytes::{Bytes, BytesMut};
use futures_util::future::select;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

pub(super) const DIR: &str = "/data";
const CLUSTER: &str = "c";
const PORT: u16 = 9093;
/// A leader that is lost has a successor within this, with Kafka's timeouts and some bad luck.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// What is known of the quorum by all that anybody was told.
#[derive(Default)]
pub(super) struct Watched {
    /// Who led in an epoch.
    leaders: BTreeMap<i32, i32>,
    /// Topics that were told, and the offset behind them.
    pub(super) told: BTreeMap<String, Offset>,
    tried: BTreeSet<String>,
    /// Topics of the image at an offset.
    images: BTreeMap<Offset, usize>,
    /// First ids of the blocks that were given, with the offset behind them.
    blocks: BTreeMap<i64, Offset>,
    /// Where each node's image ends.
    pub(super) ends: BTreeMap<i32, Offset>,
    /// Which node acts as the leader now, by its own word.
    pub(super) leads: BTreeMap<i32, bool>,
    /// How often a decision was given up.
    pub(super) given_up: usize,
    names: u64,
    /// Who is to give its leadership to whom.
    to_go: Option<(i32, i32)>,
    /// How the voters are to change, for whoever leads.
    pub(super) asked: Option<Asked>,
    /// What came of such changes.
    pub(super) answers: Vec<Result<(), String>>,
}

impl Watched {
    fn see_state(&mut self, node: i32, state: QuorumState) {
        self.leads.insert(node, state.leads);
        if state.leads {
            let leader = *self.leaders.entry(state.epoch).or_insert(node);
            assert_eq!(leader, node, "epoch {} has two leaders", state.epoch);
        }
    }

    fn see_image(&mut self, node: i32, image: &MetadataImage) {
        let end = image.next_offset();
        let topics: BTreeSet<String> = image.topics().map(|topic| topic.name.to_string()).collect();
        for (name, at) in &self.told {
            assert!(
                *at > end || topics.contains(name),
                "{name} was told at {at}, and is not in the image of node {node} up to {end}"
            );
        }
        assert!(topics.is_subset(&self.tried), "node {node} has what nobody has tried");
        let count = *self.images.entry(end).or_insert(topics.len());
        assert_eq!(count, topics.len(), "node {node} has another image up to {end}");
        self.ends.insert(node, end);
    }

    /// In how many epochs somebody led.
    pub(super) fn epochs(&self) -> usize {
        self.leaders.len()
    }

    fn see_block(&mut self, first: i64, at: Offset) {
        assert_eq!(self.blocks.insert(first, at), None, "the block from {first} on was given twice");
        let before = self.blocks.range(..first).next_back();
        assert!(before.is_none_or(|(_, before)| *before <= at), "blocks go up");
    }
}

/// A change of the voters: of a node with a disk, see [`member`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Add(i32, u8),
    Remove(i32, u8),
}

/// What the log is to say of a node whose disk has this number.
pub(super) fn member(id: i32, disk: u8) -> Member {
    let endpoint = MemberEndpoint { listener: "CONTROLLER".into(), host: format!("v{id}"), port: PORT };
    Member::new(TopicId([disk; 16]), vec![endpoint])
}

pub(super) type Shared = Rc<RefCell<Watched>>;

/// What a node is to do beside voting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Decide, as long as it leads.
    Decide,
    /// Nothing.
    Rest,
}

pub(super) fn voters() -> Vec<QuorumVoter> {
    (1..=3).map(|id| QuorumVoter { id: BrokerId(id), host: format!("v{id}"), port: PORT }).collect()
}

pub(super) fn often() -> SnapshotPolicy {
    SnapshotPolicy { bytes_between: 3_000, interval_ms: 0, retention_bytes: 8_000, retention_ms: -1 }
}

pub(super) fn one_of_three(id: i32, snapshots: SnapshotPolicy) -> OpenQuorum {
    let segment_bytes = if snapshots.bytes_between == u64::MAX { 1 << 30 } else { 2_000 };
    OpenQuorum { node: BrokerId(id), voters: voters(), snapshots, segment_bytes, ..how(Path::new(DIR)) }
}

/// Has the voters changed, while everything else goes on.
fn change_voters(io: &Io, handle: &QuorumHandle, watched: &Shared, asked: Asked) {
    let (handle, watched, limit) = (handle.clone(), watched.clone(), Duration::from_secs(10));
    io.spawn(async move {
        let changed = match asked {
            Asked::Add(id, disk) => handle.add_voter(BrokerId(id), member(id, disk), limit).await,
            Asked::Remove(id, disk) => handle.remove_voter(BrokerId(id), TopicId([disk; 16]), limit).await,
        };
        let mut watched = watched.borrow_mut();
        match changed {
            // As a tool does: whoever leads now is asked.
            Err(VoterChangeError::Quorum(QuorumError::NotLeader { .. })) => watched.asked = Some(asked),
            changed => watched.answers.push(changed.map_err(|error| error.to_string())),
        }
    });
}

/// A voter's process. `formatted` is with which voters its directory is formatted.
pub(super) async fn live(io: Io, how: OpenQuorum, watched: Shared, work: Work, formatted: Option<Vec<i32>>) {
    let id = how.node.0;
    io.create_dir_all(Path::new(DIR)).await.unwrap();
    io.sync_dir(Path::new("/")).await.unwrap();
    if let Some(voters) = formatted
        && !is_dynamic(&io, Path::new(DIR)).await.unwrap()
    {
        let voters = voters.into_iter().map(|id| (BrokerId(id), member(id, id as u8))).collect();
        write_voters(&io, Path::new(DIR), voters).await.unwrap();
    }
    let mut quorum = Quorum::open(io.clone(), how).await.unwrap_or_else(|error| panic!("node {id}: {error}"));
    let handle = quorum.handle();
    io.spawn(serve(io.clone(), handle.clone()));
    io.spawn(follow(io.clone(), handle.clone(), id, watched.clone()));
    loop {
        let changed = handle.changed();
        let leads = handle.state().leads;
        let to_go = watched.borrow_mut().to_go.take_if(|(old, _)| *old == id);
        if let Some((_, next)) = to_go {
            handle.give_leadership_to(BrokerId(next)).await.unwrap();
        }
        let asked = watched.borrow_mut().asked.take_if(|_| leads);
        if let Some(asked) = asked {
            change_voters(&io, &handle, &watched, asked);
        }
        if leads && work == Work::Decide {
            match decide_something(&mut quorum, &watched).await {
                Ok(()) => {}
                Err(QuorumError::NotLeader { leader }) => {
                    assert_ne!(leader, Some(BrokerId(id)));
                    watched.borrow_mut().given_up += 1;
                }
                Err(error) => panic!("node {id}: {error}"),
            }
            io.sleep(Duration::from_millis(50)).await;
        } else {
            select(pin!(changed), pin!(io.sleep(Duration::from_millis(100)))).await;
        }
        quorum.keep_short().await.unwrap_or_else(|error| panic!("node {id}: {error}"));
    }
}

/// Sees each change as soon as it comes.
async fn follow(io: Io, handle: QuorumHandle, id: i32, watched: Shared) {
    let mut last = Arc::new(MetadataImage::default());
    loop {
        let changed = handle.changed();
        assert_eq!(handle.failure(), None, "node {id}");
        watched.borrow_mut().see_state(id, handle.state());
        if let Some((image, delta)) = handle.take_committed() {
            let between = MetadataDelta::between(&last, &image);
            assert!(between.partitions.is_subset(&delta.partitions), "node {id} was not told of all that has changed");
            watched.borrow_mut().see_image(id, &image);
            last = image;
        }
        select(pin!(changed), pin!(io.sleep(Duration::from_millis(100)))).await;
    }
}

async fn decide_something(quorum: &mut Quorum, watched: &Shared) -> Result<(), QuorumError> {
    let known = quorum.image().broker(BrokerId(1)).cloned();
    let epoch = match known.filter(|broker| broker.is_active()) {
        Some(broker) => broker.epoch,
        None => {
            let Reply::Registered(Ok(epoch)) = quorum.execute(registration()).await?.reply else { panic!() };
            quorum.execute(Command::UnfenceBroker { broker: BrokerId(1), epoch, clean_restart: true }).await?;
            epoch
        }
    };
    let name = {
        let mut watched = watched.borrow_mut();
        watched.names += 1;
        format!("t{}", watched.names)
    };
    watched.borrow_mut().tried.insert(name.clone());
    let executed = quorum.execute(create_topic(&name, &[])).await?;
    let Reply::CreateTopics(response) = executed.reply else { panic!() };
    assert_eq!(response.topics[0].error_code, 0, "{name}");
    watched.borrow_mut().told.insert(name, quorum.node.end_offset());
    let executed = quorum.execute(Command::AllocateProducerIds { broker: BrokerId(1), epoch }).await?;
    match executed.reply {
        Reply::ProducerIds(Ok(block)) => watched.borrow_mut().see_block(block.first, executed.image.next_offset()),
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// As a controller's listener does: answers ApiVersions, and hands on what voters say.
async fn serve(io: Io, handle: QuorumHandle) {
    let listener = io.listen(format!("0.0.0.0:{PORT}").parse().unwrap(), true).unwrap();
    while let Ok(accepted) = listener.accept().await {
        let (Ok(socket), io2, handle) = (accepted.attach(&io), io.clone(), handle.clone()) else { continue };
        io2.spawn(async move {
            let mut buffer = BytesMut::with_capacity(16 << 10);
            loop {
                let length = buffer.first_chunk::<4>().map(|bytes| SIZE_PREFIX + i32::from_be_bytes(*bytes) as usize);
                match length {
                    Some(length) if buffer.len() >= length => {
                        let frame = buffer.split_to(length).freeze().slice(SIZE_PREFIX..);
                        let answer = answer_to(frame, &handle).await;
                        if socket.send(&[Piece::Bytes(answer)]).await.is_err() {
                            return;
                        }
                        continue;
                    }
                    _ => buffer.reserve(16 << 10),
                }
                if socket.read(&mut buffer).await.unwrap_or(0) == 0 {
                    return;
                }
            }
        });
    }
}

async fn answer_to(frame: Bytes, handle: &QuorumHandle) -> Bytes {
    let mut reader = Reader::new(frame);
    let (key, _) = (reader.i16().unwrap(), reader.i16().unwrap());
    let correlation = reader.i32().unwrap();
    reader.nullable_string(false).unwrap();
    reader.tags(|_, _| Ok(false)).unwrap();
    let mut writer = Writer::contiguous();
    writer.i32(0);
    writer.i32(correlation);
    if key == RAFT_API_KEY {
        writer.uvarint(0);
        let left = reader.remaining();
        writer.raw(&handle.receive(reader.take(left).unwrap()).await);
    } else {
        // ApiVersions, whose answer has the old header.
        writer.raw(&ApiVersionsResponse::default().to_bytes(3).unwrap());
    }
    writer.set_first_i32((writer.len() - SIZE_PREFIX) as i32);
    writer.into_bytes()
}

/// The three hosts.
pub(super) struct Three {
    pub(super) world: World,
    pub(super) hosts: [HostId; 3],
    pub(super) watched: Shared,
    pub(super) snapshots: SnapshotPolicy,
    /// Whether a leader that is gone is replaced at once.
    pub(super) fast_failover: bool,
    /// The first voters, where they can change.
    pub(super) first_voters: Option<Vec<i32>>,
    /// The number of each node's disk.
    pub(super) disks: RefCell<BTreeMap<i32, u8>>,
}

impl Three {
    pub(super) fn new(seed: u64, options: Options, snapshots: SnapshotPolicy) -> Self {
        let world = World::new(seed, options);
        let hosts = [world.add_host("v1", 1), world.add_host("v2", 1), world.add_host("v3", 1)];
        Self {
            world,
            hosts,
            watched: Shared::default(),
            snapshots,
            fast_failover: true,
            first_voters: None,
            disks: RefCell::default(),
        }
    }

    pub(super) fn start(&self, id: i32, work: Work) {
        let mut how = OpenQuorum { fast_failover: self.fast_failover, ..one_of_three(id, self.snapshots) };
        let (watched, mut formatted) = (self.watched.clone(), None);
        if let Some(voters) = &self.first_voters {
            let disk = self.disks.borrow().get(&id).copied().unwrap_or(id as u8);
            let servers = (1..=3).map(|id| (format!("v{id}"), PORT)).collect();
            how = OpenQuorum { voters: vec![], member: Some(member(id, disk)), servers, ..how };
            formatted = (voters.contains(&id) && i32::from(disk) == id).then(|| voters.clone());
        }
        self.world.start(self.host(id), move |io| live(io, how.clone(), watched.clone(), work, formatted.clone()));
    }

    pub(super) fn host(&self, id: i32) -> HostId {
        self.hosts[id as usize - 1]
    }

    pub(super) fn crash(&self, id: i32, how: Crash) {
        self.world.crash(self.host(id), how);
        let mut watched = self.watched.borrow_mut();
        watched.leads.insert(id, false);
        watched.ends.remove(&id);
    }

    pub(super) fn leader(&self) -> Option<i32> {
        self.watched.borrow().leads.iter().find(|(_, leads)| **leads).map(|(id, _)| *id)
    }

    /// Runs until something more was decided and told, and by whom.
    pub(super) fn progress(&self, what: &str) {
        let before = self.watched.borrow().told.len();
        let went_on = self.world.run_until(PATIENCE, || self.watched.borrow().told.len() > before + 2);
        assert!(went_on, "seed {}: {what}: no progress", self.world.seed());
    }

    /// Runs until all nodes have the same image, while nobody decides any more.
    pub(super) fn settle(&self) {
        let seed = self.world.seed();
        for id in 1..=3 {
            if self.world.is_running(self.host(id)) {
                self.crash(id, Crash::Kill);
            }
        }
        (1..=3).for_each(|id| self.start(id, Work::Rest));
        let is_same = || {
            let watched = self.watched.borrow();
            let ends: BTreeSet<Offset> = watched.ends.values().copied().collect();
            watched.ends.len() == 3 && ends.len() == 1 && watched.leads.values().any(|leads| *leads)
        };
        assert!(self.world.run_until(PATIENCE, is_same), "seed {seed}: the nodes do not agree: {:?}", self.watched.borrow().ends);
        self.world.run_for(Duration::from_secs(1));
    }

    /// The batches of a node's log by their offsets.
    pub(super) fn log(&self, id: i32) -> BTreeMap<Offset, Vec<u8>> {
        let disk = self.world.disk(self.host(id));
        let is_log = |file: &PathBuf| file.extension().is_some_and(|end| end == "log");
        let files = disk.files().into_iter().filter(is_log);
        let mut batches = BTreeMap::new();
        for file in files {
            let bytes = disk.read(&file).unwrap();
            for batch in Batches::new(&bytes).map_while(Result::ok) {
                batches.insert(batch.header.base_offset, batch.bytes.to_vec());
            }
        }
        batches
    }

    /// All logs are the same to the byte, where they have something at all. How many batches were compared.
    pub(super) fn compare_logs(&self) -> usize {
        let (logs, end) = ([self.log(1), self.log(2), self.log(3)], *self.watched.borrow().ends.values().next().unwrap());
        let mut compared = 0;
        for (offset, batch) in logs.iter().flatten().filter(|(offset, _)| **offset < end) {
            for (id, log) in logs.iter().enumerate() {
                let begins = *log.first_key_value().expect("a log has something").0;
                match log.get(offset) {
                    Some(other) => assert!(other == batch, "node {} has another batch at {offset}", id + 1),
                    None => assert!(*offset < begins, "node {} has no batch at {offset}", id + 1),
                }
                compared += 1;
            }
        }
        compared
    }
}

#[test]
fn three_new_voters_elect_a_leader_and_have_the_same_log_to_the_byte() {
    let three = Three::new(1, Options::default(), how(Path::new(DIR)).snapshots);
    (1..=2).for_each(|id| three.start(id, Work::Decide));
    three.world.run_for(Duration::from_secs(10));
    assert_eq!(three.leader(), None, "two new disks do not know what the third has");
    three.start(3, Work::Decide);
    three.progress("the start");
    three.settle();
    assert!(three.compare_logs() > 20);
    for log in [1, 2, 3].map(|id| three.log(id)) {
        assert_eq!(log.first_key_value().unwrap().0, &Offset::ZERO);
    }
}

#[test]
fn a_leader_that_is_cut_off_decides_nothing_and_another_leads_within_the_timeouts() {
    for one_way in [false, true] {
        let three = Three::new(2, Options::default(), how(Path::new(DIR)).snapshots);
        (1..=3).for_each(|id| three.start(id, Work::Decide));
        three.progress("the start");
        let old = three.leader().unwrap();
        for other in (1..=3).filter(|id| *id != old) {
            three.world.cut(three.host(other), three.host(old));
            if !one_way {
                three.world.cut(three.host(old), three.host(other));
            }
        }
        let cut = three.world.now();
        let changed = three.world.run_until(PATIENCE, || three.leader().is_some_and(|leader| leader != old));
        assert!(changed, "nobody took over");
        let took = three.world.now().since(cut);
        assert!(one_way || took < Duration::from_secs(6), "it took {took:?}");
        three.progress("two of three");
        three.world.run_for(Duration::from_secs(3));
        assert!(!three.watched.borrow().leads[&old] && three.watched.borrow().given_up > 0);
        for other in (1..=3).filter(|id| *id != old) {
            three.world.heal(three.host(old), three.host(other));
        }
        three.progress("healed");
        three.settle();
        three.compare_logs();
    }
}

/// How long after it ended the leader of a world has a successor, in milliseconds.
fn succession(seed: u64, fast_failover: bool, how: Crash) -> u64 {
    let three = Three { fast_failover, ..Three::new(seed, Options::default(), often()) };
    (1..=3).for_each(|id| three.start(id, Work::Decide));
    three.progress("the start");
    three.world.run_for(Duration::from_secs(1));
    let old = three.leader().unwrap();
    three.crash(old, how);
    let ended = three.world.now();
    let replaced = three.world.run_until(PATIENCE, || three.leader().is_some_and(|leader| leader != old));
    assert!(replaced, "seed {seed}: nobody took over");
    let took = three.world.now().since(ended).as_millis() as u64;
    three.progress("after it");
    took
}

#[test]
fn a_leader_whose_process_is_gone_is_replaced_at_once() {
    let mut took: Vec<u64> = (0..20).map(|seed| succession(seed, true, Crash::Kill)).collect();
    took.sort_unstable();
    assert!(took[took.len() - 1] < 450 && took[took.len() / 2] < 120, "{took:?}");
    // It is the refusal that does it (`flumen.elect.on.refusal.enable`), which a machine without power does not send.
    for seed in 0..3 {
        let (slow, without_power) = (succession(seed, false, Crash::Kill), succession(seed, true, Crash::PowerLoss));
        assert!(slow > 900 && without_power > 900, "{slow} {without_power}");
    }
}

/// What looks like an end and is none: a leader that is paused, cut off, or whose connections break, and who is back in time.
#[test]
fn a_leader_that_is_not_gone_goes_on() {
    for seed in 0..6 {
        let three = Three::new(seed, Options::default(), how(Path::new(DIR)).snapshots);
        (1..=3).for_each(|id| three.start(id, Work::Decide));
        three.progress("the start");
        three.world.run_for(Duration::from_secs(1));
        let leader = three.leader().unwrap();
        let others = || (1..=3).filter(|id| *id != leader);
        let epochs = three.watched.borrow().epochs();
        let short = Duration::from_millis(900);
        three.world.pause(three.host(leader), short);
        three.world.run_for(2 * short);
        others().for_each(|other| three.world.partition(three.host(leader), three.host(other)));
        three.world.run_for(short);
        others().for_each(|other| three.world.heal(three.host(leader), three.host(other)));
        three.world.run_for(short);
        for _ in 0..5 {
            let broken: usize = others().map(|other| three.world.reset_connections(three.host(leader), three.host(other))).sum();
            assert!(broken > 0);
            three.world.run_for(Duration::from_millis(300));
        }
        three.progress("after it");
        let watched = three.watched.borrow();
        assert_eq!((watched.epochs(), watched.leads[&leader]), (epochs, true), "seed {seed}");
    }
}

/// A single node's directory, with or without the head of its log, becomes that of one of three; the others have new disks and were there
/// before it.
#[test]
fn a_cluster_opens_the_directory_of_a_single_node_and_everybody_gets_what_is_in_it() {
    for snapshots in [how(Path::new(DIR)).snapshots, often()] {
        let three = Three::new(3, Options::default(), snapshots);
        let alone = OpenQuorum { voters: vec![], ..one_of_three(1, snapshots) };
        let watched = three.watched.clone();
        three.world.run(three.host(1), move |io| async move {
            io.create_dir_all(Path::new(DIR)).await.unwrap();
            let mut quorum = Quorum::open(io.clone(), alone).await.unwrap();
            for _ in 0..40 {
                decide_something(&mut quorum, &watched).await.unwrap();
                quorum.keep_short().await.unwrap();
            }
            quorum.close().await.unwrap();
        });
        three.crash(1, Crash::Kill);
        (2..=3).for_each(|id| three.start(id, Work::Decide));
        three.world.run_for(Duration::from_secs(20));
        assert_eq!(three.leader(), None, "two new disks elect nobody");
        three.start(1, Work::Decide);
        three.progress("the third, which has everything");
        three.settle();
        assert!(three.compare_logs() > 0);
        let begins = three.log(2).first_key_value().map(|(offset, _)| *offset);
        assert_eq!(begins == Some(Offset::ZERO), snapshots.bytes_between == u64::MAX, "by entries, or by a snapshot");
    }
}

#[test]
fn a_leader_that_goes_gives_its_place_to_another_without_a_timeout() {
    let three = Three::new(6, Options::default(), how(Path::new(DIR)).snapshots);
    (1..=3).for_each(|id| three.start(id, Work::Decide));
    three.progress("the start");
    let old = three.leader().unwrap();
    let next = (1..=3).find(|id| *id != old).unwrap();
    three.watched.borrow_mut().to_go = Some((old, next));
    let asked = three.world.now();
    assert!(three.world.run_until(PATIENCE, || three.leader() == Some(next)), "nobody took over");
    let took = three.world.now().since(asked);
    assert!(took < Duration::from_millis(900), "it took {took:?}");
    three.progress("after it");
    three.settle();
}

/// A disk is replaced while the others go on.
#[test]
fn a_voter_with_a_new_disk_gets_everything_and_can_then_be_relied_on() {
    for snapshots in [how(Path::new(DIR)).snapshots, often()] {
        let three = Three::new(4, Options::default(), snapshots);
        (1..=3).for_each(|id| three.start(id, Work::Decide));
        three.progress("the start");
        three.world.run_for(Duration::from_secs(2));
        let wiped = (1..=3).find(|id| Some(*id) != three.leader()).unwrap();
        three.crash(wiped, Crash::Kill);
        let disk = three.world.disk(three.host(wiped));
        for file in disk.files() {
            assert!(disk.remove(file));
        }
        three.start(wiped, Work::Decide);
        let has_all = || {
            let watched = three.watched.borrow();
            let most = watched.ends.values().max().copied().unwrap();
            watched.ends.get(&wiped).is_some_and(|end| end.0 + 30 > most.0)
        };
        assert!(three.world.run_until(PATIENCE, has_all), "the new disk stays behind");
        three.crash(three.leader().unwrap(), Crash::PowerLoss);
        three.progress("with the new disk");
        three.settle();
        three.compare_logs();
    }
}

#[test]
fn who_reads_along_gets_what_is_committed_and_strangers_get_nothing() {
    let three = Three::new(5, Options::default(), often());
    (1..=3).for_each(|id| three.start(id, Work::Decide));
    three.progress("the start");
    three.world.run_for(Duration::from_secs(3));
    three.settle();
    for id in 1..=3 {
        three.crash(id, Crash::Kill);
    }
    let (how, end) = (one_of_three(1, often()), *three.watched.borrow().images.keys().next_back().unwrap());
    three.world.run(three.host(1), move |io| async move {
        let quorum = Quorum::open(io.clone(), how).await.unwrap();
        let handle = quorum.handle();
        read_along(&handle).await;
        assert!(handle.image().next_offset() <= end);
        refuse_strangers(&handle).await;
    });
}

/// A reader begins with the snapshot and goes on with the log.
async fn read_along(handle: &QuorumHandle) {
    let first = handle.read_committed(Offset::ZERO, -1, 1_000).await.unwrap();
    let Found::Snapshot(id) = first.found else { panic!("{first:?}") };
    let mut content = Vec::new();
    loop {
        let piece = handle.read_snapshot(id, content.len() as u64, 100).await.unwrap().unwrap();
        assert!(piece.bytes.len() <= 100);
        content.extend_from_slice(&piece.bytes);
        if content.len() as u64 == piece.size {
            break;
        }
    }
    let records = decode_snapshot(&content).unwrap();
    let mut loader = crate::controller::Loader::default();
    loader.load(&records, id.end, id.epoch).unwrap();
    let unknown = SnapshotId { end: id.end.plus(1), ..id };
    assert_eq!(handle.read_snapshot(unknown, 0, 100).await.unwrap(), None);
    loop {
        let (at, epoch) = (loader.image().next_offset(), loader.image().epoch());
        let read = handle.read_committed(at, epoch, 500).await.unwrap();
        let Found::Batches(bytes) = read.found else { panic!("{read:?} at {at} in {epoch}") };
        assert_eq!(bytes.is_empty(), at == read.high_watermark);
        if bytes.is_empty() {
            break;
        }
        for batch in Batches::new(&bytes).map(Result::unwrap).filter(|batch| batch.header.next_offset() > at) {
            let epoch = batch.header.partition_leader_epoch.0;
            loader.load(&decode_batch(&batch).unwrap(), batch.header.next_offset(), epoch).unwrap();
        }
    }
    assert_eq!(loader.image().topics().collect::<Vec<_>>(), handle.image().topics().collect::<Vec<_>>());
    let ahead = handle.read_committed(handle.image().next_offset().plus(5), 999, 500).await.unwrap();
    assert!(matches!(ahead.found, Found::Diverging { .. }), "{ahead:?}");
}

async fn refuse_strangers(handle: &QuorumHandle) {
    let said =
        |cluster: &str, sender| codec::encode_request(cluster, BrokerId(sender), TopicId::default(), &Message::Hello).unwrap();
    for (cluster, sender, is_taken) in [(CLUSTER, 2, true), ("d", 2, false), (CLUSTER, 4, false), (CLUSTER, 1, false)] {
        let answer = handle.receive(said(cluster, sender)).await;
        match codec::decode_answer(Bytes::from(answer)).unwrap() {
            Answer::Hello { is_blank } => assert!(is_taken && !is_blank),
            Answer::Refused(_) => assert!(!is_taken, "{cluster} {sender}"),
            other => panic!("{other:?}"),
        }
    }
    for nonsense in [&b""[..], b"\0", b"\x07\0", b"\0\x63", b"\0\0\0\x01c\0\0\0\x02"] {
        let answer = handle.receive(Bytes::copy_from_slice(nonsense)).await;
        assert!(matches!(codec::decode_answer(Bytes::from(answer)).unwrap(), Answer::Refused(_)));
    }
}
