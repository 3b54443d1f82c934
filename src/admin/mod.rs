//! HTTP for whoever runs the broker, on a port of its own (`flumen.http.listener`): metrics for Prometheus, health for supervisors.
//!
//! - `GET /metrics`: everything that cores count, and what is in the logs and groups (`metrics`).
//! - `GET /health/live`: 200 while every core has turns; a supervisor restarts the broker otherwise.
//! - `GET /health/ready`: 200 from when the logs are open to when the broker stops; a load balancer sends clients elsewhere otherwise.
//!
//! One connection, one answer: this is for machines that ask every few seconds. It is served by the first core, so that the answer says
//! that this core lives.

mod http;
mod metrics;
#[cfg(test)]
mod tests;

use crate::io::{Io, Listener};
use crate::shard::Shards;
use http::{Head, answer, read_head};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long a core may take to say that it lives.
const LIVES_WITHIN: Duration = Duration::from_secs(5);
/// How long a client may take to say what it wants.
const ASKS_WITHIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is told: nothing of the logs before they are open.
#[derive(Default)]
pub struct Admin {
    shards: RefCell<Option<Shards>>,
}

impl Admin {
    /// Nothing is open yet.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// The logs are open; the broker serves.
    pub fn is_ready(&self, shards: &Shards) {
        *self.shards.borrow_mut() = Some(shards.clone());
    }

    /// The broker stops.
    pub fn is_stopping(&self) {
        self.shards.take();
    }

    /// Answers until the listener is closed.
    pub async fn serve(self: Rc<Self>, io: Io, listener: Rc<Listener>) {
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    let Ok(socket) = accepted.attach(&io) else { continue };
                    let (admin, of) = (self.clone(), io.clone());
                    let deadline = socket.clone();
                    let done = Rc::new(std::cell::Cell::new(false));
                    let finished = done.clone();
                    io.spawn(async move {
                        if let Some(head) = read_head(&socket).await {
                            let pieces = admin.handle(&of, &head).await;
                            let _ = socket.send(&pieces).await;
                        }
                        finished.set(true);
                        socket.shutdown();
                    });
                    let of = io.clone();
                    io.spawn(async move {
                        of.sleep(ASKS_WITHIN + LIVES_WITHIN).await;
                        if !done.get() {
                            deadline.shutdown();
                        }
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotConnected => return,
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection on flumen.http.listener");
                    io.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn handle(&self, io: &Io, head: &Head) -> Vec<crate::io::Piece> {
        if head.method != "GET" {
            return answer(405, "text/plain", "only GET is answered here\n".to_owned());
        }
        let shards = self.shards.borrow().clone();
        match head.path.as_str() {
            "/health/live" => match &shards {
                None => answer(200, "text/plain", "starting or stopping\n".to_owned()),
                Some(shards) => match self.dead_cores(io, shards).await {
                    dead if dead.is_empty() => answer(200, "text/plain", "alive\n".to_owned()),
                    dead => answer(503, "text/plain", format!("no word from cores {dead:?}\n")),
                },
            },
            "/health/ready" => match shards {
                Some(_) => answer(200, "text/plain", "ready\n".to_owned()),
                None => answer(503, "text/plain", "starting or stopping\n".to_owned()),
            },
            "/metrics" => match shards {
                Some(shards) => answer(200, metrics::CONTENT_TYPE, metrics::text(&shards).await),
                None => answer(503, "text/plain", "starting or stopping\n".to_owned()),
            },
            _ => answer(404, "text/plain", "there are /metrics, /health/live and /health/ready\n".to_owned()),
        }
    }

    /// Cores that do not answer in time.
    async fn dead_cores(&self, io: &Io, shards: &Shards) -> Vec<usize> {
        let mut dead = Vec::new();
        let asked = shards.ask_cores_for_statistics();
        let sleep = io.sleep(LIVES_WITHIN);
        let mut sleep = std::pin::pin!(sleep);
        for (core, answer) in asked.into_iter().enumerate() {
            let answer = std::pin::pin!(answer);
            if let futures_util::future::Either::Right(_) = futures_util::future::select(answer, sleep.as_mut()).await {
                dead.push(core);
                return dead;
            }
        }
        dead
    }
}
