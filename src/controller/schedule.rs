//! When the controller acts by itself: it looks for brokers that are not heard of, gives partitions back to their preferred leaders, and
//! finds leaders where there are none and losing records is allowed.

use super::heartbeats::Heartbeats;
use super::{Command, Reply};

/// How often, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Intervals {
    /// `broker.session.timeout.ms`
    pub session_timeout_ms: u64,
    /// `leader.imbalance.check.interval.seconds`; none if `auto.leader.rebalance.enable` is off.
    pub balance_ms: Option<u64>,
    /// `unclean.leader.election.interval.ms`
    pub unclean_ms: u64,
}

/// Sessions are looked at so often within one of them.
const CHECKS_PER_SESSION: u64 = 8;

/// What is due when, while this controller leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    sessions: Due,
    balance: Option<Due>,
    unclean: Due,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Due {
    every_ms: u64,
    at_ms: u64,
}

impl Due {
    fn after(every_ms: u64, now_ms: u64) -> Self {
        Self { every_ms, at_ms: now_ms.saturating_add(every_ms) }
    }

    /// Whether it is due; if so, it is due again after its interval.
    fn take(&mut self, now_ms: u64) -> bool {
        let is_due = now_ms >= self.at_ms;
        if is_due {
            *self = Self::after(self.every_ms, now_ms);
        }
        is_due
    }
}

impl Schedule {
    /// Begins to lead at `now_ms`.
    pub fn new(intervals: &Intervals, now_ms: u64) -> Self {
        Self {
            sessions: Due::after((intervals.session_timeout_ms / CHECKS_PER_SESSION).max(1), now_ms),
            balance: intervals.balance_ms.map(|every_ms| Due::after(every_ms.max(1), now_ms)),
            unclean: Due::after(intervals.unclean_ms.max(1), now_ms),
        }
    }

    /// What is to be decided now, if anything; to be asked again once that is done, until there is nothing.
    pub fn tick(&mut self, heartbeats: &mut Heartbeats, now_ms: u64) -> Option<Command> {
        let is_time = self.sessions.take(now_ms);
        if (is_time || heartbeats.is_any_gone())
            && let Some((broker, epoch)) = heartbeats.tick(now_ms)
        {
            // There may be more; each is decided on with the one before it fenced.
            self.sessions.at_ms = now_ms;
            return Some(Command::FenceBroker { broker, epoch });
        }
        if self.balance.as_mut().is_some_and(|due| due.take(now_ms)) {
            return Some(Command::BalanceLeaders);
        }
        self.unclean.take(now_ms).then_some(Command::ElectUncleanLeaders)
    }

    /// What came of a command of [`Schedule::tick`]: where there is more to do, it is due again at once.
    pub fn decided(&mut self, command: &Command, reply: &Reply, now_ms: u64) {
        match (command, reply) {
            (Command::BalanceLeaders, Reply::Ticked { more: true }) => {
                if let Some(balance) = &mut self.balance {
                    balance.at_ms = now_ms;
                }
            }
            (Command::ElectUncleanLeaders, Reply::Ticked { more: true }) => self.unclean.at_ms = now_ms,
            _ => {}
        }
    }

    /// When there is something to do next, unless it is due already.
    pub fn next_ms(&self) -> u64 {
        let balance = self.balance.map_or(u64::MAX, |due| due.at_ms);
        self.sessions.at_ms.min(balance).min(self.unclean.at_ms)
    }
}
