//! What people are told of a load that went differently from what they may expect.

use super::copy::Copied;
use super::rejects::Rejects;
use super::stream::Before;
use super::voice::Voice;
use crate::plan::{Level, NullCursor, SchemaChange};
use crate::source::Stream;
use crate::text::count;

/// Says it, a line each.
pub(super) fn tell(voice: &Voice, stream: &Stream, copied: &Copied, before: &Before, changes: &[SchemaChange], rejects: &Rejects) {
    let warn = |message: String| voice.log(Level::Warn, &stream.name, message);
    for change in changes {
        match change {
            SchemaChange::Added { column, to } => {
                voice.log(Level::Info, &stream.name, format!("column {column} ({to}) is new in the table"))
            }
            SchemaChange::Widened { column, from, to } => {
                voice.log(Level::Info, &stream.name, format!("column {column} is widened from {from} to {to}"));
            }
            SchemaChange::Settled { column, to, .. } => {
                voice.log(Level::Info, &stream.name, format!("column {column} is {to} from now on: no value was seen in it before"));
            }
            SchemaChange::Gone { column } => warn(format!("column {column} is gone from the source; it stays, NULL in new rows")),
        }
    }
    rejects.in_words().into_iter().for_each(warn);
    if copied.values_nulled > 0 {
        warn(format!("{} can't be held by the destination and became NULL (invalid_values: null)", count(copied.values_nulled, "value")));
    }
    let Some(tracker) = &copied.tracker else { return };
    if tracker.rows_future > 0 {
        warn(format!("{} later than the clock: loaded, but they don't become the cursor", count(tracker.rows_future, "row")));
    }
    if tracker.rows_beyond > tracker.rows_future {
        let rows = count(tracker.rows_beyond - tracker.rows_future, "row");
        let message = format!("{rows} newer than some that may still be committed: loaded, and read again by the next run");
        voice.log(Level::Info, &stream.name, message);
    }
    if tracker.rows_null > 0 {
        let what = if before.approach.null_cursor == NullCursor::Skip { "skipped" } else { "loaded all the same" };
        warn(format!("{} without a value in the cursor column: {what}", count(tracker.rows_null, "row")));
    }
}
