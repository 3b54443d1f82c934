//! Producers and consumers that run through everything that a test does to a cluster, and the verdict on what they saw:
//!
//! - no acked record that the configuration promises is lost, and it is where its ack said;
//! - no offset ever has two values, whichever replica is asked, and offsets have no gaps;
//! - what an idempotent producer wrote is there once and in order, what a plain one wrote at most once;
//! - the high watermark does not fall within a leader epoch, and nothing that was read goes out of range;
//! - no client gets an error that it cannot retry;
//! - every partition is written and read again within a time after a fault.
//!
//! Three writers ([`Kind`]) and a reader for each partition.

use crate::counts::Counts;
use crate::nodes::Cluster;
use crate::probe::{self, Probe};
use crate::reader::{self, Reader, Seen};
use crate::report::Report;
use crate::support::client::Client;
use crate::support::history::{Ack, History};
use crate::support::router::Place;
use crate::writer::{self, Kind, Told, Writer};
use flumen::model::TopicId;
use flumen::record::BatchHeader;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// More batches than a writer can have had under way before: one of them was sent since.
const MORE_BATCHES: u64 = 6;
/// How often the limit is added for a machine that has no core to spare: what takes longer would not end at all.
const MOST_PATIENCE: u32 = 3;
/// The same for clients that come anew, whose limit is short.
const MOST_WAIT: Duration = Duration::from_secs(45);
/// For a reader, behind what was acked; it may have to find out first that somebody else leads.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// For a replica that is in sync, to tell the high watermark and everything below it.
const REPLICA_LIMIT: Duration = Duration::from_secs(60);
const FETCH_BYTES: i32 = 1 << 20;
const FETCH_WAIT_MS: i32 = 100;

/// What the configs of a topic promise for records that were acked with acks=all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    pub min_insync_replicas: usize,
    pub unclean_election: bool,
}

impl Promise {
    fn of(configs: &BTreeMap<String, String>) -> Promise {
        Promise {
            min_insync_replicas: configs["min.insync.replicas"].parse().expect("a number"),
            unclean_election: configs["unclean.leader.election.enable"] == "true",
        }
    }

    /// How many replicas of a partition may lose what they have, at the same time: an acked record is on all in-sync replicas, and they
    /// are no fewer than this.
    pub fn disks(&self) -> usize {
        if self.unclean_election { 0 } else { self.min_insync_replicas - 1 }
    }
}

struct Watched<T> {
    told: Arc<Mutex<T>>,
    /// Taken when it is waited for.
    thread: Option<JoinHandle<()>>,
}

impl<T> Watched<T> {
    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn join(&mut self, what: &str) -> Result<(), String> {
        let thread = self.thread.take().expect("it is waited for once");
        thread.join().map_err(|_| format!("{what} has panicked"))
    }
}

pub struct Checker {
    pub topic: String,
    id: TopicId,
    partitions: i32,
    pub promise: Promise,
    pub report: Report,
    history: Arc<Mutex<History>>,
    writers: Vec<Watched<Told>>,
    readers: Vec<Watched<Seen>>,
    /// Of the next record of a client that comes anew.
    probed: AtomicU32,
    stop_writers: Arc<AtomicBool>,
    stop_readers: Arc<AtomicBool>,
}

impl Checker {
    /// Starts the load on a topic that is there. Called on the clients' host.
    pub fn start(name: &str, cluster: &Cluster, topic: &str) -> Checker {
        let partitions = cluster.partitions(topic).len();
        let id = cluster.ask(topic, |client| Ok(Some(client.metadata(Some(&[topic]))?.topics.remove(0).topic_id)));
        let configs = cluster.ask("configs", |client| client.topic_configs(topic).map(Some));
        let report = Report::new(name, cluster.kind);
        let mut checker =
            Checker::idle((topic.to_owned(), id), i32::try_from(partitions).unwrap(), Promise::of(&configs), report);
        for number in 0..partitions * Kind::ALL.len() {
            let told: Arc<Mutex<Told>> = Arc::default();
            let (router, stop) = (cluster.router(number, writer::ANSWER_LIMIT), checker.stop_writers.clone());
            let writer = Writer::new(u32::try_from(number).unwrap(), (topic.to_owned(), id), router, told.clone());
            checker.writers.push(Watched { told, thread: Some(std::thread::spawn(move || writer.run(&stop))) });
        }
        for partition in 0..checker.partitions {
            let told: Arc<Mutex<Seen>> = Arc::default();
            let reader = Reader {
                partition,
                topic: (topic.to_owned(), id),
                router: cluster.router(usize::try_from(partition).unwrap(), reader::ANSWER_LIMIT),
                history: checker.history.clone(),
                seen: told.clone(),
                high_watermarks: BTreeMap::new(),
            };
            let stop = checker.stop_readers.clone();
            checker.readers.push(Watched { told, thread: Some(std::thread::spawn(move || reader.run(&stop))) });
        }
        let promise = checker.promise;
        checker.report.say(&format!("load on {topic}, {partitions} partitions: {promise:?}"));
        checker
    }

