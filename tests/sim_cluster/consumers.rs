//! Clients that read: from leaders, from any replica; and the reader that judges all at the end.

use crate::client::{Client, Lost};
use crate::history::{Shared, Tp};
use crate::producers::{draw, pause, refused};
use crate::requests::{Limits, OUT_OF_RANGE, Wanted, fetch, list_offset, values};
use crate::topics;
use std::collections::BTreeMap;

const EARLIEST: i64 = -2;
pub const ROOM_FOR_ALL: i32 = 1 << 20;

/// Reads all partitions in turn, each from its leader, or from `any` replica.
pub async fn follow(mut client: Client, history: Shared, any: bool) {
    let io = client.io.clone();
    let mut positions: BTreeMap<Tp, i64> = topics::all().map(|tp| (tp, 0)).collect();
    let all: Vec<Tp> = topics::all().collect();
    while !history.borrow().over {
        let tp = &all[draw(&io, all.len() as u64) as usize];
        if read_once(&mut client, &history, tp, positions.get_mut(tp).expect("all have one"), any).await.is_err() {
            history.borrow_mut().count("lost fetches");
            client.forget(tp);
        }
        if draw(&io, 60) == 0 {
            client.hang_up();
        }
        pause(&io, 60).await;
        // Now and then everything again.
        if draw(&io, 400) == 0 {
            positions.values_mut().for_each(|position| *position = 0);
        }
    }
}

async fn read_once(client: &mut Client, history: &Shared, tp: &Tp, position: &mut i64, any: bool) -> Result<(), Lost> {
    let io = client.io.clone();
    let (leader, replicas) = client.replicas(tp).await?;
    let broker = if any { replicas[draw(&io, replicas.len() as u64) as usize] } else { leader.broker };
    let told = history.borrow().invariants.high_watermark.told(tp, leader.epoch);
    let limits = Limits {
        max_bytes: [1, 150, 2000, ROOM_FOR_ALL][draw(&io, 4) as usize],
        max_wait_ms: draw(&io, 200) as i32,
        committed: draw(&io, 2) == 0,
    };
    let wanted = Wanted { partition: tp.1, offset: *position, epoch: leader.epoch };
    let data = fetch(client.to(broker), &tp.0, &[wanted], &limits).await?.remove(0);
    match data.error_code {
        0 => {}
        OUT_OF_RANGE => {
            if broker == leader.broker {
                hold!(!history.borrow().keeps(tp), "{tp:?} has nothing at {position} any more, broker {broker} says");
                *position = 0;
            }
            return Ok(());
        }
        error => {
            refused(history, "a fetch", error);
            client.forget(tp);
            return Ok(());
        }
    }
    let mut history = history.borrow_mut();
    history.count(if any { "fetches from any replica" } else { "fetches" });
    let (found, _) = values(&data, *position);
    let last = found.last_key_value().map(|(offset, _)| *offset);
    if broker == leader.broker {
        history.invariants.high_watermark.on_answer(tp, leader.epoch, told, data.high_watermark);
    }
    history.invariants.high_watermark.on_read(tp, data.high_watermark, last);
    for (expected, offset) in (*position..).zip(found.keys()) {
        hold!(expected == *offset, "{tp:?} is read without gaps");
    }
    if let Some(last) = last {
        if history.keeps(tp) {
            history.invariants.committed.on_read(tp, *position, last + 1, &found);
        }
        *position = last + 1;
    }
    Ok(())
}

/// Everything that a replica holds, at the end, when nothing happens any more; at least up to what is known.
pub async fn read_all(client: &mut Client, history: &Shared, tp: &Tp, broker: i32) -> Result<(), String> {
    let lost = |Lost| format!("broker {broker} does not answer");
    let start = list_offset(client, &tp.0, tp.1, EARLIEST).await.map_err(lost)?;
    if start.error_code != 0 {
        return Err(format!("the leader of {tp:?} answers {}", start.error_code));
    }
    let mut all = BTreeMap::new();
    let mut next = start.offset;
    loop {
        let limits = Limits { max_bytes: ROOM_FOR_ALL, max_wait_ms: 0, committed: false };
        let wanted = Wanted { partition: tp.1, offset: next, epoch: -1 };
        let answer = fetch(client.to(broker), &tp.0, &[wanted], &limits).await.map_err(lost)?.remove(0);
        if answer.error_code != 0 {
            return Err(format!("broker {broker} answers a fetch of {tp:?} from {next} with {}", answer.error_code));
        }
        let (found, _) = values(&answer, next);
        let Some((last, _)) = found.last_key_value() else {
            hold!(answer.high_watermark == next, "{tp:?} ends where its records do");
            break;
        };
        for (expected, offset) in (next..).zip(found.keys()) {
            hold!(expected == *offset, "{tp:?} has no gaps");
        }
        next = last + 1;
        all.extend(found);
    }
    let mut history = history.borrow_mut();
    if history.keeps(tp) {
        history.invariants.committed.on_read(tp, start.offset, i64::MAX, &all);
    }
    history.invariants.once.on_read_all(tp, &all);
    Ok(())
}
