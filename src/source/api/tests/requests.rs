//! What is asked, page by page, parent by parent, run by run.

use super::*;

/// The targets that were asked for.
fn targets(api: &Api) -> Vec<String> {
    api.server.seen().iter().map(|request| request.target.clone()).collect()
}

fn at(text: &str) -> Option<CursorValue> {
    Some(CursorValue { column_type: ColumnType::TimestampUtc, text: text.to_owned() })
}

#[test]
fn bounds_are_put_into_every_place_and_encoded_for_it() {
    let mut api = Api::json(r#"[{"id":1,"at":"2026-01-01T10:00:00Z"}]"#);
    api.plan.endpoint = "/since/{last_sync}?day={lower_bound:date}".to_owned();
    api.plan.params = vec![("from".to_owned(), "{lower_bound}".to_owned()), ("unix".to_owned(), "{last_sync:unix}".to_owned())];
    api.plan.headers = vec![("X-Run".to_owned(), "{run_started:unix_ms} {slot}".to_owned())];
    api.plan.method = ApiMethod::Post;
    api.plan.body = Some(ApiBody::Json(r#"{"q": "{viewer{id}} since {lower_bound}", "n": 1.10, "{slot}": "\u00e9"}"#.to_owned()));
    api.options.timestamp_column = Some("at".to_owned());
    api.lower_bound = at("2026-01-01T00:00:00Z");
    api.read().unwrap();
    let request = &api.server.seen()[0];
    let expected = "/v1/since/2025-12-31T23%3A59%3A59.999999Z?day=2026-01-01&from=2026-01-01T00%3A00%3A00Z&unix=1767225599";
    assert_eq!(request.target, expected);
    assert_eq!(request.header("x-run"), Some("1767326400000 2026-01-02T03:00:00Z"));
    assert_eq!(request.body, r#"{"q": "{viewer{id}} since 2026-01-01T00:00:00Z", "n": 1.10, "2026-01-02T03:00:00Z": "\u00e9"}"#);
}

#[test]
fn a_number_alone_in_a_string_of_a_body_becomes_a_number() {
    let mut api = Api::json(r#"[{"id":1}]"#);
    api.plan.method = ApiMethod::Post;
    let body = r#"{"since": "{last_sync:unix}", "to" : ["{run_started:unix_ms}" , "at {slot:unix}"], "{slot:unix}" : "{lower_bound:date}", "x": "{lower_bound:unix|-5}", "y": "{lower_bound:unix|all}", "z": "{lower_bound:unix}"}"#;
    api.plan.body = Some(ApiBody::Json(body.to_owned()));
    api.options.timestamp_column = Some("at".to_owned());
    api.lower_bound = at("2026-01-01T00:00:00Z");
    api.read().unwrap();
    api.lower_bound = None;
    api.read().unwrap();
    let bodies: Vec<String> = api.server.seen().iter().map(|request| request.body.clone()).collect();
    assert_eq!(
        bodies,
        [
            r#"{"since": 1767225599, "to" : [1767326400000 , "at 1767322800"], "1767322800" : "2026-01-01", "x": 1767225600, "y": 1767225600, "z": 1767225600}"#,
            r#"{"since": 0, "to" : [1767326400000 , "at 1767322800"], "1767322800" : "1970-01-01", "x": -5, "y": "all", "z": 0}"#
        ]
    );
}

#[test]
fn a_first_run_asks_from_the_least_value_on() {
    let mut api = Api::json(r#"[{"id":1}]"#);
    api.plan.params = vec![("a".to_owned(), "{last_sync}".to_owned()), ("b".to_owned(), "{lower_bound|0}".to_owned())];
    api.read().unwrap();
    api.options.timestamp_column = Some("id".to_owned());
    api.rules.types = vec![("id".to_owned(), ColumnType::Int16)];
    api.read().unwrap();
    assert_eq!(targets(&api), ["/v1/records?a=1970-01-01T00%3A00%3A00Z&b=0", "/v1/records?a=-32768&b=0"]);
}

#[test]
fn records_from_before_the_bound_are_left_out_where_the_api_cannot_filter() {
    let mut api = Api::json(
        r#"[{"id":1,"at":"2025-12-31T23:59:59.999999Z"},{"id":2,"at":"2026-01-01T01:00:00+01:00"},{"id":3,"at":null},{"id":4,"at":"2026-01-03"}]"#,
    );
    api.options.timestamp_column = Some("at".to_owned());
    api.lower_bound = at("2026-01-01T00:00:00Z");
    // A column of two kinds of times is text, which has no order.
    api.fails("bad_cursor", "timestamp_column at is text, and the cursor \"2026-01-01T00:00:00Z\" is timestamp_utc");
    let mut api =
        Api::json(r#"[{"id":1,"at":"2025-12-31T23:59:59.999999Z"},{"id":2,"at":"2026-01-01T01:00:00+01:00"},{"id":3,"at":null}]"#);
    api.options.timestamp_column = Some("at".to_owned());
    api.lower_bound = at("2026-01-01T00:00:00Z");
    let told = api.read().unwrap();
    assert_eq!(told.rows, ["2|2026-01-01T00:00:00Z", "3|-"]);
    assert!(told.log.iter().any(|line| line == "1 record on 1 page") || told.log.contains(&"3 records on 1 page".to_owned()), "{told:?}");
}

#[test]
fn each_parent_makes_a_request_with_pages_of_its_own() {
    let mut api = Api::new(|request| match (request.path(), request.parameter("page")) {
        ("/v1/users", Some("1")) => Response::json(r#"{"data":[{"id":"a/b","o":{"n":1}},{"id":"c","o":{"n":2}}]}"#),
        ("/v1/users", _) => Response::json(r#"{"data":[{"id":"c","o":{"n":2}}]}"#),
        ("/v1/users/a%2Fb/orders", _) => Response::json(r#"[{"id":1}]"#).header("Link", "</v1/more>; rel=\"next\""),
        ("/v1/more", _) => Response::json(r#"[{"id":2}]"#),
        ("/v1/users/c/orders", _) => Response::json("[]"),
        other => Response::new(500, format!("{other:?}")),
    });
    api.plan.endpoint = "/users/{parent.id}/orders".to_owned();
    api.plan.pagination = Pagination::LinkHeader { rel: "next".to_owned() };
    let mut parent = ApiSourcePlan { endpoint: "/users".to_owned(), records: Some("data".to_owned()), ..api.plan.clone() };
    let param = "page".to_owned();
    parent.pagination = Pagination::Page { param, start: 1, size_param: None, size: Some(2), total_pages: None, has_more: None };
    api.plan.for_each = Some(Box::new(ForEach { parent, keys: vec!["id".to_owned(), "o.n".to_owned()] }));
    let told = api.read().unwrap();
    assert_eq!(told.schema, "parent__id text, parent__o__n bigint, id bigint");
    assert_eq!(told.rows, ["a/b|1|1", "a/b|1|2"]);
    assert!(told.log.contains(&"1 record of the parent came before and were left out".to_owned()), "{:?}", told.log);
    assert_eq!(targets(&api)[2..], ["/v1/users/a%2Fb/orders", "/v1/more", "/v1/users/c/orders"]);
}

#[test]
fn a_child_that_fails_fails_the_load_and_a_parent_without_its_key_too() {
    let mut api = Api::new(|request| match request.path() {
        "/v1/users" => Response::json(r#"[{"id":1},{"id":2}]"#),
        "/v1/users/1" => Response::json(r#"[{"id":1}]"#),
        _ => Response::new(403, "not yours"),
    });
    api.plan.endpoint = "/users/{parent.id}".to_owned();
    let parent = ApiSourcePlan { endpoint: "/users".to_owned(), ..api.plan.clone() };
    api.plan.for_each = Some(Box::new(ForEach { parent: parent.clone(), keys: vec!["id".to_owned()] }));
    let error = api.read().unwrap_err();
    assert!(
        error.message.starts_with("parent id 2: ") && error.message.contains("403") && error.message.contains("not yours"),
        "{error:?}"
    );
    api.plan.for_each = Some(Box::new(ForEach { parent, keys: vec!["id".to_owned(), "name".to_owned()] }));
    api.fails("invalid_data", "parent, page 1, record 1: no text or number at key name");
}

#[test]
fn pages_beyond_the_most_that_are_allowed_fail_the_load() {
    let mut api = Api::pages(&[r#"[{"id":1}]"#, r#"[{"id":2}]"#, r#"[{"id":3}]"#]);
    api.plan.max_pages = Some(2);
    api.fails("max_pages", "there are more than 2 pages");
}

#[test]
fn no_page_is_fetched_behind_the_rows_that_are_looked_at() {
    let mut api = Api::pages(&[r#"[{"id":1},{"id":2}]"#, r#"[{"id":3},{"id":4}]"#, r#"[{"id":"x"}]"#]);
    api.rows_max = Some(3);
    api.check("id bigint", &["1", "2", "3"]);
    assert_eq!(api.server.seen().len(), 2);
}

#[test]
fn few_rows_of_many_parents_need_few_requests() {
    let mut api = Api::new(|request| match (request.path(), request.parameter("page")) {
        ("/v1/users", Some(page)) => Response::json(format!(r#"[{{"id":"{page}a"}},{{"id":"same"}}]"#)),
        (path, _) if path.ends_with("same") => Response::json("[]"),
        (path, _) => Response::json(format!(r#"[{{"of":"{path}"}},{{"of":"second"}}]"#)),
    });
    api.plan.endpoint = "/users/{parent.id}".to_owned();
    let param = "page".to_owned();
    let by_page = Pagination::Page { param, start: 1, size_param: None, size: None, total_pages: None, has_more: None };
    let parent = ApiSourcePlan { endpoint: "/users".to_owned(), pagination: by_page, ..api.plan.clone() };
    api.plan.for_each = Some(Box::new(ForEach { parent, keys: vec!["id".to_owned()] }));
    api.rows_max = Some(3);
    api.check("parent__id text, of text", &["1a|/v1/users/1a", "1a|second", "2a|/v1/users/2a"]);
    assert_eq!(targets(&api), ["/v1/users?page=1", "/v1/users/1a", "/v1/users/same", "/v1/users?page=2", "/v1/users/2a"]);
    api.rows_max = Some(2);
    api.check("parent__id text, of text", &["1a|/v1/users/1a", "1a|second"]);
    assert_eq!(targets(&api)[5..], ["/v1/users?page=1", "/v1/users/1a"]);
}

#[test]
fn whoever_waits_hears_how_far_it_is_and_may_have_it_stop() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    let api = Api::pages(&[r#"[{"id":1},{"id":2}]"#, r#"[{"id":3}]"#, r#"[{"id":4}]"#]);
    let stream = Stream::only("s");
    let request = ReadRequest::whole(&stream, &api.options, Moments { slot: Utc::now(), run_started: Utc::now() });
    let (flag, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let (raised, noted) = (Arc::clone(&flag), Arc::clone(&heard));
    let mut source = api.source();
    source.attend(Attendant::new(Arc::clone(&flag), move |rows, bytes| {
        noted.lock().unwrap().push((rows, bytes));
        raised.store(rows == 3, Ordering::Relaxed);
    }));
    let error = source.open(&request).unwrap_err();
    assert_eq!((error.code, error.is_transient), ("cancelled", false), "{error}");
    assert_eq!((heard.lock().unwrap().as_slice(), api.server.seen().len()), (&[(2, 19), (3, 29)][..], 2));
    assert_eq!(source.test().unwrap_err().code, "cancelled");
}

#[test]
fn a_page_that_is_cut_is_asked_for_again_and_no_record_comes_twice() {
    let record = |id: usize| format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(1000));
    let page = move |from: usize| format!("[{}]", (from..from + 3000).map(record).collect::<Vec<_>>().join(","));
    let mut api = Api::new(move |request| match (request.number, request.parameter("page")) {
        (_, Some("1")) => Response::json(page(0)),
        // A text in the part that is cut: the column stays a number.
        (1, _) => Response::json(page(3000).replace(r#""id":3001,"#, r#""id":"x","#)).cut_after(2_500_000),
        (_, Some("2")) => Response::json(page(3000)),
        _ => Response::json("[]"),
    });
    api.plan.pagination =
        Pagination::Page { param: "page".to_owned(), start: 1, size_param: None, size: None, total_pages: None, has_more: None };
    let told = api.read().unwrap();
    assert_eq!((told.schema.as_str(), told.rows.len(), api.server.seen().len()), ("id bigint, text text", 6000, 4));
    assert!(told.rows.iter().enumerate().all(|(place, row)| row.starts_with(&format!("{place}|"))));
    assert!(
        told.log.iter().any(|line| line.contains("the answer was cut after 2,500,000 bytes") && line.contains("request 2 of 5")),
        "{told:?}"
    );
}

#[test]
fn a_test_asks_once_and_says_what_came() {
    let api = Api::pages(&[r#"[{"id":1},{"id":2}]"#, r#"[{"id":3}]"#]);
    assert_eq!(api.source().test().unwrap(), "200 OK, 2 records in the first page");
    assert_eq!(api.server.seen().len(), 1);
}

#[test]
fn an_endpoint_lies_below_the_base_url_or_on_its_origin() {
    let mut api = Api::json("[1]");
    let url = |api: &Api, endpoint: &str| {
        let connection = &api.plan.connection;
        request::url(connection, endpoint).map(|url| url.to_string().replace(&api.server.url(""), "")).map_err(|error| error.message)
    };
    assert_eq!(url(&api, "leads").as_deref(), Ok("/v1/leads"));
    assert_eq!(url(&api, "/leads?a=1").as_deref(), Ok("/v1/leads?a=1"));
    assert_eq!(url(&api, "").as_deref(), Ok("/v1"));
    assert_eq!(url(&api, &api.server.url("/v2/x")).as_deref(), Ok("/v2/x"));
    assert!(url(&api, "https://elsewhere.example/x").unwrap_err().contains("leads to https://elsewhere.example"));
    api.plan.connection.base_url += "/?key=1";
    assert_eq!(url(&api, "/leads?a=1").as_deref(), Ok("/v1/leads?a=1&key=1"));
}
