//! Dealing out the bytes of an answer in the order of the request (KIP-74): `max.bytes` over all partitions, and the first batch of
//! the first partition that has data whole, so that a reader always gets on.

use crate::io::FileSlice;
use crate::shard::FetchResult;

/// What may still be sent in an answer.
pub(super) struct Budget {
    left: u64,
    nothing_yet: bool,
}

impl Budget {
    /// `max_bytes` for the whole answer.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { left: max_bytes, nothing_yet: true }
    }

    /// Cuts what a partition has to what it may send: at most `partition_max_bytes`, possibly in the middle of a batch, as Kafka does;
    /// but nothing if not even its first batch fits, since half a batch is of no use to anybody.
    pub(super) fn trim(&mut self, result: &mut FetchResult, partition_max_bytes: u64) {
        let mut limit = partition_max_bytes.min(self.left);
        if limit < result.first_batch_bytes {
            limit = if self.nothing_yet { result.first_batch_bytes } else { 0 };
        }
        cut(&mut result.slices, limit);
        result.bytes = result.bytes.min(limit);
        self.left = self.left.saturating_sub(result.bytes);
        self.nothing_yet &= result.bytes == 0;
    }
}

/// Keeps the first `limit` bytes.
fn cut(slices: &mut Vec<FileSlice>, limit: u64) {
    let mut left = limit;
    slices.retain_mut(|slice| {
        slice.len = slice.len.min(left);
        left -= slice.len;
        slice.len > 0
    });
}
