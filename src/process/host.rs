//! What the host says of itself: its system, who keeps its clock, where this user is at home.

use std::path::PathBuf;

/// Who keeps the host's clock right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockKeeping {
    /// The kernel counts the clock as synchronized.
    Synchronized,
    /// It doesn't: nobody has set it right lately.
    Free,
    /// The system doesn't tell.
    Unknown,
}

/// Returns the system's name and version: `Debian GNU/Linux 13 (trixie), kernel 6.12.1, x86_64`.
pub fn system_name() -> String {
    system::name()
}

/// Returns whether the host's clock is kept right, as the kernel has it (adjtimex(2): `STA_UNSYNC`).
pub fn clock_keeping() -> ClockKeeping {
    system::clock_keeping()
}

/// Returns the home folder of this process's user by the list of accounts, which is the one that cron goes by (crontab(5)).
pub fn home_folder() -> Option<PathBuf> {
    system::home_folder()
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    system::is_root()
}

#[cfg(unix)]
mod system {
    use std::ffi::CStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    use super::ClockKeeping;

    pub(super) fn name() -> String {
        let kernel = rustix::system::uname();
        let kernel = [kernel.sysname(), kernel.release(), kernel.machine()].map(|text| text.to_string_lossy().into_owned());
        let title = std::fs::read_to_string("/etc/os-release").ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
            Some(line.trim_matches(['"', '\'']).to_owned())
        });
        let [system, release, machine] = kernel;
        format!("{}, kernel {release}, {machine}", title.unwrap_or(system))
    }

    #[cfg(target_os = "linux")]
    pub(super) fn clock_keeping() -> ClockKeeping {
        // SAFETY: timex is plain numbers, for which zeros are values; with modes 0 the call only fills it in.
        let (state, status) = unsafe {
            let mut said: libc::timex = std::mem::zeroed();
            (libc::adjtimex(&raw mut said), said.status)
        };
        match state {
            ..0 => ClockKeeping::Unknown,
            _ if status & libc::STA_UNSYNC != 0 => ClockKeeping::Free,
            _ => ClockKeeping::Synchronized,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn clock_keeping() -> ClockKeeping {
        ClockKeeping::Unknown
    }

    pub(super) fn home_folder() -> Option<PathBuf> {
        let mut buffer = vec![0_u8; 16 * 1024];
        // SAFETY: a passwd of zeros is valid (pointers and numbers), and getpwuid_r fills it before it is read.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        let user = rustix::process::geteuid().as_raw();
        // SAFETY: all pointers are to live memory of the sizes given (getpwuid_r(3)).
        let code = unsafe { libc::getpwuid_r(user, &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found) };
        if code != 0 || found.is_null() {
            return None;
        }
        // SAFETY: on success pw_dir points to a NUL-ended text in `buffer`, which is still alive.
        let folder = unsafe { CStr::from_ptr(entry.pw_dir) };
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(folder.to_bytes())))
    }

    pub(super) fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }
}

#[cfg(not(unix))]
mod system {
    use std::path::PathBuf;

    use super::ClockKeeping;

    pub(super) fn name() -> String {
        format!("{}, {}", std::env::consts::OS, std::env::consts::ARCH)
    }

    pub(super) fn clock_keeping() -> ClockKeeping {
        ClockKeeping::Unknown
    }

    pub(super) fn home_folder() -> Option<PathBuf> {
        std::env::var_os("USERPROFILE").map(PathBuf::from)
    }

    pub(super) fn is_root() -> bool {
        false
    }
}
