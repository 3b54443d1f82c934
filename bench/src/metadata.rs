//! `metadata`: asks for all topics of a cluster, as a client does that knows nothing yet.
//!
//! What an answer holds is counted without reading each: one that has as many bytes as one that was read is taken to hold the same,
//! but for every [`EACH`]th. Reading all of them would cost the generator what the broker needs to write them.

use crate::args::MetadataArgs;
use crate::ask::{Asker, Question};
use crate::commands::{check, check_run, finish, offsets};
use crate::kafka::{self, Client, LATEST, NewTopic, error_name, fail};
use crate::random::Random;
use crate::run::{self, Build};
use crate::schedule::Schedule;
use crate::stats::{Counts, Interval};
use crate::worker::{Failure, Role};
use bytes::Bytes;
use flumen::protocol::ApiKey;
use flumen::protocol::generated::metadata_request::MetadataRequest;
use flumen::protocol::generated::metadata_response::MetadataResponse;
use std::net::TcpStream;

/// The highest version that is spoken.
const VERSION: i16 = 12;
/// So many answers of the same size are taken to be the same before one is read again.
const EACH: u64 = 64;

/// All topics.
fn everything() -> MetadataRequest {
    MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() }
}

/// How many partitions an answer tells of, all of which must have a leader.
fn partitions(answer: &MetadataResponse) -> Result<u64, Failure> {
    let mut count = 0;
    for topic in &answer.topics {
        let name = topic.name.as_ref().map_or("a topic without a name", |name| name.as_str());
        let errors = topic.partitions.iter().map(|partition| partition.error_code);
        if let Some(code) = std::iter::once(topic.error_code).chain(errors).find(|code| *code != 0) {
            return fail(format!("Metadata: {name}: {}", error_name(code)));
        }
        if topic.partitions.iter().any(|partition| partition.leader_id < 0) {
            return fail(format!("Metadata: {name} has a partition without leader"));
        }
        count += topic.partitions.len() as u64;
    }
    Ok(count)
}

/// What one connection asks.
struct Everything {
    version: i16,
    /// Partitions that each answer must tell of.
    partitions: u64,
    /// Bytes of the last answer that was read.
    read_bytes: usize,
    taken: u64,
}

impl Question for Everything {
    fn ask(&mut self, correlation: i32) -> Result<Bytes, Failure> {
        kafka::frame(&everything(), self.version, correlation)
    }

    fn answered(&mut self, correlation: i32, frame: Bytes, counted: &mut Interval) -> Result<(), Failure> {
        let bytes = frame.len();
        if bytes != self.read_bytes || self.taken.is_multiple_of(EACH) {
            let found = partitions(&kafka::answer::<MetadataRequest>(frame, self.version, correlation)?)?;
            if found != self.partitions {
                return fail(format!("Metadata: {found} partitions instead of {}", self.partitions));
            }
            self.read_bytes = bytes;
        } else if frame.first_chunk::<4>() != Some(&correlation.to_be_bytes()) {
            return fail("Metadata: an answer to another request");
        }
        self.taken += 1;
        counted.consumed.add(Counts { requests: 1, records: self.partitions, bytes: bytes as u64 });
        Ok(())
    }
}

/// Creates the topics, and waits until each partition has a leader that serves it.
fn create(client: &mut Client, args: &MetadataArgs, topics: usize) -> Result<(), Failure> {
    let new = NewTopic { partitions: args.partitions, replication_factor: args.replication_factor, configs: Vec::new() };
    let names: Vec<String> = (0..topics).map(|number| format!("{}-{number}", args.prefix)).collect();
    for name in &names {
        client.create_topic(name, &new)?;
    }
    for name in &names {
        // A client of its own, which has the patience of a new one.
        offsets(&Client::connect(&args.bootstrap)?.topic(name)?, LATEST)?;
    }
    Ok(())
}

