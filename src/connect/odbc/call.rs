//! Calls by way of odbc-api, each with the check of what it returns.
//!
//! A call's return code decides alone whether it has failed: FreeTDS reports a cut connection with SQLSTATE 01000, which elsewhere is a note.
//! odbc-api panics at return codes and values that the standard doesn't allow; here they are errors like any other, and never the end of the rows.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use odbc_api::handles::{AnyHandle, Diagnostics as _, SqlResult};
use odbc_api::sys::SqlReturn;

/// The most records of one failed call that are read; a driver may have a thousand.
const RECORDS_MAX: usize = 8;

/// The longest message of a record, in UTF-16 units.
const MESSAGE_UNITS_MAX: usize = 4096;

/// What a driver or the driver manager reports of a call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its SQLSTATE: five characters.
    pub state: String,
    /// The server's own number; 0 where it has none.
    pub native: i32,
    /// What it says.
    pub message: String,
}

/// What a failed call reports; without a record where the driver says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OdbcError {
    /// The function that failed.
    pub function: &'static str,
    /// Why, as far as it is told.
    pub records: Vec<Diagnostic>,
}

impl OdbcError {
    /// Makes an error of our own.
    pub fn own(function: &'static str, message: impl Into<String>) -> Self {
        Self { function, records: vec![Diagnostic { state: "HY000".to_owned(), native: 0, message: message.into() }] }
    }
}

/// How a call went that has not failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Done, and the driver has something to say of it.
    Noted,
    /// There is nothing, or nothing more.
    NoData,
}

thread_local! {
    /// Whether a panic of this thread becomes an error, so that nobody needs to read of it.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Makes a panic of odbc-api an error.
pub(super) fn guarded<T>(function: &'static str, call: impl FnOnce() -> T) -> Result<T, OdbcError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.try_with(Cell::get).unwrap_or(false) {
                before(panic);
            }
        }));
    });
    let was_guarded = IS_GUARDED.replace(true);
    // Nothing is kept of a call that panicked but its handle, of which the driver alone knows the state.
    let answer = catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(was_guarded);
    answer.map_err(|panic| {
        let told = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        OdbcError::own(function, amiss(function, told.unwrap_or("nobody knows what")))
    })
}

fn amiss(function: &str, answer: &str) -> String {
    format!("the driver answers {function} with what it may not: {answer}")
}

/// Looks at how a call went; returns that, and what it returned.
///
/// # Errors
/// Everything that is neither success nor the lack of data.
pub(super) fn checked<T>(
    answer: Result<SqlResult<T>, OdbcError>,
    function: &'static str,
    handle: &impl AnyHandle,
) -> Result<(Outcome, Option<T>), OdbcError> {
    let odd = |what: &str| {
        let mut records = diagnostics(handle);
        records.extend(OdbcError::own(function, amiss(function, what)).records);
        OdbcError { function, records }
    };
    match answer {
        Ok(SqlResult::Success(value)) => Ok((Outcome::Done, Some(value))),
        Ok(SqlResult::SuccessWithInfo(value)) => Ok((Outcome::Noted, Some(value))),
        Ok(SqlResult::NoData) => Ok((Outcome::NoData, None)),
        Ok(SqlResult::NeedData) => Err(odd("SQL_NEED_DATA")),
        Ok(SqlResult::StillExecuting) => Err(odd("SQL_STILL_EXECUTING")),
        Ok(SqlResult::Error { .. }) => Err(OdbcError { function, records: diagnostics(handle) }),
        Err(mut error) => {
            error.records.splice(0..0, diagnostics(handle));
            Err(error)
        }
    }
}

/// As [`checked`], of a call that returns something.
///
/// # Errors
/// Everything but success.
pub(super) fn value<T>(answer: Result<SqlResult<T>, OdbcError>, function: &'static str, handle: &impl AnyHandle) -> Result<T, OdbcError> {
    let (_, value) = checked(answer, function, handle)?;
    value.ok_or_else(|| OdbcError::own(function, amiss(function, "SQL_NO_DATA")))
}

/// Returns how a call went that odbc-api doesn't make.
pub(super) fn told(code: SqlReturn, function: &'static str) -> SqlResult<()> {
    match code {
        SqlReturn::SUCCESS => SqlResult::Success(()),
        SqlReturn::SUCCESS_WITH_INFO => SqlResult::SuccessWithInfo(()),
        _ => SqlResult::Error { function },
    }
}

/// Returns the records of the last call with a handle.
fn diagnostics(handle: &impl AnyHandle) -> Vec<Diagnostic> {
    records(handle).take(RECORDS_MAX).collect()
}

/// Returns those records of the last call with a handle that are no notes: a class of SQLSTATE other than 00 and 01.
pub(super) fn errors(handle: &impl AnyHandle) -> Vec<Diagnostic> {
    let is_error = |record: &Diagnostic| !record.state.starts_with("00") && !record.state.starts_with("01");
    records(handle).filter(is_error).take(RECORDS_MAX).collect()
}

fn records(handle: &impl AnyHandle) -> impl Iterator<Item = Diagnostic> {
    let mut text = vec![0_u16; MESSAGE_UNITS_MAX];
    (1..=i16::MAX).map_while(move |number| {
        let record = guarded("SQLGetDiagRec", || handle.diagnostic_record(number, &mut text)).ok()??;
        let state = String::from_utf8_lossy(&record.state.0).trim_end_matches('\0').to_owned();
        // Drivers tell lengths in bytes, or of what there was no room for: the end mark holds.
        Some(Diagnostic { state, native: record.native_error, message: until_nul(&text) })
    })
}

/// Returns a text up to its end mark.
pub(super) fn until_nul(text: &[u16]) -> String {
    let end = text.iter().position(|unit| *unit == 0).unwrap_or(text.len());
    String::from_utf16_lossy(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_says_what_the_driver_did() {
        let error = guarded("SQLFetch", || -> SqlResult<()> { panic!("Unexpected return value '-7'") }).unwrap_err();
        assert_eq!(error.function, "SQLFetch");
        assert_eq!(error.records[0].message, "the driver answers SQLFetch with what it may not: Unexpected return value '-7'");
        assert!(!IS_GUARDED.get());
    }
}
