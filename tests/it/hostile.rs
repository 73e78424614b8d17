//! Files, names and definitions that mean harm, or merely are as files are. A row is loaded exactly, or rejected with its place and
//! reason; a definition is accepted, or refused with its place.

use crate::etl::{Ended, Etl};

/// Loads a CSV with the keys given and compares the rows of its table with what is expected.
#[track_caller]
fn loads(csv: impl AsRef<[u8]>, keys: &str, expected: &[&str]) -> Etl {
    let etl = Etl::new().csv_job("rows", keys, csv);
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT * FROM rows ORDER BY rowid"), expected);
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
    etl
}

/// Demands that a CSV fails with exit 1 and a text, and that the table is as it was.
#[track_caller]
fn refuses(csv: impl AsRef<[u8]>, keys: &str, text: &str) -> Ended {
    let etl = Etl::new().csv_job("rows", "", "kept\n1\n");
    etl.run(&["run", "rows"]).exits(0);
    let etl = etl.csv_job("rows", keys, csv);
    let ended = etl.run(&["run", "rows"]).exits(1).mentions(text);
    assert_eq!(etl.warehouse().rows("SELECT * FROM rows"), ["1"], "the table changed");
    ended
}

#[test]
fn quotes_line_ends_and_marks_are_read_by_rfc_4180() {
    loads("\u{feff}a,b\r\n1,\"x, \"\"y\"\"\r\nz\"\r\n2,\r\n", "", &["1|x, \"y\"\r\nz", "2|NULL"]);
    loads("a,b\n1,x\n2,y", "", &["1|x", "2|y"]);
    loads("a;b\n1;x,y\n2;z\n", "", &["1|x,y", "2|z"]);
    loads("a\tb\n1\tx\n", "", &["1|x"]);
    loads("a,b\n1,\"\"\n2,\n", "", &["1|", "2|NULL"]);
    let etl = loads("a,a\n1,2\n", "", &["1|2"]);
    assert_eq!(etl.warehouse().rows("SELECT name FROM pragma_table_info('rows')"), ["a", "a_2"]);
}

#[test]
fn encodings_are_told_by_their_mark_or_declared() {
    let utf16: Vec<u8> = "\u{feff}a,b\n1,ž🛫\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    loads(utf16, "", &["1|ž🛫"]);
    loads(b"a,b\n1,caf\xe9 \x80\n", "encoding: windows-1252", &["1|café €"]);
    refuses(b"a,b\n1,caf\xe9\n", "etl_config: {max_bad_rows: 0}", "not valid in the file's encoding");
}

#[test]
fn a_value_that_a_number_would_bend_stays_text() {
    loads("a,b\n007,1\n12,2\n", "", &["007|1", "12|2"]);
    loads("a,b\n+5,1\n6,2\n", "", &["+5|1", "6|2"]);
    loads("a,b\n9223372036854775807,1\n-9223372036854775808,2\n", "", &["9223372036854775807|1", "-9223372036854775808|2"]);
    loads("a,b\n9223372036854775808,1\n1,2\n", "", &["9223372036854775808|1", "1|2"]);
    loads("a,b\n0.1000000000000000055511151231257827,1\n0.5,2\n", "", &["0.1000000000000000055511151231257827|1", "0.5|2"]);
    loads("a,b\n1e400,1\n2.5,2\n", "", &["1e400|1", "2.5|2"]);
    loads("a,b\n9007199254740993,1\n", "", &["9007199254740993|1"]);
}

#[test]
fn a_type_that_a_later_row_disproves_is_widened_and_no_row_is_lost() {
    let numbers: String = (1..=50).map(|number| format!("{number}\n")).collect();
    let sampled = "etl_config: {sample_rows: 10}";
    let etl = loads_count(&format!("a\n{numbers}x\n"), sampled, 51);
    assert_eq!(etl.warehouse().value("SELECT group_concat(DISTINCT typeof(a)) || ' ' || min(rowid) FROM rows"), "text 1");
    let etl = loads_count(&format!("a\n{numbers}2.5\n"), sampled, 51);
    assert_eq!(etl.warehouse().value("SELECT group_concat(DISTINCT typeof(a)) || ' ' || sum(a) FROM rows"), "real 1277.5");
    let etl = loads_count(&format!("a\n{numbers}007\n"), sampled, 51);
    assert_eq!(etl.warehouse().value("SELECT a FROM rows ORDER BY rowid DESC LIMIT 1"), "007");
}

