//! What must hold whatever happens: one small file each, checked whenever a client learns something.

mod acked_is_kept;
mod groups;
mod high_watermark;
mod log_start;
mod once;
mod one_value;
mod producer_ids;
mod readable;
mod topics;
mod wakes;

pub use acked_is_kept::AckedIsKept;
pub use groups::Groups;
pub use high_watermark::HighWatermark;
pub use log_start::LogStart;
pub use once::Once;
pub use one_value::OneValue;
pub use producer_ids::ProducerIds;
pub use readable::Readable;
pub use topics::Topics;
pub use wakes::Wakes;

#[derive(Default)]
pub struct Invariants {
    pub acked: AckedIsKept,
    pub groups: Groups,
    pub high_watermark: HighWatermark,
    pub log_start: LogStart,
    pub once: Once,
    pub one_value: OneValue,
    pub producer_ids: ProducerIds,
    pub topics: Topics,
    pub wakes: Wakes,
}