    fn idle((topic, id): (String, TopicId), partitions: i32, promise: Promise, report: Report) -> Checker {
        Checker {
            topic,
            id,
            partitions,
            promise,
            report,
            history: Arc::default(),
            writers: Vec::new(),
            readers: Vec::new(),
            probed: AtomicU32::new(0),
            stop_writers: Arc::default(),
            stop_readers: Arc::default(),
        }
    }

    /// What no client should have seen; also a thread that has panicked.
    fn complaints(&self) -> Result<(), String> {
        let of_writers = self.writers.iter().filter_map(|writer| writer.told.lock().ok()?.complaint.clone());
        let of_readers = self.readers.iter().filter_map(|reader| reader.told.lock().ok()?.complaint.clone());
        let complaints: Vec<String> = of_writers.chain(of_readers).collect();
        let ended = self.writers.iter().filter(|writer| writer.has_ended()).count()
            + self.readers.iter().filter(|reader| reader.has_ended()).count();
        if !complaints.is_empty() {
            return Err(complaints.join("\n"));
        }
        let running = !self.stop_writers.load(Ordering::Relaxed);
        if running && ended > 0 { Err(format!("{ended} threads have ended")) } else { Ok(()) }
    }

    /// The idempotent writer of each partition: the one that goes on until it is acked.
    fn retrying(&self) -> impl Iterator<Item = &Watched<Told>> {
        let is_idempotent = |number: usize| Kind::of(u32::try_from(number).unwrap()) == Kind::Idempotent;
        self.writers.iter().enumerate().filter(move |(number, _)| is_idempotent(*number)).map(|(_, writer)| writer)
    }

