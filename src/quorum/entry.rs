//! Raft entries as batches of the metadata log, one for one: what was decided is a batch of records, a leader's first, empty entry is
//! its leader-change record, and a change of the voters is a voters record for each set of them that has to agree.

use super::QuorumError;
use super::batch::encode_controls;
use super::members::{self, Member};
use super::types::{Entry, Membership, MetadataBatch, Payload, log_id};
use crate::model::{BrokerId, Offset, TopicId};
use crate::protocol::Message;
use crate::protocol::generated::LeaderChangeMessage;
use crate::protocol::generated::leader_change_message::Voter as LeaderChangeVoter;
use crate::record::{Batch, BatchHeader, ControlRecordType};
use bytes::Bytes;
use openraft::entry::RaftEntry;
use std::collections::BTreeSet;

/// Who decides what is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Voters {
    /// Those that the configuration names (`kraft.version` 0), until the log names some (see [`super::change`]): then those.
    Fixed(Vec<BrokerId>),
    /// Those that the log names last (`kraft.version` 1). As long as it names nobody it is these, of the checkpoint that the directory was
    /// formatted with; nobody in the directory of a node that is yet to be added.
    InLog(Membership),
}

/// Where an entry goes, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) base: Offset,
    pub(super) epoch: i32,
    /// Who leads in the epoch.
    pub(super) leader: BrokerId,
    pub(super) now_ms: i64,
    /// No voters are named before it in the log.
    pub(super) names_first: bool,
    /// The log names the voters (`kraft.version` 1).
    pub(super) are_in_log: bool,
}

impl Voters {
    /// The nodes, if they are known without the log.
    pub(super) fn fixed(&self) -> &[BrokerId] {
        match self {
            Self::Fixed(voters) => voters,
            Self::InLog(_) => &[],
        }
    }

    /// Whether the directory was formatted so that the log says who they are.
    pub(super) fn are_in_log(&self) -> bool {
        matches!(self, Self::InLog(_))
    }

    /// What openraft is to believe of a log that has named nobody.
    pub(super) fn membership(&self) -> Membership {
        match self {
            Self::Fixed(voters) => {
                let ids: BTreeSet<u64> = voters.iter().map(|voter| raft_id(*voter)).collect();
                Membership::new_with_defaults(vec![ids], [])
            }
            Self::InLog(first) => first.clone(),
        }
    }

    /// Whether `node` needs nobody to agree with it.
    pub(super) fn are_only(&self, node: BrokerId) -> bool {
        self.fixed() == [node]
    }
}

/// A node's id as openraft has it; ids are not negative.
pub(super) fn raft_id(node: BrokerId) -> u64 {
    node.0.max(0) as u64
}

/// And back.
pub(super) fn broker_id(id: u64) -> BrokerId {
    BrokerId(i32::try_from(id).unwrap_or(i32::MAX))
}

/// How many offsets an entry takes if it is not in the log, which knows better.
pub(super) fn offsets_of(entry: &Entry) -> i64 {
    let of_batch = |bytes: &Bytes| BatchHeader::parse(bytes).map_or(1, |header| i64::from(header.last_offset_delta) + 1);
    match &entry.payload {
        Payload::Blank => 1,
        Payload::Batch(MetadataBatch { bytes, .. }) | Payload::Voters(_, Some(bytes)) => of_batch(bytes),
        Payload::Voters(membership, None) => membership.get_joint_config().len() as i64,
    }
}

