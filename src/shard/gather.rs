//! One answer out of the answers of many slices, without a task for each.

use super::ProduceResult;
use crate::io::{LocalSender, ReplySender};
use crate::model::ErrorCode;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Where the results of one produce go when the last one is there.
pub(super) enum Asker {
    /// A task of this core.
    Local(LocalSender<Vec<ProduceResult>>),
    /// Another core.
    Remote(ReplySender<Vec<ProduceResult>>),
}

struct Gather {
    results: RefCell<Vec<ProduceResult>>,
    left: Cell<usize>,
    asker: RefCell<Option<Asker>>,
}

/// The right and the duty to answer one slice of a produce. Dropping it answers NOT_LEADER_OR_FOLLOWER, on which clients retry.
pub(super) struct Slot {
    gather: Option<Rc<Gather>>,
    index: usize,
}

/// One slot for each of `count` slices; `asker` gets the results when all have been answered.
pub(super) fn slots(count: usize, asker: Asker) -> Vec<Slot> {
    assert!(count > 0, "a produce of nothing needs no answer");
    let unanswered = ProduceResult::failed(ErrorCode::NotLeaderOrFollower, None);
    let gather = Rc::new(Gather {
        results: RefCell::new(vec![unanswered; count]),
        left: Cell::new(count),
        asker: RefCell::new(Some(asker)),
    });
    (0..count).map(|index| Slot { gather: Some(gather.clone()), index }).collect()
}

impl Slot {
    /// Answers the slice.
    pub(super) fn answer(mut self, result: ProduceResult) {
        let gather = self.gather.take().expect("a slot is answered once");
        gather.results.borrow_mut()[self.index] = result;
        gather.finish_one();
    }

    /// Answers with an error.
    pub(super) fn refuse(self, error: ErrorCode, message: Option<String>) {
        self.answer(ProduceResult::failed(error, message));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(gather) = self.gather.take() {
            gather.finish_one();
        }
    }
}

impl Gather {
    fn finish_one(&self) {
        self.left.set(self.left.get() - 1);
        if self.left.get() > 0 {
            return;
        }
        let asker = self.asker.borrow_mut().take().expect("the last slot answers once");
        let results = self.results.take();
        match asker {
            Asker::Local(sender) => sender.send(results),
            Asker::Remote(sender) => sender.send(results),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::local_reply;
    use crate::model::Offset;
    use futures_util::FutureExt as _;

    #[test]
    fn the_last_answer_sends_all_in_order_and_a_dropped_slot_is_an_error() {
        let (sender, mut answer) = local_reply();
        let mut slots = slots(3, Asker::Local(sender)).into_iter();
        let (first, second, third) = (slots.next().unwrap(), slots.next().unwrap(), slots.next().unwrap());
        let ok = |offset| ProduceResult {
            error: ErrorCode::None,
            base_offset: Offset(offset),
            ..ProduceResult::failed(ErrorCode::UnknownServerError, None)
        };
        third.answer(ok(3));
        drop(second);
        assert!((&mut answer).now_or_never().is_none());
        first.answer(ok(1));
        let results = answer.now_or_never().expect("all answered").expect("sent");
        assert_eq!(
            results.iter().map(|r| (r.error, r.base_offset.0)).collect::<Vec<_>>(),
            [(ErrorCode::None, 1), (ErrorCode::NotLeaderOrFollower, -1), (ErrorCode::None, 3)]
        );
    }
}
