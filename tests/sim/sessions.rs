//! A client that reads with a fetch session (KIP-227): it names only what has changed, forgets partitions and takes them back, and
//! begins again when its session is gone or its epoch is wrong.

use crate::client::{Client, Lost};
use crate::consumers::{Reader, some_limits};
use crate::history::Shared;
use crate::producers::{draw, pause};
use crate::requests::{
    FETCH_SESSION_ID_NOT_FOUND, INITIAL_EPOCH, INVALID_FETCH_SESSION_EPOCH, Limits, NO_SESSION, Wanted, fetch_in_session,
};
use std::collections::{BTreeMap, BTreeSet};

/// A session as its client sees it.
struct Session {
    reader: Reader,
    /// Partitions that the client wants.
    followed: BTreeSet<i32>,
    id: i32,
    /// Epoch of the next request; [`INITIAL_EPOCH`] begins a new session.
    epoch: i32,
    /// The broker's partitions of this session, with the offsets that it was told.
    known: BTreeMap<i32, i64>,
}

pub async fn follow(mut client: Client, history: Shared, topic: &'static str, partitions: i32, most_wait_ms: u64) {
    let io = client.io.clone();
    let mut session = Session {
        reader: Reader { topic, positions: vec![0; partitions as usize] },
        followed: (0..partitions).collect(),
        id: NO_SESSION,
        epoch: INITIAL_EPOCH,
        known: BTreeMap::new(),
    };
    while !history.borrow().over {
        let limits = some_limits(&io, most_wait_ms);
        let done = match draw(&io, 30) {
            0 if session.epoch != INITIAL_EPOCH => session.err(&mut client, &history, &limits).await,
            _ => session.step(&mut client, &history, &limits).await,
        };
        if done.is_err() {
            // Whether the broker has carried it out is not known, so as Kafka's clients do: end it, and begin another.
            session.epoch = INITIAL_EPOCH;
            history.borrow_mut().count("lost fetches");
            pause(&io, 100).await;
        }
        match draw(&io, 40) {
            0 => client.hang_up(),
            1 => session.reader.positions.fill(0),
            2..6 => session.follow_others(draw(&io, partitions as u64) as i32),
            _ => {}
        }
        pause(&io, 40).await;
    }
}

impl Session {
    /// Forgets a partition or takes it back; one stays.
    fn follow_others(&mut self, partition: i32) {
        if !self.followed.remove(&partition) || self.followed.is_empty() {
            self.followed.insert(partition);
        }
    }

    /// A request of an epoch that cannot be: it is refused and changes nothing.
    async fn err(&mut self, client: &mut Client, history: &Shared, limits: &Limits) -> Result<(), Lost> {
        let wrong = (self.id, self.epoch + 5);
        let (error, _, partitions) = fetch_in_session(client, self.reader.topic, wrong, &[], &[], limits).await?;
        hold!(
            [FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH].contains(&error) && partitions.is_empty(),
            "session {} in epoch {} took a request of epoch {}: error {error}",
            self.id,
            self.epoch,
            wrong.1
        );
        history.borrow_mut().count("session epochs refused");
        Ok(())
    }

    async fn step(&mut self, client: &mut Client, history: &Shared, limits: &Limits) -> Result<(), Lost> {
        let full = self.epoch == INITIAL_EPOCH;
        if full {
            self.known.clear();
        }
        let positions = &self.reader.positions;
        let changed = self.followed.iter().map(|&partition| (partition, positions[partition as usize]));
        let changed = changed.filter(|(partition, offset)| self.known.get(partition) != Some(offset));
        let wanted: Vec<_> = changed.map(|(partition, offset)| Wanted { partition, offset, epoch: -1 }).collect();
        let forgotten: Vec<i32> = self.known.keys().filter(|partition| !self.followed.contains(partition)).copied().collect();
        let followed: Vec<i32> = self.followed.iter().copied().collect();
        let before = self.reader.before(history, client.io.now(), &followed, limits);
        let sent = fetch_in_session(client, self.reader.topic, (self.id, self.epoch), &wanted, &forgotten, limits);
        let (error, id, answers) = sent.await?;
        if error != 0 {
            let gone = [FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH].contains(&error);
            hold!(gone && !full && answers.is_empty(), "a fetch of session {} in epoch {}: error {error}", self.id, self.epoch);
            history.borrow_mut().count("sessions lost");
            (self.id, self.epoch) = (NO_SESSION, INITIAL_EPOCH);
            return Ok(());
        }
        history.borrow_mut().count(if full { "sessions begun" } else { "incremental fetches" });
        hold!(full || id == self.id, "a fetch of session {} was answered for {id}", self.id);
        let told: BTreeSet<i32> = answers.iter().map(|data| data.partition_index).collect();
        hold!(told.len() == answers.len(), "an answer tells of a partition twice: {answers:?}");
        let strange: Vec<_> = told.difference(&self.followed).collect();
        hold!(strange.is_empty(), "session {id} tells of partitions {strange:?}, which it was told to forget");
        hold!(!full || told == self.followed, "a full fetch of {:?} tells of {told:?}", self.followed);
        if id == NO_SESSION {
            history.borrow_mut().count("sessions not given");
            (self.id, self.epoch) = (NO_SESSION, INITIAL_EPOCH);
        } else {
            (self.id, self.epoch) = (id, self.epoch + 1);
            self.known.extend(wanted.iter().map(|wanted| (wanted.partition, wanted.offset)));
            self.known.retain(|partition, _| self.followed.contains(partition));
        }
        self.reader.judge(client, history, &followed, &answers, &before, limits).await
    }
}
