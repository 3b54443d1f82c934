//! The small text files of a log dir and of a partition's directory, read strictly: a file that is not exactly what Kafka or this
//! broker writes is an error, never a guess.

use crate::model::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition, validate_topic_name};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Offsets by partition, as the checkpoint files hold them.
pub type OffsetCheckpoint = BTreeMap<TopicPartition, Offset>;

pub(super) const EPOCH_FILE: &str = "leader-epoch-checkpoint";
pub(super) const PARTITION_METADATA_FILE: &str = "partition.metadata";
const VERSION: &str = "0";

/// `0`, the number of entries, one entry a line.
fn parse_lines<T>(content: &[u8], mut entry: impl FnMut(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let text = std::str::from_utf8(content).map_err(|_| "not text".to_owned())?;
    let body = text.strip_suffix('\n').ok_or("the last line is cut")?;
    let mut lines = body.split('\n');
    if lines.next() != Some(VERSION) {
        return Err("the version is not 0".into());
    }
    let count = lines.next().and_then(number::<usize>).ok_or("the second line is not the number of entries")?;
    let mut entries = Vec::new();
    for line in lines {
        entries.push(entry(line).ok_or_else(|| format!("malformed line: {line:?}"))?);
    }
    if entries.len() != count {
        return Err(format!("{count} entries were announced, {} are there", entries.len()));
    }
    Ok(entries)
}

/// A number without sign, in the only way to write it.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if digits { text.parse().ok() } else { None }
}

/// Reads an offset checkpoint: lines of topic, partition, offset.
///
/// # Errors
/// What is wrong with the file.
pub fn parse_offsets(content: &[u8]) -> Result<OffsetCheckpoint, String> {
    let entries = parse_lines(content, |line| {
        let mut words = line.split(' ');
        let (topic, partition, offset) = (words.next()?, words.next()?, words.next()?);
        let partition = TopicPartition::new(topic, PartitionIndex(number(partition)?));
        (words.next().is_none() && validate_topic_name(topic).is_ok()).then_some((partition, Offset(number(offset)?)))
    })?;
    let count = entries.len();
    let offsets = OffsetCheckpoint::from_iter(entries);
    if offsets.len() == count { Ok(offsets) } else { Err("a partition is there twice".into()) }
}

/// The content of an offset checkpoint.
pub fn format_offsets(offsets: &OffsetCheckpoint) -> String {
    let mut text = format!("{VERSION}\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        writeln!(text, "{} {} {offset}", partition.topic, partition.partition).expect("a string takes all");
    }
    text
}

/// Reads `leader-epoch-checkpoint`: lines of epoch and start offset.
pub(super) fn parse_epochs(content: &[u8]) -> Result<Vec<(LeaderEpoch, Offset)>, String> {
    parse_lines(content, |line| {
        let (epoch, start) = line.split_once(' ')?;
        Some((LeaderEpoch(number(epoch)?), Offset(number(start)?)))
    })
}

/// The content of `leader-epoch-checkpoint`.
pub(super) fn format_epochs(epochs: &[(LeaderEpoch, Offset)]) -> String {
    let mut text = format!("{VERSION}\n{}\n", epochs.len());
    for (epoch, start) in epochs {
        writeln!(text, "{epoch} {start}").expect("a string takes all");
    }
    text
}

/// Reads `partition.metadata`.
pub(super) fn parse_partition_metadata(content: &[u8]) -> Result<TopicId, String> {
    let text = std::str::from_utf8(content).map_err(|_| "not text".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let (version, id) = text.split_once('\n').ok_or("not two lines")?;
    if version != "version: 0" {
        return Err("the version is not 0".into());
    }
    let id = id.strip_prefix("topic_id: ").ok_or("no topic id")?;
    let id: TopicId = id.parse().map_err(|error| format!("{error}: {id:?}"))?;
    if id.is_zero() { Err("the topic id is zero".into()) } else { Ok(id) }
}

/// The content of `partition.metadata`; like Kafka's without a newline at the end.
pub(super) fn format_partition_metadata(id: TopicId) -> String {
    format!("version: 0\ntopic_id: {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_as_kafka_writes_them() {
        let text = "0\n3\nrolled 0 30\nsample 0 0\nsample 1 7\n";
        let offsets = parse_offsets(text.as_bytes()).unwrap();
        assert_eq!(offsets.len(), 3);
        assert_eq!(offsets[&TopicPartition::new("sample", PartitionIndex(1))], Offset(7));
        assert_eq!(format_offsets(&offsets), text);
        assert_eq!(parse_offsets(b"0\n0\n").unwrap().len(), 0);
    }

    #[test]
    fn malformed_offsets_are_refused() {
        for text in [
            "",
            "0\n",
            "0\n1\n",
            "1\n0\n",
            "0\n1\nt 0 5",
            "0\n1\nt 0 5\n\n",
            "0\n1\nt 0 -5\n",
            "0\n1\nt 0 05\n",
            "0\n1\nt 0 5 6\n",
            "0\n1\nt/ 0 5\n",
            "0\n2\nt 0 5\n",
            "0\n2\nt 0 5\nt 0 6\n",
            "0\n1\nt 0 99999999999999999999\n",
            "0\n1\nt  0 5\n",
        ] {
            assert!(parse_offsets(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn epochs_and_metadata_as_kafka_writes_them() {
        let epochs = vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(12))];
        assert_eq!(format_epochs(&epochs[..1]), "0\n1\n0 0\n");
        assert_eq!(parse_epochs(format_epochs(&epochs).as_bytes()).unwrap(), epochs);
        let id: TopicId = "djrjGGrZSIWJlK-JFZUQoA".parse().unwrap();
        assert_eq!(format_partition_metadata(id).len(), 43);
        assert_eq!(parse_partition_metadata(format_partition_metadata(id).as_bytes()), Ok(id));
        assert!(parse_partition_metadata(b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA").is_err());
        assert!(parse_partition_metadata(b"version: 1\ntopic_id: djrjGGrZSIWJlK-JFZUQoA").is_err());
    }
}
