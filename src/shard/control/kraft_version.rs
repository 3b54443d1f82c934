//! `kraft.version` raised in a cluster that runs (KIP-853): its voters were fixed by the settings, and can change from then on.
//!
//! The level is no record of the metadata: it stands in the quorum's log with the voters. So UpdateFeatures is carried out in three
//! steps: the quorum says whether its level can rise, the metadata's features are decided on, and then the level rises. What can go wrong
//! after the first step is that this node leads no more, and then whoever asked asks the next one, where all of it holds already or not.

use super::leader::Leader;
use crate::controller::{Command, KRAFT_VERSION, Refusal, Reply};
use crate::model::ErrorCode;
use crate::quorum::{KRAFT_VERSION_DYNAMIC, QuorumError, VoterChangeError};
use crate::shard::Stopping;
use crate::shard::core::Core;
use std::time::Duration;

impl Core {
    /// Whether a command raises the level: then whether it only asks if it could.
    pub(super) fn rise_of_kraft_version(&self, command: &Command) -> Option<bool> {
        let Command::UpdateFeatures(request) = command else { return None };
        let known = self.in_cluster().kraft_version();
        let mut updates = request.feature_updates.iter().filter(|update| &*update.feature == KRAFT_VERSION);
        let wanted = updates.next_back()?.max_version_level;
        (wanted == KRAFT_VERSION_DYNAMIC && wanted > known).then_some(request.validate_only)
    }
}

impl Leader {
    /// Raises the level, or only looks whether that is possible; nothing if that was not asked for. If it cannot be, the error is what to
    /// answer.
    pub(super) async fn rise(&self, validate_only: Option<bool>) -> Option<Result<(), Result<Reply, Stopping>>> {
        let limit = Duration::from_millis(u64::try_from(self.core.config.quorum_request_timeout_ms()).unwrap_or(0));
        let risen = self.member.raise_kraft_version(validate_only?, limit).await;
        Some(risen.map_err(|error| match error {
            VoterChangeError::Quorum(QuorumError::NotLeader { .. }) => Err(Stopping),
            error => {
                let why = format!("Invalid update version {KRAFT_VERSION_DYNAMIC} for feature {KRAFT_VERSION}. {error}");
                let said = format!("The update failed for all features since the following feature had an error: {why}");
                Ok(Reply::UpdateFeatures(Err(Refusal::new(ErrorCode::InvalidUpdateVersion, said))))
            }
        }))
    }
}
