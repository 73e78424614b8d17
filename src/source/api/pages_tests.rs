//! Pages as public APIs have them, and as broken ones do.

use super::*;
use crate::plan::api::ApiMethod;

const URL: &str = "https://api.test/v1/items?q=a%20b";

/// What a page says, for tests.
#[derive(Clone, Copy, Default)]
struct Page<'a> {
    records: u64,
    values: &'a [Option<&'a str>],
    last: Option<&'a str>,
    link: Option<&'a str>,
    /// Equal numbers are equal contents; 0 is one of its own.
    content: u8,
}

struct Bench {
    pager: Pager,
    url: Url,
    number: u64,
}

fn bench_of(pagination: Pagination, body: Option<&str>, max_pages: Option<u64>) -> Bench {
    let (method, body) = match body {
        None => (ApiMethod::Get, None),
        Some(text) => (ApiMethod::Post, Some(ApiBody::Json(text.to_owned()))),
    };
    let first = HttpRequest { method, url: Url::parse(URL).unwrap(), headers: vec![("A".to_owned(), "b".to_owned())], body };
    let pager = Pager::new(&pagination, first, max_pages).unwrap();
    Bench { url: pager.first().url, pager, number: 0 }
}

fn bench(pagination: Pagination) -> Bench {
    bench_of(pagination, None, None)
}

impl Bench {
    fn try_next(&mut self, page: Page<'_>) -> Result<Option<HttpRequest>, SourceError> {
        self.number += 1;
        let digest = if page.content == 0 { *blake3::hash(&self.number.to_le_bytes()).as_bytes() } else { [page.content; 32] };
        let seen = PageSeen {
            url: self.url.clone(),
            headers: Headers::new(page.link.map(|link| ("link".to_owned(), link.to_owned()))),
            records: page.records,
            values: page.values.iter().map(|value| value.map(str::to_owned)).collect(),
            last_record_value: page.last.map(str::to_owned),
            digest,
        };
        let next = self.pager.next(&seen)?;
        if let Some(next) = &next {
            assert_eq!(next.headers, [("A".to_owned(), "b".to_owned())]);
            self.url = next.url.clone();
        }
        Ok(next)
    }

    /// Demands the next URL, without what all of them have; `None` is the end.
    #[track_caller]
    fn check(&mut self, page: Page<'_>, expected: Option<&str>) {
        let next = self.try_next(page).unwrap().map(|request| request.url.to_string().replace("https://api.test/v1/items?", ""));
        assert_eq!(next.as_deref(), expected);
    }

    #[track_caller]
    fn fails(&mut self, page: Page<'_>, code: &str, reason: &str) {
        let error = self.try_next(page).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (code, format!("https://api.test: {reason}").as_str()));
    }
}

fn page_number(size: Option<u64>, total: bool, has_more: bool) -> Pagination {
    Pagination::Page {
        param: "page".to_owned(),
        start: 1,
        size_param: size.map(|_| "per_page".to_owned()),
        size,
        total_pages: total.then(|| "pages".to_owned()),
        has_more: has_more.then(|| "more".to_owned()),
    }
}

fn offset(limit: Option<u64>, total: bool) -> Pagination {
    Pagination::Offset {
        param: "offset".to_owned(),
        start: 0,
        limit_param: limit.map(|_| "limit".to_owned()),
        limit,
        total: total.then(|| "total".to_owned()),
        has_more: None,
    }
}

fn cursor(path: Option<&str>, param: &str, has_more: Option<&str>) -> Pagination {
    Pagination::Cursor {
        path: path.map(str::to_owned),
        record_key: path.is_none().then(|| "id".to_owned()),
        param: param.to_owned(),
        has_more: has_more.map(str::to_owned),
    }
}

fn of(records: u64) -> Page<'static> {
    Page { records, ..Page::default() }
}

