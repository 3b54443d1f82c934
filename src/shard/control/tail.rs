//! The metadata log as a node reads it that is no voter: what was fetched, what of it is committed, and what the committed part has made.
//!
//! Apache Kafka's leader sends records that are not committed yet, and takes them back when it loses its leadership (ours does not). So
//! batches wait here until the high watermark has passed them, a leader of a later epoch may cut off those that wait, and whoever wants to
//! cut off more contradicts what was committed.

use crate::controller::{Loader, MetadataDelta, MetadataImage};
use crate::model::Offset;
use crate::quorum::{decode_batch, decode_snapshot};
use crate::record::{Batch, Batches};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most bytes that wait to be committed. What comes beyond is dropped, and fetched again later.
const MOST_WAITING_BYTES: usize = 64 << 20;

/// The log, and what it has made.
#[derive(Default)]
pub(super) struct Tail {
    /// Of what is committed.
    loader: Loader,
    /// What is not, as far as this node knows.
    waiting: VecDeque<Fetched>,
    waiting_bytes: usize,
}

/// A batch.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    /// Offset behind it.
    next: Offset,
    epoch: i32,
    bytes: Bytes,
}

impl Fetched {
    /// Bytes of the batch.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Applies it.
    ///
    /// # Errors
    /// It cannot be read, or does not fit.
    pub(super) fn apply(&self, loader: &mut Loader) -> Result<MetadataDelta, String> {
        let batch = Batch::parse(&self.bytes).map_err(|error| error.to_string())?;
        let records = decode_batch(&batch)?;
        loader.load(&records, self.next, self.epoch).map_err(|error| error.to_string())
    }
}

impl Tail {
    /// End of what was fetched, and epoch of the last record in it: where to go on.
    pub(super) fn end(&self) -> (Offset, i32) {
        let committed = self.loader.image();
        self.waiting.back().map_or_else(|| (committed.next_offset(), committed.epoch()), |last| (last.next, last.epoch))
    }

    /// Takes what was fetched at [`Tail::end`]. A batch that is not whole is left for the next fetch.
    ///
    /// # Errors
    /// Something else came than what was asked for.
    pub(super) fn append(&mut self, bytes: &Bytes) -> Result<(), String> {
        for batch in Batches::new(bytes) {
            // The last one may be cut by the size of the answer.
            let Ok(batch) = batch else { break };
            let (header, (end, epoch)) = (batch.header, self.end());
            if header.next_offset() <= end {
                continue;
            }
            if header.base_offset != end {
                return Err(format!("the batch at {} does not follow the end, {end}", header.base_offset));
            }
            if header.partition_leader_epoch.0 < epoch {
                return Err(format!("the batch at {end} is of an epoch before {epoch}"));
            }
            if self.waiting_bytes + batch.bytes.len() > MOST_WAITING_BYTES && !self.waiting.is_empty() {
                break;
            }
            self.waiting_bytes += batch.bytes.len();
            // A copy: the answer that it came in is larger.
            let bytes = Bytes::copy_from_slice(batch.bytes);
            self.waiting.push_back(Fetched { next: header.next_offset(), epoch: header.partition_leader_epoch.0, bytes });
        }
        Ok(())
    }

    /// The next batch that is committed; to be applied to [`Tail::take_loader`], and given back by [`Tail::applied`], before anything else.
    pub(super) fn take_committed(&mut self, high_watermark: Offset) -> Option<Fetched> {
        let next = self.waiting.pop_front_if(|first| first.next <= high_watermark)?;
        self.waiting_bytes -= next.size();
        Some(next)
    }

    /// The committed metadata, to apply the next batch to. They are not kept here too, or each batch of many would copy them once more.
    pub(super) fn take_loader(&mut self) -> Loader {
        std::mem::take(&mut self.loader)
    }

    /// The metadata with the next batch.
    pub(super) fn applied(&mut self, loader: Loader) {
        self.loader = loader;
    }

    /// The committed metadata.
    pub(super) fn image(&self) -> Arc<MetadataImage> {
        self.loader.image().clone()
    }

    /// The leader's log parts from this one: its largest epoch that is not above ours ends at `end`.
    ///
    /// # Errors
    /// That would take back what was committed.
    pub(super) fn truncate(&mut self, epoch: i32, end: Offset) -> Result<(), String> {
        let committed = self.loader.image().next_offset();
        if end < committed {
            return Err(format!("the leader's log parts from ours at {end}, but it is committed up to {committed}"));
        }
        while let Some(last) = self.waiting.pop_back_if(|last| last.epoch > epoch || last.next > end) {
            self.waiting_bytes -= last.size();
        }
        Ok(())
    }

