//! The role of a connection that asks the same kind of question again and again, in a closed loop or by a timetable.

use crate::link::Outbox;
use crate::schedule::Schedule;
use crate::stats::{Interval, Metric};
use crate::worker::{Failure, Role};
use bytes::Bytes;
use std::collections::VecDeque;

/// What is asked, and what an answer is worth. Answers come in the order of the requests.
pub trait Question {
    /// The next request as a whole frame, with this number.
    fn ask(&mut self, correlation: i32) -> Result<Bytes, Failure>;

    /// Takes the answer to the request with this number, without its size prefix, and counts what it has.
    fn answered(&mut self, correlation: i32, frame: Bytes, counted: &mut Interval) -> Result<(), Failure>;
}

struct Asked {
    correlation: i32,
    intended: u64,
    sent: u64,
}

/// One connection that asks.
pub struct Asker<Q> {
    question: Q,
    schedule: Schedule,
    in_flight: usize,
    correlation: i32,
    outstanding: VecDeque<Asked>,
    stopped: bool,
}

impl<Q: Question> Asker<Q> {
    /// At most `in_flight` requests wait for their answers.
    pub fn new(question: Q, schedule: Schedule, in_flight: usize) -> Self {
        Self { question, schedule, in_flight, correlation: 0, outstanding: VecDeque::new(), stopped: false }
    }
}

impl<Q: Question> Role for Asker<Q> {
    fn begin(&mut self, start: u64) {
        self.schedule.begin(start);
    }

    fn due(&self, now: u64) -> Option<u64> {
        (self.outstanding.len() < self.in_flight && !self.stopped).then(|| self.schedule.next(now))
    }

    fn send(&mut self, now: u64, outbox: &mut Outbox, _: &mut Interval) -> Result<(), Failure> {
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        outbox.push_frame(&self.question.ask(self.correlation)?);
        let intended = self.schedule.take(now);
        self.outstanding.push_back(Asked { correlation: self.correlation, intended, sent: now });
        Ok(())
    }

    fn receive(&mut self, now: u64, frame: Bytes, counted: &mut Interval) -> Result<(), Failure> {
        let Some(asked) = self.outstanding.pop_front() else {
            return Err(Failure("an answer that was not asked for".to_owned()));
        };
        self.question.answered(asked.correlation, frame, counted)?;
        counted.record(Metric::Ack, now.saturating_sub(asked.intended), 1);
        counted.record(Metric::Service, now.saturating_sub(asked.sent), 1);
        Ok(())
    }

    fn stop(&mut self, end: u64, counted: &mut Interval) {
        self.stopped = true;
        for intended in self.schedule.overdue(end) {
            counted.unsent += 1;
            counted.record(Metric::Ack, end - intended, 1);
        }
    }

    fn unanswered(&self) -> u64 {
        self.outstanding.len() as u64
    }

    fn is_done(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;
    use crate::stats::Phase;

    /// Numbers its requests, and wants them back.
    struct Numbers;

    impl Question for Numbers {
        fn ask(&mut self, correlation: i32) -> Result<Bytes, Failure> {
            Ok(Bytes::from(vec![correlation as u8; 20]))
        }

        fn answered(&mut self, correlation: i32, frame: Bytes, _: &mut Interval) -> Result<(), Failure> {
            if frame[0] == correlation as u8 { Ok(()) } else { Err(Failure("another one's answer".to_owned())) }
        }
    }

    #[test]
    fn latencies_count_from_the_timetable_and_what_could_not_leave_is_told() {
        let mut asker = Asker::new(Numbers, Schedule::open(10.0, 0.0), 2);
        let (mut outbox, mut counted) = (Outbox::default(), Interval::new(Phase::Measured, 0));
        asker.begin(0);
        // Two are under way, the third has to wait.
        for _ in 0..2 {
            assert!(asker.due(SECOND).is_some_and(|due| due <= SECOND));
            asker.send(SECOND, &mut outbox, &mut counted).unwrap();
        }
        assert_eq!((asker.due(SECOND), asker.unanswered()), (None, 2));
        asker.receive(SECOND + 1_000, Bytes::from_static(&[1]), &mut counted).unwrap();
        assert_eq!(asker.due(SECOND), Some(2 * SECOND / 10));
        let (ack, service) = (&counted.histograms[&Metric::Ack], &counted.histograms[&Metric::Service]);
        assert!(ack.max() >= SECOND && service.max() < 2_000, "it was meant to leave a second ago");
        assert!(asker.receive(SECOND, Bytes::from_static(&[1]), &mut counted).is_err(), "the first one's answer again");
        asker.stop(SECOND, &mut counted);
        assert_eq!((counted.unsent, asker.due(SECOND)), (8, None));
        assert!(asker.receive(SECOND, Bytes::new(), &mut counted).is_err(), "nothing is asked any more");
    }
}
