//! What is asked of a cluster and waited for beside any load: `in-sync`, `reorder`, `controller`.
//!
//! Times are those of the monotonic clock in seconds, so that a script on the same machine can count from what it has done itself.

use crate::args::{ControllerArgs, InSyncArgs, ReorderArgs};
use crate::clock::{self, SECOND};
use crate::commands::check;
use crate::kafka::{Client, error_name, fail};
use crate::report;
use crate::worker::Failure;
use flumen::protocol::StrBytes;
use flumen::protocol::generated::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use flumen::protocol::generated::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use flumen::protocol::generated::metadata_request::{MetadataRequest, MetadataRequestTopic};
use flumen::protocol::generated::metadata_response::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

const METADATA_VERSION: i16 = 12;
const CLUSTER_METADATA: StrBytes = StrBytes::from_static("__cluster_metadata");
/// Between two tries to reach a cluster.
const PAUSE: Duration = Duration::from_millis(20);

fn describe(client: &mut Client, topics: &[String]) -> Result<MetadataResponse, Failure> {
    let asked = |topic: &String| MetadataRequestTopic { name: Some(StrBytes::from(topic)), ..MetadataRequestTopic::default() };
    let topics = Some(topics.iter().map(asked).collect());
    let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..MetadataRequest::default() };
    client.call(&request, METADATA_VERSION)
}

fn partitions(answer: &MetadataResponse) -> impl Iterator<Item = &MetadataResponsePartition> {
    answer.topics.iter().flat_map(|topic| &topic.partitions)
}

/// How many partitions there are, and how many of them lack a leader or a replica in sync; what a topic's error is otherwise.
fn behind(answer: &MetadataResponse) -> Result<(usize, usize), String> {
    if answer.topics.is_empty() {
        return Err("an empty answer".to_owned());
    }
    if let Some(wrong) = answer.topics.iter().find(|topic| topic.error_code != 0) {
        let name = wrong.name.as_ref().map_or("a topic without a name", |name| name.as_str());
        return Err(format!("{name}: {}", error_name(wrong.error_code)));
    }
    let lacks = |partition: &&MetadataResponsePartition| {
        partition.leader_id < 0 || partition.isr_nodes.len() < partition.replica_nodes.len()
    };
    Ok((partitions(answer).count(), partitions(answer).filter(lacks).count()))
}

fn tell(json: Option<&Path>, result: &Value) -> Result<(), Failure> {
    json.map_or(Ok(()), |path| report::write_json(path, result))
}

/// Looks again and again until `look` has found something; after `patience` seconds its last failure is the outcome.
fn until<T>(patience: f64, pause: Duration, mut look: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let deadline = clock::now() + clock::seconds(patience);
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(failure) if clock::now() > deadline => return Err(failure),
            Err(_) => std::thread::sleep(pause),
        }
    }
}

/// Runs `in-sync`.
pub fn in_sync(args: &InSyncArgs) -> Result<(), Failure> {
    check(args.patience > 0.0, "times are positive")?;
    let (start, mut client) = (clock::now(), None);
    let mut most = 0;
    let partitions = until(args.patience, Duration::from_millis(args.look_ms), || {
        let mut connected = client.take().map_or_else(|| Client::connect(&args.bootstrap), Ok)?;
        // A broker that failed is not asked again: the next look begins with the first that answers.
        let answer = describe(&mut connected, std::slice::from_ref(&args.topic))?;
        client = Some(connected);
        let (count, lacking) = behind(&answer).map_err(Failure)?;
        most = most.max(lacking);
        if lacking > 0 { fail(format!("{lacking} of {count} partitions are not in sync")) } else { Ok(count) }
    })?;
    let end = clock::now();
    let seconds = (end - start) as f64 / SECOND as f64;
    println!("{seconds:.3} s until all replicas of {partitions} partitions were in sync, of which {most} were not");
    let result = json!({
        "command": "in-sync", "version": env!("CARGO_PKG_VERSION"), "parameters": args, "seconds": seconds,
        "at": end as f64 / SECOND as f64, "partitions": partitions, "behind": most,
    });
    tell(args.json.as_deref(), &result)
}

