//! Clients that write: plain ones that give up on what was not answered, idempotent ones that repeat it, and ones that want no answer.

use crate::client::{Client, Lost};
use crate::history::{Shared, Tp};
use crate::requests::{
    OUT_OF_ORDER_SEQUENCE, UNKNOWN_TOPIC, batch, produce, send, send_and_ask_why, send_without_answer, topic_error,
};
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

/// Writes to `topic`, a few batches at once, and never repeats anything.
pub async fn plain(mut client: Client, history: Shared, topic: &'static str, partitions: i32, most_pause_ms: u64) {
    let io = client.io.clone();
    while !history.borrow().over {
        let tp = (topic.to_owned(), draw(&io, partitions as u64) as i32);
        let batches: Vec<Vec<String>> = (0..1 + draw(&io, 3) / 2 * 2).map(|_| some_values(&io, &history, &tp, 3)).collect();
        let told = history.borrow().invariants.high_watermark.told(&tp);
        let acks = if draw(&io, 2) == 0 { 1 } else { -1 };
        let timestamp = io.wall_clock_ms();
        let requests: Vec<_> = batches.iter().map(|values| produce(topic, tp.1, acks, batch(values, timestamp, None))).collect();
        match send_and_ask_why(&mut client, &requests).await {
            Ok(answers) => {
                for (values, (error, base, why)) in batches.iter().zip(answers) {
                    if error == 0 {
                        history.borrow().invariants.high_watermark.on_append(&tp, told, base);
                        acked(&history, &io, &tp, base, values, timestamp);
                    } else {
                        refused(&history, &tp, error);
                        refused_by_disk(&history, values, &why);
                    }
                }
            }
            Err(_) => history.borrow_mut().count("lost produces"),
        }
        if draw(&io, 50) == 0 {
            client.hang_up();
        }
        pause(&io, most_pause_ms).await;
    }
}

fn some_values(io: &Io, history: &Shared, tp: &Tp, most: u64) -> Vec<String> {
    let mut history = history.borrow_mut();
    let values: Vec<String> = (0..1 + draw(io, most)).map(|_| history.value()).collect();
    values.iter().for_each(|value| history.invariants.once.on_send(value, tp));
    values
}

/// What a failed write has left is cut away before anybody is told, and only a power loss could bring it back.
fn refused_by_disk(history: &Shared, values: &[String], why: &str) {
    let mut history = history.borrow_mut();
    if why.contains(".log: write: ") && !history.loses_power {
        history.count("batches refused by a failed write");
        values.iter().for_each(|value| history.invariants.once.on_refused(value, "its write failed"));
    }
}

/// Writes with acks=0, and asks something now and then that has an answer.
pub async fn unanswered(mut client: Client, history: Shared) {
    let io = client.io.clone();
    let (mut order, mut position) = ((0, 0), 0);
    while !history.borrow().over {
        let told = async {
            let connection = client.connect().await?;
            if order.0 != connection {
                order = (connection, history.borrow_mut().invariants.once.new_order());
            }
            for _ in 0..1 + draw(&io, 3) {
                let tp = (TOPIC.to_owned(), draw(&io, PARTITIONS as u64) as i32);
                let values = some_values(&io, &history, &tp, 2);
                for value in &values {
                    history.borrow_mut().invariants.once.on_send_in_order(value, &tp, order.1, position);
                    position += 1;
                }
                send_without_answer(&mut client, TOPIC, tp.1, batch(&values, io.wall_clock_ms(), None)).await?;
                history.borrow_mut().count("batches without an answer");
            }
            if draw(&io, 3) == 0 {
                topic_error(&mut client, TOPIC).await?;
                history.borrow_mut().count("answers behind acks=0");
            }
            Ok::<(), Lost>(())
        };
        if told.await.is_err() {
            history.borrow_mut().count("lost produces with acks=0");
            pause(&io, 200).await;
        }
        if draw(&io, 40) == 0 {
            client.hang_up();
        }
        pause(&io, 120).await;
    }
}

/// A batch of an idempotent producer.
struct Sent {
    values: Vec<String>,
    sequence: i32,
    timestamp: i64,
}

/// Writes to one partition, several batches at once, and repeats them until they are answered.
pub async fn idempotent(mut client: Client, history: Shared, number: usize, partition: i32) {
    let io = client.io.clone();
    let tp = (TOPIC.to_owned(), partition);
    let (mut id, mut epoch) = crate::admin::producer_id(&mut client, &history).await;
    let order = history.borrow_mut().invariants.once.new_order();
    let (mut sequence, mut position) = (0, 0);
    let mut pending: VecDeque<Sent> = VecDeque::new();
    let mut last: Option<(Sent, i64)> = None;
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
                    let sent = pending.pop_front().expect("there are as many answers as requests");
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
            hold!(pending.len() > 1, "producer {number} is not remembered in {tp:?}");
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
                hold!(offset == *base, "a duplicate in {tp:?} is told its first offset");
                history.borrow_mut().count("duplicates");
            }
        }
        // (An id that the partition does not know yet may begin with any number, as with Kafka.)
        1 if last.is_some() => {
            let values = some_values(&io, history, tp, 1);
            let future = batch(&values, io.wall_clock_ms(), Some((id, epoch, next + 5)));
            if let Ok(&[(error, _)]) = send(client, &[produce(TOPIC, tp.1, -1, future)]).await.as_deref() {
                hold!(error != 0, "a gap in the sequence of producer {id} was accepted in {tp:?}");
                if error == OUT_OF_ORDER_SEQUENCE {
                    history.borrow_mut().count("sequence gaps");
                    history.borrow_mut().invariants.once.on_refused(&values[0], "sequence gap");
                }
            }
        }
        _ => {}
    }
}
