//! What the api asks of group coordinators, wherever they live.

use super::super::core::Core;
use super::super::message::Message;
use super::super::{Shards, placement};
use super::{OFFSETS_TOPIC, Said};
use crate::group::{Answer, Committed, Description, GroupId, Request, State};
use crate::io::{ReplyReceiver, ReplySender, reply};
use crate::model::{ErrorCode, PartitionIndex, TopicIdPartition, TopicPartition};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

/// A group as ListGroups shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// `group.id`.
    pub group: GroupId,
    /// What it does.
    pub state: State,
    /// `consumer`, `connect` ...; empty for a group that has only offsets.
    pub protocol_type: Arc<str>,
}

/// Most offsets that are told in one go.
const MANY: usize = 1_000;

/// Which of a group's offsets are asked for.
#[derive(Clone, Debug)]
pub enum WantedOffsets {
    /// Those of these partitions.
    Of(Vec<TopicPartition>),
    /// The next that there are, in their order, behind this one; not more than are told in one go.
    After(Option<TopicPartition>),
}

/// Offsets that were asked for, in order.
pub(in crate::shard) type Offsets = Vec<(TopicPartition, Option<Committed>)>;

/// A group, its state, and what it has committed.
pub(in crate::shard) type GroupOffsets = (GroupId, State, Vec<(TopicPartition, i64)>);

/// The partition of `__consumer_offsets` that a group belongs to, of `partitions`: by Java's hash of the group's id.
pub fn group_partition(group: &str, partitions: usize) -> PartitionIndex {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka takes the absolute value of the least number for 0.
    let hash = hash.checked_abs().unwrap_or(0);
    PartitionIndex(hash % partitions.max(1) as i32)
}

impl Shards {
    /// Where the coordinator of a group is, if this broker has it; NOT_COORDINATOR if not.
    fn coordinator_of(&self, group: &str) -> Said<TopicIdPartition> {
        let image = self.image();
        let topic = image.topic_by_name(OFFSETS_TOPIC).ok_or(ErrorCode::NotCoordinator)?;
        let partition = group_partition(group, topic.partitions.len());
        let leads = topic.partitions.get(&partition).is_some_and(|found| found.leader == Some(self.core().broker_id()));
        if leads { Ok(TopicIdPartition { topic_id: topic.id, partition }) } else { Err(ErrorCode::NotCoordinator) }
    }

    /// Asks the coordinator of a group, which may answer much later; with an error if it is loading or not here.
    pub fn ask_group(&self, group: &str, request: Request) -> impl Future<Output = Result<Answer, ErrorCode>> + use<> {
        answered(self.of_group(group, |id, reply| Message::Group { id, request, reply }))
    }

    /// What a group has committed for some partitions, in their order.
    pub fn group_offsets(
        &self,
        group: &GroupId,
        wanted: WantedOffsets,
    ) -> impl Future<Output = Result<Offsets, ErrorCode>> + use<> {
        answered(self.of_group(group, |id, reply| Message::GroupOffsets { id, group: group.clone(), wanted, reply }))
    }

    /// All that a group has committed. It is told in parts: what is committed meanwhile may be in it or not, partition by partition.
    pub async fn all_group_offsets(&self, group: &GroupId) -> Result<Offsets, ErrorCode> {
        let mut all = Offsets::new();
        loop {
            let last = all.last().map(|(partition, _)| partition.clone());
            let part = self.group_offsets(group, WantedOffsets::After(last)).await?;
            if part.is_empty() {
                return Ok(all);
            }
            all.extend(part);
        }
    }

    /// One group, `None` if it is not there.
    pub fn describe_group(&self, group: &GroupId) -> impl Future<Output = Result<Option<Description>, ErrorCode>> + use<> {
        answered(self.of_group(group, |id, reply| Message::DescribeGroup { id, group: group.clone(), reply }))
    }

    /// All groups of this broker, by name. One coordinator that is loading makes it fail, as in Kafka.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ErrorCode> {
        let mut all = Vec::new();
        for found in self.core().ask_all(|reply| Message::ListGroups { reply }).await {
            all.extend(found.unwrap_or_else(|| Ok(Vec::new()))?);
        }
        all.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(all)
    }

    fn of_group<T: Send + 'static>(
        &self,
        group: &str,
        message: impl FnOnce(TopicIdPartition, ReplySender<Said<T>>) -> Message,
    ) -> Said<ReplyReceiver<Said<T>>> {
        let id = self.coordinator_of(group)?;
        let (sender, answer) = reply();
        let (core, owner) = (self.core(), placement::owner(id.topic_id, id.partition, self.core().cores()));
        match owner == core.index {
            true => core.on_message(message(id, sender)),
            false => core.send(owner, message(id, sender)),
        }
        Ok(answer)
    }
}

