//! The entry for fuzzers: any bytes as a segment file.

use super::{Log, LogConfig, OpenLog, ReadRequest};
use crate::io::sim::{Options, World};
use crate::model::{Offset, PartitionIndex, TopicId, TopicPartition};
use crate::record::Batches;
use std::path::PathBuf;

/// Opens a log whose only segment file holds `bytes`, as an unclean stop (or, by the first byte, a clean one) may have left it.
/// Whatever they are, nothing panics, and what the log then serves are whole batches with a good CRC and offsets that grow.
///
/// # Panics
/// If that is not so.
pub fn fuzz_recovery(bytes: &[u8]) {
    let (clean_shutdown, bytes) = bytes.split_first().map_or((false, bytes), |(first, rest)| (first & 1 == 1, rest));
    let world = World::new(1, Options::default());
    let host = world.add_host("host", 1);
    world.disk(host).put("/data/t-0/00000000000000000000.log", bytes.to_vec());
    world.run(host, move |io| async move {
        let open = OpenLog {
            dir: PathBuf::from("/data/t-0"),
            partition: TopicPartition::new("t", PartitionIndex(0)),
            topic_id: TopicId([7; 16]),
            config: LogConfig { index_interval_bytes: 64, ..LogConfig::default() },
            recovery_point: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
            cleaned: None,
            clean_shutdown,
            progress: None,
        };
        let Ok(log) = Log::open(io.clone(), open).await else { return };
        let mut next = log.log_start_offset();
        while next < log.log_end_offset() {
            let request = ReadRequest { offset: next, max_bytes: 1, upper: log.log_end_offset(), at_least_one_batch: true };
            let plan = log.read(request).await.expect("what recovery has kept can be read");
            assert_eq!(plan.slices.len(), 1, "one batch lies in one segment");
            let slice = &plan.slices[0];
            let bytes = slice.file.read_at(&io, slice.position, slice.len as usize).await.expect("the disk is good");
            let batch = Batches::new(&bytes).next().expect("a batch").expect("a whole one");
            assert!(batch.crc_is_valid(), "a corrupt batch is served");
            assert!(batch.header.last_offset() >= next, "the batch that holds the offset");
            next = batch.header.last_offset().plus(1);
        }
        // The payload of a batch may be nonsense behind a good CRC: an error then, or an answer.
        let _ = log.offset_for_timestamp(0, log.log_end_offset()).await;
    });
}
