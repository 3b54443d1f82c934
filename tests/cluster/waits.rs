//! How long processes have waited for a core of a machine that has none to spare: what a test must not hold against them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// How long the threads of each process have waited for a core, by process id.
#[derive(Default)]
pub struct Waits(BTreeMap<u32, Duration>);

impl Waits {
    /// So far, of these processes.
    pub fn of(processes: impl Iterator<Item = u32>) -> Waits {
        Waits(processes.map(|id| (id, waited_for_a_core(id))).collect())
    }

    /// How much longer each node has waited since `before`: of its threads the one that waited longest, of all nodes the sum, since one
    /// waits for the other.
    pub fn since(&self, before: &Waits) -> Duration {
        let more = |(id, wait): (&u32, &Duration)| wait.saturating_sub(before.0.get(id).copied().unwrap_or_default());
        self.0.iter().map(more).sum()
    }
}

/// Of the threads of a process, the one that has waited longest.
fn waited_for_a_core(process: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Duration::ZERO };
    let waited = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').nth(1)?.parse().ok().map(Duration::from_nanos)
    };
    threads.flatten().filter_map(waited).max().unwrap_or_default()
}
