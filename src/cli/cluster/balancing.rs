//! `flumen cluster balance`: measures, says what it is about to do, and does it.

use super::BalanceArguments;
use super::admin::{Admin, PATIENCE, RETRY, failed, is_passing};
use super::measure::measure;
use super::mover::{Change, Mover};
use crate::cli::balance::{self, Bytes, Load, Plan, Step};
use crate::model::ErrorCode;
use crate::protocol::generated::ElectLeadersRequest;
use crate::protocol::generated::elect_leaders_request::TopicPartitions;
use std::collections::BTreeMap;

/// Kind of an election: the first replica of the list is to lead.
const PREFERRED: i8 = 0;
/// How long the controller may take for the elections of a batch.
const ELECTION_MS: i32 = 30_000;

pub(super) async fn balance(admin: &Admin, arguments: &BalanceArguments) -> Result<(), String> {
    let BalanceArguments { how, leaders_only, measure: seconds, most } = arguments;
    let mover = Mover::new(admin, how.bandwidth);
    println!("measuring for {seconds} s ...");
    let cluster = measure(admin, *seconds).await?;
    let plan = balance::plan(&cluster, *leaders_only, usize::try_from(*most).unwrap_or(usize::MAX));
    say_loads("now", &plan.before, &cluster.brokers);
    if plan.steps.is_empty() {
        println!("There is nothing to move that would pay.");
        return Ok(());
    }
    plan.steps.iter().for_each(|step| println!("{step}"));
    say_loads("after that", &plan.after, &cluster.brokers);
    say_cost(&plan, how.bandwidth);
    if how.dry_run {
        return Ok(());
    }
    for batch in plan.steps.chunks(how.partitions_at_once.into()) {
        carry_out(admin, &mover, batch).await?;
    }
    println!("{} partitions are balanced.", plan.steps.len());
    Ok(())
}

fn say_loads(when: &str, loads: &BTreeMap<i32, Load>, brokers: &BTreeMap<i32, Option<String>>) {
    println!("{when}:");
    for (broker, load) in loads {
        let rack = brokers.get(broker).cloned().flatten().map(|rack| format!(" in rack {rack}")).unwrap_or_default();
        let Load { bytes, replicas, led, size } = *load;
        println!("  broker {broker}{rack}: {}/s, {replicas} replicas of {}, leads {led}", Bytes(bytes), Bytes(size));
    }
}

fn say_cost(plan: &Plan, bandwidth: u64) {
    let copied: u64 = plan.steps.iter().map(|step| step.copies).fold(0, u64::saturating_add);
    let mut of_each: BTreeMap<i32, u64> = BTreeMap::new();
    for step in &plan.steps {
        for new in step.to.iter().filter(|new| !step.from.contains(new)) {
            let sum = of_each.entry(*new).or_default();
            *sum = sum.saturating_add(step.copies);
        }
    }
    let most = of_each.values().max().copied().unwrap_or(0);
    let time = match most.checked_div(bandwidth) {
        Some(seconds) if most > 0 => format!(", which takes {seconds} s at least at {} a second", Bytes(bandwidth)),
        _ => String::new(),
    };
    println!("{} partitions are changed, {} are copied{time}.", plan.steps.len(), Bytes(copied));
}

/// Makes a batch of the steps, as far as the partitions are still as they were when it was planned.
async fn carry_out(admin: &Admin, mover: &Mover<'_>, batch: &[Step]) -> Result<(), String> {
    let view = admin.view().await?;
    let is_as_planned = |step: &Step| {
        let now = view.partitions.iter().find(|now| now.topic == step.topic && now.index == step.index);
        now.is_some_and(|now| now.replicas == step.from && !now.is_moving())
    };
    let (steps, others): (Vec<&Step>, Vec<&Step>) = batch.iter().partition(|step| is_as_planned(step));
    others.iter().for_each(|step| println!("{}: somebody else has changed it, it is left alone.", step.name()));
    let changed = steps.iter().filter(|step| step.from != step.to);
    let change =
        |step: &&Step| Change { topic: step.topic.clone(), index: step.index, from: step.from.clone(), to: step.to.clone() };
    mover.carry_out(&changed.map(change).collect::<Vec<_>>()).await?;
    elect(admin, &steps).await
}

/// Lets the first replicas of these partitions lead.
async fn elect(admin: &Admin, steps: &[&Step]) -> Result<(), String> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    steps.iter().for_each(|step| topics.entry(&step.topic).or_default().push(step.index));
    if topics.is_empty() {
        return Ok(());
    }
    let asked = topics.into_iter().map(|(topic, partitions)| TopicPartitions { topic: topic.into(), partitions });
    let request =
        ElectLeadersRequest { election_type: PREFERRED, topic_partitions: Some(asked.collect()), timeout_ms: ELECTION_MS };
    let until = admin.io.now().after(PATIENCE);
    loop {
        let answer = admin.call(&request).await?;
        let results = answer
            .replica_election_results
            .iter()
            .flat_map(|topic| topic.partition_result.iter().map(|one| (format!("{}-{}", &*topic.topic, one.partition_id), one)));
        let mut is_over = true;
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {}
            code if is_passing(code) => is_over = false,
            _ => return Err(failed("ElectLeaders", answer.error_code, None)),
        }
        for (name, one) in results {
            match ErrorCode::from_code(one.error_code) {
                // It leads already, or the partition is gone.
                Some(ErrorCode::None | ErrorCode::ElectionNotNeeded | ErrorCode::UnknownTopicOrPartition) => {}
                Some(ErrorCode::PreferredLeaderNotAvailable) => println!("{name}: its preferred leader is not there just now."),
                code if is_passing(code) => is_over = false,
                _ => return Err(failed(&name, one.error_code, one.error_message.as_deref())),
            }
        }
        if is_over || admin.io.now() >= until {
            return Ok(());
        }
        admin.io.sleep(RETRY).await;
    }
}
