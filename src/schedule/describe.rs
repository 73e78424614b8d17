//! A schedule in words, as listings show it.

use std::fmt::Write as _;

use super::{MonthDay, Schedule, ShortMonth, TimeOfDay};

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Schedule {
    /// Returns the word of `schedule_type` that says it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Interval { every_minutes: 15, .. } => "15min",
            Self::Interval { every_minutes: 30, .. } => "30min",
            Self::Interval { .. } => "hourly",
            Self::Daily(_) => "daily",
            Self::Weekly(..) => "weekly",
            Self::Monthly(..) => "monthly",
            Self::Cron(_) => "cron",
            Self::Manual => "manual",
        }
    }

    /// Returns the schedule in words: `Daily at 06:00`.
    pub fn describe(&self) -> String {
        match self {
            Self::Interval { every_minutes: 60, minute } => format!("Hourly at minute {minute}"),
            Self::Interval { every_minutes, minute: 0 } => format!("Every {every_minutes} minutes"),
            Self::Interval { every_minutes, minute } => format!("Every {every_minutes} minutes from minute {minute}"),
            Self::Daily(time) => format!("Daily at {time}"),
            Self::Weekly(days, time) => format!("Weekly on {} at {time}", weekdays(days)),
            Self::Monthly(days, short, time) => monthly(days, *short, *time),
            Self::Cron(line) => format!("Cron {line}"),
            Self::Manual => "Manual".to_owned(),
        }
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:02}:{:02}", self.hour, self.minute)
    }
}

fn weekdays(days: &[u8]) -> String {
    joined(days.iter().map(|day| WEEKDAYS[usize::from(*day) % 7].to_owned()).collect())
}

fn monthly(days: &[MonthDay], short: ShortMonth, time: TimeOfDay) -> String {
    let numbers: Vec<String> = days
        .iter()
        .filter_map(|day| match day {
            MonthDay::Day(day) => Some(day.to_string()),
            MonthDay::Last => None,
        })
        .collect();
    let mut parts = Vec::new();
    match numbers.len() {
        0 => {}
        1 => parts.push(format!("day {}", numbers[0])),
        _ => parts.push(format!("days {}", joined(numbers))),
    }
    if days.contains(&MonthDay::Last) {
        parts.push("the last day".to_owned());
    }
    let mut text = format!("Monthly on {} at {time}", parts.join(" and "));
    if short == ShortMonth::Skip && days.iter().any(|day| matches!(day, MonthDay::Day(29..))) {
        let _ = write!(text, ", only in months that have it");
    }
    text
}

fn joined(mut words: Vec<String>) -> String {
    match words.pop() {
        None => String::new(),
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} and {last}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_said_in_words() {
        let time = TimeOfDay { hour: 6, minute: 0 };
        let cases = [
            (Schedule::Daily(time), "Daily at 06:00"),
            (Schedule::Interval { every_minutes: 15, minute: 0 }, "Every 15 minutes"),
            (Schedule::Interval { every_minutes: 30, minute: 7 }, "Every 30 minutes from minute 7"),
            (Schedule::Interval { every_minutes: 60, minute: 5 }, "Hourly at minute 5"),
            (Schedule::Weekly(vec![0], time), "Weekly on Monday at 06:00"),
            (Schedule::Weekly(vec![0, 2, 4], time), "Weekly on Monday, Wednesday and Friday at 06:00"),
            (Schedule::Monthly(vec![MonthDay::Day(1)], ShortMonth::Clip, time), "Monthly on day 1 at 06:00"),
            (
                Schedule::Monthly(vec![MonthDay::Day(15), MonthDay::Last], ShortMonth::Clip, time),
                "Monthly on day 15 and the last day at 06:00",
            ),
            (Schedule::Monthly(vec![MonthDay::Day(31)], ShortMonth::Skip, time), "Monthly on day 31 at 06:00, only in months that have it"),
            (Schedule::Cron("5 4 * * *".to_owned()), "Cron 5 4 * * *"),
            (Schedule::Manual, "Manual"),
        ];
        for (schedule, words) in cases {
            assert_eq!(schedule.describe(), words);
        }
    }
}
