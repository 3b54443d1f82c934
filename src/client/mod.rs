//! A connection of our own: what a broker asks other brokers and controllers.
//!
//! **The problem.** Followers fetch, brokers register and send heartbeats, requests are passed on. The other end may be slow, gone, or
//! somebody else by now; and one connection answers in the order of the requests, so that an answer that never comes holds up all
//! that come after it.
//!
//! **The design that follows.** A [`Connection`] is open or closed, nothing else. It sends requests as they come, reads answers in a
//! task of its own, and gives each to whoever waits for it. An answer that does not come in time, one that cannot be read, and one that
//! belongs to another request close it: what the other end has done is not known then, and everybody who waits is told so. Nobody is
//! retried here and nothing is connected again: only the caller knows whether that is safe, and where to look for the leader.
//!
//! Who calls: followers (`shard::fetcher`), a broker that asks its controller (`shard::control`), voters that ask each other (`quorum`),
//! and the command line. A node that is alone calls nobody.

#[cfg(all(test, feature = "sim"))]
mod tests;

use crate::io::{Io, LocalSender, Notify, Piece, Socket, Turnstile, local_reply};
use crate::model::ErrorCode;
use crate::protocol::frame::{SIZE_PREFIX, decode_response, encode_private_request, encode_request};
use crate::protocol::generated::{ApiKey, ApiVersionsRequest};
use crate::protocol::{DecodeError, EncodeError, Reader, Request, StrBytes};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Longest answer that is taken, in bytes: Kafka's bound of a frame (`socket.request.max.bytes`).
const MAX_ANSWER: usize = 100 << 20;
/// Room of a connection of which only small answers come.
const SMALL_BUFFER: usize = 16 << 10;
/// Room that is made for the rest of a long answer, at least.
const STEP: usize = 1 << 20;
/// Version of ApiVersions that is asked first; every broker that Flumen talks to has it.
const API_VERSIONS_VERSION: i16 = 3;
/// What we call ourselves.
const SOFTWARE: &str = "flumen";

/// Why there is no answer. Except for the last two, the request may have been carried out or not.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The connection could not be made, or has ended.
    #[error("the connection to {0} is closed: {1}")]
    Closed(SocketAddr, String),
    /// The answer cannot be read; the connection is closed.
    #[error("an answer cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// The other end does not serve this in a version that we know.
    #[error("{} is not served there", .0.name())]
    NotServed(ApiKey),
    /// The request cannot be said in the version that the other end knows.
    #[error("the request cannot be sent: {0}")]
    Unsayable(#[from] EncodeError),
}

/// An open connection, or one that has ended. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Connection(Rc<Handle>);

struct Handle {
    link: Rc<Link>,
    /// Versions that the other end serves.
    versions: RefCell<BTreeMap<i16, RangeInclusive<i16>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.close("nobody needs it any more");
    }
}

/// What the handle shares with the task that reads.
struct Link {
    io: Io,
    socket: Socket,
    client_id: StrBytes,
    next_correlation: Cell<i32>,
    /// Who waits for an answer, in the order of the requests.
    waiting: RefCell<VecDeque<(i32, LocalSender<Bytes>)>>,
    sending: Turnstile,
    /// Why it is closed, if it is.
    closed: RefCell<Option<String>>,
    ended: Notify,
}