/// The batch of an entry that is appended at `place`. `known` is who is in the quorum so far.
///
/// # Errors
/// A decision that was made for another place, or voters that the log cannot name.
pub(super) fn encode(entry: &Entry, place: Place, known: &Membership) -> Result<Bytes, String> {
    match &entry.payload {
        Payload::Batch(MetadataBatch { bytes, .. }) | Payload::Voters(_, Some(bytes)) => {
            let header = BatchHeader::parse(bytes).map_err(|error| error.to_string())?;
            if header.base_offset != place.base || header.partition_leader_epoch.0 != place.epoch {
                return Err(format!(
                    "a batch decided for offset {} in epoch {} came to {} in epoch {}",
                    header.base_offset, header.partition_leader_epoch, place.base, place.epoch
                ));
            }
            Ok(bytes.clone())
        }
        Payload::Blank => {
            let value = leader_change(place, known);
            let records = [(ControlRecordType::LeaderChange, &value[..])];
            Ok(encode_controls(&records, place.base, place.epoch, place.now_ms))
        }
        Payload::Voters(membership, None) => {
            let is_unknown = |(_, member): (&u64, &Member)| member.directory == TopicId::default();
            if !place.are_in_log && membership.nodes().any(is_unknown) {
                return Err("the voters of this quorum are fixed".to_owned());
            }
            let version = place.names_first.then(|| (ControlRecordType::KRaftVersion, members::kraft_version_record()));
            let sets = members::records(membership).into_iter().map(|value| (ControlRecordType::KRaftVoters, value));
            let values: Vec<_> = version.into_iter().chain(sets).collect();
            let records: Vec<_> = values.iter().map(|(kind, value)| (*kind, &value[..])).collect();
            Ok(encode_controls(&records, place.base, place.epoch, place.now_ms))
        }
    }
}

/// The entry whose batch was written as `bytes`, for those who read it: it is its batch from then on.
pub(super) fn as_written(entry: &Entry, bytes: &Bytes) -> Entry {
    let payload = match &entry.payload {
        Payload::Blank => Payload::Batch(MetadataBatch::new(bytes.clone())),
        Payload::Voters(membership, None) => Payload::Voters(membership.clone(), Some(bytes.clone())),
        written => written.clone(),
    };
    <Entry as RaftEntry>::new(entry.log_id, payload)
}

/// With the directories of the voters where they are known, which version 0 of it has not.
fn leader_change(place: Place, known: &Membership) -> Bytes {
    let (leader, version) = (place.leader, i16::from(place.are_in_log));
    let directory = |id: BrokerId| known.get_node(&raft_id(id)).map_or(TopicId::default(), |member: &Member| member.directory);
    let voter = |id: BrokerId| LeaderChangeVoter {
        voter_id: id.0,
        voter_directory_id: if version == 0 { TopicId::default() } else { directory(id) },
        ..LeaderChangeVoter::default()
    };
    let message = LeaderChangeMessage {
        version,
        leader_id: leader.0,
        voters: known.voter_ids().map(broker_id).map(voter).collect(),
        granting_voters: vec![voter(leader)],
        ..LeaderChangeMessage::default()
    };
    message.to_bytes(version).expect("the version has all of it")
}

/// The entry of a batch in the log. `bytes` are the batch's own.
///
/// # Errors
/// A batch that nobody can have written.
pub(super) fn decode(batch: &Batch<'_>, bytes: Bytes, index: u64, reads_voters: bool) -> Result<Entry, String> {
    let at = batch.header.base_offset;
    let epoch = batch.header.partition_leader_epoch.0;
    let term = u64::try_from(epoch).map_err(|_| format!("the batch at {at} has the epoch {epoch}"))?;
    // A leader change is passed on as it was written, not written anew by whoever gets it; and so are voters.
    let named = if reads_voters { members::named_in(batch)? } else { None };
    let payload = match named {
        Some(membership) => Payload::Voters(membership, Some(bytes)),
        None => Payload::Batch(MetadataBatch::new(bytes)),
    };
    Ok(<Entry as RaftEntry>::new(log_id(term, index), payload))
}

