//! ISRs on their way to the controller (AlterPartition, KIP-497).
//!
//! Leaders of all cores propose at any time, and mostly many at once: a broker that is gone leaves the ISR of all that it followed. So
//! proposals are gathered on the controller's core and go out together, one request at a time, as Kafka's do. A leader proposes again
//! only after the answer, so what waits is at most one proposal a partition, the last.

use super::core::Core;
use super::handle::Stopping;
use crate::controller::{Command, Reply};
use crate::io::reply;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, TopicIdPartition};
use crate::protocol::generated::alter_partition_request::{BrokerState, PartitionData, TopicData};
use crate::protocol::generated::{AlterPartitionRequest, AlterPartitionResponse};
use crate::replica::{CommittedIsr, Input, IsrProposal, LeaderRecovery};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Partitions of one request; the rest goes with the next.
const MAX_PROPOSALS: usize = 2_000;
/// Leader recovery states on the wire.
const RECOVERED: i8 = 0;
const RECOVERING: i8 = 1;

/// A proposal and the core that it came from.
type Proposed = (TopicIdPartition, (usize, IsrProposal));

/// What waits on the controller's core.
#[derive(Default)]
pub(super) struct Proposals {
    waiting: RefCell<BTreeMap<TopicIdPartition, (usize, IsrProposal)>>,
    is_sending: Cell<bool>,
}

impl Proposals {
    /// What goes into the next request.
    fn take(&self) -> Vec<Proposed> {
        let mut waiting = self.waiting.borrow_mut();
        std::iter::from_fn(|| waiting.pop_first()).take(MAX_PROPOSALS).collect()
    }
}

impl Core {
    /// A proposal, on the controller's core.
    pub(super) fn on_isr_proposed(self: &Rc<Self>, id: TopicIdPartition, proposal: IsrProposal, from: usize) {
        self.proposals.waiting.borrow_mut().insert(id, (from, proposal));
        if !self.proposals.is_sending.replace(true) {
            let core = self.clone();
            self.io.spawn(async move { core.send_proposals().await });
        }
    }

    async fn send_proposals(self: Rc<Self>) {
        loop {
            let proposed = self.proposals.take();
            if proposed.is_empty() || self.is_stopping() {
                self.proposals.is_sending.set(false);
                return;
            }
            let request = request(self.broker_id(), self.broker_epoch.get(), &proposed);
            let (sender, answer) = reply();
            self.enqueue_command(Command::AlterPartition(request), None, sender);
            let answer = match answer.await.unwrap_or(Err(Stopping)) {
                Ok(Reply::AlterPartition(response)) => Ok(response),
                // What has become of it is not known.
                Ok(_) | Err(Stopping) => Err(ErrorCode::RequestTimedOut),
            };
            for (id, core, number, result) in results(proposed, answer) {
                self.send(core, super::message::Message::IsrAnswered { id, number, result });
            }
        }
    }

    /// The outcome of a proposal, on the core of the partition.
    pub(super) fn on_isr_answered(self: &Rc<Self>, id: TopicIdPartition, number: u64, result: Result<CommittedIsr, ErrorCode>) {
        let Some(partition) = self.partition(id) else { return };
        match &result {
            Ok(committed) => tracing::info!(partition = %partition.name, isr = ?committed.isr, "in-sync replicas"),
            Err(error) => tracing::debug!(partition = %partition.name, %error, "the in-sync replicas do not change"),
        }
        partition.on_event(self, Input::AlterPartitionAnswered { number, result });
    }
}

fn request(broker: BrokerId, broker_epoch: i64, proposed: &[Proposed]) -> AlterPartitionRequest {
    let mut topics: Vec<TopicData> = Vec::new();
    for (id, (_, proposal)) in proposed {
        let member = |&(broker, broker_epoch): &(BrokerId, i64)| BrokerState { broker_id: broker.0, broker_epoch };
        let partition = PartitionData {
            partition_index: id.partition.0,
            leader_epoch: proposal.leader_epoch.0,
            new_isr_with_epochs: proposal.isr.iter().map(member).collect(),
            leader_recovery_state: match proposal.recovery {
                LeaderRecovery::Recovered => RECOVERED,
                LeaderRecovery::Recovering => RECOVERING,
            },
            partition_epoch: proposal.partition_epoch,
            ..PartitionData::default()
        };
        // Proposals come by topic.
        match topics.last_mut().filter(|topic| topic.topic_id == id.topic_id) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(TopicData { topic_id: id.topic_id, partitions: vec![partition] }),
        }
    }
    AlterPartitionRequest { broker_id: broker.0, broker_epoch, topics }
}

/// Whose proposal, of which core, its number, and what became of it.
type Outcome = (TopicIdPartition, usize, u64, Result<CommittedIsr, ErrorCode>);

