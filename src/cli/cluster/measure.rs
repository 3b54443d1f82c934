//! What is written to each partition, measured by what brokers tell.
//!
//! No request of Kafka's tells of rates. So it is looked twice, some seconds apart: how far each partition has come (ListOffsets, at its
//! leader), and how long the logs are (DescribeLogDirs, at each broker). How many bytes the new records are is known in two ways, each of which
//! may be too low: the log has grown by so much (unless old segments were deleted meanwhile), and there are so many more records of the mean
//! size (which a compacted log has too few bytes for). The greater one counts.

use super::admin::{Admin, view};
use crate::cli::balance::{Cluster, Partition};
use crate::model::ErrorCode;
use crate::protocol::generated::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::protocol::generated::{DescribeLogDirsRequest, ListOffsetsRequest, MetadataResponse};
use std::collections::BTreeMap;
use std::time::Duration;

/// Offsets that ListOffsets has names for.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// "Asked by a client" and "in no known epoch".
const NOBODY: i32 = -1;
const NO_EPOCH: i32 = -1;

type Name = (String, i32);

/// A look at all partitions.
#[derive(Default)]
struct Look {
    /// Bytes of the logs of each broker.
    sizes: BTreeMap<(i32, Name), u64>,
    /// Where each log begins and ends, as its leader tells.
    starts: BTreeMap<Name, i64>,
    ends: BTreeMap<Name, i64>,
}

/// Looks at the cluster twice, so many seconds apart.
pub(super) async fn measure(admin: &Admin, seconds: u16) -> Result<Cluster, String> {
    let metadata = admin.metadata().await?;
    let (began, first) = (admin.io.now(), look(admin, &metadata).await?);
    admin.io.sleep(Duration::from_secs(seconds.into())).await;
    let millis = admin.io.now().since(began).as_millis() as u64;
    let second = look(admin, &metadata).await?;
    let whole = view(&metadata, &admin.ongoing().await?)?;
    let mut partitions = vec![];
    for topic in &metadata.topics {
        for told in &topic.partitions {
            let name = (topic.name.as_deref().unwrap_or_default().to_owned(), told.partition_index);
            let seen = whole.partitions.iter().find(|seen| seen.topic == name.0 && seen.index == name.1);
            let leader = told.leader_id;
            let grown = grown(&first, &second, leader, &name);
            partitions.push(Partition {
                replicas: told.replica_nodes.clone(),
                isr: told.isr_nodes.clone(),
                leader,
                is_fixed: grown.is_none() || seen.is_none_or(|seen| seen.is_moving()),
                written: grown.unwrap_or(0).saturating_mul(1_000) / millis.max(1),
                size: second.sizes.get(&(leader, name.clone())).copied().unwrap_or(0),
                topic: name.0,
                index: name.1,
            });
        }
    }
    Ok(Cluster { brokers: whole.brokers, partitions })
}

/// How many bytes were written between two looks; none if that is not known.
fn grown(first: &Look, second: &Look, leader: i32, name: &Name) -> Option<u64> {
    let records = second.ends.get(name)?.checked_sub(*first.ends.get(name)?)?.max(0) as u64;
    let key = (leader, name.clone());
    let (before, now) = (*first.sizes.get(&key)?, *second.sizes.get(&key)?);
    let held = second.ends.get(name)?.checked_sub(*second.starts.get(name)?)?.max(0) as u64;
    let of_mean_size = u128::from(records) * u128::from(now) / u128::from(held.max(1));
    Some(now.saturating_sub(before).max(u64::try_from(of_mean_size).unwrap_or(u64::MAX)))
}

async fn look(admin: &Admin, metadata: &MetadataResponse) -> Result<Look, String> {
    let mut look = Look::default();
    for broker in &metadata.brokers {
        let id = broker.node_id;
        // The ends first: what is written between the two requests counts for the next look in one of them and does no harm.
        look.ends.extend(offsets(admin, metadata, id, LATEST).await?);
        look.starts.extend(offsets(admin, metadata, id, EARLIEST).await?);
        let answer = admin.call_at(broker, &DescribeLogDirsRequest { topics: None }).await?;
        for dir in answer.results.into_iter().filter(|dir| dir.error_code == ErrorCode::None.code()) {
            for topic in dir.topics {
                for log in topic.partitions.into_iter().filter(|log| !log.is_future_key) {
                    let size = u64::try_from(log.partition_size).unwrap_or(0);
                    look.sizes.insert((id, (topic.name.to_string(), log.partition_index)), size);
                }
            }
        }
    }
    Ok(look)
}

/// Offsets of what a broker leads; those that it does not tell are missing.
async fn offsets(admin: &Admin, metadata: &MetadataResponse, broker: i32, timestamp: i64) -> Result<Vec<(Name, i64)>, String> {
    let led = metadata.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().filter(|partition| partition.leader_id == broker);
        let asked = partitions.map(|partition| ListOffsetsPartition {
            partition_index: partition.partition_index,
            current_leader_epoch: NO_EPOCH,
            timestamp,
        });
        ListOffsetsTopic { name: topic.name.clone().unwrap_or_default(), partitions: asked.collect() }
    });
    let topics: Vec<ListOffsetsTopic> = led.filter(|topic| !topic.partitions.is_empty()).collect();
    let at = metadata.brokers.iter().find(|one| one.node_id == broker);
    let Some(at) = at.filter(|_| !topics.is_empty()) else { return Ok(vec![]) };
    let answer = admin.call_at(at, &ListOffsetsRequest { replica_id: NOBODY, topics, ..ListOffsetsRequest::default() }).await?;
    let mut offsets = vec![];
    for topic in answer.topics {
        for one in topic.partitions.into_iter().filter(|one| one.error_code == ErrorCode::None.code()) {
            offsets.push(((topic.name.to_string(), one.partition_index), one.offset));
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(start: i64, end: i64, size: u64) -> Look {
        let name = ("t".to_owned(), 0);
        Look {
            sizes: BTreeMap::from([((1, name.clone()), size)]),
            starts: BTreeMap::from([(name.clone(), start)]),
            ends: BTreeMap::from([(name, end)]),
        }
    }

    #[test]
    fn growth_is_what_shows_more_of_it() {
        let name = ("t".to_owned(), 0);
        let grown = |first: Look, second: Look| grown(&first, &second, 1, &name);
        assert_eq!(grown(look(0, 100, 1_000), look(0, 150, 1_600)), Some(600), "the log has grown");
        assert_eq!(grown(look(0, 100, 1_000), look(100, 150, 500)), Some(500), "50 of 50 records, and a segment was deleted");
        assert_eq!(grown(look(0, 100, 1_000), look(0, 100, 1_000)), Some(0));
        assert_eq!(grown(look(0, 0, 0), look(0, 0, 0)), Some(0));
        assert_eq!(grown(look(0, 100, 1_000), Look::default()), None, "it moved");
        assert_eq!(super::grown(&look(0, 1, 1), &look(0, 2, 2), 2, &name), None, "another leads");
    }
}
