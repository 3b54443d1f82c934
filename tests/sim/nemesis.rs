//! What is done to the broker, its disk and its network, drawn from the seed.

use crate::history::Shared;
use crate::seed::Stage;
use flumen::io::Signal;
use flumen::io::sim::{Crash, DiskFault, DiskOp};
use std::time::Duration;

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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Kill,
    PowerLoss,
    Stop,
    Pause,
    Resets,
    Partition,
    NoDescriptors,
    ClockJump,
    FailedWrite,
    FailedSync,
    FullDisk,
    SlowDisk,
}

use Fault::*;

/// Drawn where nothing else is owed; a kind that stands here more often comes more often.
const KINDS: &[Fault] =
    &[Kill, Kill, Kill, Stop, Pause, Resets, Partition, NoDescriptors, ClockJump, FailedWrite, FullDisk, SlowDisk];
/// What is not synced may be lost by them, so only where acks wait for the sync.
const KINDS_OF_DURABLE: &[Fault] = &[PowerLoss, PowerLoss, FailedSync, FailedSync, SlowDisk, SlowDisk];
/// Those that happen for certain when they are struck, whatever the broker is doing.
const CERTAIN: &[Fault] = &[Kill, Pause, Partition, ClockJump];

/// What a seed does to its broker.
pub struct Nemesis {
    /// Kinds that come first, so that every seed has at least three.
    owed: Vec<Fault>,
    strikes: u64,
}

impl Nemesis {
    pub fn new(draw: &mut Draw) -> Self {
        let mut owed = CERTAIN.to_vec();
        owed.remove(draw.below(CERTAIN.len() as u64) as usize);
        owed.swap(0, 1 + draw.below(2) as usize);
        Self { owed, strikes: 0 }
    }

    /// Whether it has struck as often as every seed must be.
    pub fn is_done(&self) -> bool {
        self.strikes >= crate::LEAST_FAULTS
    }

    fn choose(&mut self, draw: &mut Draw, durable: bool, storm: bool) -> Fault {
        self.strikes += 1;
        if let Some(owed) = self.owed.pop() {
            return owed;
        }
        if storm && draw.below(4) > 0 {
            return if durable { PowerLoss } else { Kill };
        }
        let more = if durable { KINDS_OF_DURABLE } else { &[] };
        let at = draw.below((KINDS.len() + more.len()) as u64) as usize;
        *KINDS.iter().chain(more).nth(at).expect("it is below their number")
    }
}

/// One fault, and its repair.
pub fn strike(stage: &mut Stage, history: &Shared) {
    history.borrow_mut().calm_since = None;
    match stage.nemesis.choose(&mut stage.draw, stage.durable, stage.storm) {
        Kill => crash(stage, Crash::Kill),
        PowerLoss => crash(stage, Crash::PowerLoss),
        Stop => stop(stage),
        Pause => {
            let time = stage.draw.millis(100, 2000);
            stage.world.pause(stage.broker, time);
            stage.world.run_for(time);
        }
        Resets => reset_all(stage),
        Partition => {
            let client = stage.clients[stage.draw.below(stage.clients.len() as u64) as usize];
            stage.world.partition(stage.broker, client);
            let time = stage.draw.millis(200, 3000);
            stage.world.run_for(time);
            stage.world.heal(stage.broker, client);
        }
        NoDescriptors => {
            stage.world.refuse_accepts(stage.broker, 3);
            reset_all(stage);
        }
        ClockJump => {
            let by = stage.draw.below(240_000) as i64 - 120_000;
            stage.world.jump_clock(stage.broker, by);
        }
        FailedWrite => fail_disk(stage, DiskOp::Write),
        FailedSync => fail_disk(stage, DiskOp::Sync),
        FullDisk => fill_disk(stage),
        SlowDisk => slow_disk(stage),
    }
    if !stage.world.is_running(stage.broker) {
        stage.change_cores(history);
        stage.start();
    }
    stage.wait_until_served();
    history.borrow_mut().calm_since = Some(stage.world.now());
}

fn reset_all(stage: &Stage) {
    for client in &stage.clients {
        stage.world.reset_connections(stage.broker, *client);
    }
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
        reset_all(stage);
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
    hold!(stopped, "seed {}: the broker does not stop", stage.seed);
}

/// One call fails, of any file of a log dir or of any log; the dir goes offline, and with it maybe the broker. An operator repairs the
/// disk and starts again.
fn fail_disk(stage: &mut Stage, op: DiskOp) {
    let path_contains = ["/data/a", "/data/b", ".log", ".log"][stage.draw.below(4) as usize].to_owned();
    let after = stage.draw.below(20) as u32;
    stage.world.fail_disk(stage.broker, DiskFault { op, path_contains, after, times: 1, errno: 5 });
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

/// Syncs of the logs take long; mostly the process or the power ends while some of them are under way.
fn slow_disk(stage: &mut Stage) {
    let sync = stage.draw.millis(500, 3000);
    stage.world.slow_disk(stage.broker, ".log", sync);
    let time = stage.draw.millis(2000, 7000);
    stage.world.run_for(time);
    if stage.draw.below(4) > 0 {
        stage.world.crash(stage.broker, if stage.durable { Crash::PowerLoss } else { Crash::Kill });
    }
    stage.world.repair_disk(stage.broker);
}

fn restart(stage: &mut Stage) {
    if stage.world.is_running(stage.broker) {
        crash(stage, Crash::Kill);
    }
}
