//! Raft entries as batches of the metadata log, one for one: what was decided is a batch of records, a leader's first, empty entry is
//! its leader-change record, and a change of the voters is a voters record for each set of them that has to agree.

use super::QuorumError;
use super::batch::encode_controls;
use super::types::{Entry, Membership, MetadataBatch, log_id};
use crate::model::{BrokerId, Offset};
use crate::protocol::Message;
use crate::protocol::generated::leader_change_message::Voter as LeaderChangeVoter;
use crate::protocol::generated::voters_record::{KRaftVersionFeature, Voter};
use crate::protocol::generated::{LeaderChangeMessage, VotersRecord};
use crate::record::{Batch, BatchHeader, ControlRecordType};
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use std::collections::BTreeSet;

/// Who decides what is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Voters {
    /// The same nodes for ever (`kraft.version` 0): the configuration names them, and the log need not.
    Fixed(Vec<BrokerId>),
    /// Those that the log names last (`kraft.version` 1). No configuration leads here yet.
    #[cfg_attr(not(all(test, feature = "sim")), allow(dead_code))]
    InLog,
}

/// Where an entry goes, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) base: Offset,
    pub(super) epoch: i32,
    /// Who leads in the epoch.
    pub(super) leader: BrokerId,
    pub(super) now_ms: i64,
}

impl Voters {
    /// The nodes, if they are known without the log.
    pub(super) fn fixed(&self) -> &[BrokerId] {
        match self {
            Self::Fixed(voters) => voters,
            Self::InLog => &[],
        }
    }

