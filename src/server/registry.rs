//! The connections of one core: who is idle, who sits on memory, and all of them when the broker stops.

use crate::io::{Io, Mono, Notify, Socket};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A client that holds memory with an unfinished frame this long may be closed when another needs the memory.
const STALLED: Duration = Duration::from_secs(5);

/// What the core knows of a connection beside its two tasks.
pub(super) struct Entry {
    id: u64,
    pub(super) socket: Socket,
    /// Last time that bytes arrived or an answer left.
    pub(super) last_active: Cell<Mono>,
    /// Since when a frame is incomplete, if one is.
    pub(super) inside_frame_since: Cell<Option<Mono>>,
    /// Since when the other end has not taken an answer that is being sent, if one is.
    pub(super) sending_since: Cell<Option<Mono>>,
    /// Requests that were dispatched and not answered yet: a connection with some is never idle.
    pub(super) unanswered: Cell<usize>,
    closed: Cell<bool>,
}

/// All connections of a core.
#[derive(Default)]
pub(super) struct Registry {
    entries: RefCell<BTreeMap<u64, Rc<Entry>>>,
    next_id: Cell<u64>,
    emptied: Notify,
    stopping: Cell<bool>,
}

impl Entry {
    /// Ends the connection from this side, whatever its tasks wait for.
    fn close(&self) {
        self.closed.set(true);
        self.socket.shutdown();
    }

    /// Whether it was closed from this side.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Whether nothing has moved for `limit`: no request under way, or an answer that the client does not take.
    fn is_idle(&self, now: Mono, limit: Duration) -> bool {
        match self.sending_since.get() {
            Some(since) => now.since(since) >= limit,
            None => self.unanswered.get() == 0 && now.since(self.last_active.get()) >= limit,
        }
    }
}

impl Registry {
    pub(super) fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Enters a connection; `None` when the broker is stopping.
    pub(super) fn enter(&self, socket: Socket, now: Mono) -> Option<Rc<Entry>> {
        if self.stopping.get() {
            return None;
        }
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let entry = Rc::new(Entry {
            id,
            socket,
            last_active: Cell::new(now),
            inside_frame_since: Cell::new(None),
            sending_since: Cell::new(None),
            unanswered: Cell::new(0),
            closed: Cell::new(false),
        });
        self.entries.borrow_mut().insert(id, entry.clone());
        Some(entry)
    }

    /// Removes a connection that has ended.
    pub(super) fn leave(&self, entry: &Entry) {
        let removed = self.entries.borrow_mut().remove(&entry.id);
        assert!(removed.is_some(), "a connection left twice");
        if self.entries.borrow().is_empty() {
            self.emptied.notify_all();
        }
    }

    /// Closes the connection that has held an unfinished frame longest, if that is long enough; frees its memory soon after.
    pub(super) fn close_most_stalled(&self, now: Mono, except: &Entry) -> bool {
        let stalled = self
            .entries
            .borrow()
            .values()
            .filter(|entry| entry.id != except.id)
            .filter_map(|entry| entry.inside_frame_since.get().map(|since| (since, entry.clone())))
            .min_by_key(|(since, _)| *since)
            .filter(|(since, _)| now.since(*since) >= STALLED);
        let Some((since, entry)) = stalled else { return false };
        tracing::warn!(
            peer = %entry.socket.peer_addr(),
            stalled_ms = now.since(since).as_millis() as u64,
            "closing a connection that holds memory with an unfinished request while others wait for memory"
        );
        entry.inside_frame_since.set(None);
        entry.close();
        true
    }

    /// Closes connections idle for `limit` (`connections.max.idle.ms`), looking every tenth of it.
    pub(super) async fn reap_idle(self: Rc<Self>, io: Io, limit: Duration) {
        let pause = (limit / 10).clamp(Duration::from_millis(100), Duration::from_secs(30));
        while !self.stopping.get() {
            io.sleep(pause).await;
            let now = io.now();
            let idle: Vec<_> = self.entries.borrow().values().filter(|entry| entry.is_idle(now, limit)).cloned().collect();
            for entry in idle {
                tracing::debug!(peer = %entry.socket.peer_addr(), "closing an idle connection");
                entry.close();
            }
        }
    }

    /// From now on no connection is entered and no further request taken.
    pub(super) fn begin_stop(&self) {
        self.stopping.set(true);
    }

    /// Stops: connections without work are closed at once, the others when their answers are out or `grace` is over.
    pub(super) async fn stop(&self, io: &Io, grace: Duration) {
        assert!(self.is_stopping(), "readers have to know first");
        let deadline = io.now().after(grace);
        loop {
            let entries: Vec<_> = self.entries.borrow().values().cloned().collect();
            if entries.is_empty() {
                return;
            }
            let late = io.now() >= deadline;
            for entry in entries {
                if late || entry.unanswered.get() == 0 {
                    entry.close();
                }
            }
            if late {
                self.emptied.notified().await;
                return;
            }
            io.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether the broker is stopping: readers take no further request.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }
}
