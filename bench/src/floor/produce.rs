//! Receive, checksum, write, acknowledge.

use super::Service;
use crate::link::{Body, HEAD_BYTES, Link};
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

pub struct Produce {
    file: File,
    size: u64,
    /// Where the next frame goes; the file is filled over and over, so that the page cache stays bounded.
    position: u64,
    head: [u8; HEAD_BYTES],
    rest: Rc<Vec<u8>>,
}

impl Produce {
    /// Frames go to `file` of `size` bytes; each is answered with `answer` bytes.
    pub fn new(file: File, size: u64, answer: usize) -> Self {
        let answer = answer.max(HEAD_BYTES - 4);
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&(answer as u32).to_be_bytes());
        Self { file, size, position: 0, head, rest: Rc::new(vec![0; answer + 4 - HEAD_BYTES]) }
    }
}

impl Service for Produce {
    fn frame(&mut self, _token: usize, frame: Bytes, link: &mut Link) -> io::Result<()> {
        let crc = crc32c::crc32c(&frame);
        if self.position + frame.len() as u64 > self.size {
            self.position = 0;
        }
        self.file.write_all_at(&frame, self.position)?;
        self.position += frame.len() as u64;
        // The checksum is in the answer, so that it cannot be left out.
        self.head[4..8].copy_from_slice(&crc.to_be_bytes());
        link.outbox.push(self.head, Body::Shared(self.rest.clone()));
        Ok(())
    }
}
