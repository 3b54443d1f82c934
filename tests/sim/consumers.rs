//! Clients that read, from the start on, with every limit; and the reader that judges all at the end.

use crate::client::{Client, Lost};
use crate::history::{Shared, Tp};
use crate::invariants::Readable;
use crate::producers::{draw, pause};
use crate::requests::{Limits, OUT_OF_RANGE, UNKNOWN_TOPIC, Wanted, fetch, list_offset, values};
use crate::verdict::violated;
use flumen::io::{Io, Mono};
use flumen::protocol::generated::fetch_response::PartitionData;
use std::collections::BTreeMap;

const EARLIEST: i64 = -2;
/// A limit of an answer that is never reached here.
pub const ROOM_FOR_ALL: i32 = 1 << 20;

/// Where a reader of all partitions of a topic is.
pub struct Reader {
    pub topic: &'static str,
    pub positions: Vec<i64>,
}

/// What was known when a fetch was sent.
pub struct Before {
    sent: Mono,
    told: Vec<i64>,
    least: Vec<i64>,
    readable: Readable,
}

pub fn some_limits(io: &Io, most_wait_ms: u64) -> Limits {
    Limits {
        max_bytes: [1, 150, 2000, ROOM_FOR_ALL][draw(io, 4) as usize],
        max_wait_ms: (most_wait_ms / 2 + draw(io, most_wait_ms / 2)) as i32,
        committed: draw(io, 2) == 0,
    }
}

pub async fn follow(mut client: Client, history: Shared, topic: &'static str, partitions: i32, most_wait_ms: u64) {
    let io = client.io.clone();
    let mut reader = Reader { topic, positions: vec![0; partitions as usize] };
    while !history.borrow().over {
        let limits = some_limits(&io, most_wait_ms);
        if reader.step(&mut client, &history, &limits).await.is_err() {
            history.borrow_mut().count("lost fetches");
            pause(&io, 100).await;
        }
        if draw(&io, 30) == 0 {
            client.hang_up();
        }
        pause(&io, 40).await;
        // Now and then everything again.
        if draw(&io, 300) == 0 {
            reader.positions.fill(0);
        }
    }
}

impl Reader {
    pub fn tp(&self, partition: usize) -> Tp {
        (self.topic.to_owned(), partition as i32)
    }

    /// To be asked for before a fetch of these partitions is sent.
    pub fn before(&self, history: &Shared, now: Mono, partitions: &[i32], limits: &Limits) -> Before {
        let invariants = &history.borrow().invariants;
        let tps: Vec<Tp> = (0..self.positions.len()).map(|partition| self.tp(partition)).collect();
        let at = partitions.iter().map(|&partition| (&tps[partition as usize], self.positions[partition as usize]));
        Before {
            sent: now,
            told: tps.iter().map(|tp| invariants.high_watermark.told(tp)).collect(),
            least: tps.iter().map(|tp| invariants.log_start.least(tp)).collect(),
            readable: Readable::before(&invariants.acked, at, limits.max_bytes >= ROOM_FOR_ALL),
        }
    }

    async fn step(&mut self, client: &mut Client, history: &Shared, limits: &Limits) -> Result<(), Lost> {
        let partitions: Vec<i32> = (0..self.positions.len() as i32).collect();
        let before = self.before(history, client.io.now(), &partitions, limits);
        let wanted: Vec<_> =
            (0..).zip(&self.positions).map(|(partition, &offset)| Wanted { partition, offset, epoch: -1 }).collect();
        let answers = fetch(client, self.topic, &wanted, limits).await?;
        history.borrow_mut().count("fetches");
        self.judge(client, history, &partitions, &answers, &before, limits).await
    }

