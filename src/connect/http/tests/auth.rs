//! Who asks, and who learns of it.

use super::*;

/// Returns the requests that a server saw with these credentials.
fn asked(auth: ApiAuth) -> String {
    let server = serve(|_| Response::json("[]"));
    Bench::new(&with_auth(&server.url("/"), auth)).get(&server.url("/a")).unwrap();
    last_seen(&server)
}

fn token(text: &str) -> Token {
    Token(Secret::new(text))
}

#[test]
fn credentials_are_sent_as_each_kind_wants() {
    let seen = asked(ApiAuth::Bearer(token("t1")));
    assert!(seen.contains("(\"authorization\", \"Bearer t1\")"), "{seen}");
    let seen = asked(ApiAuth::Basic { user: "Aladdin".to_owned(), password: Some(Secret::new("open sesame")) });
    assert!(seen.contains("(\"authorization\", \"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\")"), "{seen}");
    let seen = asked(ApiAuth::ApiKey { name: "X-Key".to_owned(), value: token("k1"), place: KeyPlace::Header });
    assert!(seen.contains("(\"x-key\", \"k1\")"), "{seen}");
    let seen = asked(ApiAuth::ApiKey { name: "key".to_owned(), value: token("a b&c"), place: KeyPlace::Query });
    assert!(seen.starts_with("GET /a?key=a%20b%26c "), "{seen}");
}

#[test]
fn a_header_that_would_break_the_request_is_refused_without_its_value() {
    let server = serve(|_| Response::json("[]"));
    let mut bench = Bench::new(&connection(&server.url("/")));
    for (name, value, reason) in [
        ("X-A", "a\r\nX-B: SECRET", "header X-A has a value that can't be sent"),
        ("X A", "SECRET", "header X A has a name that can't be sent"),
        ("Host", "SECRET", "header Host is written by the client alone"),
    ] {
        let request = HttpRequest { headers: vec![(name.to_owned(), value.to_owned())], ..get(&server.url("/")) };
        let error = bench.client.send(&request).unwrap_err();
        assert!(error.message.ends_with(reason), "{error}");
        has_no_secret(&format!("{error:?}"));
    }
    assert_eq!(server.seen().len(), 0);
}

fn oauth2(token_url: &str, style: ClientStyle) -> ApiAuth {
    ApiAuth::Oauth2(Oauth2 {
        token_url: token_url.to_owned(),
        client_id: "me:1".to_owned(),
        client_secret: token("cs SECRET/1"),
        scope: Some("read all".to_owned()),
        audience: None,
        style,
    })
}

/// A token server whose tokens are numbered, with more keys of its answer.
fn token_server(more: &'static str) -> HttpServer {
    serve(move |request| Response::json(format!("{{\"access_token\": \"t-SECRET-{}\", \"token_type\": \"Bearer\"{more}}}", request.number)))
}

