//! Chance and memory of a world: a small generator whose numbers depend on the seed only, and the running hash of what happened.

/// SplitMix64: one word of state, every output a bijection of a counter.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Rng {
    /// Streams of the same seed are independent: more draws from one do not change another.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0);
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high);
        low + self.below((high - low).saturating_add(1))
    }

    /// True once in `n` draws on average.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn per_million(&mut self, rate: u32) -> bool {
        rate > 0 && self.below(1_000_000) < u64::from(rate)
    }
}

/// The kinds of events in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Happened {
    /// A task ran: task.
    Ran = 1,
    /// A host started: host.
    Started,
    /// A host was killed or lost power: host, 0 or 1.
    Crashed,
    /// Bytes were written: inode, position, checksum.
    Wrote,
    /// A file was cut or extended: inode, length.
    Resized,
    /// A file was synced: inode.
    Synced,
    /// Bytes were read: inode, position, checksum.
    ReadFile,
    /// A name was created, moved or removed: checksum of the path.
    Named,
    /// A directory was synced: checksum of the path.
    SyncedNames,
    /// An input or output call failed: kind of call, checksum of the path.
    Failed,
    /// A connection was made: connection.
    Connected,
    /// A connection could not be made: pending connection.
    Refused,
    /// Bytes arrived: connection, end, checksum.
    Arrived,
    /// A connection was reset: connection, end.
    Reset,
    /// A link was cut or healed: hosts.
    Linked,
    /// A wall clock jumped: host, milliseconds.
    Jumped,
    /// A host was paused: host, nanoseconds.
    Paused,
}

/// Everything that happened, folded into one number: two runs of a seed that differ anywhere differ here.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    hash: u64,
    pub(super) count: u64,
    /// `(time, kind, hash)` of each event, when it was asked for.
    pub(super) kept: Option<Vec<(u64, Happened, u64)>>,
}

impl Trace {
    pub(super) fn new(keep: bool) -> Self {
        Self { hash: 0, count: 0, kept: keep.then(Vec::new) }
    }

    pub(super) fn fold(&mut self, now: u64, what: Happened, values: &[u64]) {
        let mut hash = mix(self.hash ^ now) ^ what as u64;
        for &value in values {
            hash = mix(hash.rotate_left(23) ^ value);
        }
        self.hash = mix(hash);
        self.count += 1;
        if let Some(kept) = &mut self.kept {
            kept.push((now, what, self.hash));
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }
}

/// A number for a path or for bytes, to be folded.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    u64::from(crc32c::crc32c(bytes)) | (bytes.len() as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_streams_differ() {
        let draw = |seed, stream| {
            let mut rng = Rng::new(seed, stream);
            (0..10).map(|_| rng.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
        let mut rng = Rng::new(7, 7);
        let mut seen = [0; 5];
        for _ in 0..5000 {
            seen[rng.between(3, 7) as usize - 3] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1200).contains(&count)), "{seen:?}");
    }

    #[test]
    fn the_order_of_events_is_in_the_hash() {
        let run = |order: [u64; 2]| {
            let mut trace = Trace::new(false);
            for value in order {
                trace.fold(0, Happened::Ran, &[value]);
            }
            trace.hash()
        };
        assert_ne!(run([1, 2]), run([2, 1]));
        assert_eq!(run([1, 2]), run([1, 2]));
    }
}
