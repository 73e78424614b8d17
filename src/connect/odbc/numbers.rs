//! The servers' own numbers of errors, and what they mean. Data.

use super::failure::Kind;
use crate::plan::odbc::Engine;

/// Returns what an engine's number means; `None` where only its SQLSTATE tells.
pub(super) fn kind(engine: Engine, number: i32) -> Option<Kind> {
    let table = match engine {
        Engine::SqlServer => SQLSERVER,
        Engine::Oracle => ORACLE,
        Engine::Other => return None,
    };
    table.iter().find(|(known, _)| *known == number).map(|(_, kind)| *kind)
}

const LOGIN: Kind = Kind::new("login_failed", Some("check user and password of the connection"), false);
const NO_DATABASE: Kind = Kind::new("not_found", Some("check database of the connection, and that the login may use it"), false);
const NO_TABLE: Kind = Kind::new("not_found", None, false);
const NO_COLUMN: Kind = Kind::new("unknown_column", Some("check the names of columns in custom_sql, or in where"), false);
const DENIED: Kind = Kind::new("permission_denied", Some("grant the login what it needs: SELECT on what it reads"), false);
const SYNTAX: Kind = Kind::new("invalid_sql", Some("check custom_sql, or where"), false);
const CONFLICT: Kind = Kind::new("conflict", None, true);
const LOCKED: Kind = Kind::new("locked", Some("another session holds a lock on it"), true);
const DATA: Kind = Kind::new("invalid_data", None, false);
const DOWN: Kind = Kind::new("unreachable", Some("the server takes no connections now"), true);
const CUT: Kind = Kind::new("disconnected", None, true);

/// SQL Server ("Database Engine events and errors", Microsoft Learn).
const SQLSERVER: &[(i32, Kind)] = &[
    (102, SYNTAX),
    (156, SYNTAX),
    (207, NO_COLUMN),
    (208, NO_TABLE),
    (229, DENIED),
    (230, DENIED),
    (245, DATA),
    (262, DENIED),
    (911, NO_DATABASE),
    (916, NO_DATABASE),
    (1205, CONFLICT),
    (1222, LOCKED),
    (3960, CONFLICT),
    (3961, CONFLICT),
    (4060, NO_DATABASE),
    (8115, DATA),
    (18456, LOGIN),
    (18452, LOGIN),
    (18487, LOGIN),
    (18488, LOGIN),
    (40197, DOWN),
    (40501, DOWN),
    (40613, DOWN),
    (6005, DOWN),
    (233, CUT),
    (596, CUT),
    (10053, CUT),
    (10054, CUT),
];

/// Oracle ("Database Error Messages", ORA-).
const ORACLE: &[(i32, Kind)] = &[
    (54, LOCKED),
    (60, CONFLICT),
    (900, SYNTAX),
    (904, NO_COLUMN),
    (911, SYNTAX),
    (923, SYNTAX),
    (933, SYNTAX),
    (942, NO_TABLE),
    (1005, LOGIN),
    (1017, LOGIN),
    (1031, DENIED),
    (1033, DOWN),
    (1034, DOWN),
    (1089, DOWN),
    (1555, Kind::new("conflict", Some("the snapshot was too old: read less at once, or raise UNDO_RETENTION"), true)),
    (1722, DATA),
    (3113, CUT),
    (3114, CUT),
    (3135, CUT),
    (8177, CONFLICT),
    (12154, DOWN),
    (12170, DOWN),
    (12514, Kind::new("unreachable", Some("check service of the connection: the listener doesn't know it"), true)),
    (12537, CUT),
    (12541, DOWN),
    (12545, DOWN),
    (28000, Kind::new("login_failed", Some("the account is locked"), false)),
    (28001, Kind::new("login_failed", Some("the password has expired: set a new one"), false)),
];
