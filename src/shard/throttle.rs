//! Replicas on their way in take no more of the network than is set (KIP-73).
//!
//! A topic says which of its replicas are held back, at their leader and at themselves (`leader.replication.throttled.replicas`,
//! `follower.replication.throttled.replicas`), a broker how many bytes a second that may be (`….replication.throttled.rate`). Everything
//! that such a replica copies counts, but only one that is not in sync waits: a replica must not leave the ISR because of a throttle.
//! Each core has its part of the rate.

use super::core::Core;
use crate::access::quota::Rate;
use crate::model::TopicIdPartition;
use crate::replica::FetchPosition;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How often it is looked at whether those go on that are held back.
const LOOK: Duration = Duration::from_millis(100);

/// Which of a partition's traffic is held back on this broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Throttled {
    /// What it sends as the leader.
    pub(super) as_leader: bool,
    /// What it fetches as a follower.
    pub(super) as_follower: bool,
}

/// One of the two sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Leader,
    Follower,
}

/// What went over the network on one core, and who waits for that to become less.
#[derive(Default)]
pub(super) struct Throttles {
    sent: RefCell<Rate>,
    fetched: RefCell<Rate>,
    /// Followers that are held back, and what they will ask for.
    held_back: RefCell<BTreeMap<TopicIdPartition, FetchPosition>>,
    is_looking: Cell<bool>,
}

impl Core {
    /// A replica that is held back has copied so much.
    pub(super) fn count_copied(&self, side: Side, bytes: u64) {
        let now_ms = self.io.now().0 / 1_000_000;
        self.rate_of(side).borrow_mut().record(bytes as f64, self.settings.replication_windows, now_ms);
    }

    /// Whether replicas that are held back have to wait.
    pub(super) fn is_over_rate(&self, side: Side) -> bool {
        let bound = {
            let live = self.live.borrow();
            match side {
                Side::Leader => live.leader_replication_bytes_per_second,
                Side::Follower => live.follower_replication_bytes_per_second,
            }
        };
        let now_ms = self.io.now().0 / 1_000_000;
        let rate = self.rate_of(side).borrow_mut().per_second(self.settings.replication_windows, now_ms);
        rate > bound as f64 / self.cores() as f64
    }

    fn rate_of(&self, side: Side) -> &RefCell<Rate> {
        match side {
            Side::Leader => &self.throttles.sent,
            Side::Follower => &self.throttles.fetched,
        }
    }

    /// A follower that is held back asks its leader once it may.
    pub(super) fn fetch_later(self: &Rc<Self>, position: FetchPosition, id: TopicIdPartition) {
        self.throttles.held_back.borrow_mut().insert(id, position);
        if !self.throttles.is_looking.replace(true) {
            let core = self.clone();
            self.io.spawn(async move { core.let_go_on().await });
        }
    }

    /// The follower asks nothing any more.
    pub(super) fn do_not_fetch_later(&self, id: TopicIdPartition) {
        self.throttles.held_back.borrow_mut().remove(&id);
    }

    async fn let_go_on(self: Rc<Self>) {
        while !self.is_stopping() && !self.throttles.held_back.borrow().is_empty() {
            self.io.sleep(LOOK).await;
            if !self.is_over_rate(Side::Follower) {
                let held_back = std::mem::take(&mut *self.throttles.held_back.borrow_mut());
                for (id, position) in held_back {
                    self.fetch_from(position, id);
                }
            }
        }
        self.throttles.is_looking.set(false);
    }
}
