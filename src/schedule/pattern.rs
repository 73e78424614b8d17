//! What every kind of schedule comes down to: minutes and hours of a day, which dates, and whether both passes of an hour count.

use chrono::{Datelike as _, NaiveDate};

use super::cron::Cron;
use super::{MonthDay, Schedule, ShortMonth, TimeOfDay};

/// Which local times a schedule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Bits 0 to 59.
    pub minutes: u64,
    /// Bits 0 to 23.
    pub hours: u32,
    /// The dates.
    pub dates: Dates,
    /// Every instant that shows such a time is a slot (interval kinds); else the first instant that shows it or a later one.
    pub is_every_pass: bool,
}

/// Which dates a schedule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dates {
    /// Every one.
    Every,
    /// Bits 0 = Monday to 6 = Sunday.
    Weekdays(u8),
    /// Days of the month.
    Month {
        /// Bits 1 to 31.
        days: u32,
        /// The last day too.
        is_last: bool,
        /// What a day is that the month lacks.
        short: ShortMonth,
    },
    /// The day, month and weekday fields of a cron line.
    Cron(Cron),
}

impl Pattern {
    /// Returns what a schedule names; `None` for one that is never due.
    pub(super) fn of(schedule: &Schedule) -> Option<Self> {
        let at = |time: &TimeOfDay, dates| Self { minutes: 1 << time.minute, hours: 1 << time.hour, dates, is_every_pass: false };
        Some(match schedule {
            Schedule::Interval { every_minutes, minute } => {
                let minutes = (*minute..60).step_by(usize::from(*every_minutes).max(1)).fold(0, |bits, minute| bits | 1 << minute);
                Self { minutes, hours: (1 << 24) - 1, dates: Dates::Every, is_every_pass: true }
            }
            Schedule::Daily(time) => at(time, Dates::Every),
            Schedule::Weekly(days, time) => at(time, Dates::Weekdays(days.iter().fold(0, |bits, day| bits | 1 << day))),
            Schedule::Monthly(days, short, time) => {
                let numbers = days.iter().fold(0, |bits, day| match day {
                    MonthDay::Day(day) => bits | 1 << day,
                    MonthDay::Last => bits,
                });
                at(time, Dates::Month { days: numbers, is_last: days.contains(&MonthDay::Last), short: *short })
            }
            Schedule::Cron(line) => {
                let cron = Cron::parse(line).ok()?;
                Self { minutes: cron.minutes, hours: cron.hours, dates: Dates::Cron(cron), is_every_pass: cron.is_every_hour }
            }
            Schedule::Manual => return None,
        })
    }

    /// Returns the times of a day in order, in seconds since midnight.
    pub(super) fn times(&self) -> Vec<i64> {
        let minutes: Vec<i64> = (0..60).filter(|minute| self.minutes >> minute & 1 == 1).collect();
        let hours = (0..24).filter(|hour| self.hours >> hour & 1 == 1);
        hours.flat_map(|hour| minutes.iter().map(move |minute| hour * 3600 + minute * 60)).collect()
    }
}

impl Dates {
    /// Whether a date is one of them.
    pub(super) fn contains(&self, date: NaiveDate) -> bool {
        let from_monday = date.weekday().num_days_from_monday();
        match self {
            Self::Every => true,
            Self::Weekdays(days) => days >> from_monday & 1 == 1,
            Self::Month { days, is_last, short } => {
                let is_month_end = date.succ_opt().is_none_or(|next| next.month() != date.month());
                let is_clipped = *short == ShortMonth::Clip && is_month_end && u64::from(*days) >> (date.day() + 1) != 0;
                days >> date.day() & 1 == 1 || is_month_end && *is_last || is_clipped
            }
            Self::Cron(cron) => {
                let is_day = cron.days >> date.day() & 1 == 1;
                let is_weekday = cron.weekdays >> date.weekday().num_days_from_sunday() & 1 == 1;
                // crontab(5): where both day fields are restricted, either of them matching is enough.
                let is_date = if cron.is_every_day || cron.is_every_weekday { is_day && is_weekday } else { is_day || is_weekday };
                cron.months >> date.month() & 1 == 1 && is_date
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(schedule: Schedule, month: &str, expected: &[u32]) {
        let dates = Pattern::of(&schedule).unwrap().dates;
        let first = date(&format!("{month}-01"));
        let found: Vec<u32> = first
            .iter_days()
            .take_while(|day| day.month() == first.month())
            .filter(|day| dates.contains(*day))
            .map(|day| day.day())
            .collect();
        assert_eq!(found, expected, "{schedule:?} in {month}");
    }

    const TIME: TimeOfDay = TimeOfDay { hour: 2, minute: 0 };

    #[test]
    fn days_that_a_month_lacks_are_clipped_or_skipped() {
        let monthly = |days: &[MonthDay], short| Schedule::Monthly(days.to_vec(), short, TIME);
        let day = MonthDay::Day;
        check(monthly(&[day(31)], ShortMonth::Clip), "2026-02", &[28]);
        check(monthly(&[day(31)], ShortMonth::Clip), "2028-02", &[29]);
        check(monthly(&[day(31)], ShortMonth::Clip), "2026-01", &[31]);
        check(monthly(&[day(31)], ShortMonth::Skip), "2026-04", &[]);
        check(monthly(&[day(30)], ShortMonth::Clip), "2026-04", &[30]);
        check(monthly(&[day(1), day(30), MonthDay::Last], ShortMonth::Clip), "2026-02", &[1, 28]);
        check(monthly(&[day(15), MonthDay::Last], ShortMonth::Skip), "2026-04", &[15, 30]);
    }

    #[test]
    fn weekdays_begin_with_monday_and_cron_with_sunday() {
        check(Schedule::Weekly(vec![0, 6], TIME), "2026-11", &[1, 2, 8, 9, 15, 16, 22, 23, 29, 30]);
        check(Schedule::Cron("0 2 * * 0".to_owned()), "2026-11", &[1, 8, 15, 22, 29]);
        check(Schedule::Cron("0 2 * * 7".to_owned()), "2026-11", &[1, 8, 15, 22, 29]);
    }

    #[test]
    fn either_day_field_of_a_cron_line_is_enough_where_both_are_restricted() {
        check(Schedule::Cron("0 2 13 * fri".to_owned()), "2026-11", &[6, 13, 20, 27]);
        check(Schedule::Cron("0 2 13 * *".to_owned()), "2026-11", &[13]);
        check(Schedule::Cron("0 2 */2 * mon".to_owned()), "2026-11", &[9, 23]);
        check(Schedule::Cron("0 2 1-7 11 */2".to_owned()), "2026-11", &[1, 3, 5, 7]);
        check(Schedule::Cron("0 2 * 12 *".to_owned()), "2026-11", &[]);
    }

    #[test]
    fn an_interval_names_every_matching_minute() {
        let pattern = Pattern::of(&Schedule::Interval { every_minutes: 15, minute: 7 }).unwrap();
        assert_eq!(pattern.minutes, 1 << 7 | 1 << 22 | 1 << 37 | 1 << 52);
        assert_eq!(pattern.times()[..5], [7 * 60, 22 * 60, 37 * 60, 52 * 60, 67 * 60]);
        assert_eq!(Pattern::of(&Schedule::Manual), None);
    }
}
