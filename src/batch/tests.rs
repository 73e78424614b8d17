use arrow_array::{Array, RecordBatch};
use proptest::prelude::*;

use super::text::cell_text;
use super::*;

/// Loads one text into a column of a type and reads its text back.
fn loaded(text: &str, column_type: ColumnType) -> Option<String> {
    let mut batch = BatchBuilder::new(&Schema::new(vec![Column::new("c", column_type)]), 10);
    let size = batch.columns[0].append_text(text.as_bytes()).ok()?;
    batch.end_row(size);
    cell_text(&batch.finish()?, 0, 0)
}

fn inferred(texts: &[&str]) -> ColumnType {
    let mut inference = Inference::default();
    texts.iter().for_each(|text| inference.observe(text.as_bytes()));
    inference.column_type()
}

#[track_caller]
fn check(text: &str, column_type: &str, expected: &str) {
    assert_eq!(infer::classify(text.as_bytes()).to_string(), column_type, "{text}");
    assert_eq!(loaded(text, ColumnType::parse(column_type).unwrap()).as_deref(), Some(expected), "{text}");
}

#[test]
fn each_text_has_its_narrowest_type() {
    for text in [
        "",
        "-",
        "+5",
        "007",
        "00",
        "1.",
        "1e",
        "0x10",
        "1,5",
        "nan",
        "inf",
        "1e400",
        "1e-400",
        "2013-02-30",
        "0000-01-01",
        "10000-01-01",
        "t",
    ] {
        check(text, "text", text);
    }
    for text in [
        "2013-1-1",
        "25:00:00",
        "12:60:00",
        "12:00",
        "2013-01-01 24:00:00",
        "2013-01-01T00:00:60Z",
        "2013-01-01T00:00:00+25",
        "123456789.123456789123",
    ] {
        check(text, "text", text);
    }
    check("9223372036854775807", "bigint", "9223372036854775807");
    check("-9223372036854775808", "bigint", "-9223372036854775808");
    check("9223372036854775808", "text", "9223372036854775808");
    check("9007199254740993.0", "text", "9007199254740993.0");
    check("-0", "double", "-0.0");
    check(".5", "double", "0.5");
    // The same double, written with 17 digits.
    check("48.053808600000004", "double", "48.0538086");
    check("0.10000000000000002", "double", "0.10000000000000002");
    check("0.100000000000000012", "text", "0.100000000000000012");
    check("1E5", "double", "100000.0");
    check("0.30000000000000004", "double", "0.30000000000000004");
    check("1.7976931348623157e308", "double", "1.7976931348623157e308");
    check("5e-324", "double", "5e-324");
    check("False", "boolean", "false");
    check("0001-01-01", "date", "0001-01-01");
    check("9999-12-31", "date", "9999-12-31");
    check("23:59:59.5", "time", "23:59:59.500000");
    check("23:59:59.1234567", "time_ns", "23:59:59.123456700");
    check("1969-12-31 23:59", "timestamp", "1969-12-31T23:59:00");
    check("2013-01-01T00:00:00.123456789", "timestamp_ns", "2013-01-01T00:00:00.123456789");
    check("2013-01-01T00:00:00+05:30", "timestamp_utc", "2012-12-31T18:30:00Z");
    check("2013-01-01 00:00:00.1234567-05", "timestamp_ns_utc", "2013-01-01T05:00:00.123456700Z");
    check("0001-01-01T00:00:00+01:00", "text", "0001-01-01T00:00:00+01:00");
}

#[test]
fn columns_widen_only_as_far_as_values_stay_exact() {
    let check = |texts: &[&str], column_type: &str| assert_eq!(inferred(texts).to_string(), column_type, "{texts:?}");
    check(&[], "text");
    check(&["1", "2.5"], "double");
    check(&["9007199254740993", "2.5"], "text");
    check(&["9007199254740992", "2.5"], "double");
    check(&["2.5", "9223372036854775807"], "text");
    check(&["2013-01-01", "2013-01-01 10:00"], "timestamp");
    check(&["2013-01-01", "2013-01-01 10:00Z"], "text");
    check(&["1600-01-01", "2013-01-01 10:00:00.1234567"], "text");
    check(&["true", "1"], "text");
}

