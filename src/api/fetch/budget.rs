//! How much of what the owners offer goes into the answer.
//!
//! Each owner core reads up to the whole budget, since it cannot know what the others find. Here the offers are cut, in the order of
//! the request, to what Kafka would have sent: no more than a partition's own limit and what is left of the request's; but the first
//! data of an answer hold a whole batch at least, or a reader with small limits would never get on (KIP-74). The last batch of a
//! partition may be cut short, as in Kafka: readers drop it.

use crate::io::FileSlice;
use crate::shard::FetchResult;

/// What a partition offers to an answer, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Offer {
    /// All that its owner has read.
    pub(super) bytes: u64,
    /// The first batch of it.
    pub(super) first_batch_bytes: u64,
    /// `partition_max_bytes` of the request.
    pub(super) partition_max_bytes: u64,
}

/// The bytes that each offer may send, in the order of the request.
pub(super) fn deal(offers: impl IntoIterator<Item = Offer>, max_bytes: u64) -> Vec<u64> {
    let (mut left, mut empty) = (max_bytes, true);
    let deal_one = |offer: Offer| {
        let bytes = offer.bytes.min(allowed(offer.first_batch_bytes, offer.partition_max_bytes.min(left), empty));
        left = left.saturating_sub(bytes);
        empty &= bytes == 0;
        bytes
    };
    offers.into_iter().map(deal_one).collect()
}

/// Cuts `results` to the budget, given the limit of each; the bytes that are left over all of them.
pub(super) fn trim(results: &mut [FetchResult], partition_max_bytes: impl Iterator<Item = u64>, max_bytes: u64) -> u64 {
    let offer = |(result, partition_max_bytes): (&FetchResult, u64)| Offer {
        bytes: result.bytes,
        first_batch_bytes: result.first_batch_bytes,
        partition_max_bytes,
    };
    let dealt = deal(results.iter().zip(partition_max_bytes).map(offer), max_bytes);
    assert!(dealt.len() == results.len(), "a limit for each result");
    for (result, &bytes) in results.iter_mut().zip(&dealt) {
        if bytes < result.bytes {
            cut(&mut result.slices, bytes);
            result.bytes = bytes;
        }
    }
    dealt.into_iter().sum()
}

/// How many bytes a partition may give whose first batch is this long.
fn allowed(first_batch_bytes: u64, limit: u64, is_first: bool) -> u64 {
    match first_batch_bytes <= limit {
        true => limit,
        false if is_first => first_batch_bytes,
        false => 0,
    }
}

fn cut(slices: &mut Vec<FileSlice>, bytes: u64) {
    let mut left = bytes;
    slices.retain_mut(|slice| {
        slice.len = slice.len.min(left);
        left -= slice.len;
        slice.len > 0
    });
    assert!(left == 0, "no more is allowed than there is");
}
