//! `etl_config` and `expect` of a source as [`LoadOptions`].

use crate::plan::{BadRows, Expect, LoadOptions, Lookback, Mode, NullCursor, OnBadRow, OnInvalidValue, Publish, SchemaPolicy};

use super::defaults;
use super::positions::{Node, Origin};
use super::report::Report;
use super::settings::{boolean, int, text, texts};

/// Builds the options of a source whose map is filled.
pub fn build(node: &Node, target: Option<String>, prefix: &str, report: &mut Report<'_>) -> LoadOptions {
    let none = Node::map(Origin::BuiltIn);
    let config = node.get("etl_config").unwrap_or(&none);
    let word = |key: &str| text(config, key).unwrap_or_default();
    let on_bad_row = if word("on_bad_row") == "fail" { OnBadRow::Fail } else { OnBadRow::Reject };
    LoadOptions {
        target,
        table_prefix: prefix.to_owned(),
        mode: if word("mode") == "incremental" { Mode::Incremental } else { Mode::Full },
        is_full_refresh: false,
        publish: if word("publish") == "replace" { Publish::Replace } else { Publish::Swap },
        primary_key: texts(node, "primary_key").unwrap_or_default(),
        timestamp_column: text(config, "timestamp_column").map(str::to_owned),
        lookback: lookback(config, report),
        window: None,
        null_cursor: match text(config, "null_cursor") {
            Some("include") => Some(NullCursor::Include),
            Some("skip") => Some(NullCursor::Skip),
            Some("fail") => Some(NullCursor::Fail),
            _ => None,
        },
        schema_change: if word("schema_change") == "freeze" { SchemaPolicy::Freeze } else { SchemaPolicy::Evolve },
        bad_rows: BadRows { on_bad_row, max_bad_rows: int(config, "max_bad_rows").map(i64::unsigned_abs) },
        invalid_values: match word("invalid_values") {
            "null" => OnInvalidValue::Null,
            "fail" => OnInvalidValue::Fail,
            _ => OnInvalidValue::Reject,
        },
        allow_empty: boolean(node, "allow_empty").unwrap_or(defaults::ALLOW_EMPTY),
        expect: expect(node, report),
        batch_size: count(config, "batch_size", defaults::BATCH_SIZE),
        sample_rows: count(config, "sample_rows", defaults::SAMPLE_ROWS),
    }
}

fn count(config: &Node, key: &str, default: i64) -> usize {
    usize::try_from(int(config, key).unwrap_or(default)).unwrap_or(usize::MAX)
}

fn lookback(config: &Node, report: &mut Report<'_>) -> Lookback {
    let minutes = int(config, "lookback_minutes").and_then(|minutes| u32::try_from(minutes).ok());
    match (config.entry("lookback_value"), config.entry("lookback_minutes")) {
        (None, _) => Lookback::Minutes(minutes),
        (Some(value), Some(minutes)) if value.place.origin == minutes.place.origin => {
            report.error(
                value.place,
                "lookback_value and lookback_minutes together",
                "keep one: minutes for timestamps, value for numbers".to_owned(),
            );
            Lookback::Minutes(None)
        }
        (Some(_), _) => Lookback::Value(int(config, "lookback_value").unwrap_or(0)),
    }
}

fn expect(node: &Node, report: &mut Report<'_>) -> Expect {
    let Some(expect) = node.get("expect") else { return Expect::default() };
    let rows = |key: &str| int(expect, key).and_then(|rows| u64::try_from(rows).ok());
    let (min_rows, max_rows) = (rows("min_rows"), rows("max_rows"));
    if let (Some(min), Some(max)) = (min_rows, max_rows)
        && min > max
    {
        let place = expect.get("max_rows").map_or(expect.place, |node| node.place);
        report.error(place, format!("expect: max_rows {max} is less than min_rows {min}"), None);
    }
    Expect {
        min_rows,
        max_rows,
        max_row_drop_percent: expect.get("max_row_drop_percent").and_then(super::fields::number_of),
        not_null: texts(expect, "not_null").unwrap_or_default(),
        unique: texts(expect, "unique").unwrap_or_default(),
        sql: text(expect, "sql").map(str::to_owned),
    }
}
