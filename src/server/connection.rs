//! One connection: a task that reads requests and dispatches them in order, and a task that sends the answers in the same order.
//!
//! Produces may follow produces without waiting: each reaches its partitions in the order of dispatch. Any other request starts
//! when all earlier ones are finished, so that its effects and theirs cannot be seen in another order than they were sent in. A
//! client that has taken more than its quotas allow is answered at once, and then nothing is read from it for a while.

use super::budget::{Budget, Share};
use super::frames::{Frame, Frames, Next};
use super::registry::{Entry, Registry};
use crate::api::{self, Answer, ApiContext, Connection, Finish};
use crate::io::{Io, Mono, Notify, Piece, Socket};
use crate::telemetry::RequestStatistics;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Requests of one connection that may be under way or unsent; the reader pauses at this many.
const MAX_UNANSWERED: usize = 128;
/// Answers beyond this many pieces go out before more are gathered.
const MAX_GATHERED_PIECES: usize = 256;
/// How often a reader that found no memory asks again.
const MEMORY_RETRY: Duration = Duration::from_millis(20);

/// How often a reader that is held off looks whether its connection is still wanted.
const HELD_OFF_STEP: Duration = Duration::from_millis(100);

/// What the connections of a core share.
pub(super) struct Host {
    pub(super) io: Io,
    pub(super) api: Rc<ApiContext>,
    pub(super) registry: Rc<Registry>,
    pub(super) budget: Rc<Budget>,
    pub(super) requests: Rc<RequestStatistics>,
    /// `socket.request.max.bytes`.
    pub(super) max_frame: usize,
}

struct Pending {
    finish: Finish,
    api: i16,
    /// When it was taken.
    begun: Mono,
    /// Its answer, when it is known before its turn.
    answer: Option<Answer>,
    _share: Share,
}

impl Pending {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        match self.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => self.finish.as_mut().poll(context),
        }
    }

    async fn answer(&mut self) -> Answer {
        poll_fn(|context| self.poll(context)).await
    }
}

/// What reader and writer of one connection share.
struct Pipe {
    host: Rc<Host>,
    entry: Rc<Entry>,
    pending: RefCell<VecDeque<Pending>>,
    /// Dispatched requests whose answer is not known yet, and those among them that nothing may overtake.
    unfinished: Cell<usize>,
    unfinished_exclusive: Cell<usize>,
    reader_done: Cell<bool>,
    changed: Notify,
}

/// Serves a connection to its end.
pub(super) async fn serve(host: Rc<Host>, socket: Socket, connection: Connection) {
    let Some(entry) = host.registry.enter(socket.clone(), host.io.now()) else {
        socket.shutdown();
        return;
    };
    let pipe = Rc::new(Pipe {
        host: host.clone(),
        entry: entry.clone(),
        pending: RefCell::default(),
        unfinished: Cell::new(0),
        unfinished_exclusive: Cell::new(0),
        reader_done: Cell::new(false),
        changed: Notify::new(),
    });
    let writer_done = Rc::new(Cell::new(false));
    host.io.spawn({
        let (pipe, writer_done) = (pipe.clone(), writer_done.clone());
        async move {
            pipe.send_answers().await;
            writer_done.set(true);
            pipe.changed.notify_all();
        }
    });
    let connection = Rc::new(connection);
    pipe.read_requests(&connection).await;
    if !host.registry.is_stopping() && !entry.is_closed() {
        // Before the last answers are awaited: nobody takes them.
        host.api.was_closed(&connection);
    }
    pipe.reader_done.set(true);
    pipe.changed.notify_all();
    while !writer_done.get() {
        pipe.changed.notified().await;
    }
    socket.shutdown();
    host.registry.leave(&entry);
}

impl Pipe {
    async fn read_requests(&self, connection: &Rc<Connection>) {
        let (host, entry) = (&self.host, &self.entry);
        let mut frames = Frames::new(&host.budget, host.max_frame);
        while !host.registry.is_stopping() {
            // Before reading: what is held off is to hold little meanwhile.
            self.let_go(connection).await;
            match frames.next() {
                Next::Frame(frame) => {
                    entry.inside_frame_since.set(None);
                    self.take(frame, connection).await;
                    // Many small requests in one buffer must not keep the core from the other connections.
                    host.io.yield_if_needed().await;
                }
                Next::Read => match entry.socket.read(frames.buffer()).await {
                    Ok(0) => {
                        if frames.is_inside_frame() {
                            tracing::debug!(peer = %connection.peer, "the client closed in the middle of a request");
                        }
                        return;
                    }
                    Ok(_) => {
                        let now = host.io.now();
                        entry.last_active.set(now);
                        if entry.inside_frame_since.get().is_none() && frames.is_inside_frame() {
                            entry.inside_frame_since.set(Some(now));
                        }
                    }
                    Err(error) => {
                        tracing::debug!(peer = %connection.peer, %error, "the connection broke");
                        return;
                    }
                },
                Next::Grow(more) => {
                    let mut buffer = std::mem::take(frames.buffer());
                    let grow = move || {
                        buffer.reserve(more);
                        buffer
                    };
                    *frames.buffer() = host.io.compute(true, grow).await;
                }
                Next::NoMemory => {
                    host.registry.close_most_stalled(host.io.now(), entry);
                    host.io.sleep(MEMORY_RETRY).await;
                }
                Next::BadLength(length) => {
                    tracing::warn!(peer = %connection.peer, length, max = host.max_frame, "closing: a request cannot have this length");
                    return;
                }
            }
        }
    }

