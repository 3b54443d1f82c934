//! openraft's own tests of a log store and a state machine, and crashes between the steps of a snapshot; on simulated disks.

use super::entry::Voters;
use super::journal::Journal;
use super::machine::{Machine, Metadata};
use super::store::LogStore;
use super::tests::{create_topic, how, try_start_broker};
use super::types::{Membership, Payload, Types, log_id};
use super::*;
use crate::io::sim::{Crash, DiskFault, DiskOp, HostId, Options, World};
use crate::model::{ErrorCode, Offset};
use openraft::StorageError;
use openraft::entry::RaftEntry;
use openraft::storage::{RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

type Tests = Suite<Types, LogStore, Machine, Given, ()>;

/// The suite asks for something that makes stores; here each test is given its own.
struct Given;

impl StoreBuilder<Types, LogStore, Machine, ()> for Given {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<Types>> {
        unreachable!("the stores are given")
    }
}

async fn stores(io: &Io, dir: &str) -> (LogStore, Machine) {
    let dir = Path::new(dir);
    io.create_dir_all(dir).await.unwrap();
    let how = OpenQuorum { node: BrokerId(0), ..how(dir) };
    let journal = Journal::open(io, &how, Voters::InLog(Membership::default())).await.unwrap();
    (LogStore(journal.clone()), Machine(Metadata::new(journal)))
}

macro_rules! hold {
    ($($test:ident),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                let world = World::new(1, Options::default());
                let host = world.add_host("voter", 1);
                world.run(host, |io| async move {
                    let (store, machine) = stores(&io, "/data").await;
                    io.enter(Tests::$test(store, machine)).await.unwrap();
                });
            }
        )+
    };
}

/// What openraft expects of any store. Two of its tests are not here: one asks for a commit index on disk, which there is none of; the other
/// makes its stores itself, and stands below in our words.
mod suite {
    use super::*;

    hold! {
        last_membership_in_log_initial,
        last_membership_in_log,
        last_membership_in_log_multi_step,
        get_membership_initial,
        get_membership_from_log_and_empty_sm,
        get_membership_from_empty_log_and_sm,
        get_membership_from_log_le_sm_last_applied,
        get_membership_from_log_gt_sm_last_applied_1,
        get_membership_from_log_gt_sm_last_applied_2,
        get_initial_state_without_init,
        get_initial_state_membership_from_empty_log_and_sm,
        get_initial_state_membership_from_sm_inlog_is_smaller,
        get_initial_state_membership_from_log_insm_is_smaller,
        get_initial_state_with_state,
        get_initial_state_last_log_gt_sm,
        get_initial_state_last_log_lt_sm,
        get_initial_state_inverted_log_order,
        get_initial_state_conflict_at_same_index,
        get_initial_state_log_ids,
        save_vote,
        get_log_entries,
        limited_get_log_entries,
        leader_bounded_stream,
        entries_stream,
        try_get_log_entry,
        log_reader_reads_new_entries,
        initial_logs,
        get_log_state,
        get_log_id,
        last_id_in_log,
        last_applied_state,
        purge_logs_upto_0,
        purge_logs_upto_5,
        purge_logs_upto_20,
        delete_logs_after_11,
        delete_logs_after_5,
        delete_logs_after_0,
        delete_logs_after_none,
        append_to_log,
        snapshot_meta,
        snapshot_meta_optional,
        apply_single,
        apply_multiple,
    }
}

/// Entries that name voters and lead.
fn entries() -> Vec<super::types::Entry> {
    let voters = Membership::new_with_defaults(vec![BTreeSet::from([1, 2, 3])], []);
    vec![
        <super::types::Entry as RaftEntry>::new(log_id(1, 2), Payload::Voters(voters, None)),
        <super::types::Entry as RaftEntry>::new(log_id(3, 3), Payload::Blank),
    ]
}

/// A leader sends a voter that lags behind what is in a snapshot already; raft says when it has no more use for it.
fn keep_what_raft_may_still_send(planted: Option<&'static str>) {
    let world = World::new(1, Options { planted, ..Options::default() });
    let host = world.add_host("voter", 1);
    world.run(host, |io| async move {
        let how = OpenQuorum { node: BrokerId(0), segment_bytes: 1_000, ..how(Path::new("/data")) };
        io.create_dir_all(&how.log_dir).await.unwrap();
        let journal = Journal::open(&io, &how, Voters::InLog(Membership::default())).await.unwrap();
        for index in 0..100 {
            let blank = <super::types::Entry as RaftEntry>::new(log_id(1, index), Payload::Blank);
            journal.append(vec![blank]).await.unwrap();
        }
        for (purged, first) in [(None, 0), (Some(48), 49), (Some(99), 100)] {
            if let Some(purged) = purged {
                journal.purge(log_id(1, purged)).await.unwrap();
            }
            journal.forget_before(Offset(100)).await.unwrap();
            assert_eq!(journal.start_offset(), Offset(first as i64));
            let entries = journal.entries(0, 100, usize::MAX).await.unwrap();
            let indexes: Vec<u64> = entries.iter().map(|entry| entry.log_id.index()).collect();
            assert_eq!(indexes, (first..100).collect::<Vec<_>>());
        }
    });
}

