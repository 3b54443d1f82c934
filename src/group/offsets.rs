//! Committed offsets: who may commit, what is remembered, when it is forgotten.
//!
//! A commit counts from when its record is in the log: only then is it answered and seen. Reports of writes come in the order of the
//! log, so what is remembered is always what a coordinator that starts anew would read.

use super::classic::{Group, State};
use super::types::{Answer, CommitOffsets, GroupId, Ticket};
use super::{Coordinator, Groups, Waiting, Work, records};
use crate::model::{ErrorCode, TopicId, TopicPartition};
use crate::protocol::{Reader, StrBytes};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// What each group has committed.
pub(super) type Offsets = BTreeMap<GroupId, BTreeMap<TopicPartition, Committed>>;

/// One committed offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Of the next record to be read.
    pub offset: i64,
    /// Of the last record that was read; -1 if the client does not say.
    pub leader_epoch: i32,
    /// The client's words.
    pub metadata: Arc<str>,
    /// Zero if the client named the topic only.
    pub topic_id: TopicId,
    /// In milliseconds since 1970.
    pub commit_ms: i64,
    /// When it is to be forgotten, if the client of an old version said so.
    pub expire_ms: Option<i64>,
}

impl Work<'_> {
    pub(super) fn commit(&mut self, groups: &Groups, ticket: Ticket, request: CommitOffsets) {
        if let Err(error) = self.may_commit(groups, &request) {
            let errors = vec![error; request.partitions.len()];
            return self.answer(ticket, Answer::Committed(errors));
        }
        let mut errors = Vec::with_capacity(request.partitions.len());
        let mut commits = Vec::new();
        for one in request.partitions {
            if one.metadata.len() > self.config.offset_metadata_max_bytes {
                errors.push(ErrorCode::OffsetMetadataTooLarge);
                continue;
            }
            errors.push(ErrorCode::None);
            let committed = Committed {
                offset: one.offset,
                leader_epoch: one.leader_epoch,
                metadata: one.metadata,
                topic_id: one.topic_id,
                commit_ms: self.now.wall_ms,
                expire_ms: request.retention_ms.map(|retention| self.now.wall_ms + retention),
            };
            commits.push((one.partition, committed));
        }
        if commits.is_empty() {
            return self.answer(ticket, Answer::Committed(errors));
        }
        let group = request.caller.group;
        let written = commits.iter().map(|(partition, committed)| records::offset(&group, partition, Some(committed))).collect();
        self.append(written, Waiting::Offsets { ticket, group, commits, errors });
    }

    /// Without a generation only into a group without members: an administrator, or a consumer that assigns itself.
    fn may_commit(&mut self, groups: &Groups, request: &CommitOffsets) -> Result<(), ErrorCode> {
        let caller = &request.caller;
        let unattached = caller.generation < 0 && caller.member.is_empty() && caller.instance.is_none();
        let Some(group) = groups.get(&caller.group) else {
            return if caller.generation < 0 { Ok(()) } else { Err(request.error_without_group) };
        };
        if caller.generation < 0 && group.state == State::Empty {
            return Ok(());
        }
        if unattached {
            return Err(ErrorCode::UnknownMemberId);
        }
        super::sync::check(group, caller)?;
        match group.state {
            State::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Empty | State::PreparingRebalance | State::Stable => {
                self.expect(group.id.clone(), caller.member.clone(), group.members[&caller.member].session_timeout_ms);
                Ok(())
            }
        }
    }

    /// A commit is in the log, or could not be written.
    pub(super) fn committed(
        &mut self,
        groups: &mut Groups,
        offsets: &mut Offsets,
        (ticket, group, commits, mut errors): (Ticket, GroupId, Vec<(TopicPartition, Committed)>, Vec<ErrorCode>),
        error: ErrorCode,
    ) {
        if error == ErrorCode::None {
            // A group that is nothing but its offsets, until somebody joins.
            groups.entry(group.clone()).or_insert_with(|| Group::new(group.clone(), self.now.wall_ms));
            offsets.entry(group).or_default().extend(commits);
        } else {
            errors.iter_mut().filter(|one| **one == ErrorCode::None).for_each(|one| *one = error);
        }
        self.answer(ticket, Answer::Committed(errors));
    }

    /// DeleteGroups (42): only a group without members, with all its offsets.
    pub(super) fn delete_group(&mut self, groups: &mut Groups, offsets: &Offsets, ticket: Ticket, id: GroupId) {
        let error = match groups.get(&id) {
            None => ErrorCode::GroupIdNotFound,
            Some(group) if !group.members.is_empty() || !group.pending.is_empty() => ErrorCode::NonEmptyGroup,
            Some(_) => ErrorCode::None,
        };
        if error != ErrorCode::None {
            return self.answer(ticket, Answer::Done(error));
        }
        let group = groups.remove(&id).expect("it was found");
        let forgotten: Vec<TopicPartition> = offsets.get(&id).into_iter().flat_map(BTreeMap::keys).cloned().collect();
        let mut tombstones = records::forgotten(&id, &forgotten);
        tombstones.push(records::tombstone(&id));
        self.append(tombstones, Waiting::Deleted { ticket: Some(ticket), group: Some(Box::new(group)), id, forgotten });
    }

    /// OffsetDelete (47): not of topics that members of the group read.
    pub(super) fn delete_offsets(
        &mut self,
        groups: &Groups,
        offsets: &Offsets,
        ticket: Ticket,
        id: GroupId,
        partitions: Vec<TopicPartition>,
    ) {
        let Some(group) = groups.get(&id) else {
            return self.answer(ticket, Answer::OffsetsDeleted(Err(ErrorCode::GroupIdNotFound)));
        };
        let topics = match (group.members.is_empty(), group.protocol_type.as_deref()) {
            (true, _) => Subscribed::To(Vec::new()),
            (false, Some("consumer")) => subscribed(group),
            (false, _) => return self.answer(ticket, Answer::OffsetsDeleted(Err(ErrorCode::NonEmptyGroup))),
        };
        let known = offsets.get(&id);
        let (mut errors, mut forgotten) = (Vec::new(), Vec::new());
        for partition in partitions {
            if topics.include(&partition.topic) {
                errors.push(ErrorCode::GroupSubscribedToTopic);
                continue;
            }
            errors.push(ErrorCode::None);
            if known.is_some_and(|known| known.contains_key(&partition)) {
                forgotten.push(partition);
            }
        }
        if forgotten.is_empty() {
            return self.answer(ticket, Answer::OffsetsDeleted(Ok(errors)));
        }
        self.append(records::forgotten(&id, &forgotten), Waiting::OffsetsDeleted { ticket, id, forgotten, errors });
    }

    /// Forgets what nobody has needed for so long, and groups of which nothing is left.
    pub(super) fn expire_offsets(&mut self, groups: &mut Groups, offsets: &Offsets) {
        let ids: Vec<GroupId> = groups.keys().cloned().collect();
        for id in ids {
            let (group, known) = (&groups[&id], offsets.get(&id));
            let due = |(partition, committed): &(&TopicPartition, &Committed)| self.is_due(group, &partition.topic, committed);
            let forgotten: Vec<TopicPartition> =
                known.into_iter().flatten().filter(due).map(|(partition, _)| partition.clone()).collect();
            let all = known.map_or(0, BTreeMap::len) == forgotten.len();
            let gone = all && group.state == State::Empty && group.pending.is_empty();
            if !gone && forgotten.is_empty() {
                continue;
            }
            let mut tombstones = records::forgotten(&id, &forgotten);
            let group = if gone { groups.remove(&id) } else { None };
            if gone {
                tombstones.push(records::tombstone(&id));
            }
            self.append(tombstones, Waiting::Deleted { ticket: None, group: group.map(Box::new), id, forgotten });
        }
    }

    /// A simple group's offset is kept since it was committed; an empty group's since the last member left; of a group with members,
    /// those of topics that nobody reads, since they were committed.
    fn is_due(&self, group: &Group, topic: &str, committed: &Committed) -> bool {
        let since = match (group.protocol_type.as_deref(), group.state) {
            (None, _) => committed.commit_ms,
            (Some(_), State::Empty) => {
                if group.since_ms < 0 {
                    committed.commit_ms
                } else {
                    group.since_ms
                }
            }
            (Some("consumer"), State::Stable) if !subscribed(group).include(topic) => committed.commit_ms,
            _ => return false,
        };
        match committed.expire_ms {
            Some(expire_ms) => self.now.wall_ms >= expire_ms,
            None => self.now.wall_ms - since >= self.config.offsets_retention_ms,
        }
    }

    /// Topics are gone, and so are the offsets in them.
    pub(super) fn forget_topics(&mut self, offsets: &Offsets, topics: &[Arc<str>]) {
        for (id, known) in offsets {
            let forgotten: Vec<TopicPartition> =
                known.keys().filter(|partition| topics.contains(&partition.topic)).cloned().collect();
            if !forgotten.is_empty() {
                let tombstones = records::forgotten(id, &forgotten);
                self.append(tombstones, Waiting::Deleted { ticket: None, group: None, id: id.clone(), forgotten });
            }
        }
    }

    /// Tombstones are in the log, or could not be written: then the group is there as before.
    pub(super) fn deleted(
        &mut self,
        groups: &mut Groups,
        offsets: &mut Offsets,
        (ticket, group, id, forgotten): (Option<Ticket>, Option<Box<Group>>, GroupId, Vec<TopicPartition>),
        error: ErrorCode,
    ) {
        if error == ErrorCode::None {
            forget(offsets, &id, &forgotten);
        } else if let Some(group) = group {
            groups.entry(id).or_insert(*group);
        }
        if let Some(ticket) = ticket {
            self.answer(ticket, Answer::Done(error));
        }
    }

    pub(super) fn offsets_deleted(
        &mut self,
        offsets: &mut Offsets,
        (ticket, id, forgotten, errors): (Ticket, GroupId, Vec<TopicPartition>, Vec<ErrorCode>),
        error: ErrorCode,
    ) {
        if error != ErrorCode::None {
            return self.answer(ticket, Answer::OffsetsDeleted(Err(error)));
        }
        forget(offsets, &id, &forgotten);
        self.answer(ticket, Answer::OffsetsDeleted(Ok(errors)));
    }
}

