//! The one place that reads the clocks. Everything else takes a time as an argument.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

/// Returns the present instant in UTC, cut to microseconds (what the stores can hold).
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The clock by which slots are due: the wall clock, or one that was set (`--now`) and goes on from there.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlotClock {
    set: Option<(DateTime<Utc>, Instant)>,
}

impl SlotClock {
    /// Sets a clock; `None` is the wall clock.
    pub fn set_to(time: Option<DateTime<Utc>>) -> Self {
        Self { set: time.map(|time| (time.trunc_subsecs(6), Instant::now())) }
    }

    /// Returns the present instant by this clock.
    pub fn now(self) -> DateTime<Utc> {
        match self.set {
            Some((time, since)) => (time + since.elapsed()).trunc_subsecs(6),
            None => now(),
        }
    }
}

/// A reading of a clock that never goes back and goes on while the machine sleeps, with the boot it belongs to.
///
/// Readings of two boots can't be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootTime {
    /// Names the boot; empty where the system has no such name.
    pub boot_id: String,
    /// Time since that boot.
    pub elapsed: Duration,
}

/// Reads the boot clock: `CLOCK_BOOTTIME` with `/proc/sys/kernel/random/boot_id` on Linux (clock_gettime(2), random(4)).
#[cfg(target_os = "linux")]
pub fn boot_time() -> BootTime {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    BootTime {
        boot_id: boot_id.trim().to_owned(),
        elapsed: Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)),
    }
}

/// Reads the boot clock: `GetTickCount64` on Windows, which goes on while the machine sleeps.
#[cfg(windows)]
pub fn boot_time() -> BootTime {
    // SAFETY: GetTickCount64 takes nothing and can't fail.
    let milliseconds = unsafe { windows_sys::Win32::System::SystemInformation::GetTickCount64() };
    let booted = Utc::now().timestamp_millis() / 1000 - (milliseconds / 1000) as i64;
    // The wall clock may be stepped by a little between two readings, so the boot's name is rounded to ten minutes.
    BootTime { boot_id: format!("{}", booted / 600), elapsed: Duration::from_millis(milliseconds) }
}

/// Reads the wall clock where the system has no boot clock that we know.
#[cfg(not(any(target_os = "linux", windows)))]
pub fn boot_time() -> BootTime {
    let now = Utc::now();
    BootTime { boot_id: String::new(), elapsed: Duration::from_millis(now.timestamp_millis().unsigned_abs()) }
}
