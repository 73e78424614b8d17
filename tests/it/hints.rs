//! What newcomers type first and get wrong: each is told in one error with what to type instead, or simply works.

use crate::etl::Etl;

fn two_jobs() -> Etl {
    Etl::new().csv_job("orders", "", "id,total\n1,2.50\n2,3.75\n").csv_job("stock", "", "id\n7\n")
}

#[test]
fn run_without_a_job_names_the_jobs() {
    let none = Etl::new();
    none.run(&["run"]).exits(2).mentions("error: run: no job is named\nhint: there are none yet: etlsched create --help\n");
    let one = Etl::new().csv_job("orders", "", "id\n1\n");
    one.run(&["run"]).exits(2).mentions("hint: there is one: etlsched run orders\n");
    two_jobs().run(&["run", "--dry-run"]).exits(2).mentions("hint: there are orders, stock; what is due runs with: etlsched run --due\n");
    let mut many = Etl::new();
    for number in 10..22 {
        many = many.csv_job(&format!("job{number}"), "", "id\n1\n");
    }
    many.run(&["run"]).exits(2).mentions("job18, job19, 2 more; what is due");
    many.run(&["run", "--due"]).exits(0);
}

#[test]
fn a_number_of_lines_is_asked_for_as_elsewhere() {
    let etl = two_jobs();
    for _ in 0..3 {
        etl.run(&["run", "stock"]).exits(0);
    }
    for arguments in [&["logs", "-n", "2"][..], &["logs", "--limit", "2"], &["logs", "-n2"], &["logs", "--page-size", "2"]] {
        let logs = etl.run(&[arguments, &["-o", "json"]].concat()).exits(0).json();
        assert_eq!((logs["logs"].as_array().map(Vec::len), &logs["pagination"]["total_logs"]), (Some(2), &3.into()), "{arguments:?}");
    }
    etl.run(&["audit", "-n", "1"]).exits(0).mentions("page 1 of 3 (3 lines)");
    etl.run(&["logs", "-n", "0"]).exits(2).mentions("0 is not in 1..");
}

#[test]
fn the_source_of_a_command_is_named_as_run_has_it_too() {
    let etl = two_jobs();
    let plain = etl.run(&["source", "preview", "orders", "orders"]).exits(0).stdout;
    etl.run(&["source", "preview", "orders", "--source", "orders"]).exits(0).prints(&plain);
    etl.run(&["source", "preview", "--source", "orders", "orders", "-n", "1"]).exits(0).prints("id  total\n1   2.5\n");
    etl.run(&["source", "test", "orders", "--source", "orders"]).exits(0).mentions("orders  ");
    etl.run(&["source", "schema", "orders", "--source", "ordesr"]).exits(2).mentions("hint: did you mean orders?");
    etl.run(&["source", "test", "orders", "orders", "--source", "orders"]).exits(2).mentions("cannot be used with");
}

#[test]
fn a_reset_of_a_source_that_is_not_there_is_told_before_it_is_to_be_confirmed() {
    let etl = two_jobs();
    etl.run(&["run", "stock"]).exits(0);
    etl.run(&["state", "reset", "stock", "--source", "stok"])
        .exits(2)
        .mentions("job stock: no source \"stok\"")
        .mentions("did you mean stock?");
    etl.run(&["state", "reset", "stok", "--source", "stock"]).exits(2).mentions("unknown job stok");
    etl.run(&["state", "reset", "stock", "--source", "stok", "--take-over"]).exits(2).mentions("no source \"stok\"");
    etl.run(&["state", "reset", "stock", "--source", "stock"])
        .exits(2)
        .mentions("resetting a source needs a confirmation\nhint: add --yes");
    // One that the file names no more has tables all the same.
    etl.write("jobs/stock.yaml", "data_sources:\n  - {name: other, path: jobs/data/stock.csv}\n");
    etl.run(&["state", "reset", "stock", "--source", "stock"]).exits(2).mentions("needs a confirmation");
    etl.run(&["state", "reset", "stock", "--source", "stock", "--yes"]).exits(0).mentions("stock: reset 1 table of source stock: stock");
}

