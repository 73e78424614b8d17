//! Oracle as a source: a counterpart of its driver, which answers what a test says and writes down what it is asked; the whole program; the
//! rows read back by SQLite's own SQL. Not tested against the vendor's server.

use crate::etl::{Ended, Etl};
use crate::servers::oracle::{ORACLE_PASSWORD, OracleDriver, oracle};

/// A workspace whose connection `erp` is a driver, and whose job `load` has one source.
fn workspace(driver: &OracleDriver, source: &str) -> Etl {
    let settings = "defaults: {max_retries: 0}\nconnections:\n  erp: {type: oracle, host: 127.0.0.1, service: ORCLPDB1, user: etl, password: \"${ERP_PASSWORD}\"}\n";
    let etl = Etl::new().env("ERP_PASSWORD", ORACLE_PASSWORD).env("ODBCSYSINI", &driver.folder.display().to_string());
    let etl = etl.file("etlsched.yaml", settings);
    etl.file("jobs/load.yaml", format!("schedule_type: manual\ndata_sources:\n  - connection: erp\n    target: t\n{source}"))
}

fn run(etl: &Etl) -> Ended {
    etl.run(&["run", "load"])
}

#[track_caller]
fn said(ended: &Ended) -> String {
    format!("{}{}", ended.stdout, ended.stderr)
}

