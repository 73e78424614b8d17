//! When a job is due: the schedule as a job file says it, parsed and checked whole, and its slots in a zone. Pure.

pub mod cron;
mod describe;
mod due;
#[cfg(test)]
mod due_tests;
pub mod forecast;
mod pattern;
mod slot;

pub use slot::{Shift, Slot};

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

/// The names of the days of the week as every output writes them; 0 = Monday.
pub const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WEEKDAYS_LONG: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Reads a day of the week: `mon`, `Monday`, or 0 = Monday to 6 = Sunday.
///
/// # Errors
/// The rule, in words.
pub fn parse_weekday(text: &str) -> Result<u8, String> {
    let lower = text.to_ascii_lowercase();
    let day = match lower.as_bytes() {
        [digit @ b'0'..=b'6'] => Some(digit - b'0'),
        _ => (0..7_u8).find(|day| [WEEKDAYS[usize::from(*day)], WEEKDAYS_LONG[usize::from(*day)]].contains(&lower.as_str())),
    };
    day.ok_or_else(|| "days are mon to sun, or 0 = Monday to 6 = Sunday".to_owned())
}

/// Reads a day of the month: 1 to 31, or `last`.
///
/// # Errors
/// The rule, in words.
pub fn parse_month_day(text: &str) -> Result<MonthDay, String> {
    let day = match text {
        "last" => Some(MonthDay::Last),
        _ => text.parse().ok().filter(|day| (1..=31).contains(day) && !text.starts_with('+')).map(MonthDay::Day),
    };
    day.ok_or_else(|| "days are 1 to 31, or last".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_week_begin_with_monday() {
        let read = |text: &str| parse_weekday(text).ok();
        assert_eq!([read("0"), read("mon"), read("Monday"), read("6"), read("SUN")], [Some(0), Some(0), Some(0), Some(6), Some(6)]);
        assert_eq!([read("7"), read("-1"), read("moon"), read("")], [None; 4]);
    }

    #[test]
    fn days_of_the_month_are_1_to_31_or_last() {
        let read = |text: &str| parse_month_day(text).ok();
        assert_eq!([read("1"), read("31"), read("last")], [Some(MonthDay::Day(1)), Some(MonthDay::Day(31)), Some(MonthDay::Last)]);
        assert_eq!([read("0"), read("32"), read("+5"), read("first")], [None; 4]);
    }
}
