//! Values of cursors as parameters of statements. Pure.

use crate::batch::ColumnType;
use crate::batch::parse;
use crate::connect::odbc::Parameter;
use crate::run::CursorValue;

/// Returns a cursor's value as a parameter of its own type, at its full precision; `None` where that can't be.
pub(super) fn parameter(value: &CursorValue) -> Option<Parameter> {
    use ColumnType::{Date, Decimal, Int16, Int32, Int64, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc, UInt64};
    let text = value.text.as_str();
    match value.column_type {
        Int16 | Int32 | Int64 => text.parse().ok().map(Parameter::Integer),
        UInt64 => Some(Parameter::Decimal { text: text.to_owned(), precision: 20, scale: 0 }),
        Decimal { precision, scale } => Some(Parameter::Decimal { text: text.to_owned(), precision, scale }),
        Date => date(text),
        Timestamp | TimestampUtc => timestamp(text, 6),
        TimestampNanos | TimestampNanosUtc => timestamp(text, 9),
        _ => None,
    }
}

fn date(text: &str) -> Option<Parameter> {
    parse::date(text.as_bytes())?;
    let mut parts = text.splitn(3, '-');
    Some(Parameter::Date { year: parts.next()?.parse().ok()?, month: parts.next()?.parse().ok()?, day: parts.next()?.parse().ok()? })
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.fraction][Z]`.
fn timestamp(text: &str, decimals: i16) -> Option<Parameter> {
    let text = text.trim_end_matches('Z');
    let (day, time) = text.split_once(['T', ' '])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = [0_i16; 6];
    let texts = day.splitn(3, '-').chain(time.splitn(3, ':'));
    let mut count = 0;
    for (part, text) in parts.iter_mut().zip(texts) {
        *part = text.parse().ok()?;
        count += 1;
    }
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    (count == 6).then_some(Parameter::Timestamp { parts, nanos, decimals })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_keeps_its_last_digit() {
        let value = |text: &str, column_type| CursorValue { column_type, text: text.to_owned() };
        let check =
            |text: &str, column_type, expected: Option<Parameter>| assert_eq!(parameter(&value(text, column_type)), expected, "{text}");
        let parts = [2024, 2, 29, 23, 59, 58];
        let moment = |nanos, decimals| Some(Parameter::Timestamp { parts, nanos, decimals });
        check("2024-02-29T23:59:58.000001", ColumnType::Timestamp, moment(1000, 6));
        check("2024-02-29T23:59:58Z", ColumnType::TimestampUtc, moment(0, 6));
        check("2024-02-29T23:59:58.1234567", ColumnType::TimestampNanos, moment(123_456_700, 9));
        check("2024-02-29", ColumnType::Date, Some(Parameter::Date { year: 2024, month: 2, day: 29 }));
        check("-5", ColumnType::Int64, Some(Parameter::Integer(-5)));
        check("x", ColumnType::Text, None);
    }
}
