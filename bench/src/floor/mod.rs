//! The floor: the least that any server must do for a request, in programs that do nothing else.
//!
//! A broker's cost is only worth a number beside the cost of moving the bytes at all on the same machine. `produce` is one thread
//! that receives a frame, computes its CRC-32C, appends it to a file of its connection and acknowledges it; `fetch` sends a region of
//! a file from the page cache; `echo` returns what it gets, on a bare epoll loop and on the broker's reactor. The generator drives
//! them as it drives a broker ([`client`]). [`checksum`] is the floor of a recovery: read files, compute the CRC-32C;
//! [`gaps`] that of a stall: look at the clock.
//!
//! Every frame, in both directions, is a 32-bit big-endian size and so many bytes. A fetch has 8 bytes, the position in the file.
//! A server ends after `--seconds`, or by SIGTERM's default action; its files have no names and are gone with it.

mod checksum;
pub mod client;
mod echo;
mod fetch;
mod gaps;
mod produce;

pub use checksum::checksum;
pub use gaps::gaps;

use crate::args::{FloorArgs, FloorKind, Reactor};
use crate::clock::{self, SECOND};
use crate::link::Link;
use crate::poll::Poller;
use crate::worker::Failure;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The poller's token of the listener.
const LISTENER: usize = 0;
/// A file is filled in steps of so many bytes.
const FILL_BYTES: usize = 1 << 20;

/// What a floor server does with a frame.
trait Service {
    /// Takes a whole frame; what it puts into the link's outbox leaves after it.
    fn frame(&mut self, token: usize, frame: Bytes, link: &mut Link) -> io::Result<()>;

    /// Sends what is to be sent; true when nothing is left.
    fn flush(&mut self, _token: usize, link: &mut Link) -> io::Result<bool> {
        link.flush()?;
        Ok(link.outbox.is_empty())
    }

    /// A connection has ended.
    fn closed(&mut self, _token: usize) {}
}

/// Runs one of the servers until its time is up.
pub fn run(args: &FloorArgs) -> Result<(), Failure> {
    let (kind, size) = (args.kind, args.file_mib << 20);
    let fills = kind == FloorKind::Fetch || kind == FloorKind::Produce && args.overwrite;
    let file = fills.then(|| filled_file(&args.dir, size)).transpose()?;
    let listener = TcpListener::bind(&args.listen)?;
    println!("listening on {}", listener.local_addr()?);
    let deadline = args.seconds.map(|seconds| clock::now() + clock::seconds(seconds));
    match (kind, file) {
        (FloorKind::Produce, Some(file)) => {
            serve(&listener, deadline, &mut produce::Produce::overwriting(file, size, args.answer_bytes))?;
        }
        (FloorKind::Produce, None) => {
            serve(&listener, deadline, &mut produce::Produce::appending(args.dir.clone(), args.answer_bytes))?;
        }
        (FloorKind::Fetch, Some(file)) => {
            serve(&listener, deadline, &mut fetch::Fetch::new(file, size, args.answer_bytes))?;
        }
        _ if args.on == Reactor::Epoll => echo::on_epoll(&listener, deadline)?,
        _ => echo::on_glommio(listener, deadline)?,
    }
    Ok(())
}

fn unnamed_file(dir: &Path) -> io::Result<File> {
    File::options().read(true).write(true).custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC).open(dir)
}

/// A file without a name in `dir`, with all its blocks allocated and all its pages in the page cache: that memory is touched for the
/// first time is no part of the floor.
fn filled_file(dir: &Path, size: u64) -> io::Result<File> {
    let file = unnamed_file(dir)?;
    // SAFETY: an open descriptor and no pointers.
    if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size as i64) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let block = vec![0x5a; FILL_BYTES];
    for position in (0..size).step_by(FILL_BYTES) {
        let length = (size - position).min(FILL_BYTES as u64) as usize;
        file.write_all_at(&block[..length], position)?;
    }
    file.sync_data()?;
    Ok(file)
}

fn time_left(deadline: Option<u64>) -> Option<u64> {
    deadline.map(|deadline| deadline.saturating_sub(clock::now()))
}

/// One thread, one epoll loop, whole frames.
fn serve(listener: &TcpListener, deadline: Option<u64>, service: &mut impl Service) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut poller = Poller::new()?;
    poller.add(listener.as_raw_fd(), LISTENER)?;
    let mut links: BTreeMap<usize, Link> = BTreeMap::new();
    let mut next = LISTENER + 1;
    while time_left(deadline) != Some(0) {
        for index in 0..poller.wait(time_left(deadline).or(Some(SECOND)))? {
            let token = poller.event(index).token;
            if token == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    let link = Link::new(socket)?;
                    poller.add(link.fd(), next)?;
                    links.insert(next, link);
                    next += 1;
                }
                continue;
            }
            let Some(link) = links.get_mut(&token) else { continue };
            if turn(token, link, poller.event(index).readable, service, &poller).is_err() {
                links.remove(&token);
                service.closed(token);
            }
        }
    }
    Ok(())
}

fn turn(token: usize, link: &mut Link, readable: bool, service: &mut impl Service, poller: &Poller) -> io::Result<()> {
    if readable {
        link.fill()?;
        while let Some(frame) = link.frame()? {
            service.frame(token, frame, link)?;
        }
    }
    let empty = service.flush(token, link)?;
    if link.watches_writes == empty {
        link.watches_writes = !empty;
        poller.watch_writes(link.fd(), token, !empty)?;
    }
    Ok(())
}
