//! The rules that make the reactor dependable, each under load: nothing freezes beside CPU hogs, no connection or descriptor is lost,
//! nothing leaks into child processes, idle cores idle, and fetched bytes leave by `sendfile`.

use bytes::{Bytes, BytesMut};
use flumen::io::{FileSlice, Io, OpenOptions, Piece, ReplySender, Socket, Topology, affinity_cores, mailbox, reply, start};
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

/// Descriptors and processor time are counted for the whole process, so one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn cores() -> usize {
    affinity_cores().min(2)
}

fn run<F: Future<Output = ()> + 'static>(cores: usize, main: impl Fn(Io) -> F + Send + Sync + Clone + 'static) {
    start(&Topology { cores, busy_poll: Duration::ZERO }, main).unwrap().join().unwrap();
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn descriptors() -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, fs::read_link(entry.path()).ok()?))).collect()
}

/// Sockets and regular files that are open.
fn open_now() -> usize {
    let counts = |path: &PathBuf| path.to_string_lossy().starts_with("socket:") || path.starts_with("/tmp");
    descriptors().values().filter(|path| counts(path)).count()
}

/// Waits until as few are open as before; a helper closes files, and the kernel takes a moment for sockets.
fn closed_again(before: usize) {
    let begin = Instant::now();
    while open_now() > before {
        assert!(begin.elapsed() < Duration::from_secs(5), "{} open, {before} before: {:?}", open_now(), descriptors());
        std::thread::sleep(Duration::from_millis(10));
    }
}

async fn echo(io: Io, socket: Socket) {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        buffer.reserve(4096);
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if socket.send(&[Piece::Bytes(buffer.split().freeze())]).await.is_err() {
                    return;
                }
            }
        }
        io.yield_if_needed().await;
    }
}

/// Runs an echo server on all cores until `work` has returned on a thread of its own.
fn with_echo<T: Send + 'static>(cores: usize, work: impl FnOnce(SocketAddr) -> T + Send + 'static) -> (T, u64) {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = probe.local_addr().unwrap();
    drop(probe);
    let (up, listening) = mpsc::channel();
    let done = Arc::new(AtomicBool::new(false));
    let accepts = Arc::new(AtomicU64::new(0));
    let worker = {
        let done = done.clone();
        std::thread::spawn(move || {
            for _ in 0..cores {
                listening.recv().unwrap();
            }
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(address)));
            done.store(true, Ordering::SeqCst);
            result
        })
    };
    let counted = accepts.clone();
    run(cores, move |io| {
        let (up, done, counted) = (up.clone(), done.clone(), counted.clone());
        async move {
            let listener = Rc::new(io.listen(address, true).unwrap());
            up.send(()).unwrap();
            let (accepting, io2) = (listener.clone(), io.clone());
            io.spawn(async move {
                while let Ok(accepted) = accepting.accept().await {
                    io2.spawn(echo(io2.clone(), accepted.attach(&io2).unwrap()));
                }
            });
            while !done.load(Ordering::SeqCst) {
                io.sleep(Duration::from_millis(10)).await;
            }
            listener.close();
            io.sleep(Duration::from_millis(20)).await;
            counted.fetch_add(io.counters().accepts, Ordering::SeqCst);
        }
    });
    (worker.join().unwrap().unwrap(), accepts.load(Ordering::SeqCst))
}

fn ping(stream: &mut TcpStream) {
    let mut buffer = [0; 4];
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"ping");
}

#[test]
fn nothing_freezes_beside_processes_that_take_all_processors() {
    let _alone = alone();
    let stop = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..2 * affinity_cores())
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let (longest, _) = with_echo(cores(), |address| {
        let mut streams: Vec<_> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
        let (begin, mut longest) = (Instant::now(), Duration::ZERO);
        while begin.elapsed() < Duration::from_secs(4) {
            for stream in &mut streams {
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let sent = Instant::now();
                ping(stream);
                longest = longest.max(sent.elapsed());
            }
        }
        longest
    });
    stop.store(true, Ordering::Relaxed);
    hogs.into_iter().for_each(|hog| hog.join().unwrap());
    println!("longest round trip beside hogs: {longest:?}");
    assert!(longest < Duration::from_secs(3), "{longest:?}");
}