impl Connection {
    /// Connects and asks which versions are served, within `limit`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn open(io: &Io, address: SocketAddr, client_id: &str, limit: Duration) -> Result<Self, CallError> {
        let began = io.now();
        let closed = |why: String| CallError::Closed(address, why);
        let connected = match select(pin!(io.connect(address)), pin!(io.sleep(limit))).await {
            Either::Left((connected, _)) => connected.map_err(|error| closed(error.to_string()))?,
            Either::Right(_) => return Err(closed("no connection in time".to_owned())),
        };
        let link = Rc::new(Link {
            io: io.clone(),
            socket: connected,
            client_id: StrBytes::from(client_id),
            next_correlation: Cell::new(0),
            waiting: RefCell::default(),
            sending: Turnstile::default(),
            closed: RefCell::default(),
            ended: Notify::new(),
        });
        io.spawn(read_answers(link.clone()));
        let connection = Self(Rc::new(Handle { link, versions: RefCell::default() }));
        let request = ApiVersionsRequest {
            client_software_name: StrBytes::from(SOFTWARE),
            client_software_version: StrBytes::from(env!("CARGO_PKG_VERSION")),
        };
        let answer = connection.call(API_VERSIONS_VERSION, &request, limit.saturating_sub(io.now().since(began))).await?;
        if answer.error_code != ErrorCode::None.code() {
            let why = format!("asked for its versions, it says error {}", answer.error_code);
            connection.0.link.close(&why);
            return Err(closed(why));
        }
        let versions = answer.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
        *connection.0.versions.borrow_mut() = versions.collect();
        Ok(connection)
    }

    /// The highest version of a request that both ends know.
    ///
    /// # Errors
    /// [`CallError::NotServed`].
    pub fn version_of<R: Request>(&self) -> Result<i16, CallError> {
        let versions = self.0.versions.borrow();
        let theirs = versions.get(&(R::API_KEY as i16)).ok_or(CallError::NotServed(R::API_KEY))?;
        let version = R::MAX_VERSION.min(*theirs.end());
        if version < R::MIN_VERSION.max(*theirs.start()) { Err(CallError::NotServed(R::API_KEY)) } else { Ok(version) }
    }

    /// Asks and waits for the answer, `limit` at most; after that the connection is closed. Answers come in the order of calls.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<R: Request>(&self, version: i16, request: &R, limit: Duration) -> Result<R::Response, CallError> {
        let link = &self.0.link;
        let name = R::API_KEY.name();
        let (correlation, frame) = link
            .ask_within(limit, name, |correlation| encode_request(version, correlation, Some(link.client_id.clone()), request))
            .await?;
        let decoded = decode_response::<R>(frame, version);
        let (_, message) = decoded.inspect_err(|error| link.close(&format!("answer {correlation}: {error}")))?;
        Ok(message)
    }

    /// Asks what is none of Kafka's requests: `body` is sent under `api_key`, version 0, behind a request header of version 2. What
    /// follows the answer's header of version 1 is returned. As [`Connection::call`] otherwise.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_private(&self, api_key: i16, body: &[u8], limit: Duration) -> Result<Bytes, CallError> {
        let link = &self.0.link;
        let name = format!("private request {api_key}");
        let encode = |correlation| encode_private_request(api_key, correlation, &link.client_id, body);
        let (correlation, frame) = link.ask_within(limit, &name, encode).await?;
        let mut reader = Reader::new(frame);
        let header = reader.i32().and_then(|_| reader.tags(|_, _| Ok(false)));
        header.inspect_err(|error| link.close(&format!("answer {correlation}: {error}")))?;
        let left = reader.remaining();
        Ok(reader.take(left)?)
    }

    /// Returns when the connection is closed, whoever closes it. Waiting for that does not keep it open.
    pub fn end(&self) -> impl Future<Output = ()> + use<> {
        let link = self.0.link.clone();
        async move {
            loop {
                let ended = link.ended.notified();
                if link.closed.borrow().is_some() {
                    return;
                }
                ended.await;
            }
        }
    }

    /// Why the connection is closed; `None` while it is open.
    pub fn closed(&self) -> Option<CallError> {
        self.0.link.closed.borrow().is_some().then(|| self.0.link.why())
    }
}

