//! `commits`: consumers that assign themselves ("simple" groups, without members) commit what they have read.
//!
//! The offset that a group commits is the number of its commit, so at the end each partition must have the offset of the last commit
//! that was acked.

use crate::args::CommitsArgs;
use crate::ask::{Asker, Question};
use crate::commands::{check, check_run, finish, topic};
use crate::coordinate::{committed, coordinators};
use crate::kafka::{self, Client, Topic, error_name, fail, is_retriable};
use crate::random::Random;
use crate::run::{self, Build};
use crate::schedule::Schedule;
use crate::stats::{Counts, Interval};
use crate::worker::{Failure, Role};
use bytes::Bytes;
use flumen::model::TopicId;
use flumen::protocol::generated::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use flumen::protocol::{ApiKey, StrBytes};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

/// The highest version that is spoken.
const VERSION: i16 = 10;

/// The offset that was acked last, by the group's number and partition.
type Acked = Arc<Mutex<BTreeMap<(usize, i32), i64>>>;

/// A commit without an answer.
struct Commit {
    group: usize,
    offset: i64,
    partitions: Vec<i32>,
    bytes: u64,
}

/// What one connection commits: its groups in turn, of each a few partitions in turn.
struct Committer {
    topic: StrBytes,
    id: TopicId,
    version: i16,
    partitions: Vec<i32>,
    partitions_per_commit: usize,
    /// Numbers and names.
    groups: Vec<(usize, StrBytes)>,
    sent: usize,
    outstanding: VecDeque<Commit>,
    acked: Acked,
}

impl Committer {
    /// The next commit, and its group's name.
    fn next(&mut self) -> (Commit, StrBytes) {
        let (round, place) = (self.sent / self.groups.len(), self.sent % self.groups.len());
        self.sent += 1;
        let (group, name) = self.groups[place].clone();
        let first = round * self.partitions_per_commit;
        let partition = |i: usize| self.partitions[(first + i) % self.partitions.len()];
        let partitions = (0..self.partitions_per_commit).map(partition).collect();
        (Commit { group, offset: round as i64 + 1, partitions, bytes: 0 }, name)
    }
}

impl Question for Committer {
    fn ask(&mut self, correlation: i32) -> Result<Bytes, Failure> {
        let (mut commit, group_id) = self.next();
        let partition = |index: &i32| OffsetCommitRequestPartition {
            partition_index: *index,
            committed_offset: commit.offset,
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: self.topic.clone(),
            topic_id: self.id,
            partitions: commit.partitions.iter().map(partition).collect(),
        };
        let request = OffsetCommitRequest { group_id, topics: vec![topic], ..Default::default() };
        let frame = kafka::frame(&request, self.version, correlation)?;
        commit.bytes = frame.len() as u64;
        self.outstanding.push_back(commit);
        Ok(frame)
    }

    fn answered(&mut self, correlation: i32, frame: Bytes, counted: &mut Interval) -> Result<(), Failure> {
        let answer = kafka::answer::<OffsetCommitRequest>(frame, self.version, correlation)?;
        let commit = self.outstanding.pop_front().expect("whoever asks takes one answer for each request");
        let mut acked = self.acked.lock().expect("nobody panics with it");
        let mut answered = 0;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let (index, code) = (partition.partition_index, partition.error_code);
            if !commit.partitions.contains(&index) {
                return fail(format!("OffsetCommit: an answer for partition {index}, which was not in the request"));
            }
            answered += 1;
            if code == 0 {
                acked.insert((commit.group, index), commit.offset);
                continue;
            }
            counted.error(code);
            if !is_retriable(code) {
                return fail(format!("commit of partition {index}: {}", error_name(code)));
            }
        }
        if answered != commit.partitions.len() {
            return fail(format!("OffsetCommit: {answered} of {} partitions were answered", commit.partitions.len()));
        }
        counted.produced.add(Counts { requests: 1, records: answered as u64, bytes: commit.bytes });
        Ok(())
    }
}

/// Numbers of the groups of each connection, and whom it connects to: groups are spread evenly over the connections to their coordinator.
fn spread(coordinators: &[String], connections: usize) -> Vec<(String, Vec<usize>)> {
    let mut by_address: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
    for (group, address) in coordinators.iter().enumerate() {
        by_address.entry(address).or_default().push(group);
    }
    let each = connections.div_ceil(by_address.len().max(1));
    let mut spread = Vec::new();
    for (address, groups) in by_address {
        for place in 0..each.min(groups.len()) {
            spread.push((address.clone(), groups.iter().copied().skip(place).step_by(each).collect()));
        }
    }
    spread
}

