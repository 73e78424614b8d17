//! The exit codes of every command. They never change meaning.
//!
//! `--help`, the man pages and the README print [`ALL`]; tests hold them equal to it.

/// Done; also "not due", "slot already run" and "not active" under `--scheduled`.
pub const DONE: u8 = 0;
/// The run failed: no source was refreshed. Also an unreachable source or store.
pub const FAILED: u8 = 1;
/// Wrong usage, or an unknown job.
pub const USAGE: u8 = 2;
/// Some sources, or some tables of one, were refreshed, others were not.
pub const PARTLY_FAILED: u8 = 3;
/// An invalid definition or configuration; nothing was started.
pub const INVALID: u8 = 4;
/// Another run of the job holds the lease.
pub const OVERLAP: u8 = 5;
/// The job is inactive or paused.
pub const NOT_ACTIVE: u8 = 6;
/// `check`, `doctor` or `schedule status` found something late, broken or different.
pub const FINDING: u8 = 10;
/// A fault of etlsched itself.
pub const INTERNAL: u8 = 70;
/// Not permitted.
pub const NOT_PERMITTED: u8 = 77;
/// The run's time limit passed.
pub const TIMEOUT: u8 = 124;
/// Cancelled by SIGINT (Ctrl-C).
pub const INTERRUPTED: u8 = 130;
/// Cancelled by SIGTERM or `etlsched cancel`.
pub const TERMINATED: u8 = 143;

/// Every exit code with its meaning, in ascending order, as help and docs print them.
pub const ALL: &[(u8, &str)] = &[
    (DONE, "done; also \"not due\", \"slot already run\" and \"not active\" under --scheduled"),
    (FAILED, "the run failed: no source was refreshed; a source or store that can't be reached"),
    (USAGE, "wrong usage; an unknown job"),
    (PARTLY_FAILED, "partly failed: some sources, or tables of one, were refreshed, others were not"),
    (INVALID, "an invalid definition or configuration; nothing was started"),
    (OVERLAP, "another run of the job holds the lease"),
    (NOT_ACTIVE, "the job is inactive or paused (--force runs it all the same)"),
    (FINDING, "check, doctor or schedule status found something late, broken or different"),
    (INTERNAL, "a fault of etlsched itself"),
    (NOT_PERMITTED, "not permitted"),
    (TIMEOUT, "the run's time limit passed"),
    (INTERRUPTED, "cancelled by SIGINT (Ctrl-C)"),
    (TERMINATED, "cancelled by SIGTERM or by etlsched cancel"),
];
