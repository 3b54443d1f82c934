//! A core's ring: which descriptors are ready, which timers are due, and the sleep of a core that has nothing to do.
//!
//! glommio runs the tasks of a core, and its own reactor costs a broker of many small requests dearly: a new poll in the kernel after
//! each read, an interrupt of the core for each that completes, three rings to enter and two timers to arm at every turn, a barrier over
//! all threads at every sleep. So the core sleeps here instead. Each descriptor is watched once, by a poll that goes on reporting
//! (`IORING_POLL_ADD_MULTI`, edge-triggered); completions wait in the kernel until the core looks for them (`DEFER_TASKRUN`), so that
//! nothing interrupts it; timers need no call of the kernel but the one that the core sleeps in.
//!
//! [`drive`] is a task like any other that is always ready to run, so glommio never parks. Tasks run first in, first out: between two
//! turns of `drive` every task that was ready has run once. If none has run and nothing was woken, nothing can run, and the core
//! sleeps until a completion, a timer, or the bell of its [`Home`].

use super::super::counters::Counting;
use super::super::wake::Home;
use super::bell::Bell;
use super::core::RealCore;
use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Entries of the submission queue: descriptors that begin or cease to be watched in one turn go out in steps of so many.
const SUBMISSIONS: u32 = 256;
/// Entries of the completion queue; the kernel keeps what does not fit.
const COMPLETIONS: u32 = 4096;
/// Of completions that nobody waits for.
const NOBODY: u64 = u64::MAX;

/// There is something to read.
const MORE_TO_READ: u32 = (libc::POLLIN | libc::POLLPRI) as u32;
/// Nothing more will come, or reading says what is wrong.
const END_OF_READING: u32 = (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL | libc::POLLRDHUP) as u32;
/// There is room, or writing says what is wrong. (An other end that has only ceased to send goes on reading.)
const WORTH_WRITING: u32 = (libc::POLLOUT | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) as u32;
const WORTH_READING: u32 = MORE_TO_READ | END_OF_READING;

/// One core's ring and timers.
pub(super) struct Reactor {
    ring: RefCell<IoUring>,
    watched: RefCell<Slab<Rc<Watched>>>,
    /// Room for the completions of one look.
    completions: RefCell<Vec<cqueue::Entry>>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next_timer: Cell<u64>,
    home: Arc<Home>,
    busy_poll: Duration,
    /// Tasks that were polled so far.
    polls: Cell<u64>,
    slice: Cell<Slice>,
    /// When the running task got the core.
    begun: Cell<Instant>,
    over: Cell<bool>,
}

/// What the running task has asked so far about its time. Most tasks ask once and end: only who asks again is worth a look at the clock.
#[derive(Clone, Copy)]
enum Slice {
    Unasked,
    Asked,
    Since(Instant),
}

/// A descriptor that is watched, or whose last completion is still to come.
#[derive(Default)]
struct Watched {
    fd: RawFd,
    read: Half,
    write: Half,
    /// Why the kernel cannot watch it.
    failed: Cell<Option<i32>>,
    dropped: Cell<bool>,
}

/// What is known of one side.
#[derive(Default)]
struct Half {
    /// Events that were reported and not used up.
    events: Cell<u32>,
    waiting: Cell<Option<Waker>>,
}

/// Readiness of one descriptor, watched for as long as this lives. One task may wait to read while another waits to write.
pub(super) struct Readiness {
    reactor: Rc<Reactor>,
    key: u64,
    watched: Rc<Watched>,
}

/// Which side of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Read,
    Write,
}

impl Watched {
    fn half(&self, side: Side) -> &Half {
        match side {
            Side::Read => &self.read,
            Side::Write => &self.write,
        }
    }

    fn report(&self, events: u32) {
        for (half, worth) in [(&self.read, WORTH_READING), (&self.write, WORTH_WRITING)] {
            if events & worth != 0 {
                half.events.set(half.events.get() | (events & worth));
                if let Some(waker) = half.waiting.take() {
                    waker.wake();
                }
            }
        }
    }
}

impl Readiness {
    /// Watches a descriptor that outlives this. `ready` says whether to begin by trying, without waiting for the first event.
    pub(super) fn new(reactor: &Rc<Reactor>, fd: &impl AsRawFd, ready: bool) -> Self {
        let watched = Rc::new(Watched { fd: fd.as_raw_fd(), ..Default::default() });
        if ready {
            watched.report(MORE_TO_READ | WORTH_WRITING);
        }
        let key = reactor.watched.borrow_mut().insert(watched.clone()) as u64;
        reactor.submit(&poll(key, watched.fd));
        Self { reactor: reactor.clone(), key, watched }
    }

