//! Who writes a SQLite file, as the system tells it. Never opens the file: closing it would give up this process's own locks on it (fcntl(2)).

use std::path::{Path, PathBuf};

/// The byte that a writer of a database with a log holds, in the file of its shared memory (WAL_WRITE_LOCK; sqlite.org/walformat.html, 2.3.1).
const WRITER_OF_LOG: u64 = 120;

/// The byte that a writer of any other database holds, in the file itself (RESERVED; sqlite.org/lockingv3.html).
const WRITER_OF_FILE: u64 = 0x4000_0001;

/// A process that holds a lock; shown as `process 4711 (etlsched, stopped)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pid: u32,
    words: String,
}

impl Holder {
    /// Whether it is this process.
    pub fn is_this_process(&self) -> bool {
        self.pid == std::process::id()
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.words)
    }
}

/// Returns the process that holds the lock of writers on a database. `None` where nobody does, or the system doesn't tell: it is not Linux,
/// or the process is out of sight.
pub fn database_writer(file: &Path) -> Option<Holder> {
    let memory = PathBuf::from(format!("{}-shm", file.to_str()?));
    system::writer(&memory, WRITER_OF_LOG).or_else(|| system::writer(file, WRITER_OF_FILE))
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use super::Holder;

    pub(super) fn writer(file: &Path, byte: u64) -> Option<Holder> {
        let metadata = fs::metadata(file).ok()?;
        let device = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let pid = locks.lines().find_map(|line| held(line, device, metadata.ino(), byte))?;
        Some(Holder { pid, words: described(pid) })
    }

    /// Reads a line as `1: POSIX  ADVISORY  WRITE 4711 fe:00:673 120 120` (proc_locks(5)); device in hexadecimal, inode not. Those who wait
    /// have an arrow behind the number.
    pub(super) fn held(line: &str, device: (u32, u32), inode: u64, byte: u64) -> Option<u32> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX" | "OFDLCK", _, "WRITE", pid, place, first, last] = words.as_slice() else { return None };
        let mut parts = place.split(':');
        let mut number = |radix| u64::from_str_radix(parts.next()?, radix).ok();
        let is_file = number(16)? == u64::from(device.0) && number(16)? == u64::from(device.1) && number(10)? == inode;
        let is_before = last.parse::<u64>().is_ok_and(|last| last < byte);
        (is_file && first.parse::<u64>().ok()? <= byte && !is_before).then(|| pid.parse().ok()).flatten()
    }

    /// Says the name of its program and whether it is stopped; never its arguments, in which others may have secrets.
    fn described(pid: u32) -> String {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything (proc_pid_stat(5)).
        let parts = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
        let Some((name, rest)) = parts else { return format!("process {pid}") };
        let stopped = if matches!(rest.trim_start().chars().next(), Some('T' | 't')) { ", stopped" } else { "" };
        format!("process {pid} ({}{stopped})", name.replace(char::is_control, "?"))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::path::Path;

    use super::Holder;

    pub(super) fn writer(_file: &Path, _byte: u64) -> Option<Holder> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::system::held;

    #[test]
    fn a_line_of_the_table_of_locks_tells_who_holds_a_byte_of_a_file() {
        let check = |line: &str, expected: Option<u32>| assert_eq!(held(line, (0xfe, 0), 673, 120), expected, "{line}");
        check("1: POSIX  ADVISORY  WRITE 4711 fe:00:673 120 120", Some(4711));
        check("1: POSIX  ADVISORY  WRITE 4711 fe:00:673 0 EOF", Some(4711));
        check("1: OFDLCK ADVISORY  WRITE -1 fe:00:673 120 120", None);
        check("1: POSIX  ADVISORY  READ 4711 fe:00:673 120 120", None);
        check("1: -> POSIX  ADVISORY  WRITE 4711 fe:00:673 120 120", None);
        check("1: POSIX  ADVISORY  WRITE 4711 fe:01:673 120 120", None);
        check("1: POSIX  ADVISORY  WRITE 4711 fe:00:674 120 120", None);
        check("1: POSIX  ADVISORY  WRITE 4711 fe:00:673 121 127", None);
        check("1: POSIX  ADVISORY  WRITE 4711 fe:00:673 0 119", None);
        check("1: FLOCK  ADVISORY  WRITE 4711 fe:00:673 0 EOF", None);
        check("", None);
    }
}
