//! Windows of an incremental source: `run JOB --since S --until U`, the cursor beside them, columns of every type that has an order.

use crate::etl::{Ended, Etl};
use crate::postgres_source::{own_database, workspace};
use crate::servers::{postgresql, psql};

const KEYLESS: &str = "    etl_config: {mode: incremental, timestamp_column: at}\n";

/// Ten days of January 2026 at noon, one row each.
const DAYS: &str = "CREATE TABLE t (id int, at timestamptz, word text);
    INSERT INTO t SELECT g, timestamptz '2026-01-01 12:00Z' + (g - 1) * interval '1 day', 'old' FROM generate_series(1, 10) AS g;";

#[track_caller]
fn run(etl: &Etl, arguments: &[&str]) -> Ended {
    etl.run(&[&["run", "load"], arguments].concat())
}

fn cursor(etl: &Etl) -> String {
    let state = etl.run(&["state", "show", "load", "-o", "json"]).exits(0).json();
    state["cursors"][0]["cursor"]["text"].as_str().unwrap_or("-").to_owned()
}

fn rows(etl: &Etl) -> Vec<String> {
    etl.warehouse().rows("SELECT id, word FROM t ORDER BY id, word")
}

fn table(changed: &[(usize, &str)]) -> Vec<String> {
    (1..=10).map(|id| format!("{id}|{}", changed.iter().find(|(place, _)| *place == id).map_or("old", |(_, word)| word))).collect()
}

#[test]
fn without_a_key_exactly_the_rows_of_the_window_are_replaced() {
    let (database, etl) = own_database(DAYS, KEYLESS);
    run(&etl, &[]).exits(0);
    let before = cursor(&etl);
    assert_eq!(before, "2026-01-10T12:00:00Z");
    psql(
        postgresql(),
        &database,
        "UPDATE t SET word = 'new'; DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (6, '2026-01-06 12:00Z', 'twice')",
    );
    let tried = run(&etl, &["--since", "2026-01-04", "--until", "2026-01-07", "--dry-run", "-o", "json"]).exits(0).json();
    let counts = |result: &serde_json::Value| {
        let source = &result["runs"][0]["sources"][0];
        ["processed", "added", "deleted"].map(|name| source[format!("records_{name}")].as_u64().unwrap_or(99))
    };
    assert_eq!(counts(&tried), [3, 3, 3], "{tried:#}");
    assert_eq!(rows(&etl), table(&[]), "a dry run writes nothing");
    let result = run(&etl, &["--since", "2026-01-04", "--until", "2026-01-07", "-o", "json"]).exits(0).json();
    assert_eq!(counts(&result), [3, 3, 3], "{result:#}");
    let mut expected = table(&[(4, "new"), (6, "new")]);
    expected.retain(|row| row != "5|old");
    expected.insert(5, "6|twice".to_owned());
    assert_eq!(rows(&etl), expected);
    assert_eq!(cursor(&etl), before);
    etl.run(&["logs", "--run", "last"]).exits(0).mentions("--since 2026-01-04 --until 2026-01-07");
    // The last instant of the window is outside, the first one inside.
    run(&etl, &["--since", "2026-01-08T12:00:00Z", "--until", "2026-01-09T12:00:00Z"]).exits(0);
    expected[7] = "8|new".to_owned();
    assert_eq!(rows(&etl), expected);
}

#[test]
fn one_end_alone_is_a_window_too() {
    let (database, etl) = own_database(DAYS, KEYLESS);
    run(&etl, &[]).exits(0);
    psql(postgresql(), &database, "UPDATE t SET word = 'new'");
    run(&etl, &["--until", "2026-01-03"]).exits(0);
    assert_eq!(rows(&etl), table(&[(1, "new"), (2, "new")]));
    run(&etl, &["--since", "2026-01-10T12:00:00Z"]).exits(0);
    assert_eq!(rows(&etl), table(&[(1, "new"), (2, "new"), (10, "new")]));
}

#[test]
fn with_a_key_the_rows_of_the_window_are_merged() {
    let (database, etl) = own_database(&format!("{DAYS} ALTER TABLE t ADD PRIMARY KEY (id)"), KEYLESS);
    run(&etl, &[]).exits(0);
    psql(postgresql(), &database, "UPDATE t SET word = 'new'; DELETE FROM t WHERE id = 5");
    run(&etl, &["--since", "2026-01-04", "--until", "2026-01-07"]).exits(0);
    assert_eq!(rows(&etl), table(&[(4, "new"), (6, "new")]), "a row that is gone at the source stays");
}

