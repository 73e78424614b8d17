//! The cursor column, as a job names it.

use super::SourceError;
use crate::batch::ColumnType;
use crate::plan::ColumnRules;
use crate::text;

/// A cursor column that the source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CursorColumn<'a> {
    /// The source's name of it.
    pub name: &'a str,
    /// Its place among the source's columns.
    pub place: usize,
    /// The type that the job declares.
    pub declared: Option<ColumnType>,
}

/// Finds the column, whose name in the job may be the target's name of a renamed one.
///
/// # Errors
/// A column that isn't there.
pub(super) fn find<'a>(source: &str, names: &[String], rules: &'a ColumnRules, given: &'a str) -> Result<CursorColumn<'a>, SourceError> {
    let name = rules.rename.iter().find(|(_, to)| to == given).map_or(given, |(from, _)| from);
    let Some(place) = names.iter().position(|known| known == name) else {
        let error = SourceError::new("unknown_column", format!("source {source}: there is no column {given} for timestamp_column"));
        return Err(match text::nearest(given, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint(format!("its columns are {}", text::shortened(&names.join(", "), 500))),
        });
    };
    let declared = rules.types.iter().find(|(column, _)| column == name).map(|(_, declared)| *declared);
    Ok(CursorColumn { name, place, declared })
}

/// Says that a column of a type can be no cursor.
pub(super) fn bad_cursor(source: &str, given: &str, column_type: ColumnType) -> SourceError {
    let message =
        format!("source {source}: timestamp_column {given} is {column_type}; a cursor is a timestamp, a date or a number that only grows");
    SourceError::new("bad_cursor", message).hint(format!("declare {given} under columns.types, or name another column"))
}
