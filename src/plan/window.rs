//! A window of the cursor column as people type it: `run JOB --since S --until U`. Which instant a local time is depends on the job's
//! zone, and what a value means depends on the column's type, which only the worker knows.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use serde::{Deserialize, Serialize};

use crate::batch::{ColumnType, parse};
use crate::run::CursorValue;
use crate::zone::Zone;

/// A closed-open range of the cursor column; one end at least is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first value in it.
    pub since: Option<WindowEnd>,
    /// The first value behind it.
    pub until: Option<WindowEnd>,
}

/// An end of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowEnd {
    /// As it was typed.
    pub text: String,
    /// What it may be.
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Value {
    /// Digits, with decimals or without.
    Number,
    /// With an offset.
    Instant { seconds: i64, nanos: u32 },
    /// Without one, in a zone.
    Local { seconds: i64, nanos: u32, is_date: bool, zone: String, instants: Vec<DateTime<Utc>> },
}

impl Window {
    /// Reads the ends; local times are those of a zone.
    ///
    /// # Errors
    /// What is wrong with them, and what to do.
    pub fn parse(since: Option<&str>, until: Option<&str>, zone: Zone) -> Result<Self, (String, String)> {
        let end = |text: Option<&str>, flag: &str| text.map(|text| WindowEnd::parse(text, flag, zone)).transpose();
        let window = Self { since: end(since, "--since")?, until: end(until, "--until")? };
        if let (Some(since), Some(until)) = (&window.since, &window.until)
            && since.is_surely_not_before(until)
        {
            return Err(not_before(since, until));
        }
        Ok(window)
    }

    /// Returns the ends as values of the cursor column.
    ///
    /// # Errors
    /// A value that is none of the column's type; ends in the wrong order. What is wrong, and what to do.
    pub fn bounds(&self, column: &str, column_type: ColumnType) -> Result<(Option<CursorValue>, Option<CursorValue>), (String, String)> {
        let end = |end: &Option<WindowEnd>, flag: &str| {
            end.as_ref()
                .map(|end| {
                    end.cursor(column_type)
                        .map_err(|(why, hint)| (format!("{flag} {}: column {column} is {column_type}, {why}", end.text), hint))
                })
                .transpose()
        };
        let (since, until) = (end(&self.since, "--since")?, end(&self.until, "--until")?);
        if let (Some(from), Some(to), Some(since), Some(until)) = (&since, &until, &self.since, &self.until)
            && from.position() >= to.position()
        {
            return Err(not_before(since, until));
        }
        Ok((since, until))
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [("--since", &self.since), ("--until", &self.until)];
        let parts: Vec<String> = parts.iter().filter_map(|(flag, end)| end.as_ref().map(|end| format!("{flag} {}", end.text))).collect();
        formatter.write_str(&parts.join(" "))
    }
}

fn not_before(since: &WindowEnd, until: &WindowEnd) -> (String, String) {
    let message = format!("--since {} is not before --until {}: there is nothing between them", since.text, until.text);
    (message, "--since is the first value that is loaded, --until the first that is not".to_owned())
}

impl WindowEnd {
    fn parse(text: &str, flag: &str, zone: Zone) -> Result<Self, (String, String)> {
        let text = text.trim();
        let bytes = text.as_bytes();
        let value = if parse::decimal(bytes, 76, 38).is_some() && !text.contains(['e', 'E']) {
            Value::Number
        } else {
            // Seconds may be left out, as they are when people write times.
            let with_seconds = (bytes.len() == 16).then(|| format!("{text}:00"));
            let moment = parse::timestamp_or_date(bytes).or_else(|| parse::timestamp(with_seconds?.as_bytes()));
            let Some(moment) = moment else {
                let hint = "write an instant (2026-10-25T02:30:00+01:00), a date (2026-10-25) or a local time (2026-10-25T02:30) in the job's \
                            timezone, or a number";
                return Err((format!("{flag} {text} is no date, time or number"), hint.to_owned()));
            };
            let (seconds, nanos) = (moment.seconds, moment.nanos);
            if moment.is_utc {
                Value::Instant { seconds, nanos }
            } else {
                let is_date = parse::date(bytes).is_some();
                Value::Local { seconds, nanos, is_date, zone: zone.to_string(), instants: instants(seconds, nanos, is_date, zone) }
            }
        };
        Ok(Self { text: text.to_owned(), value })
    }