    /// Returns when it is worth trying to read or write; an error when that cannot be known.
    pub(super) async fn ready(&self, side: Side) -> Result<()> {
        poll_fn(|context| {
            let half = self.watched.half(side);
            if half.events.get() != 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = self.watched.failed.get() {
                return Poll::Ready(Err(Error::from_raw_os_error(error)));
            }
            half.waiting.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// The call would have blocked: the next [`Readiness::ready`] waits for an event that comes after it. To be called before anything
    /// else can run.
    pub(super) fn used_up(&self, side: Side) {
        self.watched.half(side).events.set(0);
    }

    /// A read got less than it had room for: there is nothing more, unless the end was reported, which is still to be read.
    pub(super) fn drained(&self) {
        let events = &self.watched.read.events;
        events.set(events.get() & END_OF_READING);
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        // The kernel still knows the key until the poll's last completion.
        self.watched.dropped.set(true);
        // (`POLL_REMOVE` would refuse one that is just about to report.)
        self.reactor.submit(&opcode::AsyncCancel::new(self.key).build().user_data(NOBODY));
    }
}

/// A wait for a point in time.
pub(super) struct Sleep {
    reactor: Rc<Reactor>,
    key: (Instant, u64),
    armed: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timers = self.reactor.timers.borrow_mut();
        if let Some(waker) = timers.get_mut(&self.key) {
            waker.clone_from(context.waker());
            return Poll::Pending;
        }
        // It has fired, or has not been armed yet.
        if self.armed || self.key.0 <= Instant::now() {
            return Poll::Ready(());
        }
        timers.insert(self.key, context.waker().clone());
        drop(timers);
        self.armed = true;
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.armed {
            self.reactor.timers.borrow_mut().remove(&self.key);
        }
    }
}

/// A ring with the best that this kernel has: from 6.1 on the core alone runs its completions, when it looks for them; before that
/// they may run whenever it enters the kernel, or interrupt it.
fn ring() -> Result<IoUring> {
    let mut made = Err(ErrorKind::Unsupported.into());
    for kind in RING_KINDS {
        made = kind();
        match &made {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            _ => break,
        }
    }
    made
}

const RING_KINDS: [fn() -> Result<IoUring>; 3] = [deferred, cooperative, plain];

fn deferred() -> Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(COMPLETIONS).setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().build(SUBMISSIONS)
}

fn cooperative() -> Result<IoUring> {
    IoUring::builder().setup_cqsize(COMPLETIONS).setup_coop_taskrun().setup_taskrun_flag().build(SUBMISSIONS)
}

fn plain() -> Result<IoUring> {
    IoUring::builder().setup_cqsize(COMPLETIONS).build(SUBMISSIONS)
}

impl Reactor {
    /// To be made on the thread of its core: the ring takes calls of that thread only.
    pub(super) fn new(busy_poll: Duration) -> Result<Rc<Self>> {
        Self::with(ring()?, busy_poll)
    }

    fn with(ring: IoUring, busy_poll: Duration) -> Result<Rc<Self>> {
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::PollAdd::CODE) || !ring.params().is_feature_ext_arg() {
            return Err(Error::new(ErrorKind::Unsupported, "this kernel's io_uring is too old"));
        }
        let bell = Bell::new(libc::EFD_NONBLOCK)?;
        let bell_fd = bell.as_raw_fd();
        let reactor = Rc::new(Self {
            ring: RefCell::new(ring),
            watched: RefCell::default(),
            completions: RefCell::default(),
            timers: RefCell::default(),
            next_timer: Cell::new(0),
            home: Arc::new(Home::new(move || bell.ring(1))),
            busy_poll,
            polls: Cell::new(0),
            slice: Cell::new(Slice::Unasked),
            begun: Cell::new(Instant::now()),
            over: Cell::new(false),
        });
        // No task waits for the bell: that it has rung is enough. Nobody needs to read it either: each ring is an event, and 2^64 of them
        // are not to be feared.
        let bell = Watched { fd: bell_fd, ..Default::default() };
        let key = reactor.watched.borrow_mut().insert(Rc::new(bell)) as u64;
        reactor.submit(&poll(key, bell_fd));
        Ok(reactor)
    }

    /// Where other threads leave what they have for this core.
    pub(super) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Ends [`drive`], and with it the wait for anything.
    pub(super) fn end(&self) {
        self.over.set(true);
    }

