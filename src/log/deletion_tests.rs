//! A log is deleted while others are at work with it: they learn that it is closed, and nobody takes that for a failure of the device.

use super::tests::{append, batch, how, small};
use super::*;
use crate::io::Io;
use crate::io::sim::{Options, World};
use crate::record::Codec;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// A reassignment deletes a replica while its next flush waits for one that is under way.
#[test]
fn a_flush_that_waited_while_the_log_was_deleted_finds_it_closed() {
    let mut closed = 0;
    for seed in 0..40 {
        let world = World::new(seed, Options::default());
        let host = world.add_host("broker", 1);
        world.slow_disk(host, ".log", Duration::from_millis(100));
        let flushed = world.run(host, |io: Io| async move {
            let log = Log::open(io.clone(), how(Path::new("/data"), small(), true)).await.unwrap();
            let results = Rc::new(RefCell::new(Vec::new()));
            for _ in 0..2 {
                append(&log, &[batch(Codec::None, 1, 1000)], 1).await;
                let (log, end, results) = (log.clone(), log.log_end_offset(), results.clone());
                io.spawn(async move {
                    let result = log.flush(end).await;
                    results.borrow_mut().push(result);
                });
                io.sleep(Duration::from_millis(10)).await;
            }
            log.delete().await.unwrap();
            io.sleep(Duration::from_secs(1)).await;
            assert!(log.failure().is_none(), "seed {seed}: {:?}", log.failure());
            results.take()
        });
        assert_eq!(flushed.len(), 2);
        for result in flushed {
            match result {
                Ok(()) => {}
                Err(LogError::Closed) => closed += 1,
                Err(other) => panic!("seed {seed}: {other}"),
            }
        }
    }
    assert!(closed > 0, "no deletion came first");
}

/// The same for whoever looks for a time in a segment.
#[test]
fn a_search_by_time_in_a_log_that_is_deleted_finds_it_closed() {
    let mut closed = 0;
    for seed in 0..100 {
        let world = World::new(seed, Options::default());
        let host = world.add_host("broker", 1);
        closed += world.run(host, |io: Io| async move {
            let open = || Log::open(io.clone(), how(Path::new("/data"), small(), true));
            let log = open().await.unwrap();
            for _ in 0..150 {
                append(&log, &[batch(Codec::None, 3, 1000)], 1).await;
            }
            log.close().await.unwrap();
            // Nothing of the inactive segments is in memory now.
            let log = open().await.unwrap();
            assert!(log.segments().len() > 2);
            let results = Rc::new(RefCell::new(Vec::new()));
            for newest in [true, false] {
                let (log, results) = (log.clone(), results.clone());
                io.spawn(async move {
                    let found = match newest {
                        true => log.offset_of_max_timestamp().await,
                        false => log.offset_for_timestamp(5000, log.log_end_offset()).await,
                    };
                    results.borrow_mut().push(found);
                });
            }
            io.sleep(Duration::from_micros(1 + u64::from_le_bytes(io.random()) % 500)).await;
            log.delete().await.unwrap();
            io.sleep(Duration::from_secs(1)).await;
            let results = results.take();
            assert_eq!(results.len(), 2);
            let is_closed = |result| match result {
                Ok(_) => 0,
                Err(LogError::Closed) => 1,
                Err(other) => panic!("seed {seed}: {other}"),
            };
            results.into_iter().map(is_closed).sum::<usize>()
        });
    }
    assert!(closed > 0, "no deletion came first");
}
