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

#[test]
fn a_renamed_file_is_not_loaded_again_and_a_copy_is_with_a_warning() {
    let job = "data_sources:\n  - name: t\n    path: in/*.csv\n    etl_config: {mode: incremental}\n";
    let etl = Etl::new().file("jobs/t.yaml", job).file("in/a.csv", "id\n1\n2\n").file("in/b.csv", "id\n3\n");
    let ids = |etl: &Etl| etl.warehouse().rows("SELECT id FROM t ORDER BY id").join(" ");
    let log = |etl: &Etl| etl.run(&["logs", "--run", "last"]).exits(0);
    etl.run(&["run", "t"]).exits(0);
    std::fs::rename(etl.path("in/a.csv"), etl.path("in/c.csv")).expect("a renamed file");
    for _ in 0..2 {
        etl.run(&["run", "t"]).exits(0);
        assert_eq!(ids(&etl), "1 2 3");
        log(&etl).mentions("a.csv under another name: loaded before, left out").mentions("nothing new: 1 file unchanged, 1 renamed");
    }
    etl.write("in/d.csv", "id\n3\n");
    etl.write("in/e.csv", "id\n9\n");
    etl.run(&["run", "t"]).exits(0);
    assert_eq!(ids(&etl), "1 2 3 3 9", "as a full load would have it");
    log(&etl).mentions("d.csv has the same content as").mentions("b.csv, which was loaded before; it is loaded too");
    etl.run(&["run", "t", "--full-refresh"]).exits(0);
    assert_eq!(ids(&etl), "1 2 3 3 9");
}