    /// Whether it can't be before another, whatever the column's type is.
    fn is_surely_not_before(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Number, Value::Number) => {
                let number = |end: &Self| parse::decimal(end.text.as_bytes(), 76, 38);
                number(self) >= number(other)
            }
            (Value::Instant { seconds, nanos }, Value::Instant { seconds: others, nanos: other_nanos }) => {
                (seconds, nanos) >= (others, other_nanos)
            }
            (Value::Local { seconds, nanos, .. }, Value::Local { seconds: others, nanos: other_nanos, .. }) => {
                (seconds, nanos) >= (others, other_nanos)
            }
            _ => false,
        }
    }

    /// Returns it as a value of the cursor column; else why it is none, and what to do.
    fn cursor(&self, column_type: ColumnType) -> Result<CursorValue, (String, String)> {
        use ColumnType::{Date, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc};
        let is_instant = matches!(column_type, TimestampUtc | TimestampNanosUtc);
        let (seconds, nanos) = match (&self.value, column_type) {
            (Value::Number, Date | Timestamp | TimestampUtc | TimestampNanos | TimestampNanosUtc) => {
                return Err(("and this is a number".to_owned(), "write a date or a time".to_owned()));
            }
            (Value::Number, _) => {
                let fits = || CursorValue { column_type, text: self.text.clone() }.moved_to(column_type);
                return fits().ok_or_else(|| ("which this does not fit".to_owned(), "write a number of the column's type".to_owned()));
            }
            (Value::Instant { .. } | Value::Local { .. }, _) if CursorValue::position_of(column_type, DateTime::UNIX_EPOCH).is_none() => {
                return Err(("a number, and this is a time".to_owned(), "write a number".to_owned()));
            }
            (Value::Instant { .. }, _) if !is_instant => {
                let hint = "write the local time that the column has, without an offset".to_owned();
                return Err(("which has no offset, and this has one".to_owned(), hint));
            }
            (Value::Instant { seconds, nanos }, _) => (*seconds, *nanos),
            (Value::Local { instants, zone, .. }, _) if is_instant => match instants.as_slice() {
                [only] => (only.timestamp(), only.timestamp_subsec_nanos()),
                instants => return Err(no_instant(zone, instants)),
            },
            (Value::Local { seconds, nanos, .. }, _) => (*seconds, *nanos),
        };
        let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        CursorValue::of_nanos(column_type, nanos).ok_or_else(|| {
            let hint = if column_type == Date { "write a date" } else { "write fewer decimals" };
            ("which this does not fit".to_owned(), hint.to_owned())
        })
    }
}

/// Returns the instants at which a zone's clocks show a local time: none, one, or two. A date is its first instant.
fn instants(seconds: i64, nanos: u32, is_date: bool, zone: Zone) -> Vec<DateTime<Utc>> {
    let Some(wall) = DateTime::from_timestamp(seconds, nanos).map(|wall| wall.naive_utc()) else { return Vec::new() };
    let at = |wall: &NaiveDateTime| match zone.from_local_datetime(wall) {
        LocalResult::None => Vec::new(),
        LocalResult::Single(only) => vec![only.to_utc()],
        LocalResult::Ambiguous(first, _) if is_date => vec![first.to_utc()],
        LocalResult::Ambiguous(first, last) => vec![first.to_utc(), last.to_utc()],
    };
    // Where the clocks skip midnight, the day begins when they have. No change of clocks skips more than a day.
    let minutes = if is_date { 24 * 60 } else { 0 };
    (0..=minutes).map(|minute| at(&(wall + TimeDelta::minutes(minute)))).find(|found| !found.is_empty()).unwrap_or_default()
}

