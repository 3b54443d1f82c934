//! Clients that write: plain ones that give up on what was not answered, idempotent ones that repeat it.

use crate::client::Client;
use crate::history::{Shared, Tp};
use crate::requests::{OUT_OF_ORDER_SEQUENCE, UNKNOWN_TOPIC, batch, produce, send};
use flumen::io::Io;
use std::collections::VecDeque;
use std::time::Duration;

pub const TOPIC: &str = "data";
pub const PARTITIONS: i32 = 4;

/// Small numbers out of the world's chance.
pub fn draw(io: &Io, below: u64) -> u64 {
    u64::from_le_bytes(io.random()) % below
}

pub async fn pause(io: &Io, most_ms: u64) {
    io.sleep(Duration::from_micros(1000 + draw(io, most_ms * 1000))).await;
}

/// An answer was an ack: everybody learns of it.
fn acked(history: &Shared, io: &Io, tp: &Tp, base: i64, values: &[String], timestamp: i64) {
    let mut history = history.borrow_mut();
    history.count("acked batches");
    for (offset, value) in (base..).zip(values) {
        history.invariants.acked.on_ack(tp, offset, value, timestamp);
        history.invariants.wakes.on_ack(tp, offset, io.now());
    }
}

fn refused(history: &Shared, tp: &Tp, error: i16) {
    history.borrow_mut().count("refused batches");
    if error == UNKNOWN_TOPIC {
        history.borrow().invariants.topics.on_asked(&tp.0, false);
    }
}

/// Writes to `topic` and never repeats anything.
pub async fn plain(mut client: Client, history: Shared, topic: &'static str, partitions: i32, most_pause_ms: u64) {
    let io = client.io.clone();
    while !history.borrow().over {
        let tp = (topic.to_owned(), draw(&io, partitions as u64) as i32);
        let values: Vec<String> = (0..1 + draw(&io, 3)).map(|_| history.borrow_mut().value()).collect();
        let told = history.borrow().invariants.high_watermark.told(&tp);
        let acks = if draw(&io, 2) == 0 { 1 } else { -1 };
        let timestamp = io.wall_clock_ms();
        let request = produce(topic, tp.1, acks, batch(&values, timestamp, None));
        match send(&mut client, &[request]).await.as_deref() {
            Ok(&[(0, base)]) => {
                history.borrow().invariants.high_watermark.on_append(&tp, told, base);
                acked(&history, &io, &tp, base, &values, timestamp);
            }
            Ok(&[(error, _)]) => refused(&history, &tp, error),
            _ => history.borrow_mut().count("lost produces"),
        }
        if draw(&io, 50) == 0 {
            client.hang_up();
        }
        pause(&io, most_pause_ms).await;
    }
}

/// A batch of an idempotent producer.
struct Sent {
    values: Vec<String>,
    sequence: i32,
    timestamp: i64,
}

/// Writes to one partition, several batches at once, and repeats them until they are answered.
pub async fn idempotent(mut client: Client, history: Shared, number: u64, partition: i32) {
    let io = client.io.clone();
    let tp = (TOPIC.to_owned(), partition);
    let (mut id, mut epoch) = crate::admin::producer_id(&mut client, &history).await;
    let (mut sequence, mut position) = (0, 0);
    let mut pending: VecDeque<Sent> = VecDeque::new();
    let mut last: Option<(Sent, i64)> = None;
    let mut again = false;
    while !history.borrow().over || !pending.is_empty() {
        while pending.len() < 1 + draw(&io, 4) as usize && !history.borrow().over {
            let values: Vec<String> = (0..1 + draw(&io, 2)).map(|_| history.borrow_mut().value()).collect();
            for value in &values {
                history.borrow_mut().invariants.once.on_send(value, number, position);
                position += 1;
            }
            let count = values.len() as i32;
            pending.push_back(Sent { values, sequence, timestamp: io.wall_clock_ms() });
            sequence += count;
        }
        let request = |sent: &Sent| {
            let records = batch(&sent.values, sent.timestamp, Some((id, epoch, sent.sequence)));
            produce(TOPIC, partition, -1, records)
        };
        let requests: Vec<_> = pending.iter().map(request).collect();
        if again {
            history.borrow_mut().count("batches sent again");
        }
        again = false;
        let mut lost_place = false;
        match send(&mut client, &requests).await {
            Ok(answers) => {
                for (index, (error, base)) in answers.into_iter().enumerate() {
                    if error != 0 {
                        refused(&history, &tp, error);
                        lost_place = error == OUT_OF_ORDER_SEQUENCE && index == 0;
                        break;
                    }
                    let sent = pending.pop_front().expect("an answer for each request");
                    acked(&history, &io, &tp, base, &sent.values, sent.timestamp);
                    last = Some((sent, base));
                }
            }
            Err(_) => {
                again = true;
                history.borrow_mut().count("lost produces");
            }
        }
        if lost_place {
            // Kafka's snapshots remember the last batch of a producer only. Of several that were sent before a restart, those that are
            // in the log before the last are not known again afterwards; the last always is.
            assert!(pending.len() > 1, "producer {number} is not remembered in {tp:?}");
            history.borrow_mut().count("producers that began anew");
            pending.clear();
            (id, epoch) = crate::admin::producer_id(&mut client, &history).await;
            sequence = 0;
            last = None;
        }
        if pending.is_empty() {
            provoke(&mut client, &history, &tp, (id, epoch, sequence), &last).await;
        }
        pause(&io, 150).await;
    }
}

/// Sends what has to be answered without an append: the last batch again, or one from the future.
async fn provoke(client: &mut Client, history: &Shared, tp: &Tp, (id, epoch, next): (i64, i16, i32), last: &Option<(Sent, i64)>) {
    let io = client.io.clone();
    match draw(&io, 20) {
        0 => {
            let Some((sent, base)) = last else { return };
            let again = batch(&sent.values, sent.timestamp, Some((id, epoch, sent.sequence)));
            if let Ok(&[(0, offset)]) = send(client, &[produce(TOPIC, tp.1, -1, again)]).await.as_deref() {
                assert_eq!(offset, *base, "a duplicate in {tp:?} is told its first offset");
                history.borrow_mut().count("duplicates");
            }
        }
        1 => {
            let value = history.borrow_mut().value();
            let future = batch(std::slice::from_ref(&value), io.wall_clock_ms(), Some((id, epoch, next + 5)));
            if let Ok(&[(error, _)]) = send(client, &[produce(TOPIC, tp.1, -1, future)]).await.as_deref() {
                assert!(error != 0, "a gap in the sequence of producer {id} was accepted in {tp:?}");
                if error == OUT_OF_ORDER_SEQUENCE {
                    history.borrow_mut().count("sequence gaps");
                    history.borrow_mut().invariants.once.on_refused(&value, "sequence gap");
                }
            }
        }
        _ => {}
    }
}
