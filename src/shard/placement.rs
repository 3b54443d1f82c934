//! Which core owns a partition: a function of topic id, index and core count, so that nothing needs to be stored and a restart with
//! another number of cores just recomputes it.

use crate::model::{PartitionIndex, TopicId};

/// The core that owns a partition. Partitions of one topic go round the cores in index order from a start that the topic's id
/// decides, so that any number of partitions is spread evenly and topics of one partition do not all meet on core 0.
pub fn owner(topic_id: TopicId, partition: PartitionIndex, cores: usize) -> usize {
    assert!(cores > 0, "a broker has a core");
    assert!(partition.0 >= 0, "partition indexes start at 0");
    // The upper half: the low bits of this hash depend on the low bits of each byte only.
    let start = (fnv1a(&topic_id.0) >> 32) % cores as u64;
    ((start + u64::from(partition.0.unsigned_abs())) % cores as u64) as usize
}

/// FNV-1a: topic ids are random, so any mix of their bytes does; this one is stable for ever and fits in a line.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_spread_evenly_over_any_number_of_cores() {
        for cores in 1..=9 {
            for seed in 0..20u8 {
                let mut owned = vec![0; cores];
                for partition in 0..60 {
                    owned[owner(TopicId([seed; 16]), PartitionIndex(partition), cores)] += 1;
                }
                let (least, most) = (owned.iter().min().unwrap(), owned.iter().max().unwrap());
                assert!(most - least <= 1, "{cores} cores, topic {seed}: {owned:?}");
            }
        }
    }

    #[test]
    fn topics_of_one_partition_do_not_meet_on_one_core() {
        let mut owned = [0; 4];
        for topic in 0..=255u8 {
            owned[owner(TopicId([topic; 16]), PartitionIndex(0), 4)] += 1;
        }
        assert!(owned.iter().all(|&count| count > 32), "{owned:?}");
    }
}