fn no_instant(zone: &str, instants: &[DateTime<Utc>]) -> (String, String) {
    let written: Vec<String> = instants.iter().map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)).collect();
    match written.as_slice() {
        [] => (format!("and the clocks of {zone} skip this time"), "write another one, or an instant with its offset".to_owned()),
        both => (format!("and this time comes twice in {zone}"), format!("write the instant that is meant: {}", both.join(" or "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(since: &str, until: &str, zone: &str, column_type: ColumnType) -> Result<String, String> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (since, until) = (given(since), given(until));
        let window = Window::parse(since.as_deref(), until.as_deref(), Zone::parse(zone).unwrap()).map_err(|(message, _)| message)?;
        // As a worker gets it.
        let window: Window = serde_json::from_str(&serde_json::to_string(&window).unwrap()).unwrap();
        let (from, to) = window.bounds("at", column_type).map_err(|(message, hint)| format!("{message} | {hint}"))?;
        let text = |value: Option<CursorValue>| value.map_or("-".to_owned(), |value| value.text);
        Ok(format!("{} {}", text(from), text(to)))
    }

    #[track_caller]
    fn check(since: &str, until: &str, column_type: ColumnType, expected: &str) {
        assert_eq!(bounds(since, until, "Europe/Berlin", column_type).as_deref(), Ok(expected));
    }

    #[track_caller]
    fn refused(since: &str, until: &str, column_type: ColumnType, expected: &str) {
        let message = bounds(since, until, "Europe/Berlin", column_type).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_value_is_what_the_column_takes_it_for() {
        use ColumnType::*;
        check("2026-01-01", "2026-02-01T06:30", TimestampUtc, "2025-12-31T23:00:00Z 2026-02-01T05:30:00Z");
        check("2026-01-01T00:00:00.000001Z", "", TimestampUtc, "2026-01-01T00:00:00.000001Z -");
        check("", "2026-01-01T01:00:00+01:00", TimestampUtc, "- 2026-01-01T00:00:00Z");
        check("2026-01-01", "2026-01-01 06:30:00.5", Timestamp, "2026-01-01T00:00:00 2026-01-01T06:30:00.500000");
        check("2026-01-01", "2026-02-01T00:00", Date, "2026-01-01 2026-02-01");
        check("-5", "12", Int16, "-5 12");
        check("1.5", "2", Decimal { precision: 38, scale: 4 }, "1.5000 2.0000");
        check("2026", "2027", Int64, "2026 2027");
    }

    #[test]
    fn clocks_that_change_are_told() {
        use ColumnType::*;
        // 2026-10-25 02:30 is twice in Berlin, 2026-03-29 02:30 never.
        refused(
            "2026-10-25T02:30",
            "",
            TimestampUtc,
            "comes twice in Europe/Berlin | write the instant that is meant: 2026-10-25T00:30:00Z or",
        );
        refused("2026-03-29T02:30", "", TimestampUtc, "the clocks of Europe/Berlin skip this time");
        // A column without zone has no such trouble.
        check("2026-10-25T02:30", "", Timestamp, "2026-10-25T02:30:00 -");
        // Midnight of 2026-03-08 is skipped in Havana, that of 2026-11-01 comes twice: a day begins once all the same.
        assert_eq!(
            bounds("2026-03-08", "2026-11-01", "America/Havana", TimestampUtc).unwrap(),
            "2026-03-08T05:00:00Z 2026-11-01T04:00:00Z"
        );
    }

    #[test]
    fn what_is_no_window_is_refused() {
        use ColumnType::*;
        refused("yesterday", "", Date, "--since yesterday is no date, time or number");
        refused("2026-02-01", "2026-02-01", Date, "--since 2026-02-01 is not before --until 2026-02-01");
        refused("10", "9.5", Int64, "not before");
        refused("2026-01-01", "2025-12-31T23:00:00Z", TimestampUtc, "not before");
        refused("7", "", TimestampUtc, "this is a number");
        refused("2026-01-01", "", Int32, "a number, and this is a time");
        refused("2026-01-01T00:00:00Z", "", Timestamp, "has no offset");
        refused("2026-01-01T06:00", "", Date, "does not fit");
        refused("1.5", "", Int32, "does not fit");
        refused("40000", "", Int16, "does not fit");
        refused("2026-01-01T00:00:00.0000001Z", "", TimestampUtc, "write fewer decimals");
    }
}