#[test]
fn the_cursor_only_grows_and_never_past_what_was_not_read() {
    let (database, etl) = own_database(DAYS, KEYLESS);
    run(&etl, &[]).exits(0);
    let add = |day: u32| {
        psql(postgresql(), &database, &format!("INSERT INTO t VALUES ({day}, '2026-01-{day} 12:00Z', 'old')"));
    };
    add(12);
    add(20);
    run(&etl, &["--since", "2026-01-20", "--until", "2026-01-21"]).exits(0);
    assert_eq!(cursor(&etl), "2026-01-10T12:00:00Z", "day 12 was not read");
    run(&etl, &[]).exits(0);
    let ids = || etl.warehouse().rows("SELECT id FROM t WHERE id > 9 ORDER BY id").join(" ");
    assert_eq!((cursor(&etl).as_str(), ids().as_str()), ("2026-01-20T12:00:00Z", "10 12 20"));
    add(21);
    run(&etl, &["--since", "2026-01-15"]).exits(0);
    assert_eq!((cursor(&etl).as_str(), ids().as_str()), ("2026-01-21T12:00:00Z", "10 12 20 21"), "everything up to it was read");
}

#[test]
fn a_first_load_by_windows_leaves_the_rest_to_the_next_run() {
    let (_, etl) = own_database(DAYS, KEYLESS);
    for (since, until) in [("2026-01-01", "2026-01-03"), ("2026-01-02", "2026-01-04"), ("2026-01-09", "2026-01-10")] {
        run(&etl, &["--since", since, "--until", until]).exits(0);
    }
    assert_eq!(rows(&etl), ["1|old", "2|old", "3|old", "9|old"]);
    assert_eq!(cursor(&etl), "-");
    run(&etl, &[]).exits(0);
    assert_eq!(rows(&etl), table(&[]));
    assert_eq!(cursor(&etl), "2026-01-10T12:00:00Z");
}

#[test]
fn a_query_that_names_its_bound_gives_no_row_beyond_the_window() {
    let (database, _) = own_database(DAYS, KEYLESS);
    // It asks for more than its bound says.
    let sql = "SELECT * FROM t WHERE at > :last_sync - interval '3 days' AND at < :run_started";
    let etl = workspace(postgresql(), "", &format!("    custom_sql: \"{sql}\"\n    name: s\n{KEYLESS}"));
    crate::postgres_source::change_settings(&etl, "database: etl", &format!("database: {database}"));
    run(&etl, &[]).exits(0);
    run(&etl, &[]).exits(0);
    assert_eq!(rows(&etl), table(&[]), "no row stands there twice");
    psql(postgresql(), &database, "UPDATE t SET word = 'new'");
    run(&etl, &["--since", "2026-01-05", "--until", "2026-01-06"]).exits(0);
    assert_eq!(rows(&etl), table(&[(5, "new")]));
}

#[test]
fn local_times_are_those_of_the_jobs_zone() {
    let (database, etl) = own_database(DAYS, KEYLESS);
    let job = std::fs::read_to_string(etl.path("jobs/load.yaml")).expect("the job");
    etl.write("jobs/load.yaml", format!("timezone: Europe/Berlin\n{job}"));
    run(&etl, &[]).exits(0);
    psql(postgresql(), &database, "UPDATE t SET word = 'new'");
    // Noon of UTC is 13:00 there.
    run(&etl, &["--since", "2026-01-02T13:00", "--until", "2026-01-03T13:00"]).exits(0);
    assert_eq!(rows(&etl), table(&[(2, "new")]));
    run(&etl, &["--since", "2026-10-25T02:30"]).exits(1).mentions("this time comes twice in Europe/Berlin");
}

