//! Files that an operator or another program wrote: settings, checkpoints, producer snapshots.

use super::{Case, Target, fuzz, mutate};
use flumen::config::{BROKER_KEYS, BrokerConfig, parse_properties};

fn run_properties(case: &Case) -> bool {
    let Ok(pairs) = parse_properties(&case.bytes) else { return false };
    // Lines continue over line ends and escapes shorten, so no key or value is longer than the file.
    assert!(pairs.iter().all(|(key, value)| key.len() + value.len() <= 3 * case.bytes.len()));
    match BrokerConfig::load(Some(&case.bytes), &[]) {
        Ok((_, warnings)) => {
            warnings.iter().for_each(|warning| assert!(!warning.to_string().is_empty()));
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// A setting's text is quoted in messages; the table of keys is small.
fn ceiling(input: usize) -> usize {
    1024 * 1024 + 64 * input
}

#[test]
fn properties() {
    let whole = include_str!("corpus/properties/server.properties");
    let mut cases = vec![Case { kind: "file".into(), bytes: whole.into() }];
    for key in BROKER_KEYS {
        let value = key.default.unwrap_or("1");
        cases.push(Case { kind: "file".into(), bytes: format!("node.id=1\n{}={value}\n", key.name).into_bytes() });
    }
    cases.retain(run_properties);
    assert!(cases.len() > 100, "most keys take 1 as a value: {}", cases.len());
    fuzz(&Target { name: "properties", executions: 50_000, cases: &cases, mutate: mutate::bytes, run: run_properties, ceiling });
}
