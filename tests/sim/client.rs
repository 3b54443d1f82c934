//! A Kafka client in the simulated world: requests in frames of bytes, answers in order, and a deadline for each.

use bytes::{Buf as _, BytesMut};
use flumen::io::{Io, Mono, Piece, Socket};
use flumen::protocol::Request;
use flumen::protocol::frame::{decode_response, encode_request};
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
}

impl Client {
    pub fn new(io: Io, broker: SocketAddr) -> Self {
        Self { io, broker, socket: None, buffer: BytesMut::new(), correlation: 0 }
    }

    /// Ends the connection; the next request opens another.
    pub fn hang_up(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.shutdown();
        }
        self.buffer.clear();
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
        let socket = match &self.socket {
            Some(socket) => socket.clone(),
            None => {
                let socket = self.io.connect(self.broker).await.map_err(|_| Lost)?;
                self.socket.insert(socket).clone()
            }
        };
        let first = self.correlation;
        let mut pieces = Vec::new();
        for request in requests {
            let frame = encode_request(version, self.correlation, Some("sim".into()), request).expect("a request has bytes");
            pieces.push(Piece::Bytes(frame));
            self.correlation += 1;
        }
        within(&self.io, &socket, deadline, socket.send(&pieces)).await?;
        let mut answers = Vec::new();
        for expected in first..self.correlation {
            let frame = self.frame(&socket, deadline).await?;
            let (correlation, answer) = decode_response::<R>(frame, version).expect("an answer is what its version says");
            assert_eq!(correlation, expected, "answers come in the order of the requests");
            answers.push(answer);
        }
        Ok(answers)
    }

    async fn frame(&mut self, socket: &Socket, deadline: Mono) -> Result<bytes::Bytes, Lost> {
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<4>() {
                let size = usize::try_from(i32::from_be_bytes(*prefix)).expect("a frame has a size");
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
