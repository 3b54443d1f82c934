//! What is found damaged, what is kept, what is read around it.

use super::*;
use crate::io::{Io, OpenOptions};
use crate::log::tests::{how, on_a_core, small};
use crate::log::{AppendBatch, Log, LogConfig, OpenLog, ReadRequest};
use crate::record::{BatchBuilder, BatchHeader, Batches, Compression};
use std::path::{Path, PathBuf};

fn holes(text: &str) -> Option<Damage> {
    Damage::parse(format!("version=0\nstate=damaged\n{text}").as_bytes())
}

fn hole(from: i64, to: Option<i64>, start: u64, end: u64) -> Hole {
    Hole { from: Offset(from), to: to.map(Offset), start, end }
}

#[test]
fn the_file_says_what_was_put_into_it() {
    let damaged = Damage::Holes(vec![hole(3, Some(7), 90, 200), hole(12, None, 0, 0)]);
    assert_eq!(damaged.format(), "version=0\nstate=damaged\nhole=3 7 90 200\nhole=12 end 0 0\n");
    let refetching = Damage::Refetching { until: Offset(9), epoch: LeaderEpoch(4) };
    assert_eq!(refetching.format(), "version=0\nstate=refetching\nuntil=9\nepoch=4\n");
    for damage in [damaged, refetching] {
        assert_eq!(Damage::parse(damage.format().as_bytes()), Some(damage));
    }
    for bad in [
        "",
        "hole=3 3 0 0\n",
        "hole=-1 3 0 0\n",
        "hole=3 7 0\n",
        "hole=3 7 0 0",
        "hole=9 12 0 0\nhole=3 7 0 0\n",
        "hole=3 end 0 0\nhole=9 12 0 0\n",
    ] {
        assert_eq!(holes(bad), None, "{bad:?}");
    }
    for bad in [
        "",
        "version=1\nstate=refetching\nuntil=9\nepoch=4\n",
        "version=0\nstate=refetching\nuntil=9\n",
        "version=0\nstate=fine\n",
    ] {
        assert_eq!(Damage::parse(bad.as_bytes()), None, "{bad:?}");
    }
}

#[test]
fn holes_that_touch_are_one() {
    let all = [
        hole(20, Some(30), 5, 6),
        hole(3, Some(7), 1, 2),
        hole(7, Some(9), 2, 3),
        hole(22, Some(25), 0, 0),
        hole(40, None, 7, 8),
    ];
    let expected = [hole(3, Some(9), 1, 3), hole(20, Some(30), 5, 6), hole(40, None, 7, 8)];
    assert_eq!(merged(all.into_iter()), expected);
    let many = (0..3_000).map(|at| hole(10 * at, Some(10 * at + 1), 0, at as u64));
    let merged = merged(many);
    assert_eq!((merged.len(), merged.last().unwrap().to), (MAX_HOLES, Some(Offset(29_991))));
}

/// Batches of two records, of which about sixteen fill a segment.
async fn filled(io: &Io, dir: &Path, batches: usize) -> Log {
    let log = Log::open(io.clone(), how(dir, config(), true)).await.unwrap();
    for number in 0..batches as i64 {
        let mut builder = BatchBuilder::new(Compression::NONE);
        for at in 0..2 {
            builder.append(1_000 + 2 * number + at, None, Some(&[number as u8; 80]));
        }
        let (bytes, next) = (builder.build(), log.log_end_offset());
        let header = BatchHeader::parse(&bytes).unwrap();
        log.append(vec![AppendBatch::new(bytes, &header, next, LeaderEpoch(1))]).await.unwrap();
    }
    log.flush(log.log_end_offset()).await.unwrap();
    log
}

fn config() -> LogConfig {
    LogConfig { index_interval_bytes: 1_000, ..small() }
}

