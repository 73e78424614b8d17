//! When a job is due: the schedule as a job file says it, parsed and checked whole. Pure.

/// When a job is due, in its own time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At every instant whose local minute matches: `15min`, `30min`, `hourly`.
    Interval {
        /// 15, 30 or 60.
        every_minutes: u8,
        /// The offset within the interval.
        minute: u8,
    },
    /// Once a day.
    Daily(TimeOfDay),
    /// On some days of the week; 0 = Monday, ascending, at least one.
    Weekly(Vec<u8>, TimeOfDay),
    /// On some days of the month, at least one.
    Monthly(Vec<MonthDay>, ShortMonth, TimeOfDay),
    /// Five fields, in the job's zone.
    Cron(String),
    /// Never due by itself.
    Manual,
}

/// A wall clock's hour and minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    /// 0 to 23
    pub hour: u8,
    /// 0 to 59
    pub minute: u8,
}

/// A day of the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MonthDay {
    /// 1 to 31
    Day(u8),
    /// The last day, whichever it is.
    Last,
}

/// What days 29 to 31 mean in a month that is shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShortMonth {
    /// The month's last day.
    #[default]
    Clip,
    /// No slot that month.
    Skip,
}