    /// Waits until the client has paid for what it took beyond its quotas (KIP-219), or nobody waits for it any more.
    async fn let_go(&self, connection: &Connection) {
        while let Some(until) = connection.held_off_until() {
            let left = until.since(self.host.io.now());
            if left.is_zero() || self.host.registry.is_stopping() || self.entry.is_closed() {
                return;
            }
            self.host.io.sleep(left.min(HELD_OFF_STEP)).await;
        }
    }

    /// Dispatches one request when its turn has come.
    async fn take(&self, frame: Frame, connection: &Rc<Connection>) {
        let overlaps = api::may_overlap(&frame.bytes);
        loop {
            let blocked = if overlaps { self.unfinished_exclusive.get() } else { self.unfinished.get() };
            if blocked == 0 && self.entry.unanswered.get() < MAX_UNANSWERED {
                break;
            }
            self.changed.notified().await;
        }
        // What came with an earlier request waits for what that one used up.
        self.let_go(connection).await;
        if self.entry.is_closed() {
            return;
        }
        let (api, begun) = (api::number_of(&frame.bytes), self.host.io.now());
        self.host.requests.taken(api, frame.bytes.len());
        let finish = api::dispatch(&self.host.api, connection, frame.bytes).await;
        self.unfinished.set(self.unfinished.get() + 1);
        if !overlaps {
            self.unfinished_exclusive.set(1);
        }
        self.entry.unanswered.set(self.entry.unanswered.get() + 1);
        self.pending.borrow_mut().push_back(Pending { finish, api, begun, answer: None, _share: frame.share });
        self.changed.notify_all();
    }

    async fn send_answers(&self) {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut answered: Vec<Pending> = Vec::new();
        let mut broken = false;
        loop {
            let Some(mut next) = self.pop() else {
                if self.reader_done.get() {
                    return;
                }
                self.changed.notified().await;
                continue;
            };
            let mut answer = Some(next.answer().await);
            let mut begun = None;
            // Gather what else is ready, then send it all in one go.
            while let Some(ready) = answer.take() {
                self.finished(&next);
                match ready {
                    Answer::Send(more) => pieces.extend(more),
                    Answer::Nothing => {}
                    Answer::Close(why) => {
                        if !broken {
                            tracing::warn!(peer = %self.entry.socket.peer_addr(), why, "closing the connection");
                        }
                        broken = true;
                    }
                }
                answered.push(next);
                if broken || pieces.len() >= MAX_GATHERED_PIECES {
                    break;
                }
                let Some(mut following) = self.pop() else { break };
                match poll_fn(|context| Poll::Ready(following.poll(context))).await {
                    Poll::Ready(ready) => {
                        answer = Some(ready);
                        next = following;
                    }
                    Poll::Pending => {
                        begun = Some(following);
                        break;
                    }
                }
            }
            broken = self.send_beside(&mut pieces, broken, begun.as_mut()).await;
            if let Some(begun) = begun {
                self.pending.borrow_mut().push_front(begun);
            }
            let now = self.host.io.now();
            for request in &answered {
                self.host.requests.answered(request.api, now.since(request.begun).as_micros() as u64);
            }
            self.entry.unanswered.set(self.entry.unanswered.get() - answered.len());
            answered.clear();
            self.changed.notify_all();
        }
    }

    /// Sends, and goes on with a request that has begun if the client is slow to take what is sent: others may wait for its end.
    async fn send_beside(&self, pieces: &mut Vec<Piece>, broken: bool, mut begun: Option<&mut Pending>) -> bool {
        let mut send = pin!(self.send(pieces, broken));
        poll_fn(|context| {
            let sent = send.as_mut().poll(context);
            if sent.is_pending()
                && let Some(begun) = begun.as_mut().filter(|begun| begun.answer.is_none())
                && let Poll::Ready(answer) = begun.finish.as_mut().poll(context)
            {
                begun.answer = Some(answer);
            }
            sent
        })
        .await
    }

    /// Sends what was gathered; after the first failure answers are awaited, so that nothing is left half done, and dropped.
    async fn send(&self, pieces: &mut Vec<Piece>, mut broken: bool) -> bool {
        if !pieces.is_empty() {
            self.entry.sending_since.set(Some(self.host.io.now()));
            // What was finished before a request that closes the connection is still answered.
            if let Err(error) = self.entry.socket.send(pieces).await {
                tracing::debug!(peer = %self.entry.socket.peer_addr(), %error, "an answer could not be sent");
                broken = true;
            }
            self.entry.sending_since.set(None);
            self.entry.last_active.set(self.host.io.now());
            pieces.clear();
        }
        if broken {
            self.entry.socket.shutdown();
        }
        broken
    }

    fn micros_since(&self, begun: Mono) -> u64 {
        self.host.io.now().since(begun).as_micros() as u64
    }

    fn pop(&self) -> Option<Pending> {
        if self.host.io.planted("answers out of order") {
            return self.pending.borrow_mut().pop_back();
        }
        self.pending.borrow_mut().pop_front()
    }

    /// The oldest unfinished request is finished. Requests finish in order of dispatch as far as this pipe can see, and an exclusive
    /// one has no unfinished neighbour before it nor after it, so its count falls with the last.
    fn finished(&self, request: &Pending) {
        self.host.requests.handled(request.api, self.micros_since(request.begun));
        self.unfinished.set(self.unfinished.get() - 1);
        if self.unfinished.get() == 0 {
            self.unfinished_exclusive.set(0);
        }
        self.changed.notify_all();
    }
}
