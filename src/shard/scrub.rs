//! Reading what nobody reads, so that damage is found while other replicas still have what is damaged.
//!
//! One task a core goes over the segments of its partitions that nobody writes to any more, one after the other and no faster than
//! `flumen.log.scrub.bytes.per.second`, and begins again after `flumen.log.scrub.interval.ms`. It begins with any partition, so that a
//! broker that is restarted often looks at all of them in the end. What a reader has met is looked at at once.

use super::core::Core;
use super::partition::Partition;
use crate::log::LogError;
use crate::model::Offset;
use std::rc::Rc;
use std::time::Duration;

/// How fast a segment is read that a reader found damaged.
const SUSPECT_BYTES_PER_SECOND: u64 = 32 << 20;
/// For how long such a segment is not looked at again.
const SUSPECT_PAUSE: Duration = Duration::from_secs(60);

impl Core {
    /// Begins to look at what was written long ago, if the settings say so.
    pub(super) fn start_scrubbing(self: &Rc<Self>) {
        if self.settings.scrub_bytes_per_second == 0 {
            return;
        }
        let core = self.clone();
        self.io.spawn(async move {
            let interval = core.settings.scrub_interval;
            let mut begun = core.io.now();
            while core.scrub_all().await {
                let next = begun.after(interval);
                if !core.sleep(|_| next.since(core.io.now())).await {
                    return;
                }
                begun = core.io.now();
            }
        });
    }

    /// One pass; false if the broker stops.
    async fn scrub_all(self: &Rc<Self>) -> bool {
        let mut partitions = self.all_partitions();
        let first = u64::from_le_bytes(self.io.random()) as usize % partitions.len().max(1);
        partitions.rotate_left(first);
        for partition in partitions {
            let high_watermark = partition.state().replica.high_watermark();
            for base in partition.log.cold_segments(high_watermark) {
                if !self.can_look_after(&partition) {
                    break;
                }
                self.scrub(&partition, base, self.settings.scrub_bytes_per_second).await;
            }
            if self.is_stopping() {
                return false;
            }
            self.io.yield_if_needed().await;
        }
        true
    }

    /// Looks at one segment, no faster than so many bytes a second.
    async fn scrub(self: &Rc<Self>, partition: &Rc<Partition>, base: Offset, bytes_per_second: u64) {
        let pace = async |bytes: u64| {
            self.repairs.scrubbed_bytes.set(self.repairs.scrubbed_bytes.get() + bytes);
            let pause = Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64);
            self.sleep(|_| pause).await && self.can_look_after(partition)
        };
        let high_watermark = partition.state().replica.high_watermark();
        match partition.log.verify(base, high_watermark, pace).await {
            Ok(verified) if !verified.holes.is_empty() => self.note_damage(partition, &verified.holes).await,
            Ok(_) => {}
            Err(error) => partition.device_failed(self, "scrub", &error),
        }
    }

    /// Something of the log could not be read: if an error names the segment, it is looked at.
    pub(super) fn look_at_segment_of(self: &Rc<Self>, partition: &Rc<Partition>, error: &LogError) {
        let Some(base) = partition.log.segment_in(error) else { return };
        if !self.repairs.suspects.borrow_mut().insert((partition.id, base)) {
            return;
        }
        let (core, partition) = (self.clone(), partition.clone());
        self.io.spawn(async move {
            core.scrub(&partition, base, SUSPECT_BYTES_PER_SECOND).await;
            core.sleep(|_| SUSPECT_PAUSE).await;
            core.repairs.suspects.borrow_mut().remove(&(partition.id, base));
        });
    }
}
