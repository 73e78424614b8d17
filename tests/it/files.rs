//! What the warehouse keeps of the files that were loaded: their names without secrets, and which of them are there already.

use crate::etl::Etl;

const PATHS: &str = "SELECT path FROM _etlsched_files ORDER BY path";

#[test]
fn secrets_in_a_path_stay_out_of_the_warehouse_and_of_what_is_printed() {
    let keys = "target: t\n    etl_config: {mode: incremental}";
    let job = |path: &str| format!("data_sources:\n  - name: s\n    path: \"{path}\"\n    {keys}\n");
    for path in ["in/${TOKEN}/a_${TOKEN}.csv", "in/${TOKEN}/*.csv"] {
        let etl = Etl::new().env("TOKEN", "hunter 22").file("jobs/j.yaml", job(path)).file("in/hunter 22/a_hunter 22.csv", "id\n1\n");
        let seen = etl.run(&["source", "schema", "j"]).exits(0).mentions("a_***.csv: delimiter");
        let run = etl.run(&["run", "j"]).exits(0);
        let again = etl.run(&["run", "j"]).exits(0);
        let log = etl.run(&["logs", "--run", "last"]).exits(0).mentions("nothing new: 1 file unchanged");
        for ended in [seen, run, again, log] {
            assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("hunter"), "{}{}", ended.stdout, ended.stderr);
        }
        let kept = etl.warehouse().value(PATHS);
        let folder = etl.path("in").display().to_string();
        let mark = kept.strip_prefix(&format!("{folder}/***/a_***.csv#")).unwrap_or_else(|| panic!("{kept}"));
        assert!(mark.len() == 8 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()), "{kept}");
        assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "1");
    }
}