/// The replicas of each partition of each topic.
type Assignment = BTreeMap<StrBytes, BTreeMap<i32, Vec<i32>>>;

/// The replicas as a broker tells them.
fn assignment(answer: &MetadataResponse) -> Assignment {
    let of_one = |topic: &MetadataResponseTopic| {
        let partitions = topic.partitions.iter().map(|partition| (partition.partition_index, partition.replica_nodes.clone()));
        Some((topic.name.clone()?, partitions.collect()))
    };
    answer.topics.iter().filter_map(of_one).collect()
}

/// The same replicas in the other order.
fn turned(mut assignment: Assignment) -> Assignment {
    assignment.values_mut().flat_map(|partitions| partitions.values_mut()).for_each(|replicas| replicas.reverse());
    assignment
}

fn reassign(client: &mut Client, wanted: &Assignment) -> Result<(), Failure> {
    let partition = |(index, replicas): (&i32, &Vec<i32>)| ReassignablePartition {
        partition_index: *index,
        replicas: Some(replicas.clone()),
    };
    let topic = |(name, partitions): (&StrBytes, &BTreeMap<i32, Vec<i32>>)| ReassignableTopic {
        name: name.clone(),
        partitions: partitions.iter().map(partition).collect(),
    };
    let topics = wanted.iter().map(topic).collect();
    let request = AlterPartitionReassignmentsRequest { timeout_ms: 60_000, topics, ..Default::default() };
    let answer = client.call(&request, 1)?;
    let errors = answer.responses.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    match std::iter::once(answer.error_code).chain(errors).find(|code| *code != 0) {
        Some(code) => fail(format!("AlterPartitionReassignments: {}", error_name(code))),
        None => Ok(()),
    }
}

/// When a broker first tells of all partitions what is wanted, looked at again and again.
fn told_at(address: &str, args: &ReorderArgs, wanted: &Assignment) -> Result<u64, Failure> {
    let mut client = Client::connect(address)?;
    until(args.patience, Duration::from_millis(args.look_ms), || {
        let answer = describe(&mut client, &args.topic)?;
        // What reading ten thousand partitions costs here is nobody's.
        let now = clock::now();
        if assignment(&answer) != *wanted {
            return fail(format!("{address} does not tell of all partitions what was changed"));
        }
        Ok(now)
    })
}

/// Runs `reorder`.
pub fn reorder(args: &ReorderArgs) -> Result<(), Failure> {
    check(args.patience > 0.0, "times are positive")?;
    let mut client = Client::connect(&args.bootstrap)?;
    let before = describe(&mut client, &args.topic)?;
    let (count, lacking) = behind(&before).map_err(Failure)?;
    check(count > 0 && lacking == 0, &format!("{lacking} of {count} partitions are not in sync"))?;
    check(partitions(&before).all(|p| p.replica_nodes.len() > 1), "each partition has at least two replicas")?;
    let wanted = turned(assignment(&before));
    let brokers: Vec<(i32, String)> = before.brokers.iter().map(|b| (b.node_id, format!("{}:{}", b.host, b.port))).collect();
    let (start, (sender, times)) = (clock::now(), mpsc::channel());
    let answered = std::thread::scope(|scope| -> Result<u64, Failure> {
        for (id, address) in &brokers {
            let (sender, wanted) = (sender.clone(), &wanted);
            scope.spawn(move || sender.send((*id, told_at(address, args, wanted))));
        }
        reassign(&mut client, &wanted)?;
        Ok(clock::now())
    })?;
    drop(sender);
    let seconds = |at: u64| (at - start) as f64 / SECOND as f64;
    let told = times.iter().map(|(id, at)| Ok((id, seconds(at?)))).collect::<Result<BTreeMap<i32, f64>, Failure>>()?;
    let last = told.values().copied().fold(0.0, f64::max);
    println!("{last:.3} s until each of {} brokers told of {count} partitions what was changed", told.len());
    let result = json!({
        "command": "reorder", "version": env!("CARGO_PKG_VERSION"), "parameters": args, "partitions": count,
        "answered_seconds": seconds(answered), "told_seconds": last, "brokers": told,
    });
    tell(args.json.as_deref(), &result)
}

