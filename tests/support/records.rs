//! Records as every client of the tests writes and reads them, and the plans of what is written.

use serde_json::{Value, json};
use std::fmt;

/// One record, as it was planned or as a client saw it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub partition: i32,
    /// -1 in a plan.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brief = |bytes: &Option<Vec<u8>>| match bytes {
            None => "null".to_owned(),
            Some(bytes) if bytes.len() > 40 => format!("{} bytes {}", bytes.len(), bytes[..12].escape_ascii()),
            Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        };
        let headers: Vec<String> = self.headers.iter().map(|(name, value)| format!("{name}={}", brief(value))).collect();
        let Record { partition, offset, timestamp, .. } = self;
        write!(f, "{partition}@{offset} t={timestamp} key={} value={} {headers:?}", brief(&self.key), brief(&self.value))
    }
}

fn hex(bytes: &Option<Vec<u8>>) -> Value {
    match bytes {
        None => Value::Null,
        Some(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
    }
}

fn unhex(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    Some((0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect())
}

impl Record {
    pub fn to_json(&self) -> Value {
        let headers: Vec<Value> = self.headers.iter().map(|(name, value)| json!([name, hex(value)])).collect();
        json!({
            "partition": self.partition, "timestamp": self.timestamp, "key": hex(&self.key), "value": hex(&self.value), "headers": headers,
        })
    }

    pub fn from_json(value: &Value) -> Record {
        let number = |name: &str| value[name].as_i64().unwrap_or_else(|| panic!("no {name} in {value}"));
        let header = |pair: &Value| (pair[0].as_str().expect("a header's name").to_owned(), unhex(&pair[1]));
        Record {
            partition: i32::try_from(number("partition")).unwrap(),
            offset: number("offset"),
            timestamp: number("timestamp"),
            key: unhex(&value["key"]),
            value: unhex(&value["value"]),
            headers: value["headers"].as_array().expect("headers").iter().map(header).collect(),
        }
    }
}

/// The first timestamp of every plan; fixed, so that a run can be repeated byte for byte, and recent enough for retention.
pub fn base_timestamp() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap() - 3_600_000
}

/// A plan that has one of everything: null and empty keys and values, headers (several, equal names, null, empty), timestamps
/// that run backwards, bytes that are not text, values that do and do not compress, and enough records for several batches.
pub fn varied(partitions: i32, per_partition: usize, seed: u64) -> Vec<Record> {
    let base = base_timestamp();
    let mut random = Random(seed);
    let mut records = Vec::new();
    for index in 0..per_partition {
        for partition in 0..partitions {
            let number = i64::try_from(index).unwrap();
            let mut record = Record {
                partition,
                offset: -1,
                timestamp: base + number * 7,
                key: Some(format!("key-{partition}-{index}").into_bytes()),
                value: Some(format!("value {index} of partition {partition}, {}", "again ".repeat(index % 50)).into_bytes()),
                headers: Vec::new(),
            };
            match index % 12 {
                1 => record.key = None,
                2 => record.value = None,
                3 => (record.key, record.value) = (None, None),
                4 => (record.key, record.value) = (Some(Vec::new()), Some(Vec::new())),
                5 => record.headers = vec![("trace".to_owned(), Some(b"abc".to_vec()))],
                6 => {
                    let value = |text: &[u8]| Some(text.to_vec());
                    record.headers = vec![
                        ("twice".to_owned(), value(b"1")),
                        ("twice".to_owned(), value(b"2")),
                        ("empty".to_owned(), value(b"")),
                        ("null".to_owned(), None),
                        ("höhe".to_owned(), value(&[0, 255, 128])),
                    ];
                }
                7 => record.value = Some(random.bytes(3000)),
                8 => record.key = Some(random.bytes(300)),
                9 => record.timestamp -= 1000,
                10 => record.value = Some(vec![b'z'; 20_000]),
                _ => {}
            }
            records.push(record);
        }
    }
    records
}

/// A plan that line-oriented tools can write: printable keys and values, no headers, one timestamp rule.
pub fn printable(partitions: i32, per_partition: usize) -> Vec<Record> {
    let base = base_timestamp();
    let place = (0..per_partition).flat_map(|index| (0..partitions).map(move |partition| (index, partition)));
    place
        .map(|(index, partition)| Record {
            partition,
            offset: -1,
            timestamp: base + i64::try_from(index).unwrap(),
            key: Some(format!("k{index}").into_bytes()),
            value: Some(format!("line {index} of {partition} {}", "x".repeat(index % 70)).into_bytes()),
            headers: Vec::new(),
        })
        .collect()
}

/// Splitmix64: repeatable numbers from a seed that a failing test prints.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}
