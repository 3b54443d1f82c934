//! What a replica does next that lacks committed records: its device has lost them, and other replicas have them.
//!
//! Nobody may count on such a replica: neither the high watermark (it must not be in sync) nor an election (it must not be eligible), and
//! what it still has must not be dropped before that is so, or the record that it was counted for would be nowhere. Kafka's word for a
//! replica that is not there is the log directory `LOST` (KIP-858): a broker that says so of one of its replicas takes it out of the ISR,
//! gives up its leadership, and is not elected for it, under any controller. So:
//!
//! | What is | what comes next |
//! |---|---|
//! | It has holes; another leads | say that it is lost; when the metadata say so, cut it before the first hole and follow |
//! | It has holes and leads; another is in sync | say that it is lost: the other takes over |
//! | It has holes and leads; nobody else is in sync | go on: what lies behind the holes is nowhere else |
//! | It has holes, nobody leads; another is in sync or eligible | say that it is lost: the other has everything |
//! | It has holes, nobody leads, nobody else is in sync or eligible | say that it is here |
//! | It was cut and is copied again | stay lost, in sync or not, until all is here that anybody may have counted on |
//! | It was cut, and leads all the same: somebody has asked for an unclean election | take it for what there is |
//! | It is whole | say that it is here |
//!
//! It is asked again and again, and each step may be taken twice, so a crash between any two of them only repeats the last.

use crate::model::BrokerId;

/// What is wrong with a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Nothing.
    Whole,
    /// Committed records are missing.
    Holes {
        /// All that is known to be missing came behind the end.
        only_the_end: bool,
    },
    /// It was cut before its first hole.
    Refetching {
        /// Everything is here again that was before.
        is_complete: bool,
    },
}

/// A replica, and what the metadata say of its partition.
#[derive(Clone, Copy, Debug)]
pub struct Patient<'a> {
    /// Its broker.
    pub broker: BrokerId,
    /// Who leads.
    pub leader: Option<BrokerId>,
    /// Who is in sync.
    pub isr: &'a [BrokerId],
    /// Who is eligible (KIP-966).
    pub eligible: &'a [BrokerId],
    /// The metadata say that it is lost.
    pub is_lost: bool,
    /// Of its log.
    pub condition: Condition,
}

/// What is to be done, once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RepairStep {
    /// Wait for other metadata or for more of the log.
    Wait,
    /// Tell the controller that the replica is lost.
    GiveUp,
    /// Tell the controller in which log dir it is.
    ComeBack,
    /// Cut it before its first hole, and follow.
    Cut,
    /// Take the log for whole: it is, or nobody has more.
    Accept,
    /// Nothing is left to be done.
    Over,
}

