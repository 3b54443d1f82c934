//! Has replicas changed and waits until they are, within a bandwidth, and leaves nothing behind.
//!
//! **The problem.** Copying takes the disks and the network that clients need, so it is held back, by Kafka's throttles: a topic names the
//! replicas that are, a broker the bytes per second that they may take. Both are settings of the cluster that outlive whoever made them. If
//! they were forgotten, the same replicas would be held back when they have fallen behind a year later, and would never catch up.
//!
//! **The design that follows.** Throttles are set for one batch of partitions, before it begins, and taken away after it: when all of it has
//! moved, when anything has failed, and when the command is interrupted, in which case what is still under way is cancelled first, since it
//! would go on without a bound. Only what was added is taken away: a rate that somebody else has set stays and holds for us too, and lists
//! of replicas are added to and taken from, not replaced.

use super::admin::{Admin, PATIENCE, RETRY, failed, is_passing};
use crate::cli::placement::Move;
use crate::io::{Io, Notify};
use crate::model::ErrorCode;
use crate::protocol::generated::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use crate::protocol::generated::describe_configs_request::DescribeConfigsResource;
use crate::protocol::generated::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::protocol::generated::metadata_response::MetadataResponseBroker;
use crate::protocol::generated::{
    AlterPartitionReassignmentsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    ListPartitionReassignmentsResponse,
};
use futures_util::future::select;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// How often it is looked whether a batch is done, and how often it is said that it is not.
pub(super) const LOOK: Duration = Duration::from_millis(500);
const LOOKS_UNTIL_WORD: u32 = 20;

const RATES: [&str; 2] = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const LEADERS: &str = "leader.replication.throttled.replicas";
const FOLLOWERS: &str = "follower.replication.throttled.replicas";
/// All replicas of a topic, in a list of them.
const ALL: &str = "*";

/// Kinds of resources and operations on the wire, and where a value comes from that was set for one of them.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const OF_ONE_TOPIC: i8 = 1;
const OF_ONE_BROKER: i8 = 2;

/// What the command says when it was interrupted.
const INTERRUPTED: &str = "it was interrupted; run it again to go on";

/// A partition that gets other replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    pub(super) topic: String,
    pub(super) index: i32,
    pub(super) from: Vec<i32>,
    pub(super) to: Vec<i32>,
}

impl Change {
    fn name(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }

    fn added(&self) -> impl Iterator<Item = i32> {
        self.to.iter().copied().filter(|broker| !self.from.contains(broker))
    }
}

impl From<&Move> for Change {
    fn from(it: &Move) -> Self {
        Self { topic: it.topic.clone(), index: it.index, from: it.from.clone(), to: it.to.clone() }
    }
}

/// Settings that were made for a batch, and what takes them back.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Throttle {
    /// Brokers and keys whose rates were set.
    rates: Vec<(i32, &'static str)>,
    /// Topics and keys, and what was added to their lists.
    replicas: BTreeMap<(String, &'static str), Vec<String>>,
}

impl Throttle {
    /// What holds back these changes. `alive` are the brokers that can be told.
    fn of(changes: &[Change], alive: &BTreeSet<i32>) -> Self {
        let mut throttle = Self::default();
        let mut involved = BTreeSet::new();
        for change in changes.iter().filter(|change| change.added().next().is_some()) {
            involved.extend(change.from.iter().copied().chain(change.added()).filter(|broker| alive.contains(broker)));
            let named = |broker: i32| format!("{}:{broker}", change.index);
            let leaders = throttle.replicas.entry((change.topic.clone(), LEADERS)).or_default();
            leaders.extend(change.from.iter().map(|broker| named(*broker)));
            let followers = throttle.replicas.entry((change.topic.clone(), FOLLOWERS)).or_default();
            followers.extend(change.added().map(named));
        }
        throttle.rates = involved.into_iter().flat_map(|broker| RATES.map(|key| (broker, key))).collect();
        throttle
    }

    fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.replicas.is_empty()
    }

    /// The request that makes the settings (`bandwidth`), or takes them back.
    fn request(&self, bandwidth: Option<u64>) -> IncrementalAlterConfigsRequest {
        let mut resources: BTreeMap<(i8, String), Vec<AlterableConfig>> = BTreeMap::new();
        for (broker, key) in &self.rates {
            let (config_operation, value) = match bandwidth {
                Some(bandwidth) => (SET, Some(bandwidth.to_string().into())),
                None => (DELETE, None),
            };
            let config = AlterableConfig { name: (*key).into(), config_operation, value };
            resources.entry((BROKER, broker.to_string())).or_default().push(config);
        }
        for ((topic, key), replicas) in &self.replicas {
            let config_operation = if bandwidth.is_some() { APPEND } else { SUBTRACT };
            let config = AlterableConfig { name: (*key).into(), config_operation, value: Some(replicas.join(",").into()) };
            resources.entry((TOPIC, topic.clone())).or_default().push(config);
        }
        let resource = |((resource_type, name), configs): ((i8, String), Vec<AlterableConfig>)| AlterConfigsResource {
            resource_type,
            resource_name: name.into(),
            configs,
        };
        IncrementalAlterConfigsRequest { resources: resources.into_iter().map(resource).collect(), validate_only: false }
    }
}

