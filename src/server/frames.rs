//! Cutting what arrives into frames: four bytes of length, then as many bytes.
//!
//! Small frames share one buffer, so a busy connection costs one allocation for many requests. A large frame gets room step by
//! step as its bytes arrive, never because its length field says so: a client that claims 100 MiB and sends nothing costs nothing.

use super::budget::{Budget, Share};
use bytes::{Buf, Bytes, BytesMut};
use std::rc::Rc;

/// First room of a connection: many only ask who is there and then wait.
const FIRST_BUFFER: usize = 2 * 1024;
/// Room for the frames of a connection that goes on sending small requests.
const SMALL_BUFFER: usize = 16 * 1024;
/// First room of a frame that does not fit the small buffer; doubled as long as bytes keep coming.
const FIRST_STEP: usize = 1024 * 1024;
/// A frame of which this much has arrived takes a core too long to move.
const LONG_MOVE: usize = 4 * 1024 * 1024;
/// Bytes of the length field.
const LENGTH_FIELD: usize = 4;
/// Shortest frame that can hold a request header: API key, version, correlation id.
const MIN_FRAME: usize = 8;

const _: () = assert!(SMALL_BUFFER > LENGTH_FIELD + MIN_FRAME && FIRST_STEP > SMALL_BUFFER);

/// A frame that is complete, with the memory that it holds.
pub(super) struct Frame {
    /// The request without its length field.
    pub(super) bytes: Bytes,
    /// Given back when the request has been answered.
    pub(super) share: Share,
}

/// What the buffered bytes allow.
pub(super) enum Next {
    /// A whole frame.
    Frame(Frame),
    /// Read more; there is room for at least one byte.
    Read,
    /// Make room for so many more bytes, away from the core since what has arrived is large and will be moved, and ask again.
    Grow(usize),
    /// The frame needs more memory than is left; ask again when some was given back.
    NoMemory,
    /// The length is not one that a request can have.
    BadLength(i32),
}

/// The bytes of one connection that have arrived and are not yet a request.
pub(super) struct Frames {
    buffer: BytesMut,
    /// The next room for small frames; doubled each time that one was used up.
    room: usize,
    share: Share,
    budget: Rc<Budget>,
    max_frame: usize,
}

impl Frames {
    /// `max_frame` is `socket.request.max.bytes`.
    pub(super) fn new(budget: &Rc<Budget>, max_frame: usize) -> Self {
        Self { buffer: BytesMut::new(), room: FIRST_BUFFER, share: Share::empty(budget), budget: budget.clone(), max_frame }
    }

    /// Where to read into.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether a frame has begun and is not complete.
    pub(super) fn is_inside_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next frame, or what is missing.
    pub(super) fn next(&mut self) -> Next {
        let Some(length) = self.buffer.first_chunk::<LENGTH_FIELD>() else {
            return self.make_room(0);
        };
        let length = i32::from_be_bytes(*length);
        let body = match usize::try_from(length) {
            Ok(body) if (MIN_FRAME..=self.max_frame).contains(&body) => body,
            _ => return Next::BadLength(length),
        };
        let whole = LENGTH_FIELD + body;
        if self.buffer.len() < whole {
            return self.make_room(whole);
        }
        if !self.share.try_grow_to(whole) {
            return Next::NoMemory;
        }
        self.buffer.advance(LENGTH_FIELD);
        let bytes = self.buffer.split_to(body).freeze();
        let share = std::mem::replace(&mut self.share, Share::empty(&self.budget));
        Next::Frame(Frame { bytes, share })
    }

