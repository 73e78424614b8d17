//! SQLite through libsqliteodbc, whose columns hold what they aren't declared to hold.

use super::*;

struct File {
    _folder: tempfile::TempDir,
    connection: OdbcConnection,
}

fn file(setup: &str) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch(setup).unwrap();
    let database = Some(path.display().to_string());
    File { _folder: folder, connection: OdbcConnection { database, ..through("SQLite3", "libsqlite3odbc.so", "libsqliteodbc") } }
}

#[test]
fn a_text_that_is_longer_than_it_was_declared_is_whole() {
    let file = file(
        "CREATE TABLE t (id integer PRIMARY KEY, v varchar(3), b blob, d double, n bigint); \
         INSERT INTO t VALUES (1, 'abc', x'00ff', 0.5, 9007199254740993), (2, 'abcdefghij', NULL, NULL, -1), (3, NULL, x'', 1e300, NULL), \
         (4, '😀😀😀😀😀', x'0a', -0.5, 4), (5, 'x', NULL, NULL, 5)",
    );
    let outcome = Case::new(file.connection.clone(), Some("t"), None).read().unwrap();
    assert_eq!(outcome.schema, "id integer, v text, b binary, d double, n bigint");
    assert_eq!(
        outcome.lines,
        [
            "1|abc|\\x00ff|0.5|9007199254740993",
            "2|abcdefghij|NULL|NULL|-1",
            "3|NULL|\\x|1e300|NULL",
            "4|😀😀😀😀😀|\\x0a|-0.5|4",
            "5|x|NULL|NULL|5"
        ]
    );
}

#[test]
fn a_table_that_is_not_there_is_told_with_its_neighbours() {
    let file = file("CREATE TABLE orders (id integer PRIMARY KEY)");
    let error = Case::new(file.connection.clone(), Some("ordrs"), None).open().map(|_| ()).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), ("not_found", Some("did you mean orders?")), "{error:?}");
}
