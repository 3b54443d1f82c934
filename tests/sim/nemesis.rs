//! What is done to the broker, its disk and its network, drawn from the seed.

use crate::history::Shared;
use crate::seed::Stage;
use flumen::io::Signal;
use flumen::io::sim::{Crash, DiskFault, DiskOp};
use std::time::Duration;

const DIRS: [&str; 2] = ["/data/a", "/data/b"];

/// A small generator of our own: the world's chance is the broker's and the clients'.
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }

    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }
}

/// One fault, and its repair.
pub fn strike(stage: &mut Stage, history: &Shared) {
    history.borrow_mut().calm_since = None;
    let kind = stage.draw.below(if stage.durable { 13 } else { 11 });
    let crash_again = stage.storm && stage.draw.below(4) > 0;
    match kind {
        _ if crash_again => crash(stage, if stage.durable { Crash::PowerLoss } else { Crash::Kill }),
        0..=2 => crash(stage, Crash::Kill),
        3 => stop(stage),
        4 => {
            let time = stage.draw.millis(100, 2000);
            stage.world.pause(stage.broker, time);
            stage.world.run_for(time);
        }
        5 => {
            for client in stage.clients.clone() {
                stage.world.reset_connections(stage.broker, client);
            }
        }
        6 => {
            let client = stage.clients[stage.draw.below(stage.clients.len() as u64) as usize];
            stage.world.partition(stage.broker, client);
            let time = stage.draw.millis(200, 3000);
            stage.world.run_for(time);
            stage.world.heal(stage.broker, client);
        }
        7 => {
            stage.world.refuse_accepts(stage.broker, 3);
            for client in stage.clients.clone() {
                stage.world.reset_connections(stage.broker, client);
            }
        }
        8 => {
            let by = stage.draw.below(240_000) as i64 - 120_000;
            stage.world.jump_clock(stage.broker, by);
        }
        9 => fail_disk(stage, DiskOp::Write),
        10 => fill_disk(stage),
        // What is not synced may be lost then, so only where acks wait for the sync.
        11 => crash(stage, Crash::PowerLoss),
        _ => fail_disk(stage, DiskOp::Sync),
    }
    if !stage.world.is_running(stage.broker) {
        stage.start();
    }
    stage.wait_until_served();
    history.borrow_mut().calm_since = Some(stage.world.now());
}

/// Ends the process; every second time after a while in which its answers were lost, so that clients have much to repeat.
fn crash(stage: &mut Stage, how: Crash) {
    let mute = stage.draw.below(2) == 0;
    if mute {
        for client in stage.clients.clone() {
            stage.world.cut(stage.broker, client);
        }
        let time = stage.draw.millis(20, 200);
        stage.world.run_for(time);
        // Answers that the kernel holds would outlive the process.
        for client in stage.clients.clone() {
            stage.world.reset_connections(stage.broker, client);
        }
    }
    stage.world.crash(stage.broker, how);
    for client in stage.clients.clone() {
        stage.world.heal(stage.broker, client);
    }
    let time = stage.draw.millis(50, 1500);
    stage.world.run_for(time);
}

fn stop(stage: &mut Stage) {
    stage.world.signal(stage.broker, Signal::Terminate);
    let (world, broker) = (stage.world.clone(), stage.broker);
    let stopped = stage.world.run_until(Duration::from_secs(60), || !world.is_running(broker));
    assert!(stopped, "seed {}: the broker does not stop", stage.seed);
}

/// One call fails; the log dir goes offline, and with it maybe the broker. An operator repairs the disk and starts again.
fn fail_disk(stage: &mut Stage, op: DiskOp) {
    let dir = DIRS[stage.draw.below(2) as usize];
    let after = stage.draw.below(20) as u32;
    stage.world.fail_disk(stage.broker, DiskFault { op, path_contains: dir.to_owned(), after, times: 1, errno: 5 });
    let time = stage.draw.millis(300, 1500);
    stage.world.run_for(time);
    stage.world.repair_disk(stage.broker);
    restart(stage);
}

fn fill_disk(stage: &mut Stage) {
    let used = stage.world.disk(stage.broker).used();
    let room = stage.draw.below(4096);
    stage.world.set_capacity(stage.broker, used + room);
    let time = stage.draw.millis(200, 1000);
    stage.world.run_for(time);
    stage.world.set_capacity(stage.broker, u64::MAX);
    restart(stage);
}

fn restart(stage: &mut Stage) {
    if stage.world.is_running(stage.broker) {
        crash(stage, Crash::Kill);
    }
}
