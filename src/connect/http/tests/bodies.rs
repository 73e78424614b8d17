//! Bodies that are cut, bent, slow or too large.

use super::*;

const LONG: &str = "0123456789";

#[track_caller]
fn reads(answer: Response, expected: &str) {
    let server = script(vec![answer]);
    assert_eq!(Bench::new(&connection(&server.url("/"))).text(&server.url("/")).unwrap(), expected);
}

#[track_caller]
fn fails(answer: Response, policy: Policy, code: &str, is_transient: bool, part: &str) {
    let server = script(vec![answer]);
    let policy = Policy { tries: 1, ..policy };
    let error = bench(&connection(&server.url("/")), policy).text(&server.url("/")).unwrap_err();
    assert_eq!((error.code, error.is_transient), (code, is_transient), "{error}");
    assert!(error.message.contains(part), "{error}");
}

#[test]
fn good_bodies_come_whole_however_they_are_sent() {
    let long = LONG.repeat(100_000);
    reads(Response::json(long.clone()), &long);
    reads(Response::json(long.clone()).chunked(777), &long);
    reads(Response::json(long.clone()).gzip(), &long);
    reads(Response::json(long.clone()).gzip().chunked(1000), &long);
    reads(Response::json(long.clone()).http10(), &long);
    reads(Response::json("[1]").drip(1, Duration::from_millis(5)), "[1]");
    reads(Response::new(204, ""), "");
    reads(Response::json("").header("Content-Encoding", "gzip"), "");
    reads(Response::new(200, "<html>hello</html>").header("Content-Type", "text/html"), "<html>hello</html>");
}

#[test]
fn a_deflated_body_is_read_in_both_its_forms() {
    use std::io::Write as _;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(LONG.as_bytes()).unwrap();
    raw.write_all(LONG.as_bytes()).unwrap();
    reads(Response::json(zlib.finish().unwrap()).header("Content-Encoding", "deflate"), LONG);
    reads(Response::json(raw.finish().unwrap()).header("Content-Encoding", "Deflate"), LONG);
}

#[test]
fn a_body_that_is_cut_is_never_taken_for_whole() {
    let policy = Policy::default();
    let whole = LONG.repeat(10_000);
    fails(Response::json(whole.clone()).cut_after(50_000), policy, "cut_short", true, "cut after");
    fails(Response::json(whole.clone()).chunked(1000).cut_after(50_000), policy, "cut_short", true, "cut after");
    fails(Response::json(whole.clone()).content_length(100_001), policy, "cut_short", true, "cut after");
    // The chunk that says "end" is missing, nothing else.
    let chunks = whole.len() + 100 * "3e8\r\n\r\n".len();
    fails(Response::json(whole).chunked(1000).cut_after(chunks), policy, "cut_short", true, "cut after");
    let noise: String = (0..2000_u32).map(|number| format!("{:x}", number.wrapping_mul(2_654_435_761))).collect();
    fails(Response::json(noise.clone()).gzip().http10().cut_after(3000), policy, "cut_short", true, "ends too early");
    fails(Response::json(noise).header("Content-Encoding", "gzip"), policy, "invalid_answer", false, "can't be decompressed");
    fails(Response::json("x").header("Content-Encoding", "br"), policy, "invalid_answer", false, "compressed as br");
}

