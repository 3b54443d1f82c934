//! What the cluster went through, as the controllers have written it down: the states that a seed has reached.

use flumen::model::TopicId;
use flumen::protocol::MetadataRecord;
use flumen::protocol::generated::PartitionChangeRecord;
use flumen::record::Batches;
use std::collections::{BTreeMap, BTreeSet};

/// "No change of the leader", "no leader" and "the leader may lack records" in the records of a partition.
const NO_CHANGE: i32 = -2;
const NO_LEADER: i32 = -1;
const RECOVERING: i8 = 1;
/// What a registration change says of fencing.
const FENCED: i8 = 1;
const UNFENCED: i8 = -1;

const CONTROLLERS: &str = "controllers elected";
const LEADERS: &str = "leaders elected";
const UNCLEAN: &str = "leaders elected without a promise";
const LEADERLESS: &str = "partitions left without a leader";
const OUT_OF_SYNC: &str = "replicas out of sync";
const IN_SYNC: &str = "replicas in sync again";
const ELIGIBLE: &str = "replicas eligible while out of sync";
const MOVED: &str = "reassignments begun";
const REGISTERED: &str = "brokers registered";
const FENCINGS: &str = "brokers fenced";
const UNFENCINGS: &str = "brokers unfenced";
const SHUTDOWNS: &str = "brokers that handed over";
const LEFT: &str = "brokers unregistered";

/// What any run over enough seeds has to reach. The others are shown where they were: few of these days have a broker that leaves, and
/// who is eligible while out of sync is noted only where the cluster was formatted with KIP-966.
pub const ALL: &[&str] =
    &[CONTROLLERS, LEADERS, UNCLEAN, LEADERLESS, OUT_OF_SYNC, IN_SYNC, REGISTERED, FENCINGS, UNFENCINGS, SHUTDOWNS];

#[derive(Default)]
struct Transitions {
    counts: BTreeMap<&'static str, u64>,
    /// Leader and ISR.
    partitions: BTreeMap<(TopicId, i32), (i32, BTreeSet<i32>)>,
}

/// How often each was reached, by the log of the metadata.
pub fn count(log: &[u8]) -> BTreeMap<&'static str, u64> {
    let (mut seen, mut epochs) = (Transitions::default(), BTreeSet::new());
    let mut batches = Batches::new(log);
    // A log that is being written may end anywhere.
    while let Some(Ok(batch)) = batches.next() {
        epochs.insert(batch.header.partition_leader_epoch);
        if batch.header.attributes.is_control() {
            continue;
        }
        for record in batch.records().expect("the metadata are not compressed") {
            let value = record.expect("a batch holds its records").value.expect("records have values").to_vec();
            let (record, _) = MetadataRecord::from_bytes(value.into()).expect("it is a record of the metadata");
            seen.on_record(record);
        }
    }
    seen.counts.insert(CONTROLLERS, epochs.len() as u64);
    seen.counts
}

impl Transitions {
    fn note(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn on_record(&mut self, record: MetadataRecord) {
        match record {
            MetadataRecord::Partition(new) => {
                self.partitions.insert((new.topic_id, new.partition_id), (new.leader, new.isr.into_iter().collect()));
            }
            MetadataRecord::PartitionChange(change) => self.on_change(change),
            MetadataRecord::RegisterBroker(_) => self.note(REGISTERED),
            MetadataRecord::UnregisterBroker(_) => self.note(LEFT),
            MetadataRecord::BrokerRegistrationChange(change) => {
                match change.fenced {
                    FENCED => self.note(FENCINGS),
                    UNFENCED => self.note(UNFENCINGS),
                    _ => {}
                }
                if change.in_controlled_shutdown == 1 {
                    self.note(SHUTDOWNS);
                }
            }
            _ => {}
        }
    }

    fn on_change(&mut self, change: PartitionChangeRecord) {
        let Some((mut leader, mut isr)) = self.partitions.remove(&(change.topic_id, change.partition_id)) else { return };
        if let Some(new) = change.isr {
            let new: BTreeSet<i32> = new.into_iter().collect();
            isr.difference(&new).for_each(|_| self.note(OUT_OF_SYNC));
            new.difference(&isr).for_each(|_| self.note(IN_SYNC));
            isr = new;
        }
        if change.leader != NO_CHANGE && change.leader != leader {
            self.note(if change.leader == NO_LEADER { LEADERLESS } else { LEADERS });
            leader = change.leader;
        }
        if change.leader_recovery_state == RECOVERING {
            self.note(UNCLEAN);
        }
        if change.eligible_leader_replicas.is_some_and(|eligible| !eligible.is_empty()) {
            self.note(ELIGIBLE);
        }
        if change.adding_replicas.is_some_and(|adding| !adding.is_empty()) {
            self.note(MOVED);
        }
        self.partitions.insert((change.topic_id, change.partition_id), (leader, isr));
    }
}
