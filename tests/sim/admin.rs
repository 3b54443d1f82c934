//! The client that creates and deletes topics and records, asks for offsets, and knows epochs that cannot be.

use crate::client::{Client, Lost};
use crate::history::{Shared, Tp};
use crate::producers::{PARTITIONS, TOPIC, draw, pause};
use crate::requests::{
    ALREADY_EXISTS, FENCED_LEADER_EPOCH, Limits, UNKNOWN_LEADER_EPOCH, UNKNOWN_TOPIC, Wanted, batch, create_topic,
    delete_records, delete_topic, fetch, init_producer_id, list_offset, produce, send, topic_error,
};
use std::collections::BTreeMap;

const LATEST: i64 = -1;
/// Topics that come and go.
const NAMES: u64 = 3;

/// A producer id, whatever it takes.
pub async fn producer_id(client: &mut Client, history: &Shared) -> (i64, i16) {
    loop {
        if let Ok((0, id, epoch)) = init_producer_id(client).await {
            history.borrow_mut().invariants.producer_ids.on_given(id);
            return (id, epoch);
        }
        let io = client.io.clone();
        pause(&io, 200).await;
    }
}

pub async fn administer(mut client: Client, mut other: Client, history: Shared) {
    let io = client.io.clone();
    let mut cut: BTreeMap<Tp, i64> = BTreeMap::new();
    while !history.borrow().over {
        let done = match draw(&io, 8) {
            0 | 1 => come_or_go(&mut client, &mut other, &history).await,
            2 => cut_records(&mut client, &history, &mut cut).await,
            3 | 4 => ask_for_end(&mut client, &history).await,
            5 => ask_by_time(&mut client, &history, &cut).await,
            6 => know_wrong_epochs(&mut client, &history).await,
            _ => match init_producer_id(&mut client).await {
                Ok((0, id, _)) => {
                    history.borrow_mut().invariants.producer_ids.on_given(id);
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(lost) => Err(lost),
            },
        };
        if done.is_err() {
            history.borrow_mut().count("lost admin requests");
        }
        pause(&io, 400).await;
    }
}

fn some_partition(client: &Client) -> Tp {
    (TOPIC.to_owned(), draw(&client.io, PARTITIONS as u64) as i32)
}

/// Creates a topic that is not there, or deletes one that is; then asks on another connection.
async fn come_or_go(client: &mut Client, other: &mut Client, history: &Shared) -> Result<(), Lost> {
    let name = format!("t{}", draw(&client.io, NAMES));
    let there = topic_error(client, &name).await? == 0;
    history.borrow().invariants.topics.on_asked(&name, there);
    history.borrow_mut().invariants.topics.on_unsure(&name);
    if there {
        if delete_topic(client, &name).await? == 0 {
            history.borrow_mut().invariants.topics.on_deleted(&name);
            history.borrow_mut().count("topics deleted");
        }
        let there = topic_error(other, &name).await? == 0;
        history.borrow().invariants.topics.on_asked(&name, there);
        return Ok(());
    }
    match create_topic(client, &name, 3, &[]).await? {
        0 => {
            history.borrow_mut().invariants.topics.on_created(&name);
            history.borrow_mut().count("topics created");
            for partition in 0..3 {
                let value = history.borrow_mut().value();
                let records = batch(&[value], other.io.wall_clock_ms(), None);
                match send(other, &[produce(&name, partition, 1, records)]).await?[0] {
                    (0, offset) => history.borrow().invariants.topics.on_first_offset(&name, offset),
                    (UNKNOWN_TOPIC, _) => history.borrow().invariants.topics.on_asked(&name, false),
                    (error, _) => {
                        let calm = history.borrow().calm_for(other.io.now(), std::time::Duration::from_secs(2));
                        hold!(!calm, "a fresh topic, {name}, refuses a batch with {error} though nothing has happened");
                    }
                }
            }
        }
        ALREADY_EXISTS => history.borrow_mut().invariants.topics.on_created(&name),
        _ => {}
    }
    Ok(())
}

async fn cut_records(client: &mut Client, history: &Shared, cut: &mut BTreeMap<Tp, i64>) -> Result<(), Lost> {
    let tp = some_partition(client);
    let skip = draw(&client.io, 200) as usize;
    let Some((offset, _)) = history.borrow().invariants.acked.some(&tp, skip) else { return Ok(()) };
    let most = cut.entry(tp.clone()).or_default();
    *most = (*most).max(offset);
    if let (0, low) = delete_records(client, &tp.0, tp.1, offset).await? {
        history.borrow_mut().invariants.log_start.on_deleted(&tp, low);
        history.borrow_mut().count("records deleted");
    }
    Ok(())
}

async fn ask_for_end(client: &mut Client, history: &Shared) -> Result<(), Lost> {
    let tp = some_partition(client);
    let last = history.borrow().invariants.acked.last(&tp);
    let told = history.borrow().invariants.high_watermark.told(&tp);
    let end = list_offset(client, &tp.0, tp.1, LATEST).await?;
    if end.error_code == 0 {
        history.borrow().invariants.acked.on_end(&tp, end.offset, last);
        history.borrow().invariants.high_watermark.on_later_fetch(&tp, told, end.offset);
    }
    Ok(())
}

async fn ask_by_time(client: &mut Client, history: &Shared, cut: &BTreeMap<Tp, i64>) -> Result<(), Lost> {
    let tp = some_partition(client);
    let skip = draw(&client.io, 400) as usize;
    let Some((of, timestamp)) = history.borrow().invariants.acked.some(&tp, skip) else { return Ok(()) };
    if cut.get(&tp).is_some_and(|cut| of < *cut) {
        return Ok(());
    }
    let found = list_offset(client, &tp.0, tp.1, timestamp).await?;
    if found.error_code == 0 {
        history.borrow().invariants.acked.on_found_by_time(&tp, timestamp, of, found.offset);
        history.borrow_mut().count("offsets found by time");
    }
    Ok(())
}

/// KIP-320: a reader with an older epoch is fenced, one with a newer is ahead of the broker.
async fn know_wrong_epochs(client: &mut Client, history: &Shared) -> Result<(), Lost> {
    let tp = some_partition(client);
    let calm = history.borrow().calm_since;
    let end = list_offset(client, &tp.0, tp.1, LATEST).await?;
    if end.error_code != 0 || end.leader_epoch < 0 {
        return Ok(());
    }
    for (epoch, expected) in [(end.leader_epoch - 1, FENCED_LEADER_EPOCH), (end.leader_epoch + 1, UNKNOWN_LEADER_EPOCH)] {
        if epoch < 0 {
            continue;
        }
        let wanted = Wanted { partition: tp.1, offset: end.offset, epoch };
        let limits = Limits { max_bytes: 1, max_wait_ms: 0, committed: false };
        let answer = fetch(client, &tp.0, &[wanted], &limits).await?.remove(0);
        let undisturbed = calm.is_some() && history.borrow().calm_since == calm;
        if undisturbed {
            hold!(answer.error_code == expected, "{tp:?} in epoch {} was asked with {epoch}", end.leader_epoch);
            history.borrow_mut().count("wrong epochs");
        }
    }
    Ok(())
}