    /// Waits until each partition takes and serves what was sent after this call; how long that took. The time in which nodes waited for
    /// a core of this machine does not count towards the limit.
    ///
    /// # Errors
    /// The partitions that do not, and what their writers were told instead.
    pub fn await_progress(&self, cluster: &Cluster, limit: Duration) -> Result<Duration, String> {
        let (started, waits) = (Instant::now(), cluster.waits());
        let before: Vec<u64> = self.retrying().map(|writer| writer.told.lock().unwrap().batches).collect();
        loop {
            self.complaints()?;
            let mut stuck = Vec::new();
            for ((partition, writer), before) in (0..).zip(self.retrying()).zip(&before) {
                let told = writer.told.lock().unwrap();
                let read = self.history.lock().unwrap().end(partition);
                let acked = told.acks.last().map_or(0, |ack| ack.base_offset + i64::from(ack.count));
                if told.batches < before + MORE_BATCHES || read < acked {
                    let more = told.batches - before;
                    stuck.push(format!(
                        "partition {partition}: {more} batches acked, read to {read} of {acked}, retries {:?}",
                        told.retries
                    ));
                }
            }
            if stuck.is_empty() {
                return Ok(started.elapsed());
            }
            if started.elapsed() > limit {
                let waited = cluster.waits().since(&waits).min(MOST_PATIENCE * limit);
                if started.elapsed() > limit + waited {
                    return Err(format!("no progress within {limit:?} (and {waited:?} for a core):\n{}", stuck.join("\n")));
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until each partition takes and serves a record of a client that came after this call ([`probe`]); how long after `since` that
    /// is, and for how long nodes have waited for a core of this machine, which does not count towards the limit.
    ///
    /// # Errors
    /// The partitions that do not.
    pub fn await_newcomers(&self, cluster: &Cluster, since: Instant, limit: Duration) -> Result<(Duration, Duration), String> {
        let (waits, give_up) = (cluster.waits(), AtomicBool::new(false));
        let topic = (self.topic.as_str(), self.id);
        let come = |partition: i32| {
            let router = cluster.router(usize::try_from(partition).unwrap(), probe::ANSWER_LIMIT);
            Probe { topic, partition, router, numbers: &self.probed, give_up: &give_up }
        };
        let acks: Vec<Option<Ack>> = std::thread::scope(|scope| {
            let probes: Vec<_> = (0..self.partitions).map(|partition| scope.spawn(move || come(partition).run())).collect();
            while !probes.iter().all(|probe| probe.is_finished()) {
                let over = since.elapsed().saturating_sub(limit);
                if !over.is_zero() && over > cluster.waits().since(&waits).min(MOST_WAIT) {
                    give_up.store(true, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            probes.into_iter().map(|probe| probe.join().expect("it does not panic")).collect()
        });
        let (took, waited) = (since.elapsed(), cluster.waits().since(&waits));
        let stuck: Vec<usize> = (0..acks.len()).filter(|partition| acks[*partition].is_none()).collect();
        self.history.lock().unwrap().acked(acks.into_iter().flatten());
        if stuck.is_empty() {
            return Ok((took, waited));
        }
        Err(format!(
            "no progress of partitions {stuck:?} within {limit:?}: {took:?}, of which nodes waited {waited:?} for a core"
        ))
    }

    /// Everything that has been counted since the load began.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for writer in &self.writers {
            let told = writer.told.lock().unwrap();
            counts.acked += told.records;
            counts.batches += told.batches;
            counts.refused += told.retries.values().sum::<u64>();
            counts.given_up += told.given_up;
        }
        counts.high_watermarks = self.readers.iter().map(|reader| reader.told.lock().unwrap().high_watermarks).sum();
        let history = self.history.lock().unwrap();
        counts.found = history.records() as u64;
        (counts.promises, counts.compared) = (history.promises(), history.compared());
        counts
    }

    /// How far the acks since the last call reach, by partition.
    fn take_acks(&self) -> BTreeMap<i32, i64> {
        let mut ends = BTreeMap::new();
        let mut history = self.history.lock().unwrap();
        for writer in &self.writers {
            let acks = std::mem::take(&mut writer.told.lock().unwrap().acks);
            for ack in &acks {
                let end: &mut i64 = ends.entry(ack.first.partition).or_default();
                *end = (*end).max(ack.base_offset + i64::from(ack.count));
            }
            history.acked(acks);
        }
        ends
    }

    /// Everything that has been acked is read and is where it should be, and nobody complains.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&mut self) -> Result<(), String> {
        self.complaints()?;
        let ends = self.take_acks();
        self.await_read(&ends, READ_LIMIT)?;
        self.history.lock().unwrap().check_acks()
    }

    fn await_read(&self, ends: &BTreeMap<i32, i64>, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        for (partition, end) in ends {
            loop {
                self.complaints()?;
                let read = self.history.lock().unwrap().end(*partition);
                if read >= *end {
                    break;
                }
                if Instant::now() > deadline {
                    return Err(format!("partition {partition} was acked up to {end} and is served up to {read}"));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// Ends the load and reads every replica from the beginning. The cluster must be whole again.
    ///
    /// # Errors
    /// What is wrong.
    pub fn finish(mut self, cluster: &Cluster) -> Result<(), String> {
        self.complaints()?;
        self.stop_writers.store(true, Ordering::Relaxed);
        self.writers.iter_mut().try_for_each(|writer| writer.join("a writer"))?;
        self.check()?;
        cluster.await_in_sync(&self.topic);
        let ends: BTreeMap<i32, i64> =
            (0..self.partitions).map(|partition| (partition, cluster.log_end(&self.topic, partition))).collect();
        self.await_read(&ends, READ_LIMIT)?;
        self.stop_readers.store(true, Ordering::Relaxed);
        self.readers.iter_mut().try_for_each(|reader| reader.join("a reader"))?;
        self.complaints()?;
        let mut replicas = 0;
        for partition in cluster.partitions(&self.topic) {
            let (index, nodes) = (partition.partition_index, &partition.replica_nodes);
            self.compare_replicas(cluster, index, nodes, ends[&index])?;
            replicas += nodes.len();
        }
        let mut history = self.history.lock().unwrap();
        history.check_nothing_lost(&ends)?;
        history.check_order(|number| Kind::of(number).order())?;
        let acks = history.acks();
        drop(history);
        let least = 20 * usize::try_from(self.partitions).unwrap();
        if acks < least {
            return Err(format!("the load was none: {acks} acks"));
        }
        self.summary(cluster, replicas);
        Ok(())
    }

    /// Reads what one replica, leader or not (KIP-392), has of a partition from the beginning to `end`, piece by piece: `take` gets where
    /// the next piece is to begin and says where it ended; `None`: the broker cannot say now.
    fn read_replica(
        &self,
        cluster: &Cluster,
        (node, partition, end): (i32, i32, i64),
        mut take: impl FnMut(&mut Client, Place) -> Result<Option<i64>, String>,
    ) -> Result<(), String> {
        let failed = |what: String| format!("partition {partition} on node {node}: {what}");
        let deadline = Instant::now() + REPLICA_LIMIT;
        let mut client = Client::connect(cluster.address(node)).map_err(|error| failed(error.to_string()))?;
        let mut offset = 0;
        while offset < end {
            match take(&mut client, Place::anywhere(partition, offset)).map_err(failed)? {
                Some(next) if next > offset => offset = next,
                _ if Instant::now() > deadline => {
                    return Err(failed(format!("it says nothing of offset {offset} of {end} for {REPLICA_LIMIT:?}")));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        Ok(())
    }

    /// All records as one replica has them, against all that was ever read and acked.
    fn read_records(&self, cluster: &Cluster, node: i32, partition: i32, end: i64) -> Result<(), String> {
        self.read_replica(cluster, (node, partition, end), |client, place| {
            let asked = client.fetch_at(self.id, &[place], FETCH_BYTES, FETCH_WAIT_MS);
            let (error, mut answers) = asked.map_err(|error| error.to_string())?;
            let Some(answer) = answers.pop().filter(|answer| error == 0 && answer.error == 0) else { return Ok(None) };
            self.history.lock().unwrap().saw(partition, place.offset, &answer.records)?;
            Ok(answer.records.last().map(|last| last.offset + 1))
        })
    }

    /// The headers of all batches as one replica has them, checksums and leader epochs among them: replicas that agree in them have the
    /// same bytes.
    fn read_headers(&self, cluster: &Cluster, node: i32, partition: i32, end: i64) -> Result<Vec<BatchHeader>, String> {
        let mut headers: Vec<BatchHeader> = Vec::new();
        self.read_replica(cluster, (node, partition, end), |client, place| {
            let asked = client.fetch_headers(self.id, place, FETCH_BYTES, FETCH_WAIT_MS);
            let Some(found) = asked.map_err(|error| error.to_string())? else { return Ok(None) };
            headers.extend(found.into_iter().filter(|header| header.base_offset.0 >= place.offset && header.base_offset.0 < end));
            Ok(headers.last().map(|last| last.next_offset().0))
        })?;
        Ok(headers)
    }

    /// Every replica of a partition has the same, and it is what was acked and read.
    fn compare_replicas(&self, cluster: &Cluster, partition: i32, nodes: &[i32], end: i64) -> Result<(), String> {
        let (first, others) = nodes.split_first().expect("a replica");
        self.read_records(cluster, *first, partition, end)?;
        let wanted = self.read_headers(cluster, *first, partition, end)?;
        for node in others {
            let found = self.read_headers(cluster, *node, partition, end)?;
            if let Some(wrong) = difference(&wanted, &found) {
                return Err(format!("partition {partition} on nodes {first} and {node}: {wrong}"));
            }
        }
        Ok(())
    }

    fn summary(&mut self, cluster: &Cluster, replicas: usize) {
        let (mut sessions, mut duplicates) = (0, 0);
        let mut retries: BTreeMap<i16, u64> = BTreeMap::new();
        for writer in &self.writers {
            let told = writer.told.lock().unwrap();
            (sessions, duplicates) = (sessions + told.sessions, duplicates + told.duplicates_without_offset);
            for (error, times) in &told.retries {
                *retries.entry(*error).or_default() += times;
            }
        }
        self.report.end(&format!(
            "{}; the headers of all batches on {replicas} replicas; {sessions} connections of writers, retries by error {retries:?}, {duplicates} \
             duplicates known to be written but not where; packets: {:?}",
            self.counts(),
            cluster.network.counts()
        ));
    }
}

/// The first batch in which two replicas differ.
fn difference(wanted: &[BatchHeader], found: &[BatchHeader]) -> Option<String> {
    let (wanted, found) = (wanted.iter().map(Some), found.iter().map(Some));
    let longest = wanted.len().max(found.len());
    let mut pairs = wanted.chain(std::iter::repeat(None)).zip(found.chain(std::iter::repeat(None))).take(longest);
    pairs.find(|(wanted, found)| wanted != found).map(|(wanted, found)| format!("{wanted:?} here, {found:?} there"))
}

impl Drop for Checker {
    /// When a test fails, the load must not go on beside the next one.
    fn drop(&mut self) {
        self.stop_writers.store(true, Ordering::Relaxed);
        self.stop_readers.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::client::FetchedRecord;
    use crate::support::history::Identity;
    use flumen::model::LeaderEpoch;
    use flumen::record::{BatchBuilder, Compression};

    fn promise(min_insync_replicas: &str, unclean: &str) -> Promise {
        let configs = [("min.insync.replicas", min_insync_replicas), ("unclean.leader.election.enable", unclean)];
        Promise::of(&configs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// A checker of one partition whose writers, of each kind one, have been told of these acks: writer, first number, count, offset.
    fn checker(acks: &[(u32, u32, u32, i64)]) -> Checker {
        let mut report = Report::new("planted", crate::support::broker::Kind::Flumen);
        report.end("unit tests");
        let mut checker = Checker::idle(("t".to_owned(), TopicId::ZERO), 1, promise("2", "false"), report);
        for writer in 0..3 {
            let of_writer = acks.iter().filter(|ack| ack.0 == writer);
            let ack = |ack: &(u32, u32, u32, i64)| Ack { first: identity(ack.0, ack.1), count: ack.2, base_offset: ack.3 };
            let told = Told { acks: of_writer.map(ack).collect(), ..Told::default() };
            checker
                .writers
                .push(Watched { told: Arc::new(Mutex::new(told)), thread: Some(std::thread::spawn(std::thread::park)) });
        }
        checker
    }

    fn identity(writer: u32, number: u32) -> Identity {
        Identity { writer, partition: 0, number }
    }

    /// What a log would serve that has these records, each writer and number, from `from` on.
    fn log(from: i64, records: &[(u32, u32)]) -> Vec<FetchedRecord> {
        let record = |(offset, (writer, number)): (i64, &(u32, u32))| {
            let identity = identity(*writer, *number);
            let (key, value) = (Some(identity.key()), Some(identity.value()));
            FetchedRecord { offset, timestamp: identity.timestamp(), key, value }
        };
        (from..).zip(records).map(record).collect()
    }

    fn saw(checker: &Checker, from: i64, records: &[(u32, u32)]) -> Result<(), String> {
        checker.history.lock().unwrap().saw(0, from, &log(from, records))
    }

    const LOG: [(u32, u32); 4] = [(0, 0), (0, 1), (1, 0), (2, 0)];
    const ACKS: [(u32, u32, u32, i64); 2] = [(0, 0, 2, 0), (1, 0, 1, 2)];

    #[test]
    fn what_is_as_it_was_acked_is_right() {
        let mut checker = checker(&ACKS);
        saw(&checker, 0, &LOG).unwrap();
        saw(&checker, 1, &LOG[1..]).unwrap();
        assert_eq!(checker.check(), Ok(()));
        let mut history = checker.history.lock().unwrap();
        assert_eq!(history.check_nothing_lost(&BTreeMap::from([(0, 4)])), Ok(()));
        assert_eq!(history.check_order(|number| Kind::of(number).order()), Ok(()));
    }

    #[test]
    fn a_loss_is_found() {
        // Another record stands where an acked one was to be: a new leader that did not have it.
        let mut replaced = checker(&ACKS);
        saw(&replaced, 0, &[(0, 0), (0, 1), (2, 0)]).unwrap();
        assert!(replaced.check().unwrap_err().contains("was acked at offset 2"));
        // A log that ends before what was read of it once.
        let ends_early = checker(&ACKS);
        saw(&ends_early, 0, &LOG).unwrap();
        let lost = ends_early.history.lock().unwrap().check_nothing_lost(&BTreeMap::from([(0, 3)]));
        assert!(lost.unwrap_err().contains("was read before"));
    }

    #[test]
    fn an_ack_that_nobody_ever_serves_is_found() {
        let checker = checker(&[(0, 0, 2, 0)]);
        saw(&checker, 0, &LOG[..1]).unwrap();
        let wrong = checker.await_read(&checker.take_acks(), Duration::from_millis(50)).unwrap_err();
        assert!(wrong.contains("was acked up to 2 and is served up to 1"), "{wrong}");
    }

    #[test]
    fn a_duplicate_is_found_and_so_are_gaps_and_disorder() {
        let order = |records: &[(u32, u32)]| {
            let checker = checker(&[]);
            saw(&checker, 0, records).unwrap();
            checker.history.lock().unwrap().check_order(|number| Kind::of(number).order())
        };
        assert_eq!(order(&LOG), Ok(()));
        for (what, records) in [
            ("a retry that was appended again", [(0, 0), (0, 1), (0, 1)]),
            ("a plain record twice", [(1, 0), (1, 1), (1, 0)]),
            ("one that is missing between others", [(0, 0), (0, 1), (0, 3)]),
            ("one that was overtaken", [(0, 1), (0, 0), (0, 2)]),
        ] {
            assert!(order(&records).is_err(), "{what}");
        }
    }

    #[test]
    fn two_values_of_an_offset_are_found() {
        let checker = checker(&[]);
        saw(&checker, 0, &LOG).unwrap();
        // A replica that kept what its leader truncated.
        let wrong = saw(&checker, 2, &[(1, 1)]).unwrap_err();
        assert!(wrong.contains("offset 2 was") && wrong.contains("and is"), "{wrong}");
    }

    #[test]
    fn replicas_that_differ_are_found() {
        let header = |value: &[u8]| {
            let mut batch = BatchBuilder::new(Compression::NONE);
            batch.append(1, None, Some(value));
            BatchHeader::parse(&batch.build()).unwrap()
        };
        let (one, two) = (header(b"one"), header(b"two"));
        assert_eq!(difference(&[one, two], &[one, two]), None);
        assert!(difference(&[one, two], &[one, one]).is_some(), "another record");
        assert!(difference(&[one, two], &[one]).is_some(), "too few");
        assert!(difference(&[one], &[one, two]).is_some(), "too many");
        let elected = BatchHeader { partition_leader_epoch: LeaderEpoch(4), ..one };
        assert!(difference(&[one], &[elected]).is_some(), "of another leader's time");
    }

    #[test]
    fn bytes_that_nobody_wrote_are_found() {
        let checker = checker(&[]);
        let mut records = log(0, &LOG);
        records[1].value = Some(b"something else".to_vec());
        assert!(checker.history.lock().unwrap().saw(0, 0, &records).is_err());
    }

    #[test]
    fn what_a_client_complains_of_is_the_verdict() {
        let mut checker = checker(&ACKS);
        saw(&checker, 0, &LOG).unwrap();
        checker.writers[1].told.lock().unwrap().complaint = Some("error 87, which no client can retry".to_owned());
        assert!(checker.check().unwrap_err().contains("error 87"));
    }

    #[test]
    fn the_promise_follows_from_the_configs() {
        assert_eq!(promise("2", "false").disks(), 1);
        assert_eq!(promise("1", "false").disks(), 0);
        assert_eq!(promise("2", "true").disks(), 0, "an unclean election may lose anything");
        assert_eq!(Kind::of(4), Kind::Plain);
    }
}
