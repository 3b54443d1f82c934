//! Within a generation a partition is one member's, whatever happens to the coordinator; an offset whose commit was told is never
//! forgotten and never goes back.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Groups {
    /// Who was given a partition in a generation. Clients, not member ids: a static one may come back under another id (KIP-345).
    owners: BTreeMap<(i32, i32), &'static str>,
    /// Generation and partitions of the members that believe in them.
    current: BTreeMap<&'static str, (i32, BTreeSet<i32>)>,
    offsets: BTreeMap<i32, Offsets>,
}

#[derive(Default)]
struct Offsets {
    /// The last number that went out.
    sent: i64,
    /// The greatest whose commit was told.
    committed: i64,
    /// What went out and was not told: it may be committed at any time from then on.
    untold: BTreeSet<i64>,
}

impl Groups {
    /// A member has its assignment.
    pub fn on_assigned(&mut self, name: &'static str, generation: i32, owned: &BTreeSet<i32>) {
        for &partition in owned {
            let owner = *self.owners.entry((generation, partition)).or_insert(name);
            hold!(owner == name, "partition {partition} is {owner}'s and {name}'s in generation {generation}");
        }
        self.current.insert(name, (generation, owned.clone()));
    }

    /// A member does not know what it has.
    pub fn on_out(&mut self, name: &'static str) {
        self.current.remove(name);
    }

    /// Whether so many members share all partitions in one generation.
    pub fn is_settled(&self, members: usize, partitions: i32) -> bool {
        let generations: BTreeSet<i32> = self.current.values().map(|(generation, _)| *generation).collect();
        let owned: usize = self.current.values().map(|(_, owned)| owned.len()).sum();
        self.current.len() == members && generations.len() == 1 && owned == partitions as usize
    }

    /// A number for a commit, greater than all before.
    pub fn next_offset(&mut self, partition: i32) -> i64 {
        let offsets = self.offsets.entry(partition).or_default();
        offsets.sent += 1;
        offsets.untold.insert(offsets.sent);
        offsets.sent
    }

    /// A commit was told.
    pub fn on_committed(&mut self, partition: i32, offset: i64) {
        let offsets = self.offsets.entry(partition).or_default();
        offsets.untold.remove(&offset);
        offsets.committed = offsets.committed.max(offset);
    }

    /// What a fetch that is sent now has to find at least.
    pub fn least(&self, partition: i32) -> i64 {
        self.offsets.get(&partition).map_or(0, |offsets| offsets.committed)
    }

    /// A fetch has found an offset, or -1.
    pub fn on_fetched(&self, partition: i32, least: i64, found: i64) {
        let Some(offsets) = self.offsets.get(&partition) else {
            hold!(found == -1, "partition {partition} has offset {found}, which nobody has committed");
            return;
        };
        let is_known = offsets.untold.contains(&found) || found >= least && found <= offsets.sent || found == -1 && least == 0;
        hold!(is_known, "partition {partition} has offset {found} though {least} was committed");
    }
}
