//! A Kafka client in the simulated world: requests in frames of bytes, answers in order, and a deadline for each.

use crate::verdict::violated;
use bytes::{Buf as _, BytesMut};
use flumen::io::{Io, Mono, Piece, Socket};
use flumen::protocol::Request;
use flumen::protocol::frame::{decode_response, encode_request};
use flumen::protocol::generated::find_coordinator_request::FindCoordinatorRequest;
use futures_util::future::{Either, select};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

/// Longer than any answer of a broker that nothing happens to.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);

/// No answer came: whether the request was carried out is not known.
#[derive(Clone, Copy, Debug)]
pub struct Lost;

/// One connection, opened when it is needed.
pub struct Client {
    pub io: Io,
    broker: SocketAddr,
    socket: Option<Socket>,
    buffer: BytesMut,
    correlation: i32,
    connections: u64,
    /// How long it waits for a host that does not say anything.
    connect_limit: Option<Duration>,
}

impl Client {
    pub fn new(io: Io, broker: SocketAddr) -> Self {
        Self { io, broker, socket: None, buffer: BytesMut::new(), correlation: 0, connections: 0, connect_limit: None }
    }

    /// The same for one who knows other brokers to ask.
    #[allow(dead_code, reason = "where there are several")]
    pub fn with_connect_limit(self, connect_limit: Duration) -> Self {
        Self { connect_limit: Some(connect_limit), ..self }
    }

    /// Ends the connection; the next request opens another.
    pub fn hang_up(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.shutdown();
        }
        self.buffer.clear();
    }

    /// Connects if need be; the number of the connection.
    pub async fn connect(&mut self) -> Result<u64, Lost> {
        if self.socket.is_none() {
            let connected = match self.connect_limit {
                None => self.io.connect(self.broker).await,
                Some(limit) => match select(pin!(self.io.connect(self.broker)), pin!(self.io.sleep(limit))).await {
                    Either::Left((connected, _)) => connected,
                    Either::Right(_) => return Err(Lost),
                },
            };
            self.socket = Some(connected.map_err(|_| Lost)?);
            self.connections += 1;
        }
        Ok(self.connections)
    }

    /// Asks who coordinates a group, which here is nobody else.
    #[allow(dead_code, reason = "where there is one")]
    pub async fn find_coordinator(&mut self, group: &'static str) -> Result<i16, Lost> {
        let find = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..FindCoordinatorRequest::default() };
        Ok(self.call(4, &find).await?.coordinators[0].error_code)
    }

    /// Sends a request that has no answer.
    pub async fn tell<R: Request>(&mut self, version: i16, request: &R) -> Result<(), Lost> {
        let deadline = self.io.now().after(ANSWER_LIMIT);
        self.connect().await?;
        let socket = self.socket.clone().expect("it is connected");
        let told = self.send(&socket, deadline, version, std::slice::from_ref(request)).await;
        if told.is_err() {
            self.hang_up();
        }
        told
    }

    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Lost> {
        let mut answers = self.pipeline(version, std::slice::from_ref(request)).await?;
        Ok(answers.remove(0))
    }

    /// Sends all requests before it reads the first answer.
    pub async fn pipeline<R: Request>(&mut self, version: i16, requests: &[R]) -> Result<Vec<R::Response>, Lost> {
        let answers = self.try_pipeline(version, requests).await;
        if answers.is_err() {
            self.hang_up();
        }
        answers
    }

    async fn try_pipeline<R: Request>(&mut self, version: i16, requests: &[R]) -> Result<Vec<R::Response>, Lost> {
        let deadline = self.io.now().after(ANSWER_LIMIT);
        self.connect().await?;
        let socket = self.socket.clone().expect("it is connected");
        let first = self.correlation;
        self.send(&socket, deadline, version, requests).await?;
        let mut answers = Vec::new();
        for expected in first..self.correlation {
            let frame = self.frame(&socket, deadline).await?;
            let correlation = frame.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes));
            hold!(correlation == Some(expected), "request {expected} was answered next, and the answer is for {correlation:?}");
            match decode_response::<R>(frame, version) {
                Ok((_, answer)) => answers.push(answer),
                Err(error) => violated(format!("an answer is not what its version says: {error}")),
            }
        }
        Ok(answers)
    }

    async fn send<R: Request>(&mut self, socket: &Socket, deadline: Mono, version: i16, requests: &[R]) -> Result<(), Lost> {
        let mut pieces = Vec::new();
        for request in requests {
            let frame = encode_request(version, self.correlation, Some("sim".into()), request).expect("a request has bytes");
            pieces.push(Piece::Bytes(frame));
            self.correlation += 1;
        }
        within(&self.io, socket, deadline, socket.send(&pieces)).await
    }

    async fn frame(&mut self, socket: &Socket, deadline: Mono) -> Result<bytes::Bytes, Lost> {
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<4>() {
                let Ok(size) = usize::try_from(i32::from_be_bytes(*prefix)) else {
                    violated("a frame without a size".to_owned())
                };
                if self.buffer.len() >= 4 + size {
                    self.buffer.advance(4);
                    return Ok(self.buffer.split_to(size).freeze());
                }
            }
            self.buffer.reserve(16 * 1024);
            let read = within(&self.io, socket, deadline, socket.read(&mut self.buffer)).await?;
            if read == 0 {
                return Err(Lost);
            }
        }
    }
}

/// Waits for a call on a socket, and ends it at the deadline by ending the connection.
async fn within<T>(io: &Io, socket: &Socket, deadline: Mono, call: impl Future<Output = std::io::Result<T>>) -> Result<T, Lost> {
    match select(pin!(call), pin!(io.sleep_until(deadline))).await {
        Either::Left((result, _)) => result.map_err(|_| Lost),
        Either::Right((_, call)) => {
            socket.shutdown();
            let _ = call.await;
            Err(Lost)
        }
    }
}
