//! Send a region of a file that is in the page cache.

use super::Service;
use crate::link::Link;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

pub struct Fetch {
    file: File,
    size: u64,
    answer: usize,
    /// Answers under way, by connection.
    waiting: BTreeMap<usize, VecDeque<Answer>>,
}

struct Answer {
    /// Bytes of the size prefix that have left.
    prefix_sent: usize,
    position: i64,
    left: usize,
}

impl Fetch {
    /// Each request is answered with `answer` bytes of `file`, which has `size`.
    pub fn new(file: File, size: u64, answer: usize) -> Self {
        Self { file, size, answer: answer.min(size as usize), waiting: BTreeMap::new() }
    }
}

/// What a call moved; 0 when the socket is full.
fn moved(result: isize) -> io::Result<usize> {
    if result >= 0 {
        return Ok(result as usize);
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}

impl Service for Fetch {
    fn frame(&mut self, token: usize, frame: Bytes, _link: &mut Link) -> io::Result<()> {
        let asked = frame.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let position = asked.min(self.size - self.answer as u64) as i64;
        self.waiting.entry(token).or_default().push_back(Answer { prefix_sent: 0, position, left: self.answer });
        Ok(())
    }

    fn flush(&mut self, token: usize, link: &mut Link) -> io::Result<bool> {
        let Some(waiting) = self.waiting.get_mut(&token) else { return Ok(true) };
        while let Some(answer) = waiting.front_mut() {
            if answer.prefix_sent < 4 {
                let prefix = (self.answer as u32).to_be_bytes();
                let rest = &prefix[answer.prefix_sent..];
                // SAFETY: `rest` lives until the call returns.
                let sent = moved(unsafe {
                    libc::send(link.fd(), rest.as_ptr().cast(), rest.len(), libc::MSG_MORE | libc::MSG_NOSIGNAL)
                })?;
                answer.prefix_sent += sent;
                if answer.prefix_sent < 4 {
                    return Ok(false);
                }
            }
            while answer.left > 0 {
                // SAFETY: both descriptors are open, and the position is a valid pointer for the call.
                let sent = moved(unsafe { libc::sendfile(link.fd(), self.file.as_raw_fd(), &mut answer.position, answer.left) })?;
                if sent == 0 {
                    return Ok(false);
                }
                answer.left -= sent;
            }
            waiting.pop_front();
        }
        Ok(true)
    }

    fn closed(&mut self, token: usize) {
        self.waiting.remove(&token);
    }
}