/// What all connections share.
struct Commits {
    args: CommitsArgs,
    topic: Topic,
    version: i16,
    names: Vec<StrBytes>,
    coordinators: Vec<String>,
    spread: Vec<(String, Vec<usize>)>,
    acked: Acked,
}

impl Commits {
    fn new(args: &CommitsArgs) -> Result<Self, Failure> {
        let (mut client, topic) = topic(&args.topic)?;
        let each = args.partitions_per_commit;
        let counts = [args.groups, args.connections, args.in_flight, each];
        check(counts.iter().all(|count| *count > 0), "counts are at least 1")?;
        check(each <= topic.partitions.len(), "--partitions-per-commit are more than there are")?;
        check(args.rate.is_none_or(|rate| rate > 0.0), "a rate is positive")?;
        let names: Vec<_> = (0..args.groups).map(|number| StrBytes::from(format!("{}-{number}", args.group))).collect();
        let coordinators = coordinators(&mut client, &names)?;
        let version = client.version(ApiKey::OffsetCommit, VERSION)?;
        let spread = spread(&coordinators, args.connections);
        Ok(Self { args: args.clone(), topic, version, names, coordinators, spread, acked: Acked::default() })
    }

    fn partitions(&self) -> Vec<i32> {
        self.topic.partitions.iter().map(|partition| partition.index).collect()
    }

    /// What each group has, by its number and partition; coordinators that are loading are waited for.
    fn committed(&self) -> Result<BTreeMap<(usize, i32), i64>, Failure> {
        let (partitions, mut all) = (self.partitions(), BTreeMap::new());
        let mut clients: BTreeMap<&str, Client> = BTreeMap::new();
        for (number, (name, address)) in self.names.iter().zip(&self.coordinators).enumerate() {
            let client = match clients.entry(address) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(place) => place.insert(Client::connect(address)?),
            };
            let found = committed(client, name, &self.topic.name, &partitions)?;
            all.extend(found.into_iter().map(|(partition, offset)| ((number, partition), offset)));
        }
        Ok(all)
    }

    /// The connections of one thread: every `threads`th, from `thread` on.
    fn links(&self, thread: usize, threads: usize) -> Result<Vec<(TcpStream, Box<dyn Role>)>, Failure> {
        let mut phases = Random::new(self.args.seed ^ thread as u64);
        let mut links: Vec<(TcpStream, Box<dyn Role>)> = Vec::new();
        for (address, groups) in self.spread.iter().skip(thread).step_by(threads) {
            let rate = self.args.rate.map(|rate| rate / self.spread.len() as f64);
            let schedule = rate.map_or(Schedule::Closed, |rate| Schedule::open(rate, phases.fraction()));
            let question = Committer {
                topic: StrBytes::from(&self.topic.name),
                id: self.topic.id,
                version: self.version,
                partitions: self.partitions(),
                partitions_per_commit: self.args.partitions_per_commit,
                groups: groups.iter().map(|number| (*number, self.names[*number].clone())).collect(),
                sent: 0,
                outstanding: VecDeque::new(),
                acked: self.acked.clone(),
            };
            links.push((kafka::connect(address)?, Box::new(Asker::new(question, schedule, self.args.in_flight))));
        }
        Ok(links)
    }

    /// Whether each partition has the offset that was acked last.
    fn verify(&self) -> Result<(), Failure> {
        let found = self.committed()?;
        let acked = self.acked.lock().expect("nobody panics with it");
        check(!acked.is_empty(), "no commit was acked")?;
        for ((group, partition), offset) in acked.iter() {
            let found = found.get(&(*group, *partition)).copied().unwrap_or(-1);
            if found != *offset {
                let name = &self.names[*group];
                return fail(format!("{name} has offset {found} of partition {partition}, but {offset} was acked last"));
            }
        }
        Ok(())
    }
}

