//! How columns are declared in PostgreSQL, and how names and values are written and compared.

use crate::batch::ColumnType;

/// The most bytes of a name (NAMEDATALEN - 1): PostgreSQL cuts longer ones.
pub(super) const NAME_BYTES_MAX: usize = 63;

/// Returns the declaration of a column type, spelled as `format_type` spells it. Nanoseconds have no type of their own.
pub(super) fn declaration(column_type: ColumnType) -> String {
    use ColumnType::*;
    let name = match column_type {
        Boolean => "boolean",
        Int16 => "smallint",
        Int32 => "integer",
        Int64 => "bigint",
        UInt64 => "numeric(20,0)",
        Float32 => "real",
        Float64 => "double precision",
        Decimal { precision, scale } => return format!("numeric({precision},{scale})"),
        Text | TimeNanos | TimestampNanos | TimestampNanosUtc => "text",
        Binary => "bytea",
        Date => "date",
        Time => "time without time zone",
        Timestamp => "timestamp without time zone",
        TimestampUtc => "timestamp with time zone",
        Json => "jsonb",
        Uuid => "uuid",
    };
    name.to_owned()
}

/// Returns the type whose values a column of a declaration holds, all of them and no others.
pub(super) fn of_declaration(declared: &str) -> Option<ColumnType> {
    use ColumnType::*;
    let known = [Boolean, Int16, Int32, Int64, Float32, Float64, Text, Binary, Date, Time, Timestamp, TimestampUtc, Json, Uuid];
    if let Some(found) = known.into_iter().find(|known| declaration(*known) == declared) {
        return Some(found);
    }
    declared.starts_with("numeric(").then(|| ColumnType::parse(declared).ok()).flatten()
}

/// Whether a column of a declaration that is no type of ours keeps values of a type as they are, and refuses those that it can't hold.
pub(super) fn keeps(declared: &str, new: ColumnType) -> bool {
    use ColumnType::*;
    match declared {
        "numeric" => matches!(new, Int16 | Int32 | Int64 | UInt64 | Decimal { .. }),
        "json" => new == Json,
        "timestamp(6) without time zone" => new == Timestamp,
        "timestamp(6) with time zone" => new == TimestampUtc,
        "time(6) without time zone" => new == Time,
        // Longer values are found before they are sent.
        _ => declared.starts_with("character varying") && !declared.ends_with("[]") && declaration(new) == "text",
    }
}

/// Whether a column of a declaration takes the values of a type in the binary form in which they are sent. Where a column of ours is
/// declared otherwise before the load, it is brought to the type first.
pub(super) fn takes(declared: &str, new: ColumnType) -> bool {
    let is_foreign = of_declaration(declared).is_none();
    let is_same_form = match declared {
        "numeric" => matches!(new, ColumnType::UInt64 | ColumnType::Decimal { .. }),
        // What is sent as jsonb is no json.
        "json" => false,
        _ => true,
    };
    !is_foreign || (is_same_form && keeps(declared, new))
}

/// Returns how many characters a column of that declaration holds; `None` where there is no such limit.
pub(super) fn length(declared: &str) -> Option<usize> {
    declared.strip_prefix("character varying(")?.strip_suffix(')')?.parse().ok()
}

/// Returns a name as SQL: quoted always, so that a name is never SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns names as SQL, parted by commas, each behind `prefix`.
pub(super) fn listed<'a>(prefix: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("{prefix}{}", quoted(name))).collect::<Vec<_>>().join(", ")
}

/// Returns what sorts as the values of a type do.
pub(super) fn sortable(column: &str, column_type: ColumnType) -> String {
    match column_type {
        ColumnType::TimestampNanos | ColumnType::TimestampNanosUtc | ColumnType::TimeNanos => format!("rtrim({column}, 'Z') COLLATE \"C\""),
        _ => column.to_owned(),
    }
}

/// Returns a column for a comparison that finds every difference: texts by their bytes, json by what it means.
pub(super) fn comparable(column: &str, declared: &str) -> String {
    if declared == "text" || declared.starts_with("character varying") {
        format!("{column} COLLATE \"C\"")
    } else if declared == "json" {
        format!("{column}::jsonb")
    } else {
        column.to_owned()
    }
}

/// Returns the SQL of a value of one type as a value of a wider one, written as [`crate::batch::text`] writes it where that is text.
pub(super) fn conversion(column: &str, from: ColumnType, to: ColumnType) -> String {
    use ColumnType::*;
    let clock = |format: &str, value: &str, zeros: &str, zone: &str| {
        let fraction = format!("CASE to_char({value}, 'US') WHEN '000000' THEN '' ELSE '.' || to_char({value}, 'US') || '{zeros}' END");
        format!("to_char({value}, '{format}') || {fraction} || '{zone}'")
    };
    let instant = format!("({column} AT TIME ZONE 'UTC')");
    // to_char knows no times of the day: any day will do.
    let of_day = format!("(date '2000-01-01' + {column})");
    let stamp = "YYYY-MM-DD\"T\"HH24:MI:SS";
    match (from, to) {
        (Float32 | Float64, Text) => {
            // The server has exponents from 1e6 or 1e15 on, with two digits at least; here they begin at 1e16.
            let (text, whole) = (format!("{column}::text"), format!("{column}::text::numeric::text"));
            format!(
                "CASE WHEN {text} ~ '^-?[0-9]+$' THEN {text} || '.0' \
                 WHEN strpos({text}, 'e+') > 0 AND abs({column}) < 1e16 THEN {whole} || CASE strpos({whole}, '.') WHEN 0 THEN '.0' ELSE '' END \
                 ELSE replace(regexp_replace(replace({text}, 'e+', 'e'), 'e-0+', 'e-'), 'Infinity', 'inf') END"
            )
        }
        (Date, Text) => format!("to_char({column}, 'YYYY-MM-DD')"),
        (Date, TimestampNanos) => format!("to_char({column}, 'YYYY-MM-DD') || 'T00:00:00'"),
        (Time, Text) => clock("HH24:MI:SS", &of_day, "", ""),
        (Time, TimeNanos) => clock("HH24:MI:SS", &of_day, "000", ""),
        (Timestamp, Text) => clock(stamp, column, "", ""),
        (Timestamp, TimestampNanos) => clock(stamp, column, "000", ""),
        (TimestampUtc, Text) => clock(stamp, &instant, "", "Z"),
        (TimestampUtc, TimestampNanosUtc) => clock(stamp, &instant, "000", "Z"),
        _ => format!("{column}::{}", declaration(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read_back() {
        use ColumnType::*;
        for known in [Boolean, Int16, Int32, Int64, Float32, Float64, Text, Binary, Date, Time, Timestamp, TimestampUtc, Json, Uuid] {
            assert_eq!(of_declaration(&declaration(known)), Some(known));
        }
        let decimal = Decimal { precision: 38, scale: 10 };
        assert_eq!(of_declaration(&declaration(decimal)), Some(decimal));
        assert_eq!(of_declaration("numeric"), None);
        assert_eq!(of_declaration("character varying(5)"), None);
        assert!(keeps("character varying(5)", Text) && !keeps("character varying[]", Text) && !keeps("character(5)", Text));
        assert!(keeps("numeric", UInt64) && !keeps("numeric", Float64) && !keeps("timestamp(3) without time zone", Timestamp));
    }

    #[test]
    fn names_are_never_sql() {
        assert_eq!(quoted("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(listed("s.", ["a", "B"]), "s.\"a\", s.\"B\"");
    }
}