#[test]
fn an_answer_of_any_length_that_is_cut_is_asked_for_again_unless_it_is_handed_over_early() {
    let whole = LONG.repeat(10_000);
    let cut = || Response::json(whole.clone()).cut_after(50_000);
    let server =
        script(vec![cut(), Response::json("zzz").header("Content-Encoding", "gzip").content_length(9), Response::json(whole.clone())]);
    let mut bench = Bench::new(&connection(&server.url("/")));
    assert_eq!(bench.text(&server.url("/")).unwrap(), whole);
    assert_eq!((bench.seconds_waited(), server.seen().len()), (vec![1, 2], 3));
    // What isn't held in memory comes from a file, and is as whole.
    for held_bytes_max in [1, 10_000, 49_999, 50_000, 100_000, 100_001] {
        let server =
            script(vec![cut(), Response::json(whole.clone()).chunked(1000).cut_after(100_000), Response::json(whole.clone()).gzip()]);
        let mut bench = super::bench(&connection(&server.url("/")), Policy { held_bytes_max, ..Policy::default() });
        assert_eq!(bench.text(&server.url("/")).unwrap(), whole);
        assert_eq!((bench.seconds_waited(), server.seen().len()), (vec![1, 2], 3));
        let log = bench.client.take_log();
        assert!(
            log[0].contains("the answer was cut after 50,000 bytes") && log[0].contains("asked again after 1.0 s, request 2 of 5"),
            "{log:?}"
        );
    }
    let server = script(vec![cut(), cut()]);
    let policy = Policy { is_whole: false, ..Policy::default() };
    let error = super::bench(&connection(&server.url("/")), policy).text(&server.url("/")).unwrap_err();
    assert_eq!((error.code, error.is_transient, server.seen().len()), ("cut_short", true, 1), "{error}");
}

#[test]
fn what_lies_beyond_the_declared_length_is_not_read() {
    reads(Response::json("[1][2]").content_length(3), "[1]");
}

#[test]
fn a_bomb_ends_at_the_limits() {
    let zeros = vec![b'0'; 8 << 20];
    let by_size = Policy { body_bytes_max: 1 << 20, ..Policy::default() };
    fails(Response::json(zeros.clone()).gzip(), by_size, "too_large", false, "more than 1,048,576 bytes");
    let by_ratio = Policy { ratio_bytes_min: 1 << 20, ..Policy::default() };
    fails(Response::json(zeros.clone()).gzip(), by_ratio, "too_large", false, "that is no data");
    fails(Response::json(zeros).chunked(100_000), by_size, "too_large", false, "more than 1,048,576 bytes");
}

#[test]
fn a_body_that_stalls_or_drips_ends() {
    let stalled = Response::json("[1,2,3]").drip(3, Duration::from_secs(3));
    fails(stalled, Policy::default(), "cut_short", true, "after 3 bytes: nothing more came in time");
    let policy = Policy { answer_time: Duration::from_millis(100), bytes_per_second_min: 1000, ..Policy::default() };
    let dripping = Response::json(LONG.repeat(10)).drip(1, Duration::from_millis(20));
    fails(dripping, policy, "timeout", true, "the answer drips");
}

#[test]
fn a_head_beyond_measure_is_refused() {
    let server = script(vec![
        Response::json("[]").header("X-Large", &"x".repeat(600_000)),
        (0..300).fold(Response::json("[]"), |answer, number| answer.header(&format!("X-{number}"), "1")),
        (0..150).fold(Response::json("[]"), |answer, number| answer.header(&format!("X-{number}"), "1")),
    ]);
    let mut bench = Bench::new(&connection(&server.url("/")));
    for _ in 0..2 {
        let error = bench.get(&server.url("/")).unwrap_err();
        assert_eq!((error.code, error.is_transient), ("invalid_answer", false), "{error}");
    }
    bench.get(&server.url("/")).unwrap();
}

#[test]
fn an_error_is_shown_with_the_start_of_its_body_and_without_secrets_or_escapes() {
    let body = format!("\u{1b}[31mtok-SECRET-77 {} tok-SECRET-77", "é".repeat(600));
    let server = script(vec![Response::new(404, body).gzip()]);
    let error = Bench::new(&bearer(&server.url("/"))).get(&server.url("/x?token=SECRET")).unwrap_err();
    has_no_secret(&format!("{error:?}"));
    let start = format!("GET {}?token=…: the server answered 404 Not Found: \\u{{1b}}[31m*** é", server.url("/x"));
    assert!(error.message.starts_with(&start), "{error}");
    assert!(error.message.chars().count() < start.chars().count() + 510, "{error}");
    assert_eq!(error.code, "not_found");
}