#[test]
fn a_storm_of_connections_loses_none_and_leaks_no_descriptor() {
    let _alone = alone();
    let before = open_now();
    let (made, accepted) = with_echo(cores(), |address| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(move || {
                    for round in 0..250 {
                        let mut stream = TcpStream::connect(address).unwrap();
                        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                        if round % 5 > 0 {
                            ping(&mut stream);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        2000
    });
    assert_eq!(accepted, made);
    closed_again(before);
}

#[test]
fn listeners_close_while_connections_come_in() {
    let _alone = alone();
    let before = open_now();
    run(1, |io| async move {
        for round in 0..100 {
            let listener = Rc::new(io.listen(any_port(), true).unwrap());
            let address = listener.local_addr().unwrap();
            let (ended, mut end) = mailbox();
            let accepting = listener.clone();
            io.spawn(async move {
                let mut count = 0;
                while accepting.accept().await.is_ok() {
                    count += 1;
                }
                ended.send(count);
            });
            let (sender, mut results) = mailbox();
            for _ in 0..4 {
                let (io2, sender) = (io.clone(), sender.clone());
                io.spawn(async move { sender.send(io2.connect(address).await.is_ok()) });
            }
            if round % 2 == 0 {
                io.yield_now().await;
            } else {
                results.recv().await.unwrap();
            }
            listener.close();
            assert!(end.recv().await.unwrap() <= 4);
            for _ in 0..4 - round % 2 {
                results.recv().await.unwrap();
            }
        }
    });
    closed_again(before);
}

#[test]
fn running_out_of_descriptors_refuses_and_recovers() {
    let _alone = alone();
    let before = open_now();
    run(1, |io| async move {
        let listener = Rc::new(io.listen(any_port(), false).unwrap());
        let address = listener.local_addr().unwrap();
        let (errors, mut seen) = mailbox();
        let (accepting, io2) = (listener.clone(), io.clone());
        io.spawn(async move {
            let mut held = Vec::new();
            loop {
                match accepting.accept().await {
                    Ok(accepted) => held.push(accepted),
                    Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                        errors.send(held.len());
                        io2.sleep(Duration::from_millis(5)).await;
                    }
                    Err(_) => return,
                }
            }
        });
        let clients = io.blocking(move || (0..20).map(|_| TcpStream::connect(address).unwrap()).collect::<Vec<_>>()).await;
        io.sleep(Duration::from_millis(50)).await;
        assert!(seen.try_recv().is_none(), "enough so far");
        // Made before there are too few descriptors: it is the accepts that must find none.
        let socket = |_| socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let sockets: Vec<socket2::Socket> = (0..10).map(socket).collect();
        // SAFETY: plain structs.
        let limit = unsafe {
            let mut limit: libc::rlimit = std::mem::zeroed();
            assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
            let low = libc::rlimit { rlim_cur: descriptors().len() as u64 + 3, rlim_max: limit.rlim_max };
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &low), 0);
            limit
        };
        let connect = move || {
            sockets.iter().for_each(|socket| socket.connect(&address.into()).unwrap());
            sockets
        };
        let late = io.blocking(connect).await;
        let told = comes_soon(&io, &mut seen).await;
        // SAFETY: restores what was read above.
        unsafe { assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0) };
        assert!(told, "an accept must have failed with EMFILE");
        drop((clients, late));
        let again = io.connect(address).await.unwrap();
        again.send(&[Piece::Bytes(Bytes::from_static(b"x"))]).await.unwrap();
        listener.close();
        io.sleep(Duration::from_millis(20)).await;
    });
    closed_again(before);
}

/// Whether a message comes within two seconds.
async fn comes_soon<T: Send>(io: &Io, receiver: &mut flumen::io::Receiver<T>) -> bool {
    for _ in 0..200 {
        if receiver.try_recv().is_some() {
            return true;
        }
        io.sleep(Duration::from_millis(10)).await;
    }
    false
}

