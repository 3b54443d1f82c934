//! Our codecs against three others, on random messages of every kind in every version: an encoder that walks Kafka's schemas
//! (`wire.rs`), Apache Kafka's own Java classes, and the `kafka-protocol` crate up to the Kafka that it knows.
//!
//! A case is a message as `wire.rs` wrote it. Whoever reads it and writes it again must give the same bytes: so every field was
//! understood, and said again in the same way.

#[path = "../codegen/every_message.rs"]
mod every_message;
#[path = "../codegen/maven.rs"]
mod maven;
#[allow(dead_code, reason = "the generator needs more of it")]
#[path = "../codegen/schema.rs"]
mod schema;
mod wire;

use bytes::Bytes;
use flumen::protocol::{Chunk, Message, Reader, Records, generated};
use kafka_protocol::messages as theirs;
use schema::Kind;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

/// Random messages of each kind and version for each of the comparisons.
const ROUNDS: u64 = 60;
/// The same where a Java machine is fed through files.
const JAVA_ROUNDS: u64 = 12;

struct Case {
    name: String,
    kind: Kind,
    api_key: Option<i16>,
    version: i16,
    seed: u64,
    wire: Bytes,
}

fn cases(rounds: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for message in schema::load(&maven::schemas()) {
        for version in message.versions.low..=message.versions.high {
            for seed in 0..rounds {
                let mut random = wire::Random(seed << 32 | (version as u64) << 16 | message.name.len() as u64);
                let wire = Bytes::from(wire::write_message(&message, version, &mut random));
                let (name, kind, api_key) = (message.name.clone(), message.kind, message.api_key);
                cases.push(Case { name, kind, api_key, version, seed, wire });
            }
        }
    }
    cases
}

impl Case {
    fn agrees(&self, what: &str, again: &[u8]) {
        let name = format!("{} v{} seed {}", self.name, self.version, self.seed);
        assert!(self.wire == again, "{name}: {what}\n wrote {}\n for   {}", hex(again), hex(&self.wire));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string grows");
        text
    })
}

type RoundTrip = fn(&Bytes, i16) -> Vec<u8>;

fn round_trip<M: Message + Clone + PartialEq + std::fmt::Debug>(wire: &Bytes, version: i16) -> Vec<u8> {
    let mut reader = Reader::new(wire.clone());
    let message = M::decode(&mut reader, version).unwrap_or_else(|e| panic!("{} v{version}: {e} in {}", M::NAME, hex(wire)));
    assert_eq!(reader.remaining(), 0, "{} v{version} left bytes of {}", M::NAME, hex(wire));
    let contiguous = message.to_bytes(version).unwrap_or_else(|e| panic!("{} v{version}: {e}", M::NAME));
    let mut in_chunks = Vec::new();
    for chunk in message.to_chunks(version).expect("as before") {
        let Chunk::Bytes(bytes) = chunk else { panic!("nothing is external here") };
        in_chunks.extend_from_slice(&bytes);
    }
    assert_eq!(in_chunks, contiguous, "{} v{version}: chunks differ from the whole", M::NAME);
    contiguous.into()
}

macro_rules! table {
    ($($message:ident,)*) => {
        BTreeMap::from([$((generated::$message::NAME, round_trip::<generated::$message> as RoundTrip),)*])
    };
}

#[test]
fn every_message_in_every_version_survives_a_round_trip() {
    let ours: BTreeMap<&str, RoundTrip> = every_message::for_every_message!(table);
    let cases = cases(ROUNDS);
    for case in &cases {
        let round_trip = ours.get(case.name.as_str()).unwrap_or_else(|| panic!("{} is not generated", case.name));
        case.agrees("our codec", &round_trip(&case.wire, case.version));
    }
    println!("{} cases of {} messages", cases.len(), ours.len());
    assert!(ours.len() > 200 && cases.len() > 690 * ROUNDS as usize);
}

/// Versions that the crate lists for an API and then refuses in a message: its ranges for APIs and messages differ.
const REFUSED_BY_THE_CRATE: &[(&str, i16)] =
    &[("InitProducerIdRequest", 6), ("OffsetCommitRequest", 10), ("OffsetFetchRequest", 10)];

fn is_known_to_the_crate(case: &Case) -> bool {
    let api_key = case.api_key.and_then(|key| theirs::ApiKey::try_from(key).ok());
    let versions = api_key.map(|key| key.valid_versions());
    versions.is_some_and(|versions| (versions.min..=versions.max).contains(&case.version))
}