#[test]
fn the_log_keeps_what_raft_may_still_send_whatever_a_snapshot_has() {
    keep_what_raft_may_still_send(None);
}

#[test]
fn a_log_that_is_cut_off_behind_a_voter_that_lags_is_found() {
    let planted = Some("metadata cut off behind a voter that lags");
    assert!(std::panic::catch_unwind(|| keep_what_raft_may_still_send(planted)).is_err());
}

#[test]
fn a_snapshot_of_another_voter_is_installed_and_the_log_begins_at_its_end() {
    let world = World::new(1, Options::default());
    let host = world.add_host("voter", 1);
    let applied = world.run(host, |io| async move {
        let (_, mut leader) = stores(&io, "/leader").await;
        let (mut store, mut follower) = stores(&io, "/follower").await;
        let applying = entries().into_iter().map(|entry| Ok((entry, None)));
        io.enter(leader.apply(futures_util::stream::iter(applying))).await.unwrap();
        let built = leader.try_create_snapshot_builder(true).await.unwrap().build_snapshot().await.unwrap();
        follower.install_snapshot(&built.meta, built.snapshot.clone()).await.unwrap();
        assert_eq!(follower.get_current_snapshot().await.unwrap().unwrap().meta, built.meta);
        let applied = leader.applied_state().await.unwrap();
        assert_eq!(follower.applied_state().await.unwrap(), applied);
        // The machine may die here: the next start does the same.
        store.purge(log_id(3, 3)).await.unwrap();
        assert_eq!(store.0.start_offset(), Offset(2));
        for dir in ["/follower", "/leader", "/"] {
            io.sync_dir(Path::new(dir)).await.unwrap();
        }
        applied
    });
    world.crash(host, Crash::PowerLoss);
    world.run(host, |io| async move {
        let (mut store, mut follower) = stores(&io, "/follower").await;
        let state = store.get_log_state().await.unwrap();
        assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(3, 3)), Some(log_id(3, 3))));
        let snapshot = follower.get_current_snapshot().await.unwrap().unwrap();
        follower.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
        assert_eq!(follower.applied_state().await.unwrap(), applied);
        let (mut store, _) = stores(&io, "/leader").await;
        assert_eq!(store.0.start_offset(), Offset(2), "a log that ends before the newest snapshot begins anew");
        assert_eq!(store.get_log_state().await.unwrap().last_log_id, Some(log_id(3, 3)));
    });
}

const DIR: &str = "/data";

/// What somebody knows of the metadata over the lives of a controller.
#[derive(Default)]
struct Seen {
    told: BTreeSet<String>,
    unsure: BTreeSet<String>,
    names: u64,
    /// How much of log and snapshots is kept; none is all of it.
    retention_bytes: i64,
    /// The number of the batch at an offset, which never changes.
    numbers: BTreeMap<Offset, u64>,
}

type Shared = Rc<RefCell<Seen>>;

fn nothing_yet(retention_bytes: i64) -> Shared {
    Rc::new(RefCell::new(Seen { retention_bytes, ..Seen::default() }))
}

fn short(retention_bytes: i64) -> OpenQuorum {
    let snapshots = SnapshotPolicy { bytes_between: 600, interval_ms: 0, retention_bytes, retention_ms: -1 };
    OpenQuorum { segment_bytes: 1_000, snapshots, ..how(Path::new(DIR)) }
}

