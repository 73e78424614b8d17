//! Times as people type them: RFC 3339, a date or a date and time in the user's zone, or a span such as `2h`.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};

use crate::error::Failure;
use crate::zone::Zone;

/// Reads `--since`: a span counts back from now.
///
/// # Errors
/// The text is no time.
pub fn past(text: &str, flag: &str, zone: Zone, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    span(text).and_then(|span| now.checked_sub_signed(span)).or_else(|| instant(text, zone)).ok_or_else(|| refused(text, flag))
}

/// Reads `--until`: a span counts on from now.
///
/// # Errors
/// The text is no time, or the time is over.
pub fn future(text: &str, flag: &str, zone: Zone, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    let time =
        span(text).and_then(|span| now.checked_add_signed(span)).or_else(|| instant(text, zone)).ok_or_else(|| refused(text, flag))?;
    if time <= now {
        return Err(Failure::usage(format!("{flag} {text}: this time is over")).hint("name a time to come, or a span such as 2h or 7d"));
    }
    Ok(time)
}

/// Reads `--from`: any time; a span counts on from now.
///
/// # Errors
/// The text is no time.
pub fn any(text: &str, flag: &str, zone: Zone, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    span(text).and_then(|span| now.checked_add_signed(span)).or_else(|| instant(text, zone)).ok_or_else(|| refused(text, flag))
}

fn refused(text: &str, flag: &str) -> Failure {
    Failure::usage(format!("{flag} {text:?} is not a time"))
        .hint("write 2026-11-23, 2026-11-23T14:00, 2026-11-23T14:00:00Z, or a span such as 90m, 2h or 7d")
}

fn span(text: &str) -> Option<TimeDelta> {
    let number: i64 = text.get(..text.len().checked_sub(1)?)?.parse().ok().filter(|number| *number >= 0)?;
    match text.as_bytes().last()? {
        b's' => TimeDelta::try_seconds(number),
        b'm' => TimeDelta::try_minutes(number),
        b'h' => TimeDelta::try_hours(number),
        b'd' => TimeDelta::try_days(number),
        b'w' => TimeDelta::try_weeks(number),
        _ => None,
    }
}

fn instant(text: &str, zone: Zone) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let formats = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let local = local.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(NaiveTime::MIN)))?;
    match zone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time.to_utc()),
        // A time that the clocks skip means the first instant after the gap; no gap is longer than a day.
        LocalResult::None => {
            let quarters = (1..=96).map(|quarter| local + TimeDelta::minutes(15 * quarter));
            quarters.into_iter().find_map(|later| zone.from_local_datetime(&later).earliest()).map(|time| time.to_utc())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::measure::utc;

    const NOW: &str = "2026-11-23T22:53:00Z";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let zone = Zone::parse("Europe/Paris").unwrap();
        let found = past(text, "--since", zone, NOW.parse().unwrap());
        assert_eq!(found.map(utc).map_err(|failure| failure.message), Ok(expected.to_owned()), "{text}");
    }

    #[test]
    fn times_are_read_in_the_users_zone_unless_they_name_another() {
        check("2026-11-23", "2026-11-22T23:00:00Z");
        check("2026-07-01 08:30", "2026-07-01T06:30:00Z");
        check("2026-07-01T08:30:00+09:00", "2026-06-30T23:30:00Z");
        check("2026-03-29T02:30", "2026-03-29T01:00:00Z");
        check("2026-10-25T02:30", "2026-10-25T00:30:00Z");
    }

    #[test]
    fn spans_count_back_from_now() {
        check("90m", "2026-11-23T21:23:00Z");
        check("2h", "2026-11-23T20:53:00Z");
        check("7d", "2026-11-16T22:53:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused_whatever_it_is() {
        for text in ["", "m", "yesterday", "-2h", "2026-02-30", "99999999999999999999d", "9223372036854775807d", "☃", "7☃"] {
            let failure = past(text, "--since", Zone::UTC, NOW.parse().unwrap()).unwrap_err();
            assert_eq!(failure.message, format!("--since {text:?} is not a time"));
        }
    }

    #[test]
    fn a_pause_ends_later_than_now() {
        let until = |text: &str| future(text, "--until", Zone::UTC, NOW.parse().unwrap()).map(utc).map_err(|failure| failure.message);
        assert_eq!(until("2h"), Ok("2026-11-24T00:53:00Z".to_owned()));
        assert_eq!(until("2026-11-23"), Err("--until 2026-11-23: this time is over".to_owned()));
        assert_eq!(until("0s"), Err("--until 0s: this time is over".to_owned()));
    }
}
