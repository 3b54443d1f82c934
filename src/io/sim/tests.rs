//! What a world promises to those who test in it: replays, crashes, partitions, planned faults.

use super::{Crash, DiskFault, DiskOp, HostId, Options, World};
use crate::io::{File, FileSlice, Io, OpenOptions, Piece, mailbox};
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const LOG: &str = "/log";

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Echoes on every core, and stores what it echoes.
async fn echo(io: Io) {
    let listener = io.listen("0.0.0.0:7".parse().unwrap(), true).unwrap();
    while let Ok(accepted) = listener.accept().await {
        let socket = accepted.attach(&io).unwrap();
        let io2 = io.clone();
        io.spawn(async move {
            let file = io2.open(Path::new(LOG), OpenOptions::CREATE).await.unwrap();
            let mut buffer = BytesMut::with_capacity(1000);
            while socket.read(&mut buffer).await.unwrap_or(0) > 0 {
                let bytes = buffer.split().freeze();
                buffer.reserve(1000);
                let end = file.len(&io2).await.unwrap();
                if file.write_at(&io2, end, &[bytes.clone()]).await.is_err() || socket.send(&[Piece::Bytes(bytes)]).await.is_err()
                {
                    return;
                }
            }
        });
    }
}

/// A client that asks until it is told to stop; how many answers it got.
async fn ask(io: Io, server: HostId, world: World, answers: Rc<Cell<u64>>) {
    let address = (world.address(server), 7).into();
    loop {
        let Ok(socket) = io.connect(address).await else {
            io.sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut buffer = BytesMut::with_capacity(100);
        while socket.send(&[Piece::Bytes(Bytes::from(io.random::<10>().to_vec()))]).await.is_ok() {
            if socket.read(&mut buffer).await.unwrap_or(0) == 0 {
                break;
            }
            buffer.clear();
            answers.set(answers.get() + 1);
            io.sleep(Duration::from_millis(3)).await;
        }
    }
}

fn busy_world(seed: u64) -> (World, u64) {
    let mut options = Options { keep_trace: true, ..Options::default() };
    options.net.resets = 500;
    options.net.stalls = 500;
    options.disk.write_errors = 300;
    let world = World::new(seed, options);
    let server = world.add_host("server", 2);
    let client = world.add_host("client", 1);
    let answers = Rc::new(Cell::new(0));
    world.start(server, echo);
    for _ in 0..3 {
        let io = world.io(client, 0);
        io.spawn(ask(io.clone(), server, world.clone(), answers.clone()));
    }
    let chaos = world.io(client, 0);
    let (io, inside) = (chaos.clone(), world.clone());
    chaos.spawn(async move {
        for round in 0..6 {
            io.sleep(Duration::from_millis(500)).await;
            match round % 3 {
                0 => inside.crash(server, if round == 0 { Crash::Kill } else { Crash::PowerLoss }),
                1 => inside.partition(server, client),
                _ => inside.pause(server, Duration::from_millis(300)),
            }
            io.sleep(Duration::from_millis(200)).await;
            if !inside.is_running(server) {
                inside.start(server, echo);
            }
            inside.heal(server, client);
        }
    });
    world.run_for(Duration::from_secs(10));
    (world, answers.get())
}

#[test]
fn a_seed_replays_exactly_and_another_one_does_not() {
    for seed in 0..5 {
        let ((one, answers), (two, again)) = (busy_world(seed), busy_world(seed));
        assert_eq!(one.first_difference(&two), None);
        assert_eq!((one.trace(), one.events(), answers), (two.trace(), two.events(), again));
        assert!(answers > 300, "{answers}");
        assert!(one.faults().seen().len() >= 5, "{:?}", one.faults().seen());
        assert_ne!(one.trace(), busy_world(seed + 100).0.trace());
    }
}

async fn append(io: &Io, file: &File, bytes: &'static str) {
    let end = file.len(io).await.unwrap();
    file.write_at(io, end, &[text(bytes)]).await.unwrap();
}

fn one_host(seed: u64) -> (World, HostId) {
    let world = World::new(seed, Options::default());
    let host = world.add_host("host", 1);
    (world, host)
}

#[test]
fn a_kill_keeps_what_was_written_and_a_power_loss_only_what_was_synced() {
    let mut missing = 0;
    for seed in 0..50 {
        let (world, host) = one_host(seed);
        world.run(host, |io| async move {
            let file = io.open(Path::new(LOG), OpenOptions::CREATE).await.unwrap();
            append(&io, &file, "synced").await;
            file.sync_data(&io).await.unwrap();
            io.sync_dir(Path::new("/")).await.unwrap();
            append(&io, &file, "written").await;
        });
        assert!(world.disk(host).is_synced(LOG, 6) && !world.disk(host).is_synced(LOG, 7));
        world.crash(host, Crash::Kill);
        assert_eq!(world.disk(host).read(LOG).unwrap(), b"syncedwritten");
        world.crash(host, Crash::PowerLoss);
        let left = world.disk(host).read(LOG).unwrap();
        assert!(left.starts_with(b"synced"));
        missing += u32::from(left.len() < 13);
    }
    assert!((10..45).contains(&missing), "{missing}");
}

#[test]
fn a_crash_drops_tasks_locks_and_connections_of_its_host_only() {
    let world = World::new(1, Options::default());
    let (server, client) = (world.add_host("server", 2), world.add_host("client", 1));
    world.start(server, |io| async move {
        if io.core() == 0 {
            std::mem::forget(io.lock_file(Path::new("/.lock")).await.unwrap());
        }
        echo(io).await;
    });
    let dropped = Rc::new(Cell::new(false));
    struct Flag(Rc<Cell<bool>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let (io, flag) = (world.io(server, 0), Flag(dropped.clone()));
    io.spawn(async move {
        let _flag = flag;
        std::future::pending::<()>().await;
    });
    let address = (world.address(server), 7).into();
    let socket = world.run(client, |io| async move {
        let socket = io.connect(address).await.unwrap();
        socket.send(&[Piece::Bytes(text("hello"))]).await.unwrap();
        let mut buffer = BytesMut::with_capacity(10);
        assert!(socket.read(&mut buffer).await.unwrap() > 0);
        socket
    });
    world.crash(server, Crash::Kill);
    assert!(dropped.get() && !world.is_running(server));
    world.run(client, move |_| async move {
        let mut buffer = BytesMut::with_capacity(10);
        while socket.read(&mut buffer).await.unwrap_or(0) > 0 {}
    });
    let refused = world.run(client, move |io| async move { io.connect(address).await.err().unwrap().kind() });
    assert_eq!(refused, ErrorKind::ConnectionRefused);
    let locked = world.run(server, |io| async move { io.lock_file(Path::new("/.lock")).await.unwrap().is_some() });
    assert!(locked, "the lock went with the process");
}

#[test]
fn a_process_ends_when_its_mains_return() {
    let (world, host) = one_host(3);
    world.start(host, |io| async move {
        let io2 = io.clone();
        io.spawn(async move {
            loop {
                io2.sleep(Duration::from_secs(1)).await;
            }
        });
        let signal = io.signal().await;
        assert_eq!(signal, crate::io::Signal::Terminate);
    });
    world.run_for(Duration::from_secs(5));
    assert!(world.is_running(host));
    world.signal(host, crate::io::Signal::Terminate);
    assert!(world.run_until(Duration::from_secs(1), || !world.is_running(host)));
    let events = world.events();
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.events(), events, "nothing of it runs on");
}

#[test]
fn a_cut_link_delivers_when_it_heals_or_is_given_up() {
    for heals in [true, false] {
        let world = World::new(4, Options::default());
        let (server, client) = (world.add_host("server", 1), world.add_host("client", 1));
        world.start(server, echo);
        let address = (world.address(server), 7).into();
        let socket = world.run(client, move |io| async move { io.connect(address).await.unwrap() });
        world.partition(server, client);
        let answer = Rc::new(RefCell::new(None));
        let slot = answer.clone();
        world.io(client, 0).spawn(async move {
            let mut buffer = BytesMut::with_capacity(100);
            socket.send(&[Piece::Bytes(text("x"))]).await.unwrap();
            let result = socket.read(&mut buffer).await.map_err(|error| error.kind());
            *slot.borrow_mut() = Some(result);
        });
        world.run_for(Duration::from_secs(10));
        assert_eq!(*answer.borrow(), None, "nobody is told");
        if heals {
            world.heal(server, client);
            world.run_for(Duration::from_secs(1));
            assert_eq!(*answer.borrow(), Some(Ok(1)));
        } else {
            world.run_for(Duration::from_secs(30));
            assert_eq!(*answer.borrow(), Some(Err(ErrorKind::ConnectionReset)));
            let io = world.io(client, 0);
            let result = world.run(client, move |_| async move { io.connect(address).await.err().unwrap().kind() });
            assert_eq!(result, ErrorKind::TimedOut);
        }
    }
}

#[test]
fn planned_faults_come_when_they_were_planned() {
    let (world, host) = one_host(5);
    world.fail_disk(host, DiskFault { op: DiskOp::Write, path_contains: "lo".into(), after: 1, times: 1, errno: 5 });
    world.fail_disk(host, DiskFault::next(DiskOp::Sync));
    world.run(host, |io| async move {
        let other = io.open(Path::new("/other"), OpenOptions::CREATE).await.unwrap();
        let file = io.open(Path::new(LOG), OpenOptions::CREATE).await.unwrap();
        append(&io, &other, "o").await;
        append(&io, &file, "a").await;
        let error = file.write_at(&io, 1, &[text("bcdefgh")]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5));
        assert!(file.len(&io).await.unwrap() < 8, "a failed write has written a prefix");
        assert!(file.sync_data(&io).await.is_err());
        file.sync_data(&io).await.unwrap();
    });
    assert!(!world.disk(host).is_data_synced(LOG, 1), "the bytes of the failed sync never reach the disk");
    let faults = world.faults();
    assert_eq!((faults.write_errors, faults.sync_errors), (1, 1));
}

