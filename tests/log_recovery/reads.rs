//! Every record, in order, over many segments: from the start, from the middle of batches, with any budget, while the log is
//! written and while retention takes its head.

use super::support::{EPOCH_MS, Random, batch, how, read, to_append};
use flumen::io::Io;
use flumen::io::sim::{Options, World};
use flumen::log::{Log, LogConfig, LogError};
use flumen::model::{LeaderEpoch, Offset};
use flumen::record::{BatchHeader, Codec};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 256 << 10, retention_ms: -1, file_delete_delay_ms: 5, ..LogConfig::default() }
}

/// The timestamp of each record is `EPOCH_MS` plus its offset, so a record out of place is seen.
async fn fill(log: &Log, random: &mut Random) {
    let mut batches = Vec::new();
    let mut next = log.log_end_offset().0;
    for _ in 0..1 + random.below(4) {
        let records = 1 + random.below(9) as i64;
        let value = if random.below(30) == 0 { 25_000 } else { random.below(1500) as usize };
        batches.push(batch(Codec::None, records, EPOCH_MS + next, value, None));
        next += records;
    }
    log.append(to_append(&batches, log.log_end_offset(), LeaderEpoch(3))).await.unwrap();
}

/// Reads from `from` to the end that the log has then; returns where it got to.
async fn read_on(io: &Io, log: &Log, from: Offset, budget: u64) -> Result<Offset, LogError> {
    let mut next = from;
    while next < log.log_end_offset() {
        let found = read(io, log, next, budget).await?;
        assert!(!found.is_empty(), "nothing at {next}");
        for (base, end, bytes) in found {
            assert!(base <= next.0 && end > next.0, "{base}..{end} where {next} is wanted");
            let header = BatchHeader::parse(&bytes).unwrap();
            assert_eq!(header.base_timestamp, EPOCH_MS + base, "the records of another offset");
            next = Offset(end);
        }
    }
    Ok(next)
}

const BUDGETS: [u64; 7] = [1, 100, 4096, 70_000, 300_000, 1 << 20, 50 << 20];

#[test]
fn every_record_in_order_while_the_log_is_written_and_its_head_deleted() {
    let world = World::new(21, Options::default());
    let host = world.add_host("broker", 1);
    world.run(host, |io| async move {
        let log = Log::open(io.clone(), how(config(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
        let (ended, writing) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(true)));
        for (reader, budget) in BUDGETS.into_iter().enumerate() {
            let (io2, log, ended, writing) = (io.clone(), log.clone(), ended.clone(), writing.clone());
            io.spawn(async move {
                let mut random = Random::new(reader as u64);
                let (mut next, mut lost) = (Offset::ZERO, 0);
                while writing.get() || next < log.log_end_offset() {
                    next = match read_on(&io2, &log, next, budget).await {
                        Ok(next) => next,
                        Err(LogError::OffsetOutOfRange { start, .. }) => {
                            lost += 1;
                            assert!(start > Offset::ZERO);
                            start.max(next)
                        }
                        Err(error) => panic!("{error}"),
                    };
                    io2.sleep(Duration::from_micros(100 + random.below(3000))).await;
                }
                assert_eq!(next, log.log_end_offset());
                ended.set(ended.get() + 1);
                let _ = lost;
            });
        }
        let mut random = Random::new(99);
        let mut deleted = 0;
        for round in 0..900 {
            fill(&log, &mut random).await;
            if round == 500 {
                log.set_config(LogConfig { retention_bytes: 3 << 20, ..config() });
            }
            if round > 500 && round % 20 == 0 {
                deleted += log.apply_retention(log.log_end_offset()).await.unwrap();
            }
            if round % 40 == 0 {
                io.sleep(Duration::from_millis(2)).await;
            }
        }
        assert!(deleted > 5 && log.segments().len() > 8, "{deleted} deleted, {} left", log.segments().len());
        writing.set(false);
        io.sleep(Duration::from_secs(5)).await;
        assert_eq!(ended.get(), BUDGETS.len());
    });
}

#[test]
fn every_offset_in_the_middle_of_a_batch_and_every_time() {
    let world = World::new(22, Options::default());
    let host = world.add_host("broker", 1);
    world.run(host, |io| async move {
        let log = Log::open(io.clone(), how(config(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
        let mut random = Random::new(5);
        for _ in 0..300 {
            fill(&log, &mut random).await;
        }
        log.close().await.unwrap();
        for clean in [true, false] {
            let log = Log::open(io.clone(), how(config(), Offset::ZERO, Offset::ZERO, clean)).await.unwrap();
            assert!(log.segments().len() > 4);
            for budget in BUDGETS {
                assert_eq!(read_on(&io, &log, Offset::ZERO, budget).await.unwrap(), log.log_end_offset());
            }
            for _ in 0..500 {
                let at = Offset(random.below(log.log_end_offset().0 as u64) as i64);
                let found = read(&io, &log, at, BUDGETS[random.below(5) as usize]).await.unwrap();
                assert!(found[0].0 <= at.0 && found[0].1 > at.0, "offset {at} in {}..{}", found[0].0, found[0].1);
                let time = log.offset_for_timestamp(EPOCH_MS + at.0, log.log_end_offset()).await.unwrap().unwrap();
                assert_eq!(time.offset, at);
            }
            log.close().await.unwrap();
        }
    });
}