    /// Puts a snapshot, which ends at `end` with a record of `epoch`, in the place of all that is there. Returns what is new in it.
    ///
    /// # Errors
    /// It is not whole, does not fit, or ends before what was committed.
    pub(super) fn restart(&mut self, content: &[u8], end: Offset, epoch: i32) -> Result<MetadataDelta, String> {
        let before = self.loader.image();
        if end < before.next_offset() {
            return Err(format!("a snapshot ends at {end}, before what is committed, {}", before.next_offset()));
        }
        let mut loader = Loader::default();
        loader.load(&decode_snapshot(content)?, end, epoch).map_err(|error| error.to_string())?;
        let delta = MetadataDelta::between(before, loader.image());
        *self = Self { loader, ..Self::default() };
        Ok(delta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LeaderEpoch;
    use crate::protocol::MetadataRecord;
    use crate::protocol::generated::{FeatureLevelRecord, NoOpRecord};
    use crate::record::{BatchBuilder, Compression};

    fn batch(base: i64, epoch: i32, records: i64) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::NONE).base_offset(Offset(base)).leader_epoch(LeaderEpoch(epoch));
        for _ in 0..records {
            let record = MetadataRecord::from(NoOpRecord::default());
            builder.append(1, None, Some(&record.to_bytes(0).unwrap()));
        }
        builder.build()
    }

    fn commit(tail: &mut Tail, high_watermark: i64) {
        while let Some(batch) = tail.take_committed(Offset(high_watermark)) {
            let mut loader = tail.take_loader();
            batch.apply(&mut loader).unwrap();
            tail.applied(loader);
        }
    }

    fn committed(tail: &Tail) -> (i64, i32) {
        (tail.image().next_offset().0, tail.image().epoch())
    }

    #[test]
    fn batches_count_once_the_high_watermark_has_passed_them() {
        let mut tail = Tail::default();
        tail.append(&Bytes::from([batch(0, 1, 2), batch(2, 1, 3), batch(5, 2, 1)].concat())).unwrap();
        assert_eq!(tail.end(), (Offset(6), 2));
        commit(&mut tail, 4);
        assert_eq!(committed(&tail), (2, 1));
        commit(&mut tail, 6);
        assert_eq!((committed(&tail), tail.end(), tail.waiting_bytes), ((6, 2), (Offset(6), 2), 0));
    }

    #[test]
    fn what_was_fetched_before_and_a_torn_end_are_passed_over() {
        let mut tail = Tail::default();
        tail.append(&batch(0, 1, 2)).unwrap();
        let torn = batch(2, 1, 2);
        tail.append(&Bytes::from([batch(0, 1, 2), torn.slice(..torn.len() - 1)].concat())).unwrap();
        assert_eq!(tail.end(), (Offset(2), 1));
        assert!(tail.append(&batch(5, 1, 1)).is_err(), "a gap");
        assert!(tail.append(&batch(2, 0, 1)).is_err(), "an epoch that is over");
    }

    #[test]
    fn a_new_leader_cuts_off_what_was_not_committed_and_nothing_else() {
        let mut tail = Tail::default();
        tail.append(&Bytes::from([batch(0, 1, 2), batch(2, 1, 2), batch(4, 3, 2), batch(6, 3, 1)].concat())).unwrap();
        commit(&mut tail, 2);
        tail.truncate(2, Offset(5)).unwrap();
        assert_eq!(tail.end(), (Offset(4), 1));
        assert!(tail.truncate(1, Offset(1)).is_err());
        tail.truncate(1, Offset(2)).unwrap();
        assert_eq!((tail.end(), tail.waiting_bytes), ((Offset(2), 1), 0));
        tail.append(&batch(2, 4, 1)).unwrap();
        assert_eq!(tail.end(), (Offset(3), 4));
    }

    #[test]
    fn a_snapshot_begins_anew_and_tells_what_it_has_changed() {
        let mut tail = Tail::default();
        tail.append(&batch(0, 1, 2)).unwrap();
        commit(&mut tail, 2);
        let level = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 20, ..Default::default() };
        let content = crate::quorum::encode_snapshot(&[level.into()], 20, 3, 1, 1).unwrap();
        assert!(tail.restart(&content, Offset(1), 3).is_err(), "it goes back");
        assert!(tail.restart(&content[..content.len() - 1], Offset(9), 3).is_err(), "it has no end");
        let delta = tail.restart(&content, Offset(9), 3).unwrap();
        assert!(delta.features && delta.brokers.is_empty());
        assert_eq!((committed(&tail), tail.image().metadata_version()), ((9, 3), Some(20)));
    }
}