/// A column: its type in the catalogue with precision and scale, what stands for it in the select list, what type that has there, a value as the
/// driver writes it, and what SQLite holds then, as its own `quote` writes it. Long ones come last, as they are read last.
struct Column(&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const MINIMAL: &str = "REGEXP_REPLACE(TO_CHAR(\"C\", 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,'''), '^(-?)\\.', '\\10.')";
const UTC6: &str = "LTRIM(TO_CHAR(SYS_EXTRACT_UTC(\"C\"), 'SYYYY-MM-DD\"T\"HH24:MI:SS.FF6\"Z\"'))";
const UTC9: &str = "LTRIM(TO_CHAR(SYS_EXTRACT_UTC(\"C\"), 'SYYYY-MM-DD\"T\"HH24:MI:SS.FF9\"Z\"'))";
const ANY: &str = "0.1234567890123456789012345678901234567";

#[rustfmt::skip]
const MATRIX: &[Column] = &[
    Column("NUMBER", "4", "0", "\"C\"", "NUMBER(4)", "-9999", "-9999"),
    Column("NUMBER", "10", "0", "\"C\"", "NUMBER(10)", "9999999999", "9999999999"),
    Column("NUMBER", "18", "0", "\"C\"", "NUMBER(18)", "-999999999999999999", "-999999999999999999"),
    Column("NUMBER", "19", "0", "\"C\"", "NUMBER(19)", "9223372036854775808", "'9223372036854775808'"),
    Column("NUMBER", "12", "2", "\"C\"", "NUMBER(12,2)", "12.5", "'12.50'"),
    Column("NUMBER", "12", "2", "\"C\"", "NUMBER(12,2)", "-.05", "'-0.05'"),
    Column("NUMBER", "38", "10", "\"C\"", "NUMBER(38,10)", "1234567890123456789012345678.1234567891", "'1234567890123456789012345678.1234567891'"),
    Column("NUMBER", "5", "-2", "\"C\"", "NUMBER(5,-2)", "9999900", "'9999900'"),
    Column("NUMBER", "2", "5", "\"C\"", "NUMBER(2,5)", ".00099", "'0.00099'"),
    Column("NUMBER", "", "", MINIMAL, "VARCHAR2(72)", ANY, "'0.1234567890123456789012345678901234567'"),
    Column("NUMBER", "", "", MINIMAL, "VARCHAR2(72)", "1E+125", "'1E+125'"),
    Column("FLOAT", "126", "", MINIMAL, "VARCHAR2(72)", "-1.5", "'-1.5'"),
    Column("BINARY_DOUBLE", "", "", "\"C\"", "BINARY_DOUBLE", "0.1", "0.1"),
    Column("BINARY_FLOAT", "", "", "\"C\"", "BINARY_FLOAT", "1.5", "1.5"),
    Column("DATE", "", "", "\"C\"", "DATE", "2024-02-29 13:14:15", "'2024-02-29T13:14:15'"),
    Column("DATE", "", "", "\"C\"", "DATE", "9999-12-31 23:59:59", "'9999-12-31T23:59:59'"),
    Column("TIMESTAMP(6)", "", "6", "\"C\"", "TIMESTAMP(6)", "2024-02-29 13:14:15.123456", "'2024-02-29T13:14:15.123456'"),
    Column("TIMESTAMP(9)", "", "9", "\"C\"", "TIMESTAMP(9)", "2024-02-29 13:14:15.123456789", "'2024-02-29T13:14:15.123456789'"),
    Column("TIMESTAMP(6) WITH TIME ZONE", "", "6", UTC6, "VARCHAR2(40)", "2024-02-29T07:44:15.123456Z", "'2024-02-29T07:44:15.123456Z'"),
    Column("TIMESTAMP(9) WITH LOCAL TIME ZONE", "", "9", UTC9, "VARCHAR2(40)", "2024-02-29T07:44:15.123456789Z", "'2024-02-29T07:44:15.123456789Z'"),
    Column("VARCHAR2", "", "", "\"C\"", "VARCHAR2(40)", "naïve ☃ 𝄞", "'naïve ☃ 𝄞'"),
    Column("NVARCHAR2", "", "", "\"C\"", "NVARCHAR2(9)", "𝄞𝄞𝄞𝄞x", "'𝄞𝄞𝄞𝄞x'"),
    Column("CHAR", "", "", "\"C\"", "CHAR(4)", "ab  ", "'ab  '"),
    Column("RAW", "", "", "\"C\"", "RAW(8)", "00FF10", "X'00FF10'"),
    Column("INTERVAL DAY(2) TO SECOND(6)", "2", "6", "TO_CHAR(\"C\")", "VARCHAR2(64)", "+02 03:04:05.000006", "'+02 03:04:05.000006'"),
    Column("ROWID", "", "", "CAST(\"C\" AS VARCHAR2(4000))", "VARCHAR2(4000)", "AAAR3sAAEAAAACXAAA", "'AAAR3sAAEAAAACXAAA'"),
    Column("CLOB", "", "", "\"C\"", "CLOB", "short", "'short'"),
    Column("NCLOB", "", "", "\"C\"", "NCLOB", "☃𝄞", "'☃𝄞'"),
    Column("LONG", "", "", "\"C\"", "LONG", "old", "'old'"),
    Column("BLOB", "", "", "\"C\"", "BLOB", "DEADBEEF", "X'DEADBEEF'"),
    Column("XMLTYPE", "", "", "XMLSERIALIZE(CONTENT \"C\" AS CLOB)", "CLOB", "<a>é</a>", "'<a>é</a>'"),
];

/// What the catalogue answers of a table's columns: name, type, precision, scale.
fn catalogue(columns: &[String]) -> String {
    let head = "COLUMN_NAME VARCHAR2(128)|DATA_TYPE VARCHAR2(128)|DATA_PRECISION VARCHAR2(40)|DATA_SCALE VARCHAR2(40)";
    format!("? ALL_TAB_COLUMNS\n{head}\n{}\n\n", columns.join("\n"))
}

/// A table `T` of one column `ID`, a number, and its rows.
fn of_ids(rows: &str) -> String {
    format!("{}? \"T\" WHERE 1 = 0\nID NUMBER(10)\n\n? FROM \"T\"\nID NUMBER(10)\n{rows}\n", catalogue(&["ID|NUMBER|10|0".to_owned()]))
}

#[test]
fn every_type_arrives_exactly_and_only_once_cast() {
    let names: Vec<String> = (0..MATRIX.len()).map(|place| format!("C{place}")).collect();
    let all = |part: fn(&Column) -> String| -> Vec<String> { MATRIX.iter().map(part).collect() };
    let declared = |column: &Column| {
        let Column(name, precision, scale, ..) = column;
        let is_sized = matches!(*name, "VARCHAR2" | "NVARCHAR2" | "CHAR" | "RAW") || (*name == "NUMBER" && !precision.is_empty());
        if !is_sized {
            (*name).to_owned()
        } else if *name == "NUMBER" {
            format!("NUMBER({precision},{scale})")
        } else {
            column.4.to_owned()
        }
    };
    let types = all(declared);
    let of_driver: Vec<String> = names.iter().zip(&types).map(|(name, declared)| format!("{name} {declared}")).collect();
    let of_catalogue: Vec<String> = names
        .iter()
        .zip(MATRIX)
        .map(|(name, Column(declared, precision, scale, ..))| format!("{name}|{declared}|{precision}|{scale}"))
        .collect();
    let of_rows: Vec<String> = names.iter().zip(MATRIX).map(|(name, column)| format!("{name} {}", column.4)).collect();
    let values = all(|column| column.5.to_owned());
    let nulls = vec![""; MATRIX.len() - 1].join("|");
    let driver = oracle(&format!(
        "{}? \"T\" WHERE 1 = 0\n{}\n\n? FROM \"T\"\n{}\n{}\n{}|\n",
        catalogue(&of_catalogue),
        of_driver.join("|"),
        of_rows.join("|"),
        values.join("|"),
        nulls
    ));
    let etl = workspace(&driver, "    table: t\n");
    run(&etl).exits(0);
    let (warehouse, log) = (etl.warehouse(), driver.said());
    for (place, column) in MATRIX.iter().enumerate() {
        let held = warehouse.rows(&format!("SELECT quote(C{place}) FROM t ORDER BY rowid"));
        assert_eq!(held, [column.6, "NULL"], "{} {}", column.0, column.5);
        let select = column.3.replace("\"C\"", &format!("\"C{place}\""));
        assert!(log.contains(&select), "{select} should be in:\n{log}");
    }
    assert!(!log.contains("64-bit"), "{log}");
    let order = ["NLS_TERRITORY", "NLS_NUMERIC_CHARACTERS", "SET TRANSACTION READ ONLY", "WHERE 1 = 0", "SELECT \"C0\""];
    let places: Vec<Option<usize>> = order.iter().map(|text| log.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} {log}");
    assert!(!log.contains("end commit"), "{log}");
}

#[test]
fn long_texts_arrive_whole() {
    let cases = [("x☃𝄞é", 200_000), ("☃", 2047), ("☃", 2048), ("𝄞", 1023), ("𝄞", 1024), ("x", 4095), ("é", 600_000)];
    let rows: Vec<String> = cases.iter().map(|(sign, count)| format!("#|*{count} {sign}|*{count} 00ff")).collect();
    let columns = ["ID|NUMBER|10|0", "DOC|CLOB||", "B|BLOB||"].map(str::to_owned);
    let head = "ID NUMBER(10)|DOC CLOB|B BLOB";
    let driver = oracle(&format!("{}? \"T\" WHERE 1 = 0\n{head}\n\n? FROM \"T\"\n{head}\n{}\n", catalogue(&columns), rows.join("\n")));
    let etl = workspace(&driver, "    table: T\n");
    run(&etl).exits(0);
    let warehouse = etl.warehouse();
    for (place, (sign, count)) in cases.iter().enumerate() {
        let id = place + 1;
        assert!(warehouse.value(&format!("SELECT DOC FROM t WHERE ID = {id}")) == sign.repeat(*count), "{sign} {count} times");
        let ends = format!("SELECT length(B) || hex(substr(B, 1, 2)) || hex(substr(B, -2)) FROM t WHERE ID = {id}");
        assert_eq!(warehouse.value(&ends), format!("{}00FF00FF", count * 2));
    }
}

#[test]
fn values_of_cursors_are_texts_with_their_format() {
    let check = |declared: &str, scale: &str, value: &str, greatest: &str, expected: [&str; 2]| {
        let columns = ["ID|NUMBER|10|0".to_owned(), format!("AT|{declared}||{scale}")];
        let is_instant = declared.ends_with("ZONE");
        let read = if is_instant { "VARCHAR2(40)" } else { declared };
        let answers = format!(
            "{}? \"T\" WHERE 1 = 0\nID NUMBER(10)|AT {declared}\n\n? MAX(\n{}\n{greatest}\n\n? FROM \"T\"\nID NUMBER(10)|AT {read}\n1|{value}\n",
            catalogue(&columns),
            "M VARCHAR2(40)",
        );
        let keys = "? ALL_CONSTRAINTS\nCOLUMN_NAME VARCHAR2(128)\nID\n\n";
        let driver = oracle(&format!("{keys}{answers}"));
        let etl = workspace(&driver, "    table: T\n    etl_config: {mode: incremental, timestamp_column: AT}\n");
        for _ in 0..2 {
            run(&etl).exits(0);
        }
        let log = driver.said();
        for text in expected {
            assert!(log.contains(text), "{declared}: {text:?} should be in:\n{log}");
        }
    };
    check("DATE", "", "2024-02-29 13:14:15", "2024-02-29 13:14:15", ["\"AT\" >= TO_DATE(?,", "parameter 1 2024-02-29T13:14:15\n"]);
    check(
        "TIMESTAMP(9)",
        "9",
        "2024-02-29 13:14:15.123456789",
        "2024-02-29 13:14:15.123456789",
        ["\"AT\" >= TO_TIMESTAMP(?, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF9')", "parameter 1 2024-02-29T13:14:15.123456789\n"],
    );
    check(
        "TIMESTAMP(6) WITH TIME ZONE",
        "6",
        "2024-02-29T13:14:15.123456Z",
        "",
        ["\"AT\" >= TO_TIMESTAMP_TZ(?,", "parameter 1 2024-02-29T13:14:15.123456000+00:00\n"],
    );
}

#[test]
fn a_query_s_moments_are_turned_to_utc_and_its_placeholders_bound() {
    let head = "ID NUMBER(10)|AT TIMESTAMP(6) WITH TIME ZONE";
    let driver = oracle(&format!(
        "? WHERE 1 = 0\n{head}\n\n? MAX(\nM VARCHAR2(40)\n2024-02-29 07:44:15.123456000\n\n? SELECT \"ID\"\n{head}\n1|2024-02-29 07:44:15.123456\n"
    ));
    let sql = "custom_sql: \"SELECT ID, AT FROM T WHERE AT >= :lower_bound AND NOTE <> q'[it's :lower_bound]'\"";
    let etl = workspace(
        &driver,
        &format!("    name: s\n    primary_key: [ID]\n    {sql}\n    etl_config: {{mode: incremental, timestamp_column: AT}}\n"),
    );
    for _ in 0..2 {
        run(&etl).exits(0);
    }
    assert_eq!(etl.warehouse().rows("SELECT ID, AT FROM t"), ["1|2024-02-29T07:44:15.123456"]);
    let log = driver.said();
    for text in [
        "CAST(SYS_EXTRACT_UTC(CAST(\"AT\" AS TIMESTAMP(9) WITH TIME ZONE)) AS TIMESTAMP(9)) AS \"AT\"",
        "AT >= TO_TIMESTAMP(?, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF9') AND NOTE <> q'[it's :lower_bound]'",
        "parameter 1 1970-01-01T00:00:00.000000000\n",
        "parameter 1 2024-02-29T07:44:15.123456000\n",
    ] {
        assert!(log.contains(text), "{text:?} should be in:\n{log}");
    }
}

#[test]
fn late_commits_hold_the_cursor_back_or_are_told_as_unseen() {
    let base = |transactions: &str| {
        let columns = ["ID|NUMBER|10|0", "AT|NUMBER|18|0"].map(str::to_owned);
        let head = "ID NUMBER(10)|AT NUMBER(18)";
        format!(
            "? ALL_CONSTRAINTS\nCOLUMN_NAME VARCHAR2(128)\nID\n\n{transactions}\n\n{}? \"T\" WHERE 1 = 0\n{head}\n\n? MAX(\nM VARCHAR2(40)\n9\n\n? FROM \"T\"\n{head}\n1|9\n",
            catalogue(&columns)
        )
    };
    let source = "    table: T\n    etl_config: {mode: incremental, timestamp_column: AT}\n";
    let bounds = |transactions: &str| {
        let driver = oracle(&base(transactions));
        let etl = workspace(&driver, source);
        let told = said(&etl.run(&["run", "load", "-v"]).exits(0));
        run(&etl).exits(0);
        (driver.said().contains("parameter 1 9\n"), told)
    };
    // Nobody is at work: the second run begins at the greatest value.
    assert!(bounds("").0);
    assert!(!bounds("? GV$TRANSACTION\nSTARTED VARCHAR2(40)\n2026-01-01 12:30:00").0);
    let (_, told) = bounds("! GV$TRANSACTION\n42S02 942 ORA-00942: table or view does not exist");
    assert!(told.contains("GRANT SELECT ON GV_$TRANSACTION"), "{told}");
}

#[test]
fn a_source_is_tested_previewed_and_discovered() {
    let listed = "? ALL_TABLES\nOWNER VARCHAR2(128)|TABLE_NAME VARCHAR2(128)|IS_OWN VARCHAR2(1)\nETL|T|1\nSALES|T_b|0\nSALES|OTHER|0\nSYS|TAB$|0\n\n";
    let more = "? \"T_b\" WHERE 1 = 0\nX NUMBER(4)\n\n? FROM \"SALES\".\"T_b\"\nX NUMBER(4)\n7\n\n";
    let driver = oracle(&format!("{listed}{more}{}", of_ids("1\n2").replace("FROM \"T\"", "\"T\"")));
    let etl = workspace(&driver, "    name: orders\n    table: etl.t\n");
    let tested = etl.run(&["source", "test", "load"]).exits(0);
    for text in ["Oracle 19", "1 column", "not against the vendor's server"] {
        assert!(tested.stdout.contains(text), "{text}: {}", tested.stdout);
    }
    let preview = etl.run(&["source", "preview", "load", "orders"]).exits(0);
    assert!(preview.stdout.contains('2'), "{}", preview.stdout);
    let several = workspace(&driver, "    name: erp\n    tables: [\"*.T*\"]\n");
    let job = std::fs::read_to_string(several.path("jobs/load.yaml")).expect("the job");
    several.write("jobs/load.yaml", job.replace("    target: t\n", ""));
    run(&several).exits(0);
    assert_eq!(several.warehouse().rows("SELECT X FROM T_b"), ["7"]);
    assert_eq!(several.warehouse().rows("SELECT ID FROM T"), ["1", "2"]);
}

#[test]
fn errors_are_told_apart_and_nothing_is_published() {
    let check = |fault: &str, code: &str, is_transient: bool| {
        let driver = oracle(&of_ids("x 20000 #"));
        let etl = workspace(&driver, "    table: T\n");
        run(&etl).exits(0);
        driver.answers(&of_ids(fault));
        let ended = etl.run(&["run", "load", "-o", "json"]);
        assert_eq!(ended.code, Some(1), "{fault}: {}", said(&ended));
        let error = ended.json()["runs"][0]["sources"][0]["error"].clone();
        assert_eq!((error["code"].as_str(), error["is_transient"].as_bool()), (Some(code), Some(is_transient)), "{fault}: {error}");
        assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "20000", "{fault}");
    };
    check("x 15000 #\n! 08S01 3113 ORA-03113: end-of-file on communication channel", "disconnected", true);
    check("x 15000 #\n! HY000 1555 ORA-01555: snapshot too old", "conflict", true);
    check("! HY000 60 ORA-00060: deadlock detected while waiting for resource", "conflict", true);
    check("x 15000 #\n! HY000 1722 ORA-01722: invalid number", "invalid_data", false);
    check("! HY000 1031 ORA-01031: insufficient privileges", "permission_denied", false);
}

