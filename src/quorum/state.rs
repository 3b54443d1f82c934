//! `quorum-state`: the epoch and leader that this voter knows, written before it leads in that epoch.

use super::QuorumError;
use crate::io::Io;
use crate::model::BrokerId;
use bytes::Bytes;
use std::io::ErrorKind;
use std::path::Path;

const STATE_FILE: &str = "quorum-state";

/// The last epoch that the file in `dir` knows; 0 if there is no file.
pub(super) async fn read_epoch(io: &Io, dir: &Path) -> Result<i32, QuorumError> {
    let path = dir.join(STATE_FILE);
    let content = match io.read_file(&path).await {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(QuorumError::File { path, error }),
    };
    let state: Option<serde_json::Value> = serde_json::from_slice(&content).ok();
    let epoch = state.as_ref().and_then(|state| state.get("leaderEpoch")?.as_i64()).and_then(|epoch| i32::try_from(epoch).ok());
    match epoch.filter(|epoch| *epoch >= 0) {
        Some(epoch) => Ok(epoch),
        None => Err(QuorumError::Invalid { path, reason: "has no leaderEpoch".to_owned() }),
    }
}

/// Writes, durably, that `node` leads in `epoch`: version 0 of the file, which goes with `kraft.version` 0 (a fixed set of voters).
pub(super) async fn write(io: &Io, dir: &Path, node: BrokerId, epoch: i32) -> Result<(), QuorumError> {
    let path = dir.join(STATE_FILE);
    let content = format!(
        "{{\"clusterId\":\"\",\"leaderId\":{node},\"leaderEpoch\":{epoch},\"votedId\":-1,\"appliedOffset\":0,\
         \"currentVoters\":[{{\"voterId\":{node}}}],\"data_version\":0}}"
    );
    io.replace_file(&path, Bytes::from(content)).await.map_err(|error| QuorumError::File { path, error })
}
