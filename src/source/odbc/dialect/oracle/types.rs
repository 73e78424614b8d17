//! What becomes of Oracle's types (SQL Language Reference 19c, "Data Types"). By the type's name in the catalogue, or by what the driver calls it:
//! that one tells neither zones nor whether a NUMBER has a precision, so that what is not known to be exact is cast by the server.

use crate::batch::ColumnType;
use crate::connect::odbc::ColumnFacts;
use crate::source::odbc::types::{self, Mapping, Wire, code};

/// The digits of a NUMBER that drivers tell where it has no precision.
const UNKNOWN_PRECISION: usize = 38;

/// The longest text of a number with the minimal notation, which changes to an exponent at 64 characters ("Format Models", TM).
const NUMBER_LENGTH: usize = 72;
const MOMENT_LENGTH: usize = 40;
const INTERVAL_LENGTH: usize = 64;

/// What a type's name says, in capitals and without its sizes.
pub(super) fn name(facts: &ColumnFacts) -> String {
    let mut name = String::new();
    let mut depth = 0_u32;
    for sign in facts.type_name.trim().to_uppercase().chars() {
        match sign {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => name.push(sign),
            _ => {}
        }
    }
    name
}

/// Whether a column is a number of whatever form.
pub(super) fn is_number(facts: &ColumnFacts) -> bool {
    ["NUMBER", "FLOAT", "DECIMAL", "NUMERIC", "INTEGER"].contains(&name(facts).as_str())
        || matches!(facts.sql_type, code::DECIMAL | code::NUMERIC)
}

/// Whether a column is an instant.
pub(super) fn is_instant(facts: &ColumnFacts) -> bool {
    name(facts).ends_with("TIME ZONE")
}

/// Whether a column has whole seconds.
pub(super) fn is_date(facts: &ColumnFacts) -> bool {
    name(facts) == "DATE"
}

/// Returns what becomes of a column.
pub(super) fn mapping(facts: &ColumnFacts) -> Mapping {
    use ColumnType::{Binary, Float32, Float64, Json, Text, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc};
    let length = types::bound_length(facts.size);
    match name(facts).as_str() {
        "BINARY_FLOAT" => Mapping::fixed(Float32, Wire::Single),
        "BINARY_DOUBLE" => Mapping::fixed(Float64, Wire::Double),
        "DATE" => Mapping::fixed(Timestamp, Wire::Timestamp),
        // The catalogue writes the digits behind the name. Without it nobody knows of a zone: what has one is turned to UTC, all else stays, since
        // the session's zone is UTC.
        "TIMESTAMP" if !facts.type_name.contains('(') => {
            let cast = |column: &str| format!("CAST(SYS_EXTRACT_UTC(CAST({column} AS TIMESTAMP(9) WITH TIME ZONE)) AS TIMESTAMP(9))");
            Mapping::fixed(if facts.digits > 6 { TimestampNanos } else { Timestamp }, Wire::Timestamp).cast(cast)
        }
        "TIMESTAMP" => Mapping::fixed(if facts.digits > 6 { TimestampNanos } else { Timestamp }, Wire::Timestamp),
        "TIMESTAMP WITH TIME ZONE" | "TIMESTAMP WITH LOCAL TIME ZONE" => {
            let (column_type, cast): (_, fn(&str) -> String) =
                if facts.digits > 6 { (TimestampNanosUtc, |column| utc(column, 9)) } else { (TimestampUtc, |column| utc(column, 6)) };
            Mapping::sized(column_type, Wire::Ascii, Some(MOMENT_LENGTH)).cast(cast)
        }
        "CLOB" | "NCLOB" | "LONG" => Mapping::sized(Text, Wire::Text, None),
        "BLOB" | "BFILE" | "LONG RAW" => Mapping::sized(Binary, Wire::Binary, None),
        "RAW" => Mapping::sized(Binary, Wire::Binary, length),
        "XMLTYPE" | "SYS.XMLTYPE" => {
            Mapping::sized(Text, Wire::Text, None).cast(|column| format!("XMLSERIALIZE(CONTENT {column} AS CLOB)"))
        }
        "JSON" => Mapping::sized(Json, Wire::Text, None).cast(|column| format!("JSON_SERIALIZE({column} RETURNING CLOB)")),
        "ROWID" | "UROWID" => {
            Mapping::sized(Text, Wire::Text, Some(4000)).cast(|column| format!("CAST({column} AS VARCHAR2(4000))")).as_text()
        }
        name if name.starts_with("INTERVAL") => {
            Mapping::sized(Text, Wire::Ascii, Some(INTERVAL_LENGTH)).cast(|column| format!("TO_CHAR({column})")).as_text()
        }
        "NUMBER" | "FLOAT" | "DECIMAL" | "NUMERIC" | "INTEGER" => number(facts),
        _ => by_code(facts),
    }
}

