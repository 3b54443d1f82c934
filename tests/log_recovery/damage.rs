//! A tail cut and a byte flipped at every position of whatever lies in a partition's directory or beside it.

use super::support::{DIR, EPOCH_MS, LOG_DIR, Model, batch, check, enter_producers, how, partition, small, to_append};
use flumen::io::sim::{Crash, HostId, Options, World};
use flumen::log::{CheckpointKind, Log, LogDir, LogError, MetaProperties, OffsetCheckpoint};
use flumen::model::{LeaderEpoch, Offset, ProducerId, TopicId};
use flumen::record::{Batches, Codec};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A log dir after a stop: its files, what was appended, and the log end offset.
struct Image {
    files: Vec<(PathBuf, Vec<u8>)>,
    model: Model,
    end: i64,
    clean: bool,
    /// A bug in who opens it.
    planted: Option<&'static str>,
}

async fn write_log(io: flumen::io::Io, model: Rc<RefCell<Model>>, clean: bool) -> i64 {
    let path = Path::new(LOG_DIR);
    let meta = MetaProperties { cluster_id: "c".into(), node_id: 1, directory_id: TopicId([3; 16]) };
    LogDir::format(&io, path, &meta).await.unwrap();
    let dir = LogDir::open(io.clone(), path, 1, Some("c")).await.unwrap();
    let log = Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, true)).await.unwrap();
    for at in 0..60 {
        let codec = if at % 2 == 0 { Codec::None } else { Codec::Lz4 };
        let sequence = model.borrow().next_sequence();
        let size = if at == 59 { 10 } else { 150 };
        let one = batch(codec, 2, EPOCH_MS + at * 10, size, Some(sequence));
        let batches = to_append(&[one], log.log_end_offset(), LeaderEpoch(1 + i32::from(at > 30)));
        enter_producers(&log, &batches);
        model.borrow_mut().begin(&batches);
        log.append(batches).await.unwrap();
        if at == 40 {
            log.flush(log.log_end_offset()).await.unwrap();
        }
    }
    log.delete_records(Offset(7)).await.unwrap();
    if clean {
        log.close().await.unwrap();
        dir.mark_clean_shutdown(5).await.unwrap();
    }
    let one = |offset| OffsetCheckpoint::from([(partition(), offset)]);
    dir.write_checkpoint(CheckpointKind::RecoveryPoint, &one(log.recovery_point())).await.unwrap();
    dir.write_checkpoint(CheckpointKind::LogStart, &one(log.log_start_offset())).await.unwrap();
    dir.write_checkpoint(CheckpointKind::HighWatermark, &one(log.log_end_offset())).await.unwrap();
    log.log_end_offset().0
}

fn image(clean: bool) -> Image {
    let world = World::new(11, Options::default());
    let host = world.add_host("broker", 1);
    let model = Rc::new(RefCell::new(Model::default()));
    let inside = model.clone();
    let end = world.run(host, move |io| write_log(io, inside, clean));
    world.crash(host, Crash::Kill);
    let disk = world.disk(host);
    let files = disk.files().into_iter().map(|path| (path.clone(), disk.read(&path).unwrap())).collect();
    let model = model.borrow().clone();
    Image { files, model, end, clean, planted: None }
}

impl Image {
    fn file(&self, path: &Path) -> &[u8] {
        &self.files.iter().find(|(other, _)| other == path).expect("the image has the file").1
    }

