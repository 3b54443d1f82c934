//! A log is read while its end is cut, and after its device has failed.

use super::tests::{append, batch, how, small};
use super::*;
use crate::io::Io;
use crate::io::sim::{DiskFault, DiskOp, Options, World};
use crate::model::Offset;
use crate::record::{Batches, Codec};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Last offset of what a reader finds from `offset` on below `upper`.
async fn last_read(io: &Io, log: &Log, offset: Offset, upper: Offset) -> Result<Option<Offset>, LogError> {
    let request = ReadRequest { offset, max_bytes: 1 << 20, upper, at_least_one_batch: true };
    let plan = log.read(request).await?;
    let mut last = None;
    for slice in &plan.slices {
        let bytes = slice.file.read_at(io, slice.position, slice.len as usize).await.unwrap();
        assert_eq!(bytes.len() as u64, slice.len, "what is promised is there");
        for batch in Batches::new(&bytes) {
            last = Some(batch.unwrap().header.last_offset());
        }
    }
    Ok(last)
}

/// A follower cuts what its new leader does not have while a consumer near it reads: what was never committed is not served.
#[test]
fn what_is_being_cut_is_not_read() {
    let mut reads = 0;
    for seed in 0..30 {
        let world = World::new(seed, Options::default());
        let host = world.add_host("broker", 1);
        world.slow_disk(host, "single", Duration::from_millis(20));
        reads += world.run(host, move |io: Io| async move {
            let log = Log::open(io.clone(), how(Path::new("/data"), small(), true)).await.unwrap();
            for _ in 0..100 {
                append(&log, &[batch(Codec::None, 2, 1000)], 1).await;
            }
            let high_watermark = Offset(200 - 10 * (1 + seed as i64 % 8));
            let (over, cut) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
            let (log_of_cutter, is_over) = (log.clone(), over.clone());
            io.spawn(async move {
                assert_eq!(log_of_cutter.truncate_to(high_watermark).await.unwrap(), high_watermark);
                is_over.set(true);
            });
            while !over.get() {
                for back in [2, 10, 50] {
                    let offset = Offset(high_watermark.0 - back);
                    if let Some(last) = last_read(&io, &log, offset, high_watermark).await.unwrap() {
                        assert!(last < high_watermark, "seed {seed}: {last} is read where {high_watermark} is the end");
                        cut.set(cut.get() + usize::from(!over.get()));
                    }
                }
            }
            cut.get()
        });
    }
    assert!(reads > 0, "nobody has read meanwhile");
}

/// The segment behind which a new one begins is synced in the background: that this fails is told, and nothing is read any more that the
/// kernel may have dropped; not even what was planned before.
#[test]
fn a_failed_flush_in_the_background_is_told_and_ends_all_reads() {
    for seed in 0..10 {
        let world = World::new(seed, Options::default());
        let host = world.add_host("broker", 1);
        world.fail_disk(host, DiskFault { path_contains: ".log".into(), ..DiskFault::next(DiskOp::Sync) });
        world.run(host, move |io: Io| async move {
            let log = Log::open(io.clone(), how(Path::new("/data"), small(), true)).await.unwrap();
            let told = Rc::new(RefCell::new(None));
            let listener = told.clone();
            log.on_failure(move |error| *listener.borrow_mut() = Some(error.to_string()));
            let mut planned = None;
            while log.segments().len() < 2 {
                append(&log, &[batch(Codec::None, 2, 1000)], 1).await;
                let request =
                    ReadRequest { offset: Offset::ZERO, max_bytes: 1 << 20, upper: Offset(2), at_least_one_batch: true };
                planned = Some(log.read(request).await.unwrap());
            }
            io.sleep(Duration::from_secs(2)).await;
            let failure = log.failure().expect("the sync has failed").to_string();
            assert_eq!(told.take(), Some(failure.clone()));
            assert_eq!(last_read(&io, &log, Offset::ZERO, Offset(2)).await.unwrap_err().to_string(), failure);
            let slice = planned.expect("it was read").slices.remove(0);
            assert!(slice.file.read_at(&io, slice.position, slice.len as usize).await.is_err());
        });
    }
}