/// Carries out batches of changes.
pub(super) struct Mover<'a> {
    admin: &'a Admin,
    /// Bytes per second; none without a bound.
    bandwidth: Option<u64>,
    interrupt: Rc<Interrupt>,
}

/// Whether somebody has asked the command to end.
#[derive(Default)]
struct Interrupt {
    is_set: Cell<bool>,
    changed: Notify,
}

impl Interrupt {
    fn watch(io: &Io) -> Rc<Self> {
        let interrupt = Rc::new(Self::default());
        let (told, clock) = (interrupt.clone(), io.clone());
        io.spawn(async move {
            clock.signal().await;
            println!("interrupted: what is under way is cancelled, and throttles are taken away.");
            told.is_set.set(true);
            told.changed.notify_all();
        });
        interrupt
    }
}

impl<'a> Mover<'a> {
    /// `bandwidth` in bytes per second; 0 for no bound. Signals are taken from here on.
    pub(super) fn new(admin: &'a Admin, bandwidth: u64) -> Self {
        Self { admin, bandwidth: (bandwidth > 0).then_some(bandwidth), interrupt: Interrupt::watch(&admin.io) }
    }

    /// Waits for so long.
    ///
    /// # Errors
    /// It was interrupted.
    pub(super) async fn pause(&self, pause: Duration) -> Result<(), String> {
        let changed = self.interrupt.changed.notified();
        if !self.interrupt.is_set.get() {
            select(pin!(changed), pin!(self.admin.io.sleep(pause))).await;
        }
        if self.interrupt.is_set.get() { Err(INTERRUPTED.to_owned()) } else { Ok(()) }
    }

    /// Changes these partitions, and returns when they are changed; their names. Those that are gone, or no more as they were, are left out.
    pub(super) async fn carry_out(&self, changes: &[Change]) -> Result<BTreeSet<String>, String> {
        self.pause(Duration::ZERO).await?;
        let throttle = match self.bandwidth {
            Some(bandwidth) => self.hold_back(changes, bandwidth).await?,
            None => Throttle::default(),
        };
        let done = self.carry_out_held_back(changes).await;
        let let_go = self.let_go(&throttle).await;
        let done = done?;
        let_go?;
        Ok(done)
    }

    async fn carry_out_held_back(&self, changes: &[Change]) -> Result<BTreeSet<String>, String> {
        let asked = self.reassign(changes).await?;
        if let Err(why) = self.wait_for(asked.clone()).await {
            let begun: Vec<&Change> = changes.iter().filter(|change| asked.contains(&change.name())).collect();
            self.cancel(&begun).await?;
            return Err(why);
        }
        Ok(asked)
    }

    // ---- throttles -----------------------------------------------------------------------------------------------------------

