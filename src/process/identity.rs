//! Who this process is, in words that another process can check later: a process id alone is used again by the system.

/// A process of this host: its id and what tells it from later processes with the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    /// When it began, in the system's own words; compared, never read.
    pub start: String,
}

/// What can be said of a process that once wrote its identity down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It runs.
    Alive,
    /// It has ended.
    Gone,
    /// It belongs to another host, or to a container that can't be seen into.
    Unknown,
}

/// Returns the identity of this process.
pub fn own() -> Identity {
    let pid = std::process::id();
    Identity { pid, start: system::start(pid).unwrap_or_default() }
}

/// Whether a process of this host with this identity still runs. Where that can't be seen, it is taken to run.
pub fn is_alive(pid: u32, start: &str) -> bool {
    system::liveness(pid, start) != Liveness::Gone
}

/// Returns what can be said of a process that ran on `host`.
pub fn liveness(host: &str, pid: u32, start: &str) -> Liveness {
    if host == host_name() { system::liveness(pid, start) } else { Liveness::Unknown }
}

/// Returns the name of this host, or `localhost` where it has none.
pub fn host_name() -> String {
    system::host_name().filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// Returns the name of the user that this process runs as, or its number where it has no name.
pub fn user_name() -> String {
    system::user_name()
}

#[cfg(unix)]
mod system {
    use std::ffi::CStr;

    use rustix::io::Errno;
    use rustix::process::{Pid, geteuid, test_kill_process};

    use super::Liveness;

    /// Start time and process namespace: `84213@pid:[4026531836]` (proc_pid_stat(5), field 22; pid_namespaces(7)).
    #[cfg(target_os = "linux")]
    pub(super) fn start(pid: u32) -> Option<String> {
        let (_, started) = stat(pid)?;
        Some(format!("{started}@{}", namespace()))
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn start(_pid: u32) -> Option<String> {
        None
    }

    #[cfg(target_os = "linux")]
    pub(super) fn liveness(pid: u32, start: &str) -> Liveness {
        if let Some((_, space)) = start.split_once('@')
            && space != namespace()
        {
            return Liveness::Unknown;
        }
        match stat(pid) {
            Some((b'Z' | b'X', _)) => Liveness::Gone,
            Some((_, started)) if start.split('@').next() == Some(started.as_str()) => Liveness::Alive,
            Some(_) => Liveness::Gone,
            // Mounted with hidepid, /proc doesn't show the processes of others: ask the kernel.
            None => signalled(pid),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn liveness(pid: u32, _start: &str) -> Liveness {
        signalled(pid)
    }

    /// Returns a process's state letter and start time. Its name may hold spaces and brackets, so fields count from the last one.
    #[cfg(target_os = "linux")]
    fn stat(pid: u32) -> Option<(u8, String)> {
        let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        Some((state, fields.nth(18)?.to_owned()))
    }

    #[cfg(target_os = "linux")]
    fn namespace() -> String {
        std::fs::read_link("/proc/self/ns/pid").map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn signalled(pid: u32) -> Liveness {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Liveness::Gone };
        match test_kill_process(pid) {
            Err(Errno::SRCH) => Liveness::Gone,
            Ok(()) | Err(_) => Liveness::Alive,
        }
    }

    pub(super) fn host_name() -> Option<String> {
        Some(rustix::system::uname().nodename().to_string_lossy().into_owned())
    }

    pub(super) fn user_name() -> String {
        let uid = geteuid().as_raw();
        // Whatever the password file calls it: names decide what a user may, and root may all.
        if uid == 0 {
            return "root".to_owned();
        }
        named(uid).unwrap_or_else(|| uid.to_string())
    }

    fn named(uid: u32) -> Option<String> {
        let mut buffer = vec![0_u8; 16 * 1024];
        // SAFETY: a passwd of zeros is valid (pointers and numbers), and getpwuid_r fills it before it is read.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are to live memory of the sizes given (getpwuid_r(3)).
        let code = unsafe { libc::getpwuid_r(uid, &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found) };
        if code != 0 || found.is_null() {
            return None;
        }
        // SAFETY: on success pw_name points to a NUL-ended text in `buffer`, which is still alive.
        let name = unsafe { CStr::from_ptr(entry.pw_name) };
        Some(name.to_string_lossy().into_owned())
    }
}

#[cfg(windows)]
mod system {
    use windows_sys::Win32::Foundation::{CloseHandle, ERROR_INVALID_PARAMETER, FILETIME, GetLastError, HANDLE};
    use windows_sys::Win32::System::SystemInformation::{ComputerNamePhysicalDnsHostname, GetComputerNameExW};
    use windows_sys::Win32::System::Threading::{GetExitCodeProcess, GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION};

    use super::Liveness;

    /// GetExitCodeProcess's answer for a process that runs.
    const STILL_ACTIVE: u32 = 259;

    pub(super) fn start(pid: u32) -> Option<String> {
        with_process(pid, created).ok().flatten()
    }

    pub(super) fn liveness(pid: u32, start: &str) -> Liveness {
        match with_process(pid, |process| (is_running(process), created(process))) {
            Ok((true, Some(created))) if created == start => Liveness::Alive,
            Ok((true, None)) => Liveness::Alive,
            Ok(_) | Err(ERROR_INVALID_PARAMETER) => Liveness::Gone,
            // It exists, but this user may not look at it.
            Err(_) => Liveness::Alive,
        }
    }

    fn with_process<T>(pid: u32, ask: impl FnOnce(HANDLE) -> T) -> Result<T, u32> {
        // SAFETY: takes no pointers; the handle is checked and closed.
        let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
        if process.is_null() {
            // SAFETY: takes nothing.
            return Err(unsafe { GetLastError() });
        }
        let answer = ask(process);
        // SAFETY: the handle is open and is not used again.
        unsafe { CloseHandle(process) };
        Ok(answer)
    }

    fn created(process: HANDLE) -> Option<String> {
        let empty = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
        let (mut created, mut exited, mut kernel, mut user) = (empty, empty, empty, empty);
        // SAFETY: the handle is open, and the pointers are to live memory.
        let is_known = unsafe { GetProcessTimes(process, &raw mut created, &raw mut exited, &raw mut kernel, &raw mut user) } != 0;
        is_known.then(|| ((u64::from(created.dwHighDateTime) << 32) | u64::from(created.dwLowDateTime)).to_string())
    }

    fn is_running(process: HANDLE) -> bool {
        let mut code = 0;
        // SAFETY: the handle is open, and the pointer is to live memory.
        let is_known = unsafe { GetExitCodeProcess(process, &raw mut code) } != 0;
        !is_known || code == STILL_ACTIVE
    }

    pub(super) fn host_name() -> Option<String> {
        let mut buffer = [0_u16; 256];
        let mut length = 256_u32;
        // SAFETY: the buffer holds `length` characters.
        let is_known = unsafe { GetComputerNameExW(ComputerNamePhysicalDnsHostname, buffer.as_mut_ptr(), &raw mut length) } != 0;
        is_known.then(|| String::from_utf16_lossy(&buffer[..length as usize]))
    }

    pub(super) fn user_name() -> String {
        std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_known_by_its_start() {
        let Identity { pid, start } = own();
        assert_eq!(liveness(&host_name(), pid, &start), Liveness::Alive);
        assert!(is_alive(pid, &start));
        assert!(!user_name().is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_the_same_id_and_another_start_is_gone() {
        let Identity { pid, start } = own();
        let later = format!("9{start}");
        assert_eq!(liveness(&host_name(), pid, &later), Liveness::Gone);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_zombie_is_gone_and_so_is_one_that_was_waited_for() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let start = system::start(child.id()).unwrap();
        assert!(is_alive(child.id(), &start));
        child.kill().unwrap();
        while std::fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(|stat| !stat.contains(") Z")) {
            std::thread::yield_now();
        }
        assert!(!is_alive(child.id(), &start), "a zombie");
        child.wait().unwrap();
        assert!(!is_alive(child.id(), &start), "reaped");
    }

    #[test]
    fn another_host_can_t_be_seen_into() {
        let Identity { pid, start } = own();
        assert_eq!(liveness("elsewhere.invalid", pid, &start), Liveness::Unknown);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_container_can_t_be_seen_into() {
        assert_eq!(liveness(&host_name(), 1, "12@pid:[1]"), Liveness::Unknown);
    }
}
