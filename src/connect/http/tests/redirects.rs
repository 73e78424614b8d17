//! Where requests are led, and what they take along.

use super::*;

fn code(url: &str, answer: Response) -> (&'static str, String) {
    let server = script(vec![answer]);
    let mut bench = Bench::new(&bearer(&server.url("/")));
    let error = bench.get(&server.url(url)).unwrap_err();
    has_no_secret(&format!("{error:?}"));
    assert!(!error.is_transient, "{error:?}");
    (error.code, error.message)
}

#[test]
fn credentials_stay_on_their_origin() {
    let other = serve(|_| Response::json("[]"));
    let there = other.url("/there");
    let target = there.clone();
    let server = serve(move |request| match request.path() {
        "/same" => Response::redirect(302, "/end"),
        "/other" => Response::redirect(307, &target),
        _ => Response::json("[]"),
    });
    let mut bench = Bench::new(&ApiConnection { secrets: vec![Secret::new("var-SECRET")], ..bearer(&server.url("/")) });
    let headers = [("X-Api-Key", "own-SECRET"), ("Cookie", "s=SECRET"), ("Accept", "application/json"), ("User-Agent", "var-SECRET")];
    let headers: Vec<(String, String)> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let ask = |url: &str| HttpRequest { headers: headers.clone(), ..get(url) };
    let answer = bench.client.send(&ask(&server.url("/same"))).unwrap();
    assert_eq!(answer.url.as_str(), server.url("/end"));
    let own = last_seen(&server);
    assert!(["Bearer tok-SECRET-77", "own-SECRET", "s=SECRET"].iter().all(|secret| own.contains(secret)), "{own}");
    // Behind a redirect, and as a next link.
    for url in [server.url("/other"), there] {
        bench.client.send(&ask(&url)).unwrap();
        let seen = last_seen(&other);
        has_no_secret(&seen);
        assert!(seen.contains("application/json") && !seen.contains("authorization") && !seen.contains("cookie"), "{seen}");
    }
    assert_eq!(other.seen().len(), 2);
}

#[test]
fn a_redirect_never_leads_to_files_metadata_or_in_circles() {
    assert_eq!(code("/", Response::redirect(302, "file:///etc/passwd")).0, "redirect");
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "0xA9FEA9FE", "metadata.google.internal"] {
        let (code, message) = code("/", Response::redirect(302, &format!("http://{host}/latest/meta-data/?t=SECRET")));
        assert_eq!(code, "forbidden_address", "{message}");
    }
    let server = serve(|_| Response::redirect(302, "/again"));
    let mut bench = Bench::new(&connection(&server.url("/")));
    let error = bench.get(&server.url("/")).unwrap_err();
    assert_eq!(error.message, format!("GET {}: more than 10 redirects", server.url("/again")));
    assert_eq!(server.seen().len(), 11);
}

#[test]
fn a_base_url_that_must_not_be_asked_is_refused() {
    let refused = |url: &str| HttpClient::open(&connection(url)).unwrap_err();
    assert_eq!(refused("http://169.254.169.254/").code, "forbidden_address");
    assert_eq!(refused("file:///etc/").message, "base_url file:///etc/: the scheme file is neither http nor https");
    assert_eq!(refused("http://u:SECRET@127.0.0.1/").message, "base_url holds a user or a password");
    HttpClient::open(&ApiConnection { allow_link_local: true, ..connection("http://169.254.169.254/") }).unwrap();
}

#[test]
fn a_body_is_neither_dropped_nor_told_to_another_origin() {
    let other = serve(|_| Response::json("[]"));
    let there = other.url("/");
    let server = serve(move |request| match request.path() {
        "/302" => Response::redirect(302, "/end"),
        "/307" => Response::redirect(307, "/end"),
        "/308" => Response::redirect(308, &there),
        _ => Response::json("[]"),
    });
    let mut bench = Bench::new(&connection(&server.url("/")));
    let mut ask = |path: &str| bench.client.send(&post(&server.url(path), "{\"q\": 1}"));
    let dropped = ask("/302").unwrap_err().message;
    assert_eq!(dropped, format!("POST {}: 302 Found leads to {} and would drop the body", server.url("/302"), server.url("/end")));
    ask("/307").unwrap();
    let seen = last_seen(&server);
    assert!(seen.starts_with("POST /end ") && seen.ends_with("{\"q\": 1}") && seen.contains("application/json"), "{seen}");
    assert!(ask("/308").unwrap_err().message.contains("would send the body to another origin"));
    assert_eq!(other.seen().len(), 0);
}

#[test]
fn a_key_of_the_query_is_sent_to_its_origin_alone() {
    let other = serve(|_| Response::json("[]"));
    let (echo, clean) = (other.url("/?api_key=k-SECRET"), other.url("/?page=2"));
    let server = serve(move |request| match request.path() {
        "/echo" => Response::redirect(302, &echo),
        "/clean" => Response::redirect(302, &clean),
        _ => Response::json("[]"),
    });
    let auth = ApiAuth::ApiKey { name: "api_key".to_owned(), value: Token(Secret::new("k-SECRET")), place: KeyPlace::Query };
    let mut bench = Bench::new(&with_auth(&server.url("/"), auth));
    let answer = bench.get(&server.url("/a?x=1&api_key=old")).unwrap();
    assert_eq!(server.seen()[0].target, "/a?x=1&api_key=k-SECRET");
    has_no_secret(answer.url.as_str());
    let told = bench.get(&server.url("/echo")).unwrap_err();
    assert!(told.message.contains("a redirect would tell a secret to another origin"), "{told}");
    has_no_secret(&format!("{told:?}"));
    assert_eq!(other.seen().len(), 0);
    bench.get(&server.url("/clean")).unwrap();
    assert_eq!(other.seen()[0].target, "/?page=2");
}

#[test]
fn https_is_checked_and_never_left() {
    let plain = serve(|_| Response::json("[]"));
    let there = plain.url("/");
    let (server, folder) = serve_tls(move |request| match request.path() {
        "/down" => Response::redirect(302, &there),
        _ => Response::json("[1]"),
    });
    let stranger = Bench::new(&connection(&server.url("/"))).get(&server.url("/")).unwrap_err();
    assert_eq!((stranger.code, stranger.is_transient), ("tls", false), "{stranger}");
    let trusted = ApiConnection { sslrootcert: Some(folder.join("ca.crt")), ..bearer(&server.url("/")) };
    let mut bench = Bench::new(&trusted);
    assert_eq!(bench.text(&server.url("/")).unwrap(), "[1]");
    let error = bench.get(&server.url("/down")).unwrap_err();
    assert_eq!(error.message, format!("GET {}: a redirect leads from https to http", server.url("/down")));
    // The certificate is of localhost alone.
    let by_number = server.url("/").replace("localhost", "127.0.0.1");
    assert_eq!(Bench::new(&ApiConnection { base_url: by_number.clone(), ..trusted }).get(&by_number).unwrap_err().code, "tls");
    assert_eq!(plain.seen().len(), 0);
}

#[test]
fn who_is_refused_behind_a_redirect_is_told_why_no_credentials_came() {
    let other = serve(|_| Response::new(401, "who are you"));
    let there = other.url("/");
    let server = serve(move |_| Response::redirect(302, &there));
    let error = Bench::new(&bearer(&server.url("/"))).get(&server.url("/")).unwrap_err();
    let hint = "credentials go to the origin of base_url alone; give the URL that answered as base_url if it is yours";
    assert_eq!((error.code, error.hint.as_deref()), ("unauthorized", Some(hint)));
}
