//! Files and APIs of web servers through the whole program: proxies, redirects, servers that mean harm.

use crate::etl::Etl;
use crate::servers::http::{HttpServer, Request, Response, serve};

fn csv_job(url: &str) -> String {
    format!("data_sources:\n  - name: t\n    path: \"{url}\"\n")
}

#[test]
fn a_proxy_is_asked_for_files_and_never_for_metadata() {
    let proxy = serve(|_| Response::new(200, "id\n1\n").header("Content-Type", "text/csv"));
    let etl = Etl::new().env("http_proxy", &proxy.url("/")).file("jobs/good.yaml", csv_job("http://files.test/a.csv"));
    etl.run(&["run", "good"]).exits(0);
    assert_eq!(proxy.seen()[0].target, "http://files.test/a.csv");
    let before = proxy.seen().len();
    for host in ["metadata.google.internal", "169.254.169.254", "0xA9FEA9FE", "[::ffff:a9fe:a9fe]"] {
        etl.write("jobs/bad.yaml", csv_job(&format!("http://{host}/latest")));
        let refused = etl.run(&["run", "bad"]).exits(1);
        let shown = format!("{}{}", refused.stdout, refused.stderr);
        assert!(shown.contains("is a link-local or cloud metadata address; allow_link_local: true allows it"), "{shown}");
    }
    assert_eq!(proxy.seen().len(), before);
}

#[test]
fn a_redirect_to_metadata_or_to_a_file_loads_nothing() {
    let forbidden = "a redirect is not followed";
    for (target, reason) in [
        ("http://169.254.169.254/latest/meta-data/", forbidden),
        ("http://metadata.google.internal/", forbidden),
        ("file:///etc/passwd", "the server answered 302 Found"),
    ] {
        let server = serve(move |_| Response::redirect(302, target));
        let etl = Etl::new().file("jobs/t.yaml", csv_job(&server.url("/a.csv")));
        let refused = etl.run(&["run", "t"]).exits(1);
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
        assert_eq!(server.seen().len(), 1);
    }
}

const TOKEN: &str = "tok-SECRET-4711";

/// A workspace with a job that reads `/items` of a server, with more keys of the source.
fn api(server: &HttpServer, keys: &str) -> Etl {
    let connection = format!("{{type: api, base_url: \"{}\", auth: {{bearer: \"${{TOKEN}}\"}}}}", server.url("/v1"));
    Etl::new()
        .env("TOKEN", TOKEN)
        .file("etlsched.yaml", format!("defaults: {{max_retries: 0}}\nconnections:\n  web: {connection}\n"))
        .file("jobs/t.yaml", format!("data_sources:\n  - name: t\n    connection: web\n    endpoint: /items\n{keys}"))
}

