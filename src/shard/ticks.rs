//! What happens without anybody asking: checkpoints, `flush.ms`, retention and roll by age, forgotten producers.
//!
//! One task a duty and core. Each goes over this core's partitions and yields in between; a pass that takes long only delays its own
//! next one.

use super::core::Core;
use super::partition::Partition;
use crate::log::{CheckpointKind, LogError};
use crate::replica::Input;
use std::rc::Rc;
use std::time::Duration;

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
            self.every(interval, async move |core: Rc<Self>| {
                // Waited for, so that a slow device is not asked twice.
                for written in core.send_offsets(kind) {
                    let _ = written.await;
                }
            });
        }
        self.every(settings.flush_check_interval, async |core: Rc<Self>| core.for_all(flush_if_due).await);
        self.every(settings.retention_check_interval, async |core: Rc<Self>| core.for_all(apply_retention).await);
        self.every(settings.producer_id_expiration_check_interval, async |core: Rc<Self>| {
            let (now_ms, expiration) = (core.io.wall_clock_ms(), core.settings.producer_id_expiration_ms);
            for partition in core.all_partitions() {
                partition.log.producers().borrow_mut().expire(now_ms, expiration);
                core.io.yield_if_needed().await;
            }
        });
    }

    fn every(self: &Rc<Self>, interval: Duration, duty: impl AsyncFn(Rc<Self>) + 'static) {
        let core = self.clone();
        self.io.spawn(async move {
            while core.sleep(interval).await {
                duty(core.clone()).await;
            }
        });
    }

    /// Sleeps in steps, so that a stop is noticed soon; whether the broker goes on.
    async fn sleep(&self, interval: Duration) -> bool {
        let until = self.io.now().after(interval);
        let mut sleep = std::pin::pin!(self.io.sleep_until(until));
        loop {
            let changed = std::pin::pin!(self.changed.notified());
            if self.is_stopping() {
                return false;
            }
            if self.io.now() >= until {
                return true;
            }
            futures_util::future::select(changed, sleep.as_mut()).await;
        }
    }

    async fn for_all(self: &Rc<Self>, duty: impl AsyncFn(&Rc<Partition>, &Rc<Self>) -> Result<(), LogError>) {
        for partition in self.all_partitions() {
            if self.is_stopping() {
                return;
            }
            if partition.is_closed() || self.is_offline(partition.dir) {
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
    let config = partition.log.config();
    let asked_for = config.flush_ms < i64::MAX || config.flush_messages < i64::MAX;
    if asked_for && partition.log.flush_if_due().await? {
        partition.on_flushed(core, partition.log.recovery_point());
    }
    Ok(())
}

async fn apply_retention(partition: &Rc<Partition>, core: &Rc<Core>) -> Result<(), LogError> {
    let high_watermark = partition.state().replica.high_watermark();
    let deleted = partition.log.apply_retention(high_watermark).await?;
    if deleted > 0 {
        let offset = partition.log.log_start_offset();
        partition.on_event(core, Input::LogStartMoved { offset });
        tracing::info!(partition = %partition.name, segments = deleted, log_start = %offset, "retention deleted segments");
    }
    Ok(())
}