#[track_caller]
fn loads_count(csv: &str, keys: &str, rows: usize) -> Etl {
    let etl = Etl::new().csv_job("rows", keys, csv);
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM rows"), rows.to_string());
    etl
}

#[test]
fn rows_that_cannot_be_loaded_are_kept_with_place_and_reason() {
    let etl = loads("a,b\n1,x\n2\n3,y,z\n4,n\0l\n5,v\nsix,w\n", "columns: {types: {a: integer}}", &["1|x", "5|v"]);
    let log = &etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"][0];
    assert_eq!(log["status"], "success", "{log:#}");
    let mut rejects = String::new();
    for (path, content) in etl.listing() {
        if let Some(content) = content.filter(|_| path.starts_with(etl.path(".etlsched/rejects"))) {
            rejects += &String::from_utf8_lossy(&content);
        }
    }
    for part in ["2", "3,y,z", "six"] {
        assert!(rejects.contains(part), "no {part:?} among the rejected rows:\n{rejects}");
    }
    assert!(!etl.run(&["logs"]).stdout.contains('\0'));
}

#[test]
fn too_many_bad_rows_publish_nothing() {
    let bad: String = (0..200).map(|number| format!("{number},x,y\n")).collect();
    refuses(format!("a,b\n1,x\n{bad}"), "", "rejected");
    refuses("a,b\n1,x\n2,y,z\n", "etl_config: {on_bad_row: fail}", "row");
    refuses("a,b\n1,x\n2,y,z\n", "etl_config: {max_bad_rows: 0}", "rejected");
}

#[test]
fn files_that_are_cut_or_empty_fail_and_change_nothing() {
    refuses("", "", "rows.csv");
    refuses("a,b\n1,x\n2,\"open\n3,y\n", "etl_config: {max_bad_rows: 0}", "quote");
    let etl = Etl::new().csv_job("rows", "", "a\n1\n");
    etl.run(&["run", "rows"]).exits(0);
    etl.write("jobs/rows.yaml", "data_sources:\n  - {path: jobs/data/rows.csv.gz, name: rows}\n");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, "a\n2\n".repeat(10_000).as_bytes()).expect("memory takes all");
    let whole = encoder.finish().expect("memory takes all");
    etl.write("jobs/data/rows.csv.gz", &whole[..whole.len() / 2]);
    etl.run(&["run", "rows"]).exits(1).mentions("rows.csv.gz");
    assert_eq!(etl.warehouse().rows("SELECT * FROM rows"), ["1"]);
}