#[test]
fn a_full_disk_says_so() {
    let (world, host) = one_host(6);
    world.set_capacity(host, 10);
    world.run(host, |io| async move {
        let file = io.open(Path::new(LOG), OpenOptions::CREATE).await.unwrap();
        append(&io, &file, "12345678").await;
        let error = file.write_at(&io, 8, &[text("9012")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(file.len(&io).await.unwrap(), 10);
    });
    world.set_capacity(host, 20);
    world.run(host, |io| async move {
        let file = io.open(Path::new(LOG), OpenOptions::WRITE).await.unwrap();
        append(&io, &file, "more").await;
    });
    assert_eq!(world.disk(host).read(LOG).unwrap(), b"1234567890more");
}

#[test]
fn an_accept_without_descriptors_fails_and_closes_the_connection() {
    let world = World::new(8, Options::default());
    let (server, client) = (world.add_host("server", 1), world.add_host("client", 1));
    world.refuse_accepts(server, 1);
    let errors = Rc::new(Cell::new(0));
    let seen = errors.clone();
    world.start(server, move |io| {
        let seen = seen.clone();
        async move {
            let listener = io.listen("0.0.0.0:7".parse().unwrap(), false).unwrap();
            loop {
                match listener.accept().await {
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(24));
                        seen.set(seen.get() + 1);
                    }
                }
            }
        }
    });
    let address = (world.address(server), 7).into();
    world.run(client, move |io| async move {
        let socket = io.connect(address).await.unwrap();
        let mut buffer = BytesMut::with_capacity(1);
        assert_eq!(socket.read(&mut buffer).await.unwrap_or(0), 0);
    });
    assert_eq!(errors.get(), 1);
}