#[test]
fn what_is_no_window_is_refused_before_anything_is_read() {
    let (_, etl) = own_database(DAYS, KEYLESS);
    let refused = |arguments: &[&str], text: &str| {
        run(&etl, arguments).exits(2).mentions(text);
    };
    refused(&["--since", "2026-01-02", "--until", "2026-01-01"], "is not before --until 2026-01-01");
    refused(&["--since", "2026-01-02", "--until", "2026-01-02"], "there is nothing between them");
    refused(&["--since", "yesterday"], "is no date, time or number");
    refused(&["--since", "2026-01-02", "--full-refresh"], "cannot be used with");
    refused(&["--until", "2026-01-02", "--scheduled"], "cannot be used with");
    run(&etl, &["--since", "17"]).exits(1).mentions("this is a number");
    assert_eq!(etl.state().value("SELECT count(*) FROM runs"), "1", "the others never began");
    let job = std::fs::read_to_string(etl.path("jobs/load.yaml")).expect("the job");
    etl.write("jobs/load.yaml", job.replace("mode: incremental", "mode: full"));
    refused(&["--since", "2026-01-02"], "source t is loaded in full each time");
    etl.write(
        "jobs/load.yaml",
        job.replace(", timestamp_column: at", "").replace("    table: t\n", "    table: t\n    primary_key: [id]\n"),
    );
    refused(&["--since", "2026-01-02"], "source t has no timestamp_column");
    etl.write("people.csv", "id,at\n1,2026-01-01\n");
    etl.write("jobs/load.yaml", "data_sources:\n  - path: people.csv\n    etl_config: {mode: incremental, timestamp_column: at}\n");
    refused(&["--since", "2026-01-02"], "source people reads files");
}

#[test]
fn a_cursor_of_every_type_keeps_its_precision() {
    // Type, three values that grow, the cursor after the first two, the window of the second alone.
    let cases = [
        ("smallint", ["-32768", "-1", "32767"], "-1", ["-1", "0"]),
        ("int", ["-2147483648", "5", "2147483647"], "5", ["5", "6"]),
        (
            "bigint",
            ["-9223372036854775808", "9007199254740993", "9223372036854775807"],
            "9007199254740993",
            ["9007199254740993", "9007199254740994"],
        ),
        ("numeric(12,4)", ["-1.5000", "-0.0001", "7"], "-0.0001", ["-0.0001", "0"]),
        (
            "numeric(38,0)",
            ["-99999999999999999999999999999999999999", "99999999999999999999999999999999999998", "99999999999999999999999999999999999999"],
            "99999999999999999999999999999999999998",
            ["99999999999999999999999999999999999998", "99999999999999999999999999999999999999"],
        ),
        ("date", ["1969-12-31", "2026-01-01", "2026-01-02"], "2026-01-01", ["2026-01-01", "2026-01-02"]),
        (
            "timestamp",
            ["1969-12-31T23:59:59.999999", "2026-03-29T02:30:00.000001", "2026-03-29T02:30:00.000002"],
            "2026-03-29T02:30:00.000001",
            ["2026-03-29T02:30:00.000001", "2026-03-29T02:30:00.000002"],
        ),
        (
            "timestamptz",
            ["1969-12-31T23:59:59.999999Z", "2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000002Z"],
            "2026-01-01T00:00:00.000001Z",
            ["2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000002Z"],
        ),
    ];
    for (type_name, [first, second, third], expected, [since, until]) in cases {
        let setup = format!(
            "CREATE TABLE t (id int, at {type_name}, word text); INSERT INTO t VALUES (1, '{first}', 'old'), (2, '{second}', 'old')"
        );
        let (database, etl) = own_database(&setup, KEYLESS);
        run(&etl, &[]).exits(0);
        assert_eq!(cursor(&etl), expected, "{type_name}");
        psql(postgresql(), &database, &format!("INSERT INTO t VALUES (3, '{third}', 'old'), (4, '{second}', 'equal')"));
        let result = run(&etl, &["-o", "json"]).exits(0).json();
        assert_eq!(result["runs"][0]["records_processed"], 3, "{type_name}: the equal ones and the new one");
        assert_eq!(rows(&etl), ["1|old", "2|old", "3|old", "4|equal"], "{type_name}");
        psql(postgresql(), &database, "UPDATE t SET word = 'new'");
        run(&etl, &["--since", since, "--until", until]).exits(0);
        assert_eq!(rows(&etl), ["1|old", "2|new", "3|old", "4|new"], "{type_name}");
    }
}