/// Runs the command.
pub fn run(args: &MetadataArgs) -> Result<(), Failure> {
    check_run(&args.run)?;
    check(args.connections > 0 && args.in_flight > 0 && args.partitions > 0, "counts are at least 1")?;
    check(args.request_rate.is_none_or(|rate| rate > 0.0), "a rate is positive")?;
    let mut client = Client::connect(&args.bootstrap)?;
    if let Some(topics) = args.create_topics {
        create(&mut client, args, topics)?;
    }
    let version = client.version(ApiKey::Metadata, VERSION)?;
    let found = partitions(&client.call(&everything(), version)?)?;
    let created = args.create_topics.unwrap_or(0) as u64 * u64::from(args.partitions.unsigned_abs());
    check(found > 0 && found >= created, &format!("there are {found} partitions"))?;
    if !args.run.quiet {
        eprintln!("{found} partitions");
    }
    let threads = args.run.threads;
    let build = |thread: usize| -> Build {
        let args = args.clone();
        Box::new(move || {
            let mut phases = Random::new(args.seed ^ thread as u64);
            let mut link = |_| -> Result<(TcpStream, Box<dyn Role>), Failure> {
                let rate = args.request_rate.map(|rate| rate / args.connections as f64);
                let schedule = rate.map_or(Schedule::Closed, |rate| Schedule::open(rate, phases.fraction()));
                let question = Everything { version, partitions: found, read_bytes: 0, taken: 0 };
                Ok((kafka::connect(&args.bootstrap)?, Box::new(Asker::new(question, schedule, args.in_flight))))
            };
            (thread..args.connections).step_by(threads).map(&mut link).collect()
        })
    };
    let outcome = run::run((0..threads).map(build).collect(), &args.run, false)?;
    finish("metadata", args, &args.run, &outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Phase;
    use flumen::protocol::frame::AnswerTo;
    use flumen::protocol::generated::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
    use flumen::protocol::{Chunk, StrBytes};

    /// An answer with topics of so many partitions, led by `leader_id`.
    fn answer(correlation_id: i32, topics: &[i32], leader_id: i32) -> Bytes {
        let topic = |(number, count): (usize, &i32)| MetadataResponseTopic {
            name: Some(StrBytes::from(format!("t-{number}"))),
            partitions: (0..*count)
                .map(|partition_index| MetadataResponsePartition { partition_index, leader_id, ..Default::default() })
                .collect(),
            ..Default::default()
        };
        let response = MetadataResponse { topics: topics.iter().enumerate().map(topic).collect(), ..Default::default() };
        let chunks = AnswerTo { api_key: ApiKey::Metadata, version: VERSION, correlation_id }.encode(&response).unwrap();
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
    fn partitions_are_counted_and_what_is_missing_is_found() {
        let mut question = Everything { version: VERSION, partitions: 5, read_bytes: 0, taken: 0 };
        let mut counted = Interval::new(Phase::Measured, 0);
        question.answered(1, answer(1, &[2, 3], 1), &mut counted).unwrap();
        question.answered(2, answer(2, &[2, 3], 1), &mut counted).unwrap();
        assert_eq!((counted.consumed.requests, counted.consumed.records), (2, 10));
        assert!(question.answered(3, answer(3, &[2, 2], 1), &mut counted).unwrap_err().0.contains("4 partitions instead of 5"));
        assert!(question.answered(4, answer(5, &[2, 3], 1), &mut counted).is_err(), "an answer to another request");
        question.read_bytes = 0;
        assert!(question.answered(6, answer(6, &[2, 3], -1), &mut counted).unwrap_err().0.contains("without leader"));
    }

    #[test]
    fn every_so_many_answers_one_is_read() {
        let mut question = Everything { version: VERSION, partitions: 5, read_bytes: 0, taken: 0 };
        let mut counted = Interval::new(Phase::Measured, 0);
        for number in 1..=EACH as i32 {
            question.answered(number, answer(number, &[2, 3], 1), &mut counted).unwrap();
        }
        // The same size, but nobody leads.
        let found = question.answered(100, answer(100, &[2, 3], -1), &mut counted);
        assert!(found.unwrap_err().0.contains("without leader"));
    }

    #[test]
    fn all_topics_can_be_asked_for_in_every_version_that_is_spoken() {
        for version in 4..=VERSION {
            kafka::frame(&everything(), version, 1).unwrap();
        }
    }
}
