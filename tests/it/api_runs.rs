//! Runs over APIs: other formats than JSON, children of parents, what is told while pages come, and how soon a run ends that is told to.

use std::time::{Duration, Instant};

use crate::etl::Etl;
use crate::servers::http::{HttpServer, Response, serve};

/// A workspace whose job `load` reads an API into the table `t`.
fn workspace(server: &HttpServer, source: &str) -> Etl {
    let settings = format!("connections:\n  web: {{type: api, base_url: \"{}\"}}\n", server.url("/v1"));
    Etl::new()
        .file("etlsched.yaml", settings)
        .file("jobs/load.yaml", format!("data_sources:\n  - name: t\n    connection: web\n    endpoint: /items\n{source}"))
}

/// Returns how many rows were added and rejected.
#[track_caller]
fn load(etl: &Etl) -> (u64, u64) {
    let result = etl.run(&["run", "load", "-o", "json"]).exits(0).json();
    let count = |name: &str| result["runs"][0]["sources"][0][name].as_u64().expect("a count");
    (count("records_added"), count("records_rejected"))
}

fn by_page(pages: &'static [&'static str]) -> HttpServer {
    serve(move |request| {
        let page: usize = request.parameter("page").map_or(1, |page| page.parse().expect("a number"));
        Response::new(200, pages.get(page - 1).copied().unwrap_or_default()).header("Content-Type", "text/plain")
    })
}

#[test]
fn lines_of_json_are_read_and_wrong_ones_are_rejected() {
    let server = by_page(&[
        "{\"id\":1,\"n\":12345678901234567890123,\"o\":{\"a\":[1, 2]}}\r\n\n  {\"id\":2,\"s\":\"ü\"}\n",
        "{\"id\":3}\n{\"id\":4,]\n{\"id\":5,\"s\":\"\\ud83d\\ude00\"}",
    ]);
    let etl = workspace(&server, "    format: ndjson\n    pagination: {page: {}}\n    etl_config: {on_bad_row: reject, max_bad_rows: 9}\n");
    for _ in 0..2 {
        assert_eq!(load(&etl), (4, 1));
        let rows = etl.warehouse().rows("SELECT id, n, o__a, s FROM t ORDER BY id");
        assert_eq!(rows, ["1|12345678901234567890123|[1, 2]|NULL", "2|NULL|NULL|ü", "3|NULL|NULL|NULL", "5|NULL|NULL|😀"]);
    }
    etl.run(&["logs", "--run", "last"]).exits(0).mentions("5 records on 3 pages");
}

#[test]
fn delimited_pages_have_a_header_each_and_their_own_order() {
    let server = by_page(&["id;price;text\n1;1,5;\"a;b\"\n2;;\"x\"\"y\"\n", "text;id;more\nc;3;2026-01-02\nd;x;y;z\n", "id;price;text\n"]);
    let etl = workspace(&server, "    format: csv\n    pagination: {page: {}}\n    etl_config: {on_bad_row: reject, max_bad_rows: 9}\n");
    for _ in 0..2 {
        assert_eq!(load(&etl), (3, 1));
        let rows = etl.warehouse().rows("SELECT id, price, text, more FROM t ORDER BY id");
        assert_eq!(rows, ["1|1,5|a;b|NULL", "2|NULL|x\"y|NULL", "3|NULL|c|2026-01-02"]);
    }
}

#[test]
fn each_record_of_a_parent_makes_a_request_of_its_own() {
    let server = serve(|request| match (request.path(), request.parameter("page")) {
        ("/v1/users", Some("1")) => {
            Response::json(r#"{"data":[{"id":7,"team":{"name":"a/b"}},{"id":9007199254740993,"team":{"name":"ü"}}]}"#)
        }
        ("/v1/users", _) => Response::json(r#"{"data":[]}"#),
        ("/v1/teams/a%2Fb/users/7", Some("1")) => Response::json(r#"[{"order":1},{"order":2}]"#),
        ("/v1/teams/%C3%BC/users/9007199254740993", Some("1")) => Response::json(r#"[{"order":3}]"#),
        (path, Some(_)) if path.starts_with("/v1/teams/") => Response::json("[]"),
        other => Response::new(500, format!("{other:?}")),
    });
    let source =
        "    pagination: {page: {}}\n    for_each: {endpoint: /users, records: data, keys: [id, team.name], pagination: {page: {}}}\n";
    let etl = workspace(&server, source);
    let job = std::fs::read_to_string(etl.path("jobs/load.yaml")).expect("the job");
    etl.write("jobs/load.yaml", job.replace("/items", "\"/teams/{parent.team.name}/users/{parent.id}\""));
    for _ in 0..2 {
        assert_eq!(load(&etl), (3, 0));
        let rows = etl.warehouse().rows("SELECT parent__id, parent__team__name, \"order\" FROM t ORDER BY 3");
        assert_eq!(rows, ["7|a/b|1", "7|a/b|2", "9007199254740993|ü|3"]);
    }
    let before = server.seen().len();
    etl.run(&["source", "preview", "load", "--rows", "2"]).exits(0).mentions("a/b");
    assert_eq!(server.seen().len() - before, 2, "a page of parents, and a page of the first one's");
}

/// Pages of a record each, then one that has the client wait for minutes.
fn stalling() -> HttpServer {
    serve(|request| match request.number {
        0..5 => Response::json(format!("[{{\"id\":{}}}]", request.number)),
        _ => Response::new(429, "slow down").header("Retry-After", "250"),
    })
}

#[test]
fn a_run_tells_what_came_and_ends_soon_when_it_is_cancelled_in_a_wait() {
    let server = stalling();
    let etl = workspace(&server, "    pagination: {page: {}}\n");
    // It goes on once a line of progress tells of rows while the stream is loading.
    let run = etl.start("load");
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.id()).expect("a process id")).expect("a process id");
    let begun = Instant::now();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the run is at work");
    let (code, said) = run.end();
    assert_eq!(code, Some(143), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let log = etl.run(&["logs", "load", "-o", "json"]).exits(0).json();
    assert_eq!(log["logs"][0]["status"], "cancelled", "{log:#}");
}

#[test]
fn a_time_limit_ends_a_wait_for_a_server() {
    let server = stalling();
    let etl = workspace(&server, "    pagination: {page: {}}\n");
    let begun = Instant::now();
    etl.run(&["run", "load", "--timeout-seconds", "2"]).exits(124);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(server.seen().len(), 6);
}
