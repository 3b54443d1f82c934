//! `quorum-state`: the epoch that this voter knows, and whom it gave its vote in it. On the device before anybody hears of the vote, or
//! one epoch could be led by two.

use super::QuorumError;
use crate::io::Io;
use crate::model::{BrokerId, TopicId};
use bytes::Bytes;
use std::io::ErrorKind;
use std::path::Path;

const STATE_FILE: &str = "quorum-state";
/// Nobody, in the file.
const NOBODY: i32 = -1;

/// What the file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Election {
    /// The epoch.
    pub(super) epoch: i32,
    /// Who leads in it or has this node's vote for it.
    pub(super) node: Option<BrokerId>,
}

/// Reads the file in `dir`, if there is one.
pub(super) async fn read(io: &Io, dir: &Path) -> Result<Option<Election>, QuorumError> {
    let path = dir.join(STATE_FILE);
    let content = match io.read_file(&path).await {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(QuorumError::File { path, error }),
    };
    let state: Option<serde_json::Value> = serde_json::from_slice(&content).ok();
    let number = |key: &str| state.as_ref()?.get(key)?.as_i64().and_then(|number| i32::try_from(number).ok());
    let Some(epoch) = number("leaderEpoch").filter(|epoch| *epoch >= 0) else {
        return Err(QuorumError::Invalid { path, reason: "has no leaderEpoch".to_owned() });
    };
    let node = ["leaderId", "votedId"].into_iter().filter_map(number).find(|id| *id >= 0).map(BrokerId);
    Ok(Some(Election { epoch, node }))
}

/// Whether the file in `dir` is one that goes with `kraft.version` 1.
pub(super) async fn is_dynamic(io: &Io, dir: &Path) -> Result<bool, QuorumError> {
    let path = dir.join(STATE_FILE);
    match io.read_file(&path).await {
        Ok(content) => {
            let state: Option<serde_json::Value> = serde_json::from_slice(&content).ok();
            Ok(state.and_then(|state| state.get("data_version")?.as_i64()).is_some_and(|version| version >= 1))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(QuorumError::File { path, error }),
    }
}

/// What is to be written: that `node` leads in `epoch`, or that it has this node's vote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elected {
    pub(super) epoch: i32,
    pub(super) node: BrokerId,
    pub(super) leads: bool,
}

impl Elected {
    /// Who leads, and who has the vote.
    fn leader_and_voted(self) -> (BrokerId, BrokerId) {
        if self.leads { (self.node, BrokerId(NOBODY)) } else { (BrokerId(NOBODY), self.node) }
    }
}

/// Writes it, durably: version 0 of the file, which goes with `kraft.version` 0 (a fixed set of voters).
pub(super) async fn write(io: &Io, dir: &Path, voters: &[BrokerId], elected: Elected) -> Result<(), QuorumError> {
    let ((leader, voted), epoch) = (elected.leader_and_voted(), elected.epoch);
    let voters: Vec<String> = voters.iter().map(|voter| format!("{{\"voterId\":{voter}}}")).collect();
    let content = format!(
        "{{\"clusterId\":\"\",\"leaderId\":{leader},\"leaderEpoch\":{epoch},\"votedId\":{voted},\"appliedOffset\":0,\
         \"currentVoters\":[{}],\"data_version\":0}}",
        voters.join(",")
    );
    replace(io, dir, content).await
}

/// The same as version 1, which goes with `kraft.version` 1: the log names the voters. `directory` is that of the node.
pub(super) async fn write_dynamic(io: &Io, dir: &Path, directory: TopicId, elected: Elected) -> Result<(), QuorumError> {
    let ((leader, voted), epoch) = (elected.leader_and_voted(), elected.epoch);
    let directory = if elected.leads { TopicId::default() } else { directory };
    let content = format!(
        "{{\"leaderId\":{leader},\"leaderEpoch\":{epoch},\"votedId\":{voted},\"votedDirectoryId\":\"{directory}\",\"data_version\":1}}"
    );
    replace(io, dir, content).await
}

async fn replace(io: &Io, dir: &Path, content: String) -> Result<(), QuorumError> {
    let path = dir.join(STATE_FILE);
    io.replace_file(&path, Bytes::from(content)).await.map_err(|error| QuorumError::File { path, error })
}

#[cfg(test)]
mod tests {
    use super::super::tests::on_a_core;
    use super::*;

    #[test]
    fn a_vote_is_found_again_whoever_wrote_it() {
        on_a_core(|io, dir| async move {
            assert_eq!(read(&io, &dir).await.unwrap(), None);
            let voters = [BrokerId(1), BrokerId(2)];
            for (leads, id) in [(false, 2), (true, 2), (false, 1)] {
                let elected = Elected { epoch: 7, node: BrokerId(id), leads };
                match id {
                    1 => write_dynamic(&io, &dir, TopicId([3; 16]), elected).await.unwrap(),
                    _ => write(&io, &dir, &voters, elected).await.unwrap(),
                }
                assert_eq!(read(&io, &dir).await.unwrap(), Some(Election { epoch: 7, node: Some(BrokerId(id)) }));
            }
            let path = dir.join(STATE_FILE);
            for (text, found) in [
                // As Apache Kafka 4.2 writes it for a quorum whose voters can change; it knows of nobody in epoch 3.
                (
                    r#"{"leaderId":-1,"leaderEpoch":3,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
                    Some(Election { epoch: 3, node: None }),
                ),
                (r#"{"leaderId":5,"leaderEpoch":0}"#, Some(Election { epoch: 0, node: Some(BrokerId(5)) })),
                (r#"{"leaderId":5}"#, None),
                (r#"{"leaderId":5,"leaderEpoch":-1}"#, None),
                ("", None),
            ] {
                io.replace_file(&path, Bytes::from(text)).await.unwrap();
                assert_eq!(read(&io, &dir).await.ok(), found.map(Some), "{text}");
            }
        });
    }
}