/// A start after an unclean stop; everything before `promised` was on the device and committed.
fn again(dir: &Path, promised: i64) -> OpenLog {
    // Segments are walked from the recovery point on, so the whole log is promised only to a start after a clean stop.
    OpenLog { recovery_point: Offset(promised), high_watermark: Offset(promised), ..how(dir, config(), false) }
}

async fn segments(io: &Io, dir: &Path) -> Vec<PathBuf> {
    let entries = io.read_dir(&dir.join("t-0")).await.unwrap();
    let mut files: Vec<_> = entries.into_iter().map(|entry| dir.join("t-0").join(entry.name)).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "log"));
    files.sort();
    files
}

async fn edit(io: &Io, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = io.read_file(path).await.unwrap().to_vec();
    change(&mut content);
    // The same file, which the log may have open.
    let file = io.open(path, OpenOptions { truncate: true, ..OpenOptions::WRITE }).await.unwrap();
    file.write_at(io, 0, &[content.into()]).await.unwrap();
}

async fn batch_bytes(io: &Io, path: &Path) -> usize {
    let content = io.read_file(path).await.unwrap();
    Batches::new(&content).next().unwrap().unwrap().bytes.len()
}

/// Base offsets of the batches that can be read; what is damaged is left out by going on where the log says.
async fn readable(io: &Io, log: &Log) -> Vec<i64> {
    let (mut next, mut bases) = (log.log_start_offset(), vec![]);
    while next < log.log_end_offset() {
        let request = ReadRequest { offset: next, max_bytes: 1 << 20, upper: log.log_end_offset(), at_least_one_batch: true };
        let plan = match log.read(request).await {
            Err(LogError::Damaged { to: Some(to), offset }) => {
                assert_eq!(offset, next);
                next = to;
                continue;
            }
            plan => plan.unwrap(),
        };
        assert!(plan.bytes > 0, "at {next}");
        for slice in &plan.slices {
            let bytes = slice.file.read_at(io, slice.position, slice.len as usize).await.unwrap();
            for batch in Batches::new(&bytes) {
                let batch = batch.unwrap();
                assert!(batch.crc_is_valid());
                bases.push(batch.header.base_offset.0);
                next = batch.header.last_offset().plus(1);
            }
        }
    }
    bases
}

fn all_but(batches: i64, missing: &[i64]) -> Vec<i64> {
    (0..batches).map(|number| 2 * number).filter(|base| !missing.contains(base)).collect()
}

/// How a batch is damaged; the position of the batch, and its size.
type Blow = fn(&mut [u8], usize, usize);
const BLOWS: [(&str, Blow); 4] = [
    ("a bit of a record", |bytes, at, size| bytes[at + size - 5] ^= 1),
    ("the length", |bytes, at, _| bytes[at + 8..at + 12].copy_from_slice(&[0x7f; 4])),
    ("the offset, which no checksum covers", |bytes, at, _| bytes[at + 6] ^= 1),
    ("all of it", |bytes, at, size| bytes[at..at + size].fill(0)),
];

#[test]
fn a_start_keeps_what_lies_behind_damage() {
    on_a_core(|io, dir| async move {
        for (number, (what, blow)) in BLOWS.into_iter().enumerate() {
            let dir = dir.join(number.to_string());
            let log = filled(&io, &dir, 10).await;
            let (end, path) = (log.log_end_offset(), segments(&io, &dir).await[0].clone());
            drop(log);
            let size = batch_bytes(&io, &path).await;
            edit(&io, &path, |bytes| blow(bytes, 3 * size, size)).await;
            for life in 0..3 {
                let log = Log::open(io.clone(), again(&dir, end.0)).await.unwrap();
                let expected = Damage::Holes(vec![hole(6, Some(8), 3 * size as u64, 4 * size as u64)]);
                assert_eq!(log.damage().as_deref(), Some(&expected), "{what}, life {life}");
                assert_eq!((log.log_end_offset(), readable(&io, &log).await), (end, all_but(10, &[6])), "{what}, life {life}");
            }
            // What was not promised is the torn end of an unclean stop.
            io.remove_file(&dir.join("t-0").join(DAMAGE_FILE)).await.unwrap();
            let log = Log::open(io.clone(), again(&dir, 6)).await.unwrap();
            assert_eq!((log.damage(), log.log_end_offset()), (None, Offset(6)), "{what}");
        }
    });
}