/// Loads two rows first; then the server answers otherwise, the load fails for that reason, and the two rows are still there.
#[track_caller]
fn refuses(keys: &str, answer: impl Fn(&Request) -> Response + Send + Sync + 'static, reason: &str) {
    let is_bad = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let switch = std::sync::Arc::clone(&is_bad);
    let server = serve(move |request| {
        if switch.load(std::sync::atomic::Ordering::Relaxed) {
            return answer(request);
        }
        let is_first = request.parameter("page").is_none_or(|page| page == "1");
        Response::json(if is_first { r#"{"items":[{"id":1},{"id":2}]}"# } else { r#"{"items":[]}"# })
    });
    let etl = api(&server, keys);
    etl.run(&["run", "t"]).exits(0);
    is_bad.store(true, std::sync::atomic::Ordering::Relaxed);
    let failed = etl.run(&["run", "t"]).exits(1);
    let shown = format!("{}{}", failed.stdout, failed.stderr);
    assert!(shown.contains(reason), "{reason:?} is not in: {shown}");
    let log = etl.run(&["logs", "--run", "last"]).exits(0);
    assert!(!format!("{shown}{}{}", log.stdout, log.stderr).contains("SECRET"), "{shown}");
    assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id").join(" "), "1 2");
}

#[test]
fn servers_that_mean_harm_fail_the_load_and_the_table_stays() {
    let paged = "    pagination: {page: {}}\n";
    let linked = "    pagination: {link_header: {}}\n";
    let next = "    pagination: {next_url: {path: next}}\n";
    let page = |number: usize| format!("{{\"items\":[{{\"id\":{number}}}]}}");
    refuses(&format!("{paged}    max_pages: 20\n"), move |request| Response::json(page(request.number)), "there are more than 20 pages");
    refuses(paged, |_| Response::json(r#"{"items":[{"id":7}]}"#), "3 pages in a row have equal records");
    let round = |request: &Request| {
        Response::json(format!("[{}]", request.number)).header("Link", &format!("<?p={}>; rel=next", request.number % 2))
    };
    refuses(linked, move |request| round(request), "leads to a request that was made before");
    let broken = |_: &Request| Response::json("[1]").header("Link", "<?p=2; rel=next");
    refuses(linked, broken, "header Link: the target of a link has no end");
    refuses(next, |_| Response::json(r#"{"items":[],"next":"file:///etc/passwd"}"#), "neither http nor https");
    let metadata = |_: &Request| Response::json(r#"{"items":[],"next":"http://169.254.169.254/latest"}"#);
    refuses(next, metadata, "169.254.169.254 is a link-local or cloud metadata address");
    refuses("", |_| Response::redirect(302, "http://[fd00:ec2::254]/"), "is a link-local or cloud metadata address");
    refuses("", |_| Response::redirect(302, "file:///etc/passwd"), "the scheme file is neither http nor https");
    refuses("", |_| Response::redirect(302, "/v1/items"), "more than 10 redirects");
    refuses("", |_| Response::new(200, "<html>Log in, tok-SECRET-4711</html>"), "is not JSON");
    refuses("", |_| Response::json(r#"{"items":[{"id":1},"#), "the answer ends in the midst of its JSON");
    refuses("", |_| Response::json("[1]").header("X-Large", &"x".repeat(600_000)), "message head is too large");
    refuses("", |_| Response::new(403, "not you, tok-SECRET-4711").gzip(), "403 Forbidden: not you, ***");
    refuses("", |_| Response::new(202, "{}").header("Retry-After", "7200"), "the server answered 202 Accepted");
}

#[test]
fn a_bomb_and_a_long_wait_end_at_once() {
    refuses("", |_| Response::new(429, "").header("Retry-After", "7200"), "asks to wait 7,200 s");
    // A megabyte of blanks, compressed once and sent eighty times.
    let blanks = Response::json(vec![b' '; 1 << 20]).gzip().times(80);
    refuses("", move |_| blanks.clone(), "that is no data");
}

#[test]
fn pages_are_read_whole_and_other_hosts_learn_nothing() {
    let other = serve(|request| {
        let next = if request.parameter("p") == Some("2") { ", \"next\": \"?p=3\"" } else { "" };
        Response::json(format!("{{\"items\":[{{\"id\":{}}}]{next}}}", request.number + 10)).gzip().chunked(7)
    });
    let there = other.url("/far?p=2");
    let server = serve(move |request| match request.number {
        0 => Response::new(503, "busy").header("Retry-After", "0"),
        1 => Response::redirect(307, "/v1/moved"),
        2 => Response::json("{\"items\":[{\"id\":5}]}").chunked(5).cut_after(25),
        _ => Response::json(format!("{{\"items\":[{{\"id\":1}}],\"next\":\"{there}\"}}")),
    });
    let etl = api(&server, "    records: items\n    headers: {X-Key: \"${TOKEN}\"}\n    pagination: {next_url: {path: next}}\n");
    etl.run(&["run", "t"]).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id").join(" "), "1 10 11");
    let bearer = format!("Bearer {TOKEN}");
    assert!(server.seen().iter().all(|request| request.header("authorization") == Some(&bearer) && request.header("x-key") == Some(TOKEN)));
    assert_eq!((server.seen().len(), other.seen().len()), (4, 2));
    for request in other.seen() {
        assert!(!format!("{request:?}").contains("SECRET"), "{request:?}");
    }
    etl.run(&["logs", "--run", "last"]).exits(0).mentions("503 Service Unavailable: busy; asked again after");
}
