//! What every kind of device promises, checked on the real machine and, with the feature `sim`, in the simulated one too: the same
//! body runs on both, so that neither can drift from the other.

use bytes::{Bytes, BytesMut};
use flumen::io::{File, FileSlice, Io, Mono, Notify, OpenOptions, Piece, Socket, Topology, local_reply, mailbox, reply, start};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Runs `body` on one real core, with a directory of its own.
fn real<F: Future<Output = ()> + 'static>(body: impl Fn(Io, PathBuf) -> F + Send + Sync + Clone + 'static) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    start(&Topology { cores: 1, busy_poll: Duration::ZERO }, move |io| body(io, path.clone())).unwrap().join().unwrap();
}

/// Runs `body` on a simulated core, in worlds of several seeds.
#[cfg(feature = "sim")]
fn simulated<F: Future<Output = ()> + 'static>(body: impl Fn(Io, PathBuf) -> F) {
    use flumen::io::sim::{Options, World};
    for seed in 0..30 {
        let world = World::new(seed, Options::default());
        let host = world.add_host("host", 1);
        world.run(host, |io| async move { io.create_dir_all(Path::new("/test")).await.unwrap() });
        world.run(host, |io| body(io, PathBuf::from("/test")));
    }
}

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod real_kind {
            $(#[test] fn $name() { super::real(super::$name); })*
        }
        #[cfg(feature = "sim")]
        mod simulated_kind {
            $(#[test] fn $name() { super::simulated(super::$name); })*
        }
    };
}

contract!(
    files_hold_what_was_written,
    a_read_past_the_end_is_short,
    a_missing_file_is_not_found,
    directories_list_rename_and_remove,
    small_files_are_read_with_their_names,
    a_small_file_is_replaced_whole,
    a_lock_is_held_once,
    set_len_cuts_and_extends,
    sockets_carry_bytes_both_ways_at_once,
    pieces_of_files_and_memory_arrive_in_order,
    a_short_file_fails_the_send,
    shutdown_ends_a_pending_read,
    the_other_end_closing_is_a_read_of_nothing,
    nobody_listening_refuses,
    a_closed_listener_ends_its_accept,
    a_taken_port_is_found,
    timers_keep_their_order,
    a_deadline_that_was_waited_for_has_passed,
    notify_wakes_all_who_wait,
    a_local_reply_arrives_or_says_that_it_never_will,
    spawn_does_not_run_inside_the_call,
    messages_keep_their_order,
    blocking_returns_a_value,
    the_clock_goes_on,
    host_names_resolve,
);

async fn write(io: &Io, file: &File, position: u64, text: &'static str) {
    file.write_at(io, position, &[Bytes::from_static(text.as_bytes())]).await.unwrap();
}

async fn files_hold_what_was_written(io: Io, directory: PathBuf) {
    let file = io.open(&directory.join("a"), OpenOptions::CREATE).await.unwrap();
    assert_eq!(file.len(&io).await.unwrap(), 0);
    let pieces: Vec<Bytes> = (0..1000_u32).map(|n| Bytes::from(n.to_be_bytes().to_vec())).chain([Bytes::new()]).collect();
    file.write_at(&io, 3, &pieces).await.unwrap();
    file.sync_data(&io).await.unwrap();
    assert_eq!(file.len(&io).await.unwrap(), 4003);
    let read = file.read_at(&io, 0, 4003).await.unwrap();
    assert_eq!(&read[..3], &[0; 3]);
    assert_eq!(&read[3..], &pieces.concat()[..]);
    let again = io.open(&directory.join("a"), OpenOptions::READ).await.unwrap();
    assert_eq!(&again.read_at(&io, 3 + 4 * 999, 4).await.unwrap()[..], &999_u32.to_be_bytes());
    let large = Bytes::from(vec![7_u8; 3 << 20]);
    file.write_at(&io, 1, &[large.clone(), Bytes::from_static(b"end")]).await.unwrap();
    assert_eq!(file.len(&io).await.unwrap(), (3 << 20) + 4);
    assert_eq!(again.read_at(&io, 1, 3 << 20).await.unwrap(), large);
    file.preallocate(&io, 0, 8 << 20).await.unwrap();
    assert_eq!(file.len(&io).await.unwrap(), (3 << 20) + 4, "preallocation keeps the length");
    assert!(again.write_at(&io, 0, &[Bytes::from_static(b"x")]).await.is_err(), "opened for reading");
}