    /// Waits for at least `duration`.
    pub(super) fn sleep(self: &Rc<Self>, duration: Duration) -> Sleep {
        let number = self.next_timer.get();
        self.next_timer.set(number + 1);
        let now = Instant::now();
        // A year stands for what no clock can count to.
        let when = now.checked_add(duration).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600));
        Sleep { reactor: self.clone(), key: (when, number), armed: false }
    }

    /// A task gets the core.
    #[inline]
    pub(super) fn task_begins(&self, counting: &Counting) {
        self.next_begins(counting);
        self.polls.set(self.polls.get() + 1);
        self.slice.set(Slice::Unasked);
    }

    /// The core goes over to another task, whose beginning this returns.
    #[inline]
    fn next_begins(&self, counting: &Counting) -> Instant {
        let now = Instant::now();
        let held = now.saturating_duration_since(self.begun.replace(now));
        counting.turned(held.as_micros() as u64);
        now
    }

    /// Whether the running task has had the core for long, counted from the second time that it asked.
    pub(super) fn is_time_over(&self, slice: Duration) -> bool {
        match self.slice.get() {
            Slice::Since(since) => return since.elapsed() >= slice,
            Slice::Asked => self.slice.set(Slice::Since(Instant::now())),
            Slice::Unasked => self.slice.set(Slice::Asked),
        }
        false
    }

    /// The clock as it was when the running task got the core.
    pub(super) fn now(&self) -> Instant {
        self.begun.get()
    }

    /// Queues an entry; it leaves with the next look at the ring.
    fn submit(&self, entry: &squeue::Entry) {
        let mut ring = self.ring.borrow_mut();
        // SAFETY: polls and their removals refer to no memory.
        while unsafe { ring.submission().push(entry) }.is_err() {
            enter(&ring, 0);
        }
    }

    /// One look at everything that may have happened. `idle` says that no task has run since the last one.
    fn turn(&self, idle: bool, counting: &Counting) {
        let begin = self.next_begins(counting);
        let mail = self.home.deliver();
        if mail > 0 {
            counting.add(|all| all.mail_calls += 1);
        }
        let mut woke = mail + self.fire_timers(begin) + self.look();
        if woke > 0 || !idle {
            return;
        }
        while woke == 0 && begin.elapsed() < self.busy_poll {
            std::hint::spin_loop();
            woke = self.home.deliver() + self.fire_timers(Instant::now()) + self.look();
        }
        if woke == 0 {
            self.sleep_until_something_happens();
        }
        // Nobody has held the core meanwhile.
        self.begun.set(Instant::now());
    }

    /// Takes what is there without waiting; how much it was.
    fn look(&self) -> usize {
        let mut ring = self.ring.borrow_mut();
        let must_enter = {
            let queue = ring.submission();
            !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
        };
        if must_enter {
            enter(&ring, 0);
        }
        drop(ring);
        self.reap()
    }

    fn sleep_until_something_happens(&self) {
        if !self.home.fall_asleep() {
            return;
        }
        let ring = self.ring.borrow();
        match self.timers.borrow().first_key_value() {
            Some((&(when, _), _)) => {
                let left = when.saturating_duration_since(Instant::now());
                let left = types::Timespec::from(left);
                let until = types::SubmitArgs::new().timespec(&left);
                tolerate(ring.submitter().submit_with_args(1, &until));
            }
            None => enter(&ring, 1),
        }
        drop(ring);
        self.home.wake_up();
        self.reap();
    }

    fn fire_timers(&self, now: Instant) -> usize {
        let mut fired = 0;
        loop {
            let mut timers = self.timers.borrow_mut();
            let Some(timer) = timers.first_entry().filter(|timer| timer.key().0 <= now) else { return fired };
            let waker = timer.remove();
            drop(timers);
            waker.wake();
            fired += 1;
        }
    }

    /// Tells the watchers what has completed; how much it was.
    fn reap(&self) -> usize {
        let mut completions = self.completions.take();
        completions.extend(self.ring.borrow_mut().completion());
        let count = completions.len();
        for completion in completions.drain(..).filter(|completion| completion.user_data() != NOBODY) {
            self.complete(completion.user_data(), completion.result(), cqueue::more(completion.flags()));
        }
        self.completions.replace(completions);
        count
    }

    fn complete(&self, key: u64, result: i32, goes_on: bool) {
        let watched = self.watched.borrow().get(key as usize).expect("a key is known until its last completion").clone();
        if watched.dropped.get() {
            if !goes_on {
                self.watched.borrow_mut().remove(key as usize);
            }
            return;
        }
        match u32::try_from(result) {
            Ok(events) => {
                watched.report(events);
                // The queue of completions was full.
                if !goes_on {
                    self.submit(&poll(key, watched.fd));
                }
            }
            // Whoever waits tries once more, and is told when it would wait again.
            Err(_) => {
                watched.failed.set(Some(-result));
                watched.report(MORE_TO_READ | WORTH_WRITING);
            }
        }
    }
}

