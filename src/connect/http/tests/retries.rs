//! What is tried again, when, and how often.

use super::*;

#[test]
fn what_may_pass_is_tried_again_with_growing_waits_and_told() {
    let server = script(vec![Response::new(503, "busy"), Response::reset(), Response::new(429, ""), Response::json("[1]")]);
    let mut bench = Bench::new(&connection(&server.url("/")));
    assert_eq!(bench.text(&server.url("/a?key=SECRET")).unwrap(), "[1]");
    assert_eq!(bench.seconds_waited(), [1, 2, 4]);
    let log = bench.client.take_log();
    let first = format!(
        "GET {}?key=…: the server answered 503 Service Unavailable: busy; asked again after 1.0 s, request 2 of 5",
        server.url("/a")
    );
    assert_eq!((log.len(), log[0].as_str()), (3, first.as_str()), "{log:?}");
    has_no_secret(&log.join("\n"));
    assert_eq!(bench.client.take_log(), Vec::<String>::new());
}

#[test]
fn five_tries_are_enough_and_other_refusals_are_not_tried_again() {
    let server = serve(|request| Response::new(if request.path() == "/busy" { 500 } else { 400 }, "no"));
    let mut bench = Bench::new(&connection(&server.url("/")));
    let error = bench.get(&server.url("/busy")).unwrap_err();
    let expected = format!("GET {}: the server answered 500 Internal Server Error: no (5 requests in one attempt)", server.url("/busy"));
    assert_eq!((error.message, error.is_transient, server.seen().len()), (expected, true, 5));
    let error = bench.get(&server.url("/bad")).unwrap_err();
    let expected = format!("GET {}: the server answered 400 Bad Request: no", server.url("/bad"));
    assert_eq!((error.message, error.code, error.is_transient, server.seen().len()), (expected, "http_status", false, 6));
}

#[test]
fn a_server_says_when_to_ask_again_in_seconds_or_by_date() {
    let server = script(vec![
        Response::new(429, "").header("Retry-After", "7"),
        Response::new(503, "").header("Retry-After", "Wed, 21 Oct 2026 07:30:00 GMT").header("Date", "Wed, 21 Oct 2026 07:29:00 GMT"),
        Response::new(429, "").header("Retry-After", "Wed, 21 Oct 2026 07:28:30 GMT").header("Date", "nonsense"),
        Response::new(403, "").header("X-RateLimit-Remaining", "0").header("X-RateLimit-Reset", "1792567690").header("Date", ""),
        Response::json("{}"),
    ]);
    let mut bench = Bench::new(&connection(&server.url("/")));
    assert_eq!(bench.text(&server.url("/")).unwrap(), "{}");
    assert_eq!(bench.seconds_waited(), [7, 60, 30, 11]);
}

#[test]
fn a_long_wait_is_the_matter_of_the_run() {
    let server = script(vec![Response::new(429, "slow down").header("Retry-After", "3600")]);
    let mut bench = Bench::new(&connection(&server.url("/")));
    let error = bench.get(&server.url("/")).unwrap_err();
    assert_eq!((error.code, error.is_transient, error.retry_after), ("rate_limited", true, Some(Duration::from_secs(3600))));
    let expected = format!("GET {}: the server answered 429 Too Many Requests: slow down (asks to wait 3,600 s)", server.url("/"));
    assert_eq!((error.message, bench.seconds_waited()), (expected, vec![]));
}

#[test]
fn a_server_that_is_gone_or_silent_is_tried_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut bench = Bench::new(&connection(&format!("http://127.0.0.1:{port}/")));
    let error = bench.get(&format!("http://127.0.0.1:{port}/")).unwrap_err();
    assert_eq!((error.code, error.is_transient, bench.seconds_waited().len()), ("unreachable", true, 4), "{error}");
    let server = script(vec![Response::hang(), Response::json("[]")]);
    let mut bench = Bench::new(&connection(&server.url("/")));
    assert_eq!(bench.text(&server.url("/")).unwrap(), "[]");
    assert!(bench.client.take_log()[0].contains(": timed out; asked again"));
}

#[test]
fn an_answer_that_comes_later_or_is_no_answer_is_an_error() {
    let server = serve(|_| Response::new(202, "{\"job\": 1}"));
    let mut bench = Bench::new(&connection(&server.url("/")));
    let error = bench.get(&server.url("/")).unwrap_err();
    assert_eq!((error.code, error.is_transient), ("not_ready", true));
    let server = script(vec![Response::raw("SSH-2.0-OpenSSH_9.2\r\n")]);
    let mut bench = Bench::new(&connection(&server.url("/")));
    let error = bench.get(&server.url("/")).unwrap_err();
    assert_eq!((error.code, error.is_transient), ("invalid_answer", false), "{error}");
}

#[test]
fn the_rate_limit_is_kept_also_by_tries_and_redirects() {
    let server = serve(|request| match request.path() {
        "/a" => Response::redirect(302, "/b"),
        _ => Response::json("[]"),
    });
    let limited = ApiConnection { rate_limit: Some(RateLimit { requests: 2, seconds: 60 }), ..connection(&server.url("/")) };
    let mut bench = Bench::new(&limited);
    for _ in 0..3 {
        bench.text(&server.url("/a")).unwrap();
    }
    assert_eq!((bench.seconds_waited(), server.seen().len()), (vec![60, 60], 6));
    assert_eq!(bench.client.take_log(), ["rate_limit: waited 120.0 s in all before 2 requests"]);
}

#[test]
fn a_raised_flag_ends_waits_and_answers_at_once() {
    let stopped_soon = |client: &mut HttpClient| {
        let flag = Arc::new(AtomicBool::new(false));
        client.stop_by(Arc::clone(&flag));
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            flag.store(true, Ordering::Relaxed);
        });
    };
    let ends_soon = |connection: &ApiConnection, url: &str, asked: usize| {
        let mut client = HttpClient::open(connection).unwrap();
        stopped_soon(&mut client);
        let begun = Instant::now();
        let error = (0..=asked).find_map(|_| client.send(&get(url)).err()).unwrap();
        assert_eq!((error.code, error.is_transient), ("cancelled", false), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    };
    let server = serve(|_| Response::new(503, "").header("Retry-After", "60"));
    ends_soon(&connection(&server.url("/")), &server.url("/"), 0);
    let server = serve(|_| Response::json("[]"));
    let limited = ApiConnection { rate_limit: Some(RateLimit { requests: 1, seconds: 60 }), ..connection(&server.url("/")) };
    ends_soon(&limited, &server.url("/"), 1);
    assert_eq!(server.seen().len(), 1);
    // More than is held in memory, and then little by little.
    let server = serve(|_| Response::json("x".repeat(2 << 20)).drip(20_000, Duration::from_millis(100)));
    ends_soon(&connection(&server.url("/")), &server.url("/"), 0);
}

#[test]
fn connecting_has_its_own_time_whatever_an_answer_has() {
    // Who is connected to this server says nothing, and hears nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let slow = ApiConnection { connect_timeout_seconds: 3, read_timeout_seconds: 1, ..connection(&url) };
    let begun = Instant::now();
    let error = bench(&slow, Policy { tries: 1, ..Policy::default() }).get(&url).unwrap_err();
    assert_eq!((error.code, error.is_transient), ("timeout", true), "{error}");
    assert!((2900..3900).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}
