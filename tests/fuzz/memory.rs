//! Heap bytes of each execution, counted where they are taken: on the thread that runs it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// No execution has business with one block of this size; a parser that asks for it would abort the process before anything
/// could be said, so the allocator says it.
const ABSURD_BYTES: usize = 1 << 30;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static EXECUTION: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: isize) {
    // Both are gone while a thread ends.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

fn refuse_absurd(bytes: usize) {
    if bytes < ABSURD_BYTES {
        return;
    }
    let (seed, number) = EXECUTION.try_with(Cell::get).unwrap_or_default();
    if number != u64::MAX {
        // Formats into the stack and writes without a lock or an allocation.
        let mut text = [0_u8; 160];
        let mut rest = &mut text[..];
        let _ =
            std::io::Write::write_fmt(&mut rest, format_args!("\none block of {bytes} bytes: seed {seed}, number {number}\n"));
        let length = 160 - rest.len();
        // SAFETY: the buffer is ours and `length` bytes long.
        unsafe { libc::write(2, text.as_ptr().cast(), length) };
        std::process::abort();
    }
}

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        refuse_absurd(layout.size());
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        refuse_absurd(layout.size());
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        refuse_absurd(size);
        count(size as isize - layout.size() as isize);
        unsafe { System.realloc(block, layout, size) }
    }
}

/// From here on bytes count.
pub fn begin(seed: u64, number: u64) {
    EXECUTION.set((seed, number));
    LIVE.set(0);
    PEAK.set(0);
}

/// Most heap bytes that were held at once since [`begin`].
pub fn end() -> usize {
    PEAK.get() as usize
}

#[test]
fn what_is_held_at_once_is_counted() {
    begin(0, 0);
    let block = vec![1_u8; 1 << 20];
    drop(std::hint::black_box(block));
    let grown: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    drop(std::hint::black_box(grown));
    let peak = end();
    assert!((3 << 20..12 << 20).contains(&peak), "{peak}");
}