/// The task that looks, and sleeps when there is nothing else to do.
pub(super) async fn drive(reactor: Rc<Reactor>, core: Rc<RealCore>) {
    let mut seen = None;
    poll_fn(|context| {
        if reactor.over.get() {
            return Poll::Ready(());
        }
        let polls = Some(reactor.polls.get());
        reactor.turn(polls == seen, &core.counting);
        seen = polls;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Watches a descriptor until told otherwise.
fn poll(key: u64, fd: RawFd) -> squeue::Entry {
    opcode::PollAdd::new(types::Fd(fd), WORTH_READING | WORTH_WRITING).multi(true).build().user_data(key)
}

/// Hands over what is queued, and waits for `want` completions.
fn enter(ring: &IoUring, want: usize) {
    tolerate(ring.submitter().submit_and_wait(want));
}

/// Time is up, a signal came, or completions are to be taken first: all are looked into by whoever called.
fn tolerate(entered: Result<usize>) {
    if let Err(error) = entered {
        let expected = matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN));
        assert!(expected, "the ring of a core fails: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A reactor on each kind of ring, and turns of it until `done`.
    fn on_each_ring(test: impl Fn(&Rc<Reactor>, &dyn Fn(&mut dyn FnMut() -> bool))) {
        for kind in RING_KINDS {
            let reactor = Reactor::with(kind().unwrap(), Duration::ZERO).unwrap();
            let counting = Counting::default();
            // Without tasks the reactor sleeps: a timer limits that.
            let turns = |done: &mut dyn FnMut() -> bool| {
                let begin = Instant::now();
                let mut limit = Box::pin(reactor.sleep(Duration::from_secs(5)));
                let _ = limit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                while !done() {
                    reactor.turn(true, &counting);
                    assert!(begin.elapsed() < Duration::from_secs(5), "nothing has happened");
                }
            };
            test(&reactor, &turns);
        }
    }

    #[test]
    fn readiness_is_told_again_after_it_was_used_up() {
        on_each_ring(|reactor, turns| {
            let (mut here, mut there) = UnixStream::pair().unwrap();
            let readiness = Readiness::new(reactor, &here, false);
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(woken.clone());
            for round in 1..=3 {
                let mut ready = Box::pin(readiness.ready(Side::Read));
                assert!(ready.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                there.write_all(b"x").unwrap();
                turns(&mut || woken.0.load(Ordering::SeqCst) == round);
                assert!(ready.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
                here.read_exact(&mut [0]).unwrap();
                readiness.used_up(Side::Read);
            }
            drop(there);
            let mut ready = Box::pin(readiness.ready(Side::Read));
            turns(&mut || ready.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
            readiness.drained();
            let mut still = Box::pin(readiness.ready(Side::Read));
            assert!(still.as_mut().poll(&mut Context::from_waker(&waker)).is_ready(), "the end is still to be read");
        });
    }

    #[test]
    fn a_key_is_free_again_after_the_last_completion() {
        on_each_ring(|reactor, turns| {
            let known = || reactor.watched.borrow().len();
            let before = known();
            for _ in 0..3 {
                let (here, _there) = UnixStream::pair().unwrap();
                let all: Vec<_> = (0..2 * SUBMISSIONS).map(|_| Readiness::new(reactor, &here, true)).collect();
                assert_eq!(known(), before + all.len());
                drop(all);
                turns(&mut || known() == before);
            }
        });
    }

    #[test]
    fn timers_fire_in_order_and_forget_who_has_gone() {
        on_each_ring(|reactor, turns| {
            let context = &mut Context::from_waker(Waker::noop());
            let mut sleeps: Vec<_> =
                [30_u64, 10, 20].iter().map(|&ms| Box::pin(reactor.sleep(Duration::from_millis(ms)))).collect();
            for sleep in &mut sleeps {
                assert!(sleep.as_mut().poll(context).is_pending());
            }
            drop(sleeps.remove(1));
            let begin = Instant::now();
            turns(&mut || sleeps[1].as_mut().poll(context).is_ready());
            assert!(begin.elapsed() >= Duration::from_millis(19) && sleeps[0].as_mut().poll(context).is_pending());
            turns(&mut || sleeps[0].as_mut().poll(context).is_ready());
            sleeps.clear();
            assert!(reactor.timers.borrow().is_empty(), "{:?}", reactor.timers.borrow().keys());
        });
    }

    #[test]
    fn the_bell_ends_the_sleep() {
        on_each_ring(|reactor, _| {
            let ring = reactor.home().clone();
            let begin = Instant::now();
            let caller = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                ring.ring();
            });
            reactor.turn(true, &Counting::default());
            while begin.elapsed() < Duration::from_millis(40) {
                reactor.turn(true, &Counting::default());
            }
            caller.join().unwrap();
            assert!(begin.elapsed() < Duration::from_secs(5));
        });
    }
}
