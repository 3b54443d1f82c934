//! Clients that write: plain ones that give up on what was not answered, and idempotent ones that repeat it until it is.

use crate::client::{Client, Lost};
use crate::history::{Shared, Tp};
use crate::requests::{OUT_OF_ORDER_SEQUENCE, batch, init_producer_id, produce, send, send_without_answer};
use crate::topics;
use flumen::io::Io;
use flumen::model::ErrorCode;
use std::collections::VecDeque;
use std::time::Duration;

/// The topic that promises most, which groups share too.
pub const TOPIC: &str = "safe";
pub const PARTITIONS: i32 = 3;
/// A sequence that the broker has forgotten the offset of.
const DUPLICATE_SEQUENCE: i16 = 46;
const UNKNOWN_PRODUCER_ID: i16 = 59;

/// Small numbers out of the world's chance.
pub fn draw(io: &Io, below: u64) -> u64 {
    u64::from_le_bytes(io.random()) % below
}

pub async fn pause(io: &Io, most_ms: u64) {
    io.sleep(Duration::from_micros(1000 + draw(io, most_ms * 1000))).await;
}

/// A client may be told only what it retries by itself.
pub fn refused(history: &Shared, what: &str, error: i16) {
    let known = ErrorCode::from_code(error);
    hold!(known.is_some_and(ErrorCode::is_retriable), "{what} is answered with {known:?} ({error})");
    history.borrow_mut().count("refusals");
}

fn acked(history: &Shared, tp: &Tp, acks: i16, base: i64, values: &[String]) {
    let mut history = history.borrow_mut();
    history.count("acked batches");
    if history.promises(tp, acks) {
        for (offset, value) in (base..).zip(values) {
            history.invariants.committed.on_ack(tp, offset, value);
        }
    }
}

fn some_values(io: &Io, history: &Shared, tp: &Tp, most: u64) -> Vec<String> {
    let mut history = history.borrow_mut();
    let values: Vec<String> = (0..1 + draw(io, most)).map(|_| history.value()).collect();
    values.iter().for_each(|value| history.invariants.once.on_send(value, tp));
    values
}

/// Writes to all topics with any acks, a few batches at once, and never repeats anything.
pub async fn plain(mut client: Client, history: Shared, most_pause_ms: u64) {
    let io = client.io.clone();
    let all: Vec<Tp> = topics::all().collect();
    while !history.borrow().over {
        let tp = all[draw(&io, all.len() as u64) as usize].clone();
        let acks = [-1, -1, 1, 0][draw(&io, 4) as usize];
        if plain_once(&mut client, &history, &tp, acks).await.is_err() {
            history.borrow_mut().count("lost produces");
            client.forget(&tp);
        }
        if draw(&io, 80) == 0 {
            client.hang_up();
        }
        pause(&io, most_pause_ms).await;
    }
}

async fn plain_once(client: &mut Client, history: &Shared, tp: &Tp, acks: i16) -> Result<(), Lost> {
    let io = client.io.clone();
    client.leader(tp).await?;
    let batches: Vec<Vec<String>> = (0..1 + draw(&io, 3) / 2 * 2).map(|_| some_values(&io, history, tp, 3)).collect();
    let timestamp = io.wall_clock_ms();
    if acks == 0 {
        for values in &batches {
            send_without_answer(client, &tp.0, tp.1, batch(values, timestamp, None)).await?;
            history.borrow_mut().count("batches without an answer");
        }
        return Ok(());
    }
    let requests: Vec<_> = batches.iter().map(|values| produce(&tp.0, tp.1, acks, batch(values, timestamp, None))).collect();
    for (values, (error, base)) in batches.iter().zip(send(client, &requests).await?) {
        if error == 0 {
            acked(history, tp, acks, base, values);
        } else {
            refused(history, "a produce", error);
            client.forget(tp);
        }
    }
    Ok(())
}

/// A batch of an idempotent producer.
struct Sent {
    values: Vec<String>,
    sequence: i32,
    timestamp: i64,
}

/// Writes to one partition, several batches at once, and repeats them until they are answered.
pub async fn idempotent(mut client: Client, history: Shared, number: usize, tp: Tp) {
    let io = client.io.clone();
    let (mut id, mut epoch) = producer_id(&mut client, &history).await;
    let mut order = history.borrow_mut().invariants.once.new_order();
    let (mut sequence, mut position) = (0, 0);
    let mut pending: VecDeque<Sent> = VecDeque::new();
    let mut again = false;
    while !history.borrow().over || !pending.is_empty() {
        while pending.len() < 1 + draw(&io, 4) as usize && !history.borrow().over {
            let values = some_values(&io, &history, &tp, 2);
            for value in &values {
                history.borrow_mut().invariants.once.on_send_in_order(value, &tp, order, position);
                position += 1;
            }
            let count = values.len() as i32;
            pending.push_back(Sent { values, sequence, timestamp: io.wall_clock_ms() });
            sequence += count;
        }
        if again {
            history.borrow_mut().count("batches sent again");
        }
        let told = send_pending(&mut client, &history, &tp, (id, epoch), &mut pending).await;
        again = told.is_err();
        match told {
            Ok(Place::Kept) => {}
            Ok(Place::Lost(error)) => {
                // Of several that were sent before a restart, those before the last may not be known again afterwards: Kafka's snapshots
                // remember the last batch of a producer only. What was acked always is, unless the topic may lose it.
                let excused = pending.len() > 1 || !history.borrow().keeps(&tp);
                hold!(excused, "producer {number} is not remembered in {tp:?}: {error}");
                history.borrow_mut().count("producers that began anew");
                pending.clear();
                (id, epoch) = producer_id(&mut client, &history).await;
                order = history.borrow_mut().invariants.once.new_order();
                (sequence, position) = (0, 0);
            }
            Err(Lost) => {
                history.borrow_mut().count("lost produces");
                client.forget(&tp);
            }
        }
        pause(&io, 150).await;
    }
}

enum Place {
    Kept,
    /// The broker does not know the sequence any more.
    Lost(i16),
}

async fn send_pending(
    client: &mut Client,
    history: &Shared,
    tp: &Tp,
    (id, epoch): (i64, i16),
    pending: &mut VecDeque<Sent>,
) -> Result<Place, Lost> {
    client.leader(tp).await?;
    let request = |sent: &Sent| produce(&tp.0, tp.1, -1, batch(&sent.values, sent.timestamp, Some((id, epoch, sent.sequence))));
    let requests: Vec<_> = pending.iter().map(request).collect();
    for (index, (error, base)) in send(client, &requests).await?.into_iter().enumerate() {
        match error {
            0 => {
                let sent = pending.pop_front().expect("there are as many answers as requests");
                acked(history, tp, -1, base, &sent.values);
            }
            OUT_OF_ORDER_SEQUENCE | UNKNOWN_PRODUCER_ID | DUPLICATE_SEQUENCE if index == 0 => return Ok(Place::Lost(error)),
            // What follows one that was refused.
            OUT_OF_ORDER_SEQUENCE => return Err(Lost),
            error => {
                refused(history, "an idempotent produce", error);
                return Err(Lost);
            }
        }
    }
    Ok(Place::Kept)
}

/// An id, whatever it takes.
async fn producer_id(client: &mut Client, history: &Shared) -> (i64, i16) {
    loop {
        match init_producer_id(client.to_any()).await {
            Ok((0, id, epoch)) => return (id, epoch),
            Ok((error, ..)) => refused(history, "InitProducerId", error),
            Err(Lost) => history.borrow_mut().count("lost producer ids"),
        }
        let io = client.io.clone();
        pause(&io, 300).await;
    }
}
