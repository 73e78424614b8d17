//! Five cron fields, parsed whole: the part of crontab(5) on which Debian cron, cronie and busybox agree. Computes no times.

use crate::text::shortened;

/// Five cron fields: which minutes, hours, days, months and days of the week match, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    /// Bits 0 to 59.
    pub minutes: u64,
    /// Bits 0 to 23.
    pub hours: u32,
    /// Bits 1 to 31.
    pub days: u32,
    /// Bits 1 to 12.
    pub months: u16,
    /// Bits 0 to 6, 0 = Sunday as cron counts.
    pub weekdays: u8,
    /// Whether the minute field begins with `*`.
    pub is_every_minute: bool,
    /// Whether the hour field begins with `*`: such lines run at every real matching minute when clocks change.
    pub is_every_hour: bool,
    /// Whether the day field begins with `*`; where neither day field does, either of them matching is enough (crontab(5)).
    pub is_every_day: bool,
    /// Whether the day of the week field begins with `*`.
    pub is_every_weekday: bool,
}

/// Why a cron line is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronError {
    /// A lower-case fragment.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

struct Field {
    name: &'static str,
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of the month", min: 1, max: 31, names: &[] },
    Field { name: "month", min: 1, max: 12, names: MONTHS },
    Field { name: "day of the week", min: 0, max: 7, names: WEEKDAYS },
];

impl Cron {
    /// Parses five fields: numbers, names of months and days, ranges, lists, steps.
    ///
    /// # Errors
    /// What is wrong, with what to write instead.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else { return Err(wrong_number(&parts)) };
        let mut bits = [0_u64; 5];
        for ((bits, field), part) in bits.iter_mut().zip(&FIELDS).zip([minute, hour, day, month, weekday]) {
            *bits = field.parse(part)?;
        }
        let [minutes, hours, days, months, weekdays] = bits;
        let sunday_twice = (weekdays | weekdays >> 7) & 0x7f;
        let cron = Self {
            minutes,
            hours: hours as u32,
            days: days as u32,
            months: months as u16,
            weekdays: sunday_twice as u8,
            is_every_minute: minute.starts_with('*'),
            is_every_hour: hour.starts_with('*'),
            is_every_day: day.starts_with('*'),
            is_every_weekday: weekday.starts_with('*'),
        };
        if cron.is_never() {
            let message = format!("{text:?} is never due: those months don't have those days");
            return Err(CronError { message, hint: "31 exists in jan, mar, may, jul, aug, oct and dec".to_owned() });
        }
        Ok(cron)
    }

    fn is_never(&self) -> bool {
        const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let is_by_day_only = self.is_every_weekday && !self.is_every_day;
        is_by_day_only && (1..=12).filter(|month| self.months >> month & 1 == 1).all(|month| self.days.trailing_zeros() > DAYS[month - 1])
    }
}

