//! What must hold whatever happens: one small file each, checked whenever a client learns something.

mod committed;
#[path = "../../sim/invariants/groups.rs"]
mod groups;
mod high_watermark;
#[path = "../../sim/invariants/once.rs"]
mod once;

pub use committed::Committed;
pub use groups::Groups;
pub use high_watermark::HighWatermark;
pub use once::Once;

#[derive(Default)]
pub struct Invariants {
    pub committed: Committed,
    pub groups: Groups,
    pub high_watermark: HighWatermark,
    pub once: Once,
}
