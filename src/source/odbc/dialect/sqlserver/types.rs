//! What becomes of SQL Server's types ("Data types (Transact-SQL)", SQL Server 2022). By the type's name, which both drivers tell; what a driver
//! would bend or has no type for is cast by the server.

use crate::batch::ColumnType;
use crate::connect::odbc::ColumnFacts;
use crate::source::odbc::types::{self, Mapping, Wire};

/// Hours, minutes, seconds and seven digits of one.
const TIME_LENGTH: usize = 16;

/// Whether a column is a rowversion, which `timestamp` is the old name of.
pub(super) fn is_rowversion(facts: &ColumnFacts) -> bool {
    ["timestamp", "rowversion"].contains(&name(facts).as_str())
}

/// Whether a column counts in steps of 1/300 s.
pub(super) fn is_datetime(facts: &ColumnFacts) -> bool {
    // FreeTDS calls SMALLDATETIME so too; that one has no digits.
    name(facts) == "datetime" && facts.digits > 0
}

/// Whether a column is an instant.
pub(super) fn is_offset(facts: &ColumnFacts) -> bool {
    name(facts) == "datetimeoffset"
}

fn name(facts: &ColumnFacts) -> String {
    facts.type_name.trim().to_ascii_lowercase()
}

/// Returns what becomes of a column.
pub(super) fn mapping(facts: &ColumnFacts) -> Mapping {
    use ColumnType::{Binary, Int64, Json, Text, Time, TimeNanos, Timestamp, TimestampNanos, TimestampNanosUtc, TimestampUtc};
    let is_fine = facts.digits > 6;
    match name(facts).as_str() {
        "money" if facts.size <= 10 => types::decimal(10, 4).cast(|column| format!("CAST({column} AS decimal(10, 4))")),
        "smallmoney" => types::decimal(10, 4).cast(|column| format!("CAST({column} AS decimal(10, 4))")),
        "money" => types::decimal(19, 4).cast(|column| format!("CAST({column} AS decimal(19, 4))")),
        // Its 1/300 s are written with three digits, and drivers make others of them.
        "datetime" if is_datetime(facts) => {
            Mapping::fixed(Timestamp, Wire::Timestamp).cast(|column| format!("CAST({column} AS datetime2(3))"))
        }
        "datetime" | "smalldatetime" => Mapping::fixed(Timestamp, Wire::Timestamp),
        "datetime2" => Mapping::fixed(if is_fine { TimestampNanos } else { Timestamp }, Wire::Timestamp),
        // The instant stays; how far the writer's clock was from UTC is not loaded.
        "datetimeoffset" => Mapping::fixed(if is_fine { TimestampNanosUtc } else { TimestampUtc }, Wire::Timestamp)
            .cast(|column| format!("CAST(SWITCHOFFSET({column}, '+00:00') AS datetime2(7))")),
        "time" => Mapping::sized(if is_fine { TimeNanos } else { Time }, Wire::Ascii, Some(TIME_LENGTH))
            .cast(|column| format!("CAST({column} AS varchar(16))")),
        "xml" => Mapping::sized(Text, Wire::Text, None).cast(|column| format!("CAST({column} AS nvarchar(max))")),
        "json" => Mapping::sized(Json, Wire::Text, None).cast(|column| format!("CAST({column} AS nvarchar(max))")),
        "sql_variant" => Mapping::sized(Text, Wire::Text, None).cast(variant).as_text(),
        "timestamp" | "rowversion" => Mapping::fixed(Int64, Wire::Integer).cast(|column| format!("CAST({column} AS bigint)")),
        "hierarchyid" => Mapping::sized(Text, Wire::Text, None).cast(|column| format!("{column}.ToString()")).as_text(),
        "geometry" | "geography" => Mapping::sized(Text, Wire::Text, None)
            .cast(|column| format!("CONCAT('SRID=', {column}.STSrid, ';', {column}.ToString())"))
            .as_text(),
        "udt" => Mapping::sized(Binary, Wire::Binary, None).cast(|column| format!("CAST({column} AS varbinary(max))")),
        _ => types::standard(facts),
    }
}

/// A variant as text that loses nothing of its base type: CAST alone would leave out seconds of a datetime, digits of a money and a float.
fn variant(column: &str) -> String {
    let branch =
        |base: &str, declared: &str, style: u8| format!("WHEN '{base}' THEN CONVERT(nvarchar(max), CAST({column} AS {declared}), {style})");
    let branches = [
        branch("datetime", "datetime", 121),
        branch("smalldatetime", "smalldatetime", 120),
        branch("money", "money", 2),
        branch("smallmoney", "smallmoney", 2),
        branch("float", "float", 3),
        branch("real", "real", 3),
        branch("varbinary", "varbinary(8000)", 1),
        branch("binary", "varbinary(8000)", 1),
    ];
    // As text of the database: a variant of another collation equals no word.
    let base = format!("CAST(SQL_VARIANT_PROPERTY({column}, 'BaseType') AS nvarchar(128))");
    format!("CASE {base} {} ELSE CAST({column} AS nvarchar(max)) END", branches.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(type_name: &str, sql_type: i16, size: usize, digits: i16) -> ColumnFacts {
        ColumnFacts { name: "c".to_owned(), sql_type, size, digits, is_unsigned: false, type_name: type_name.to_owned() }
    }

    #[track_caller]
    fn check(facts: &ColumnFacts, column_type: ColumnType, select: &str) {
        let mapping = mapping(facts);
        let column = mapping.cast.map_or_else(|| "[c]".to_owned(), |cast| cast("[c]"));
        assert_eq!((mapping.column_type, column.as_str()), (column_type, select), "{}", facts.type_name);
    }

    #[test]
    fn the_server_casts_what_drivers_bend() {
        let decimal = |precision| ColumnType::Decimal { precision, scale: 4 };
        check(&facts("money", 3, 19, 4), decimal(19), "CAST([c] AS decimal(19, 4))");
        check(&facts("money", 3, 10, 4), decimal(10), "CAST([c] AS decimal(10, 4))");
        check(&facts("datetime", 93, 23, 3), ColumnType::Timestamp, "CAST([c] AS datetime2(3))");
        check(&facts("datetime", 93, 16, 0), ColumnType::Timestamp, "[c]");
        check(&facts("datetime2", 93, 27, 7), ColumnType::TimestampNanos, "[c]");
        check(&facts("datetimeoffset", -155, 30, 3), ColumnType::TimestampUtc, "CAST(SWITCHOFFSET([c], '+00:00') AS datetime2(7))");
        check(&facts("time", -154, 16, 7), ColumnType::TimeNanos, "CAST([c] AS varchar(16))");
        check(&facts("timestamp", -2, 8, 0), ColumnType::Int64, "CAST([c] AS bigint)");
        check(&facts("tinyint", -6, 3, 0), ColumnType::Int16, "[c]");
    }
}
