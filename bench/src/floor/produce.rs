//! Receive, checksum, write, acknowledge.

use super::{Service, unnamed_file};
use crate::link::{Body, HEAD_BYTES, Link};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;

/// Bytes after which a connection's file is rolled, and bytes of a connection that remain: `segment.bytes` and `retention.bytes` of
/// the topics that a broker is compared with.
const SEGMENT_BYTES: u64 = 128 << 20;
const RETAINED_BYTES: u64 = 256 << 20;

/// Where frames go.
enum Files {
    /// One file that is there before the first frame, filled over and over: what no log can do, and so less than a broker's floor.
    Overwritten { file: File, size: u64, position: u64 },
    /// A log for each connection, in files without names in `dir`.
    Appended { dir: PathBuf, logs: BTreeMap<usize, Log> },
}

pub struct Produce {
    files: Files,
    head: [u8; HEAD_BYTES],
    rest: Rc<Vec<u8>>,
}

impl Produce {
    /// Each connection appends to fresh files of its own; each frame is answered with `answer` bytes.
    pub fn appending(dir: PathBuf, answer: usize) -> Self {
        Self::to(Files::Appended { dir, logs: BTreeMap::new() }, answer)
    }

    /// Frames overwrite `file` of `size` bytes; each is answered with `answer` bytes.
    pub fn overwriting(file: File, size: u64, answer: usize) -> Self {
        Self::to(Files::Overwritten { file, size, position: 0 }, answer)
    }

    fn to(files: Files, answer: usize) -> Self {
        let answer = answer.max(HEAD_BYTES - 4);
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&(answer as u32).to_be_bytes());
        Self { files, head, rest: Rc::new(vec![0; answer + 4 - HEAD_BYTES]) }
    }
}

impl Service for Produce {
    fn frame(&mut self, token: usize, frame: Bytes, link: &mut Link) -> io::Result<()> {
        let crc = crc32c::crc32c(&frame);
        match &mut self.files {
            Files::Overwritten { file, size, position } => {
                if *position + frame.len() as u64 > *size {
                    *position = 0;
                }
                file.write_all_at(&frame, *position)?;
                *position += frame.len() as u64;
            }
            Files::Appended { dir, logs } => {
                let log = logs.entry(token).or_insert_with(|| Log::new(SEGMENT_BYTES, RETAINED_BYTES));
                log.append(&frame, || unnamed_file(dir))?;
            }
        }
        // The checksum is in the answer, so that it cannot be left out.
        self.head[4..8].copy_from_slice(&crc.to_be_bytes());
        link.outbox.push(self.head, Body::Shared(self.rest.clone()));
        Ok(())
    }

    fn closed(&mut self, token: usize) {
        if let Files::Appended { logs, .. } = &mut self.files {
            logs.remove(&token);
        }
    }
}

/// Files that are written one after the other, the oldest of which go away.
struct Log {
    /// The last is written to; a file without a name is deleted by closing it.
    files: VecDeque<File>,
    position: u64,
    segment: u64,
    retained: u64,
}

impl Log {
    /// Rolled before it has more than `segment` bytes; all files together have no more than `retained`.
    fn new(segment: u64, retained: u64) -> Self {
        assert!(segment <= retained, "the file that is written to remains");
        Self { files: VecDeque::new(), position: 0, segment, retained }
    }

    fn append(&mut self, bytes: &[u8], fresh: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
        if self.files.is_empty() || self.position + bytes.len() as u64 > self.segment {
            self.files.push_back(fresh()?);
            self.position = 0;
            // Counted as if all were full, so that they never have more.
            while self.files.len() as u64 * self.segment > self.retained {
                self.files.pop_front();
            }
        }
        let file = self.files.back().expect("there is a file to write to");
        file.write_all_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_log_is_rolled_and_its_oldest_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let made = Cell::new(0);
        let mut log = Log::new(100, 250);
        let fresh = || {
            made.set(made.get() + 1);
            unnamed_file(dir.path())
        };
        let content = |file: &File| {
            let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        for value in 0..7u8 {
            log.append(&[value; 40], fresh).unwrap();
        }
        assert_eq!(made.get(), 4, "two frames of 40 bytes fit into 100");
        let kept: Vec<Vec<u8>> = log.files.iter().map(content).collect();
        assert_eq!(kept, [[[4; 40], [5; 40]].concat(), vec![6; 40]], "the last two files, of 200 bytes at most");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "without names");
    }

    #[test]
    fn each_connection_has_a_log_that_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut service = Produce::appending(dir.path().to_owned(), 20);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut link = Link::new(std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        for (token, frame) in [(1, "a"), (2, "bb"), (1, "ccc")] {
            service.frame(token, Bytes::from(frame), &mut link).unwrap();
        }
        let positions = |service: &Produce| match &service.files {
            Files::Appended { logs, .. } => logs.iter().map(|(token, log)| (*token, log.position)).collect::<Vec<_>>(),
            Files::Overwritten { .. } => Vec::new(),
        };
        assert_eq!(positions(&service), [(1, 4), (2, 2)]);
        service.closed(1);
        assert_eq!(positions(&service), [(2, 2)]);
    }
}
