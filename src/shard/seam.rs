//! Names of other rooms that are still on their way; each becomes a re-export.

use bytes::Bytes;

/// A record batch that passed every check of a produce; whole, offsets not assigned yet.
#[derive(Clone, Debug)]
pub struct ValidatedBatch {
    /// The batch from its base offset on.
    pub bytes: Bytes,
}

/// The cluster's metadata as of one offset of the metadata log.
#[derive(Debug, Default)]
pub struct MetadataImage;

/// What an admin call asks of the controller.
#[derive(Debug)]
pub struct ControllerCommand;

/// The controller's decision, committed.
#[derive(Debug)]
pub struct ControllerReply;

/// The broker's settings.
#[derive(Debug)]
pub struct BrokerConfig;