#[test]
fn refusals_say_what_to_do_and_tell_no_secret() {
    let driver = oracle(&of_ids("1"));
    let check = |from: &str, to: &str, source: &str, (code, is_transient): (&str, bool)| {
        let etl = workspace(&driver, source).env("OTHER", "hunter22");
        let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
        etl.write("etlsched.yaml", settings.replace(from, to));
        let ended = etl.run(&["run", "load", "-o", "json"]);
        assert_eq!(ended.code, Some(1), "{}", said(&ended));
        let error = ended.json()["runs"][0]["sources"][0]["error"].clone();
        assert_eq!((error["code"].as_str(), error["is_transient"].as_bool()), (Some(code), Some(is_transient)), "{error}");
        let told = said(&ended) + &etl.run(&["logs", "--run", "last"]).stdout + &driver.said();
        assert!(!told.contains("hunter22") && !told.contains("cret'"), "{told}");
        error
    };
    check("${ERP_PASSWORD}", "${OTHER}", "    table: T\n", ("login_failed", false));
    check("ORCLPDB1", "down", "    table: T\n", ("unreachable", true));
    let error = check("ORCLPDB1", "nowhere", "    table: T\n", ("unreachable", true));
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("service")), "{error}");
    check("", "", "    table: NOSUCH\n", ("not_found", false));
    std::fs::write(driver.folder.join("odbcinst.ini"), "").expect("the drivers' file");
    let error = check("", "", "    table: T\n", ("no_driver", false));
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("Instant Client")), "{error}");
}