#[test]
fn a_cursor_is_understood_after_its_column_was_widened() {
    for (narrow, wide, first, second) in [
        ("int", "bigint", "5", "3000000000"),
        ("date", "timestamp", "2026-01-01", "2026-01-01T06:00:00"),
        ("numeric(6,2)", "numeric(9,4)", "-1.5", "-1.4999"),
    ] {
        let (database, etl) =
            own_database(&format!("CREATE TABLE t (id int, at {narrow}, word text); INSERT INTO t VALUES (1, '{first}', 'a')"), KEYLESS);
        run(&etl, &[]).exits(0);
        psql(postgresql(), &database, &format!("ALTER TABLE t ALTER COLUMN at TYPE {wide}; INSERT INTO t VALUES (2, '{second}', 'b')"));
        for _ in 0..2 {
            run(&etl, &[]).exits(0);
            assert_eq!(rows(&etl), ["1|a", "2|b"], "{narrow} to {wide}");
        }
        // And it goes no further back than it was.
        psql(postgresql(), &database, &format!("ALTER TABLE t ALTER COLUMN at TYPE {narrow} USING '{first}'::{narrow}"));
        let before = cursor(&etl);
        run(&etl, &[]).exits(0);
        assert_eq!(cursor(&etl), before, "{narrow} to {wide} and back");
    }
}

#[test]
fn a_renamed_cursor_goes_by_both_names_and_one_that_is_not_loaded_is_refused() {
    for name in ["at", "seen"] {
        let keys = format!("    columns: {{rename: {{at: seen}}}}\n    etl_config: {{mode: incremental, timestamp_column: {name}}}\n");
        let (database, etl) = own_database(DAYS, &keys);
        run(&etl, &[]).exits(0);
        psql(postgresql(), &database, "UPDATE t SET word = 'new'");
        run(&etl, &[]).exits(0);
        assert_eq!(rows(&etl), table(&[(10, "new")]), "{name}");
        run(&etl, &["--since", "2026-01-02", "--until", "2026-01-03"]).exits(0);
        assert_eq!(rows(&etl), table(&[(2, "new"), (10, "new")]), "{name}");
    }
    for (rule, text) in
        [("exclude: [at]", "is not among the columns that are loaded"), ("hash: [at]", "is hashed, and hashes have no order")]
    {
        let (_, etl) = own_database(DAYS, &format!("    columns: {{{rule}}}\n{KEYLESS}"));
        let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
        etl.write("etlsched.yaml", format!("hash_key: secret\n{settings}"));
        run(&etl, &[]).exits(1).mentions(text);
    }
}

#[test]
fn a_text_that_is_declared_a_time_is_a_cursor() {
    let setup = "CREATE TABLE t (id int, at text, word text); INSERT INTO t VALUES (1, '2026-01-01T00:00:00', 'a'), (2, '2026-01-02T00:00:00', 'b')";
    let (database, etl) = own_database(setup, &format!("    columns: {{types: {{at: timestamp}}}}\n{KEYLESS}"));
    run(&etl, &[]).exits(0);
    assert_eq!(cursor(&etl), "2026-01-02T00:00:00");
    psql(postgresql(), &database, "INSERT INTO t VALUES (3, '2026-01-03T00:00:00', 'c'); UPDATE t SET word = 'x' WHERE id = 1");
    run(&etl, &[]).exits(0);
    assert_eq!(rows(&etl), ["1|a", "2|b", "3|c"]);
}

#[test]
fn a_value_later_than_the_servers_clock_never_is_the_cursor() {
    for type_name in ["timestamptz", "timestamp", "date"] {
        let setup = format!(
            "CREATE TABLE t (id int, at {type_name}, word text); INSERT INTO t VALUES (1, '2026-01-01', 'a'), (2, '2999-01-01', 'b')"
        );
        let (database, etl) = own_database(&setup, KEYLESS);
        let told = etl.run(&["run", "load", "-v"]).exits(0);
        assert!(told.stderr.contains("1 row later than the clock"), "{type_name}: {}", told.stderr);
        psql(postgresql(), &database, "INSERT INTO t VALUES (3, '2026-01-02', 'c')");
        run(&etl, &[]).exits(0);
        assert_eq!(rows(&etl), ["1|a", "2|b", "3|c"], "{type_name}");
        assert!(cursor(&etl).starts_with("2026-01-02"), "{type_name}: {}", cursor(&etl));
    }
}

