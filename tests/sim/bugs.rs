//! The bugs that can be planted, and within how many seeds each has to be found. A simulator that cannot fail proves nothing.

/// Name as the code asks for it ([`flumen::io::Io::planted`]), the seeds to try, and how many of them at most.
pub struct Bug {
    pub name: &'static str,
    /// 0: any seed; 1: only seeds whose acks wait for the device can find it.
    pub first_seed: u64,
    pub step: u64,
    pub seeds: u64,
}

const fn any(name: &'static str, seeds: u64) -> Bug {
    Bug { name, first_seed: 1, step: 1, seeds }
}

const fn durable(name: &'static str, seeds: u64) -> Bug {
    Bug { name, first_seed: 1, step: 2, seeds }
}

pub const BUGS: &[Bug] = &[
    any("ack before write", 4),
    durable("ack before fdatasync", 6),
    any("duplicate appended", 4),
    any("duplicate told another offset", 4),
    any("sequence gap accepted", 4),
    any("producers forgotten at a start", 6),
    any("producer ids given twice", 4),
    any("high watermark plus one", 4),
    durable("read above the high watermark", 6),
    any("fetch skips an offset", 4),
    any("fetch ignores max.bytes", 4),
    any("stale epoch accepted", 6),
    any("search by time finds the start", 4),
    any("growth lost between cores", 4),
    any("answers out of order", 4),
    any("log start forgotten", 6),
    any("topic told before it is there", 4),
    any("deleted records stay", 4),
    durable("metadata told before they are flushed", 10),
    durable("recovery skipped", 10),
    durable("recovery trusts checksums", 10),
];
