//! Tables that were there before a load: whose rows they hold, which columns and rules they have, what a load makes of them.

use crate::etl::{Database, Etl};

/// A workspace whose warehouse holds what these statements make.
fn warehouse_with(etl: Etl, sql: &str) -> Etl {
    let path = etl.path(".etlsched/warehouse.db");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of the warehouse");
    rusqlite::Connection::open(&path).expect("a new file");
    Database::open(&path).execute(sql);
    etl
}

#[test]
fn a_table_with_rows_of_others_is_refused_until_it_is_taken_over() {
    for keys in ["", "primary_key: [id]\netl_config: {mode: incremental}"] {
        let etl = Etl::new().csv_job("orders", keys, "id,total\n1,5\n2,6\n");
        let etl = warehouse_with(etl, "CREATE TABLE orders (id INTEGER, note TEXT); INSERT INTO orders VALUES (7, 'mine'), (8, 'mine')");
        for arguments in [vec!["run", "orders"], vec!["run", "orders", "--dry-run"], vec!["run", "orders", "--full-refresh"]] {
            etl.run(&arguments)
                .exits(1)
                .mentions("table orders has 2 rows that etlsched did not load, and this load would replace them")
                .mentions("etlsched state reset orders --source orders --take-over");
        }
        assert_eq!(etl.warehouse().rows("SELECT id, note FROM orders"), ["7|mine", "8|mine"]);
        let taken = etl.run(&["state", "reset", "orders", "--source", "orders", "--take-over", "--yes"]).exits(0);
        taken.prints("orders: took over 1 table of source orders: orders\n");
        assert_eq!(etl.warehouse().rows("SELECT id, note FROM orders"), ["7|mine", "8|mine"]);
        let run = etl.run(&["run", "orders", "-o", "json"]).exits(0).json();
        let source = &run["runs"][0]["sources"][0];
        assert_eq!((source["records_added"].as_u64(), source["records_deleted"].as_u64()), (Some(2), Some(2)), "{run:#}");
        assert_eq!(etl.warehouse().rows("SELECT id, total, note FROM orders"), ["1|5|NULL", "2|6|NULL"]);
    }
}

#[test]
fn an_empty_table_of_others_is_filled_as_it_is() {
    let etl = Etl::new().csv_job("orders", "", "id,total\n1,5\n");
    let etl = warehouse_with(etl, "CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER NOT NULL, note TEXT DEFAULT 'new')");
    etl.run(&["run", "orders"]).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id, total, note FROM orders"), ["1|5|new"]);
}

/// Loads one delivery after another into the table `deliveries`; returns the columns as declared.
fn delivered(etl: &Etl, files: &[&str]) -> Vec<String> {
    for text in files {
        let number = std::fs::read_dir(etl.path("jobs/data")).map_or(0, Iterator::count);
        etl.write(&format!("jobs/data/{number}.csv"), text);
        etl.run(&["run", "deliveries"]).exits(0);
    }
    etl.warehouse().rows("SELECT name || ' ' || type FROM pragma_table_info('deliveries')")
}

fn deliveries(keys: &str) -> Etl {
    let job = format!("data_sources:\n  - name: deliveries\n    path: jobs/data/*.csv\n    {keys}\n");
    Etl::new().file("jobs/deliveries.yaml", job)
}

const ROWS: &str = "SELECT id, p, typeof(p) FROM deliveries ORDER BY id";

