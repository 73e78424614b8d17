//! What drivers and servers report, as errors that say what to do. By the server's own number where its engine is known, since SQLSTATEs differ
//! between drivers (a deadlock is 40001 in one and 42000 in the other); else by SQLSTATE. Pure.

use super::call::{Diagnostic, OdbcError};
use super::numbers;
use crate::connect::ConnectError;
use crate::plan::odbc::Engine;
use crate::secret::Masker;
use crate::text;

/// What an error is: its code, what to do, whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub code: &'static str,
    pub hint: Option<&'static str>,
    pub is_transient: bool,
}

impl Kind {
    pub(super) const fn new(code: &'static str, hint: Option<&'static str>, is_transient: bool) -> Self {
        Self { code, hint, is_transient }
    }
}

const LOGIN_FAILED: Kind = Kind::new("login_failed", Some("check user and password of the connection"), false);

const ENDED: &str = "the connection ended before the answer was complete: run it again";

/// Makes an error of what a call reports. `what` was attempted, and on what.
pub(super) fn failure(engine: Engine, what: &str, error: &OdbcError, masker: &Masker) -> ConnectError {
    let kind = kind(engine, error);
    let mut told = Vec::new();
    for record in &error.records {
        let message = bare(&record.message);
        let number = if record.native == 0 { String::new() } else { format!(", {}", record.native) };
        let line = if message.is_empty() { record.state.clone() } else { format!("{message} ({}{number})", record.state) };
        if !told.contains(&line) {
            told.push(line);
        }
    }
    if told.is_empty() {
        told.push(format!("{} failed, and the driver doesn't say why", error.function));
    }
    let message = masker.mask(&format!("{what}: {}", text::shortened(&told.join("; "), 1000)));
    ConnectError {
        code: kind.code,
        message: text::printable(&message).into_owned(),
        hint: kind.hint.map(str::to_owned),
        is_transient: kind.is_transient,
        retry_after: None,
    }
}

/// Returns a message without the names of the parts that it came through: `[vendor][driver][server]`.
fn bare(message: &str) -> &str {
    let mut rest = message.trim();
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        rest = after.trim_start();
    }
    rest
}

/// Decides what an error is.
fn kind(engine: Engine, error: &OdbcError) -> Kind {
    // A login to a database that isn't there fails with both numbers, that of the login first.
    let numbered = || error.records.iter().filter_map(|record| Some((record.native, numbers::kind(engine, record.native)?)));
    let own = numbered().find(|(number, _)| *number != numbers::LOGIN_FAILED).or_else(|| numbered().next()).map(|(_, kind)| kind);
    own.or_else(|| error.records.iter().find_map(|record| by_state(error, record))).unwrap_or(Kind::new("database", None, false))
}

