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
//!     -> {"count":N,"jumped":N}            `may_jump`: retention may delete what was not read yet
//! ```
//! Partitions are assigned, no group is joined. A task may carry settings of one client under "java", "librdkafka" or "go".

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
}

pub const PEERS: [Peer; 3] = [Peer::Java, Peer::Librdkafka, Peer::FranzGo];

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
            Peer::Librdkafka => {
                let mut command = Command::new(tools::python());
                command.arg(tools::clients_dir().join("python/client.py"));
                command
            }
            Peer::FranzGo => Command::new(tools::go_client()),
        }
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
