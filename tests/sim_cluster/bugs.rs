//! The bugs that can be planted, and what has to find each. A simulator that cannot fail proves nothing.

use crate::scripts::{self, Script};

/// Name as the code asks for it ([`flumen::io::Io::planted`]), and what is to find it.
pub struct Bug {
    pub name: &'static str,
    pub found_by: FoundBy,
}

pub enum FoundBy {
    /// Days of faults, of the seeds from 0 on, at most [`SEEDS_OF_DAYS`].
    Days,
    /// A script, with seeds from 0 on, at most [`SEEDS_OF_A_SCRIPT`].
    Script(&'static Script),
}

/// Within so many seeds days of faults find their bugs.
pub const SEEDS_OF_DAYS: u64 = 12;
/// Within so many seeds a script finds its bugs.
pub const SEEDS_OF_A_SCRIPT: u64 = 2;

const fn bug(name: &'static str) -> Bug {
    Bug { name, found_by: FoundBy::Days }
}

const fn scripted(name: &'static str, script: &'static Script) -> Bug {
    Bug { name, found_by: FoundBy::Script(script) }
}

pub const BUGS: &[Bug] = &[
    // The high watermark, and what is told of it.
    bug("high watermark of the leader alone"),
    scripted("high watermark ignores who has not fetched", &scripts::UNHEARD),
    bug("high watermark plus one"),
    bug("read above the high watermark"),
    scripted("min.insync.replicas ignored", &scripts::ALONE),
    bug("acks=all answered by the leader alone"),
    scripted("ack before fdatasync", &scripts::POWER_AFTER_ACK),
    // Who is in sync.
    scripted("ISR grows by who lags", &scripts::LAGGING),
    scripted("ISR grows by who is behind the epoch", &scripts::BEHIND_THE_EPOCH),
    bug("ISR shrinks before the controller agrees"),
    scripted("fetch of an earlier incarnation counts", &scripts::TWO_OF_ONE),
    scripted("stale AlterPartition accepted", &scripts::DELAYED_PROPOSAL),
    // Which log is whose.
    scripted("older epochs are taken", &scripts::APART),
    scripted("divergence ignored", &scripts::APART),
    scripted("follower cuts at its high watermark", &scripts::UNHEARD),
    scripted("leader epochs are not noted", &scripts::LEADER_KNOWS_ITS_EPOCH),
    scripted("producers forgotten by followers", &scripts::PRODUCER_ASKS_AGAIN),
    // The controllers.
    scripted("nobody is fenced", &scripts::LEADER_LOST),
    scripted("a decision told before a majority has it", &scripts::CONTROLLER_ALONE),
    scripted("metadata told before they are flushed", &scripts::CONTROLLERS_LOSE_POWER),
    scripted("groups forgotten at a start", &scripts::COORDINATOR_LOST),
];
