//! The foreign clients, each a process that reads tasks as JSON lines and answers with JSON lines.
//!
//! ```text
//! {"do":"produce","topic":T,"codec":"none|gzip|snappy|lz4|zstd","acks":"0|1|all","idempotent":B,
//!  "records":[{"partition":P,"timestamp":MS,"key":HEX|null,"value":HEX|null,"headers":[[NAME,HEX|null]...]}...]}
//!     -> {"topic":T,"acks":[[PARTITION,OFFSET]...]}             in the order of the records
//! {"do":"consume","partitions":[{"topic":T,"partition":P,"from":O,"from_timestamp":MS?,"end":O}...],"seconds":S?}
//!     -> one line a record, as above with "topic" and "offset"; then {"done":true}
//! {"do":"produce_numbered","topic":T,"count":N,"size":B,"base_timestamp":MS}              (Java only)
//!     -> {"count":N}                       record n has offset n, timestamp MS+n, and a value that follows from n
//! {"do":"verify_numbered","topic":T,"from":O|"from_number_by_time":N,"end":O,"size":B,"base_timestamp":MS,"seconds":S,"may_jump":B?}
//!     -> {"count":N,"jumped":N}            `may_jump`: retention may delete what was not read yet; not known to [`MORE_PEERS`]
//! {"do":"journey","topic":T,"group":G}
//!     -> one of everything that an application asks of a cluster: creates the topic with 3 partitions and a retention, writes 30
//!        records that are 1 ms apart to partition 0, looks for the time of the eleventh, reads and commits it, makes four mistakes
//!        and reports what the client says to each, adds partitions, looks around, and deletes the topic:
//!        {"retention":"3600000","exists":ERROR,"absent":ERROR,"too_large":ERROR,"by_time":10,"value":"10","committed":11,
//!         "out_of_range":ERROR,"partitions":5,"nodes":1,"listed":true,"deleted":true}
//! ```
//! Partitions are assigned, no group is joined; kafkajs has no such call, its peer joins a group of its own and seeks. A task may carry
//! settings of one client under "java", "librdkafka" or "go".

use super::process;
use super::records::Record;
use super::tools;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(150);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Java,
    Librdkafka,
    FranzGo,
    Aiokafka,
    Sarama,
    KafkaPython,
    KafkaJs,
}

pub const PEERS: [Peer; 3] = [Peer::Java, Peer::Librdkafka, Peer::FranzGo];
/// They do not know the numbered tasks: the large partitions are for those above.
pub const MORE_PEERS: [Peer; 4] = [Peer::Aiokafka, Peer::Sarama, Peer::KafkaPython, Peer::KafkaJs];

pub fn all_peers() -> impl Iterator<Item = Peer> {
    PEERS.into_iter().chain(MORE_PEERS)
}

/// What was read: the records of each topic and partition, in the order in which the client handed them out.
pub type Dump = BTreeMap<(String, i32), Vec<Record>>;

/// What to read of a partition: offsets from `from` to before `end`.
#[derive(Clone, Debug)]
pub struct Range {
    pub topic: String,
    pub partition: i32,
    pub from: i64,
    pub end: i64,
}

pub struct Produce<'a> {
    pub topic: String,
    pub codec: &'a str,
    pub acks: &'a str,
    pub idempotent: bool,
    pub records: Vec<Record>,
}

impl Peer {
    pub fn command(self) -> Command {
        match self {
            Peer::Java => tools::java("Client", 512, "warn"),
            Peer::Librdkafka => tools::python("client.py"),
            Peer::FranzGo => tools::go_client("go"),
            Peer::Aiokafka => tools::python("aiokafka_client.py"),
            Peer::Sarama => tools::go_client("sarama"),
            Peer::KafkaPython => tools::python("kafka_python_client.py"),
            Peer::KafkaJs => tools::node("client.js"),
        }
    }

    /// The client has KIP-345's static members.
    pub fn has_static_members(self) -> bool {
        self != Peer::KafkaJs
    }