/// An epoch of Kafka's out of a term.
///
/// # Errors
/// Kafka has 31 bits.
pub(super) fn epoch_of(term: u64) -> Result<i32, QuorumError> {
    i32::try_from(term).map_err(|_| QuorumError::Consensus("the epochs are used up".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::members::MemberEndpoint;
    use super::*;
    use crate::model::LeaderEpoch;

    const PLACE: Place =
        Place { base: Offset(7), epoch: 3, leader: BrokerId(2), now_ms: 5, names_first: false, are_in_log: false };

    fn there_and_back(payload: Payload, place: Place) -> Entry {
        let entry = <Entry as RaftEntry>::new(log_id(3, 40), payload);
        let bytes = encode(&entry, place, &Membership::default()).unwrap();
        let batch = Batch::parse(&bytes).unwrap();
        assert!(batch.crc_is_valid());
        assert_eq!((batch.header.base_offset, batch.header.partition_leader_epoch), (Offset(7), LeaderEpoch(3)));
        let back = decode(&batch, bytes.clone(), 40, true).unwrap();
        assert_eq!(back.log_id, entry.log_id);
        assert_eq!(i64::from(batch.header.records_count), offsets_of(&back));
        // Whoever gets it writes the same bytes, whenever that is.
        let later = Place { now_ms: 9, names_first: !place.names_first, ..place };
        assert_eq!(encode(&back, later, &Membership::default()).unwrap(), bytes);
        assert_eq!(encode(&as_written(&entry, &bytes), later, &Membership::default()).unwrap(), bytes);
        back
    }

    fn member(byte: u8) -> Member {
        let endpoint = |listener: &str, port| MemberEndpoint { listener: listener.into(), host: format!("h{byte}"), port };
        Member::new(TopicId([byte; 16]), vec![endpoint("CONTROLLER", 9093), endpoint("OTHER", 9094)])
    }

    #[test]
    fn each_kind_of_entry_is_one_batch_and_comes_back() {
        match there_and_back(Payload::Blank, PLACE).payload {
            Payload::Batch(batch) => {
                let batch = Batch::parse(&batch.bytes).unwrap();
                assert_eq!(super::super::batch::control_type(&batch), Some(ControlRecordType::LeaderChange));
            }
            other => panic!("{other:?}"),
        }
        let bytes = super::super::batch::encode(&crate::controller::bootstrap_records(), 29, Offset(7), 3, 5).unwrap();
        match there_and_back(Payload::Batch(MetadataBatch::new(bytes.clone())), PLACE).payload {
            Payload::Batch(batch) => assert_eq!(batch.bytes, bytes),
            other => panic!("{other:?}"),
        }
        let nodes =
            || [1, 2, 3, 4].into_iter().map(|id| (u64::from(id), member(id))).collect::<std::collections::BTreeMap<_, _>>();
        for sets in [vec![BTreeSet::from([1, 2, 3])], vec![BTreeSet::from([1]), BTreeSet::from([1, 4])]] {
            for names_first in [false, true] {
                // Who is in no set has yet to learn.
                let membership = Membership::new(sets.clone(), nodes()).unwrap();
                let place = Place { names_first, are_in_log: true, ..PLACE };
                match there_and_back(Payload::Voters(membership.clone(), None), place).payload {
                    Payload::Voters(back, _) => assert_eq!(back, membership),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_does_not_belong_into_the_log_is_refused() {
        let fixed = Voters::Fixed(vec![BrokerId(2)]);
        let refused =
            |payload| encode(&<Entry as RaftEntry>::new(log_id(3, 40), payload), PLACE, &Membership::default()).is_err();
        assert!(refused(Payload::Voters(fixed.membership(), None)), "no disk is known of them");
        for (base, epoch) in [(Offset(6), 3), (Offset(7), 2)] {
            let bytes = super::super::batch::encode(&crate::controller::bootstrap_records(), 29, base, epoch, 5).unwrap();
            assert!(refused(Payload::Batch(MetadataBatch::new(bytes))), "decided for {base} in {epoch}");
        }
        assert!(epoch_of(1 << 31).is_err());
    }

    #[test]
    fn a_leader_change_is_what_a_single_voter_always_wrote_and_names_directories_where_voters_can_change() {
        let blank = <Entry as RaftEntry>::new(log_id(3, 40), Payload::Blank);
        let both = members::of_voters([2, 3].map(|id| (BrokerId(id), member(id as u8)))).unwrap();
        let fixed = Voters::Fixed(vec![BrokerId(2)]);
        for (voters, version, directory) in [(fixed, 0, TopicId::default()), (Voters::InLog(both), 1, TopicId([2; 16]))] {
            let place = Place { are_in_log: voters.are_in_log(), ..PLACE };
            let bytes = encode(&blank, place, &voters.membership()).unwrap();
            let batch = Batch::parse(&bytes).unwrap();
            let record = batch.records().unwrap().next().unwrap().unwrap();
            assert_eq!(record.key, Some(&ControlRecordType::LeaderChange.key()[..]));
            let message = LeaderChangeMessage::from_bytes(Bytes::copy_from_slice(record.value.unwrap()), version).unwrap();
            assert_eq!((message.version, message.leader_id, message.granting_voters.len()), (version, 2, 1));
            assert_eq!((message.voters.len(), message.voters[0].voter_directory_id), (1 + version as usize, directory));
            assert_eq!(batch.header.max_timestamp, 5);
        }
    }
}