#[test]
fn a_column_without_a_value_gets_its_type_from_the_first_that_is_seen() {
    for keys in ["etl_config: {mode: incremental}", "primary_key: [id]\n    etl_config: {mode: incremental}", "etl_config: {mode: full}"] {
        let etl = deliveries(keys);
        assert_eq!(delivered(&etl, &["id,p\n"]), ["id TEXT", "p TEXT"], "{keys}");
        assert_eq!(delivered(&etl, &["id,p\n1,\n"]), ["id INTEGER", "p TEXT"], "{keys}");
        assert_eq!(delivered(&etl, &["id,p\n2,1.5\n"]), ["id INTEGER", "p REAL"], "{keys}");
        assert_eq!(etl.warehouse().rows(ROWS), ["1|NULL|null", "2|1.5|real"], "{keys}");
        etl.run(&["logs", "--run", "last"]).mentions("column p is double from now on: no value was seen in it before");
    }
    // What was text by its values stays text.
    let etl = deliveries("etl_config: {mode: incremental}");
    delivered(&etl, &["id,p\n1,x\n"]);
    assert_eq!(delivered(&etl, &["id,p\n2,1.5\n"]), ["id INTEGER", "p TEXT"]);
}

#[test]
fn whole_numbers_become_doubles_where_each_is_one_exactly_and_else_text() {
    let etl = deliveries("etl_config: {mode: incremental}");
    assert_eq!(delivered(&etl, &["id,p\n1,9007199254740992\n2,-7\n", "id,p\n3,0.25\n4,8\n"]), ["id INTEGER", "p REAL"]);
    assert_eq!(etl.warehouse().rows(ROWS), ["1|9007199254740992|real", "2|-7|real", "3|0.25|real", "4|8|real"]);
    let etl = deliveries("etl_config: {mode: incremental}");
    assert_eq!(delivered(&etl, &["id,p\n1,9007199254740993\n2,-7\n", "id,p\n3,0.25\n", "id,p\n4,5\n"]), ["id INTEGER", "p TEXT"]);
    assert_eq!(etl.warehouse().rows(ROWS), ["1|9007199254740993|text", "2|-7|text", "3|0.25|text", "4|5|text"]);
}

#[test]
fn defaults_and_keys_of_a_table_stay_when_its_columns_are_widened() {
    let etl = deliveries("primary_key: [id]\n    etl_config: {mode: incremental}");
    let sql =
        "CREATE TABLE deliveries (id INTEGER PRIMARY KEY, p INTEGER NOT NULL DEFAULT (1 + 1) CHECK (p > 0), \"note\" TEXT DEFAULT 'new');
         CREATE INDEX by_p ON deliveries (p); CREATE VIEW dear AS SELECT id FROM deliveries WHERE p > 5";
    let etl = warehouse_with(etl, sql);
    delivered(&etl, &["id,p\n1,7\n"]);
    assert_eq!(delivered(&etl, &["id,p,more\n2,7.5,x\n"]), ["id INTEGER", "p REAL", "note TEXT", "more TEXT"]);
    let warehouse = etl.warehouse();
    assert_eq!(warehouse.rows("SELECT id, p, note, more FROM deliveries"), ["1|7|new|NULL", "2|7.5|new|x"]);
    assert_eq!(warehouse.rows("SELECT id FROM dear"), ["1", "2"]);
    let made = "CREATE TABLE \"deliveries\" (id INTEGER PRIMARY KEY, p REAL NOT NULL DEFAULT (1 + 1) CHECK (p > 0), \"note\" TEXT DEFAULT 'new', \"more\" TEXT)";
    assert_eq!(
        warehouse.rows("SELECT sql FROM sqlite_schema WHERE name IN ('deliveries', 'by_p')"),
        [made, "CREATE INDEX by_p ON deliveries (p)"]
    );
    warehouse.execute("INSERT INTO deliveries (id) VALUES (3)");
    assert_eq!(warehouse.rows("SELECT p, note FROM deliveries WHERE id = 3"), ["2|new"]);
}

#[test]
fn a_counter_of_the_table_refuses_a_widening_and_all_stays_as_it_was() {
    let etl = deliveries("primary_key: [id]\n    etl_config: {mode: incremental}");
    let etl = warehouse_with(etl, "CREATE TABLE deliveries (id INTEGER PRIMARY KEY AUTOINCREMENT, p INTEGER)");
    delivered(&etl, &["id,p\n1,7\n"]);
    etl.write("jobs/data/9.csv", "id,p\n2,7.5\n");
    let refused = etl.run(&["run", "deliveries"]).exits(1);
    refused.mentions("table deliveries has rules of its own that can't be kept while columns are widened: p from bigint to double");
    assert_eq!(etl.warehouse().rows(ROWS), ["1|7|integer"]);
}

