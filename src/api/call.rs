//! One request on its way: decoding, answering, and what keeps a long one from holding up the core.
//!
//! A request of a hundred megabytes may name a million topics. Reading it, working through it, writing the answer and giving back
//! the memory take a core seconds, in which its other clients would get nothing. So what is long is computed on a helper thread
//! ([`Call::compute`]): a handler is cut into pieces that need nothing but what they hold, and between them it asks the shards. A
//! short request goes through the same pieces in place. What is long is found out by trying: readers and writers of short messages
//! give up at [`SHORT_MESSAGE`](crate::protocol::codec::SHORT_MESSAGE) bytes, so nobody has to guess from lengths.
//!
//! Long requests of a core go one after the other ([`Call::take_turn`]), which bounds the memory that they take together; so do
//! short requests with long answers, in a queue of their own.

use super::admin::STOPPING;
use super::{Answer, ApiContext, Connection, Finish};
use crate::controller::{Command, MetadataImage, Refusal, Reply};
use crate::io::{Piece, Turn};
use crate::model::ErrorCode;
use crate::protocol::api::Audience;
use crate::protocol::frame::SIZE_PREFIX;
use crate::protocol::{ApiKey, Chunk, DecodeError, EncodeError, Message, Request, RequestFrame};
use crate::shard::{Forwarded, QuotaKind, Stopping, in_field};
use bytes::{BufMut as _, Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How often a request is looked at again, by whoever leads then, after the leader has lost its lead over it, and the pause before.
const MOST_LOSSES: u32 = 100;
const LOSS_PAUSE: Duration = Duration::from_millis(50);

/// Who asks, what, and the means to answer.
pub(super) struct Call {
    pub(super) context: Rc<ApiContext>,
    pub(super) connection: Rc<Connection>,
    pub(super) request: RequestFrame,
    /// The message is not a short one.
    is_long: Cell<bool>,
    /// What it took of this core, where anybody has a quota.
    spent: Cell<Duration>,
    /// For how long its client is held off.
    wait_ms: Cell<u64>,
    /// No controller could be had: nobody is asked again for this one.
    has_no_controller: Cell<bool>,
    /// This node has found out, when it was to answer, that it does not lead any more.
    lost_lead: Rc<Cell<bool>>,
    /// How often that has happened with this request.
    losses: u32,
    /// Its turn among the long requests, or answers, of this core while it has it. Whoever has it is polled on whatever happens.
    turn: RefCell<Option<Turn>>,
}

impl Call {
    pub(super) fn new(context: &Rc<ApiContext>, connection: &Rc<Connection>, request: RequestFrame) -> Self {
        let (context, connection) = (context.clone(), connection.clone());
        Self {
            context,
            connection,
            request,
            is_long: Cell::new(false),
            spent: Cell::default(),
            wait_ms: Cell::new(0),
            has_no_controller: Cell::new(false),
            lost_lead: Rc::default(),
            losses: 0,
            turn: RefCell::new(None),
        }
    }

    /// Version of the request.
    pub(super) fn version(&self) -> i16 {
        self.request.version
    }

    /// Decodes the message, lets `handle` answer it, and encodes the answer.
    pub(super) fn run<R, F>(self, handle: impl FnOnce(Rc<Call>, R) -> F + 'static) -> Finish
    where
        R: Request<Response: Send> + Send + 'static,
        F: Future<Output = R::Response> + 'static,
    {
        let call = Rc::new(self);
        Box::pin(async move {
            let answer = match call.measured(call.decode::<R>()).await {
                Ok(message) => {
                    let mut response = call.measured(handle(call.clone(), message)).await;
                    call.throttle(&mut response).await;
                    call.respond(response).await
                }
                Err(answer) => answer,
            };
            call.end();
            answer
        })
    }

    /// The same for what the controller has to answer: it is handed on if another node leads, also if this node has found that out by
    /// [`Call::lose_lead`]. `frame` is the request as it was written.
    pub(super) fn at_controller<R, F>(self, frame: Bytes, handle: impl Fn(Rc<Call>, R) -> F + Copy + 'static) -> Finish
    where
        R: Request<Response: Send> + Send + 'static,
        F: Future<Output = R::Response> + 'static,
    {
        if self.context.shards.is_alone() {
            return self.run(handle);
        }
        Box::pin(async move {
            match self.context.shards.forward(frame.clone(), self.connection.peer.ip()).await {
                Forwarded::Answer(answer) => self.hand_back(answer),
                Forwarded::Here => {
                    let mut again = Call::new(&self.context, &self.connection, self.request.clone());
                    again.losses = self.losses + 1;
                    let lost_lead = self.lost_lead.clone();
                    let answer = self.run(handle).await;
                    if !lost_lead.get() || again.losses > MOST_LOSSES {
                        return answer;
                    }
                    again.context.io.sleep(LOSS_PAUSE).await;
                    again.at_controller(frame, handle).await
                }
                Forwarded::Nobody => {
                    self.has_no_controller.set(true);
                    self.run(handle).await
                }
            }
        })
    }

    /// What this was to answer, only the leader of the quorum can, and this node is none (any more).
    pub(super) fn lose_lead(&self) {
        self.lost_lead.set(true);
        self.connection.miss_controller();
    }

    /// Gives a client the answer of another node: header and message.
    fn hand_back(&self, answer: Bytes) -> Answer {
        self.hold_off(throttle_time_ms(self.request.api_key, self.header_bytes(), &answer));
        let mut size = BytesMut::with_capacity(SIZE_PREFIX);
        let Ok(length) = i32::try_from(answer.len()) else {
            return Answer::Close("the controller's answer is too long".to_owned());
        };
        size.put_i32(length);
        Answer::Send(vec![Piece::Bytes(size.freeze()), Piece::Bytes(answer)])
    }

    /// Bytes of the header of an answer: the correlation id, and no tagged fields.
    fn header_bytes(&self) -> usize {
        let is_flexible = self.request.api_key.response_header_version(self.version()) > 0;
        size_of::<i32>() + usize::from(is_flexible)
    }

    /// Has a command decided: by whoever leads, or, on a listener of controllers, here or not at all.
    ///
    /// # Errors
    /// Nobody has decided it, see [`Undecided`].
    pub(super) async fn decide(&self, command: Command) -> Result<Reply, Undecided> {
        let decided = match self.connection.audience {
            _ if self.has_no_controller.get() => Err(Stopping),
            Audience::Clients => self.context.shards.controller(command).await,
            Audience::Controllers => self.context.shards.controller_here("", false, command).await,
        };
        self.note(decided)
    }

    /// The same for what changes partitions, as far as the client's quota allows; what is too much is refused if `is_strict`, else it is
    /// done, and the client waits.
    pub(super) async fn decide_for_client(&self, is_strict: bool, command: Command) -> Result<Reply, Undecided> {
        let decided = match self.connection.audience {
            _ if self.has_no_controller.get() => Err(Stopping),
            Audience::Clients => self.context.shards.controller_for(self.client_id(), is_strict, command).await,
            Audience::Controllers => self.context.shards.controller_here(self.client_id(), is_strict, command).await,
        };
        self.note(decided)
    }

    fn note(&self, decided: Result<Reply, Stopping>) -> Result<Reply, Undecided> {
        match decided {
            Ok(Reply::TooLarge) => Err(Undecided::TooLarge),
            Ok(reply) => Ok(reply),
            Err(Stopping) => {
                self.connection.miss_controller();
                Err(Undecided::Stopping)
            }
        }
    }

    /// The metadata to answer from: those that this node's cores have, or, on a listener of controllers, the newest that are committed. A
    /// node that is both answers there before its broker has opened its logs.
    pub(super) async fn image(&self) -> Arc<MetadataImage> {
        match self.connection.audience {
            Audience::Clients => self.context.shards.image(),
            Audience::Controllers => self.context.shards.committed_image().await,
        }
    }

    /// Whether it came in by a listener of controllers, where who does not lead says so.
    pub(super) fn is_for_controllers(&self) -> bool {
        self.connection.audience == Audience::Controllers
    }

    /// Works, and notes what it takes of this core if anybody has a quota of that.
    pub(super) async fn measured<T>(&self, work: impl Future<Output = T>) -> T {
        if !self.context.shards.has_quotas() {
            return work.await;
        }
        let mut work = pin!(work);
        let io = &self.context.io;
        poll_fn(|context| {
            let begun = io.held();
            let polled = work.as_mut().poll(context);
            self.spent.set(self.spent.get() + io.held().saturating_sub(begun));
            polled
        })
        .await
    }

    /// Counts the time that the request took, and says in the answer if its client has to wait.
    async fn throttle(&self, response: &mut impl Message) {
        let wait_ms = self.charge_time().await;
        if wait_ms > 0 && self.hold_off(wait_ms) {
            response.set_throttle_time_ms(in_field(wait_ms));
        }
    }

    /// Counts the time that the request took; milliseconds that its client has to wait.
    pub(super) async fn charge_time(&self) -> u64 {
        // Percents of one processor.
        self.charge(QuotaKind::Request, self.spent.get().as_secs_f64() * 100.0).await
    }

    /// Counts what the request took of its client's quota; milliseconds that the client has to wait.
    pub(super) async fn charge(&self, kind: QuotaKind, amount: f64) -> u64 {
        match self.context.shards.has_quotas() {
            true => self.context.shards.charge(kind, self.client_id(), amount).await,
            false => 0,
        }
    }

    /// Nothing more is taken from the client for so long (KIP-219). Whether that is more than was said of this request before.
    pub(super) fn hold_off(&self, wait_ms: u64) -> bool {
        let is_more = wait_ms > self.wait_ms.get();
        if is_more {
            self.wait_ms.set(wait_ms);
            self.connection.hold_off(self.context.io.now().after(Duration::from_millis(wait_ms)));
        }
        is_more
    }

    /// `client.id`; empty of a client that has none.
    pub(super) fn client_id(&self) -> &str {
        self.request.client_id.as_deref().unwrap_or_default()
    }

    /// The message; a malformed one ends the connection, as in Kafka.
    pub(super) async fn decode<R: Request + Send + 'static>(&self) -> Result<R, Answer> {
        let decoded = match self.request.decode_short() {
            Err(DecodeError::Long) => {
                self.is_long.set(true);
                let request = self.request.clone();
                self.compute(true, move || request.decode()).await
            }
            decoded => decoded,
        };
        decoded.map_err(|error| {
            let (name, version) = (self.request.api_key.name(), self.version());
            Answer::Close(format!("a {name} request of version {version} is malformed: {error}"))
        })
    }

    /// Whether the message is not a short one.
    pub(super) fn is_long(&self) -> bool {
        self.is_long.get()
    }

    /// Runs `work` in place if the message is short and `is_long` is false, else on a helper thread, where everything is dropped that
    /// `work` does not return. What grows with the number of things that were named, or that are told, belongs in here.
    pub(super) async fn compute<T: Send + 'static>(&self, is_long: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
        if !is_long && !self.is_long() {
            return work();
        }
        self.take_turn().await;
        self.context.io.compute(true, work).await
    }

    async fn take_turn(&self) {
        let has_it = self.turn.borrow().is_some();
        if !has_it {
            let turnstile = if self.is_long() { &self.context.long_requests } else { &self.context.long_answers };
            let turn = turnstile.enter().await;
            *self.turn.borrow_mut() = Some(turn);
        }
    }

    /// Lets other long requests go on while this one waits for something that may take any time. It is to hold little meanwhile.
    pub(super) fn rest(&self) {
        self.turn.take();
    }

    /// The request has been answered: a long frame goes away elsewhere, once nobody holds it here.
    pub(super) fn end(&self) {
        if self.is_long() {
            self.context.io.discard(self.request.clone());
        }
    }

    /// The frame of an answer that is all in memory.
    pub(super) async fn respond<M: Message + Send + 'static>(&self, response: M) -> Answer {
        self.respond_with(response, |_, index| unreachable!("no external records, but gap {index}")).await
    }

    /// The frame of an answer; `fill` appends the pieces that belong into gap `index`.
    pub(super) async fn respond_with<M: Message + Send + 'static>(
        &self,
        response: M,
        mut fill: impl FnMut(&mut Vec<Piece>, usize),
    ) -> Answer {
        let to = self.request.answers();
        let encoded = match self.is_long() {
            true => Err(EncodeError::Long),
            false => to.encode_short(&response),
        };
        let encoded = match encoded {
            Err(EncodeError::Long) => self.compute(true, move || to.encode(&response)).await,
            encoded => encoded,
        };
        let chunks = match encoded {
            Ok(chunks) => chunks,
            Err(error) => {
                let name = self.request.api_key.name();
                tracing::error!(api = name, version = self.version(), %error, "an answer cannot be encoded");
                return Answer::Close(format!("the answer to {name} cannot be encoded"));
            }
        };
        let mut pieces = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            match chunk {
                Chunk::Bytes(bytes) => pieces.push(Piece::Bytes(bytes)),
                Chunk::External { index, .. } => fill(&mut pieces, index),
            }
        }
        Answer::Send(pieces)
    }
}

