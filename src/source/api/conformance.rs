//! Tables as a web server's JSON, for the suite that every source must pass.

use std::cell::RefCell;

use crate::batch::ColumnType;
use crate::connect::servers::http::{HttpServer, Response, serve};
use crate::plan::SourceKind;
use crate::plan::api::{ApiAuth, ApiConnection, ApiFormat, ApiMethod, ApiSourcePlan, Pagination};
use crate::source::conformance::Bench;

/// Returns a plan of one page of JSON at a server.
pub(super) fn plan(base_url: String) -> ApiSourcePlan {
    ApiSourcePlan {
        connection: ApiConnection {
            base_url,
            secrets: Vec::new(),
            auth: ApiAuth::None,
            connect_timeout_seconds: 5,
            read_timeout_seconds: 5,
            rate_limit: None,
            allow_link_local: false,
            sslrootcert: None,
        },
        endpoint: "/records".to_owned(),
        method: ApiMethod::Get,
        params: Vec::new(),
        headers: Vec::new(),
        body: None,
        records: None,
        format: ApiFormat::Json,
        pagination: Pagination::None,
        max_pages: None,
        flatten_depth: 1,
        for_each: None,
    }
}

/// A server for each table.
pub(in crate::source) struct Servers(RefCell<Vec<HttpServer>>);

impl Servers {
    pub fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    fn answering(&self, response: Response) -> SourceKind {
        let server = serve(move |_| response.clone());
        let url = server.url("");
        self.0.borrow_mut().push(server);
        SourceKind::Api(Box::new(plan(url)))
    }
}

impl Bench for Servers {
    fn table(&self, columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> SourceKind {
        use ColumnType::*;
        let value = |(cell, (_, column_type)): (&Option<&str>, &(&str, ColumnType))| match (cell, column_type) {
            (None, _) => "null".to_owned(),
            (Some(cell), Boolean | Int16 | Int32 | Int64 | UInt64 | Float32 | Float64 | Decimal { .. }) => (*cell).to_owned(),
            (Some(cell), _) => serde_json::Value::from(*cell).to_string(),
        };
        let record = |row: &Vec<Option<&str>>| {
            let members = row.iter().zip(columns).map(|pair| format!("\"{}\":{}", pair.1.0, value(pair)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        };
        self.answering(Response::json(format!("[{}]", rows.iter().map(record).collect::<Vec<_>>().join(","))))
    }

    /// An answer that ends in the midst of a record.
    fn broken(&self) -> SourceKind {
        self.answering(Response::json(r#"[{"id":1},{"id":2},{"id":"#))
    }

    fn gone(&self) -> SourceKind {
        self.answering(Response::new(404, "no such thing"))
    }
}
