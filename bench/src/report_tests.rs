use super::*;
use crate::process::Cpu;
use crate::stats::{Metric, Phase};
use crate::worker::Failure;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

fn outcome() -> Outcome {
    let interval = |second: u64, latency: u64| {
        let mut interval = Interval::new(Phase::Measured, second * SECOND);
        interval.end = (second + 1) * SECOND;
        interval.produced = Counts { requests: 1_000, records: 5_000, bytes: 2_000_000 };
        interval.record(Metric::Ack, latency, 1_000);
        interval
    };
    let intervals = vec![interval(5, 100_000), interval(6, 300_000)];
    let mut total = Interval::new(Phase::Measured, 5 * SECOND);
    intervals.iter().for_each(|interval| total.add(interval));
    total.error(7);
    Outcome {
        seconds: 2.0,
        total,
        intervals,
        own_cpu: Cpu { user: 0.5, system: 0.25 },
        stolen: Some(0.03),
        broker: None,
        failure: None,
    }
}

#[test]
fn the_json_has_rates_percentiles_and_errors_by_name() {
    let mut outcome = outcome();
    outcome.failure = Some(Failure("why".to_owned()));
    let json = to_json("produce", json!({ "connections": 3 }), &outcome);
    assert_eq!(json["parameters"]["connections"], 3);
    assert_eq!(json["produced"]["requests"], 2_000);
    assert_eq!(json["produced"]["records_per_second"], 5_000.0);
    assert_eq!(json["produced"]["megabytes_per_second"], 2.0);
    assert_eq!(json["errors"], json!({ "REQUEST_TIMED_OUT": 1 }));
    assert_eq!(json["own_cpu_seconds"], json!({ "user": 0.5, "system": 0.25 }));
    assert_eq!(json["stolen_seconds"], 0.03);
    assert_eq!(json["failure"], "why");
    let ack = &json["latency_us"]["ack"];
    assert_eq!(ack["count"], 2_000);
    let near = |name: &str, wanted: f64| (ack[name].as_f64().unwrap() / wanted - 1.0).abs() < 0.002;
    assert!(near("p50", 100.0) && near("p90", 300.0) && near("p99_99", 300.0) && near("max", 300.0), "{ack}");
}

#[test]
fn the_hdr_log_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.hdr");
    write_hdr(&path, &outcome()).unwrap();
    let text = std::fs::read(&path).unwrap();
    let mut found = Vec::new();
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(&text) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let bytes = base64(interval.encoded_histogram());
            let histogram: Histogram<u64> = deserializer.deserialize(&mut &bytes[..]).unwrap();
            let start = interval.start_timestamp().as_secs();
            found.push((
                interval.tag().unwrap().as_str().to_owned(),
                start,
                histogram.len(),
                histogram.value_at_quantile(0.5) / 1_000,
            ));
        }
    }
    assert_eq!(found, [("ack".to_owned(), 0, 1_000, 100), ("ack".to_owned(), 1, 1_000, 300)]);
}

/// Decodes standard base64, so that the test does not read with what wrote.
fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(value).collect();
    let bits = digits.iter().flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1)).collect::<Vec<u8>>();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}
