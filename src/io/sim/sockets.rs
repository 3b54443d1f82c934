//! Listeners and connections of a simulated core.

use super::core::SimCore;
use super::net::no_descriptor;
use super::state::{HostId, Shared, address_of};
use crate::io::file::FileKind;
use crate::io::{FileSlice, ListenOptions, Piece};
use bytes::{Bytes, BytesMut};
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

/// Bytes of a file that are looked at in one moment; what follows may have changed when its turn comes.
const STEP: u64 = 64 * 1024;

pub(in crate::io) struct SimListener {
    core: Rc<SimCore>,
    id: u64,
    address: SocketAddr,
}

pub(in crate::io) struct SimAccepted {
    end: Option<Handle>,
    peer: SocketAddr,
    local: SocketAddr,
}

pub(in crate::io) struct SimSocket {
    core: Rc<SimCore>,
    end: Handle,
    peer: SocketAddr,
    local: SocketAddr,
}

/// The last owner of one end of a connection.
struct Handle {
    shared: Shared,
    host: HostId,
    connection: u64,
    end: usize,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().drop_end(self.connection, self.end);
    }
}

/// A connection that is being made. Who does not wait for it any more does not get it.
struct Attempt {
    shared: Shared,
    id: u64,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.shared.lock().give_up_connecting(self.id);
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.close();
    }
}

impl SimCore {
    pub(in crate::io) fn probe_port(&self, address: SocketAddr) -> Result<()> {
        let mut state = self.shared.lock();
        let id = state.listen(self.host, address, false)?;
        state.close_listener(id);
        Ok(())
    }

    pub(in crate::io) fn listen(self: &Rc<Self>, address: SocketAddr, options: ListenOptions) -> Result<SimListener> {
        let mut state = self.shared.lock();
        let id = state.listen(self.host, address, options.shared)?;
        let address = state.net.listeners[&id].address;
        Ok(SimListener { core: self.clone(), id, address })
    }

    pub(in crate::io) async fn connect(self: &Rc<Self>, address: SocketAddr) -> Result<Rc<SimSocket>> {
        let id = self.shared.lock().connect(self.host, self.epoch, address);
        let _attempt = Attempt { shared: self.shared.clone(), id };
        let connection = poll_fn(|context| {
            let mut state = self.shared.lock();
            let connecting = state.net.connecting.get_mut(&id).expect("only this task takes it out");
            match connecting.result.take() {
                Some(result) => {
                    state.net.connecting.remove(&id);
                    Poll::Ready(result)
                }
                None => {
                    connecting.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await?;
        Ok(SimSocket::new(self, connection, 0))
    }
}

impl SimListener {
    pub(in crate::io) fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.address)
    }

    pub(in crate::io) fn close(&self) {
        self.core.shared.lock().close_listener(self.id);
    }

    pub(in crate::io) async fn accept(&self) -> Result<SimAccepted> {
        poll_fn(|context| {
            let mut state = self.core.shared.lock();
            let Some(listening) = state.net.listeners.get_mut(&self.id) else {
                return Poll::Ready(Err(Error::new(ErrorKind::NotConnected, "the listener is closed")));
            };
            let Some(connection) = listening.queue.pop_front() else {
                listening.waker = Some(context.waker().clone());
                return Poll::Pending;
            };
            let host = self.core.host;
            let ends = &state.net.connections.get(&connection).expect("queued until it is accepted").ends;
            let (peer, local) = (ends[0].address, ends[1].address);
            if state.hosts[host.0].refuse_accepts > 0 {
                state.hosts[host.0].refuse_accepts -= 1;
                state.faults.refused_accepts += 1;
                state.drop_end(connection, 1);
                return Poll::Ready(Err(no_descriptor()));
            }
            drop(state);
            self.core.counting.add(|all| all.accepts += 1);
            let end = Handle { shared: self.core.shared.clone(), host, connection, end: 1 };
            Poll::Ready(Ok(SimAccepted { end: Some(end), peer, local }))
        })
        .await
    }
}

impl SimAccepted {
    pub(in crate::io) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(in crate::io) fn attach(mut self, core: &Rc<SimCore>) -> Result<Rc<SimSocket>> {
        let end = self.end.take().expect("attached once");
        assert_eq!(end.host, core.host, "a connection stays on its host");
        Ok(Rc::new(SimSocket { core: core.clone(), end, peer: self.peer, local: self.local }))
    }
}

impl SimSocket {
    fn new(core: &Rc<SimCore>, connection: u64, end: usize) -> Rc<Self> {
        let state = core.shared.lock();
        let here = SocketAddr::new(address_of(core.host), 0);
        let address = |end: usize| state.net.connections.get(&connection).map_or(here, |both| both.ends[end].address);
        let (local, peer) = (address(end), address(1 - end));
        drop(state);
        let end = Handle { shared: core.shared.clone(), host: core.host, connection, end };
        Rc::new(Self { core: core.clone(), end, peer, local })
    }

    pub(in crate::io) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(in crate::io) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub(in crate::io) fn shutdown(&self) {
        self.core.shared.lock().shut_end(self.end.connection, self.end.end);
    }

    pub(in crate::io) async fn read(&self, buffer: &mut BytesMut) -> Result<usize> {
        let read = poll_fn(|context| {
            let mut state = self.core.shared.lock();
            match state.receive(self.end.connection, self.end.end, buffer, context.waker()) {
                Ok(None) => Poll::Pending,
                Ok(Some(read)) => Poll::Ready(Ok(read)),
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await?;
        self.core.counting.add(|all| {
            all.receive_calls += 1;
            all.received_bytes += read as u64;
        });
        Ok(read)
    }

    pub(in crate::io) async fn send(&self, pieces: &[Piece]) -> Result<()> {
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => {
                    self.send_all(bytes).await?;
                    self.core.counting.add(|all| {
                        all.send_calls += 1;
                        all.memory_bytes += bytes.len() as u64;
                    });
                }
                Piece::File(slice) => self.send_file(slice).await?,
            }
        }
        Ok(())
    }

    async fn send_file(&self, slice: &FileSlice) -> Result<()> {
        let FileKind::Sim(file) = &slice.file.kind else { unreachable!("a file of another world") };
        let mut position = slice.position;
        let end = slice.position + slice.len;
        while position < end {
            let want = (end - position).min(STEP) as usize;
            slice.file.check_kept()?;
            let bytes: Bytes = file.peek(&self.core, position, want)?;
            if bytes.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.send_all(&bytes).await?;
            self.core.counting.add(|all| {
                all.sendfile_calls += 1;
                all.sendfile_bytes += bytes.len() as u64;
            });
            position += bytes.len() as u64;
            self.core.yield_if_needed().await;
        }
        Ok(())
    }

    async fn send_all(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let sent = poll_fn(|context| {
                let mut state = self.core.shared.lock();
                match state.send(self.end.connection, self.end.end, bytes, context.waker()) {
                    Ok(None) => Poll::Pending,
                    Ok(Some(sent)) => Poll::Ready(Ok(sent)),
                    Err(error) => Poll::Ready(Err(error)),
                }
            })
            .await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }
}