#[test]
fn a_lost_end_is_told_of_and_a_lost_segment_too() {
    on_a_core(|io, dir| async move {
        let log = filled(&io, &dir, 50).await;
        let (end, files) = (log.log_end_offset(), segments(&io, &dir).await);
        assert!(files.len() >= 3);
        drop(log);
        let size = batch_bytes(&io, files.last().unwrap()).await;
        edit(&io, files.last().unwrap(), |bytes| bytes.truncate(bytes.len() - size / 2)).await;
        let log = Log::open(io.clone(), again(&dir, end.0)).await.unwrap();
        assert_eq!(log.damage().as_deref(), Some(&Damage::Holes(vec![hole(98, None, 0, 0)])));
        assert_eq!(log.log_end_offset(), Offset(98));
        assert_eq!(readable(&io, &log).await, all_but(49, &[]), "what is appended there can be read");
        log.begin_refetch(Offset(98), LeaderEpoch(7)).await.unwrap();
        drop(log);
        let log = Log::open(io.clone(), again(&dir, 90)).await.unwrap();
        assert_eq!(log.damage().as_deref(), Some(&Damage::Refetching { until: Offset(98), epoch: LeaderEpoch(7) }));
        log.forget_damage().await.unwrap();
        assert!(!io.exists(&dir.join("t-0").join(DAMAGE_FILE)).await.unwrap() && log.damage().is_none());
    });
}

#[test]
fn a_look_at_a_segment_finds_what_is_bad_and_nothing_else() {
    on_a_core(|io, dir| async move {
        for (number, (what, blow)) in BLOWS.into_iter().enumerate() {
            let dir = dir.join(number.to_string());
            let log = filled(&io, &dir, 50).await;
            let (upper, cold) = (log.log_end_offset(), log.cold_segments(log.log_end_offset()));
            assert_eq!(cold.len(), segments(&io, &dir).await.len() - 1);
            assert_eq!(log.cold_segments(Offset(cold[1].0 + 1)), cold[..1], "what is not committed may yet go");
            for &base in &cold {
                let told = std::cell::Cell::new(0);
                let verified = log
                    .verify(base, upper, async |bytes| {
                        told.set(told.get() + bytes);
                        true
                    })
                    .await
                    .unwrap();
                let file = dir.join("t-0").join(format!("{:020}.log", base.0));
                let bytes = io.read_file(&file).await.unwrap().len() as u64;
                assert_eq!((verified.bytes, verified.holes.len()), (bytes, 0));
            }
            let path = &segments(&io, &dir).await[1];
            let size = batch_bytes(&io, path).await;
            edit(&io, path, |bytes| {
                blow(bytes, 2 * size, size);
                blow(bytes, 3 * size, size);
                blow(bytes, 8 * size, size);
            })
            .await;
            let base = cold[1].0;
            let verified = log.verify(cold[1], upper, async |_| true).await.unwrap();
            let at = |batch: usize| (batch * size) as u64;
            let expected = vec![hole(base + 4, Some(base + 8), at(2), at(4)), hole(base + 16, Some(base + 18), at(8), at(9))];
            assert_eq!(merged(verified.holes.iter().copied()), expected, "{what}");
            assert!(log.note_holes(&verified.holes).await.unwrap() && !log.note_holes(&verified.holes).await.unwrap());
            let missing = [base + 4, base + 6, base + 16];
            assert_eq!(readable(&io, &log).await, all_but(50, &missing), "{what}");
            assert_eq!(log.verify(cold[1], Offset(base + 10), async |_| true).await.unwrap().holes.len(), 1, "below the limit");
        }
    });
}
