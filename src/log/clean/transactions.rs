//! What a walk over cleaned segments must know of transactions: whose data was aborted, and which markers still have data.
//!
//! The transaction index says which transactions were aborted; a marker says where one ends. Batches and markers come in offset order.

use super::super::AbortedTxn;
use crate::model::{Offset, ProducerId};
use crate::record::{Batch, ControlRecordType};
use std::collections::{BTreeMap, BTreeSet};

/// Transactions at one point of a walk.
#[derive(Default)]
pub(super) struct CleanedTransactions {
    /// Producers with data since their last marker that was not aborted.
    committed: BTreeSet<ProducerId>,
    /// Aborted transactions that have begun and not ended, and whether a batch of them was met.
    aborted: BTreeMap<ProducerId, (AbortedTxn, bool)>,
    /// Aborted transactions that begin further on.
    ahead: BTreeMap<(Offset, ProducerId), AbortedTxn>,
    /// Aborted ones whose marker was met and had data before it: they belong into the new transaction index.
    with_data: Vec<AbortedTxn>,
}

impl CleanedTransactions {
    /// The walk comes to segments that these transactions touch.
    pub(super) fn add(&mut self, aborted: Vec<AbortedTxn>) {
        for txn in aborted {
            let is_open = self.aborted.get(&txn.producer_id).is_some_and(|(open, _)| open.first_offset == txn.first_offset);
            if !is_open {
                self.ahead.insert((txn.first_offset, txn.producer_id), txn);
            }
        }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(entry) = self.ahead.first_entry()
            && entry.key().0 <= offset
        {
            let txn = entry.remove();
            self.aborted.entry(txn.producer_id).or_insert((txn, false));
        }
    }

    /// The next batch. Whether nobody needs what is in it any more: it was aborted, or it is a marker of a transaction without data.
    pub(super) fn meets(&mut self, batch: &Batch<'_>) -> bool {
        self.begin_up_to(batch.header.last_offset());
        if batch.header.attributes.is_control() { self.meets_marker(batch) } else { self.meets_data(batch) }
    }

    fn meets_data(&mut self, batch: &Batch<'_>) -> bool {
        if !batch.header.attributes.is_transactional() {
            return false;
        }
        let producer = batch.header.producer_id;
        match self.aborted.get_mut(&producer) {
            Some((_, has_data)) => {
                *has_data = true;
                true
            }
            None => {
                self.committed.insert(producer);
                false
            }
        }
    }

    fn meets_marker(&mut self, batch: &Batch<'_>) -> bool {
        let record = batch.records().and_then(|mut records| records.next()).and_then(Result::ok);
        // What an earlier cleaning has emptied is of no use; the last offset that it stood for is another matter.
        let Some(record) = record else { return true };
        let producer = batch.header.producer_id;
        match ControlRecordType::parse_key(record.key) {
            Ok(Some(ControlRecordType::Abort)) => match self.aborted.remove(&producer) {
                Some((txn, true)) => {
                    self.with_data.push(txn);
                    false
                }
                _ => true,
            },
            Ok(Some(ControlRecordType::Commit)) => !self.committed.remove(&producer),
            _ => false,
        }
    }

    /// Aborted transactions for the index of the segment that is finished here.
    pub(super) fn take_with_data(&mut self) -> Vec<AbortedTxn> {
        std::mem::take(&mut self.with_data)
    }
}