pub(super) fn forget(offsets: &mut Offsets, id: &GroupId, partitions: &[TopicPartition]) {
    if let Some(known) = offsets.get_mut(id) {
        partitions.iter().for_each(|partition| {
            known.remove(partition);
        });
        if known.is_empty() {
            offsets.remove(id);
        }
    }
}

/// Topics that members of a group read.
enum Subscribed {
    To(Vec<StrBytes>),
    /// A member says something else than Kafka's consumers do.
    Unknown,
}

impl Subscribed {
    fn include(&self, topic: &str) -> bool {
        match self {
            Self::To(topics) => topics.iter().any(|one| &**one == topic),
            Self::Unknown => true,
        }
    }
}

fn subscribed(group: &Group) -> Subscribed {
    let protocol = group.protocol.as_deref().unwrap_or_default();
    let mut all = Vec::new();
    for member in group.members.values() {
        match subscribed_topics(member.metadata(protocol)) {
            Some(topics) => all.extend(topics),
            None => return Subscribed::Unknown,
        }
    }
    Subscribed::To(all)
}

/// The topics of a consumer's metadata (`ConsumerProtocolSubscription`): a version of 16 bits, a list of strings, and more.
fn subscribed_topics(metadata: Bytes) -> Option<Vec<StrBytes>> {
    let mut reader = Reader::new(metadata);
    if reader.i16().ok()? < 0 {
        return None;
    }
    reader.array(false, 2, |reader| reader.string(false)).ok()
}

impl Coordinator {
    /// What a group has committed for a partition.
    pub fn committed(&self, group: &str, partition: &TopicPartition) -> Option<&Committed> {
        self.offsets.get(group)?.get(partition)
    }

    /// What a group has committed, by topic and partition, behind `after`.
    pub fn committed_after(
        &self,
        group: &str,
        after: Option<&TopicPartition>,
    ) -> impl Iterator<Item = (&TopicPartition, &Committed)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.offsets.get(group).into_iter().flat_map(move |offsets| offsets.range((from, Bound::Unbounded)))
    }
}
