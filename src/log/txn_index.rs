//! The transaction index: the aborted transactions whose marker lies in a segment, 34 bytes each (version i16 = 0, producer id i64,
//! first offset i64, last offset i64, last stable offset i64). The file exists only if there are any.

use super::AbortedTxn;
use crate::model::{Offset, ProducerId};

/// Bytes of an entry.
pub(super) const ABORTED_TXN_BYTES: usize = 34;
const VERSION: i16 = 0;

/// The entry as bytes.
pub(super) fn encode(txn: &AbortedTxn) -> [u8; ABORTED_TXN_BYTES] {
    let mut out = [0; ABORTED_TXN_BYTES];
    out[..2].copy_from_slice(&VERSION.to_be_bytes());
    for (at, number) in [txn.producer_id.0, txn.first_offset.0, txn.last_offset.0, txn.last_stable_offset.0].iter().enumerate() {
        out[2 + at * 8..10 + at * 8].copy_from_slice(&number.to_be_bytes());
    }
    out
}

/// The entries of a file, or `None` if it is not one.
pub(super) fn parse(file: &[u8]) -> Option<Vec<AbortedTxn>> {
    if !file.len().is_multiple_of(ABORTED_TXN_BYTES) {
        return None;
    }
    let entries: Vec<AbortedTxn> = file
        .chunks_exact(ABORTED_TXN_BYTES)
        .map(|bytes| {
            let number = |at: usize| i64::from_be_bytes(bytes[2 + at * 8..10 + at * 8].try_into().expect("8 bytes"));
            (bytes[..2] == VERSION.to_be_bytes()).then(|| AbortedTxn {
                producer_id: ProducerId(number(0)),
                first_offset: Offset(number(1)),
                last_offset: Offset(number(2)),
                last_stable_offset: Offset(number(3)),
            })
        })
        .collect::<Option<_>>()?;
    let orderly = entries
        .iter()
        .all(|txn| txn.producer_id.0 >= 0 && Offset::ZERO <= txn.first_offset && txn.first_offset <= txn.last_offset)
        && entries.windows(2).all(|pair| pair[0].last_offset < pair[1].last_offset);
    orderly.then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_round_trip() {
        let txn = AbortedTxn {
            producer_id: ProducerId(35),
            first_offset: Offset(15),
            last_offset: Offset(18),
            last_stable_offset: Offset(19),
        };
        let bytes = encode(&txn);
        assert_eq!(parse(&bytes), Some(vec![txn]));
        assert_eq!(parse(&bytes[1..]), None);
        assert_eq!(parse(&[bytes, bytes].concat()), None, "markers have offsets of their own");
    }
}