#[test]
fn a_json_document_that_was_cut_short_is_told_as_json() {
    let whole = "{\n  \"name\": \"Sales\",\n  \"data_sources\": [{\"path\": \"jobs/data/orders.csv\"}]\n}\n";
    let etl =
        two_jobs().file("whole.json", whole).file("cut.json", &whole[..40]).file("comma.json", whole.replace("\"Sales\",", "\"Sales\""));
    let ends = "the JSON ends in the middle (it was cut short: give the whole document)";
    etl.run(&["create", "--from", "cut.json"]).exits(4).mentions(&format!("error: cut.json: line 3, column 19: {ends}"));
    etl.run(&["create", "--from", "comma.json"])
        .exits(4)
        .mentions("comma.json: line 3, column 3: invalid JSON: expected `,` or `}` (quotes");
    etl.write("jobs/cut.yaml", &whole[..40]);
    etl.run(&["validate", "cut"])
        .exits(4)
        .mentions("jobs/cut.yaml:3:19: error: the JSON ends in the middle")
        .mentions("hint: it was cut short");
    etl.run(&["create", "--from", "whole.json"]).exits(0).mentions("wrote jobs/sales.yaml");
}

#[test]
fn one_source_twice_is_told_of_the_file_that_names_it_twice() {
    let id = "0b9e2c7e-2f8d-4a53-9d57-0f6f7c6c2b11";
    let settings = format!("data_sources:\n  {id}: {{name: orders, path: jobs/data/orders.csv}}\n");
    let etl = two_jobs()
        .file("etlsched.yaml", settings)
        .file("post.json", format!("{{\"name\": \"x\", \"data_source_ids\": [\"{id}\", \"{id}\"]}}"));
    etl.run(&["create", "--from", "post.json"]).exits(4).mentions(&format!("error: post.json: data_source_ids names {id} twice"));
    etl.write("jobs/twice.yaml", format!("data_sources:\n  - source: {id}\n  - source: {id}\n"));
    let said = etl
        .run(&["validate", "twice"])
        .exits(4)
        .mentions("jobs/twice.yaml:3:5: error: two sources are called orders: the first is in line 2");
    assert!(!said.stderr.contains("etlsched.yaml:2"), "{}", said.stderr);
    etl.write("jobs/twice.yaml", format!("data_sources:\n  - source: {id}\n  - {{source: {id}, name: again}}\n"));
    etl.run(&["validate", "twice"]).exits(0);
}

#[test]
fn what_is_loaded_is_unknown_for_a_variable_that_is_named() {
    let etl = two_jobs();
    etl.run(&["run", "stock"]).exits(0);
    etl.write("jobs/orders.yaml", "data_sources:\n  - path: ${LAKE_FOLDER}/orders.csv\n    name: orders\n");
    etl.run(&["state", "show"]).exits(1).mentions("error: job orders: jobs/orders.yaml:2:11: the variable LAKE_FOLDER is not set\n");
    etl.run(&["show", "orders"]).exits(0).mentions("Loaded: unknown (jobs/orders.yaml:2:11: the variable LAKE_FOLDER is not set)");
}

#[test]
fn a_type_with_a_comma_and_without_quotes_is_one_error() {
    let etl = Etl::new().csv_job("orders", "columns: {types: {total: decimal(12,2), id: integer}}", "id,total\n1,2.50\n");
    let said = etl.run(&["validate"]).exits(4).mentions("types.total: ").mentions("hint: quote it: \"decimal(12,2)\"\n");
    assert!(said.stderr.ends_with("\n1 error\n"), "{}", said.stderr);
    // A key that is nothing but odd is told.
    let etl = Etl::new().csv_job("orders", "columns: {types: {id: integer, 2):}}", "id,total\n1,2.50\n");
    etl.run(&["validate"]).exits(4).mentions("types.2): expected text, not nothing");
}

#[test]
fn an_error_names_its_source_once() {
    let etl = Etl::new().file("etlsched.yaml", "connections: {shop: {type: sqlite, path: shop.db}}\n").file(
        "jobs/shop.yaml",
        "data_sources:\n  - {name: sem, connection: shop, table: sem, primary_key: [id], columns: {exclude: [nothing]}}\n",
    );
    let shop = rusqlite::Connection::open(etl.path("shop.db")).expect("a new file");
    shop.execute_batch("CREATE TABLE sem (id INTEGER PRIMARY KEY)").expect("it can be written");
    for arguments in [&["run", "shop"][..], &["source", "schema", "shop"], &["run", "shop", "-o", "json"], &["logs", "--run", "last"]] {
        let ended = etl.run(arguments);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("columns.exclude names nothing") && !said.contains("source sem: source sem"), "{arguments:?}\n{said}");
        assert!(!said.contains("sem: source sem"), "{arguments:?}\n{said}");
    }
}
