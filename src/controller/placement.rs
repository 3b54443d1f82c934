//! Which brokers get the replicas of new partitions.
//!
//! Replicas go round the brokers, unfenced ones before fenced ones, each partition starting one further, so that leaders and
//! replicas spread evenly. Where the round begins is the caller's random choice, or every topic would begin on the same broker.
//! Racks are not looked at yet; they come with clusters.

use super::image::{Broker, MetadataImage};
use crate::model::{BrokerId, TopicId};

/// Replicas of `count` partitions, from the partition `first` on.
///
/// # Errors
/// Why it cannot be done; goes with `INVALID_REPLICATION_FACTOR`.
pub(super) fn place(
    image: &MetadataImage,
    first: usize,
    count: usize,
    factor: usize,
    start: usize,
) -> Result<Vec<Vec<BrokerId>>, String> {
    let usable = || image.brokers().filter(|broker| !broker.in_controlled_shutdown);
    let unfenced: Vec<BrokerId> = usable().filter(|broker| !broker.fenced).map(|broker| broker.id).collect();
    let fenced: Vec<BrokerId> = usable().filter(|broker| broker.fenced).map(|broker| broker.id).collect();
    let registered = unfenced.len() + fenced.len();
    if factor > registered {
        return Err(format!(
            "The target replication factor of {factor} cannot be reached because only {registered} broker(s) are registered."
        ));
    }
    if unfenced.is_empty() {
        return Err("All brokers are currently fenced.".to_owned());
    }
    let partition = |index: usize| {
        let turn = start.wrapping_add(index);
        let round = |brokers: &[BrokerId]| {
            let shift = turn % brokers.len().max(1);
            [&brokers[shift..], &brokers[..shift]].concat()
        };
        // After each full turn the followers shift too, or one broker's loss would fall on the same neighbour for every partition.
        let (leaders, others) = (round(&unfenced), round(&fenced));
        let mut replicas: Vec<BrokerId> = leaders.into_iter().chain(others).collect();
        if replicas.len() > 2 {
            let followers = &mut replicas[1..unfenced.len().max(1)];
            if !followers.is_empty() {
                let shift = (turn / unfenced.len()) % followers.len();
                followers.rotate_left(shift);
            }
        }
        replicas.truncate(factor);
        replicas
    };
    Ok((first..first + count).map(partition).collect())
}

/// The directory of a new replica: the broker's only one, else for the broker to choose and report.
pub(super) fn directory(broker: Option<&Broker>) -> TopicId {
    match broker.map(|broker| &*broker.log_dirs) {
        Some([only]) => *only,
        _ => super::DIRECTORY_UNASSIGNED,
    }
}