    async fn hold_back(&self, changes: &[Change], bandwidth: u64) -> Result<Throttle, String> {
        let metadata = self.admin.metadata().await?;
        let alive = metadata.brokers.iter().map(|broker| broker.node_id).collect();
        let mut throttle = Throttle::of(changes, &alive);
        if throttle.is_empty() {
            return Ok(throttle);
        }
        // A broker tells of its own settings only.
        let mut foreign = BTreeSet::new();
        for broker in metadata.brokers.iter().filter(|broker| throttle.rates.iter().any(|(id, _)| *id == broker.node_id)) {
            let name = broker.node_id.to_string();
            let values = described(self.admin.call_at(broker, &describe(BROKER, &name, &RATES)).await?)?;
            let set = values.into_iter().filter(|(_, (source, _))| *source == OF_ONE_BROKER);
            for (key, (_, value)) in set {
                println!("broker {name}: {key} is {value} already, which is left as it is.");
                foreign.insert((broker.node_id, key));
            }
        }
        throttle.rates.retain(|(broker, key)| !foreign.contains(&(*broker, (*key).to_owned())));
        let topics: BTreeSet<String> = throttle.replicas.keys().map(|(topic, _)| topic.clone()).collect();
        for topic in topics {
            let values = described(self.admin.call(&describe(TOPIC, &topic, &[LEADERS, FOLLOWERS])).await?)?;
            let is_all = |key: &str| values.get(key).is_some_and(|(_, value)| value.trim() == ALL);
            throttle.replicas.retain(|(name, key), _| *name != topic || !is_all(key));
        }
        if let Err(why) = self.alter_configs(throttle.request(Some(bandwidth))).await {
            self.let_go(&throttle).await?;
            return Err(why);
        }
        Ok(throttle)
    }

    async fn let_go(&self, throttle: &Throttle) -> Result<(), String> {
        if throttle.is_empty() {
            return Ok(());
        }
        let done = self.alter_configs(throttle.request(None)).await;
        let done = match self.delete_empty(throttle).await {
            Ok(()) => done,
            Err(why) => done.and(Err(why)),
        };
        done.map_err(|why| {
            format!("throttles are left behind ({LEADERS}, {FOLLOWERS} of topics, {} of brokers): {why}", RATES.join(", "))
        })
    }

    /// A list of replicas of which nothing is left is as good as none, and says so.
    async fn delete_empty(&self, throttle: &Throttle) -> Result<(), String> {
        let topics: BTreeSet<&String> = throttle.replicas.keys().map(|(topic, _)| topic).collect();
        for topic in topics {
            let values = described(self.admin.call(&describe(TOPIC, topic, &[LEADERS, FOLLOWERS])).await?)?;
            let empty = values.into_iter().filter(|(_, (source, value))| *source == OF_ONE_TOPIC && value.trim().is_empty());
            let delete = |(name, _): (String, (i8, String))| AlterableConfig {
                name: (&*name).into(),
                config_operation: DELETE,
                value: None,
            };
            let configs: Vec<AlterableConfig> = empty.map(delete).collect();
            if !configs.is_empty() {
                let resource = AlterConfigsResource { resource_type: TOPIC, resource_name: (&**topic).into(), configs };
                let resources = vec![resource];
                self.alter_configs(IncrementalAlterConfigsRequest { resources, validate_only: false }).await?;
            }
        }
        Ok(())
    }

    /// Changes what can be changed of this; an error says what could not. A broker takes no settings for another one.
    async fn alter_configs(&self, request: IncrementalAlterConfigsRequest) -> Result<(), String> {
        let metadata = self.admin.metadata().await?;
        let (brokers, topics): (Vec<_>, Vec<_>) = request.resources.into_iter().partition(|one| one.resource_type == BROKER);
        let mut done = if topics.is_empty() { Ok(()) } else { self.alter_configs_at(None, topics).await };
        for resource in brokers {
            let at = metadata.brokers.iter().find(|at| at.node_id.to_string() == *resource.resource_name);
            let altered = match at {
                Some(at) => self.alter_configs_at(Some(at), vec![resource]).await,
                None => Err(format!("broker {} is not there", &*resource.resource_name)),
            };
            done = done.and(altered);
        }
        done
    }

