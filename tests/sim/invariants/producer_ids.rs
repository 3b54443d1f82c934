//! No producer id is given out twice.

use std::collections::BTreeSet;

#[derive(Default)]
pub struct ProducerIds {
    given: BTreeSet<i64>,
}

impl ProducerIds {
    pub fn on_given(&mut self, id: i64) {
        hold!(self.given.insert(id), "producer id {id} was given twice");
    }
}