/// One life of a controller that writes snapshots often. Whether nothing failed.
async fn live(io: Io, seen: Shared, topics: u64) -> bool {
    if io.create_dir_all(Path::new(DIR)).await.is_err() || io.sync_dir(Path::new("/")).await.is_err() {
        return false;
    }
    let how = short(seen.borrow().retention_bytes);
    let Ok(mut quorum) = Quorum::open(io, how).await else { return false };
    {
        let mut seen = seen.borrow_mut();
        let there: BTreeSet<String> = quorum.image().topics().map(|topic| topic.name.to_string()).collect();
        assert!(seen.told.is_subset(&there), "told and lost: {:?}", seen.told.difference(&there));
        assert!(there.iter().all(|name| seen.told.contains(name) || seen.unsure.contains(name)), "never made: {there:?}");
        seen.unsure.clear();
        seen.told = there;
    }
    note_numbers(&quorum, &seen);
    if try_start_broker(&mut quorum, true).await.is_err() {
        return false;
    }
    for _ in 0..topics {
        let name = {
            let mut seen = seen.borrow_mut();
            seen.names += 1;
            format!("t{}", seen.names)
        };
        seen.borrow_mut().unsure.insert(name.clone());
        match quorum.execute(create_topic(&name, &[])).await {
            Ok(Executed { reply: Reply::CreateTopics(response), .. }) => {
                assert_eq!(response.topics[0].error_code, ErrorCode::None.code());
                seen.borrow_mut().told.insert(name);
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => return false,
        }
        note_numbers(&quorum, &seen);
        if quorum.keep_short().await.is_err() {
            return false;
        }
    }
    true
}

fn note_numbers(quorum: &Quorum, seen: &Shared) {
    let mut seen = seen.borrow_mut();
    for (offset, number) in quorum.node.numbers() {
        let before = *seen.numbers.entry(offset).or_insert(number);
        assert_eq!(before, number, "the batch at {offset} has another number than before");
    }
}

fn life(world: &World, host: HostId, seen: &Shared, topics: u64) -> bool {
    let seen = seen.clone();
    world.run(host, move |io| live(io, seen, topics))
}

/// How many snapshots there are; each has its position beside it.
fn snapshots(world: &World, host: HostId) -> usize {
    let files = world.disk(host).files();
    let has_extension = |file: &PathBuf, extension: &str| file.extension().is_some_and(|found| found == extension);
    let dir = Quorum::log_path(Path::new(DIR));
    let found = files.iter().filter(|file| has_extension(file, "checkpoint") && file.parent() == Some(dir.as_path()));
    let snapshots: Vec<_> = found.filter(|file| file.file_name().is_some_and(|name| name.len() == 42)).collect();
    for snapshot in &snapshots {
        assert!(files.contains(&snapshot.with_extension("raft")), "{} has no position", snapshot.display());
    }
    snapshots.len()
}

/// A step fails and the process or the machine ends with it, whichever step of a life it is.
#[test]
fn a_crash_after_any_step_loses_nothing_and_numbers_no_batch_anew() {
    let (mut failed, mut snapped) = (0, 0);
    for op in [DiskOp::Write, DiskOp::Sync, DiskOp::Name, DiskOp::SyncNames, DiskOp::Open, DiskOp::Resize] {
        for after in 0..40 {
            let world = World::new(u64::from(after), Options::default());
            let (host, seen) = (world.add_host("controller", 1), nothing_yet(5_000));
            assert!(life(&world, host, &seen, 6), "{op:?} {after}: a sound disk");
            world.crash(host, Crash::Kill);
            world.fail_disk(host, DiskFault { after, ..DiskFault::next(op) });
            failed += usize::from(!life(&world, host, &seen, 6));
            world.repair_disk(host);
            world.crash(host, if after % 2 == 0 { Crash::Kill } else { Crash::PowerLoss });
            for _ in 0..2 {
                assert!(life(&world, host, &seen, 3), "{op:?} {after}: no start after a failure");
                snapped += snapshots(&world, host);
                world.crash(host, Crash::PowerLoss);
            }
        }
    }
    assert!(failed > 60 && snapped > 400, "{failed} lives failed, {snapped} snapshots were there");
}

/// Directories that another program, or an older version, has written have no positions beside their snapshots.
#[test]
fn a_snapshot_without_a_position_is_numbered_once() {
    for cut in [false, true] {
        let world = World::new(7, Options::default());
        let (host, seen) = (world.add_host("controller", 1), nothing_yet(if cut { 5_000 } else { -1 }));
        assert!(life(&world, host, &seen, 30));
        world.crash(host, Crash::Kill);
        let begins_late = world.run(host, |io| async move {
            let dir = Quorum::log_path(Path::new(DIR));
            for entry in io.read_dir(&dir).await.unwrap() {
                if entry.name.ends_with(".raft") {
                    io.remove_file(&dir.join(&entry.name)).await.unwrap();
                }
            }
            !io.exists(&dir.join("00000000000000000000.log")).await.unwrap()
        });
        assert_eq!(begins_late, cut, "the log's head goes with the snapshots");
        if cut {
            seen.borrow_mut().numbers.clear(); // Nobody can know any more how many batches there were.
        }
        for _ in 0..3 {
            assert!(life(&world, host, &seen, 1));
            let files = world.disk(host).files();
            assert!(files.iter().any(|file| file.extension().is_some_and(|found| found == "raft")));
            world.crash(host, Crash::PowerLoss);
        }
    }
}
