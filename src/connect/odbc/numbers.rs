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

/// SQL Server's number of every login that fails, which another one explains at times.
pub(super) const LOGIN_FAILED: i32 = 18456;

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
const BUSY: Kind = Kind::new("unreachable", Some("the server is short of something now: run it later, or at other times"), true);
const CUT: Kind = Kind::new("disconnected", None, true);

/// "Transactions with Memory-Optimized Tables", Microsoft Learn.
const MEMORY_OPTIMIZED: Kind = Kind::new(
    "database",
    Some(
        "memory-optimized tables can't be read in a snapshot of other tables: read a copy in an ordinary table, or ALTER DATABASE ... SET \
         ALLOW_SNAPSHOT_ISOLATION OFF and MEMORY_OPTIMIZED_ELEVATE_TO_SNAPSHOT ON",
    ),
    false,
);

const NO_SERVICE: Kind = Kind::new("not_found", Some("check host and service of the connection: the name is not known"), false);

/// SQL Server ("Database Engine events and errors", Microsoft Learn).
const SQLSERVER: &[(i32, Kind)] = &[
    (102, SYNTAX),
    (
        156,
        Kind::new(
            "invalid_sql",
            Some("check custom_sql, or where; a query that begins with WITH can't be read as a subquery: make it a view"),
            false,
        ),
    ),
    (207, NO_COLUMN),
    (208, NO_TABLE),
    (195, SYNTAX),
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
    (LOGIN_FAILED, LOGIN),
    (18452, LOGIN),
    (18487, LOGIN),
    (18488, LOGIN),
    (18461, Kind::new("unreachable", Some("the server is in single-user mode"), true)),
    (18470, Kind::new("login_failed", Some("the login is disabled: ALTER LOGIN ... ENABLE"), false)),
    (18486, Kind::new("login_failed", Some("the login is locked: ALTER LOGIN ... UNLOCK"), false)),
    (40615, Kind::new("permission_denied", Some("the server's firewall doesn't let this address in"), false)),
    // Azure SQL: "Resource limits", "Troubleshoot transient connection errors".
    (10928, BUSY),
    (10929, BUSY),
    (40197, DOWN),
    (40501, BUSY),
    (40613, DOWN),
    (40540, DOWN),
    (40143, DOWN),
    (4221, DOWN),
    (49918, BUSY),
    (49919, BUSY),
    (49920, BUSY),
    // Memory, locks, worker threads.
    (701, BUSY),
    (1204, BUSY),
    (8645, BUSY),
    (8651, BUSY),
    // Snapshots: not in a database that is read too, or an old version is gone.
    (
        3952,
        Kind::new(
            "database",
            Some("a database that is read doesn't allow snapshots: ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON for that one too"),
            false,
        ),
    ),
    (3958, CONFLICT),
    (3966, CONFLICT),
    (41332, MEMORY_OPTIMIZED),
    (41368, MEMORY_OPTIMIZED),
    // Availability groups: a secondary that isn't there, or takes none.
    (976, DOWN),
    (978, DOWN),
    (983, DOWN),
    (927, DOWN),
    (6005, DOWN),
    (17142, DOWN),
    (17187, DOWN),
    (17188, DOWN),
    (17197, DOWN),
    (300, DENIED),
    (297, DENIED),
    (
        1033,
        Kind::new("invalid_sql", Some("a custom_sql with ORDER BY needs TOP or OFFSET; the order is of no use here: leave it out"), false),
    ),
    (8155, Kind::new("invalid_sql", Some("give every column of custom_sql a name with AS"), false)),
    // FreeTDS's own ("dblib.h"): no answer, a read or a write that failed, no server, an end.
    (20003, CUT),
    (20004, CUT),
    (20006, CUT),
    (20009, Kind::new("unreachable", Some("check host and port of the connection, and whether the server runs"), true)),
    (20017, CUT),
    (20047, CUT),
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
    (1012, CUT),
    (1045, Kind::new("permission_denied", Some("GRANT CREATE SESSION TO the account"), false)),
    (1092, CUT),
    (1035, DOWN),
    (1090, DOWN),
    (4031, BUSY),
    (8103, CONFLICT),
    (12154, NO_SERVICE),
    (12162, NO_SERVICE),
    (12505, NO_SERVICE),
    (12516, BUSY),
    (12518, BUSY),
    (12519, BUSY),
    (12520, BUSY),
    (12526, DOWN),
    (12528, DOWN),
    (12543, DOWN),
    (12571, CUT),
    (25408, CUT),
    (28040, Kind::new("login_failed", Some("client and server share no way of logging in: use a newer Instant Client"), false)),
    (30006, LOCKED),
    (12170, DOWN),
    (12514, Kind::new("unreachable", Some("check service of the connection: the listener doesn't know it"), true)),
    (12537, CUT),
    (12541, DOWN),
    (12545, DOWN),
    (28000, Kind::new("login_failed", Some("the account is locked"), false)),
    (28001, Kind::new("login_failed", Some("the password has expired: set a new one"), false)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_stands_twice() {
        for table in [SQLSERVER, ORACLE] {
            let mut numbers: Vec<i32> = table.iter().map(|(number, _)| *number).collect();
            numbers.sort_unstable();
            assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{numbers:?}");
        }
    }
}