    /// Judges the answer to a fetch of `partitions`, and goes on behind it.
    pub async fn judge(
        &mut self,
        client: &mut Client,
        history: &Shared,
        partitions: &[i32],
        answers: &[PartitionData],
        before: &Before,
        limits: &Limits,
    ) -> Result<(), Lost> {
        self.judge_wait(history, partitions, before.sent, client.io.now());
        let (mut bytes, mut batches) = (0, 0);
        let mut lost_start = None;
        for data in answers {
            let partition = data.partition_index as usize;
            bytes += data.records.len();
            match data.error_code {
                0 => batches += self.take(history, &self.tp(partition), data, before),
                OUT_OF_RANGE => lost_start = Some(partition),
                UNKNOWN_TOPIC => history.borrow().invariants.topics.on_asked(self.topic, false),
                _ => history.borrow_mut().count("refused fetches"),
            }
        }
        let most = limits.max_bytes as usize;
        hold!(bytes <= most || batches == 1, "{bytes} bytes in {batches} batches for {most}");
        let told_something = |data: &&PartitionData| data.error_code != 0 || !data.records.is_empty();
        let brought: Vec<Tp> = answers.iter().filter(told_something).map(|data| self.tp(data.partition_index as usize)).collect();
        before.readable.on_answer(&brought);
        if let Some(partition) = lost_start {
            self.find_start(client, history, partition).await?;
        }
        Ok(())
    }

    fn judge_wait(&self, history: &Shared, partitions: &[i32], sent: Mono, now: Mono) {
        let mut history = history.borrow_mut();
        let Some(calm_since) = history.calm_since else { return };
        let wakes = &history.invariants.wakes;
        let judged = partitions.iter().filter(|&&partition| {
            let position = self.positions[partition as usize];
            wakes.on_answer(&self.tp(partition as usize), position, sent, now, calm_since)
        });
        if judged.count() > 0 {
            history.count("fetches in time");
        }
    }

    /// Judges what came of one partition, and goes on behind it; how many batches there were.
    fn take(&mut self, history: &Shared, tp: &Tp, data: &PartitionData, before: &Before) -> usize {
        let partition = tp.1 as usize;
        let position = self.positions[partition];
        let (found, batches) = values(data, position);
        let mut history = history.borrow_mut();
        let last = found.last_key_value().map(|(offset, _)| *offset);
        let invariants = &mut history.invariants;
        invariants.high_watermark.on_later_fetch(tp, before.told[partition], data.high_watermark);
        invariants.high_watermark.on_fetch(tp, data.high_watermark, last);
        invariants.log_start.on_told(tp, before.least[partition], data.log_start_offset);
        for (expected, offset) in (position..).zip(found.keys()) {
            hold!(expected == *offset, "{tp:?} is read without gaps");
        }
        if let Some(last) = last {
            invariants.acked.on_read(tp, position, last + 1, &found);
            invariants.one_value.on_read(tp, &found);
            self.positions[partition] = last + 1;
        }
        batches
    }

    /// The records at the position were deleted: goes on where the log begins.
    async fn find_start(&mut self, client: &mut Client, history: &Shared, partition: usize) -> Result<(), Lost> {
        let tp = self.tp(partition);
        let least = history.borrow().invariants.log_start.least(&tp);
        let start = list_offset(client, self.topic, partition as i32, EARLIEST).await?;
        if start.error_code == 0 {
            history.borrow().invariants.log_start.on_told(&tp, least, start.offset);
            hold!(start.offset > self.positions[partition], "{tp:?} begins at {}, so nothing was out of range", start.offset);
            history.borrow_mut().count("deleted under a reader");
            self.positions[partition] = start.offset;
        }
        Ok(())
    }
}

/// What a broker that nothing happens to answers.
fn calm<T>(answer: Result<T, Lost>) -> T {
    answer.unwrap_or_else(|Lost| violated("a calm broker does not answer".to_owned()))
}

/// Everything that a partition holds, at the end, when nothing happens any more.
pub async fn read_all(client: &mut Client, history: &Shared, topic: &'static str, partition: i32) {
    let tp = (topic.to_owned(), partition);
    let mut all = BTreeMap::new();
    let start = calm(list_offset(client, topic, partition, EARLIEST).await);
    hold!(start.error_code == 0, "{tp:?} has a start");
    let mut next = start.offset;
    loop {
        let limits = Limits { max_bytes: ROOM_FOR_ALL, max_wait_ms: 0, committed: false };
        let wanted = Wanted { partition, offset: next, epoch: -1 };
        let answer = calm(fetch(client, topic, &[wanted], &limits).await).remove(0);
        hold!(answer.error_code == 0, "{tp:?} is readable at {next}");
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
    history.invariants.acked.on_read(&tp, start.offset, i64::MAX, &all);
    history.invariants.one_value.on_read(&tp, &all);
    history.invariants.once.on_read_all(&tp, &all);
}
