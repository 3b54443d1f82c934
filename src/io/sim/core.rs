//! One simulated core: the same face as a real one.

use super::executor::Executor;
use super::rng::Happened;
use super::state::{HostId, Shared, State, address_of};
use crate::io::Signal;
use crate::io::core::Mono;
use crate::io::counters::{Counters, Counting, Stalls};
use crate::io::local::yield_once;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

pub(in crate::io) struct SimCore {
    pub(super) shared: Shared,
    executor: Rc<Executor>,
    pub(super) host: HostId,
    pub(super) epoch: u64,
    index: usize,
    cores: usize,
    pub(super) counting: Rc<Counting>,
    pub(super) open_files: Arc<AtomicUsize>,
}

/// Random bytes out of the seed.
pub(in crate::io) struct SimRandomness(Shared);

impl SimRandomness {
    pub(in crate::io) fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock();
        for chunk in bytes.chunks_mut(8) {
            let word = state.app_rng.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

impl SimCore {
    pub(super) fn new(shared: Shared, executor: Rc<Executor>, host: HostId, index: usize) -> Self {
        let (epoch, cores) = {
            let state = shared.lock();
            (state.hosts[host.0].epoch, state.hosts[host.0].cores)
        };
        Self { shared, executor, host, epoch, index, cores, counting: Rc::default(), open_files: Arc::default() }
    }

    /// Waits a time drawn by `draw`.
    pub(super) async fn delay(&self, draw: impl FnOnce(&mut State) -> u64) {
        let deadline = {
            let mut state = self.shared.lock();
            let delay = draw(&mut state);
            state.now + delay
        };
        self.until(deadline).await;
    }

    async fn until(&self, deadline: u64) {
        let mut armed = false;
        poll_fn(|context| {
            let mut state = self.shared.lock();
            if state.now >= deadline {
                return Poll::Ready(());
            }
            if !armed {
                armed = true;
                state.wake_at(deadline, context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    pub(in crate::io) fn planted(&self, name: &str) -> bool {
        self.shared.lock().options.planted == Some(name)
    }

    pub(in crate::io) fn core(&self) -> usize {
        self.index
    }

    pub(in crate::io) fn is_running(&self) -> bool {
        self.executor.is_running(self.host, self.index)
    }

    pub(in crate::io) fn cores(&self) -> usize {
        self.cores
    }

    pub(in crate::io) fn now(&self) -> Mono {
        Mono(self.shared.lock().now)
    }

    pub(in crate::io) fn held(&self) -> Duration {
        Duration::ZERO
    }

    pub(in crate::io) fn wall_clock_ms(&self) -> i64 {
        let state = self.shared.lock();
        state.options.epoch_ms + (state.now / 1_000_000) as i64 + state.hosts[self.host.0].wall_offset_ms
    }

    pub(in crate::io) fn fill_random(&self, bytes: &mut [u8]) {
        SimRandomness(self.shared.clone()).fill(bytes);
    }

    pub(in crate::io) fn randomness(&self) -> SimRandomness {
        SimRandomness(self.shared.clone())
    }

    pub(in crate::io) fn open_files_limit(&self) -> usize {
        self.shared.lock().options.open_files
    }

    pub(in crate::io) fn open_files(&self) -> usize {
        self.open_files.load(Ordering::Relaxed)
    }

    pub(in crate::io) fn counters(&self) -> Counters {
        self.counting.get()
    }

    pub(in crate::io) fn stalls(&self) -> Stalls {
        self.counting.stalls()
    }

    pub(in crate::io) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // A destructor of a process that is gone may still try.
        if self.shared.lock().hosts[self.host.0].epoch == self.epoch {
            self.executor.spawn(self.host, self.index, task);
        }
    }

    pub(in crate::io) async fn sleep(&self, duration: Duration) {
        if duration.is_zero() {
            return self.yield_now().await;
        }
        let deadline = self.now().after(duration);
        self.until(deadline.0).await;
    }

    pub(in crate::io) async fn yield_if_needed(&self) {
        let yields = self.shared.lock().schedule.one_in(4);
        if yields {
            self.yield_now().await;
        }
    }

    pub(in crate::io) async fn yield_now(&self) {
        yield_once().await;
    }

    pub(in crate::io) async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.delay(|state| State::draw(&mut state.disk_rng, state.options.disk.read)).await;
        work()
    }

    pub(in crate::io) async fn signal(&self) -> Signal {
        poll_fn(|context| {
            let mut state = self.shared.lock();
            let host = &mut state.hosts[self.host.0];
            match host.signal.take() {
                Some(signal) => Poll::Ready(signal),
                None => {
                    host.signal_waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// `localhost`, an address, or the name of a host of this world.
    pub(in crate::io) async fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>> {
        self.yield_now().await;
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        if name == "localhost" {
            return Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]);
        }
        let state = self.shared.lock();
        match state.hosts.iter().position(|host| host.name == name) {
            Some(index) => Ok(vec![SocketAddr::new(address_of(HostId(index)), port)]),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn fold(&self, what: Happened, values: &[u64]) {
        self.shared.lock().fold(what, values);
    }
}