fn by_state(error: &OdbcError, record: &Diagnostic) -> Option<Kind> {
    let is_connecting = error.function == "SQLDriverConnect";
    let kind = match record.state.as_str() {
        "IM002" | "IM003" | "IM004" | "IM005" => {
            Kind::new("no_driver", Some("check driver or dsn of the connection: odbcinst -q -d, odbcinst -q -s"), false)
        }
        "01000" if record.message.contains("Can't open lib") => {
            Kind::new("no_driver", Some("the driver's file, or a library that it needs, is missing: ldd shows which"), false)
        }
        "28000" => LOGIN_FAILED,
        // PostgreSQL's driver has one SQLSTATE for all that keeps it from connecting.
        "08001" if record.message.contains("authentication failed") => LOGIN_FAILED,
        "08001" if is_connecting && ["certificate", "SSL Provider"].iter().any(|word| record.message.contains(word)) => {
            Kind::new("tls", Some("have the server's certificate trusted by this machine, or set trust_server_certificate: true"), false)
        }
        "HYT00" | "HYT01" | "08001" | "08004" if is_connecting => {
            Kind::new("unreachable", Some("check host and port of the connection, and whether the server runs"), true)
        }
        state if state.starts_with("08") => Kind::new("disconnected", Some(ENDED), true),
        // A note that is the only word on a failed call: FreeTDS tells so of a cut connection.
        "01000" if is_connecting => Kind::new("unreachable", Some("check host and port of the connection"), true),
        "01000" => Kind::new("disconnected", Some(ENDED), true),
        // All that FreeTDS says where the connection is reset amid rows that it reads: whatever a server says has a number.
        "HY000" if record.native == 0 && record.message.trim_end().ends_with("]Unknown error") => {
            Kind::new("disconnected", Some(ENDED), true)
        }
        "HYT00" | "HYT01" => Kind::new("unreachable", None, true),
        "57P01" | "57P02" | "57P03" => Kind::new("disconnected", None, true),
        state if state.starts_with("40") => Kind::new("conflict", None, true),
        "55P03" => Kind::new("locked", Some("another session holds a lock on it"), true),
        "HY008" | "57014" => Kind::new("statement_cancelled", None, false),
        "42S02" | "42P01" | "3F000" | "3D000" => Kind::new("not_found", None, false),
        "07001" | "07002" => Kind::new(
            "invalid_sql",
            Some("write values into custom_sql or where: a ? is none of :last_sync, :lower_bound, :slot and :run_started"),
            false,
        ),
        "42S22" | "42703" => Kind::new("unknown_column", Some("check the names of columns in custom_sql, or in where"), false),
        "42501" => Kind::new("permission_denied", Some("grant the login what it needs: SELECT on what it reads"), false),
        "42601" | "42000" | "37000" => Kind::new("invalid_sql", Some("check custom_sql, or where, and that the login may read it"), false),
        state if state.starts_with("22") || state.starts_with("23") => Kind::new("invalid_data", None, false),
        _ => return None,
    };
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(engine: Engine, function: &'static str, state: &str, native: i32, expected: (&str, bool)) {
        let record = Diagnostic { state: state.to_owned(), native, message: "[a][b c]it says so".to_owned() };
        let error = OdbcError { function, records: vec![record] };
        let made = failure(engine, "read source x on db", &error, &Masker::new([]));
        assert_eq!((made.code, made.is_transient), expected);
        assert!(made.message.starts_with("read source x on db: it says so ("), "{}", made.message);
    }

    #[test]
    fn errors_are_told_apart() {
        check(Engine::Other, "SQLFetch", "08S01", 0, ("disconnected", true));
        check(Engine::Other, "SQLFetch", "01000", 0, ("disconnected", true));
        check(Engine::Other, "SQLDriverConnect", "08001", 0, ("unreachable", true));
        check(Engine::Other, "SQLExecute", "42S02", 0, ("not_found", false));
        check(Engine::Other, "SQLFetch", "57014", 0, ("statement_cancelled", false));
        check(Engine::Other, "SQLExecute", "HY000", 0, ("database", false));
        check(Engine::SqlServer, "SQLFetch", "42000", 1205, ("conflict", true));
        check(Engine::SqlServer, "SQLExecute", "42000", 41332, ("database", false));
        check(Engine::Oracle, "SQLDriverConnect", "28000", 1017, ("login_failed", false));
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_no_server_that_is_away() {
        let message = "[Microsoft][ODBC Driver 18 for SQL Server]SSL Provider: [error:0A000086:certificate verify failed]".to_owned();
        let error =
            OdbcError { function: "SQLDriverConnect", records: vec![Diagnostic { state: "08001".to_owned(), native: -1, message }] };
        let made = failure(Engine::SqlServer, "connect to db1/erp", &error, &Masker::new([]));
        assert_eq!((made.code, made.is_transient), ("tls", false));
        assert!(made.hint.unwrap_or_default().contains("trust_server_certificate"));
    }

    #[test]
    fn what_freetds_does_not_know_is_a_connection_that_broke() {
        let message = "[FreeTDS][SQL Server]Unknown error".to_owned();
        let error = OdbcError { function: "SQLFetch", records: vec![Diagnostic { state: "HY000".to_owned(), native: 0, message }] };
        let made = failure(Engine::SqlServer, "read source x on db1/erp", &error, &Masker::new([]));
        assert_eq!((made.code, made.is_transient), ("disconnected", true));
    }

    #[test]
    fn secrets_never_show() {
        let record = Diagnostic { state: "HY000".to_owned(), native: 0, message: "PWD=hunter22 is wrong".to_owned() };
        let error = OdbcError { function: "SQLDriverConnect", records: vec![record] };
        let made = failure(Engine::Other, "connect", &error, &Masker::new(["hunter22".to_owned()]));
        assert_eq!(made.message, "connect: PWD=*** is wrong (HY000)");
    }
}