/// The node that leads the quorum of controllers.
fn active(client: &mut Client) -> Result<i32, Failure> {
    let topic = TopicData { topic_name: CLUSTER_METADATA, partitions: vec![PartitionData { partition_index: 0 }] };
    let answer = client.call(&DescribeQuorumRequest { topics: vec![topic] }, 2)?;
    let found = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    match found {
        Some(found) if answer.error_code == 0 && found.error_code == 0 && found.leader_id >= 0 => Ok(found.leader_id),
        Some(found) if answer.error_code == 0 => fail(format!("DescribeQuorum: {}", error_name(found.error_code))),
        _ => fail(format!("DescribeQuorum: {}", error_name(answer.error_code))),
    }
}

/// Runs `controller`.
pub fn controller(args: &ControllerArgs) -> Result<(), Failure> {
    let id = until(args.patience, PAUSE, || active(&mut Client::connect(&args.bootstrap)?))?;
    println!("{id}");
    let result = json!({ "command": "controller", "version": env!("CARGO_PKG_VERSION"), "parameters": args, "controller": id });
    tell(args.json.as_deref(), &result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flumen::protocol::generated::metadata_response::MetadataResponseTopic;

    /// A topic of these partitions, each given by its leader, replicas and those in sync.
    fn answer(given: &[(i32, &[i32], &[i32])]) -> MetadataResponse {
        let partition = |(index, (leader, replicas, isr)): (usize, &(i32, &[i32], &[i32]))| MetadataResponsePartition {
            partition_index: index as i32,
            leader_id: *leader,
            replica_nodes: replicas.to_vec(),
            isr_nodes: isr.to_vec(),
            ..Default::default()
        };
        let partitions = given.iter().enumerate().map(partition).collect();
        let topic = MetadataResponseTopic { name: Some(StrBytes::from_static("t")), partitions, ..Default::default() };
        MetadataResponse { topics: vec![topic], ..Default::default() }
    }

    #[test]
    fn partitions_without_leader_or_with_a_replica_out_of_sync_are_behind() {
        let all = [1, 2, 3];
        assert_eq!(behind(&answer(&[(1, &all, &[2, 1, 3]), (2, &all, &all)])), Ok((2, 0)));
        assert_eq!(behind(&answer(&[(1, &all, &[1, 3]), (-1, &all, &all), (2, &all, &all)])), Ok((3, 2)));
        assert!(behind(&MetadataResponse::default()).is_err());
        let mut missing = answer(&[]);
        missing.topics[0].error_code = 3;
        assert_eq!(behind(&missing).unwrap_err(), "t: UNKNOWN_TOPIC_OR_PARTITION");
    }

    #[test]
    fn replicas_are_turned_round_and_what_is_told_is_compared() {
        let told = answer(&[(1, &[1, 2], &[1, 2]), (3, &[3, 1, 2], &[])]);
        let wanted = turned(assignment(&told));
        assert_eq!(wanted[&StrBytes::from_static("t")], BTreeMap::from([(0, vec![2, 1]), (1, vec![2, 1, 3])]));
        // In sync and leader do not matter, the order does.
        assert_eq!(assignment(&answer(&[(2, &[2, 1], &[1]), (3, &[2, 1, 3], &[])])), wanted);
        assert_ne!(assignment(&told), wanted);
    }

    #[test]
    fn looking_ends_with_what_was_found_or_with_the_last_failure() {
        let mut looks = 0;
        let mut third = || {
            looks += 1;
            if looks < 3 { fail("not yet") } else { Ok(looks) }
        };
        assert_eq!(until(60.0, Duration::ZERO, &mut third), Ok(3));
        assert_eq!(until(0.0, Duration::ZERO, || fail::<()>("never")), Err(Failure("never".to_owned())));
    }
}