    /// What openraft is to believe of a log that has named nobody.
    pub(super) fn membership(&self) -> Membership {
        match self {
            Self::Fixed(voters) => {
                let ids: BTreeSet<u64> = voters.iter().map(|voter| raft_id(*voter)).collect();
                Membership::new_with_defaults(vec![ids], [])
            }
            Self::InLog => Membership::default(),
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
    match &entry.payload {
        EntryPayload::Blank => 1,
        EntryPayload::Normal(batch) => {
            BatchHeader::parse(&batch.bytes).map_or(1, |header| i64::from(header.last_offset_delta) + 1)
        }
        EntryPayload::Membership(membership) => membership.get_joint_config().len() as i64,
    }
}

/// The batch of an entry that is appended at `place`.
///
/// # Errors
/// A decision that was made for another place, or voters that the log cannot name.
pub(super) fn encode(entry: &Entry, place: Place, voters: &Voters) -> Result<Bytes, String> {
    match &entry.payload {
        EntryPayload::Normal(batch) => {
            let header = BatchHeader::parse(&batch.bytes).map_err(|error| error.to_string())?;
            if header.base_offset != place.base || header.partition_leader_epoch.0 != place.epoch {
                return Err(format!(
                    "a batch decided for offset {} in epoch {} came to {} in epoch {}",
                    header.base_offset, header.partition_leader_epoch, place.base, place.epoch
                ));
            }
            Ok(batch.bytes.clone())
        }
        EntryPayload::Blank => {
            let value = leader_change(place.leader, voters.fixed());
            let records = [(ControlRecordType::LeaderChange, &value[..])];
            Ok(encode_controls(&records, place.base, place.epoch, place.now_ms))
        }
        EntryPayload::Membership(_) if *voters != Voters::InLog => Err("the voters of this quorum are fixed".to_owned()),
        EntryPayload::Membership(membership) => {
            if membership.learner_ids().next().is_some() {
                return Err("the log names voters only".to_owned());
            }
            let values: Vec<Bytes> = membership.get_joint_config().iter().map(voters_record).collect();
            let records: Vec<_> = values.iter().map(|value| (ControlRecordType::KRaftVoters, &value[..])).collect();
            Ok(encode_controls(&records, place.base, place.epoch, place.now_ms))
        }
    }
}

fn leader_change(leader: BrokerId, voters: &[BrokerId]) -> Bytes {
    let voter = |id: &BrokerId| LeaderChangeVoter { voter_id: id.0, ..LeaderChangeVoter::default() };
    let message = LeaderChangeMessage {
        version: 0,
        leader_id: leader.0,
        voters: voters.iter().map(voter).collect(),
        granting_voters: vec![voter(&leader)],
        ..LeaderChangeMessage::default()
    };
    message.to_bytes(0).expect("version 0 has all of it")
}

fn voters_record(ids: &BTreeSet<u64>) -> Bytes {
    let feature = KRaftVersionFeature { max_supported_version: 1, ..KRaftVersionFeature::default() };
    let voter = |id: &u64| Voter { voter_id: broker_id(*id).0, kraft_version_feature: feature.clone(), ..Voter::default() };
    let record = VotersRecord { voters: ids.iter().map(voter).collect(), ..VotersRecord::default() };
    record.to_bytes(0).expect("version 0 has all of it")
}

/// The entry of a batch in the log. `bytes` are the batch's own.
///
/// # Errors
/// A batch that nobody can have written.
pub(super) fn decode(batch: &Batch<'_>, bytes: Bytes, index: u64, voters: &Voters) -> Result<Entry, String> {
    let at = batch.header.base_offset;
    let epoch = batch.header.partition_leader_epoch.0;
    let term = u64::try_from(epoch).map_err(|_| format!("the batch at {at} has the epoch {epoch}"))?;
    let payload = if !batch.header.attributes.is_control() {
        EntryPayload::Normal(MetadataBatch::new(bytes))
    } else {
        match named_voters(batch, voters)? {
            Some(membership) => EntryPayload::Membership(membership),
            None => EntryPayload::Blank,
        }
    };
    Ok(<Entry as RaftEntry>::new(log_id(term, index), payload))
}

/// The voters that a control batch names, where that is for the log to say.
fn named_voters(batch: &Batch<'_>, voters: &Voters) -> Result<Option<Membership>, String> {
    if *voters != Voters::InLog {
        return Ok(None);
    }
    let at = |error: &dyn std::fmt::Display| format!("control record in the batch at {}: {error}", batch.header.base_offset);
    let mut sets = vec![];
    for record in batch.records().into_iter().flatten() {
        let record = record.map_err(|error| at(&error))?;
        if ControlRecordType::parse_key(record.key).map_err(|error| at(&error))? != Some(ControlRecordType::KRaftVoters) {
            continue;
        }
        let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
        let record = VotersRecord::from_bytes(value, 0).map_err(|error| at(&error))?;
        sets.push(record.voters.iter().map(|voter| raft_id(BrokerId(voter.voter_id))).collect::<BTreeSet<u64>>());
    }
    Ok((!sets.is_empty()).then(|| Membership::new_with_defaults(sets, [])))
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
    use super::super::types::Types;
    use super::*;
    use crate::model::LeaderEpoch;
    use openraft::type_config::alias::EntryPayloadOf;

    const PLACE: Place = Place { base: Offset(7), epoch: 3, leader: BrokerId(2), now_ms: 5 };

    fn there_and_back(payload: EntryPayloadOf<Types>, voters: &Voters) -> Entry {
        let entry = <Entry as RaftEntry>::new(log_id(3, 40), payload);
        let bytes = encode(&entry, PLACE, voters).unwrap();
        let batch = Batch::parse(&bytes).unwrap();
        assert!(batch.crc_is_valid());
        assert_eq!((batch.header.base_offset, batch.header.partition_leader_epoch), (Offset(7), LeaderEpoch(3)));
        assert_eq!(i64::from(batch.header.records_count), offsets_of(&entry));
        let back = decode(&batch, bytes.clone(), 40, voters).unwrap();
        assert_eq!(back.log_id, entry.log_id);
        back
    }

    #[test]
    fn each_kind_of_entry_is_one_batch_and_comes_back() {
        let fixed = Voters::Fixed(vec![BrokerId(2), BrokerId(3)]);
        assert!(matches!(there_and_back(EntryPayload::Blank, &fixed).payload, EntryPayload::Blank));
        let bytes = super::super::batch::encode(&crate::controller::bootstrap_records(), 29, Offset(7), 3, 5).unwrap();
        match there_and_back(EntryPayload::Normal(MetadataBatch::new(bytes.clone())), &fixed).payload {
            EntryPayload::Normal(batch) => assert_eq!(batch.bytes, bytes),
            other => panic!("{other:?}"),
        }
        for sets in [vec![BTreeSet::from([1, 2, 3])], vec![BTreeSet::from([1]), BTreeSet::from([1, 4])]] {
            let membership = Membership::new_with_defaults(sets, []);
            match there_and_back(EntryPayload::Membership(membership.clone()), &Voters::InLog).payload {
                EntryPayload::Membership(back) => assert_eq!(back, membership),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_does_not_belong_into_the_log_is_refused() {
        let fixed = Voters::Fixed(vec![BrokerId(2)]);
        let refused =
            |payload, voters: &Voters| encode(&<Entry as RaftEntry>::new(log_id(3, 40), payload), PLACE, voters).is_err();
        let members = |learner: Option<u64>| Membership::new_with_defaults(vec![BTreeSet::from([2])], learner);
        assert!(refused(EntryPayload::Membership(members(None)), &fixed));
        assert!(refused(EntryPayload::Membership(members(Some(9))), &Voters::InLog));
        for (base, epoch) in [(Offset(6), 3), (Offset(7), 2)] {
            let bytes = super::super::batch::encode(&crate::controller::bootstrap_records(), 29, base, epoch, 5).unwrap();
            assert!(refused(EntryPayload::Normal(MetadataBatch::new(bytes)), &fixed), "decided for {base} in {epoch}");
        }
        assert!(epoch_of(1 << 31).is_err());
    }

    #[test]
    fn a_leader_change_is_what_a_single_voter_always_wrote() {
        let blank = <Entry as RaftEntry>::new(log_id(3, 40), EntryPayload::Blank);
        let bytes = encode(&blank, PLACE, &Voters::Fixed(vec![BrokerId(2)])).unwrap();
        let batch = Batch::parse(&bytes).unwrap();
        let record = batch.records().unwrap().next().unwrap().unwrap();
        assert_eq!(record.key, Some(&ControlRecordType::LeaderChange.key()[..]));
        let message = LeaderChangeMessage::from_bytes(Bytes::copy_from_slice(record.value.unwrap()), 0).unwrap();
        assert_eq!((message.leader_id, message.voters.len(), message.granting_voters.len()), (2, 1, 1));
        assert_eq!(batch.header.max_timestamp, 5);
    }
}
