//! Where a snapshot stands in the raft log: a small file beside it, `<end offset>-<epoch>.raft`, since Kafka's format has no place for it.
//!
//! An entry's index is the number of batches before it since the log began, so a log whose head is gone needs one number to count from.
//! The file is on the device before the snapshot has its name and goes after the snapshot, so a snapshot of ours always has one; one
//! without is removed by the next start. Apache Kafka passes over files of this name.

use super::QuorumError;
use super::members::{Member, MemberEndpoint};
use super::snapshot::SnapshotFile;
use super::types::{Membership, StoredMembership, log_id, term_of};
use crate::io::Io;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Ends the name of such a file.
pub(super) const SUFFIX: &str = ".raft";
/// Ends the name of one that is being written.
const PART_SUFFIX: &str = ".raft.tmp";

/// What the file says.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Position {
    /// Index of the last entry in the snapshot; its term is the epoch in the snapshot's name.
    pub(super) index: u64,
    /// The voters as of then, if the log says who they are.
    pub(super) membership: Option<StoredMembership>,
}

/// Where the position of a snapshot is.
fn path_of(snapshot: &SnapshotFile) -> PathBuf {
    snapshot.path.with_extension(&SUFFIX[1..])
}

/// Writes the position of a snapshot, durably.
pub(super) async fn write(io: &Io, snapshot: &SnapshotFile, position: &Position) -> Result<(), QuorumError> {
    let path = path_of(snapshot);
    let content = Bytes::from(encode(position).to_string());
    io.replace_file(&path, content).await.map_err(|error| QuorumError::File { path, error })
}

/// The position of a snapshot; none of one that another program, or an older version of this one, has written.
pub(super) async fn read(io: &Io, snapshot: &SnapshotFile) -> Result<Option<Position>, QuorumError> {
    let path = path_of(snapshot);
    match io.read_file(&path).await {
        Ok(content) => match parse(&content) {
            Some(position) => Ok(Some(position)),
            None => Err(QuorumError::Invalid { path, reason: "is not the position of a snapshot".to_owned() }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(QuorumError::File { path, error }),
    }
}

/// Removes the position of a snapshot that is gone.
pub(super) async fn remove(io: &Io, snapshot: &SnapshotFile) -> Result<(), QuorumError> {
    let path = path_of(snapshot);
    match io.remove_file(&path).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(QuorumError::File { path, error }),
        _ => Ok(()),
    }
}

/// Removes what crashes have left: positions whose snapshots are not there, or not there yet.
pub(super) async fn remove_orphans(io: &Io, dir: &Path, snapshots: &[SnapshotFile]) -> Result<(), QuorumError> {
    let known: BTreeSet<PathBuf> = snapshots.iter().map(path_of).collect();
    let entries = io.read_dir(dir).await.map_err(|error| QuorumError::File { path: dir.to_owned(), error })?;
    for entry in entries {
        let path = dir.join(&entry.name);
        let left = entry.name.ends_with(PART_SUFFIX) || (entry.name.ends_with(SUFFIX) && !known.contains(&path));
        if left {
            io.remove_file(&path).await.map_err(|error| QuorumError::File { path, error })?;
        }
    }
    Ok(())
}

fn encode(position: &Position) -> Value {
    let voters = position.membership.as_ref().and_then(|stored| {
        let at = stored.log_id().as_ref()?;
        let members = stored.membership();
        let nodes: Map<String, Value> = members.nodes().map(|(id, member)| (id.to_string(), encode_member(member))).collect();
        Some(json!({ "index": at.index(), "epoch": term_of(at), "sets": members.get_joint_config(), "nodes": nodes }))
    });
    json!({ "version": 0, "index": position.index, "voters": voters })
}

fn encode_member(member: &Member) -> Value {
    let endpoint = |one: &MemberEndpoint| json!({ "listener": one.listener, "host": one.host, "port": one.port });
    let endpoints: Vec<Value> = member.endpoints.iter().map(endpoint).collect();
    json!({ "directory": member.directory.to_string(), "endpoints": endpoints, "kraft.version": member.kraft_versions })
}

fn parse_member(member: &Value) -> Option<Member> {
    let text = |value: &Value, key: &str| Some(value.get(key)?.as_str()?.to_owned());
    let endpoint = |one: &Value| {
        let port = u16::try_from(one.get("port")?.as_u64()?).ok()?;
        Some(MemberEndpoint { listener: text(one, "listener")?, host: text(one, "host")?, port })
    };
    let level = |at: usize| i16::try_from(member.get("kraft.version")?.get(at)?.as_i64()?).ok();
    Some(Member {
        directory: text(member, "directory")?.parse().ok()?,
        endpoints: member.get("endpoints")?.as_array()?.iter().map(endpoint).collect::<Option<_>>()?,
        kraft_versions: (level(0)?, level(1)?),
    })
}

fn parse(content: &[u8]) -> Option<Position> {
    let value: Value = serde_json::from_slice(content).ok()?;
    if value.get("version")?.as_u64()? != 0 {
        return None;
    }
    let membership = match value.get("voters")? {
        Value::Null => None,
        voters => Some(parse_voters(voters)?),
    };
    Some(Position { index: value.get("index")?.as_u64()?, membership })
}

fn parse_voters(voters: &Value) -> Option<StoredMembership> {
    let set = |set: &Value| set.as_array()?.iter().map(Value::as_u64).collect::<Option<BTreeSet<u64>>>();
    let sets = voters.get("sets")?.as_array()?.iter().map(set).collect::<Option<Vec<_>>>()?;
    let at = log_id(voters.get("epoch")?.as_u64()?, voters.get("index")?.as_u64()?);
    let node = |(id, member): (&String, &Value)| Some((id.parse::<u64>().ok()?, parse_member(member)?));
    let nodes = voters.get("nodes")?.as_object()?.iter().map(node).collect::<Option<BTreeMap<_, _>>>()?;
    Some(StoredMembership::new(Some(at), Membership::new(sets, nodes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written_and_nothing_else_is() {
        let sets = vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])];
        let endpoint = MemberEndpoint { listener: "CONTROLLER".into(), host: "h".into(), port: 9093 };
        let member = |id: u64| (id, Member::new(crate::model::TopicId([id as u8; 16]), vec![endpoint.clone()]));
        let nodes: BTreeMap<u64, Member> = (1..=4).map(member).collect();
        let members = StoredMembership::new(Some(log_id(3, 9)), Membership::new(sets, nodes).unwrap());
        for membership in [None, Some(members)] {
            let position = Position { index: 41, membership };
            let text = encode(&position).to_string();
            assert_eq!(parse(text.as_bytes()), Some(position), "{text}");
            for cut in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..cut]), None, "cut at {cut}");
            }
        }
        for text in [r#"{"version":1,"index":1,"voters":null}"#, r#"{"version":0,"index":-1,"voters":null}"#, "[]", "{}"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