#[test]
fn rows_without_a_value_are_counted_by_their_rule() {
    let setup = format!("{DAYS} INSERT INTO t VALUES (11, NULL, 'null')");
    for (rule, first, second) in [("", "11", "10 + 1 skipped"), (", null_cursor: include", "11", "11"), (", null_cursor: skip", "10", "10")]
    {
        let (_, etl) = own_database(&setup, &KEYLESS.replace("timestamp_column: at", &format!("timestamp_column: at{rule}")));
        for (number, expected) in [(1, first), (2, second)] {
            let result = run(&etl, &["-o", "json"]).exits(0).json();
            let source = &result["runs"][0]["sources"][0];
            assert_eq!(etl.warehouse().value("SELECT count(*) FROM t WHERE word = 'old'"), "10", "{rule} {number}");
            let is_there = etl.warehouse().value("SELECT count(*) FROM t WHERE word = 'null'");
            let wanted = if expected == "10" { "0" } else { "1" };
            assert_eq!(is_there, wanted, "{rule} {number}: {source}");
        }
        // A row without a value is in no window.
        run(&etl, &["--since", "2026-01-01"]).exits(0);
        assert_eq!(etl.warehouse().value("SELECT count(*) FROM t WHERE word = 'old'"), "10", "{rule}");
    }
    let (_, etl) = own_database(&setup, &KEYLESS.replace("timestamp_column: at", "timestamp_column: at, null_cursor: fail"));
    run(&etl, &[]).exits(1).mentions("has no value in the cursor column");
}

#[test]
fn a_lookback_reads_again_what_it_covers_and_no_more() {
    let (database, etl) = own_database(DAYS, &KEYLESS.replace("timestamp_column: at", "timestamp_column: at, lookback_minutes: 2880"));
    run(&etl, &[]).exits(0);
    psql(postgresql(), &database, "UPDATE t SET word = 'new'");
    run(&etl, &[]).exits(0);
    assert_eq!(rows(&etl), table(&[(8, "new"), (9, "new"), (10, "new")]));
    let setup =
        "CREATE TABLE t (id int, at smallint, word text); INSERT INTO t SELECT g, g - 32768, 'old' FROM generate_series(1, 10) AS g";
    let (database, etl) = own_database(setup, &KEYLESS.replace("timestamp_column: at", "timestamp_column: at, lookback_value: 2"));
    run(&etl, &[]).exits(0);
    psql(postgresql(), &database, "UPDATE t SET word = 'new'");
    run(&etl, &[]).exits(0);
    assert_eq!(rows(&etl), table(&[(8, "new"), (9, "new"), (10, "new")]));
    // Beyond the least value of the type there is nothing to look back to.
    let job = std::fs::read_to_string(etl.path("jobs/load.yaml")).expect("the job");
    etl.write("jobs/load.yaml", job.replace("lookback_value: 2", "lookback_value: 9000000000000000000"));
    run(&etl, &[]).exits(0);
    assert_eq!(rows(&etl), (1..=10).map(|id| format!("{id}|new")).collect::<Vec<_>>());
}

