//! The `acquire-outbox` program.

use std::process::ExitCode;

/// Also for SQLite, which calls `malloc`. musl's own allocator takes a lock for each block; docs/performance.md compares
/// it and glibc's with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    acquire_outbox::program::main()
}