    async fn alter_configs_at(
        &self,
        at: Option<&MetadataResponseBroker>,
        resources: Vec<AlterConfigsResource>,
    ) -> Result<(), String> {
        let until = self.admin.io.now().after(PATIENCE);
        // What is not done yet.
        let mut left = IncrementalAlterConfigsRequest { resources, validate_only: false };
        loop {
            let answer = match at {
                Some(at) => self.admin.call_at(at, &left).await?,
                None => self.admin.call(&left).await?,
            };
            let mut passing = vec![];
            for one in answer.responses {
                match ErrorCode::from_code(one.error_code) {
                    // A topic that was deleted meanwhile has no settings any more, nor has a broker that was taken out.
                    Some(ErrorCode::None | ErrorCode::UnknownTopicOrPartition | ErrorCode::BrokerIdNotRegistered) => {}
                    code if is_passing(code) && self.admin.io.now() < until => passing.push(one.resource_name),
                    _ => {
                        let what = format!("IncrementalAlterConfigs of {}", &*one.resource_name);
                        return Err(failed(&what, one.error_code, one.error_message.as_deref()));
                    }
                }
            }
            if passing.is_empty() {
                return Ok(());
            }
            left.resources.retain(|one| passing.contains(&one.resource_name));
            self.admin.io.sleep(RETRY).await;
        }
    }

    // ---- reassignments -------------------------------------------------------------------------------------------------------

    /// Asks for the changes; the names of the partitions that are changed now.
    async fn reassign(&self, changes: &[Change]) -> Result<BTreeSet<String>, String> {
        let mut asked = BTreeSet::new();
        let answers = self.alter(changes.iter().map(|change| (change, Some(change.to.clone())))).await?;
        for (name, (code, text)) in answers {
            match ErrorCode::from_code(code) {
                Some(ErrorCode::None) => drop(asked.insert(name)),
                Some(ErrorCode::UnknownTopicOrPartition) => println!("{name}: it has been deleted."),
                Some(code @ (ErrorCode::InvalidReplicationFactor | ErrorCode::InvalidReplicaAssignment)) => {
                    println!("{name}: {code}: the broker that was asked knew an older state; it is looked at again.");
                }
                _ => return Err(failed(&name, code, text.as_deref())),
            }
        }
        Ok(asked)
    }

    /// Takes back what has not come to its end.
    async fn cancel(&self, changes: &[&Change]) -> Result<(), String> {
        let moving = moving(&self.admin.ongoing().await?);
        let left = changes.iter().filter(|change| moving.contains(&change.name()));
        let answers = self.alter(left.map(|change| (*change, None))).await?;
        for (name, (code, text)) in answers {
            match ErrorCode::from_code(code) {
                Some(ErrorCode::None) => println!("{name}: cancelled."),
                // It is done, or gone.
                Some(ErrorCode::NoReassignmentInProgress | ErrorCode::UnknownTopicOrPartition) => {}
                _ => println!("{} and goes on", failed(&name, code, text.as_deref())),
            }
        }
        Ok(())
    }

    /// Asks for the replicas of partitions, or for none of what is under way; what became of each.
    async fn alter(
        &self,
        wanted: impl Iterator<Item = (&Change, Option<Vec<i32>>)>,
    ) -> Result<BTreeMap<String, (i16, Option<String>)>, String> {
        let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
        for (change, replicas) in wanted {
            let partition = ReassignablePartition { partition_index: change.index, replicas, ..Default::default() };
            topics.entry(&change.topic).or_default().push(partition);
        }
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let topics = topics.into_iter().map(|(name, partitions)| ReassignableTopic { name: name.into(), partitions });
        let request = AlterPartitionReassignmentsRequest {
            // What somebody else has made of the partition meanwhile is not to lose replicas.
            allow_replication_factor_change: false,
            topics: topics.collect(),
            ..AlterPartitionReassignmentsRequest::default()
        };
        let until = self.admin.io.now().after(PATIENCE);
        loop {
            let answer = self.admin.call(&request).await?;
            match ErrorCode::from_code(answer.error_code) {
                Some(ErrorCode::None) => {}
                code if is_passing(code) && self.admin.io.now() < until => {
                    self.admin.io.sleep(RETRY).await;
                    continue;
                }
                _ => return Err(failed("AlterPartitionReassignments", answer.error_code, answer.error_message.as_deref())),
            }
            let mut answers = BTreeMap::new();
            for topic in answer.responses {
                for one in topic.partitions {
                    let name = format!("{}-{}", &*topic.name, one.partition_index);
                    answers.insert(name, (one.error_code, one.error_message.map(|text| text.to_string())));
                }
            }
            return Ok(answers);
        }
    }

