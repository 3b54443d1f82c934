//! The bugs that can be planted, and within how many seeds each has to be found. A simulator that cannot fail proves nothing.

/// Name as the code asks for it ([`flumen::io::Io::planted`]), the seeds to try, and how many of them at most. See
/// [`crate::seed::Stage`] for what a seed's number says of it.
pub struct Bug {
    pub name: &'static str,
    pub first_seed: u64,
    pub step: u64,
    pub seeds: u64,
}

/// Found by any kind of day.
const fn any(name: &'static str, seeds: u64) -> Bug {
    Bug { name, first_seed: 1, step: 1, seeds }
}

/// Found by kills.
const fn kills(name: &'static str, seeds: u64) -> Bug {
    Bug { name, first_seed: 2, step: 4, seeds }
}

/// Found by power losses, where acks wait for the device.
const fn power(name: &'static str, seeds: u64) -> Bug {
    Bug { name, first_seed: 3, step: 4, seeds }
}

pub const BUGS: &[Bug] = &[
    any("ack before write", 4),
    power("ack before fdatasync", 3),
    any("duplicate appended", 2),
    any("duplicate told another offset", 2),
    any("sequence gap accepted", 2),
    kills("producers forgotten at a start", 4),
    any("producer ids given twice", 2),
    any("high watermark plus one", 2),
    power("read above the high watermark", 2),
    any("fetch skips an offset", 2),
    any("fetch ignores max.bytes", 2),
    any("stale epoch accepted", 3),
    any("search by time finds the start", 3),
    any("growth lost between cores", 2),
    any("answers out of order", 2),
    kills("log start forgotten", 3),
    any("topic told before it is there", 2),
    any("deleted records stay", 3),
    any("deletion kept from other cores", 3),
    power("metadata told before they are flushed", 4),
    any("failed write acked", 4),
    // One such day in three does it.
    Bug { name: "failed fdatasync ignored", first_seed: 1, step: 4, seeds: 4 },
    any("fetch session forgets records", 2),
    any("acks=0 answered", 2),
    any("groups forgotten at a start", 2),
    // Some need much to come together and have a test of their own: what a failed write leaves and checksums that nobody looks at in
    // `log_recovery`, a recovery point ahead of the flush in `shard/crash_tests.rs`.
];