#[test]
fn a_sqlite_source_has_windows_of_numbers_and_of_declared_times() {
    let setup = "CREATE TABLE t (id INTEGER, at TEXT, price TEXT, word TEXT);
        INSERT INTO t SELECT value, strftime('%Y-%m-%d %H:%M:%S', '2026-01-01', '+' || (value - 1) || ' days'), value || '.50', 'old' FROM generate_series(1, 10);";
    let check = |keys: &str, window: [&str; 4], changed: &[(usize, &str)]| {
        let etl = Etl::new().file("etlsched.yaml", "connections:\n  shop: {type: sqlite, path: shop.db}\n");
        let etl = etl.file("jobs/load.yaml", format!("data_sources:\n  - connection: shop\n    target: t\n    table: t\n{keys}"));
        let shop = |sql: &str| {
            let done =
                std::process::Command::new("sqlite3").arg(etl.path("shop.db")).arg(sql).status().expect("sqlite3: apt-get install sqlite3");
            assert!(done.success(), "{sql}");
        };
        shop(setup);
        run(&etl, &[]).exits(0);
        shop("UPDATE t SET word = 'new'");
        run(&etl, &window).exits(0);
        assert_eq!(rows(&etl), table(changed), "{keys}");
        // The next run reads the last row again, and nothing else: SQLite's writers take turns, so nothing comes late.
        run(&etl, &[]).exits(0);
        assert_eq!(rows(&etl), table(&[changed, &[(10, "new")]].concat()), "{keys}");
    };
    let numbers = "    etl_config: {mode: incremental, timestamp_column: id}\n";
    check(numbers, ["--since", "3", "--until", "5"], &[(3, "new"), (4, "new")]);
    let times = "    columns: {types: {at: timestamp}}\n    etl_config: {mode: incremental, timestamp_column: at}\n";
    check(times, ["--since", "2026-01-03", "--until", "2026-01-04T00:00:01"], &[(3, "new"), (4, "new")]);
    // As texts '10.50' comes before '9.50'.
    let decimals = "    columns: {types: {price: \"decimal(10,2)\"}}\n    etl_config: {mode: incremental, timestamp_column: price}\n";
    check(decimals, ["--since", "8.5", "--until", "9.51"], &[(8, "new"), (9, "new")]);
}

#[test]
fn a_cursor_is_shown_and_forgotten_for_one_source() {
    let (database, etl) = own_database(DAYS, KEYLESS);
    run(&etl, &[]).exits(0);
    psql(postgresql(), &database, "UPDATE t SET word = 'new'");
    etl.run(&["state", "reset", "load", "--source", "t", "--yes"]).exits(0);
    assert_eq!(cursor(&etl), "-");
    run(&etl, &[]).exits(0);
    assert_eq!(rows(&etl), (1..=10).map(|id| format!("{id}|new")).collect::<Vec<_>>());
    assert_eq!(cursor(&etl), "2026-01-10T12:00:00Z");
    psql(postgresql(), &database, "UPDATE t SET word = 'newer'");
    run(&etl, &["--full-refresh"]).exits(0);
    assert_eq!(rows(&etl).len(), 10);
    assert_eq!(rows(&etl)[0], "1|newer");
}

#[test]
fn a_query_may_name_the_slot_for_which_it_runs() {
    let etl = Etl::new().file("etlsched.yaml", "connections:\n  shop: {type: sqlite, path: shop.db}\n");
    let job = "timezone: America/New_York\nhour: 6\ndata_sources:\n  - connection: shop\n    name: t\n    custom_sql: SELECT :slot AS slot, :run_started AS began\n";
    let etl = etl.file("jobs/load.yaml", job).file("shop.db", "");
    let at = |now: &str| {
        let status = etl.command(&["run", "load", "--scheduled"]).env("ETLSCHED_NOW", now).status().expect("the program starts");
        assert!(status.success());
    };
    at("2026-01-15T10:00:00Z");
    at("2026-01-15T11:02:30Z");
    // 6:00 there, whenever the run began.
    assert_eq!(etl.warehouse().value("SELECT slot FROM t"), "2026-01-15T11:00:00Z");
    run(&etl, &[]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT slot = began FROM t"), "1", "no slot started this run");
}

#[test]
fn a_full_refresh_of_a_source_that_was_set_back_misses_none_of_its_next_rows() {
    let setup = "CREATE TABLE t (id int, word text); INSERT INTO t SELECT g, 'old' FROM generate_series(1, 10) AS g";
    let (database, etl) = own_database(setup, "    etl_config: {mode: incremental, timestamp_column: id}\n");
    run(&etl, &[]).exits(0);
    assert_eq!(cursor(&etl), "10");
    let mut open = crate::servers::session(postgresql(), &database);
    psql(postgresql(), &database, "DELETE FROM t WHERE id > 5");
    // Nothing may be the cursor now, and the old one is that of rows which are no more.
    open.say("BEGIN; INSERT INTO t VALUES (6, 'old');");
    run(&etl, &["--full-refresh"]).exits(0);
    open.say("COMMIT;");
    drop(open);
    run(&etl, &[]).exits(0);
    assert_eq!(rows(&etl), (1..=6).map(|id| format!("{id}|old")).collect::<Vec<_>>());
    assert_eq!(cursor(&etl), "6");
}
