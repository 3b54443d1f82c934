//! What a log is after a stop at any moment, or with damage at any byte: a prefix of what was appended, with everything that was
//! promised, or a clear error. Runs on the simulated disk, which tears, loses and reorders what was not synced.

#![cfg(feature = "sim")]

#[path = "log_recovery/support.rs"]
mod support;

#[path = "log_recovery/compaction.rs"]
mod compaction;
#[path = "log_recovery/crash.rs"]
mod crash;
#[path = "log_recovery/damage.rs"]
mod damage;
#[path = "log_recovery/faults.rs"]
mod faults;
#[path = "log_recovery/moves.rs"]
mod moves;
#[path = "log_recovery/reads.rs"]
mod reads;
