//! Files and answers of web servers through the whole program: proxies, redirects, servers that mean harm.

use crate::etl::Etl;
use crate::servers::http::{Response, serve};

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