fn wrong_number(parts: &[&str]) -> CronError {
    let shown = shortened(&parts.join(" "), 60).into_owned();
    let hint = match parts {
        [first] if first.starts_with('@') => match *first {
            "@hourly" => "write 0 * * * *, or schedule_type: hourly".to_owned(),
            "@daily" | "@midnight" => "write 0 0 * * *, or schedule_type: daily".to_owned(),
            "@weekly" => "write 0 0 * * 0, or schedule_type: weekly".to_owned(),
            "@monthly" => "write 0 0 1 * *, or schedule_type: monthly".to_owned(),
            "@yearly" | "@annually" => "write 0 0 1 1 *".to_owned(),
            _ => "write the five fields: minute hour day month weekday".to_owned(),
        },
        [_, rest @ ..] if parts.len() == 6 => format!("cron has no seconds and no years: write {}", shortened(&rest.join(" "), 60)),
        _ => "write the five fields: minute hour day month weekday".to_owned(),
    };
    CronError { message: format!("{shown:?} has {}, not five", crate::text::count(parts.len() as u64, "field")), hint }
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, CronError> {
        let mut bits = 0;
        for item in text.split(',') {
            bits |= self.item(item)?;
        }
        Ok(bits)
    }

    fn item(&self, text: &str) -> Result<u64, CronError> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((range, step)) => (range, Some(step)),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((first, last)) => (self.number(first)?, self.number(last)?),
            None => {
                let number = self.number(range)?;
                if let Some(step) = step {
                    let message = format!("{}: {} has a step behind a single value", self.name, shown(text));
                    return Err(CronError {
                        message,
                        hint: format!("write {range}-{}/{}, or {range} alone", self.max, shortened(step, 10)),
                    });
                }
                (number, number)
            }
        };
        if first > last {
            let message = format!("{}: {} runs backwards", self.name, shown(text));
            return Err(CronError { message, hint: format!("write two ranges: {first}-{},{}-{last}", self.max, self.min) });
        }
        let step = match step {
            None => 1,
            Some(step) => self.step(step, text)?,
        };
        Ok((first..=last).step_by(usize::from(step)).fold(0, |bits, number| bits | 1 << number))
    }

    fn step(&self, step: &str, text: &str) -> Result<u8, CronError> {
        let number =
            step.parse::<u8>().ok().filter(|number| *number >= 1 && *number <= self.max && step.bytes().all(|byte| byte.is_ascii_digit()));
        number.ok_or_else(|| CronError {
            message: format!("{}: {} has no step that works", self.name, shown(text)),
            hint: format!("a step is 1 to {}", self.max),
        })
    }

    fn number(&self, text: &str) -> Result<u8, CronError> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(index as u8 + if self.max == 12 { 1 } else { 0 });
        }
        let number = text.parse::<u8>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        number.filter(|number| (self.min..=self.max).contains(number)).ok_or_else(|| {
            let names = match self.names {
                [] => String::new(),
                names => format!(", or {}", names.join(" ")),
            };
            let message = format!("{}: {} is not between {} and {}", self.name, shown(text), self.min, self.max);
            CronError { message, hint: format!("write {} to {}{names}; * for all", self.min, self.max) }
        })
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", shortened(text, 40))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(text: &str, message: &str, hint: &str) {
        assert_eq!(Cron::parse(text), Err(CronError { message: message.to_owned(), hint: hint.to_owned() }), "{text}");
    }

    #[test]
    fn fields_are_numbers_names_ranges_lists_and_steps() {
        let cron = Cron::parse("5,10-12 */6 1-31/15 jan,MAR mon-fri").unwrap();
        assert_eq!(cron.minutes, 1 << 5 | 1 << 10 | 1 << 11 | 1 << 12);
        assert_eq!(cron.hours, 1 | 1 << 6 | 1 << 12 | 1 << 18);
        assert_eq!(cron.days, 1 << 1 | 1 << 16 | 1 << 31);
        assert_eq!(cron.months, 1 << 1 | 1 << 3);
        assert_eq!(cron.weekdays, 0b11_1110);
        assert!(cron.is_every_hour && !cron.is_every_day && !cron.is_every_weekday);
    }

    #[test]
    fn seven_is_sunday_too() {
        assert_eq!(Cron::parse("0 0 * * 7").unwrap().weekdays, Cron::parse("0 0 * * sun").unwrap().weekdays);
        assert_eq!(Cron::parse("0 0 * * *").unwrap().weekdays, 0x7f);
    }

    #[test]
    fn what_cron_daemons_read_differently_is_refused_with_a_remedy() {
        refuses("5/15 * * * *", "minute: \"5/15\" has a step behind a single value", "write 5-59/15, or 5 alone");
        refuses("0 0 5 * * *", "\"0 0 5 * * *\" has 6 fields, not five", "cron has no seconds and no years: write 0 5 * * *");
        refuses("@daily", "\"@daily\" has 1 field, not five", "write 0 0 * * *, or schedule_type: daily");
        refuses("0 24 * * *", "hour: \"24\" is not between 0 and 23", "write 0 to 23; * for all");
        refuses("0 0 * * fri-mon", "day of the week: \"fri-mon\" runs backwards", "write two ranges: 5-7,0-1");
        refuses("*/0 * * * *", "minute: \"*/0\" has no step that works", "a step is 1 to 59");
        refuses("+5 * * * *", "minute: \"+5\" is not between 0 and 59", "write 0 to 59; * for all");
        refuses(
            "0 0 31 feb,apr *",
            "\"0 0 31 feb,apr *\" is never due: those months don't have those days",
            "31 exists in jan, mar, may, jul, aug, oct and dec",
        );
    }

    #[test]
    fn odd_texts_are_refused_and_never_panic() {
        for text in [
            "",
            "*",
            ", , , , ,",
            "-1 * * * *",
            "1- * * * *",
            "* * L * *",
            "* * * * mon#2",
            "*/ * * * *",
            "999999999999 * * * *",
            "٣ * * * *",
        ] {
            assert!(Cron::parse(text).is_err(), "{text}");
        }
    }
}