/// What the driver alone says, of a column that the catalogue doesn't know: one of a query.
fn by_code(facts: &ColumnFacts) -> Mapping {
    match facts.sql_type {
        code::DECIMAL | code::NUMERIC | code::INTEGER | code::SMALLINT | code::TINYINT | code::BIGINT => number(facts),
        _ => types::standard(facts),
    }
}

/// Numbers come as text: the driver has no integers of 64 bits.
fn number(facts: &ColumnFacts) -> Mapping {
    let scale = facts.digits;
    let is_open = matches!(facts.sql_type, code::FLOAT | code::DOUBLE | code::REAL)
        || facts.size == 0
        || (facts.size >= UNKNOWN_PRECISION && scale == 0)
        || scale < -84
        || name(facts) == "FLOAT";
    if is_open {
        return Mapping::sized(ColumnType::Text, Wire::Ascii, Some(NUMBER_LENGTH)).cast(minimal).as_text();
    }
    let whole = |column_type| Mapping::sized(column_type, Wire::Ascii, Some(20));
    match (facts.size, scale) {
        (1..=4, 0) => whole(ColumnType::Int16),
        (5..=9, 0) => whole(ColumnType::Int32),
        (10..=18, 0) => whole(ColumnType::Int64),
        // NUMBER(3,-2) holds 99900, NUMBER(2,5) holds 0.00099.
        (size, scale) if scale < 0 => types::decimal(size + usize::from(scale.unsigned_abs()), 0),
        (size, scale) => types::decimal(size.max(usize::from(scale.unsigned_abs())), scale),
    }
}

/// A number with all of its digits, whatever the session's signs are.
fn minimal(column: &str) -> String {
    format!("REGEXP_REPLACE(TO_CHAR({column}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,'''), '^(-?)\\.', '\\10.')")
}

/// An instant as the moment of UTC that it is, with its sign where it lies before our era.
fn utc(column: &str, digits: u8) -> String {
    format!("LTRIM(TO_CHAR(SYS_EXTRACT_UTC({column}), 'SYYYY-MM-DD\"T\"HH24:MI:SS.FF{digits}\"Z\"'))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(type_name: &str, sql_type: i16, size: usize, digits: i16, column_type: ColumnType) {
        let facts = ColumnFacts { name: "C".to_owned(), sql_type, size, digits, is_unsigned: false, type_name: type_name.to_owned() };
        let mapping = mapping(&facts);
        assert_eq!(mapping.column_type, column_type, "{type_name}({size},{digits})");
        assert!(mapping.wire != Wire::Integer, "{type_name}: the driver has no integers of 64 bits");
    }

    #[test]
    fn numbers_are_what_their_precision_says() {
        let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
        check("NUMBER", 3, 4, 0, ColumnType::Int16);
        check("NUMBER", 3, 9, 0, ColumnType::Int32);
        check("NUMBER", 3, 18, 0, ColumnType::Int64);
        check("NUMBER", 3, 19, 0, decimal(19, 0));
        check("NUMBER", 3, 12, 2, decimal(12, 2));
        check("NUMBER", 3, 3, -2, decimal(5, 0));
        check("NUMBER", 3, 2, 5, decimal(5, 5));
        check("NUMBER", 3, 38, 0, ColumnType::Text);
        check("NUMBER", 3, 0, -127, ColumnType::Text);
        check("NUMBER", 6, 53, 0, ColumnType::Text);
        check("FLOAT", 6, 126, 0, ColumnType::Text);
        check("", -5, 18, 0, ColumnType::Int64);
    }

    #[test]
    fn times_keep_their_digits_and_their_zone() {
        check("DATE", 93, 19, 0, ColumnType::Timestamp);
        check("TIMESTAMP", 93, 26, 6, ColumnType::Timestamp);
        check("TIMESTAMP(9)", 93, 29, 9, ColumnType::TimestampNanos);
        check("TIMESTAMP(6) WITH TIME ZONE", 93, 26, 6, ColumnType::TimestampUtc);
        check("TIMESTAMP(9) WITH LOCAL TIME ZONE", 93, 29, 9, ColumnType::TimestampNanosUtc);
        check("INTERVAL DAY(2) TO SECOND(6)", 110, 0, 0, ColumnType::Text);
    }
}