#[test]
fn a_token_is_fetched_on_first_use_kept_and_fetched_anew_when_refused() {
    let tokens = token_server("");
    let server = serve(|request| {
        let is_late = request.number >= 2 && request.header("authorization") == Some("Bearer t-SECRET-0");
        if is_late { Response::new(401, "expired t-SECRET-0") } else { Response::json("[]") }
    });
    let mut bench = Bench::new(&with_auth(&server.url("/"), oauth2(&tokens.url("/token"), ClientStyle::Basic)));
    assert_eq!(tokens.seen().len(), 0);
    for _ in 0..4 {
        bench.get(&server.url("/a")).unwrap();
    }
    let seen: Vec<String> = server.seen().iter().map(|request| request.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(seen, ["Bearer t-SECRET-0", "Bearer t-SECRET-0", "Bearer t-SECRET-0", "Bearer t-SECRET-1", "Bearer t-SECRET-1"]);
    let first = &tokens.seen()[0];
    assert_eq!((first.method.as_str(), first.body.as_str()), ("POST", "grant_type=client_credentials&scope=read+all"));
    // me%3A1:cs+SECRET%2F1 in base 64.
    assert_eq!(first.header("authorization"), Some("Basic bWUlM0ExOmNzK1NFQ1JFVCUyRjE="));
    let log = bench.client.take_log();
    assert_eq!(log, [format!("GET {}: the server answered 401 Unauthorized: expired ***; a new token is fetched", server.url("/a"))]);
}

#[test]
fn a_second_refusal_is_an_error() {
    let tokens = token_server("");
    let server = serve(|_| Response::new(401, "no"));
    let mut bench = Bench::new(&with_auth(&server.url("/"), oauth2(&tokens.url("/token"), ClientStyle::Basic)));
    let error = bench.get(&server.url("/a")).unwrap_err();
    assert_eq!((error.code, error.is_transient, server.seen().len(), tokens.seen().len()), ("unauthorized", false, 2, 2));
}

#[test]
fn a_token_is_renewed_before_its_end() {
    let tokens = token_server(", \"expires_in\": \"600\"");
    let server = serve(|_| Response::json("[]"));
    let slow = ApiConnection {
        rate_limit: Some(RateLimit { requests: 1, seconds: 300 }),
        ..with_auth(&server.url("/"), oauth2(&tokens.url("/token"), ClientStyle::Body))
    };
    let mut bench = Bench::new(&slow);
    for _ in 0..3 {
        bench.get(&server.url("/a")).unwrap();
    }
    // The third is asked for at 300 s of the clock and sent at 600 s.
    assert_eq!(tokens.seen().len(), 2);
    let body = &tokens.seen()[0].body;
    assert_eq!(body, "grant_type=client_credentials&scope=read+all&client_id=me%3A1&client_secret=cs+SECRET%2F1");
    assert_eq!(tokens.seen()[0].header("authorization"), None);
}

#[test]
fn what_a_token_server_says_is_shown_without_secrets() {
    #[track_caller]
    fn check(answer: Response, code: &str, part: &str) {
        let tokens = script(vec![answer]);
        let server = serve(|_| Response::json("[]"));
        let mut bench = Bench::new(&with_auth(&server.url("/"), oauth2(&tokens.url("/token?k=SECRET"), ClientStyle::Body)));
        let error = bench.get(&server.url("/a")).unwrap_err();
        assert_eq!((error.code, error.is_transient), (code, false), "{error}");
        assert!(error.message.contains(part) && error.message.starts_with("POST "), "{error}");
        has_no_secret(&format!("{error:?}"));
        assert_eq!(server.seen().len(), 0);
    }
    check(Response::new(400, "{\"error\": \"invalid_client\", \"sent\": \"cs+SECRET%2F1\"}"), "http_status", "\"sent\": \"***\"");
    check(Response::new(401, "cs SECRET/1"), "unauthorized", ": ***");
    check(Response::json("<html>SECRET"), "invalid_token", "something else than JSON");
    check(Response::json("{\"token\": \"SECRET\"}"), "invalid_token", "no access_token");
    check(Response::json("{\"access_token\": \"SECRET\", \"token_type\": \"mac\"}"), "invalid_token", "no bearer token");
    check(Response::redirect(307, "http://127.0.0.1:1/"), "redirect", "307");
}

#[test]
fn a_token_server_must_not_be_a_metadata_address() {
    let server = serve(|_| Response::json("[]"));
    let mut bench = Bench::new(&with_auth(&server.url("/"), oauth2("http://169.254.169.254/token", ClientStyle::Basic)));
    assert_eq!(bench.get(&server.url("/")).unwrap_err().code, "forbidden_address");
}

#[test]
fn a_secret_is_hidden_however_an_answer_spells_it() {
    let secret = "p\u{e4}ss/w\"rd 1";
    let spelled = [
        "p\u{e4}ss/w\"rd 1",
        "p%C3%A4ss%2Fw%22rd+1",
        "p%c3%a4ss%2fw%22rd%201",
        "p\u{e4}ss/w\\\"rd 1",
        // As PHP, Python's quote, JSON in ASCII, and HTML have it.
        "p\\u00e4ss\\/w\\\"rd 1",
        "p%C3%A4ss/w%22rd%201",
        "p\\u00e4ss/w\\\"rd 1",
        "p\u{e4}ss/w&quot;rd 1",
        "Basic bWU6cMOkc3MvdyJyZCAx",
    ];
    let server = script(vec![Response::new(400, spelled.join(" | "))]);
    let auth = ApiAuth::Basic { user: "me".to_owned(), password: Some(Secret::new(secret)) };
    let secrets = vec![Secret::new("tenant 7/SECRET")];
    let mut bench = Bench::new(&ApiConnection { secrets, ..with_auth(&server.url("/"), auth) });
    let error = bench.get(&server.url("/tenant%207/SECRET/a?b=SECRET#SECRET")).unwrap_err();
    let expected = format!("GET {}?b=…: the server answered 400 Bad Request: {}Basic ***", server.url("/***/a"), "*** | ".repeat(8));
    assert_eq!(error.message, expected);
}
