//! The `acquire-outbox` program.

use std::process::ExitCode;

/// For SQLite, too, which calls `malloc`: docs/performance.md says what the systems' own cost. musl's takes a lock for
/// each block.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    acquire_outbox::program::main()
}