    fn last(&self, suffix: &str) -> PathBuf {
        let of_kind = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == suffix);
        self.files.iter().map(|(path, _)| path).filter(of_kind).max().unwrap().clone()
    }

    fn first(&self, suffix: &str) -> PathBuf {
        let of_kind = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == suffix);
        self.files.iter().map(|(path, _)| path).filter(of_kind).min().unwrap().clone()
    }

    fn restore(&self) -> (World, HostId) {
        let world = World::new(12, Options { planted: self.planted, ..Options::default() });
        let host = world.add_host("broker", 1);
        for (path, content) in &self.files {
            world.disk(host).put(path, content.clone());
        }
        (world, host)
    }

    /// Opens the dir as a broker does. `Ok`: log start and end offset; all between was checked.
    fn open(&self, damage: impl FnOnce(&mut Vec<u8>), path: &Path) -> Result<(i64, i64), String> {
        let (world, host) = self.restore();
        assert!(world.disk(host).edit(path, damage));
        let model = self.model.clone();
        world.run(host, move |io| async move {
            let text = |error: &dyn std::fmt::Display| error.to_string();
            let dir = LogDir::open(io.clone(), Path::new(LOG_DIR), 1, Some("c")).await.map_err(|e| text(&e))?;
            let point = dir.read_checkpoint(CheckpointKind::RecoveryPoint).await.map_err(|e| text(&e))?;
            let starts = dir.read_checkpoint(CheckpointKind::LogStart).await.map_err(|e| text(&e))?;
            dir.read_checkpoint(CheckpointKind::HighWatermark).await.map_err(|e| text(&e))?;
            dir.partitions().await.map_err(|e| text(&e))?;
            let of = |offsets: &OffsetCheckpoint| offsets.get(&partition()).copied().unwrap_or(Offset::ZERO);
            let how = how(small(), of(&point), of(&starts), dir.clean_shutdown().is_some());
            let log = Log::open(io.clone(), how).await.map_err(|e| text(&e))?;
            let found = check(&io, &log, &model).await.map_err(|e| text(&e))?;
            check_times(&log, &found).await.map_err(|e| text(&e))?;
            let producers = log.producers().borrow();
            let entry = producers.get(ProducerId(4)).expect("the producer is remembered");
            assert_eq!(i64::from(entry.last_sequence()) + 1, log.log_end_offset().0, "one sequence for each offset");
            Ok((log.log_start_offset().0, log.log_end_offset().0))
        })
    }
}

async fn check_times(log: &Log, found: &std::collections::BTreeMap<i64, bytes::Bytes>) -> Result<(), LogError> {
    for (base, bytes) in found {
        let header = flumen::record::BatchHeader::parse(bytes).unwrap();
        let got = log.offset_for_timestamp(header.max_timestamp, log.log_end_offset()).await?;
        let got = got.expect("a record with this timestamp");
        assert_eq!(got.offset.0, *base + i64::from(header.last_offset_delta), "timestamp {}", header.max_timestamp);
    }
    Ok(())
}

fn images() -> [Image; 2] {
    [image(false), image(true)]
}

/// Cuts at and flips each byte of `range`.
fn each_byte(
    image: &Image,
    path: &Path,
    range: std::ops::Range<usize>,
    mut expect: impl FnMut(Result<(i64, i64), String>, &str),
) {
    for at in range {
        expect(
            image.open(|content| content.truncate(at), path),
            &format!("{} cut at {at}, clean {}", path.display(), image.clean),
        );
        for flip in [0x01, 0xff] {
            let what = format!("{} byte {at} flipped by {flip:#x}, clean {}", path.display(), image.clean);
            expect(image.open(|content| content[at] ^= flip, path), &what);
        }
    }
}

fn all_there(image: &Image) -> impl Fn(Result<(i64, i64), String>, &str) + '_ {
    move |result, what| assert_eq!(result, Ok((7, image.end)), "{what}")
}

#[test]
fn the_undamaged_image_opens() {
    for image in images() {
        let last = image.last("log");
        assert_eq!(image.open(|_| {}, &last), Ok((7, image.end)));
        assert_eq!(image.end, 120);
        assert!(image.files.len() > 12 && !image.file(&image.first("index")).is_empty());
    }
}

fn damage_the_last_batch(planted: Option<&'static str>) {
    for image in images() {
        let image = Image { planted, ..image };
        let path = image.last("log");
        let content = image.file(&path).to_vec();
        let last = Batches::new(&content).map(|batch| batch.unwrap()).last().unwrap();
        let range = last.position..last.position + last.bytes.len();
        let before = last.header.base_offset.0;
        each_byte(&image, &path, range, |result, what| {
            // The leader epoch is not under the CRC; a batch with another epoch is not the one that was appended, and `check` tells.
            let (start, end) = result.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(start == 7 && end == before, "{what}: ends at {end}");
        });
    }
}

#[test]
fn the_last_batch() {
    damage_the_last_batch(None);
    let bug = || damage_the_last_batch(Some("recovery trusts checksums"));
    assert!(std::panic::catch_unwind(bug).is_err(), "a planted bug that was not found");
}

#[test]
fn an_index_entry() {
    for image in images() {
        for path in [image.first("index"), image.last("index")] {
            // Entries of an active segment gather in memory; after a kill the file may have none.
            let Some(filled) = image.file(&path).iter().rposition(|&byte| byte != 0) else { continue };
            let end = (filled + 1).next_multiple_of(8);
            each_byte(&image, &path, end - 8..end, all_there(&image));
        }
    }
}

#[test]
fn a_time_index_entry() {
    for image in images() {
        for path in [image.first("timeindex"), image.last("timeindex")] {
            // Entries of an active segment gather in memory; after a kill the file may have none.
            let Some(filled) = image.file(&path).iter().rposition(|&byte| byte != 0) else { continue };
            let end = (filled + 1).next_multiple_of(12);
            each_byte(&image, &path, end - 12..end, all_there(&image));
        }
    }
}

