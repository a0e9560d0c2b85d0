//! The `acquire-outbox` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    acquire_outbox::program::main()
}
