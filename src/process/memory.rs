//! What a process holds in memory that no file backs, as the system tells it.

/// Returns the anonymous resident bytes of a process and of those that it started; `None` where the system doesn't tell: it isn't
/// there any more, or neither Linux nor Windows.
pub fn anonymous_bytes(pid: u32) -> Option<u64> {
    system::anonymous_bytes(pid)
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;

    /// A process that starts more than this many generations of others is not followed any further.
    const GENERATIONS_MAX: u32 = 4;

    pub(super) fn anonymous_bytes(pid: u32) -> Option<u64> {
        let own = of(pid)?;
        Some(own + of_children(pid, GENERATIONS_MAX))
    }

    /// `RssAnon` of /proc/PID/status, in KiB (proc_pid_status(5)).
    fn of(pid: u32) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim_end().parse().ok()?;
        Some(kibibytes << 10)
    }

    /// Whatever a worker starts; of this process only itself counts, since its children are watched by name.
    fn of_children(pid: u32, generations: u32) -> u64 {
        if generations == 0 || pid == std::process::id() {
            return 0;
        }
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let listed = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<u32> =
            listed.flat_map(|line| line.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect();
        children.into_iter().map(|child| of(child).unwrap_or(0) + of_children(child, generations - 1)).sum()
    }
}

#[cfg(windows)]
mod system {
    use windows_sys::Win32::Foundation::CloseHandle;
    use windows_sys::Win32::System::ProcessStatus::{GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS, PROCESS_MEMORY_COUNTERS_EX};
    use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION};

    /// The private bytes of a process: what Windows commits for it alone.
    pub(super) fn anonymous_bytes(pid: u32) -> Option<u64> {
        // SAFETY: takes no pointers; the handle is checked and closed.
        let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
        if process.is_null() {
            return None;
        }
        // SAFETY: a structure of plain numbers, for which zeros are values.
        let mut counters: PROCESS_MEMORY_COUNTERS_EX = unsafe { std::mem::zeroed() };
        let size = size_of::<PROCESS_MEMORY_COUNTERS_EX>() as u32;
        // SAFETY: the handle is open, and pointer and size are those of `counters`, which begins as the smaller structure does.
        let is_known = unsafe { GetProcessMemoryInfo(process, (&raw mut counters).cast::<PROCESS_MEMORY_COUNTERS>(), size) } != 0;
        // SAFETY: the handle is open and is not used again.
        unsafe { CloseHandle(process) };
        is_known.then_some(counters.PrivateUsage as u64)
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
mod system {
    pub(super) fn anonymous_bytes(_pid: u32) -> Option<u64> {
        None
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_counts_and_a_stranger_that_is_gone_has_none() {
        let before = anonymous_bytes(std::process::id()).unwrap();
        let block = vec![1_u8; 64 << 20];
        let after = anonymous_bytes(std::process::id()).unwrap();
        assert!(after >= before + (60 << 20), "{before} {after}");
        assert_eq!(block[12345], 1);
        assert_eq!(anonymous_bytes(u32::MAX >> 1), None);
    }

    #[test]
    fn what_a_child_starts_counts_as_its_own() {
        // The shell holds next to nothing; what it runs does.
        let script = "awk 'BEGIN { for (i = 0; i < 1000000; i++) a[i] = i; print \"ready\"; fflush(); getline }'; true";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
        let bytes = anonymous_bytes(child.id()).unwrap();
        assert!(bytes > 20 << 20, "{bytes}");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