/// Reads and writes the case with the crate.
fn by_the_crate(case: &Case) -> Result<Vec<u8>, String> {
    let api_key = theirs::ApiKey::try_from(case.api_key.expect("checked")).expect("checked");
    let (mut wire, mut again) = (case.wire.clone(), bytes::BytesMut::new());
    let result = match case.kind {
        Kind::Request => theirs::RequestKind::decode(api_key, &mut wire, case.version)
            .and_then(|message| message.encode(&mut again, case.version)),
        _ => theirs::ResponseKind::decode(api_key, &mut wire, case.version)
            .and_then(|message| message.encode(&mut again, case.version)),
    };
    result.map(|()| again.into()).map_err(|e| e.root_cause().to_string())
}

#[test]
fn the_kafka_protocol_crate_agrees_up_to_kafka_4_1() {
    let (mut compared, mut refused) = (0, std::collections::BTreeSet::new());
    let cases = cases(ROUNDS);
    let both = |case: &&Case| matches!(case.kind, Kind::Request | Kind::Response) && is_known_to_the_crate(case);
    for case in cases.iter().filter(both) {
        match by_the_crate(case) {
            Ok(again) => {
                case.agrees("kafka-protocol", &again);
                compared += 1;
            }
            Err(e) if e.contains("version not supported") => {
                refused.insert((case.name.as_str(), case.version));
            }
            Err(e) => panic!("{} v{} seed {} by kafka-protocol: {e}", case.name, case.version, case.seed),
        }
    }
    println!("{compared} cases compared");
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), REFUSED_BY_THE_CRATE);
    assert!(compared > 500 * ROUNDS as usize, "only {compared} cases");
}

/// What Apache Kafka's own classes answer to each line of a class, a version and a message; see `RoundTrip.java`.
fn ask_apache_kafka(cases: &[Case], message: impl Fn(&Case) -> String) -> Vec<String> {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (input, output) = (scratch.path().join("cases"), scratch.path().join("answers"));
    let mut lines = String::new();
    for case in cases {
        let suffix = if matches!(case.kind, Kind::Request | Kind::Response | Kind::Header) { "Data" } else { "" };
        writeln!(lines, "{}{suffix} {} {}", case.name, case.version, message(case)).expect("a string grows");
    }
    std::fs::write(&input, lines).expect("a file of cases");
    let java = Command::new("java")
        .arg("-cp")
        .arg(maven::jars().join("*"))
        .arg(maven::root().join("tests/protocol_differential/RoundTrip.java"))
        .args([&input, &output])
        .output()
        .expect("`java` must be installed: apt-get install openjdk-17-jdk-headless");
    assert!(java.status.success(), "{}", String::from_utf8_lossy(&java.stderr));
    let answers = std::fs::read_to_string(&output).expect("Java's answers");
    assert_eq!(answers.lines().count(), cases.len());
    answers.lines().map(str::to_owned).collect()
}

#[test]
fn apache_kafka_agrees() {
    let cases = cases(JAVA_ROUNDS);
    for (case, answer) in cases.iter().zip(ask_apache_kafka(&cases, |case| hex(&case.wire))) {
        assert_eq!(answer, hex(&case.wire), "{} v{} seed {}: Apache Kafka", case.name, case.version, case.seed);
    }
}

/// The defaults are Kafka's: what it writes for a message that nobody has touched, or that it refuses to, is what we do.
#[test]
fn defaults_are_those_of_apache_kafka() {
    fn default_bytes<M: Message>(_: &Bytes, version: i16) -> Vec<u8> {
        M::default().to_bytes(version).map_or_else(|_| b"refused".to_vec(), |bytes| hex(&bytes).into())
    }
    macro_rules! defaults {
        ($($message:ident,)*) => {
            BTreeMap::from([$((generated::$message::NAME, default_bytes::<generated::$message> as RoundTrip),)*])
        };
    }
    let ours: BTreeMap<&str, RoundTrip> = every_message::for_every_message!(defaults);
    let cases = cases(1);
    for (case, answer) in cases.iter().zip(ask_apache_kafka(&cases, |_| "default".to_owned())) {
        let bytes = ours[case.name.as_str()](&case.wire, case.version);
        assert_eq!(String::from_utf8_lossy(&bytes), answer, "{} v{}", case.name, case.version);
    }
}

#[test]
fn records_are_shared_with_the_frame() {
    let batch = Bytes::from(vec![7; 5000]);
    let partition = generated::produce_request::PartitionProduceData { index: 0, records: Records::Bytes(batch) };
    let topic = generated::produce_request::TopicProduceData { partition_data: vec![partition], ..Default::default() };
    let request = generated::ProduceRequest { topic_data: vec![topic], ..Default::default() };
    let frame = request.to_bytes(13).expect("encodable");
    let decoded = generated::ProduceRequest::from_bytes(frame.clone(), 13).expect("decodable");
    let records = decoded.topic_data[0].partition_data[0].records.bytes().expect("not null");
    assert!(frame.as_ptr_range().contains(&records.as_ptr()), "the batch was copied");
}
