//! Starts etlsched; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    etlsched::main()
}