    /// Makes room for at least one more byte of a frame of `whole` bytes.
    fn make_room(&mut self, whole: usize) -> Next {
        if self.buffer.len() < self.buffer.capacity() {
            return Next::Read;
        }
        let len = self.buffer.len();
        let target = if whole <= SMALL_BUFFER {
            let room = self.room;
            self.room = SMALL_BUFFER.min(room * 2);
            whole.max(len + room).min(SMALL_BUFFER)
        } else {
            (len + len.max(FIRST_STEP)).min(whole)
        };
        // The small buffer of an idle connection is not counted: it is bounded by the number of connections.
        if target > SMALL_BUFFER && !self.share.try_grow_to(target) {
            return Next::NoMemory;
        }
        let more = target - len;
        if len >= LONG_MOVE {
            return Next::Grow(more);
        }
        self.buffer.reserve(more);
        Next::Read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(limit: usize) -> Frames {
        Frames::new(&Budget::new(limit), 10 << 20)
    }

    fn feed(frames: &mut Frames, bytes: &[u8]) {
        frames.buffer().extend_from_slice(bytes);
    }

    #[test]
    fn frames_come_out_whole_at_every_split() {
        let mut stream = Vec::new();
        for size in [8_usize, 9, 100, 20_000] {
            stream.extend_from_slice(&(size as i32).to_be_bytes());
            stream.extend((0..size).map(|i| (i * size) as u8));
        }
        for step in [1, 3, 7, 4096, 100_000] {
            let mut frames = frames(1 << 20);
            let mut sizes = Vec::new();
            for chunk in stream.chunks(step) {
                feed(&mut frames, chunk);
                while let Next::Frame(frame) = frames.next() {
                    assert!(frame.bytes.iter().enumerate().all(|(i, &b)| b == (i * frame.bytes.len()) as u8));
                    sizes.push(frame.bytes.len());
                }
            }
            assert_eq!(sizes, [8, 9, 100, 20_000], "step {step}");
            assert!(!frames.is_inside_frame());
        }
    }

    #[test]
    fn lengths_that_no_request_has_are_refused() {
        for length in [-1, 0, 7, i32::MIN, i32::MAX, (10 << 20) + 1] {
            let mut frames = frames(1 << 20);
            feed(&mut frames, &i32::to_be_bytes(length));
            assert!(matches!(frames.next(), Next::BadLength(l) if l == length));
        }
    }

    #[test]
    fn room_grows_with_use() {
        let mut frames = frames(1 << 20);
        let request = [&8_i32.to_be_bytes()[..], &[7; 8]].concat();
        let mut stream = request.iter().copied().cycle();
        let mut rooms = Vec::new();
        for _ in 0..10_000 {
            match frames.next() {
                Next::Read => {
                    let room = frames.buffer().capacity() - frames.buffer().len();
                    rooms.push(room);
                    feed(&mut frames, &stream.by_ref().take(room).collect::<Vec<_>>());
                }
                Next::Frame(frame) => assert_eq!(frame.bytes[..], [7; 8]),
                _ => panic!("small requests come and go"),
            }
        }
        assert_eq!(rooms[0], FIRST_BUFFER);
        // The buffer may add what is left of the one before.
        assert!(rooms.iter().all(|room| *room <= 2 * SMALL_BUFFER), "{rooms:?}");
        assert!(rooms.iter().any(|room| *room > SMALL_BUFFER / 2), "{rooms:?}");
    }

    #[test]
    fn a_lying_length_gets_memory_only_as_bytes_arrive() {
        let mut frames = frames(1 << 30);
        feed(&mut frames, &(10_i32 << 20).to_be_bytes());
        assert!(matches!(frames.next(), Next::Read));
        assert!(frames.buffer().capacity() <= FIRST_STEP + LENGTH_FIELD);
    }

    #[test]
    fn a_large_frame_is_moved_by_others() {
        let mut frames = frames(1 << 30);
        feed(&mut frames, &(9_i32 << 20).to_be_bytes());
        let mut moved = 0;
        while frames.buffer().len() < 4 + (9 << 20) {
            match frames.next() {
                Next::Read => {}
                Next::Grow(more) => {
                    assert!(frames.buffer().len() >= LONG_MOVE);
                    frames.buffer().reserve(more);
                    moved += 1;
                }
                _ => panic!("the frame is not complete and there is memory"),
            }
            let len = frames.buffer().len();
            let room = frames.buffer().capacity() - len;
            feed(&mut frames, &vec![1; room.min(4 + (9 << 20) - len)]);
        }
        assert!(matches!(frames.next(), Next::Frame(frame) if frame.bytes.len() == 9 << 20));
        assert_eq!(moved, 2, "at four MiB and at eight");
    }

    #[test]
    fn a_frame_waits_when_the_budget_is_used_up() {
        let budget = Budget::new(2 << 20);
        let mut other = Share::empty(&budget);
        assert!(other.try_grow_to(2 << 20));
        let mut frames = Frames::new(&budget, 10 << 20);
        feed(&mut frames, &(5_i32 << 20).to_be_bytes());
        while frames.buffer().len() < frames.buffer().capacity() {
            feed(&mut frames, &[0]);
        }
        assert!(matches!(frames.next(), Next::NoMemory));
        drop(other);
        assert!(matches!(frames.next(), Next::Read));
    }
}
