//! What a new leader has to know from its start: its epoch, the producers, the groups.

use super::{ONE, Script, safe};
use crate::client::{Client, Lost};
use crate::history::Shared;
use crate::requests::{batch, init_producer_id, produce, send};
use crate::seed::Stage;
use flumen::protocol::generated::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use flumen::protocol::generated::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use flumen::protocol::generated::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use std::time::Duration;

const GROUP: &str = "keepers";
const COMMITTED: i64 = 7;

/// A leader goes and does not come back.
pub const LEADER_LOST: Script = Script { name: "a leader that stays away", durable: false, play: leader_lost };

/// A consumer checks where a new leader's epoch ends before anything is written in it (KIP-320).
pub const LEADER_KNOWS_ITS_EPOCH: Script =
    Script { name: "an epoch without records", durable: false, play: leader_knows_its_epoch };

/// A leader goes with the answer to an idempotent producer, which asks the next one.
pub const PRODUCER_ASKS_AGAIN: Script = Script { name: "a batch that is sent again", durable: false, play: producer_asks_again };

/// The coordinator of a group goes.
pub const COORDINATOR_LOST: Script = Script { name: "a group whose coordinator goes", durable: false, play: coordinator_lost };

fn leader_lost(stage: &mut Stage, history: &Shared) {
    let (first, _) = stage.cast(&safe());
    stage.kill(first);
    stage.await_progress_without(history, Some(first));
}

fn leader_knows_its_epoch(stage: &mut Stage, history: &Shared) {
    let tp = safe();
    let (first, others) = stage.cast(&tp);
    stage.write_to_all(history, &tp, first, ONE);
    stage.kill(first);
    let next = stage.await_another(others[0], &tp, first);
    stage.world.run_for(Duration::from_millis(500));
    let (brokers, asked) = (stage.cluster.brokers.clone(), tp.clone());
    let (leader, epoch) = (next.leader, next.epoch);
    let told = stage.world.run(stage.clients[0], move |io| async move {
        let mut client = Client::new(io, brokers);
        let partition = OffsetForLeaderPartition {
            partition: asked.1,
            current_leader_epoch: epoch,
            leader_epoch: epoch,
            ..OffsetForLeaderPartition::default()
        };
        let topic = OffsetForLeaderTopic {
            topic: asked.0.as_str().into(),
            partitions: vec![partition],
            ..OffsetForLeaderTopic::default()
        };
        let request =
            OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic], ..OffsetForLeaderEpochRequest::default() };
        let answer = client.to(leader).call(4, &request).await.ok()?;
        let found = &answer.topics.first()?.partitions[0];
        Some((found.error_code, found.leader_epoch))
    });
    hold!(told == Some((0, epoch)), "{leader} leads {tp:?} in epoch {epoch}, and answers {told:?} when it is asked for its end");
}

fn producer_asks_again(stage: &mut Stage, history: &Shared) {
    let tp = safe();
    let (first, others) = stage.cast(&tp);
    let value = history.borrow_mut().value();
    history.borrow_mut().invariants.once.on_send(&value, &tp);
    let (brokers, asked, sent) = (stage.cluster.brokers.clone(), tp.clone(), value.clone());
    let written = stage.world.run(stage.clients[0], move |io| async move {
        let mut client = Client::new(io.clone(), brokers);
        let (error, id, epoch) = init_producer_id(client.to(first)).await.ok()?;
        hold!(error == 0, "nothing happens, and InitProducerId is answered with {error}");
        let records = batch(&[sent], io.wall_clock_ms(), Some((id, epoch, 0)));
        let told = send(&mut client, &[produce(&asked.0, asked.1, -1, records.clone())]).await.ok()?;
        Some((records, told[0]))
    });
    let Some((records, (0, base))) = written else { crate::verdict::violated(format!("nothing happens: {written:?}")) };
    history.borrow_mut().invariants.committed.on_ack(&tp, base, &value);
    stage.kill(first);
    let next = stage.await_another(others[0], &tp, first);
    let (brokers, asked) = (stage.cluster.brokers.clone(), tp.clone());
    let told = stage.world.run(stage.clients[0], move |io| async move {
        let mut client = Client::new(io, brokers);
        client.to(next.leader);
        send(&mut client, &[produce(&asked.0, asked.1, -1, records)]).await.ok().map(|answers| answers[0])
    });
    hold!(told == Some((0, base)), "a batch was written at {base}; sent again to the next leader it is answered with {told:?}");
}

fn coordinator_lost(stage: &mut Stage, _: &Shared) {
    let brokers = stage.cluster.brokers.clone();
    let first = stage.world.run(stage.clients[0], move |io| async move {
        let mut client = Client::new(io.clone(), brokers);
        loop {
            if let Ok(coordinator) = commit(&mut client).await {
                return coordinator;
            }
            io.sleep(Duration::from_millis(100)).await;
        }
    });
    stage.kill(first);
    let brokers = stage.cluster.brokers.clone();
    let committed = stage.world.run(stage.clients[0], move |io| async move {
        let mut client = Client::new(io.clone(), brokers);
        for _ in 0..200 {
            if let Ok(found) = committed(&mut client).await {
                return Some(found);
            }
            io.sleep(Duration::from_millis(100)).await;
        }
        None
    });
    hold!(committed == Some(COMMITTED), "{COMMITTED} was committed, and the next coordinator says {committed:?}");
}

/// Commits an offset for a group without members: who coordinates it.
async fn commit(client: &mut Client) -> Result<i32, Lost> {
    if client.find_coordinator(GROUP).await? != 0 {
        return Err(Lost);
    }
    let coordinator = client.asks();
    let partition = OffsetCommitRequestPartition { partition_index: 0, committed_offset: COMMITTED, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: safe().0.as_str().into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let answer = client.call(8, &request).await?;
    if answer.topics[0].partitions[0].error_code == 0 { Ok(coordinator) } else { Err(Lost) }
}

/// What is committed, whoever coordinates the group now.
async fn committed(client: &mut Client) -> Result<i64, Lost> {
    if client.find_coordinator(GROUP).await? != 0 {
        return Err(Lost);
    }
    let topic = OffsetFetchRequestTopics { name: safe().0.as_str().into(), partition_indexes: vec![0], ..Default::default() };
    let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(vec![topic]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], require_stable: true, ..OffsetFetchRequest::default() };
    let answer = client.call(9, &request).await?.groups.remove(0);
    let found = answer.topics.first().and_then(|topic| topic.partitions.first());
    match found {
        Some(found) if answer.error_code == 0 && found.error_code == 0 => Ok(found.committed_offset),
        _ => Err(Lost),
    }
}
