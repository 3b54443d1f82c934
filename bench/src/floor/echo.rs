//! Returns what it gets, without looking at it.

use super::{LISTENER, time_left};
use crate::clock::SECOND;
use crate::poll::Poller;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

struct Connection {
    socket: TcpStream,
    /// What the socket did not take.
    waiting: Vec<u8>,
    /// Whether the poller watches for writability.
    watches_writes: bool,
}

/// One thread on a bare epoll loop.
pub fn on_epoll(listener: &TcpListener, deadline: Option<u64>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut poller = Poller::new()?;
    poller.add(listener.as_raw_fd(), LISTENER)?;
    let mut connections: BTreeMap<usize, Connection> = BTreeMap::new();
    let mut next = LISTENER + 1;
    let mut buffer = vec![0; READ_BYTES];
    while time_left(deadline) != Some(0) {
        for index in 0..poller.wait(time_left(deadline).or(Some(SECOND)))? {
            let token = poller.event(index).token;
            if token == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    poller.add(socket.as_raw_fd(), next)?;
                    connections.insert(next, Connection { socket, waiting: Vec::new(), watches_writes: false });
                    next += 1;
                }
                continue;
            }
            let Some(connection) = connections.get_mut(&token) else { continue };
            match echo(connection, &mut buffer) {
                Ok(waits) if waits != connection.watches_writes => {
                    connection.watches_writes = waits;
                    poller.watch_writes(connection.socket.as_raw_fd(), token, waits)?;
                }
                Ok(_) => {}
                Err(_) => {
                    connections.remove(&token);
                }
            }
        }
    }
    Ok(())
}

/// One round; whether something waits for the socket.
fn echo(connection: &mut Connection, buffer: &mut [u8]) -> io::Result<bool> {
    if !connection.waiting.is_empty() {
        let taken = send(&connection.socket, &connection.waiting)?;
        connection.waiting.drain(..taken);
        return Ok(!connection.waiting.is_empty());
    }
    let read = match connection.socket.read(buffer) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error),
    };
    let taken = send(&connection.socket, &buffer[..read])?;
    connection.waiting.extend_from_slice(&buffer[taken..read]);
    Ok(!connection.waiting.is_empty())
}

fn send(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}

/// One executor of glommio on one thread, set as the broker sets its own.
pub fn on_glommio(listener: TcpListener, deadline: Option<u64>) -> io::Result<()> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use glommio::net::TcpStream;
    use std::os::fd::{FromRawFd, IntoRawFd};
    use std::time::Duration;

    listener.set_nonblocking(true)?;
    let executor = glommio::LocalExecutorBuilder::new(glommio::Placement::Unbound)
        .preempt_timer(Duration::from_millis(1))
        .io_memory(64 << 10)
        .make()
        .map_err(|error| io::Error::other(error.to_string()))?;
    executor.run(async move {
        // SAFETY: the descriptor was given up by its owner on this line and has this one owner.
        let listener = unsafe { glommio::net::TcpListener::from_raw_fd(listener.into_raw_fd()) };
        glommio::spawn_local(async move {
            while let Ok(mut socket) = listener.accept().await {
                socket.set_nodelay(true).ok();
                glommio::spawn_local(async move {
                    let mut buffer = vec![0; READ_BYTES];
                    while let Ok(read @ 1..) = TcpStream::read(&mut socket, &mut buffer).await {
                        if socket.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                })
                .detach();
            }
        })
        .detach();
        // An executor without an armed timer can park for ever with runnable tasks; the broker has such a tick too.
        while time_left(deadline) != Some(0) {
            glommio::timer::sleep(Duration::from_millis(5)).await;
        }
    });
    Ok(())
}