#[test]
fn a_key_folds_in_every_mode_and_a_row_without_one_is_rejected_with_its_place() {
    for config in ["{mode: full}", "{mode: incremental}", "{mode: full, timestamp_column: at}"] {
        let keys = format!("primary_key: [id]\netl_config: {config}");
        let etl = Etl::new().csv_job("t", &keys, "id,n,at\n1,old,2024-01-02\n,lost,2024-01-01\n2,b,2024-01-01\n1,new,2024-01-01\n");
        let run = etl.run(&["run", "t", "-o", "json"]).exits(0).json();
        let source = &run["runs"][0]["sources"][0];
        let count = |name: &str| source[name].as_u64().unwrap_or_else(|| panic!("no {name} in {source:#}"));
        assert_eq!((count("records_processed"), count("records_added"), count("records_rejected")), (4, 2, 1), "{keys}");
        let winner = if keys.contains("timestamp_column") { "old" } else { "new" };
        assert_eq!(etl.warehouse().rows("SELECT id, n FROM t ORDER BY id"), [format!("1|{winner}"), "2|b".to_owned()], "{keys}");
        let folder = std::fs::read_dir(etl.path(".etlsched/rejects")).expect("the rejects").next().expect("a run").expect("its folder");
        let rejects = std::fs::read_to_string(folder.path().join("t.csv")).expect("the reject file");
        let row = "\"t.csv, row 2 (line 3)\",id,\"it has no value, and the column is part of primary_key\",\",lost,2024-01-01\"\n";
        assert_eq!(rejects, format!("position,column,reason,raw\n{row}"));
        let strict = format!(
            "data_sources: [{{path: jobs/data/t.csv, primary_key: [id], etl_config: {}}}]",
            config.replace('}', ", on_bad_row: fail}")
        );
        etl.write("jobs/t.yaml", strict);
        etl.run(&["run", "t", "--full-refresh"]).exits(1).mentions("t.csv, row 2 (line 3), column id: it has no value");
    }
}

#[test]
fn a_key_that_the_source_lacks_is_named_before_a_row_is_written() {
    let etl = Etl::new().csv_job("t", "primary_key: [nr]", "id,n\n1,a\n");
    etl.run(&["run", "t"])
        .exits(1)
        .mentions("primary_key names column nr, which the source doesn't have")
        .mentions("its columns are id, n");
}

#[test]
fn too_many_columns_and_a_malformed_check_are_told_in_the_users_own_words() {
    let names: Vec<String> = (1..=2500).map(|number| format!("c{number}")).collect();
    let etl = Etl::new().csv_job("wide", "", format!("{}\n{}\n", names.join(","), vec!["1"; 2500].join(",")));
    let ended = etl.run(&["run", "wide"]).exits(1);
    let ended = ended.mentions("table wide: 2,500 are too many columns, SQLite holds at most 2,000").mentions("columns.select");
    assert!(!ended.stderr.contains("_etlsched_"), "{}", ended.stderr);
    for (sql, told) in [("SELEC 1 FROM {table}", "near \"SELEC\": syntax error"), ("SELECT nope FROM {table}", "no such column: nope")] {
        let etl = Etl::new().csv_job("t", &format!("expect: {{sql: \"{sql}\"}}"), "id\n1\n");
        let ended = etl.run(&["run", "t"]).exits(1).mentions(told).mentions("{table} in it stands for the loaded rows");
        assert!(!ended.stderr.contains("_etlsched_"), "{}", ended.stderr);
        let result = etl.run(&["run", "t", "-o", "json"]).exits(1).json();
        assert_eq!(result["runs"][0]["sources"][0]["error"]["code"], "bad_check", "{result:#}");
    }
}