fn results(proposed: Vec<Proposed>, answer: Result<AlterPartitionResponse, ErrorCode>) -> Vec<Outcome> {
    let code = |code| ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
    let answer = answer.and_then(|response| match code(response.error_code) {
        ErrorCode::None => Ok(response),
        error => Err(error),
    });
    let mut answered = BTreeMap::new();
    for topic in answer.iter().flat_map(|response| &response.topics) {
        answered.extend(topic.partitions.iter().map(|partition| ((topic.topic_id, partition.partition_index), partition)));
    }
    let result = |id: TopicIdPartition| {
        let told = match &answer {
            Ok(_) => *answered.get(&(id.topic_id, id.partition.0)).ok_or(ErrorCode::UnknownServerError)?,
            Err(error) => return Err(*error),
        };
        match code(told.error_code) {
            ErrorCode::None => Ok(CommittedIsr {
                leader_epoch: LeaderEpoch(told.leader_epoch),
                partition_epoch: told.partition_epoch,
                isr: told.isr.iter().copied().map(BrokerId).collect(),
                recovery: match told.leader_recovery_state {
                    RECOVERING => LeaderRecovery::Recovering,
                    _ => LeaderRecovery::Recovered,
                },
            }),
            error => Err(error),
        }
    };
    proposed.into_iter().map(|(id, (core, proposal))| (id, core, proposal.number, result(id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartitionIndex, TopicId};
    use crate::protocol::generated::alter_partition_response as response;

    fn id(topic: u8, partition: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: TopicId([topic; 16]), partition: PartitionIndex(partition) }
    }

    fn proposal(number: u64) -> IsrProposal {
        IsrProposal {
            number,
            leader_epoch: LeaderEpoch(4),
            partition_epoch: 9,
            isr: vec![(BrokerId(1), 70), (BrokerId(2), -1)],
            recovery: LeaderRecovery::Recovered,
        }
    }

    #[test]
    fn proposals_of_a_topic_go_together_and_the_last_of_a_partition_counts() {
        let proposals = Proposals::default();
        for (id, number) in [(id(2, 0), 5), (id(1, 3), 6), (id(1, 0), 7), (id(1, 3), 8)] {
            proposals.waiting.borrow_mut().insert(id, (1, proposal(number)));
        }
        let taken = proposals.take();
        assert_eq!(taken.iter().map(|(id, (_, p))| (id.partition.0, p.number)).collect::<Vec<_>>(), [(0, 7), (3, 8), (0, 5)]);
        assert!(proposals.take().is_empty());
        let asked = request(BrokerId(1), 70, &taken);
        assert_eq!((asked.broker_id, asked.broker_epoch), (1, 70));
        assert_eq!(asked.topics.iter().map(|topic| topic.partitions.len()).collect::<Vec<_>>(), [2, 1]);
        let first = &asked.topics[0].partitions[0];
        assert_eq!((first.leader_epoch, first.partition_epoch, first.leader_recovery_state), (4, 9, RECOVERED));
        let members = first.new_isr_with_epochs.iter().map(|member| (member.broker_id, member.broker_epoch));
        assert_eq!(members.collect::<Vec<_>>(), [(1, 70), (2, -1)]);
        assert!(first.new_isr.is_empty(), "of older versions");
    }

    #[test]
    fn each_proposal_gets_its_answer() {
        let told = |index, error: ErrorCode, epoch| response::PartitionData {
            partition_index: index,
            error_code: error.code(),
            leader_id: 1,
            leader_epoch: 4,
            isr: vec![1],
            partition_epoch: epoch,
            ..Default::default()
        };
        let topic = response::TopicData {
            topic_id: TopicId([1; 16]),
            partitions: vec![told(3, ErrorCode::InvalidUpdateVersion, 0), told(0, ErrorCode::None, 10)],
        };
        let answer = AlterPartitionResponse { topics: vec![topic], ..AlterPartitionResponse::default() };
        let asked = || vec![(id(1, 0), (0, proposal(1))), (id(1, 3), (2, proposal(2))), (id(2, 0), (1, proposal(3)))];
        let committed = CommittedIsr {
            leader_epoch: LeaderEpoch(4),
            partition_epoch: 10,
            isr: vec![BrokerId(1)],
            recovery: LeaderRecovery::Recovered,
        };
        let expected = [
            (id(1, 0), 0, 1, Ok(committed)),
            (id(1, 3), 2, 2, Err(ErrorCode::InvalidUpdateVersion)),
            (id(2, 0), 1, 3, Err(ErrorCode::UnknownServerError)),
        ];
        assert_eq!(results(asked(), Ok(answer.clone())), expected);
        let refused = AlterPartitionResponse { error_code: ErrorCode::StaleBrokerEpoch.code(), ..answer };
        for (answer, error) in
            [(Ok(refused), ErrorCode::StaleBrokerEpoch), (Err(ErrorCode::RequestTimedOut), ErrorCode::RequestTimedOut)]
        {
            assert!(results(asked(), answer).iter().all(|(.., result)| *result == Err(error)));
        }
    }
}
