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
