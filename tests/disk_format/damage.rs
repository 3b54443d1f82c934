//! The judge must be able to say no: each kind of damage, done to files that it accepted, is reported.

use crate::support::broker::Broker;
use crate::support::dump_log;
use crate::{PARTITIONS, TOPIC, accepted, write};
use std::fs;
use std::path::Path;

/// Changes a file in place, has the directory judged, and puts the file back.
fn complaints_after(broker: &Broker, file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<String> {
    let original = fs::read(file).unwrap();
    let mut changed = original.clone();
    change(&mut changed);
    assert_ne!(changed, original, "the damage is one");
    fs::write(file, changed).unwrap();
    let complaints = dump_log::check(&broker.data_dir()).expect_err("damage is found");
    fs::write(file, original).unwrap();
    complaints
}

#[test]
fn the_judge_finds_a_flipped_bit_a_lying_index_and_a_torn_snapshot() {
    let mut broker = Broker::start(&[]);
    write(&broker);
    broker.stop();
    accepted(&broker);
    let directory = broker.partition_dir(TOPIC, PARTITIONS - 1);
    let first = |extension: &str| directory.join(format!("00000000000000000000.{extension}"));
    let found = complaints_after(&broker, &first("log"), |log| log[300] ^= 1);
    assert!(found.iter().any(|line| line.contains("isvalid: false") || line.contains("orrupt")), "{found:?}");
    // An entry is the relative offset and the position, four bytes each: the second entry's position moves.
    let found = complaints_after(&broker, &first("index"), |index| index[15] ^= 4);
    assert!(!found.is_empty());
    // A time index entry is eight bytes of timestamp and four of relative offset.
    let found = complaints_after(&broker, &first("timeindex"), |index| index[7] ^= 4);
    assert!(!found.is_empty());
    let snapshot = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "snapshot"));
    let found = complaints_after(&broker, &snapshot.expect("a snapshot from the roll"), |bytes| bytes[10] ^= 1);
    assert!(!found.is_empty());
    accepted(&broker);
}
