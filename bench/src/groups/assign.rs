//! What members say about their subscriptions and get as their share, as Kafka's consumers write it (the "consumer" protocol), and how
//! a leader shares partitions out.

use crate::kafka::fail;
use crate::worker::Failure;
use bytes::Bytes;
use flumen::protocol::generated::consumer_protocol_assignment::{ConsumerProtocolAssignment, TopicPartition};
use flumen::protocol::generated::consumer_protocol_subscription::ConsumerProtocolSubscription;
use flumen::protocol::generated::sync_group_request::SyncGroupRequestAssignment;
use flumen::protocol::{Message, StrBytes};

/// Version of both messages, which stands before each.
const VERSION: i16 = 3;

fn versioned(message: &impl Message) -> Bytes {
    let message = message.to_bytes(VERSION).expect("the version can carry it");
    Bytes::from([&VERSION.to_be_bytes()[..], &message[..]].concat())
}

/// What a member says that wants one topic.
pub fn subscription(topic: &StrBytes) -> Bytes {
    versioned(&ConsumerProtocolSubscription { topics: vec![topic.clone()], ..Default::default() })
}

/// Shares the partitions of the topic out: each member in turn gets one.
pub fn share(topic: &StrBytes, partitions: i32, mut members: Vec<StrBytes>) -> Vec<SyncGroupRequestAssignment> {
    members.sort();
    let count = members.len();
    let assignment = |(place, member_id): (usize, StrBytes)| {
        let partitions: Vec<i32> = (0..partitions).skip(place).step_by(count).collect();
        let assigned = TopicPartition { topic: topic.clone(), partitions };
        let assigned_partitions = if assigned.partitions.is_empty() { Vec::new() } else { vec![assigned] };
        let assignment = versioned(&ConsumerProtocolAssignment { assigned_partitions, ..Default::default() });
        SyncGroupRequestAssignment { member_id, assignment }
    };
    members.into_iter().enumerate().map(assignment).collect()
}

/// The partitions that a member got of the topic.
pub fn read(assignment: &Bytes, topic: &str) -> Result<Vec<i32>, Failure> {
    let Some(version) = assignment.first_chunk::<2>() else { return fail("a member got no assignment") };
    let found = ConsumerProtocolAssignment::from_bytes(assignment.slice(2..), i16::from_be_bytes(*version))
        .map_err(|error| Failure(format!("an assignment: {error}")))?;
    if let Some(other) = found.assigned_partitions.iter().find(|one| one.topic != *topic) {
        return fail(format!("a member got partitions of {}", other.topic));
    }
    Ok(found.assigned_partitions.into_iter().flat_map(|one| one.partitions).collect())
}

/// Whether each of so many partitions is in exactly one of the shares.
pub fn covers<'a>(partitions: i32, shares: impl Iterator<Item = &'a [i32]>) -> Result<(), String> {
    let mut owners = vec![0; usize::try_from(partitions).unwrap_or(0)];
    for partition in shares.flatten() {
        match usize::try_from(*partition).ok().and_then(|index| owners.get_mut(index)) {
            Some(count) => *count += 1,
            None => return Err(format!("partition {partition} is assigned, which is not there")),
        }
    }
    match owners.iter().enumerate().find(|(_, count)| **count != 1) {
        Some((partition, count)) => Err(format!("partition {partition} has {count} owners")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&'static str]) -> Vec<StrBytes> {
        names.iter().copied().map(StrBytes::from_static).collect()
    }

    #[test]
    fn shares_are_even_and_cover_all() {
        let topic = StrBytes::from_static("t");
        for (partitions, members) in [(0, 1), (1, 1), (2, 3), (7, 3), (20, 4)] {
            let shared = share(&topic, partitions, names(&["d", "a", "c", "b"][..members]));
            let read: Vec<Vec<i32>> = shared.iter().map(|one| read(&one.assignment, "t").unwrap()).collect();
            covers(partitions, read.iter().map(Vec::as_slice)).unwrap();
            let sizes = read.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1, "{read:?}");
        }
        let shared = share(&topic, 3, names(&["b", "a"]));
        assert_eq!((shared[0].member_id.as_str(), read(&shared[0].assignment, "t").unwrap()), ("a", vec![0, 2]));
    }

    #[test]
    fn shares_that_overlap_or_leave_out_are_found() {
        let said = |shares: &[&[i32]]| covers(3, shares.iter().copied()).unwrap_err();
        assert_eq!(said(&[&[0, 1], &[1, 2]]), "partition 1 has 2 owners");
        assert_eq!(said(&[&[0], &[1]]), "partition 2 has 0 owners");
        assert_eq!(said(&[&[0, 1, 2], &[3]]), "partition 3 is assigned, which is not there");
        assert_eq!(said(&[&[0, 1, 2, -1]]), "partition -1 is assigned, which is not there");
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        assert!(read(&Bytes::new(), "t").unwrap_err().0.contains("no assignment"));
        assert!(read(&Bytes::from_static(&[0, 3, 0]), "t").is_err());
        let of_another = share(&StrBytes::from_static("u"), 1, names(&["a"]));
        assert!(read(&of_another[0].assignment, "t").unwrap_err().0.contains("partitions of u"));
    }

    #[test]
    fn a_subscription_is_kafkas() {
        // Version 3, one topic "t", no user data, no owned partitions, generation -1, no rack.
        let wanted = b"\0\x03\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff";
        assert_eq!(subscription(&StrBytes::from_static("t")), &wanted[..]);
    }
}