#[test]
fn a_producer_snapshot() {
    for image in images() {
        let path = image.last("snapshot");
        let len = image.file(&path).len();
        each_byte(&image, &path, 0..len, all_there(&image));
    }
}

#[test]
fn an_index_file_that_is_gone() {
    for image in images() {
        for suffix in ["index", "timeindex", "snapshot"] {
            for path in [image.first(suffix), image.last(suffix)] {
                let (world, host) = image.restore();
                assert!(world.disk(host).remove(&path));
                let left: Vec<_> = world.disk(host).files();
                let files = left.iter().map(|path| (path.clone(), world.disk(host).read(path).unwrap())).collect();
                let image = Image { files, model: image.model.clone(), ..image };
                assert_eq!(image.open(|_| {}, &image.last("log")), Ok((7, image.end)), "{} gone", path.display());
            }
        }
    }
}

/// Text files without a checksum: a digit may become another digit. Then the log may start or be recovered from elsewhere, but
/// what it serves is what was appended, up to the same end.
#[test]
fn checkpoints() {
    let files = [
        format!("{LOG_DIR}/recovery-point-offset-checkpoint"),
        format!("{LOG_DIR}/log-start-offset-checkpoint"),
        format!("{LOG_DIR}/replication-offset-checkpoint"),
        format!("{LOG_DIR}/meta.properties"),
        format!("{DIR}/partition.metadata"),
    ];
    for image in images() {
        for path in files.iter().map(Path::new) {
            let (mut opened, mut refused) = (0, 0);
            let len = image.file(path).len();
            each_byte(&image, path, 0..len, |result, what| match result {
                Ok((start, end)) => {
                    assert_eq!(end, image.end, "{what}");
                    assert!((0..=end).contains(&start), "{what}");
                    opened += 1;
                }
                Err(error) => {
                    assert!(error.len() > 10, "{what}: {error}");
                    refused += 1;
                }
            });
            assert!(refused > len, "{}: {refused} refused, {opened} opened", path.display());
        }
    }
}

/// A digit may become another digit here, too: no record is lost by it. What is cut is found again in the log.
#[test]
fn the_epoch_checkpoint() {
    for mut image in images() {
        let path = Path::new(DIR).join("leader-epoch-checkpoint");
        let len = image.file(&path).len();
        for at in 0..len {
            let cut = image.open(|content| content.truncate(at), &path);
            assert_eq!(cut, Ok((7, image.end)), "cut at {at}");
        }
        image.model.any_epoch = true;
        each_byte(&image, &path, 0..len, all_there(&image));
    }
}

/// A message of Kafka's format v1 at offset 0, without a key, value "hi".
const OLD_MESSAGE: [u8; 36] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 84, 103, 108, 9, 1, 0, 0, 0, 1, 158, 112, 68, 136, 0, 255, 255, 255, 255, 0, 0, 0, 2,
    104, 105,
];

/// A log of an old format must not be cut to nothing; the head of a batch that a power loss has torn behind its length looks like one.
#[test]
fn an_old_message_is_refused_and_a_torn_head_is_cut() {
    let world = World::new(5, Options::default());
    let host = world.add_host("broker", 1);
    world.run(host, |io| async move {
        io.create_dir_all(Path::new(LOG_DIR)).await.unwrap();
        drop(Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, true)).await.unwrap());
        let file = Path::new(DIR).join("00000000000000000000.log");
        let open = || Log::open(io.clone(), how(small(), Offset::ZERO, Offset::ZERO, false));
        io.replace_file(&file, OLD_MESSAGE.to_vec().into()).await.unwrap();
        let refused = open().await.err().unwrap().to_string();
        assert!(refused.contains("message format v1 is not supported"), "{refused}");

        let batches: Vec<_> = (0..2).map(|_| batch(Codec::None, 2, EPOCH_MS, 100, None)).collect();
        let batches = to_append(&batches, Offset::ZERO, LeaderEpoch(0));
        let whole: Vec<Vec<u8>> = batches.iter().map(|batch| super::support::numbered(batch).to_vec()).collect();
        for torn_from in 12..=16 {
            let mut torn = whole.concat();
            torn[torn_from..whole[0].len()].fill(0);
            io.replace_file(&file, torn.into()).await.unwrap();
            let log = open().await.unwrap();
            assert_eq!(log.log_end_offset(), Offset::ZERO, "torn from byte {torn_from} on");
        }
    });
}