async fn a_read_past_the_end_is_short(io: Io, directory: PathBuf) {
    let file = io.open(&directory.join("a"), OpenOptions::CREATE).await.unwrap();
    write(&io, &file, 0, "hello").await;
    assert_eq!(&file.read_at(&io, 3, 100).await.unwrap()[..], b"lo");
    assert_eq!(file.read_at(&io, 5, 1).await.unwrap().len(), 0);
    assert_eq!(file.read_at(&io, 500, 1).await.unwrap().len(), 0);
}

async fn a_missing_file_is_not_found(io: Io, directory: PathBuf) {
    let path = directory.join("none");
    assert_eq!(io.open(&path, OpenOptions::READ).await.err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(io.read_file(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(io.remove_file(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(io.read_dir(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(io.rename(&path, &directory.join("b")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!io.exists(&path).await.unwrap());
    let exclusive = OpenOptions { write: true, create: true, exclusive: true, truncate: false };
    io.open(&path, exclusive).await.unwrap();
    assert_eq!(io.open(&path, exclusive).await.err().unwrap().kind(), ErrorKind::AlreadyExists);
    assert!(io.open(&directory.join("no/such/directory"), OpenOptions::CREATE).await.is_err());
}

async fn names(io: &Io, directory: &Path) -> Vec<String> {
    let entries = io.read_dir(directory).await.unwrap();
    entries.into_iter().map(|entry| entry.name + if entry.is_dir { "/" } else { "" }).collect()
}

async fn small_files_are_read_with_their_names(io: Io, directory: PathBuf) {
    io.create_dir_all(&directory.join("x/y")).await.unwrap();
    let long = "l".repeat(flumen::io::SMALL_FILE as usize);
    for (name, content) in
        [("x/empty", String::new()), ("x/long", long.clone()), ("x/longer", long + "!"), ("x/other.log", "log".to_owned())]
    {
        let file = io.open(&directory.join(name), OpenOptions::CREATE).await.unwrap();
        if !content.is_empty() {
            file.write_at(&io, 0, &[content.clone().into()]).await.unwrap();
        }
    }
    let found = io.read_small_files(&directory.join("x"), |name| !name.ends_with(".log")).await.unwrap();
    let told: Vec<_> =
        found.iter().map(|file| (&*file.name, file.is_dir, file.content.as_ref().map(|bytes| bytes.len()))).collect();
    let expected = [
        ("empty", false, Some(0)),
        ("long", false, Some(flumen::io::SMALL_FILE as usize)),
        ("longer", false, None),
        ("other.log", false, None),
        ("y", true, None),
    ];
    assert_eq!(told, expected);
    let missing = io.read_small_files(&directory.join("none"), |_| true).await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn directories_list_rename_and_remove(io: Io, directory: PathBuf) {
    io.create_dir_all(&directory.join("x/y")).await.unwrap();
    io.create_dir_all(&directory.join("x/y")).await.unwrap();
    for name in ["x/b", "x/a", "x/y/c"] {
        let file = io.open(&directory.join(name), OpenOptions::CREATE).await.unwrap();
        write(&io, &file, 0, name).await;
    }
    assert_eq!(names(&io, &directory.join("x")).await, ["a", "b", "y/"]);
    io.rename(&directory.join("x/a"), &directory.join("x/b")).await.unwrap();
    assert_eq!(&io.read_file(&directory.join("x/b")).await.unwrap()[..], b"x/a");
    io.rename(&directory.join("x"), &directory.join("z")).await.unwrap();
    io.sync_dir(&directory).await.unwrap();
    assert_eq!(&io.read_file(&directory.join("z/y/c")).await.unwrap()[..], b"x/y/c");
    let open = io.open(&directory.join("z/b"), OpenOptions::READ).await.unwrap();
    io.remove_file(&directory.join("z/b")).await.unwrap();
    assert_eq!(&open.read_at(&io, 0, 3).await.unwrap()[..], b"x/a", "an unlinked file lives as long as it is open");
    io.remove_dir_all(&directory.join("z")).await.unwrap();
    assert_eq!(names(&io, &directory).await, Vec::<String>::new());
}

async fn a_small_file_is_replaced_whole(io: Io, directory: PathBuf) {
    let path = directory.join("meta.properties");
    for content in ["version=1\n", "v=2", ""] {
        io.replace_file(&path, Bytes::from_static(content.as_bytes())).await.unwrap();
        assert_eq!(&io.read_file(&path).await.unwrap()[..], content.as_bytes());
    }
    assert_eq!(names(&io, &directory).await, ["meta.properties"], "no temporary file stays");
}

async fn a_lock_is_held_once(io: Io, directory: PathBuf) {
    let path = directory.join(".lock");
    let held = io.lock_file(&path).await.unwrap();
    assert!(held.is_some());
    assert!(io.lock_file(&path).await.unwrap().is_none());
    drop(held);
    assert!(io.lock_file(&path).await.unwrap().is_some());
}

async fn set_len_cuts_and_extends(io: Io, directory: PathBuf) {
    let file = io.open(&directory.join("a"), OpenOptions::CREATE).await.unwrap();
    write(&io, &file, 0, "0123456789").await;
    file.set_len(&io, 4).await.unwrap();
    assert_eq!(file.len(&io).await.unwrap(), 4);
    file.set_len(&io, 6).await.unwrap();
    assert_eq!(&file.read_at(&io, 0, 10).await.unwrap()[..], b"0123\0\0");
}

/// Two ends of a connection on this core.
async fn pair(io: &Io) -> (Socket, Socket) {
    let listener = io.listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let client = io.connect(listener.local_addr().unwrap()).await.unwrap();
    let accepted = listener.accept().await.unwrap();
    assert_eq!(accepted.peer_addr(), client.local_addr());
    let server = accepted.attach(io).unwrap();
    assert_eq!(server.local_addr(), client.peer_addr());
    listener.close();
    (client, server)
}

async fn read_to_end(socket: &Socket) -> BytesMut {
    let mut all = BytesMut::new();
    loop {
        all.reserve(64 * 1024);
        if socket.read(&mut all).await.unwrap_or(0) == 0 {
            return all;
        }
    }
}

async fn sockets_carry_bytes_both_ways_at_once(io: Io, _: PathBuf) {
    let (client, server) = pair(&io).await;
    const TOTAL: usize = 4 << 20;
    let (done, both) = mailbox();
    for (name, socket, seed) in [("client", client.clone(), 1_u8), ("server", server.clone(), 2)] {
        let sending = socket.clone();
        let done_sending = done.clone();
        io.spawn(async move {
            let data: Vec<u8> = (0..TOTAL).map(|n| (n * 7 / 5) as u8 ^ seed).collect();
            sending.send(&[Piece::Bytes(Bytes::from(data))]).await.unwrap();
            done_sending.send(name);
        });
        let done = done.clone();
        let expected = 3 - seed;
        io.spawn(async move {
            let mut received = BytesMut::with_capacity(TOTAL);
            while received.len() < TOTAL {
                assert_ne!(socket.read(&mut received).await.unwrap(), 0);
            }
            assert!(received.iter().enumerate().all(|(n, &byte)| byte == (n * 7 / 5) as u8 ^ expected), "{name}");
            done.send(name);
        });
    }
    let mut both = both;
    for _ in 0..4 {
        both.recv().await.unwrap();
    }
}

async fn pieces_of_files_and_memory_arrive_in_order(io: Io, directory: PathBuf) {
    let (client, server) = pair(&io).await;
    let file = io.open(&directory.join("a"), OpenOptions::CREATE).await.unwrap();
    let content: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    file.write_at(&io, 0, &[Bytes::from(content.clone())]).await.unwrap();
    let mut pieces = Vec::new();
    let mut expected = Vec::new();
    for (index, &(position, len)) in [(0, 1_500_000), (5, 0), (17, 100), (1_999_999, 1), (0, 2_000_000)].iter().enumerate() {
        let header = Bytes::from(format!("header {index} {position} {len};"));
        expected.extend_from_slice(&header);
        pieces.push(Piece::Bytes(header));
        pieces.push(Piece::Bytes(Bytes::new()));
        pieces.push(Piece::File(FileSlice { file: file.clone(), position, len, hot: index % 2 == 0 }));
        expected.extend_from_slice(&content[position as usize..(position + len) as usize]);
    }
    pieces.extend((0..200).map(|n: u8| Piece::Bytes(Bytes::from(vec![n; 3]))));
    expected.extend((0..200).flat_map(|n: u8| [n; 3]));
    io.spawn(async move {
        server.send(&pieces).await.unwrap();
        server.shutdown();
    });
    let received = read_to_end(&client).await;
    assert_eq!(received.len(), expected.len());
    assert!(received[..] == expected[..]);
}

async fn a_short_file_fails_the_send(io: Io, directory: PathBuf) {
    for hot in [true, false] {
        let (client, server) = pair(&io).await;
        let file = io.open(&directory.join("a"), OpenOptions::CREATE).await.unwrap();
        write(&io, &file, 0, "short").await;
        let slice = FileSlice { file, position: 2, len: 10, hot };
        let error = server.send(&[Piece::Bytes(Bytes::from_static(b"x")), Piece::File(slice)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        server.shutdown();
        drop(server);
        let received = read_to_end(&client).await;
        assert!(b"xort".starts_with(&received[..]), "{received:?}");
    }
}

async fn shutdown_ends_a_pending_read(io: Io, _: PathBuf) {
    let (client, server) = pair(&io).await;
    let (sender, ended) = local_reply();
    let reading = server.clone();
    io.spawn(async move {
        let mut buffer = BytesMut::with_capacity(10);
        sender.send(reading.read(&mut buffer).await.unwrap_or(0));
    });
    io.sleep(Duration::from_millis(20)).await;
    server.shutdown();
    assert_eq!(ended.await.unwrap(), 0);
    assert!(server.send(&[Piece::Bytes(Bytes::from_static(b"x"))]).await.is_err());
    assert_eq!(read_to_end(&client).await.len(), 0);
}

async fn the_other_end_closing_is_a_read_of_nothing(io: Io, _: PathBuf) {
    let (client, server) = pair(&io).await;
    client.send(&[Piece::Bytes(Bytes::from_static(b"last words"))]).await.unwrap();
    drop(client);
    assert_eq!(&read_to_end(&server).await[..], b"last words");
}

async fn nobody_listening_refuses(io: Io, _: PathBuf) {
    let listener = io.listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let address = listener.local_addr().unwrap();
    listener.close();
    drop(listener);
    assert_eq!(io.connect(address).await.err().unwrap().kind(), ErrorKind::ConnectionRefused);
}

async fn a_closed_listener_ends_its_accept(io: Io, _: PathBuf) {
    let listener = Rc::new(io.listen("127.0.0.1:0".parse().unwrap(), true).unwrap());
    let (sender, ended) = local_reply();
    let accepting = listener.clone();
    io.spawn(async move { sender.send(accepting.accept().await.err().map(|error| error.kind())) });
    io.sleep(Duration::from_millis(20)).await;
    listener.close();
    assert_eq!(ended.await.unwrap(), Some(ErrorKind::NotConnected));
    assert_eq!(listener.accept().await.err().unwrap().kind(), ErrorKind::NotConnected);
}

async fn a_taken_port_is_found(io: Io, _: PathBuf) {
    let first = io.listen("127.0.0.1:0".parse().unwrap(), true).unwrap();
    let address = first.local_addr().unwrap();
    let second = io.listen(address, true).unwrap();
    assert_eq!(second.local_addr().unwrap(), address, "shared by two cores");
    assert_eq!(io.probe_port(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    first.close();
    second.close();
    drop((first, second));
    io.probe_port(address).unwrap();
}

async fn timers_keep_their_order(io: Io, _: PathBuf) {
    let woken = Rc::new(RefCell::new(Vec::new()));
    let all = Notify::new();
    let begin = io.now();
    for ms in [30_u64, 10, 20, 0] {
        let (io2, woken, all) = (io.clone(), woken.clone(), all.clone());
        io.spawn(async move {
            io2.sleep_until(begin.after(Duration::from_millis(ms))).await;
            assert!(io2.now().since(begin) >= Duration::from_millis(ms));
            woken.borrow_mut().push(ms);
            all.notify_all();
        });
    }
    while woken.borrow().len() < 4 {
        all.notified().await;
    }
    assert_eq!(*woken.borrow(), [0, 10, 20, 30]);
}

/// Whoever looks at the clock again finds it so, even if it was so near that the timer did not have to be armed.
async fn a_deadline_that_was_waited_for_has_passed(io: Io, _: PathBuf) {
    for nanos in (0..2_000_u64).chain([20_000, 1_500_000]) {
        let deadline = io.now().after(Duration::from_nanos(nanos));
        io.sleep_until(deadline).await;
        assert!(io.now() >= deadline, "{nanos} ns");
    }
}

async fn notify_wakes_all_who_wait(io: Io, _: PathBuf) {
    let notify = Notify::new();
    let woken = Rc::new(Cell::new(0));
    for _ in 0..10 {
        let waiting = notify.notified();
        let woken = woken.clone();
        io.spawn(async move {
            waiting.await;
            woken.set(woken.get() + 1);
        });
    }
    // Even before the waiters have been polled: a wait counts from the call.
    notify.notify_all();
    io.sleep(Duration::from_millis(5)).await;
    assert_eq!(woken.get(), 10);
}

async fn a_local_reply_arrives_or_says_that_it_never_will(io: Io, _: PathBuf) {
    let (sender, receiver) = local_reply();
    io.spawn(async move { sender.send(5) });
    assert_eq!(receiver.await, Ok(5));
    let (sender, receiver) = local_reply::<()>();
    io.spawn(async move { drop(sender) });
    assert!(receiver.await.is_err());
    let (sender, receiver) = reply();
    io.spawn(async move { sender.send("text".to_owned()) });
    assert_eq!(receiver.await.unwrap(), "text");
    let (sender, receiver) = reply::<()>();
    io.spawn(async move { drop(sender) });
    assert!(receiver.await.is_err());
}

async fn spawn_does_not_run_inside_the_call(io: Io, _: PathBuf) {
    let cell = Rc::new(RefCell::new(0));
    let mut borrowed = cell.borrow_mut();
    let shared = cell.clone();
    io.spawn(async move { *shared.borrow_mut() += 1 });
    *borrowed = 5;
    drop(borrowed);
    io.sleep(Duration::from_millis(1)).await;
    assert_eq!(*cell.borrow(), 6);
}

async fn messages_keep_their_order(io: Io, _: PathBuf) {
    let (sender, mut receiver) = mailbox();
    for task in 0..3_u32 {
        let (sender, io2) = (sender.clone(), io.clone());
        io.spawn(async move {
            for n in 0..1000_u32 {
                sender.send((task, n));
                if n % 7 == 0 {
                    io2.yield_now().await;
                }
            }
        });
    }
    drop(sender);
    let mut next = [0; 3];
    while let Some((task, n)) = receiver.recv().await {
        assert_eq!(next[task as usize], n);
        next[task as usize] += 1;
    }
    assert_eq!(next, [1000; 3], "all senders have gone after their last message");
    assert!(receiver.try_recv().is_none());
}

async fn blocking_returns_a_value(io: Io, _: PathBuf) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = seen.clone();
    let text = io
        .blocking(move || {
            shared.lock().unwrap().push(1);
            "done".to_owned()
        })
        .await;
    assert_eq!((text.as_str(), seen.lock().unwrap().len()), ("done", 1));
}

async fn the_clock_goes_on(io: Io, _: PathBuf) {
    let (mono, wall) = (io.now(), io.wall_clock_ms());
    io.sleep(Duration::from_millis(12)).await;
    assert!(io.now().since(mono) >= Duration::from_millis(12));
    assert!(io.wall_clock_ms() >= wall + 11);
    assert!(wall > 1_600_000_000_000, "after 2020");
    assert_eq!(Mono(5).since(Mono(7)), Duration::ZERO);
    assert_ne!(io.random::<16>(), io.random::<16>());
    assert_eq!((io.core(), io.cores()), (0, 1));
}

async fn host_names_resolve(io: Io, _: PathBuf) {
    assert_eq!(io.resolve("127.0.0.1", 80).await.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
    assert_eq!(io.resolve("::1", 80).await.unwrap(), ["[::1]:80".parse().unwrap()]);
    assert!(!io.resolve("localhost", 9092).await.unwrap().is_empty());
}
