//! The way into a partition's log: one write at a time, the next turn's batches gather meanwhile.

use super::core::Core;
use super::partition::Partition;
use crate::log::{AppendBatch, LogError};
use crate::model::{ErrorCode, LeaderEpoch, Offset};
use std::rc::Rc;

/// Bytes that one write may take at least: a larger batch goes alone.
const MAX_WRITE_BYTES: usize = 4 << 20;

impl Partition {
    /// Begins to empty the queue. The task is first polled after this turn, so everything that this turn brings goes in one write.
    pub(super) fn start_writing(self: &Rc<Self>, core: &Rc<Core>) {
        let (partition, core) = (self.clone(), core.clone());
        let io = core.io.clone();
        io.spawn(async move { partition.write_all(&core).await });
    }

    async fn write_all(self: Rc<Self>, core: &Rc<Core>) {
        loop {
            let Some(batches) = self.next_write(core) else { return };
            let bytes = batches.iter().map(|batch| batch.bytes.len() as u64).sum();
            match self.log.append(batches).await {
                Ok(appended) => {
                    self.on_written(core, appended.log_end_offset, bytes);
                    self.flush_as_configured(core);
                }
                Err(error) => {
                    // Where a segment was rolled in between, the batches before it are in the log.
                    let end = self.log.log_end_offset();
                    if end > self.state().replica.log_end() {
                        self.on_written(core, end, bytes);
                    }
                    self.on_append_failed(core, &error);
                }
            }
            core.io.yield_if_needed().await;
        }
    }

    /// What goes into the next write; without anything the task ends.
    fn next_write(self: &Rc<Self>, core: &Rc<Core>) -> Option<Vec<AppendBatch>> {
        let mut state = self.state_mut();
        let mut bytes = 0;
        let count = state.queue.iter().take_while(|batch| {
            bytes += batch.bytes.len();
            bytes <= MAX_WRITE_BYTES
        });
        let count = count.count().max(1).min(state.queue.len());
        if count == 0 {
            state.writing = false;
            self.on_written_all(core, state);
            return None;
        }
        Some(state.queue.drain(..count).collect())
    }

    pub(super) fn flush_as_configured(self: &Rc<Self>, core: &Rc<Core>) {
        let config = self.log.config();
        let unflushed = self.log.log_end_offset().0 - self.log.recovery_point().0;
        if unflushed >= config.flush_messages {
            self.start_flushing(core);
        }
    }

    /// Begins to flush; what is written meanwhile shares the next flush.
    pub(super) fn start_flushing(self: &Rc<Self>, core: &Rc<Core>) {
        if std::mem::replace(&mut self.state_mut().flushing, true) {
            return;
        }
        let (partition, core) = (self.clone(), core.clone());
        let io = core.io.clone();
        io.spawn(async move {
            let flushed = partition.flush_all(&core).await;
            partition.state_mut().flushing = false;
            if let Err(error) = flushed {
                partition.device_failed(&core, "flush", &error);
            }
        });
    }

    async fn flush_all(self: &Rc<Self>, core: &Rc<Core>) -> Result<(), LogError> {
        loop {
            let end = self.log.log_end_offset();
            self.log.flush(end).await?;
            self.on_flushed(core);
            let unflushed = self.log.log_end_offset().0 - self.log.recovery_point().0;
            if unflushed < self.log.config().flush_messages.max(1) {
                return Ok(());
            }
        }
    }

    /// This broker leads from `start` on: the log notes it before the first batch of the epoch, whose append comes after.
    pub(super) async fn note_epoch(self: &Rc<Self>, core: &Rc<Core>, epoch: LeaderEpoch, start: Offset) {
        if core.io.planted("leader epochs are not noted") {
            return;
        }
        if let Err(error) = self.log.assign_epoch_start(epoch, start).await {
            self.device_failed(core, "leader-epoch-checkpoint", &error);
        }
    }

    /// No batch behind the log's end is in the log, and none that was judged after them may follow.
    fn on_append_failed(self: &Rc<Self>, core: &Rc<Core>, error: &LogError) {
        if matches!(error, LogError::Closed) && self.is_closed() {
            self.on_write_failed(core, ErrorCode::NotLeaderOrFollower, "the partition is closed");
            return;
        }
        self.on_write_failed(core, error.code(), &error.to_string());
        self.device_failed(core, "append", error);
    }

    /// An operation of the log failed; if it was the device, the log dir goes offline, and with it everything that waits here. A
    /// write that is under way ends by itself and finds that nobody leads any more.
    pub(super) fn device_failed(self: &Rc<Self>, core: &Rc<Core>, operation: &str, error: &LogError) {
        match error {
            LogError::Storage(_) => core.dir_failed(self.dir(), &error.to_string()),
            LogError::NoDescriptor(_) => {}
            // A client's mistake, or a partition that is on its way out.
            LogError::OffsetOutOfRange { .. } | LogError::RecordListTooLarge { .. } | LogError::Closed => return,
            // Told of when it was found.
            LogError::Damaged { .. } => return,
            LogError::Corrupt { .. } | LogError::UnexpectedAppendOffset { .. } | LogError::InconsistentTopicId { .. } => {}
        }
        core.look_at_segment_of(self, error);
        tracing::error!(partition = %self.name, operation, %error, "the log failed");
    }
}
