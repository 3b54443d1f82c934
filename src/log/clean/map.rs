//! Which offset is the newest of each key: a table of fixed size, so that compaction takes the memory that it was given and no more.
//!
//! Keys are not kept, only 128 bits of a hash. Kafka uses MD5 and accepts that two keys may meet; here the hash is keyed by chance, so
//! that nobody can make keys that meet. An entry takes 24 bytes, as in Kafka.

use crate::model::Offset;
use std::hash::{DefaultHasher, Hasher as _};

/// Bytes of an entry.
pub(super) const SLOT_BYTES: usize = 24;
/// Least number of slots, whatever the configuration says: a map that takes nothing would never get anywhere.
const MIN_SLOTS: usize = 1 << 10;

/// Two halves of a hash and the offset plus one; an empty slot is all zero.
type Slot = [u64; 3];
const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

/// Newest offsets by key.
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    used: usize,
    /// Entries that it takes.
    limit: usize,
    seeds: [u64; 2],
    /// Last offset that was looked at; -1 before the first.
    latest: Offset,
}

impl OffsetMap {
    /// A map for `wanted` keys that takes at most `bytes`, of which `load_factor` is used: more would make every search long.
    pub(super) fn new(wanted: u64, bytes: usize, load_factor: f64, seeds: [u64; 2]) -> Self {
        let load_factor = if load_factor.is_nan() { 0.9 } else { load_factor.clamp(0.1, 0.95) };
        let enough = (wanted as f64 / load_factor).ceil() as usize;
        let slots = (bytes / SLOT_BYTES).min(enough.saturating_add(1)).max(MIN_SLOTS);
        let limit = ((slots as f64 * load_factor) as usize).max(1);
        assert!(limit < slots, "a search ends at an empty slot");
        Self { slots: vec![[0; 3]; slots], used: 0, limit, seeds, latest: Offset(-1) }
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.seeds.map(|seed| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(seed);
            hasher.write(key);
            hasher.finish()
        })
    }

    /// Where the key is, or would be.
    fn place(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        let mut at = ((u128::from(hash[0]) * count as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot[2] == 0 || slot[..2] == hash {
                return at;
            }
            at = if at + 1 == count { 0 } else { at + 1 };
        }
    }

    /// `offset` is the newest of `key` so far; false if the map has no room for another key.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let at = self.place(hash);
        if self.slots[at][2] == 0 {
            if self.used == self.limit {
                return false;
            }
            self.used += 1;
        }
        self.slots[at] = [hash[0], hash[1], offset.0 as u64 + 1];
        self.looked_at(offset);
        true
    }

    /// The newest offset of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        if self.used == 0 {
            return None;
        }
        let slot = &self.slots[self.place(self.hash(key))];
        (slot[2] != 0).then(|| Offset(slot[2] as i64 - 1))
    }

    /// Everything up to `offset` has been looked at.
    pub(super) fn looked_at(&mut self, offset: Offset) {
        self.latest = self.latest.max(offset);
    }

    /// Last offset that was looked at: of what lies behind, nothing is known.
    pub(super) fn latest(&self) -> Offset {
        self.latest
    }

    /// Keys that it holds.
    pub(super) fn len(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_full_map_takes_no_further_key_but_newer_offsets_of_those_it_has() {
        let mut map = OffsetMap::new(u64::MAX, 0, 0.5, [1, 2]);
        let limit = map.limit;
        assert_eq!((map.slots.len(), limit), (MIN_SLOTS, MIN_SLOTS / 2));
        for number in 0..limit as i64 {
            assert!(map.put(&number.to_le_bytes(), Offset(number)));
        }
        assert!(!map.put(b"one more", Offset(9_999)));
        assert_eq!((map.latest(), map.len()), (Offset(limit as i64 - 1), limit));
        assert!(map.put(&3i64.to_le_bytes(), Offset(10_000)));
        assert_eq!(map.get(&3i64.to_le_bytes()), Some(Offset(10_000)));
        assert_eq!((map.get(b"one more"), map.latest()), (None, Offset(10_000)));
    }

    #[test]
    fn it_takes_what_it_was_given_and_not_more_than_is_needed() {
        assert_eq!(OffsetMap::new(u64::MAX, 24 << 20, 0.9, [1, 2]).slots.len(), 1 << 20);
        assert!(OffsetMap::new(9_000, 24 << 20, 0.9, [1, 2]).slots.len() <= 10_001);
        assert!(OffsetMap::new(9_000, 24 << 20, f64::NAN, [1, 2]).limit >= 9_000);
    }

    proptest! {
        #[test]
        fn it_is_a_map(entries in proptest::collection::vec((0u16..300, 0i64..1 << 40), 0..600), seeds: [u64; 2]) {
            let (mut map, mut model) = (OffsetMap::new(600, 1 << 20, 0.9, seeds), BTreeMap::new());
            for (key, offset) in entries {
                prop_assert!(map.put(&key.to_le_bytes(), Offset(offset)));
                model.insert(key, Offset(offset));
            }
            prop_assert_eq!(map.len(), model.len());
            for key in 0u16..301 {
                prop_assert_eq!(map.get(&key.to_le_bytes()), model.get(&key).copied());
            }
        }
    }
}
