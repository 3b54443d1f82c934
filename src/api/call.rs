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

use super::{Answer, ApiContext, Connection, Finish};
use crate::io::{Piece, Turn};
use crate::protocol::{Chunk, DecodeError, EncodeError, Message, Request, RequestFrame};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

/// Who asks, what, and the means to answer.
pub(super) struct Call {
    pub(super) context: Rc<ApiContext>,
    pub(super) connection: Rc<Connection>,
    pub(super) request: RequestFrame,
    /// The message is not a short one.
    is_long: Cell<bool>,
    /// Its turn among the long requests, or answers, of this core while it has it. Whoever has it is polled on whatever happens.
    turn: RefCell<Option<Turn>>,
}

impl Call {
    pub(super) fn new(context: &Rc<ApiContext>, connection: &Rc<Connection>, request: RequestFrame) -> Self {
        let (context, connection) = (context.clone(), connection.clone());
        Self { context, connection, request, is_long: Cell::new(false), turn: RefCell::new(None) }
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
            let answer = match call.decode::<R>().await {
                Ok(message) => {
                    let response = handle(call.clone(), message).await;
                    call.respond(response).await
                }
                Err(answer) => answer,
            };
            call.end();
            answer
        })
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