impl Patient<'_> {
    /// What comes next.
    pub fn next_step(&self) -> RepairStep {
        match self.condition {
            Condition::Whole if self.is_lost => RepairStep::ComeBack,
            Condition::Whole => RepairStep::Over,
            Condition::Holes { only_the_end } => self.with_holes(only_the_end),
            Condition::Refetching { is_complete } => self.copied_again(is_complete),
        }
    }

    fn with_holes(&self, only_the_end: bool) -> RepairStep {
        let others = |list: &[BrokerId]| list.iter().any(|id| *id != self.broker);
        match self.leader {
            Some(leader) if leader != self.broker => self.once_lost(RepairStep::Cut),
            Some(_) if others(self.isr) => RepairStep::GiveUp,
            None if others(self.isr) || others(self.eligible) => self.once_lost(RepairStep::Wait),
            _ if self.is_lost => RepairStep::ComeBack,
            // Nobody else can have more.
            Some(_) if only_the_end => RepairStep::Accept,
            _ => RepairStep::Wait,
        }
    }

    fn copied_again(&self, is_complete: bool) -> RepairStep {
        let leads = self.leader == Some(self.broker);
        match self.isr.contains(&self.broker) {
            _ if leads => RepairStep::Accept,
            true if is_complete => RepairStep::Accept,
            // By a fetch from before the cut that came late.
            _ => self.once_lost(RepairStep::Wait),
        }
    }

    /// The step, when nobody counts on this replica.
    fn once_lost(&self, step: RepairStep) -> RepairStep {
        let is_out = self.is_lost && !self.isr.contains(&self.broker);
        if is_out { step } else { RepairStep::GiveUp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLES: Condition = Condition::Holes { only_the_end: false };
    const END: Condition = Condition::Holes { only_the_end: true };

    /// Broker 1 among 1, 2 and 3; leader 0 is nobody.
    fn step(condition: Condition, leader: i32, isr: &[i32], eligible: &[i32], is_lost: bool) -> RepairStep {
        let ids = |list: &[i32]| list.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let leader = (leader > 0).then_some(BrokerId(leader));
        let (isr, eligible) = (ids(isr), ids(eligible));
        Patient { broker: BrokerId(1), leader, isr: &isr, eligible: &eligible, is_lost, condition }.next_step()
    }

    #[test]
    fn a_follower_is_cut_only_when_nobody_counts_on_it() {
        for (isr, eligible) in [(&[1, 2][..], &[][..]), (&[2], &[1]), (&[2, 3], &[])] {
            assert_eq!(step(HOLES, 2, isr, eligible, false), RepairStep::GiveUp, "{isr:?} {eligible:?}");
        }
        assert_eq!(step(HOLES, 2, &[2, 1], &[], true), RepairStep::GiveUp, "it was added by a fetch that was on its way");
        assert_eq!(step(HOLES, 2, &[2, 3], &[], true), RepairStep::Cut);
        assert_eq!(step(HOLES, 2, &[2], &[1], true), RepairStep::Cut, "who is lost is not elected, eligible or not");
        assert_eq!(step(END, 2, &[2], &[], true), RepairStep::Cut);
    }

    #[test]
    fn a_leader_gives_up_if_another_has_everything() {
        assert_eq!(step(HOLES, 1, &[1, 2], &[], false), RepairStep::GiveUp);
        assert_eq!(step(HOLES, 1, &[1], &[2], false), RepairStep::Wait, "the others may lack what was written since");
        assert_eq!(step(HOLES, 1, &[1], &[], false), RepairStep::Wait);
        assert_eq!(step(END, 1, &[1], &[], false), RepairStep::Accept);
        assert_eq!(step(HOLES, 1, &[1], &[], true), RepairStep::ComeBack, "elected uncleanly");
    }

    #[test]
    fn nobody_stays_lost_who_is_the_only_one() {
        assert_eq!(step(HOLES, 0, &[], &[1, 2], false), RepairStep::GiveUp);
        assert_eq!(step(HOLES, 0, &[], &[1, 2], true), RepairStep::Wait, "for 2");
        assert_eq!(step(HOLES, 0, &[1], &[], true), RepairStep::ComeBack);
        assert_eq!(step(HOLES, 0, &[], &[1], true), RepairStep::ComeBack);
        assert_eq!(step(HOLES, 0, &[], &[], true), RepairStep::ComeBack);
        assert_eq!(step(HOLES, 0, &[1], &[], false), RepairStep::Wait);
    }

    #[test]
    fn a_copy_counts_when_it_is_complete_and_in_sync() {
        let copied = |is_complete| Condition::Refetching { is_complete };
        assert_eq!(step(copied(false), 2, &[2], &[], true), RepairStep::Wait);
        assert_eq!(step(copied(true), 2, &[2], &[], true), RepairStep::Wait);
        assert_eq!(step(copied(false), 2, &[1, 2], &[], true), RepairStep::GiveUp);
        assert_eq!(step(copied(false), 2, &[2], &[1], false), RepairStep::GiveUp);
        assert_eq!(step(copied(true), 2, &[2, 1], &[], true), RepairStep::Accept);
        assert_eq!(step(copied(true), 0, &[], &[2], true), RepairStep::Wait);
        assert_eq!(step(copied(false), 1, &[1], &[], true), RepairStep::Accept);
    }

    #[test]
    fn who_is_whole_says_so() {
        assert_eq!(step(Condition::Whole, 2, &[1, 2], &[], true), RepairStep::ComeBack);
        assert_eq!(step(Condition::Whole, 2, &[1, 2], &[], false), RepairStep::Over);
    }
}