impl Link {
    /// As [`Link::ask`]; closes the connection when the time is up. `name` is what is asked.
    async fn ask_within(
        &self,
        limit: Duration,
        name: &str,
        encode: impl FnOnce(i32) -> Result<Bytes, EncodeError>,
    ) -> Result<(i32, Bytes), CallError> {
        match select(pin!(self.ask(encode)), pin!(self.io.sleep(limit))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                self.close(&format!("no answer to {name} within {} ms", limit.as_millis()));
                Err(self.why())
            }
        }
    }

    /// The correlation id and the frame of the answer to what `encode` makes of a correlation id.
    async fn ask(&self, encode: impl FnOnce(i32) -> Result<Bytes, EncodeError>) -> Result<(i32, Bytes), CallError> {
        let (correlation, answer) = {
            let _turn = self.sending.enter().await;
            if self.closed.borrow().is_some() {
                return Err(self.why());
            }
            let correlation = self.next_correlation.get();
            let frame = encode(correlation)?;
            self.next_correlation.set(correlation.wrapping_add(1));
            let (sender, answer) = local_reply();
            self.waiting.borrow_mut().push_back((correlation, sender));
            let whole = Whole(self);
            let sent = self.socket.send(&[Piece::Bytes(frame)]).await;
            std::mem::forget(whole);
            if let Err(error) = sent {
                self.close(&error.to_string());
            }
            (correlation, answer)
        };
        answer.await.map(|frame| (correlation, frame)).map_err(|_| self.why())
    }

    /// Ends it for everybody who waits; the first reason stays.
    fn close(&self, why: &str) {
        let first = self.closed.borrow().is_none();
        if first {
            *self.closed.borrow_mut() = Some(why.to_owned());
            self.socket.shutdown();
            self.ended.notify_all();
            // Dropping the senders tells who waits.
            let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
            drop(waiting);
        }
    }

    fn why(&self) -> CallError {
        let why = self.closed.borrow().clone().unwrap_or_else(|| "it has ended".to_owned());
        CallError::Closed(self.socket.peer_addr(), why)
    }

    /// Gives an answer to who waits for it.
    fn answered(&self, frame: Bytes) {
        let found = frame.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes));
        let waiting = self.waiting.borrow_mut().pop_front();
        match waiting {
            Some((correlation, sender)) if found == Some(correlation) => sender.send(frame),
            Some((correlation, _)) => self.close(&format!("an answer to {found:?} where one to {correlation} is due")),
            None => self.close("an answer that nobody has asked for"),
        }
    }
}

/// Closes the connection when a caller goes away in the middle of its request: what is sent next would be read as the rest of it.
struct Whole<'a>(&'a Link);

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        self.0.close("a request was given up halfway");
    }
}

async fn read_answers(link: Rc<Link>) {
    let mut buffer = BytesMut::with_capacity(SMALL_BUFFER);
    loop {
        match next_frame(&mut buffer) {
            Err(length) => return link.close(&format!("an answer of {length} bytes")),
            Ok(Some(frame)) => {
                link.answered(frame);
                continue;
            }
            Ok(None) => {}
        }
        match link.socket.read(&mut buffer).await {
            Ok(0) => return link.close("the other end has closed it"),
            Ok(_) => {}
            Err(error) => return link.close(&error.to_string()),
        }
    }
}

/// The next whole answer, without its length; `None` if there must be more of it, with room for that. An impossible length is an error.
fn next_frame(buffer: &mut BytesMut) -> Result<Option<Bytes>, i32> {
    let Some(prefix) = buffer.first_chunk::<SIZE_PREFIX>() else {
        buffer.reserve(SIZE_PREFIX);
        return Ok(None);
    };
    let length = i32::from_be_bytes(*prefix);
    let body = usize::try_from(length).ok().filter(|body| *body <= MAX_ANSWER).ok_or(length)?;
    let whole = SIZE_PREFIX + body;
    if buffer.len() < whole {
        if buffer.len() == buffer.capacity() {
            // Room comes with the bytes, not with what somebody says of them.
            let more = buffer.len().max(STEP).min(whole - buffer.len());
            buffer.reserve(more);
        }
        return Ok(None);
    }
    buffer.advance(SIZE_PREFIX);
    Ok(Some(buffer.split_to(body).freeze()))
}
