//! Compaction of this core's logs: which one is next, and what becomes of one that fails.
//!
//! The task begins with the first compacted partition of the core. The dirtiest log goes first, one at a time, until none is worth it;
//! then it waits for `log.cleaner.backoff.ms`. A log that cannot be compacted is left alone and goes on being written and read.

#[cfg(all(test, feature = "sim"))]
mod settings_tests;
#[cfg(test)]
mod tests;

use super::core::Core;
use super::partition::Partition;
use crate::io::Mono;
use crate::log::{CheckpointKind, CleanReport, Cleanable, Cleaner, CleanerLimits, LogError};
use crate::model::TopicIdPartition;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How long a log is left alone after its device has failed.
const SET_ASIDE: Duration = Duration::from_secs(600);

/// What a core knows of its compaction.
pub(super) struct Cleaning {
    cleaner: Cleaner,
    is_started: Cell<bool>,
    /// Logs that are not to be compacted, and until when; for ever if they are damaged.
    set_aside: RefCell<BTreeMap<TopicIdPartition, Option<Mono>>>,
}

impl Cleaning {
    pub(super) fn new(limits: CleanerLimits) -> Self {
        Self { cleaner: Cleaner::new(limits), is_started: Cell::new(false), set_aside: RefCell::default() }
    }

    /// From now on it may take this.
    pub(super) fn set_limits(&self, limits: CleanerLimits) {
        self.cleaner.set_limits(limits);
    }

    /// The broker stops.
    pub(super) fn stop(&self) {
        self.cleaner.stop();
    }

    fn is_set_aside(&self, id: TopicIdPartition, now: Mono) -> bool {
        self.set_aside.borrow().get(&id).is_some_and(|until| until.is_none_or(|until| now < until))
    }
}

impl Core {
    /// This core has a compacted partition.
    pub(super) fn start_cleaner(self: &Rc<Self>) {
        if !self.settings.cleaner_enable || self.cleaning.is_started.replace(true) {
            return;
        }
        let core = self.clone();
        self.io.spawn(async move {
            while core.sleep(|live| Duration::from_millis(live.log_cleaner_backoff_ms.max(1) as u64)).await {
                core.clean_dirty_logs().await;
            }
        });
    }

    async fn clean_dirty_logs(self: &Rc<Self>) {
        self.cleaning.set_aside.borrow_mut().retain(|id, _| self.partition(*id).is_some());
        while let Some((partition, part)) = self.dirtiest().await {
            if !self.clean(&partition, &part).await {
                break;
            }
        }
        // For what was cut or deleted: an offset of a log that is not there any more would pass off dirty records as clean.
        for written in self.send_offsets(CheckpointKind::Cleaner) {
            let _ = written.await;
        }
    }

    /// The log with the greatest part that is dirty, of those that are worth it.
    async fn dirtiest(self: &Rc<Self>) -> Option<(Rc<Partition>, Cleanable)> {
        let mut dirtiest: Option<(Rc<Partition>, Cleanable)> = None;
        for partition in self.all_partitions() {
            if self.is_stopping() {
                return None;
            }
            let passed_over = partition.is_closed() || self.is_offline(partition.dir());
            let config = partition.log.config();
            // What is damaged is fetched again; nothing is to be made of it meanwhile.
            let passed_over = passed_over || partition.log.damage().is_some();
            if passed_over || !config.cleanup_policy.compact || self.cleaning.is_set_aside(partition.id, self.io.now()) {
                continue;
            }
            let limit = partition.last_stable_offset(&partition.state());
            match partition.log.cleanable(limit).await {
                Ok(Some(part)) if part.is_due(config.min_cleanable_dirty_ratio) => {
                    if dirtiest.as_ref().is_none_or(|(_, other)| part.ratio() > other.ratio()) {
                        dirtiest = Some((partition, part));
                    }
                }
                Ok(_) => {}
                Err(error) => self.cleaning_failed(&partition, &error),
            }
            self.io.yield_if_needed().await;
        }
        dirtiest
    }

    /// Compacts one log; whether to look for the next one at once.
    async fn clean(self: &Rc<Self>, partition: &Rc<Partition>, part: &Cleanable) -> bool {
        let begun = self.io.now();
        match partition.log.clean(part, &self.cleaning.cleaner).await {
            Ok(CleanReport { clean_up_to: Some(end), bytes_read, bytes_written, records, records_kept, keys }) => {
                tracing::info!(
                    partition = %partition.name,
                    from = %part.first_dirty,
                    to = %end,
                    bytes_read,
                    bytes_written,
                    records,
                    records_kept,
                    keys,
                    ms = self.io.now().since(begun).as_millis() as u64,
                    "compacted"
                );
                self.checkpoint(CheckpointKind::Cleaner, partition.dir()).await;
                true
            }
            Ok(_) => false,
            Err(error) => {
                self.cleaning_failed(partition, &error);
                true
            }
        }
    }

    /// A log that is damaged is not compacted again before a restart, one whose device failed not for a while. Only if the log itself
    /// has failed does its log dir go offline.
    fn cleaning_failed(self: &Rc<Self>, partition: &Rc<Partition>, error: &LogError) {
        if partition.log.failure().is_some() {
            partition.device_failed(self, "compaction", error);
        }
        let until = match error {
            LogError::Closed => return,
            LogError::Corrupt { .. } => None,
            _ => Some(self.io.now().after(SET_ASIDE)),
        };
        self.look_at_segment_of(partition, error);
        tracing::error!(partition = %partition.name, %error, "the log cannot be compacted; it is left as it is");
        self.cleaning.set_aside.borrow_mut().insert(partition.id, until);
    }
}
