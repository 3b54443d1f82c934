//! A topic whose creation was answered is there for every later request, and is empty; one whose deletion was answered is gone.

use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    There,
    Gone,
    Unknown,
}

#[derive(Default)]
pub struct Topics {
    states: BTreeMap<String, State>,
}

impl Topics {
    pub fn on_created(&mut self, topic: &str) {
        self.states.insert(topic.to_owned(), State::There);
    }

    pub fn on_deleted(&mut self, topic: &str) {
        self.states.insert(topic.to_owned(), State::Gone);
    }

    /// A request to create or delete it is under way, or was lost.
    pub fn on_unsure(&mut self, topic: &str) {
        self.states.insert(topic.to_owned(), State::Unknown);
    }

    pub fn on_asked(&self, topic: &str, is_there: bool) {
        let wrong = if is_there { State::Gone } else { State::There };
        hold!(self.states.get(topic) != Some(&wrong), "topic {topic} is {wrong:?}, but it was found otherwise");
    }

    pub fn on_first_offset(&self, topic: &str, offset: i64) {
        hold!(offset == 0, "a fresh topic is empty, {topic} is not");
    }
}