    /// What of a plan this client can say, the nearest thing where it cannot.
    pub fn sayable(self, mut records: Vec<Record>) -> Vec<Record> {
        // "Need at least one: key or value", say both.
        let wants_key_or_value = matches!(self, Peer::Aiokafka | Peer::KafkaPython);
        // kafka-python demands bytes, kafkajs fails when it computes the length.
        let wants_header_values = matches!(self, Peer::KafkaPython | Peer::KafkaJs);
        for record in &mut records {
            if wants_key_or_value && record.key.is_none() && record.value.is_none() {
                record.value = Some(b"neither key nor value".to_vec());
            }
            for (_, value) in record.headers.iter_mut().filter(|_| wants_header_values) {
                value.get_or_insert_default();
            }
        }
        records
    }

    /// A batch that compression did not make smaller is sent as it was.
    pub fn may_leave_uncompressed(self) -> bool {
        matches!(self, Peer::Librdkafka | Peer::Aiokafka | Peer::KafkaPython)
    }

    pub fn run(self, bootstrap: &str, tasks: &[Value]) -> Vec<Value> {
        self.run_within(bootstrap, tasks, LIMIT)
    }

    pub fn run_within(self, bootstrap: &str, tasks: &[Value], limit: Duration) -> Vec<Value> {
        let input: String = tasks.iter().map(|task| format!("{task}\n")).collect();
        let output = process::run_ok(self.command().arg(bootstrap), input.as_bytes(), limit);
        let output = String::from_utf8(output).expect("JSON is UTF-8");
        output
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{self:?}: {error}: {line}")))
            .collect()
    }

    /// Writes the plans; each comes back with the offsets that the broker gave its records.
    pub fn produce(self, bootstrap: &str, plans: Vec<Produce<'_>>) -> Vec<Vec<Record>> {
        let tasks: Vec<Value> = plans
            .iter()
            .map(|plan| {
                let records: Vec<Value> = plan.records.iter().map(Record::to_json).collect();
                json!({
                    "do": "produce", "topic": plan.topic, "codec": plan.codec, "acks": plan.acks, "idempotent": plan.idempotent,
                    "records": records,
                })
            })
            .collect();
        let answers = self.run(bootstrap, &tasks);
        assert_eq!(answers.len(), plans.len(), "{self:?} answered every task");
        let with_offsets = |(plan, answer): (Produce<'_>, Value)| {
            let acks = answer["acks"].as_array().expect("acks").clone();
            assert_eq!(acks.len(), plan.records.len(), "{self:?} got an ack for every record of {}", plan.topic);
            let place = |(mut record, ack): (Record, Value)| {
                assert_eq!(ack[0].as_i64(), Some(i64::from(record.partition)), "{self:?}: the partition that was asked for");
                record.offset = ack[1].as_i64().unwrap();
                record
            };
            plan.records.into_iter().zip(acks).map(place).collect()
        };
        plans.into_iter().zip(answers).map(with_offsets).collect()
    }

    pub fn consume(self, bootstrap: &str, ranges: &[Range]) -> Dump {
        self.consume_with(bootstrap, ranges, json!({}))
    }

    /// `settings`: further fields of the task, such as `{"java":{"fetch.max.bytes":"1"}}`.
    pub fn consume_with(self, bootstrap: &str, ranges: &[Range], settings: Value) -> Dump {
        let range =
            |range: &Range| json!({"topic": range.topic, "partition": range.partition, "from": range.from, "end": range.end});
        let mut task = json!({"do": "consume", "partitions": ranges.iter().map(range).collect::<Vec<_>>()});
        task.as_object_mut().unwrap().extend(settings.as_object().expect("settings are an object").clone());
        let mut answers = self.run(bootstrap, &[task]);
        assert_eq!(answers.pop(), Some(json!({"done": true})), "{self:?} read to the end");
        let mut dump = Dump::new();
        for answer in answers {
            let record = Record::from_json(&answer);
            dump.entry((answer["topic"].as_str().unwrap().to_owned(), record.partition)).or_default().push(record);
        }
        dump
    }
}
