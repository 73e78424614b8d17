//! Processes of the operating system: which one this is, whether another still lives; starting one with pipes, stopping it, and what
//! it used. Knows nothing of orders or events.

mod bare;
mod capture;
mod file_lock;
mod host;
pub mod identity;
mod local_zone;
mod memory;
mod space;
mod stop;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
mod withheld;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

pub use bare::{Bare, run_bare};
pub use capture::{Captured, NotCaptured, capture};
pub use file_lock::{Holder, database_writer};
pub use host::{ClockKeeping, clock_keeping, home_folder, is_root, system_name};
pub use identity::{Identity, Liveness, host_name, is_alive, liveness, own, user_name};
pub use local_zone::{system_zone, zone_of_variable};
pub use memory::anonymous_bytes;
pub use space::{Space, is_writable, space};
pub use stop::{Stop, StopSignal, watch_signals};
#[cfg(unix)]
use unix as platform;
#[cfg(unix)]
pub use unix::{Child, Process, fail_on_large_files, has_no_reader, keep_memory_private, spawn};
#[cfg(windows)]
use windows as platform;
#[cfg(windows)]
pub use windows::{Child, Process, spawn};
pub use withheld::{strip, withhold};

/// Whether whatever a file leads to has nobody at its other end; only a write can tell here.
#[cfg(windows)]
pub fn has_no_reader<T>(_file: &T) -> bool {
    false
}

/// What is started, and with which environment.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments; never a secret, because every user of the machine can read them.
    pub arguments: Vec<OsString>,
    /// Variables of this process that the child doesn't get.
    pub variables_removed: Vec<String>,
    /// By how much it gives way to other programs: 0 to 19, added to what this process has (nice(2)).
    pub niceness: u8,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal (unix only).
    Signal(i32),
}

impl Exit {
    /// Whether it ended by itself with code 0.
    pub fn is_done(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(formatter, "signal {signal} ({name})"),
                None => write!(formatter, "signal {signal}"),
            },
        }
    }
}

/// The names of the signals that end workers in practice (signal(7), the numbers of Linux on x86 and ARM).
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// What a process used in its life, as the operating system counted it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// User and system time together.
    pub cpu_seconds: f64,
    /// The most resident memory at any moment, in MiB.
    pub peak_memory_mb: f64,
}

/// A process that has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ended {
    /// How.
    pub exit: Exit,
    /// What it used.
    pub usage: Usage,
}