/// Runs the command.
pub fn run(args: &CommitsArgs) -> Result<(), Failure> {
    check_run(&args.run)?;
    let commits = Arc::new(Commits::new(args)?);
    commits.committed()?;
    let threads = args.run.threads;
    let build = |thread: usize| -> Build {
        let commits = commits.clone();
        Box::new(move || commits.links(thread, threads))
    };
    let mut outcome = run::run((0..threads).map(build).collect(), &args.run, false)?;
    if outcome.failure.is_none() {
        outcome.failure = commits.verify().err();
    }
    finish("commits", args, &args.run, &outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Phase;
    use flumen::model::ErrorCode;
    use flumen::protocol::Chunk;
    use flumen::protocol::frame::AnswerTo;
    use flumen::protocol::generated::offset_commit_response::{
        OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    };

    fn committer() -> Committer {
        Committer {
            topic: StrBytes::from_static("t"),
            id: TopicId([7; 16]),
            version: VERSION,
            partitions: vec![0, 1, 2],
            partitions_per_commit: 2,
            groups: vec![(4, StrBytes::from_static("g-4")), (9, StrBytes::from_static("g-9"))],
            sent: 0,
            outstanding: VecDeque::new(),
            acked: Acked::default(),
        }
    }

    /// An answer with a partition and an error for each.
    fn answer(correlation_id: i32, partitions: &[(i32, i16)]) -> Bytes {
        let partition =
            |&(partition_index, error_code): &(i32, i16)| OffsetCommitResponsePartition { partition_index, error_code };
        let partitions = partitions.iter().map(partition).collect();
        let topic = OffsetCommitResponseTopic { topic_id: TopicId([7; 16]), partitions, ..Default::default() };
        let response = OffsetCommitResponse { topics: vec![topic], ..Default::default() };
        let chunks = AnswerTo { api_key: ApiKey::OffsetCommit, version: VERSION, correlation_id }.encode(&response).unwrap();
        let whole: Vec<u8> = chunks
            .into_iter()
            .flat_map(|chunk| match chunk {
                Chunk::Bytes(bytes) => bytes.to_vec(),
                Chunk::External { .. } => unreachable!("there are no records"),
            })
            .collect();
        Bytes::from(whole).slice(4..)
    }

    #[test]
    fn groups_and_partitions_take_turns_and_offsets_are_numbers_of_commits() {
        let mut committer = committer();
        let mut next = || {
            let (commit, name) = committer.next();
            (name.to_string(), commit.group, commit.offset, commit.partitions)
        };
        assert_eq!(next(), ("g-4".to_owned(), 4, 1, vec![0, 1]));
        assert_eq!(next(), ("g-9".to_owned(), 9, 1, vec![0, 1]));
        assert_eq!(next(), ("g-4".to_owned(), 4, 2, vec![2, 0]));
    }

    #[test]
    fn what_was_acked_last_is_known() {
        let (mut committer, mut counted) = (committer(), Interval::new(Phase::Measured, 0));
        for number in 1..=3 {
            committer.ask(number).unwrap();
        }
        committer.answered(1, answer(1, &[(1, 0), (0, 0)]), &mut counted).unwrap();
        committer.answered(2, answer(2, &[(0, 0), (1, ErrorCode::NotCoordinator.code())]), &mut counted).unwrap();
        committer.answered(3, answer(3, &[(2, 0), (0, 0)]), &mut counted).unwrap();
        let acked = committer.acked.lock().unwrap().clone();
        assert_eq!(acked, BTreeMap::from([((4, 0), 2), ((4, 1), 1), ((4, 2), 2), ((9, 0), 1)]));
        assert_eq!((counted.produced.requests, counted.produced.records), (3, 6));
        assert_eq!(counted.errors[&ErrorCode::NotCoordinator.code()], 1);
    }

    #[test]
    fn answers_that_are_wrong_fail_the_run() {
        let found = |partitions: &[(i32, i16)]| {
            let mut committer = committer();
            committer.ask(1).unwrap();
            committer.answered(1, answer(1, partitions), &mut Interval::new(Phase::Measured, 0)).unwrap_err().0
        };
        assert!(found(&[(0, 0)]).contains("1 of 2 partitions"));
        assert!(found(&[(0, 0), (2, 0)]).contains("partition 2, which was not in the request"));
        assert!(found(&[(0, 0), (1, ErrorCode::InvalidGroupId.code())]).contains("INVALID_GROUP_ID"));
    }

    #[test]
    fn groups_go_to_their_coordinators() {
        let at = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let found = spread(&at(&["a", "b", "a", "a"]), 4);
        let wanted = [("a", vec![0, 3]), ("a", vec![2]), ("b", vec![1])].map(|(at, groups)| (at.to_owned(), groups));
        assert_eq!(found, wanted);
        assert_eq!(spread(&at(&["a", "a", "a"]), 1), [("a".to_owned(), vec![0, 1, 2])]);
    }

    #[test]
    fn a_commit_can_be_encoded_in_every_version_that_is_spoken() {
        for version in 2..=VERSION {
            let mut committer = Committer { version, ..committer() };
            committer.ask(1).unwrap();
        }
    }
}
