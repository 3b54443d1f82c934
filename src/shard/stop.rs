//! A clean stop: no record is left in a buffer, and the next start has nothing to recover.

use super::Shards;
use super::core::{Core, FIRST_CORE};
use super::message::Message;
use std::rc::Rc;
use std::time::Duration;

/// How often a write under way is looked at.
const BUSY_INTERVAL: Duration = Duration::from_millis(1);

impl Shards {
    /// Stops cleanly: refuses new work, finishes writes, flushes and closes logs, writes checkpoints and, when every log is flushed,
    /// the clean-shutdown marker. To be called on every core, after its connections have ended; returns when all cores have stopped.
    pub async fn stop(&self) {
        let core = self.core();
        core.begin_stop();
        core.end_coordinations();
        let clean = core.close_partitions().await;
        core.send(FIRST_CORE, Message::Closed { clean });
        if core.index == FIRST_CORE {
            core.lead_stop().await;
        }
        loop {
            let changed = core.changed.notified();
            if core.halted.get() {
                return;
            }
            changed.await;
        }
    }
}

impl Core {
    /// Finishes writes and closes this core's logs; whether all went well.
    async fn close_partitions(self: &Rc<Self>) -> bool {
        let mut clean = true;
        for partition in self.all_partitions() {
            partition.close();
            while partition.is_busy() {
                self.io.sleep(BUSY_INTERVAL).await;
            }
            if self.is_offline(partition.dir()) {
                // Its dir gets no marker either; the others do.
                continue;
            }
            if let Err(error) = partition.log.close().await {
                tracing::error!(partition = %partition.name, %error, "the log was not closed cleanly");
                clean = false;
                if error.is_storage() {
                    self.dir_failed(partition.dir(), &error.to_string());
                }
            }
        }
        self.wait_for_moves().await;
        self.send_last_offsets();
        clean
    }

    async fn lead_stop(self: &Rc<Self>) {
        loop {
            let changed = self.changed.notified();
            if self.closed_cores.get() == self.cores() && self.control_ended.get() {
                break;
            }
            changed.await;
        }
        let clean = self.closed_clean.get();
        let broker_epoch = clean.then(|| self.broker_epoch.get());
        self.ask_all(|reply| Message::CloseDirs { broker_epoch, reply }).await;
        tracing::info!(clean, "stopped");
        // Last to itself: its mailbox ends with the message.
        for core in (0..self.cores()).rev() {
            self.send(core, Message::Halt);
        }
    }
}