#[test]
fn a_slice_is_read_when_it_is_sent() {
    let world = World::new(9, Options::default());
    let (server, client) = (world.add_host("server", 1), world.add_host("client", 1));
    world.start(server, |io| async move {
        let listener = io.listen("0.0.0.0:7".parse().unwrap(), false).unwrap();
        let file = io.open(Path::new(LOG), OpenOptions::CREATE).await.unwrap();
        file.write_at(&io, 0, &[Bytes::from(vec![1; 1 << 20])]).await.unwrap();
        let socket = listener.accept().await.unwrap().attach(&io).unwrap();
        let slice = FileSlice { file: file.clone(), position: 0, len: 1 << 20, hot: true };
        let (sent, mut result) = mailbox();
        io.spawn(async move { sent.send(socket.send(&[Piece::File(slice)]).await.map_err(|error| error.kind())) });
        io.sleep(Duration::from_millis(20)).await; // the window is full, nobody has read
        file.set_len(&io, 900_000).await.unwrap();
        assert_eq!(result.recv().await.unwrap(), Err(ErrorKind::UnexpectedEof));
    });
    let address = (world.address(server), 7).into();
    let received = world.run(client, move |io| async move {
        let socket = loop {
            match io.connect(address).await {
                Ok(socket) => break socket,
                Err(_) => io.sleep(Duration::from_millis(1)).await,
            }
        };
        io.sleep(Duration::from_millis(100)).await;
        let mut buffer = BytesMut::with_capacity(2 << 20);
        while socket.read(&mut buffer).await.unwrap_or(0) > 0 {}
        buffer.len()
    });
    assert!((256 * 1024..=900_000).contains(&received), "{received}");
}

#[test]
fn a_view_edits_copies_and_lists() {
    let (world, host) = one_host(10);
    let disk = world.disk(host);
    disk.put("/d/e/file", b"0123456789".to_vec());
    assert!(disk.is_synced("/d/e/file", 10));
    assert!(disk.edit("/d/e/file", |content| content[3] ^= 0xff));
    assert!(disk.edit("/d/e/file", |content| content.truncate(5)));
    assert_eq!(disk.read("/d/e/file").unwrap(), [b'0', b'1', b'2', b'3' ^ 0xff, b'4']);
    let directory = tempfile::tempdir().unwrap();
    disk.copy_out("/d", directory.path()).unwrap();
    let other = world.add_host("other", 1);
    world.disk(other).copy_in(directory.path(), "/copy").unwrap();
    assert_eq!(world.disk(other).files(), [Path::new("/copy/e/file")]);
    assert_eq!(world.disk(other).read("/copy/e/file"), disk.read("/d/e/file"));
    assert!(disk.remove("/d/e/file") && disk.files().is_empty());
}

#[test]
fn a_jump_moves_the_wall_clock_only() {
    let (world, host) = one_host(11);
    let io = world.io(host, 0);
    let (wall, mono) = (io.wall_clock_ms(), io.now());
    world.jump_clock(host, -3_600_000);
    assert_eq!(io.wall_clock_ms(), wall - 3_600_000);
    assert_eq!(io.now(), mono);
}