#[test]
fn declared_types_take_exactly_what_they_hold() {
    let check = |text: &str, column_type: &str, expected: Option<&str>| {
        assert_eq!(loaded(text, ColumnType::parse(column_type).unwrap()).as_deref(), expected, "{text} as {column_type}");
    };
    check("+007", "smallint", Some("7"));
    check("32768", "smallint", None);
    check("2147483648", "integer", None);
    check("-1", "unsigned", None);
    check("18446744073709551615", "unsigned", Some("18446744073709551615"));
    check("0.1", "real", Some("0.1"));
    check("0.123456789123", "real", None);
    check("0.10000000000000001", "double", Some("0.1"));
    check("0.100000000000000012", "double", None);
    check("1.5e2", "decimal(5,2)", Some("150.00"));
    check("1.005", "decimal(5,2)", None);
    check("1000", "decimal(5,2)", None);
    check("-0.05000", "decimal(5,2)", Some("-0.05"));
    check(&"9".repeat(76), "decimal(76,0)", Some(&"9".repeat(76)));
    check(&"9".repeat(77), "decimal(76,0)", None);
    check("12345678901234567890123456789012345678", "decimal(38,0)", Some("12345678901234567890123456789012345678"));
    check("\\x00fF", "binary", Some("\\x00ff"));
    check("\\x0", "binary", None);
    check("{\"a\": [1, 2.50]}", "json", Some("{\"a\": [1, 2.50]}"));
    check("{a: 1}", "json", None);
    check("67E55044-10B1-426F-9247-BB680E5FE0C8", "uuid", Some("67e55044-10b1-426f-9247-bb680e5fe0c8"));
    check("2013-01-01T00:00:00.1234560", "timestamp", Some("2013-01-01T00:00:00.123456"));
    check("2013-01-01T00:00:00.1234567", "timestamp", None);
    check("2013-01-01T00:00:00", "timestamp_utc", None);
    check("2500-01-01T00:00:00", "timestamp_ns", None);
}

#[test]
fn a_row_taken_back_leaves_no_trace() {
    let types = ["boolean", "smallint", "double", "text", "uuid", "decimal(40,2)", "timestamp"];
    let columns = types.iter().map(|name| Column::new(*name, ColumnType::parse(name).unwrap())).collect();
    let mut batch = BatchBuilder::new(&Schema::new(columns), 10);
    for row in 0..3 {
        for column in &mut batch.columns[..if row == 1 { 4 } else { 7 }] {
            column.append_null();
        }
        if row == 1 { batch.undo_row() } else { batch.end_row(1) }
    }
    let rows: RecordBatch = batch.finish().unwrap();
    assert_eq!(rows.num_rows(), 2);
    assert!(rows.columns().iter().all(|column| column.null_count() == 2));
    assert!(batch.finish().is_none());
}

/// Texts that look like values of every type, and what lies beside them.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,20}",
        "-?[0-9]{0,19}\\.[0-9]{1,20}",
        "-?[0-9]\\.[0-9]{0,17}[eE][+-]?[0-9]{1,3}",
        any::<f64>().prop_map(|value| format!("{value:?}")),
        any::<i64>().prop_map(|value| value.to_string()),
        "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]",
        "[0-2][0-9]{3}-0[1-9]-[0-2][0-9][T ][012][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,10})?)?(Z|[+-][01][0-9](:?[0-5][0-9])?)?",
        "[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,10})?",
        "(true|false|TRUE|False|)",
        "[ -~]{0,12}",
    ]
}

/// A number's sign, digits without zeros at either end, and the power of ten of the last one, worked out apart from `parse`.
fn number(text: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{decimals}", whole.trim_start_matches('-'));
    let trimmed = digits.trim_end_matches('0');
    let power = exponent.parse::<i64>().unwrap() - decimals.len() as i64 + (digits.len() - trimmed.len()) as i64;
    let significant = trimmed.trim_start_matches('0').to_owned();
    let power = if significant.is_empty() { 0 } else { power };
    (text.starts_with('-'), significant, power)
}

/// Whether a double's text and a number's text are the same digits, at the double's own precision or at that of the number.
fn is_same_number(double: &str, text: &str) -> bool {
    let digits = number(text).1.len();
    let value: f64 = double.parse().unwrap();
    number(double) == number(text) || (digits <= 17 && number(&format!("{value:.*e}", digits - 1)) == number(text))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_inferred_loads_and_keeps_its_value(text in texts()) {
        let column_type = infer::classify(text.as_bytes());
        let back = loaded(&text, column_type);
        prop_assert!(back.is_some(), "{text} is no {column_type}");
        let back = back.unwrap();
        match column_type {
            ColumnType::Text | ColumnType::Int64 | ColumnType::Date => prop_assert_eq!(back, text),
            ColumnType::Float64 => prop_assert!(is_same_number(&back, &text), "{} became {}", text, back),
            ColumnType::Boolean => prop_assert_eq!(back, text.to_lowercase()),
            // Written in one way, a moment reads as the same moment.
            _ => prop_assert_eq!(loaded(&back, column_type), Some(back)),
        }
    }

    #[test]
    fn short_numbers_are_read_as_any_other(text in "-?[0-9]{0,9}[.]?[0-9]{0,8}") {
        let digits = text.trim_start_matches('-').as_bytes();
        let is_padded = digits.len() > 1 && digits[0] == b'0' && digits[1] != b'.';
        let expected = parse::declared_double(text.as_bytes()).filter(|_| !is_padded);
        prop_assert_eq!(parse::double(text.as_bytes()).map(f64::to_bits), expected.map(f64::to_bits));
    }

    #[test]
    fn every_text_of_a_column_loads_as_the_type_inferred_for_it(texts in proptest::collection::vec(texts(), 0..4)) {
        let column_type = inferred(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        for text in &texts {
            let back = loaded(text, column_type);
            prop_assert!(back.is_some(), "{text} is no {column_type}");
            if column_type == ColumnType::Float64 {
                let back = back.unwrap();
                prop_assert!(is_same_number(&back, text), "{} became {}", text, back);
            }
        }
    }
}
