//! The `flumen` program.

use std::process::ExitCode;

/// A buffer that one core filled is often given back on another. With the C library's allocator that takes the lock of the arena that
/// it came from, and the owner of the arena may find it taken; here it goes onto a list without a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flumen::cli::main()
}
