//! `flumen cluster drain N`: one step after the other, until the broker has nothing left.

use super::DrainArguments;
use super::admin::{Admin, PATIENCE};
use super::mover::{Change, LOOK, Mover};
use crate::cli::placement::{self, Move};
use std::collections::{BTreeMap, BTreeSet};

/// Steps in a row of which the cluster takes nothing.
const MOST_REFUSED: u32 = 60;
/// Looks in a row at a cluster where there is nobody to take a replica.
const MOST_STUCK: u32 = 6;

pub(super) async fn drain(admin: &Admin, arguments: &DrainArguments) -> Result<(), String> {
    let DrainArguments { broker, how } = arguments;
    let broker = *broker;
    let mover = Mover::new(admin, how.bandwidth);
    let mut told_busy = BTreeSet::new();
    // What the last step has moved, and when the broker that is asked must know.
    let (mut moved, mut until) = (BTreeMap::new(), admin.io.now());
    let (mut refused, mut stuck) = (0, 0);
    loop {
        let view = admin.view().await?;
        let is_behind = view.partitions.iter().any(|partition| moved.get(&partition.name()) == Some(&partition.replicas));
        if is_behind && admin.io.now() < until {
            mover.pause(LOOK).await?;
            continue;
        }
        let plan = placement::drain(&view, broker);
        // Replicas that have left just now may still be told of, and nobody seems to be left then.
        stuck = if plan.stuck.is_empty() { 0 } else { stuck + 1 };
        if (1..MOST_STUCK).contains(&stuck) {
            mover.pause(LOOK).await?;
            continue;
        }
        if stuck == MOST_STUCK {
            return Err(format!(
                "no other broker is alive that could take the replicas of broker {broker} of {}; nothing was moved in this step",
                plan.stuck.join(", ")
            ));
        }
        if how.dry_run {
            plan.busy.iter().for_each(|name| println!("{name}: its replicas are being changed already; it would be waited for"));
            plan.moves.iter().for_each(|one| println!("{one}"));
            println!("{} partitions would be moved away from broker {broker}.", plan.moves.len());
            return Ok(());
        }
        if plan.moves.is_empty() && plan.busy.is_empty() {
            let known = if view.brokers.contains_key(&broker) { "" } else { " It is not alive, or there is no such broker." };
            println!("Broker {broker} has no replicas.{known}");
            return Ok(());
        }
        for name in plan.busy.iter().filter(|name| told_busy.insert((*name).clone())) {
            println!("{name}: its replicas are being changed already; this is waited for.");
        }
        let step: Vec<Move> = plan.moves.into_iter().take(how.partitions_at_once.into()).collect();
        step.iter().for_each(|one| println!("{one}"));
        if step.is_empty() {
            mover.pause(LOOK).await?;
            continue;
        }
        let asked = mover.carry_out(&step.iter().map(Change::from).collect::<Vec<_>>()).await?;
        refused = if asked.is_empty() { refused + 1 } else { 0 };
        if refused == MOST_REFUSED {
            return Err("the cluster refuses these moves again and again".to_owned());
        }
        let is_asked = |one: &Move| asked.contains(&one.name());
        moved = step.into_iter().filter(is_asked).map(|one| (one.name(), one.from)).collect();
        until = admin.io.now().after(PATIENCE);
        mover.pause(LOOK).await?;
    }
}