#[test]
fn names_are_never_sql_and_never_control_a_terminal() {
    let etl = Etl::new().csv_job("rows", "target: 'x\"; DROP TABLE y; --'", "\"a\"\"b\",select,\"c); DROP TABLE rows; --\",d'e\n1,2,3,4\n");
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT * FROM \"x\"\"; DROP TABLE y; --\""), ["1|2|3|4"]);
    let names = etl.warehouse().rows("SELECT name FROM pragma_table_info('x\"; DROP TABLE y; --')");
    assert_eq!(names, ["a\"b", "select", "c); DROP TABLE rows; --", "d'e"]);
    let ended = refuses("a,\u{1b}[31mred\u{7}\n1,2\n2,\u{1b}]0;title\u{7},3\n", "etl_config: {max_bad_rows: 0}", "rejected");
    assert!(!ended.stderr.contains('\u{1b}') && !ended.stdout.contains('\u{1b}'), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn a_preview_shows_names_and_values_as_text_and_cuts_long_ones() {
    let long = "x".repeat(3000);
    let etl = Etl::new().csv_job("rows", "", format!("\"\u{1b}[31mred\u{202e}\nb\",c\n1,{long}\n"));
    let shown = etl.run(&["source", "preview", "rows"]).exits(0).mentions("\\u{1b}[31mred\\u{202e}\\nb").stdout;
    assert!(!shown.contains(['\u{1b}', '\u{202e}']) && shown.lines().count() == 2, "{shown}");
    assert!(shown.contains("xxx…") && shown.lines().all(|line| line.chars().count() < 120), "{shown}");
    assert!(etl.run(&["source", "preview", "rows", "-o", "csv"]).exits(0).stdout.contains(&long), "scripts have it whole");
    etl.run(&["run", "rows"]).exits(0);
    for call in [
        vec!["source", "schema", "rows"],
        vec!["show", "rows"],
        vec!["state", "show"],
        vec!["logs", "--run", "last"],
        vec!["stats", "rows"],
    ] {
        let shown = etl.run(&call).exits(0).stdout;
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{call:?}: {shown}");
    }
}

#[test]
fn definitions_that_mean_harm_are_refused_with_their_place() {
    let sources = "data_sources:\n  - path: jobs/data/rows.csv\n";
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n".to_owned() + &"d: [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n".repeat(20);
    let cases = [
        ("schedule: * * * * *\n".to_owned() + sources, "quote"),
        (format!("hour: 6\nhour: 7\n{sources}"), "hour"),
        (format!("hour: 24\n{sources}"), "hour"),
        (format!("shedule_type: daily\n{sources}"), "schedule_type"),
        (format!("timezone: Europe/Pariss\n{sources}"), "Europe/Paris"),
        (format!("name: {}\n{sources}", "x".repeat(2 << 20)), "1048576"),
        (format!("tags: {}{}\n{sources}", "[".repeat(100), "]".repeat(100)), "64"),
        (bomb + sources, "alias"),
        ("data_sources: []\n".to_owned(), "data_sources"),
        (String::new(), "empty"),
        ("[1, 2]\n".to_owned(), "broken.yaml"),
        ("data_sources:\n  - path: a.csv\n  - path: b/a.csv\n".to_owned(), "a"),
        ("data_sources:\n\t- path: a.csv\n".to_owned(), "broken.yaml:2"),
    ];
    for (text, word) in cases {
        let etl = Etl::new().file("jobs/broken.yaml", &text);
        let begun = std::time::Instant::now();
        let ended = etl.run(&["validate"]);
        let start: String = text.chars().take(200).collect();
        assert_eq!(ended.code, Some(4), "{start}\n{}{}", ended.stdout, ended.stderr);
        let ended = ended.mentions("broken.yaml").mentions(word);
        assert!(ended.stderr.len() + ended.stdout.len() < 20_000, "a hostile file prints pages: {start}");
        // A debug build on a machine at work; a release build takes milliseconds.
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{start} took {:?}", begun.elapsed());
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_in_the_place_of_a_file_is_refused_at_once() {
    use std::os::unix::fs::symlink;

    fn pipe(path: &std::path::Path) {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).expect("a named pipe");
    }
    let refused = |place: &str, code: i32, text: &str, make: &dyn Fn(&std::path::Path)| {
        let etl = Etl::new().csv_job("rows", "", "a\n1\n");
        let _ = std::fs::remove_file(etl.path(place));
        make(&etl.path(place));
        for arguments in [["run", "rows"], ["validate", "rows"]] {
            if code != 1 || arguments[0] == "run" {
                etl.run(&arguments).exits(code).mentions(text);
            }
        }
    };
    for place in ["jobs/rows.yaml", "etlsched.yaml", ".env"] {
        refused(place, 4, "is not a file", &pipe);
        refused(place, 4, "is not a file", &|path| std::fs::create_dir(path).expect("a folder"));
        refused(place, 4, "is not a file", &|path| symlink("/dev/zero", path).expect("a link"));
    }
    refused("jobs/rows.yaml", 4, "can't be read", &|path| symlink("nowhere.yaml", path).expect("a link"));
    refused("jobs/rows.yaml", 4, "can't be read", &|path| symlink("rows.yaml", path).expect("a link to itself"));
    refused("jobs/data/rows.csv", 1, "is not a regular file", &pipe);
    refused("jobs/data/rows.csv", 1, "is a folder", &|path| std::fs::create_dir(path).expect("a folder"));
    refused("jobs/data/rows.csv", 1, "is not a regular file", &|path| symlink("/dev/zero", path).expect("a link"));
}

#[test]
fn a_workspace_may_have_any_name() {
    for name in ["with space", "it's", "per%20cent%", "ünï😀", "?mode=ro", "a#b", "file:x", "*glob[1]", "${HOME}"] {
        let etl = Etl::new();
        for (path, content) in [("jobs/rows.yaml", "data_sources:\n  - path: jobs/data/rows.csv\n"), ("jobs/data/rows.csv", "a\n1\n")] {
            etl.write(&format!("{name}/{path}"), content);
        }
        etl.run(&["-C", name, "run", "rows"]).exits(0);
        let folder = etl.path(name);
        assert_eq!(crate::etl::Database::open(&folder.join(".etlsched/warehouse.db")).value("SELECT a FROM rows"), "1", "{name}");
        etl.run(&["-C", name, "logs", "rows"]).exits(0).mentions("success");
    }
}

#[test]
fn headers_and_values_at_the_edge_arrive_exactly_or_are_refused() {
    let wide = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("c{number}")).collect();
        format!("{}\n{}\n", names.join(","), vec!["1"; count].join(","))
    };
    let etl = Etl::new().csv_job("rows", "", wide(2_000));
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT c0 + c1999 FROM rows"), "2");
    refuses(wide(2_001), "", "too many columns");
    refuses(wide(20_000), "", "columns");
    refuses("rowid,_rowid_,oid\n1,2,3\n", "", "rowid");
    loads("rowid,_rowid_\n5,7\n5,7\n", "", &["5|7", "5|7"]);
    let etl = loads("A,a,a_2,A\n1,2,3,4\n", "", &["1|2|3|4"]);
    assert_eq!(etl.warehouse().value("SELECT count(DISTINCT lower(name)) FROM pragma_table_info('rows')"), "4");
    loads("a,b\n 1,x \n2 ,  y\n", "", &[" 1|x ", "2 |  y"]);
    loads("a,b\n1_000,\"1,5\"\n1,2\n", "", &["1_000|1,5", "1|2"]);
    loads("a,b\n0000-00-00,24:00:00\n2020-01-01,00:00:00\n", "", &["0000-00-00|24:00:00", "2020-01-01|00:00:00"]);
    loads("a,b\n10000-01-01,2020-02-30\n9999-12-31,2020-02-29\n", "", &["10000-01-01|2020-02-30", "9999-12-31|2020-02-29"]);
    loads("a\n2016-12-31T23:59:60Z\n2016-12-31T23:59:59Z\n", "", &["2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"]);
    loads("a\n2020-01-01T00:00:00+14:00\n2020-01-01T00:00:00-12:00\n", "", &["2019-12-31T10:00:00Z", "2020-01-01T12:00:00Z"]);
    loads("a\n0001-01-01T00:00:00+14:00\n2020-01-01T00:00:00Z\n", "", &["0001-01-01T00:00:00+14:00", "2020-01-01T00:00:00Z"]);
    loads("a,b\r1,2\r3,4\r", "", &["1|2", "3|4"]);
    refuses("a,b\n1\n2\n", "", "every row was rejected");
}

#[test]
fn job_names_cannot_leave_the_workspace() {
    let etl = Etl::new().csv_job("rows", "", "a\n1\n");
    for name in ["../rows", "jobs/../rows", "/etc/passwd", "rows.yml", "Rows", "", "-x", "a b", "rows\n", "..", &"x".repeat(64)] {
        let ended = etl.run(&["run", "--", name]);
        assert_eq!(ended.code, Some(2), "{name:?}: {}{}", ended.stdout, ended.stderr);
    }
    let etl = etl.file("jobs/Not A Job.yaml", "data_sources:\n  - path: jobs/data/rows.csv\n");
    etl.run(&["validate"]).exits(4).mentions("Not A Job");
}

#[test]
fn secrets_never_show() {
    let etl = Etl::new()
        .file("etlsched.yaml", "connections:\n  marts: {type: sqlite, path: \"${PLACE}\"}\n")
        .file(".env", "PLACE=no/such/hunter2-folder/x.db\n")
        .env("TOKEN", "hunter2-token")
        .file("jobs/rows.yaml", "destination: marts\nmax_retries: 0\ndata_sources:\n  - {name: rows, path: \"jobs/data/${TOKEN}.csv\"}\n");
    for arguments in
        [&["validate"][..], &["run", "rows"], &["run", "rows", "-o", "json"], &["show", "rows", "--resolved"], &["logs", "-o", "json"]]
    {
        let ended = etl.run(arguments);
        assert!(!ended.stdout.contains("hunter2") && !ended.stderr.contains("hunter2"), "{arguments:?}:\n{}{}", ended.stdout, ended.stderr);
    }
}
