//! Control records: what brokers and controllers write into a log for each other, in batches with the control flag. Their
//! key is `version i16, type i16`; the value depends on the type.

/// Kind of a control record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i16)]
pub enum ControlRecordType {
    /// End of an aborted transaction.
    Abort = 0,
    /// End of a committed transaction.
    Commit = 1,
    /// A new leader of a KRaft quorum (KIP-595).
    LeaderChange = 2,
    /// First record of a snapshot (KIP-630).
    SnapshotHeader = 3,
    /// Last record of a snapshot.
    SnapshotFooter = 4,
    /// `kraft.version` of the quorum (KIP-853).
    KRaftVersion = 5,
    /// Voters of the quorum (KIP-853).
    KRaftVoters = 6,
}

/// Newest version of the key that is written.
pub const CONTROL_KEY_VERSION: i16 = 0;
/// Newest version of the value of a transaction marker that is written.
pub const END_TXN_MARKER_VERSION: i16 = 0;
/// Bytes of a control record's key.
pub const CONTROL_KEY_BYTES: usize = 4;

/// The key of a control record cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ControlKeyError {
    /// Null, or less than a version and a type.
    #[error("invalid control record key: {0} bytes")]
    Size(usize),
    /// Negative version.
    #[error("invalid control record key version {0}")]
    Version(i16),
}

impl ControlRecordType {
    /// The type with this number, if it is known. Unknown ones are to be skipped: newer brokers may write them.
    pub const fn from_id(id: i16) -> Option<Self> {
        match id {
            0 => Some(Self::Abort),
            1 => Some(Self::Commit),
            2 => Some(Self::LeaderChange),
            3 => Some(Self::SnapshotHeader),
            4 => Some(Self::SnapshotFooter),
            5 => Some(Self::KRaftVersion),
            6 => Some(Self::KRaftVoters),
            _ => None,
        }
    }

    /// Reads the key of a control record; `None` for a type that is not known.
    ///
    /// # Errors
    /// Too short a key, or a version that cannot be.
    pub fn parse_key(key: Option<&[u8]>) -> Result<Option<Self>, ControlKeyError> {
        let key = key.unwrap_or_default();
        let Some(head) = key.first_chunk::<CONTROL_KEY_BYTES>() else { return Err(ControlKeyError::Size(key.len())) };
        let version = i16::from_be_bytes([head[0], head[1]]);
        if version < 0 {
            return Err(ControlKeyError::Version(version));
        }
        Ok(Self::from_id(i16::from_be_bytes([head[2], head[3]])))
    }

    /// The key to write.
    pub const fn key(self) -> [u8; CONTROL_KEY_BYTES] {
        let [a, b] = CONTROL_KEY_VERSION.to_be_bytes();
        let [c, d] = (self as i16).to_be_bytes();
        [a, b, c, d]
    }
}

/// The value of a transaction marker: `version i16, coordinatorEpoch i32`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTransactionMarker {
    /// Whether the transaction committed.
    pub commit: bool,
    /// Epoch of the transaction coordinator that wrote the marker.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// Bytes of the value.
    pub const VALUE_BYTES: usize = 6;

    /// The control record's type.
    pub const fn control_type(self) -> ControlRecordType {
        if self.commit { ControlRecordType::Commit } else { ControlRecordType::Abort }
    }

    /// The value to write.
    pub fn value(self) -> [u8; Self::VALUE_BYTES] {
        let mut out = [0; Self::VALUE_BYTES];
        out[..2].copy_from_slice(&END_TXN_MARKER_VERSION.to_be_bytes());
        out[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        out
    }

    /// Reads key and value; `None` if the record is another control record or is malformed.
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Self> {
        let commit = match ControlRecordType::parse_key(key) {
            Ok(Some(ControlRecordType::Commit)) => true,
            Ok(Some(ControlRecordType::Abort)) => false,
            _ => return None,
        };
        let value = value?.first_chunk::<{ Self::VALUE_BYTES }>()?;
        // Later versions add fields behind; a negative one cannot be.
        if i16::from_be_bytes([value[0], value[1]]) < 0 {
            return None;
        }
        let coordinator_epoch = i32::from_be_bytes([value[2], value[3], value[4], value[5]]);
        Some(Self { commit, coordinator_epoch })
    }
}
