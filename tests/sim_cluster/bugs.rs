//! The bugs that can be planted, and the seeds that have to find each. A simulator that cannot fail proves nothing.

/// Name as the code asks for it ([`flumen::io::Io::planted`]), and the seeds to try, one after the other.
pub struct Bug {
    pub name: &'static str,
    pub seeds: &'static [u64],
}

const fn bug(name: &'static str, seeds: &'static [u64]) -> Bug {
    Bug { name, seeds }
}

/// More are planted than are listed: which seeds find the others is not known yet, and the machines have tests of their own for them.
pub const BUGS: &[Bug] = &[
    bug("high watermark of the leader alone", &[0]),
    bug("high watermark plus one", &[0]),
    bug("read above the high watermark", &[0]),
    bug("acks=all answered by the leader alone", &[1]),
    bug("ISR grows by who lags", &[1]),
    bug("ISR shrinks before the controller agrees", &[2]),
];