/// Why the controller has not decided a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Undecided {
    /// It is not there, or on its way out: the client tries another, or again.
    Stopping,
    /// It would change more at once than the metadata log takes.
    TooLarge,
}

impl Undecided {
    /// What the client is told.
    pub(super) fn error(self) -> ErrorCode {
        match self {
            Self::Stopping => STOPPING,
            Self::TooLarge => ErrorCode::PolicyViolation,
        }
    }

    /// As [`Undecided::error`], with a text.
    pub(super) fn refusal(self) -> Refusal {
        let text = (self == Self::TooLarge).then(|| "this is more than can be changed at once".to_owned());
        Refusal(self.error(), text)
    }
}

/// For how long the controller's answer tells a client to wait. Only what changes partitions may say so; the time stands first in it.
fn throttle_time_ms(api_key: ApiKey, header_bytes: usize, answer: &Bytes) -> u64 {
    let may_tell = matches!(api_key, ApiKey::CreateTopics | ApiKey::DeleteTopics | ApiKey::CreatePartitions);
    let told = answer.get(header_bytes..).and_then(|message| message.first_chunk::<4>());
    told.filter(|_| may_tell).and_then(|bytes| u64::try_from(i32::from_be_bytes(*bytes)).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::frame::AnswerTo;
    use crate::protocol::generated::{CreatePartitionsResponse, CreateTopicsResponse, DeleteTopicsResponse};

    #[test]
    fn how_long_to_wait_stands_first_in_every_version() {
        fn told<M: Message>(api_key: ApiKey, version: i16, mut response: M) -> u64 {
            response.set_throttle_time_ms(77);
            let chunks = AnswerTo { api_key, version, correlation_id: 1 }.encode(&response).unwrap();
            let [Chunk::Bytes(frame)] = &chunks[..] else { panic!("a small answer is one chunk") };
            let header_bytes = 4 + usize::from(api_key.response_header_version(version) > 0);
            throttle_time_ms(api_key, header_bytes, &frame.slice(SIZE_PREFIX..))
        }
        for version in 2..=7 {
            assert_eq!(told(ApiKey::CreateTopics, version, CreateTopicsResponse::default()), 77);
        }
        for version in 1..=6 {
            assert_eq!(told(ApiKey::DeleteTopics, version, DeleteTopicsResponse::default()), 77);
        }
        for version in 0..=3 {
            assert_eq!(told(ApiKey::CreatePartitions, version, CreatePartitionsResponse::default()), 77);
        }
    }
}
