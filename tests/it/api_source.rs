//! REST APIs as public ones are, served locally, through the whole program into SQLite: every page, every value.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::etl::{Ended, Etl};
use crate::servers::http::{HttpServer, Request, Response, serve};

/// How many records an API has, and how many a page.
const RECORDS: usize = 250;
const SIZE: usize = 100;

/// Records `from..to` of the same 250: a whole number beyond a double, a decimal, a nested object, a list, a time.
fn records(from: usize, to: usize) -> String {
    let record = |id: usize| {
        let big = 9_007_199_254_740_993 + id;
        let day = id % 28 + 1;
        format!(
            r#"{{"id":{id},"big":{big},"price":{id}.25,"owner":{{"login":"user {id}","geo":{{"x":1.10}}}},"tags":["a",{id}],"note":null,"at":"2026-01-{day:02}T00:00:00Z"}}"#
        )
    };
    (from..to.min(RECORDS + 1)).map(record).collect::<Vec<_>>().join(",")
}

/// What the target must hold.
fn expected() -> Vec<String> {
    (1..=RECORDS)
        .map(|id| {
            let day = id % 28 + 1;
            let big = 9_007_199_254_740_993 + id;
            format!(r#"{id}|{big}|{id}.25|user {id}|{{"x":1.10}}|["a",{id}]|-|2026-01-{day:02}T00:00:00Z"#)
        })
        .collect()
}

const ROWS: &str = "SELECT id, big, price, owner__login, owner__geo, tags, coalesce(note, '-'), at FROM orders ORDER BY id";

/// A workspace whose job `load` reads `/orders` of a server.
fn workspace(server: &HttpServer, connection: &str, source: &str) -> Etl {
    let base = server.url("/v1");
    let settings = format!("defaults: {{max_retries: 0}}\nconnections:\n  shop:\n    type: api\n    base_url: {base}\n{connection}");
    let job = format!("data_sources:\n  - connection: shop\n    endpoint: /orders\n{source}");
    Etl::new().file("etlsched.yaml", settings).file("jobs/load.yaml", job)
}

fn load(etl: &Etl) -> Ended {
    etl.run(&["run", "load", "-o", "json"])
}

#[track_caller]
fn check(server: &HttpServer, connection: &str, source: &str, requests: usize) {
    let etl = workspace(server, connection, source);
    let result = load(&etl).exits(0).json();
    assert_eq!(result["runs"][0]["sources"][0]["records_added"], RECORDS, "{result:#}");
    assert_eq!(etl.warehouse().rows(ROWS), expected());
    assert_eq!(server.seen().len(), requests);
    let again = load(&etl).exits(0).json();
    assert_eq!(again["runs"][0]["sources"][0]["records_added"], RECORDS, "{again:#}");
    assert_eq!(etl.warehouse().rows(ROWS), expected());
}

/// Returns the number that a parameter of the query is.
fn number(request: &Request, name: &str, default: usize) -> usize {
    request.parameter(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn pages_by_a_link_header_as_github_and_shopify_have_them() {
    let port = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&port);
    let server = serve(move |request| {
        assert_eq!(request.header("authorization"), Some("Bearer t0ps3cret"));
        let page = number(request, "page_info", 1);
        let base = format!("http://127.0.0.1:{}/v1/orders", own.load(Ordering::Relaxed));
        let link = format!("<{base}?page_info={}&per_page=100>; rel=\"next\", <{base}?page_info=3>; rel=\"last\"", page + 1);
        let body = format!("[{}]", records((page - 1) * SIZE + 1, page * SIZE + 1));
        let response = Response::json(body).gzip();
        if page < 3 { response.header("Link", &link) } else { response.header("Link", "<x>; rel=\"first\"") }
    });
    port.store(usize::from(server.port), Ordering::Relaxed);
    check(&server, "    auth: {bearer: t0ps3cret}\n    pagination: {link_header: {}}\n", "    params: {per_page: 100}\n", 3);
}

#[test]
fn pages_by_the_last_record_as_stripe_has_them() {
    let server = serve(|request| {
        let after = number(request, "starting_after", 0);
        let more = after + SIZE < RECORDS;
        Response::json(format!(r#"{{"object":"list","data":[{}],"has_more":{more}}}"#, records(after + 1, after + SIZE + 1)))
    });
    let source = "    pagination: {cursor: {record_key: id, param: starting_after, has_more: has_more}}\n";
    check(&server, "    auth: {basic: {user: sk_test, password: x}}\n", source, 3);
}

#[test]
fn pages_by_a_url_in_the_answer_as_salesforce_and_odata_have_them() {
    for (name, path, list) in [("nextRecordsUrl", "nextRecordsUrl", "records"), ("@odata.nextLink", "'\"@odata.nextLink\"'", "value")] {
        let server = serve(move |request| {
            let at = number(request, "skip", 0);
            let next = if at + SIZE < RECORDS { format!(r#","{name}":"/v1/orders?skip={}""#, at + SIZE) } else { String::new() };
            Response::json(format!(r#"{{"totalSize":250,"{list}":[{}]{next}}}"#, records(at + 1, at + SIZE + 1)))
        });
        check(&server, "", &format!("    records: {list}\n    pagination: {{next_url: {{path: {path}}}}}\n"), 3);
    }
}

#[test]
fn pages_by_a_cursor_in_the_body_as_graphql_has_them() {
    let server = serve(|request| {
        let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
        assert_eq!((request.method.as_str(), body["query"].as_str()), ("POST", Some("query($after: String) { orders { nodes } }")));
        let at = body["variables"]["after"].as_str().map_or(0, |after| after.trim_start_matches("c/").parse().expect("a cursor"));
        let (end, more) = (at + SIZE, at + SIZE < RECORDS);
        let nodes = records(at + 1, end + 1);
        Response::json(format!(
            r#"{{"data":{{"orders":{{"nodes":[{nodes}],"pageInfo":{{"endCursor":"c/{end}","hasNextPage":{more}}}}}}}}}"#
        ))
    });
    let source = r#"    method: POST
    body: {query: "query($after: String) { orders { nodes } }", variables: {after: null}}
    records: data.orders.nodes
    pagination: {cursor: {path: data.orders.pageInfo.endCursor, param: /variables/after, has_more: data.orders.pageInfo.hasNextPage}}
"#;
    check(&server, "", source, 3);
}

#[test]
fn pages_by_number_and_by_offset() {
    let by_page = serve(|request| {
        let page = number(request, "page", 99);
        Response::json(format!(r#"{{"items":[{}],"pages":3}}"#, records((page - 1) * SIZE + 1, page * SIZE + 1)))
    });
    check(&by_page, "", "    pagination: {page: {total_pages: pages}}\n", 3);
    let by_offset = serve(|request| {
        let at = number(request, "offset", 99_999);
        assert_eq!(request.parameter("limit"), Some("100"));
        Response::json(format!(r#"{{"items":[{}],"total":250}}"#, records(at + 1, at + SIZE + 1)))
    });
    check(&by_offset, "", "    pagination: {offset: {limit_param: limit, limit: 100, total: total}}\n", 3);
}

#[test]
fn an_incremental_load_asks_from_the_cursor_on_and_merges() {
    let run = Arc::new(AtomicUsize::new(0));
    let present = Arc::clone(&run);
    let server = serve(move |request| {
        let rows = match (present.load(Ordering::Relaxed), request.parameter("since")) {
            (0, Some("1970-01-01T00%3A00%3A00Z")) => {
                r#"[{"id":1,"at":"2026-01-01T00:00:00Z","v":"a"},{"id":2,"at":"2026-01-02T00:00:00Z","v":"b"}]"#
            }
            (1, Some("2026-01-01T22%3A59%3A59.999999Z")) => {
                r#"[{"id":2,"at":"2026-01-02T00:00:00Z","v":"b"},{"id":1,"at":"2026-01-03T00:00:00Z","v":"c"},{"id":3,"at":"2999-01-01T00:00:00Z","v":"d"}]"#
            }
            (2, Some("2026-01-02T22%3A59%3A59.999999Z")) => "[]",
            other => return Response::new(400, format!("{other:?}")),
        };
        Response::json(rows)
    });
    let source = "    params: {since: \"{last_sync}\"}\n    primary_key: [id]\n    etl_config: {mode: incremental, timestamp_column: at}\n";
    let etl = workspace(&server, "", source);
    load(&etl).exits(0);
    run.store(1, Ordering::Relaxed);
    let result = load(&etl).exits(0).json();
    let counts = |result: &serde_json::Value| {
        let source = &result["runs"][0]["sources"][0];
        ["processed", "added", "updated"].map(|name| source[format!("records_{name}")].as_u64().expect("a count"))
    };
    assert_eq!(counts(&result), [3, 1, 1], "{result:#}");
    assert_eq!(etl.warehouse().rows("SELECT id, v FROM orders ORDER BY id"), ["1|c", "2|b", "3|d"]);
    run.store(2, Ordering::Relaxed);
    // The value of 2999 did not become the cursor; no record at all is no trouble.
    let result = load(&etl).exits(0).json();
    assert_eq!(counts(&result), [0, 0, 0], "{result:#}");
    assert_eq!(etl.warehouse().rows("SELECT count(*) FROM orders"), ["3"]);
}

#[test]
fn a_window_of_an_api_without_a_filter_is_exact() {
    let server = serve(|_| Response::json(format!("[{}]", records(1, RECORDS + 1))));
    let etl = workspace(&server, "", "    etl_config: {mode: incremental, timestamp_column: at}\n");
    load(&etl).exits(0);
    let result = etl.run(&["run", "load", "--since", "2026-01-05", "--until", "2026-01-06", "-o", "json"]).exits(0).json();
    let source = &result["runs"][0]["sources"][0];
    let in_window = (1..=RECORDS).filter(|id| id % 28 + 1 == 5).count();
    assert_eq!((&source["records_added"], &source["records_deleted"]), (&in_window.into(), &in_window.into()), "{result:#}");
    assert_eq!(etl.warehouse().rows(ROWS), expected());
}

#[test]
fn a_source_is_tested_previewed_described_and_rehearsed() {
    let server = serve(|request| {
        let page = number(request, "page", 99);
        Response::json(format!("[{}]", records((page - 1) * SIZE + 1, page * SIZE + 1)))
    });
    let etl = workspace(&server, "    pagination: {page: {}}\n", "");
    etl.run(&["source", "test", "load"]).exits(0).mentions("200 OK, 100 records in the first page");
    assert_eq!(server.seen().len(), 1);
    etl.run(&["source", "preview", "load", "--rows", "2"]).exits(0).mentions("user 2");
    assert_eq!(server.seen().len(), 2, "one page is enough for two rows");
    etl.run(&["source", "schema", "load"]).exits(0).mentions("owner__login");
    let tried = etl.run(&["run", "load", "--dry-run", "-o", "json"]).exits(0).json();
    assert_eq!(tried["runs"][0]["sources"][0]["records_added"], RECORDS, "{tried:#}");
    assert!(!etl.path(".etlsched/warehouse.db").exists());
}

#[test]
fn a_load_that_is_cut_short_or_too_long_leaves_the_table_as_it_was() {
    let is_bad = Arc::new(AtomicUsize::new(0));
    let present = Arc::clone(&is_bad);
    let server = serve(move |request| {
        let page = number(request, "page", 99);
        let rows = records((page - 1) * SIZE + 1, page * SIZE + 1);
        match present.load(Ordering::Relaxed) {
            1 if page == 3 => Response::json(format!("[{rows}")),
            2 if page == 3 => Response::new(200, "<html>maintenance</html>"),
            3 => Response::json(format!("[{}]", records(page, page + 1))),
            _ => Response::json(format!("[{rows}]")),
        }
    });
    let etl = workspace(&server, "    pagination: {page: {}}\n", "    max_pages: 20\n");
    load(&etl).exits(0);
    for (kind, message) in [(1, "ends in the midst"), (2, "<html>maintenance"), (3, "more than 20 pages")] {
        is_bad.store(kind, Ordering::Relaxed);
        let ended = etl.run(&["run", "load"]);
        assert_ne!(ended.code, Some(0), "{message}");
        assert!(ended.stderr.contains(message) || ended.stdout.contains(message), "{message}: {}{}", ended.stdout, ended.stderr);
        assert_eq!(etl.warehouse().rows(ROWS), expected(), "{message}");
    }
}

#[test]
fn bad_records_are_in_the_reject_file_as_they_came() {
    let server = serve(|_| Response::json(r#"[{"id":1},{"id":"x","o":{"a":1}},{"id":2}]"#));
    let etl = workspace(&server, "", "    columns: {types: {id: integer}}\n");
    let result = load(&etl).exits(0).json();
    assert_eq!(result["runs"][0]["sources"][0]["records_rejected"], 1, "{result:#}");
    let run = std::fs::read_dir(etl.path(".etlsched/rejects")).expect("rejects").next().expect("a run").expect("a folder").path();
    let text = std::fs::read_to_string(run.join("orders.csv")).expect("the reject file");
    assert!(text.contains("page 1, record 2") && text.contains(r#"{""id"":""x"",""o"":{""a"":1}}"#), "{text}");
}