#[test]
fn no_descriptor_is_inherited_by_a_child() {
    let _alone = alone();
    let known = descriptors();
    run(cores(), move |io| {
        let known = known.clone();
        async move {
            let directory = tempfile::tempdir().unwrap();
            let _file = io.open(&directory.path().join("a"), OpenOptions::CREATE).await.unwrap();
            let _lock = io.lock_file(&directory.path().join(".lock")).await.unwrap();
            let listener = io.listen(any_port(), true).unwrap();
            let client = io.connect(listener.local_addr().unwrap()).await.unwrap();
            let server = listener.accept().await.unwrap().attach(&io).unwrap();
            for (number, target) in descriptors() {
                let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else { continue };
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
                let flags = i32::from_str_radix(flags, 8).unwrap();
                if !known.contains_key(&number) && !target.starts_with("/proc") {
                    assert_ne!(flags & libc::O_CLOEXEC, 0, "{number} is inherited: {target:?}");
                }
            }
            drop((client, server));
        }
    });
}

struct Ask(u64, ReplySender<u64>);

#[test]
fn a_storm_of_messages_between_cores_loses_no_answer() {
    let _alone = alone();
    const TASKS: u64 = 50;
    const ASKS: u64 = 400;
    let cores = cores();
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..cores {
        let (sender, receiver) = mailbox::<Ask>();
        senders.push(sender);
        receivers.push(Some(receiver));
    }
    let receivers = Arc::new(Mutex::new(receivers));
    let begin = Instant::now();
    let done = Arc::new(AtomicU64::new(0));
    let all = done.clone();
    run(cores, move |io| {
        let mut inbox = receivers.lock().unwrap()[io.core()].take().unwrap();
        let other = senders[(io.core() + 1) % io.cores()].clone();
        let done = done.clone();
        async move {
            io.spawn(async move {
                while let Some(Ask(number, answer)) = inbox.recv().await {
                    answer.send(2 * number);
                }
            });
            for task in 0..TASKS {
                let (io2, other, done) = (io.clone(), other.clone(), done.clone());
                io.spawn(async move {
                    for n in 0..ASKS {
                        let (sender, receiver) = reply();
                        other.send(Ask(task * ASKS + n, sender));
                        assert_eq!(receiver.await, Ok(2 * (task * ASKS + n)));
                        if n % 50 == 0 {
                            io2.sleep(Duration::from_micros(task * 7)).await;
                        }
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
            while done.load(Ordering::SeqCst) < TASKS * io.cores() as u64 {
                io.sleep(Duration::from_millis(2)).await;
                assert!(begin.elapsed() < Duration::from_secs(30), "answers are missing");
            }
        }
    });
    assert_eq!(all.load(Ordering::SeqCst), TASKS * cores as u64);
}

#[test]
fn an_idle_core_sleeps() {
    let _alone = alone();
    let used = |share: Arc<Mutex<f64>>| {
        run(cores(), move |io| {
            let share = share.clone();
            async move {
                let listener = io.listen(any_port(), false).unwrap();
                let accepting = Rc::new(listener);
                let pending = accepting.clone();
                io.spawn(async move {
                    let _ = pending.accept().await;
                });
                io.sleep(Duration::from_millis(300)).await;
                let (cpu, wall) = (processor_time(), Instant::now());
                io.sleep(Duration::from_secs(2)).await;
                *share.lock().unwrap() = (processor_time() - cpu).as_secs_f64() / wall.elapsed().as_secs_f64();
                accepting.close();
                io.sleep(Duration::from_millis(10)).await;
            }
        });
    };
    let share = Arc::new(Mutex::new(1.0));
    used(share.clone());
    let share = *share.lock().unwrap();
    println!("processor time of {} idle cores: {:.3} %", cores(), share * 100.0);
    assert!(share < 0.01, "{share}");
}

fn processor_time() -> Duration {
    // SAFETY: fills a plain struct.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        of(usage.ru_utime) + of(usage.ru_stime)
    }
}

#[test]
fn fetched_bytes_leave_by_sendfile_also_to_slow_readers() {
    let _alone = alone();
    const TOTAL: u64 = 32 << 20;
    run(1, |io| async move {
        let directory = tempfile::tempdir().unwrap();
        let file = io.open(&directory.path().join("log"), OpenOptions::CREATE).await.unwrap();
        let block = Bytes::from((0..1 << 20).map(|n: u32| (n % 253) as u8).collect::<Vec<_>>());
        for n in 0..TOTAL >> 20 {
            file.write_at(&io, n << 20, &[block.clone()]).await.unwrap();
        }
        let listener = io.listen(any_port(), false).unwrap();
        let address = listener.local_addr().unwrap();
        for slow in [false, true] {
            let reader = std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                let (mut buffer, mut got) = (vec![0; 40_000], 0_u64);
                loop {
                    let read = stream.read(&mut buffer).unwrap();
                    if read == 0 {
                        return got;
                    }
                    assert!(buffer[..read].iter().zip(got..).all(|(&byte, at)| byte == ((at % (1 << 20)) % 253) as u8));
                    got += read as u64;
                    if slow && got % 7 == 0 {
                        std::thread::sleep(Duration::from_micros(300));
                    }
                }
            });
            let socket = listener.accept().await.unwrap().attach(&io).unwrap();
            let before = io.counters();
            let slice = FileSlice { file: file.clone(), position: 0, len: TOTAL, hot: !slow };
            socket.send(&[Piece::File(slice)]).await.unwrap();
            socket.shutdown();
            drop(socket);
            let got = io.blocking(move || reader.join().unwrap()).await;
            assert_eq!(got, TOTAL);
            let after = io.counters();
            let sent = after.sendfile_bytes - before.sendfile_bytes;
            let copied = after.file_copied_bytes - before.file_copied_bytes;
            assert_eq!(sent + copied, TOTAL);
            println!("slow {slow}: {:.2} % by sendfile", 100.0 * sent as f64 / TOTAL as f64);
            assert!(sent * 100 >= TOTAL * 95, "{sent} of {TOTAL}");
        }
    });
}

#[test]
fn a_cold_slice_is_read_beside_the_core_and_arrives_whole() {
    let _alone = alone();
    run(1, |io| async move {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let file = io.open(&path, OpenOptions::CREATE).await.unwrap();
        let content = Bytes::from((0..2 << 20).map(|n: u32| (n % 241) as u8).collect::<Vec<_>>());
        file.write_at(&io, 0, &[content.clone()]).await.unwrap();
        file.sync_data(&io).await.unwrap();
        let evict = path.clone();
        io.blocking(move || {
            use std::os::fd::AsRawFd;
            let file = fs::File::open(evict).unwrap();
            // SAFETY: no memory is involved.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        })
        .await;
        let slice = FileSlice { file: file.clone(), position: 100, len: (2 << 20) - 100, hot: false };
        let copied = || (io.counters().file_copied_bytes, io.counters().sendfile_bytes);
        assert!(fetched(&io, slice.clone()).await == content[100..]);
        assert_eq!(copied(), (slice.len, 0));
        // Short reads leave what they read in the page cache, and from there it is sent without a copy.
        for position in (0..2 << 20).step_by(64 << 10) {
            let read = file.read_at(&io, position, 64 << 10).await.unwrap();
            assert!(read == content[position as usize..][..64 << 10]);
        }
        assert!(fetched(&io, slice.clone()).await == content[100..]);
        assert_eq!(copied(), (slice.len, slice.len));
    });
}

/// What a client of this core gets when the slice is sent to it.
async fn fetched(io: &Io, slice: FileSlice) -> BytesMut {
    let listener = io.listen(any_port(), false).unwrap();
    let client = io.connect(listener.local_addr().unwrap()).await.unwrap();
    let server = listener.accept().await.unwrap().attach(io).unwrap();
    io.spawn(async move {
        server.send(&[Piece::File(slice)]).await.unwrap();
        server.shutdown();
    });
    let mut received = BytesMut::new();
    loop {
        received.reserve(1 << 20);
        if client.read(&mut received).await.unwrap() == 0 {
            return received;
        }
    }
}

/// A client that has said all it will say still gets its answers, and while it does not take them the core sleeps.
#[test]
fn a_client_that_has_ceased_to_send_gets_what_it_reads_slowly() {
    const BYTES: usize = 32 << 20;
    let _alone = alone();
    let (address_is, address) = mpsc::channel::<SocketAddr>();
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address.recv().unwrap()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let before = processor_time();
        std::thread::sleep(Duration::from_millis(500));
        let spent = processor_time() - before;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        (spent, all)
    });
    run(1, move |io| {
        let address_is = address_is.clone();
        async move {
            let listener = io.listen(any_port(), false).unwrap();
            address_is.send(listener.local_addr().unwrap()).unwrap();
            let server = listener.accept().await.unwrap().attach(&io).unwrap();
            assert_eq!(server.read(&mut BytesMut::with_capacity(10)).await.unwrap(), 0);
            server.send(&[Piece::Bytes(Bytes::from(vec![7; BYTES]))]).await.unwrap();
        }
    });
    let (spent, all) = client.join().unwrap();
    assert!(spent < Duration::from_millis(100), "{spent:?} of 500 ms while nobody could go on");
    assert!(all.len() == BYTES && all.iter().all(|byte| *byte == 7));
}

/// Figures of this machine; run with `--ignored --nocapture`.
#[test]
#[ignore = "prints figures and asserts nothing"]
fn figures() {
    let _alone = alone();
    for (connections, rounds) in [(1, 20_000), (16, 2_000)] {
        let cpu = processor_time();
        let (took, _) = with_echo(1, move |address| {
            let begin = Instant::now();
            let threads: Vec<_> = (0..connections)
                .map(|_| {
                    std::thread::spawn(move || {
                        let mut stream = TcpStream::connect(address).unwrap();
                        stream.set_nodelay(true).unwrap();
                        (0..rounds).for_each(|_| ping(&mut stream));
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            begin.elapsed()
        });
        let requests = connections as u32 * rounds as u32;
        println!(
            "echo, {connections} connection(s): {:.1} us per request, {:.1} us of processor for both ends",
            took.as_secs_f64() * 1e6 / f64::from(requests),
            (processor_time() - cpu).as_secs_f64() * 1e6 / f64::from(requests)
        );
    }
    if cores() == 2 {
        cross_core_figures(Duration::ZERO);
        cross_core_figures(Duration::from_micros(50));
    }
    run(1, |io| async move {
        let directory = tempfile::tempdir_in(std::env::var("FIGURES_DIR").unwrap_or_else(|_| "/tmp".into())).unwrap();
        for kib in [1_usize, 16, 64, 256, 1024] {
            let file =
                io.open(&directory.path().join("log"), OpenOptions { truncate: true, ..OpenOptions::CREATE }).await.unwrap();
            file.preallocate(&io, 0, 64 << 20).await.unwrap();
            let block = [Bytes::from(vec![7; kib * 1024])];
            let count = (64 * 1024 / kib).min(5000) as u64;
            let mut times = Vec::new();
            for n in 0..count {
                let begin = Instant::now();
                file.write_at(&io, n * kib as u64 * 1024, &block).await.unwrap();
                times.push(begin.elapsed());
            }
            let begin = Instant::now();
            file.sync_data(&io).await.unwrap();
            println!("write_at {kib} KiB: {}; sync after it {:?}", quantiles(times), begin.elapsed());
        }
        let file = io.open(&directory.path().join("big"), OpenOptions::CREATE).await.unwrap();
        let block = [Bytes::from(vec![7; 1 << 20])];
        let begin = Instant::now();
        for n in 0..1024_u64 {
            file.write_at(&io, n << 20, &block).await.unwrap();
        }
        println!("1 GiB in {:?}: {:?}", begin.elapsed(), io.counters());
    });
}

/// Shortest, median, 99th percentile and longest.
fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("least {:?}, median {:?}, p99 {:?}, most {:?}", at(0), at(50), at(99), at(100))
}

fn cross_core_figures(busy_poll: Duration) {
    let (to_one, mut at_one) = mailbox::<(u64, ReplySender<u64>)>();
    let at_one = Arc::new(Mutex::new(Some(std::mem::replace(&mut at_one, mailbox().1))));
    start(&Topology { cores: 2, busy_poll }, move |io| {
        let inbox = (io.core() == 1).then(|| at_one.lock().unwrap().take().unwrap());
        let to_one = (io.core() == 0).then(|| to_one.clone());
        async move {
            if let Some(mut inbox) = inbox {
                for _ in 0..5000 {
                    let (n, answer) = inbox.recv().await.unwrap();
                    answer.send(n);
                }
            } else if let Some(to_one) = to_one {
                let mut times = Vec::new();
                for n in 0..5000 {
                    let begin = Instant::now();
                    let (sender, receiver) = reply();
                    to_one.send((n, sender));
                    receiver.await.unwrap();
                    times.push(begin.elapsed());
                }
                println!("core to core and back, spinning {busy_poll:?}: {}", quantiles(times));
            }
        }
    })
    .unwrap()
    .join()
    .unwrap();
}
