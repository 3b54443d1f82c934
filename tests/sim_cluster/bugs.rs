//! The bugs that can be planted, and the seeds that have to find each. A simulator that cannot fail proves nothing.

/// Name as the code asks for it ([`flumen::io::Io::planted`]), and the seeds to try, one after the other.
pub struct Bug {
    pub name: &'static str,
    pub seeds: &'static [u64],
}

const fn bug(name: &'static str, seeds: &'static [u64]) -> Bug {
    Bug { name, seeds }
}

/// Seeds for bugs that any day finds.
const ANY: &[u64] = &[0, 1, 2, 3];

pub const BUGS: &[Bug] = &[
    // The high watermark, and what is told of it.
    bug("high watermark of the leader alone", ANY),
    bug("high watermark ignores who has not fetched", ANY),
    bug("high watermark plus one", ANY),
    bug("read above the high watermark", ANY),
    bug("min.insync.replicas ignored", ANY),
    bug("acks=all answered by the leader alone", ANY),
    bug("ack before fdatasync", ANY),
    // Who is in sync.
    bug("ISR grows by who lags", ANY),
    bug("ISR grows by who is behind the epoch", ANY),
    bug("ISR shrinks before the controller agrees", ANY),
    bug("fetch of an earlier incarnation counts", ANY),
    bug("stale AlterPartition accepted", ANY),
    // Which log is whose.
    bug("older epochs are taken", ANY),
    bug("divergence ignored", ANY),
    bug("follower cuts at its high watermark", ANY),
    bug("leader epochs are not noted", ANY),
    bug("producers forgotten by followers", ANY),
    // The controllers.
    bug("nobody is fenced", ANY),
    bug("a decision told before a majority has it", ANY),
    bug("metadata told before they are flushed", ANY),
    bug("groups forgotten at a start", ANY),
];