async fn answered<T: Send + 'static>(asked: Said<ReplyReceiver<Said<T>>>) -> Said<T> {
    asked?.await.unwrap_or(Err(ErrorCode::NotCoordinator))
}

impl Core {
    pub(in crate::shard) fn ask_coordinator(
        self: &Rc<Self>,
        id: TopicIdPartition,
        request: Request,
        reply: ReplySender<Said<Answer>>,
    ) {
        let known = self.coordinations.borrow().get(&id).cloned();
        match known {
            Some(coordination) => coordination.ask(self, request, reply),
            None => reply.send(Err(ErrorCode::NotCoordinator)),
        }
    }

    fn look_into_coordinator<T>(&self, id: TopicIdPartition, look: impl FnOnce(&crate::group::Coordinator) -> T) -> Said<T> {
        let known = self.coordinations.borrow().get(&id).cloned();
        known.ok_or(ErrorCode::NotCoordinator)?.look(look)
    }

    pub(in crate::shard) fn offsets_of_group(
        &self,
        id: TopicIdPartition,
        group: &GroupId,
        wanted: WantedOffsets,
    ) -> Said<Offsets> {
        self.look_into_coordinator(id, |coordinator| match wanted {
            WantedOffsets::Of(partitions) => {
                let committed = |partition: TopicPartition| {
                    let committed = coordinator.committed(group, &partition).cloned();
                    (partition, committed)
                };
                partitions.into_iter().map(committed).collect()
            }
            WantedOffsets::After(after) => {
                let next = coordinator.committed_after(group, after.as_ref()).take(MANY);
                next.map(|(partition, committed)| (partition.clone(), Some(committed.clone()))).collect()
            }
        })
    }

    pub(in crate::shard) fn description_of_group(&self, id: TopicIdPartition, group: &GroupId) -> Said<Option<Description>> {
        self.look_into_coordinator(id, |coordinator| coordinator.describe(group))
    }

    /// All that this core's groups have committed; those that are loading are missing.
    pub(in crate::shard) async fn offsets_of_all_groups(self: Rc<Self>) -> Vec<GroupOffsets> {
        let mut all = Vec::new();
        for coordination in self.all_coordinations() {
            let listed = |coordinator: &crate::group::Coordinator| {
                coordinator.list().map(|(group, state, _)| (group.clone(), state)).collect::<Vec<_>>()
            };
            for (group, state) in coordination.look(listed).unwrap_or_default() {
                let mut offsets: Vec<(TopicPartition, i64)> = Vec::new();
                loop {
                    let next = coordination.look(|coordinator| {
                        let after = offsets.last().map(|(partition, _)| partition);
                        let next = coordinator.committed_after(&group, after).take(MANY);
                        next.map(|(partition, one)| (partition.clone(), one.offset)).collect::<Vec<_>>()
                    });
                    self.io.yield_if_needed().await;
                    match next {
                        Ok(next) if !next.is_empty() => offsets.extend(next),
                        _ => break,
                    }
                }
                all.push((group, state, offsets));
            }
        }
        all
    }

    pub(in crate::shard) fn listed_groups(&self) -> Said<Vec<ListedGroup>> {
        let mut all = Vec::new();
        for coordination in self.all_coordinations() {
            let listed = coordination.look(|coordinator| {
                let listed = |(group, state, protocol_type): (&GroupId, State, &str)| ListedGroup {
                    group: group.clone(),
                    state,
                    protocol_type: Arc::from(protocol_type),
                };
                coordinator.list().map(listed).collect::<Vec<_>>()
            });
            match listed {
                Ok(listed) => all.extend(listed),
                // It has just ended: its groups are somebody else's.
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_spread_as_in_kafka() {
        // "polygenelubricants" has the least hash that there is.
        let partitions = ["", "a", "console-consumer-1", "polygenelubricants", "groß"].map(|group| group_partition(group, 50).0);
        assert_eq!(partitions, [0, 47, 24, 0, 41]);
    }
}
