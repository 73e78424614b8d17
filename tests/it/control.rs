//! What operators do around runs: looking at cursors, resetting, overlapping, stopping, being refused.

use crate::etl::Etl;

/// A workspace whose job reads `orders` of a SQLite file incrementally; the file holds two rows.
fn incremental() -> Etl {
    let etl = Etl::new()
        .file("etlsched.yaml", "connections:\n  shop: {type: sqlite, path: shop.db}\n")
        .file("jobs/shop.yaml", "data_sources:\n  - {name: orders, connection: shop, table: orders, primary_key: [id], etl_config: {mode: incremental, timestamp_column: id}}\n");
    let shop = rusqlite::Connection::open(etl.path("shop.db")).expect("a new file");
    shop.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT); INSERT INTO orders VALUES (1, 'a'), (2, 'b');")
        .expect("it can be written");
    etl
}

#[test]
fn show_tells_how_far_each_stream_is_loaded() {
    let etl = incremental();
    let cursors = || etl.run(&["show", "shop", "-o", "json"]).exits(0).json()["job"]["cursors"].clone();
    assert_eq!(cursors(), serde_json::json!([]));
    etl.run(&["run", "shop"]).exits(0);
    let shown = &cursors()[0];
    assert_eq!((shown["source"].as_str(), shown["target"].as_str(), shown["version"].as_i64()), (Some("orders"), Some("orders"), Some(1)));
    assert_eq!((shown["cursor"]["text"].as_str(), shown["rows"].as_u64()), (Some("2"), Some(2)), "{shown:#}");
    etl.run(&["show", "shop"]).exits(0).mentions("Readers    a load becomes visible whole").mentions("orders  orders  2");
}

#[test]
fn show_says_so_where_the_destination_can_t_tell() {
    let etl = incremental();
    etl.run(&["run", "shop"]).exits(0);
    etl.write(".etlsched/warehouse.db", "no database at all, but long enough to be looked at as one: ".repeat(200));
    let job = etl.run(&["show", "shop", "-o", "json"]).exits(0).json()["job"].clone();
    assert_eq!(job["cursors"], serde_json::Value::Null);
    assert!(job["cursors_unknown"].as_str().is_some_and(|why| why.contains("warehouse.db")), "{job:#}");
    etl.run(&["show", "shop"]).exits(0).mentions("Loaded: unknown (");
}
