//! The `tidings` binary.

use std::process::ExitCode;

use mimalloc::MiMalloc;

// A delivery makes some dozens of small allocations, on one thread, and frees them on another:
// measured, see docs/performance.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    tidings::cli::main()
}