fn saying<'a>(records: u64, values: &'a [Option<&'a str>]) -> Page<'a> {
    Page { records, values, ..Page::default() }
}

#[test]
fn one_page_is_one_page() {
    bench(Pagination::None).check(of(10), None);
}

#[test]
fn links_are_followed_as_github_and_shopify_write_them() {
    let mut github = bench(Pagination::LinkHeader { rel: "next".to_owned() });
    let link = r#"<https://api.test/v1/items?q=a&page=2>; rel="next", <https://api.test/v1/items?page=9>; rel="last""#;
    github.check(Page { link: Some(link), ..of(100) }, Some("q=a&page=2"));
    github.check(Page { link: Some("<?page_info=eyJ&limit=2>; rel=next"), ..of(100) }, Some("page_info=eyJ&limit=2"));
    github.check(Page { link: Some("<https://api.test/>; rel=\"first\""), ..of(3) }, None);
    let mut broken = bench(Pagination::LinkHeader { rel: "next".to_owned() });
    broken.fails(Page { link: Some("https://api.test/; rel=next"), ..of(1) }, "invalid_answer", "header Link: a link has no target in < >");
    let two = Page { link: Some("<?page=2>; rel=next, <?page=3>; rel=next"), ..of(1) };
    bench(Pagination::LinkHeader { rel: "next".to_owned() }).fails(two, "invalid_answer", "header Link has several targets of next");
}

#[test]
fn next_urls_are_followed_as_odata_and_salesforce_write_them() {
    let mut odata = bench(Pagination::NextUrl { path: "@odata.nextLink".to_owned() });
    assert_eq!(odata.pager.wanted(), ["@odata.nextLink"]);
    odata.check(saying(10, &[Some(r#""https://api.test/v1/items?$skiptoken=X%27""#)]), Some("$skiptoken=X%27"));
    odata
        .check(saying(0, &[Some(r#""/services/data/v60.0/query/01g-2000""#)]), Some("https://api.test/services/data/v60.0/query/01g-2000"));
    // A server behind a proxy that does TLS.
    odata.check(saying(10, &[Some(r#""http://api.test/v1/items?page=3""#)]), Some("page=3"));
    odata.check(saying(10, &[Some(r#""https://other.test/4""#)]), Some("https://other.test/4"));
    for end in [None, Some("null"), Some("\"\""), Some("false")] {
        bench(Pagination::NextUrl { path: "next".to_owned() }).check(saying(10, &[end]), None);
    }
    let next = || bench(Pagination::NextUrl { path: "next".to_owned() });
    next().fails(saying(1, &[Some("7")]), "invalid_answer", "next holds no URL");
    next().fails(saying(1, &[Some("\"file:///etc/passwd\"")]), "invalid_answer", "the URL of the next page is neither http nor https");
    next().fails(saying(1, &[Some("\"http://other.test/\"")]), "invalid_answer", "the URL of the next page leads from https to http");
}

#[test]
fn cursors_go_into_the_query_or_the_body_with_their_type() {
    let mut slack = bench(cursor(Some("meta.next_cursor"), "cursor", None));
    slack.check(saying(2, &[Some("\"dXNlcjpVMDYx==\"")]), Some("q=a%20b&cursor=dXNlcjpVMDYx%3D%3D"));
    slack.check(saying(0, &[Some("98765432109876543210")]), Some("q=a%20b&cursor=98765432109876543210"));
    slack.check(saying(2, &[Some("\"\"")]), None);
    let mut notion = bench_of(cursor(Some("next_cursor"), "/start_cursor", Some("has_more")), Some("{\"page_size\": 2}"), None);
    assert_eq!(notion.pager.wanted(), ["next_cursor", "has_more"]);
    let next = notion.try_next(saying(2, &[Some("\"c1\""), Some("true")])).unwrap().unwrap();
    assert_eq!(next.body, Some(ApiBody::Json(r#"{"page_size":2,"start_cursor":"c1"}"#.to_owned())));
    let next = notion.try_next(saying(2, &[Some("[1.50, \"x\"]"), Some("true")])).unwrap().unwrap();
    assert_eq!(next.body, Some(ApiBody::Json(r#"{"page_size":2,"start_cursor":[1.50, "x"]}"#.to_owned())));
    notion.check(saying(2, &[Some("\"c3\""), Some("false")]), None);
}

#[test]
fn the_last_record_is_the_cursor_as_with_stripe() {
    let mut stripe = bench(cursor(None, "starting_after", Some("has_more")));
    assert_eq!(stripe.pager.wanted(), ["has_more"]);
    stripe.check(Page { last: Some("\"ch_2\""), ..saying(2, &[Some("true")]) }, Some("q=a%20b&starting_after=ch_2"));
    stripe.check(Page { last: Some("\"ch_3\""), ..saying(1, &[Some("false")]) }, None);
    let mut plain = bench(cursor(None, "after", None));
    plain.check(Page { last: Some("7"), ..of(2) }, Some("q=a%20b&after=7"));
    plain.check(of(0), None);
    bench(cursor(None, "after", None)).fails(of(2), "invalid_answer", "the last record has no value for the cursor");
    let more = saying(0, &[None, Some("true")]);
    bench(cursor(Some("c"), "c", Some("more"))).fails(more, "invalid_answer", "there is more, but no cursor leads to it");
    let odd = saying(1, &[Some("\"x\""), Some("\"maybe\"")]);
    bench(cursor(Some("c"), "c", Some("more"))).fails(odd, "invalid_answer", "more is neither true nor false");
}

#[test]
fn pages_are_numbered_until_one_is_empty_or_short() {
    let mut plain = bench(page_number(None, false, false));
    assert_eq!(plain.pager.first().url.query(), Some("q=a%20b&page=1"));
    plain.check(of(30), Some("q=a%20b&page=2"));
    plain.check(of(1), Some("q=a%20b&page=3"));
    plain.check(of(0), None);
    let mut sized = bench(page_number(Some(100), false, false));
    assert_eq!(sized.pager.first().url.query(), Some("q=a%20b&page=1&per_page=100"));
    sized.check(of(100), Some("q=a%20b&per_page=100&page=2"));
    sized.check(of(99), None);
}

#[test]
fn a_server_with_a_smaller_page_of_its_own_loses_no_rows() {
    // per_page=1000, of which GitHub makes 100.
    let mut capped = bench(page_number(Some(1000), false, false));
    capped.check(of(100), Some("q=a%20b&per_page=1000&page=2"));
    assert!(capped.pager.is_probe());
    capped.check(of(100), Some("q=a%20b&per_page=1000&page=3"));
    capped.check(of(3), Some("q=a%20b&per_page=1000&page=4"));
    capped.check(of(0), None);
    let mut capped = bench(offset(Some(1000), false));
    capped.check(of(250), Some("q=a%20b&limit=1000&offset=250"));
    capped.check(of(250), Some("q=a%20b&limit=1000&offset=500"));
    capped.check(of(0), None);
    bench(page_number(Some(1000), false, false)).check(of(9), Some("q=a%20b&per_page=1000&page=2"));
    bench(page_number(Some(5), false, false)).check(of(4), Some("q=a%20b&per_page=5&page=2"));
}

#[test]
fn a_total_that_the_first_page_exceeds_is_a_contradiction() {
    let mut counted = bench(page_number(Some(100), true, false));
    counted.fails(saying(100, &[Some("0")]), "invalid_answer", "0 are said to be there, and the first page is more");
}

#[test]
fn what_a_server_counts_goes_before_what_a_page_looks_like() {
    let mut counted = bench(page_number(Some(100), true, false));
    counted.check(saying(100, &[Some("3")]), Some("q=a%20b&per_page=100&page=2"));
    counted.check(saying(70, &[Some("\"3\"")]), Some("q=a%20b&per_page=100&page=3"));
    assert!(!counted.pager.is_probe());
    counted.check(saying(100, &[Some("3")]), None);
    let mut more = bench(page_number(Some(100), false, true));
    more.check(saying(1, &[Some("true")]), Some("q=a%20b&per_page=100&page=2"));
    more.check(saying(100, &[Some("false")]), None);
    let mut total = bench(offset(Some(50), true));
    total.check(saying(50, &[Some("120")]), Some("q=a%20b&limit=50&offset=50"));
    total.check(saying(50, &[Some("120")]), Some("q=a%20b&limit=50&offset=100"));
    total.check(saying(20, &[Some("120")]), None);
    let mut window = bench(offset(Some(50), true));
    window.check(saying(50, &[Some("120")]), Some("q=a%20b&limit=50&offset=50"));
    let reason = "a page without records, though 120 are said to be there and 50 were read";
    window.fails(saying(0, &[Some("120")]), "invalid_answer", reason);
    bench(offset(None, true)).fails(saying(1, &[Some("\"many\"")]), "invalid_answer", "total is no number");
}

#[test]
fn numbers_may_begin_anywhere_and_stand_in_a_body() {
    let from_zero = Pagination::Page {
        param: "/page".to_owned(),
        start: 0,
        size_param: Some("/size".to_owned()),
        size: Some(10),
        total_pages: Some("pages".to_owned()),
        has_more: None,
    };
    let mut bench = bench_of(from_zero, Some("{\"q\":1}"), None);
    assert_eq!(bench.pager.first().body, Some(ApiBody::Json(r#"{"q":1,"page":0,"size":10}"#.to_owned())));
    let next = bench.try_next(saying(10, &[Some("2")])).unwrap().unwrap();
    assert_eq!(next.body, Some(ApiBody::Json(r#"{"q":1,"page":1,"size":10}"#.to_owned())));
    bench.check(saying(10, &[Some("2")]), None);
    let first = HttpRequest { method: ApiMethod::Get, url: Url::parse(URL).unwrap(), headers: Vec::new(), body: None };
    let error = Pager::new(&cursor(None, "/x", None), first.clone(), None).map(drop);
    assert!(error.is_ok());
    let in_body = Pagination::Page { param: "/p".to_owned(), start: 1, size_param: None, size: None, total_pages: None, has_more: None };
    assert_eq!(Pager::new(&in_body, first, None).unwrap_err().code, "invalid_pagination");
}

#[test]
fn circles_are_convicted_however_new_their_urls_are() {
    let mut next = bench(Pagination::NextUrl { path: "next".to_owned() });
    next.check(saying(1, &[Some("\"?p=2\"")]), Some("p=2"));
    next.check(saying(1, &[Some("\"?p=3\"")]), Some("p=3"));
    let reason = "the pages go round in circles: page 3 leads to a request that was made before";
    next.fails(saying(1, &[Some("\"?p=2\"")]), "pagination_loop", reason);
    let mut stuck = bench(cursor(Some("c"), "c", None));
    stuck.check(saying(1, &[Some("\"x\"")]), Some("q=a%20b&c=x"));
    let reason = "the pages go round in circles: page 2 leads to a request that was made before";
    stuck.fails(saying(1, &[Some("\"x\"")]), "pagination_loop", reason);
    // A server that doesn't know the parameter gives its first page for ever.
    let mut deaf = bench(page_number(None, false, false));
    let same = Page { content: 7, ..of(30) };
    deaf.check(same, Some("q=a%20b&page=2"));
    deaf.check(same, Some("q=a%20b&page=3"));
    deaf.fails(same, "pagination_loop", "the pages go round in circles: 3 pages in a row have equal records");
    let mut round = bench(page_number(None, false, false));
    let error = (0..100).find_map(|number| round.try_next(Page { content: 1 + number % 3, ..of(30) }).err()).unwrap();
    assert!(error.message.ends_with("10 pages in a row have records of earlier pages"), "{error}");
}

#[test]
fn endless_pages_end() {
    let mut few = bench_of(page_number(None, false, false), None, Some(3));
    few.check(of(1), Some("q=a%20b&page=2"));
    few.check(of(1), Some("q=a%20b&page=3"));
    few.fails(of(1), "max_pages", "there are more than 3 pages");
    let mut enough = bench_of(page_number(None, false, false), None, Some(1));
    enough.check(of(0), None);
    let mut empty = bench(Pagination::NextUrl { path: "next".to_owned() });
    let error = (0..5000).find_map(|number| empty.try_next(saying(0, &[Some(&format!("\"?p={number}\""))])).err()).unwrap();
    assert!(error.message.ends_with("1000 pages in a row have no records"), "{error}");
}
