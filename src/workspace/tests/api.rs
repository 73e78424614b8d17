//! What files say of REST APIs.

use super::*;
use crate::plan::api::{ApiAuth, ApiBody, ApiFormat, ApiMethod, ApiSourcePlan, KeyPlace, Pagination, RateLimit};

const API: &str = "connections:\n  crm: {type: api, base_url: \"https://api.example.com/v2\"}\n";

fn plan(settings: &str, job: &str, variables: &[(&str, &str)]) -> ApiSourcePlan {
    let folder = Folder::new(&[(FILE, settings), ("jobs/x.yaml", job)]);
    let loaded = folder.find(variables).unwrap().load(&id("x"), Secrets::Fetched).unwrap();
    match loaded.job.sources[0].kind.clone() {
        SourceKind::Api(plan) => *plan,
        other => panic!("{}", other.name()),
    }
}

#[test]
fn a_source_says_what_is_asked_and_how_it_is_read() {
    let settings = r#"connections:
  crm:
    type: api
    base_url: "https://api.example.com/v2"
    auth: {oauth2: {token_url: "https://login.example.com/token", client_id: etl, client_secret: "${SECRET}", scope: read, style: body}}
    headers: {Accept: application/json, X-Version: "1"}
    pagination: {page: {size: 50, size_param: per_page}}
    rate_limit: 600/min
    read_timeout_seconds: 7
"#;
    let job = r#"data_sources:
  - connection: crm
    endpoint: /users/{parent.id}/orders.json
    method: POST
    params: {limit: 100, open: true, state: [a, b], since: "{last_sync:date}"}
    headers: {x-version: "2"}
    body: {query: "{viewer}", n: 1.10, list: [null, x]}
    records: data.items
    pagination: {cursor: {path: meta.next, param: /after, has_more: meta.more}}
    max_pages: 7
    etl_config: {flatten_depth: 3}
    for_each: {endpoint: /users, records: "", keys: [name]}
"#;
    let plan = plan(settings, job, &[("SECRET", "hunter22")]);
    assert_eq!((plan.endpoint.as_str(), plan.method, plan.flatten_depth), ("/users/{parent.id}/orders.json", ApiMethod::Post, 3));
    let pairs = |pairs: &[(String, String)]| pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    assert_eq!(pairs(&plan.params), "limit=100 open=true state=a state=b since={last_sync:date}");
    assert_eq!(pairs(&plan.headers), "Accept=application/json x-version=2");
    assert_eq!(plan.body, Some(ApiBody::Json(r#"{"query":"{viewer}","n":1.10,"list":[null,"x"]}"#.to_owned())));
    assert_eq!((plan.records.as_deref(), plan.format, plan.max_pages), (Some("data.items"), ApiFormat::Json, Some(7)));
    let cursor = Pagination::Cursor {
        path: Some("meta.next".to_owned()),
        record_key: None,
        param: "/after".to_owned(),
        has_more: Some("meta.more".to_owned()),
    };
    assert_eq!(plan.pagination, cursor);
    let for_each = plan.for_each.unwrap();
    assert_eq!(
        (for_each.keys, for_each.parent.endpoint.as_str(), for_each.parent.records.as_deref()),
        (vec!["id".to_owned(), "name".to_owned()], "/users", Some(""))
    );
    assert!(matches!(for_each.parent.pagination, Pagination::Page { start: 1, size: Some(50), .. }), "{:?}", for_each.parent.pagination);
    let connection = plan.connection;
    assert_eq!((connection.rate_limit, connection.read_timeout_seconds), (Some(RateLimit { requests: 600, seconds: 60 }), 7));
    let ApiAuth::Oauth2(oauth2) = connection.auth else { panic!("oauth2") };
    assert_eq!((oauth2.client_secret.0.expose(), oauth2.scope.as_deref()), ("hunter22", Some("read")));
    assert!(!format!("{oauth2:?}").contains("hunter22"));
}

#[test]
fn each_form_of_auth_and_pace_is_understood() {
    let auth = |auth: &str| {
        let settings =
            format!("connections:\n  crm: {{type: api, base_url: \"https://a.example\", auth: {auth}, rate_limit: {{requests: 3}}}}\n");
        let plan = plan(&settings, "data_sources: [{connection: crm, endpoint: /x}]\n", &[("TOKEN", "t0ps3cret")]);
        assert_eq!(plan.connection.rate_limit, Some(RateLimit { requests: 3, seconds: 1 }));
        plan.connection.auth
    };
    assert!(matches!(auth("{bearer: \"${TOKEN}\"}"), ApiAuth::Bearer(token) if token.0.expose() == "t0ps3cret"));
    assert!(matches!(auth("{basic: {user: u, password: \"${TOKEN}\"}}"), ApiAuth::Basic { user, password: Some(_) } if user == "u"));
    assert!(
        matches!(auth("{api_key: {header: X-Key, value: k}}"), ApiAuth::ApiKey { name, place: KeyPlace::Header, .. } if name == "X-Key")
    );
    assert!(
        matches!(auth("{api_key: {query: key, value: {command: [echo, k]}}}"), ApiAuth::ApiKey { place: KeyPlace::Query, value, .. } if value.0.expose() == "k")
    );
}

#[test]
fn what_makes_no_request_is_refused_where_it_stands() {
    let source = |keys: &str| format!("data_sources: [{{connection: crm, endpoint: /x, {keys}}}]\n");
    let cases = [
        ("pagination: {cusor: {}}", "unknown key cusor in pagination"),
        ("pagination: {page: {}, offset: {}}", "pagination has page and offset together"),
        ("pagination: {cursor: {param: c}}", "pagination.cursor has no path or record_key"),
        (
            "pagination: {next_url: {path: \"a[0]\"}}",
            "pagination.next_url.path: expected keys with dots between them, such as data.items, or a JSON pointer, such as /data/items",
        ),
        ("format: csv, pagination: {next_url: {path: a}}", "pagination looks into the answer, which is no JSON document"),
        ("params: {since: \"{lastsync}\"}", "params: {lastsync} is nothing that is known: did you mean {last_sync}?"),
        ("params: {user: \"{parent.id}\"}", "{parent.id} without for_each"),
        ("for_each: {endpoint: /y}", "no {parent.KEY} is named, so every request would be the same"),
        ("body: {a: 1}", "body without method: POST"),
        ("records: \"a..b\"", "records: expected keys with dots between them, such as data.items, or a JSON pointer, such as /data/items"),
        ("params: {a: {b: 1}}", "params.a: expected a plain value, not a map"),
        ("method: PUT", "method: expected one of GET, POST, not \"PUT\""),
        ("table: t", "endpoint and table together"),
    ];
    for (keys, expected) in cases {
        let job = source(keys);
        let folder = Folder::new(&[(FILE, API), ("jobs/x.yaml", &job)]);
        let problems = problems_of(&folder.workspace(), "x");
        let told: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(problems.iter().all(|problem| problem.line == 1 && problem.column > 40), "{problems:?}");
        assert_eq!(told, [expected], "{job}");
    }
    refuses(
        API,
        "data_sources: [{connection: crm, endpoint: \"https://other.example/x\"}]\n",
        &["1:44: endpoint is a URL of another host than base_url"],
    );
    refuses(API, "data_sources: [{endpoint: /x}]\n", &["1:17: endpoint without a connection"]);
}

#[test]
fn connections_that_reach_nothing_are_refused() {
    let refused = |connection: &str, expected: &str| {
        let settings = format!("connections:\n  crm: {{type: api, {connection}}}\n");
        let folder = Folder::new(&[(FILE, &settings), ("jobs/x.yaml", "data_sources: [{connection: crm, endpoint: /x}]\n")]);
        let told = match folder.find(&[]) {
            Ok(workspace) => problems_of(&workspace, "x"),
            Err(NoWorkspace::Invalid(problems)) => problems,
            Err(NoWorkspace::NotFound(_)) => panic!("it is there"),
        };
        assert!(told.iter().any(|problem| problem.message.contains(expected)), "{expected}: {told:?}");
    };
    refused("auth: {bearer: x}", "no base_url");
    refused("base_url: \"ftp://a.example\"", "base_url of its connection is no http(s) URL");
    refused("base_url: \"https://u:p@a.example\"", "has a login in it");
    let base = "base_url: \"https://a.example\"";
    refused(&format!("{base}, auth: {{baerer: x}}"), "unknown key baerer in auth");
    refused(&format!("{base}, auth: {{bearer: x, basic: {{user: u}}}}"), "must have one form");
    refused(&format!("{base}, auth: {{api_key: {{value: x}}}}"), "no one header or query");
    refused(&format!("{base}, auth: {{oauth2: {{client_id: x}}}}"), "no token_url");
    refused(&format!("{base}, rate_limit: fast"), "rate_limit of its connection is no number of requests");
}

#[test]
fn secrets_of_requests_are_shown_nowhere() {
    let settings = "connections:\n  crm: {type: api, base_url: \"https://api.example.com/${TENANT}\", auth: {bearer: \"${TOKEN}\"}}\n";
    let job = "data_sources:\n  - connection: crm\n    endpoint: /x?sig=${TOKEN}\n    params: {api_key: plain-secret, page_size: \"5\"}\n    headers: {X-Auth: plain-secret}\n";
    let folder = Folder::new(&[(FILE, settings), ("jobs/x.yaml", job)]);
    let workspace = folder.find(&[("TENANT", "acme-corp"), ("TOKEN", "t0ps3cret")]).unwrap();
    let loaded = workspace.load(&id("x"), Secrets::Fetched).unwrap();
    let lines = crate::job::resolved::lines(&loaded, workspace.settings(), &workspace.shown(&loaded.job.file));
    let text = crate::output::resolved::text(&lines, None);
    assert!(!text.contains("plain-secret") && !text.contains("t0ps3cret") && text.contains("page_size: \"5\""), "{text}");
    let place = loaded.job.sources[0].kind.place(&workspace.root, &workspace.masker_for(&loaded.job));
    assert_eq!(place, "https://api.example.com/***/x");
    assert_eq!(loaded.job.sources[0].name, "x");
}