    /// Returns when these partitions have their new replicas.
    async fn wait_for(&self, mut waited: BTreeSet<String>) -> Result<(), String> {
        let mut looks = 0;
        while !waited.is_empty() {
            let moving = moving(&self.admin.ongoing().await?);
            for done in waited.extract_if(.., |name| !moving.contains(name)) {
                println!("{done}: done.");
            }
            looks += 1;
            if looks % LOOKS_UNTIL_WORD == 0 && !waited.is_empty() {
                println!("still moving: {}", waited.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
            }
            if !waited.is_empty() {
                self.pause(LOOK).await?;
            }
        }
        Ok(())
    }
}

/// Names of the partitions whose replicas are being changed.
fn moving(ongoing: &ListPartitionReassignmentsResponse) -> BTreeSet<String> {
    let names = |topic: &crate::protocol::generated::list_partition_reassignments_response::OngoingTopicReassignment| {
        topic.partitions.iter().map(|partition| format!("{}-{}", &*topic.name, partition.partition_index)).collect::<Vec<_>>()
    };
    ongoing.topics.iter().flat_map(names).collect()
}

fn describe(resource_type: i8, name: &str, keys: &[&str]) -> DescribeConfigsRequest {
    let keys = keys.iter().map(|key| (*key).into()).collect();
    let resource = DescribeConfigsResource { resource_type, resource_name: name.into(), configuration_keys: Some(keys) };
    DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() }
}

/// Values and their sources, by key. What is not there (any more) has none.
fn described(answer: crate::protocol::generated::DescribeConfigsResponse) -> Result<BTreeMap<String, (i8, String)>, String> {
    let mut values = BTreeMap::new();
    for result in answer.results {
        match ErrorCode::from_code(result.error_code) {
            Some(ErrorCode::None | ErrorCode::UnknownTopicOrPartition) => {}
            _ => {
                return Err(failed(
                    &format!("DescribeConfigs of {}", &*result.resource_name),
                    result.error_code,
                    result.error_message.as_deref(),
                ));
            }
        }
        for config in result.configs {
            values.insert(config.name.to_string(), (config.config_source, config.value.unwrap_or_default().to_string()));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(index: i32, from: &[i32], to: &[i32]) -> Change {
        Change { topic: "t".to_owned(), index, from: from.to_vec(), to: to.to_vec() }
    }

    #[test]
    fn who_copies_is_held_back_at_both_ends() {
        let changes = [change(0, &[1, 2], &[3, 2]), change(5, &[2, 1], &[1, 2])];
        let throttle = Throttle::of(&changes, &BTreeSet::from([1, 3, 4]));
        let brokers: BTreeSet<i32> = throttle.rates.iter().map(|(broker, _)| *broker).collect();
        assert_eq!(brokers, BTreeSet::from([1, 3]), "2 is dead, and nothing is copied for the second");
        let replicas = |key| throttle.replicas[&("t".to_owned(), key)].join(",");
        assert_eq!((replicas(LEADERS), replicas(FOLLOWERS)), ("0:1,0:2".to_owned(), "0:3".to_owned()));
        let (set, unset) = (throttle.request(Some(7)), throttle.request(None));
        let told = |request: &IncrementalAlterConfigsRequest| {
            let configs = request.resources.iter().flat_map(|resource| {
                let name = resource.resource_name.to_string();
                resource.configs.iter().map(move |config| {
                    let value = config.value.as_ref().map(|value| value.to_string()).unwrap_or_default();
                    format!("{name} {} {} {value}", &*config.name, config.config_operation)
                })
            });
            configs.collect::<Vec<_>>()
        };
        assert_eq!(told(&set).len(), 6);
        assert!(told(&set).contains(&"1 leader.replication.throttled.rate 0 7".to_owned()), "{:?}", told(&set));
        assert!(told(&set).contains(&"t follower.replication.throttled.replicas 2 0:3".to_owned()));
        assert!(told(&unset).contains(&"3 follower.replication.throttled.rate 1 ".to_owned()), "{:?}", told(&unset));
        assert!(told(&unset).contains(&"t leader.replication.throttled.replicas 3 0:1,0:2".to_owned()));
        assert!(Throttle::of(&changes[1..], &BTreeSet::from([1, 2])).is_empty());
    }
}
