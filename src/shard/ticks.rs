//! What happens without anybody asking: checkpoints, `flush.ms`, retention and roll by age, forgotten producers.
//!
//! One task a duty and core. Each goes over this core's partitions and yields in between; a pass that takes long only delays its own
//! next one.

use super::core::Core;
use super::partition::Partition;
use crate::config::LiveConfig;
use crate::log::{CheckpointKind, Log, LogError};
use std::rc::Rc;
use std::time::Duration;

/// How often the number of open files is looked at.
const OPEN_FILES_INTERVAL: Duration = Duration::from_millis(250);

impl Core {
    /// Starts the duties of this core; they end with the broker.
    pub(super) fn start_ticks(self: &Rc<Self>) {
        let settings = &self.settings;
        for (kind, interval) in [
            (CheckpointKind::RecoveryPoint, settings.recovery_checkpoint_interval),
            (CheckpointKind::LogStart, settings.log_start_checkpoint_interval),
            (CheckpointKind::HighWatermark, settings.high_watermark_checkpoint_interval),
        ] {
            if kind == CheckpointKind::LogStart && self.io.planted("log start forgotten") {
                continue;
            }
            let first = if kind == CheckpointKind::HighWatermark { interval } else { self.first_task(interval) };
            self.every_after(first, interval, async move |core: Rc<Self>| {
                // Waited for, so that a slow device is not asked twice.
                for written in core.send_offsets(kind) {
                    let _ = written.await;
                }
            });
        }
        let interval = settings.flush_check_interval;
        self.every_after(self.first_task(interval), interval, async |core: Rc<Self>| core.flush_what_is_due().await);
        let interval = settings.retention_check_interval;
        self.every_after(self.first_task(interval), interval, async |core: Rc<Self>| core.for_all(apply_retention).await);
        self.every(OPEN_FILES_INTERVAL, async |core: Rc<Self>| core.bound_open_files().await);
        self.every(settings.offsets_retention_check_interval, async |core: Rc<Self>| core.expire_group_offsets().await);
        self.every(settings.producer_id_expiration_check_interval, async |core: Rc<Self>| {
            let (now_ms, expiration) = (core.io.wall_clock_ms(), core.live.borrow().producer_id_expiration_ms);
            for partition in core.all_partitions() {
                partition.log.producers().borrow_mut().expire(now_ms, expiration);
                core.io.yield_if_needed().await;
            }
        });
    }

    /// Most logs of most brokers never ask for it, and looking at thousands of them takes milliseconds, several times a second.
    async fn flush_what_is_due(self: &Rc<Self>) {
        // What asks from here on sets it again, whether this pass sees it or not.
        if self.flushes_asked.replace(false) {
            self.for_all(flush_if_due).await;
        }
    }

    /// Puts the logs to rest that were used longest ago, when this core has more files open than is its share.
    async fn bound_open_files(self: &Rc<Self>) {
        let share = self.io.open_files_share();
        if self.io.open_files() <= share {
            return;
        }
        let mut by_age: Vec<_> = self.all_partitions().into_iter().filter(|partition| partition.log.open_files() > 0).collect();
        by_age.sort_by_key(|partition| partition.log.last_used());
        for partition in by_age {
            // A margin, so that this is not about every single file.
            if self.io.open_files() <= share - share / 4 || self.is_stopping() {
                return;
            }
            if partition.is_busy() || partition.is_closed() || self.is_offline(partition.dir()) {
                continue;
            }
            match partition.log.rest().await {
                Ok(()) => partition.on_flushed(self),
                Err(error) => partition.device_failed(self, "closing of files", &error),
            }
            self.io.yield_if_needed().await;
        }
    }

    /// A log that has been opened keeps its files only while there are few: they are opened again by its first append or read.
    pub(super) async fn rest_if_many(&self, log: &Log) -> Result<(), LogError> {
        if self.io.open_files() > self.io.open_files_share() / 2 { log.rest().await } else { Ok(()) }
    }

    pub(super) fn every(self: &Rc<Self>, interval: Duration, duty: impl AsyncFn(Rc<Self>) + 'static) {
        self.every_after(interval, interval, duty);
    }

    fn every_after(self: &Rc<Self>, first: Duration, interval: Duration, duty: impl AsyncFn(Rc<Self>) + 'static) {
        let core = self.clone();
        self.io.spawn(async move {
            let mut wait = first;
            while core.sleep(|_| wait).await {
                duty(core.clone()).await;
                wait = interval;
            }
        });
    }

    /// When a task of the logs that runs at an interval runs for the first time.
    fn first_task(&self, interval: Duration) -> Duration {
        self.settings.initial_task_delay.unwrap_or(interval)
    }

    /// Sleeps in steps, so that a stop, and another interval, are noticed soon; whether the broker goes on.
    pub(super) async fn sleep(&self, interval: impl Fn(&LiveConfig) -> Duration) -> bool {
        let begun = self.io.now();
        loop {
            let changed = std::pin::pin!(self.changed.notified());
            let until = begun.after(interval(&self.live.borrow()));
            if self.is_stopping() {
                return false;
            }
            if self.io.now() >= until {
                return true;
            }
            let sleep = std::pin::pin!(self.io.sleep_until(until));
            futures_util::future::select(changed, sleep).await;
        }
    }

    async fn for_all(self: &Rc<Self>, duty: impl AsyncFn(&Rc<Partition>, &Rc<Self>) -> Result<(), LogError>) {
        for partition in self.all_partitions() {
            if self.is_stopping() {
                return;
            }
            if partition.is_closed() || self.is_offline(partition.dir()) {
                continue;
            }
            if let Err(error) = duty(&partition, self).await {
                partition.device_failed(self, "periodic work", &error);
            }
            self.io.yield_if_needed().await;
        }
    }
}

async fn flush_if_due(partition: &Rc<Partition>, core: &Rc<Core>) -> Result<(), LogError> {
    if !partition.log.config().asks_for_flushes() {
        return Ok(());
    }
    core.flushes_asked.set(true);
    if partition.log.flush_if_due().await? {
        partition.on_flushed(core);
    }
    Ok(())
}

async fn apply_retention(partition: &Rc<Partition>, core: &Rc<Core>) -> Result<(), LogError> {
    let high_watermark = partition.state().replica.high_watermark();
    let deleted = partition.log.apply_retention(high_watermark).await?;
    if deleted > 0 {
        partition.on_log_start_moved(core);
        let log_start = partition.log.log_start_offset();
        tracing::info!(partition = %partition.name, segments = deleted, %log_start, "retention deleted segments");
    }
    Ok(())
}
