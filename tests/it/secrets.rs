//! One marked secret in every place that may hold one, through success, failure and every output: then everything is looked through.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::etl::Etl;

/// Stands in every secret, so that one search finds them all.
const MARK: &str = "hunter2mark";

/// Looks through everything below a folder, contents and names.
fn found_in(folder: &Path, left_out: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(folder).expect("below").display().to_string();
            if left_out.contains(&name.as_str()) {
                continue;
            }
            if name.contains(MARK) {
                found.push(format!("the name {name}"));
            }
            if path.is_dir() {
                folders.push(path);
            } else if holds(&std::fs::read(&path).expect("a file")) {
                found.push(name);
            }
        }
    }
    found
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

/// A workspace with secrets from the environment, from `.env`, from a file and from a command, of sources that fail and that don't.
fn workspace() -> Etl {
    let settings = "hash_key: ${HASH_KEY}\nconnections:\n  \
         down: {type: postgresql, host: 127.0.0.1, port: 1, database: d, user: etl, password: \"${PG_PASSWORD}\"}\n  \
         url: {type: mysql, url: \"mysql://etl:${PG_PASSWORD}@127.0.0.1:1/d\"}\n  \
         file: {type: postgresql, host: 127.0.0.1, port: 1, database: d, user: etl, password: {file: secret.txt}}\n  \
         told: {type: postgresql, host: 127.0.0.1, port: 1, database: d, user: etl, password: {command: [sh, -c, \"env >seen; cat secret.txt\"]}}\n\
         smtp: {url: \"smtps://etl:${SMTP_PASSWORD}@127.0.0.1:1\", from: a@example.org}\n";
    let good = "name: Good\nhealthcheck_url: \"https://example.org/${FROM_DOTENV}\"\nnotification_emails: [a@example.org]\n\
                data_sources:\n  - {name: rows, path: \"in/${TOKEN}/rows.csv\", columns: {types: {id: integer}, hash: [mail]}}\n";
    let bad = "max_retries: 0\ndata_sources:\n  - {name: down, connection: down, table: t}\n  - {name: url, connection: url, table: t}\n  \
               - {name: file, connection: file, table: t}\n  - {name: told, connection: told, table: t}\n  \
               - {name: gone, path: \"in/${TOKEN}/nowhere.csv\"}\n";
    let etl = Etl::new()
        .env("TOKEN", &format!("{MARK}-token"))
        .env("PG_PASSWORD", &format!("{MARK}-pg"))
        .env("HASH_KEY", &format!("{MARK}-hash-key-0123456789abcdef"))
        .file("etlsched.yaml", settings)
        .file(".env", format!("SMTP_PASSWORD={MARK}-smtp\nFROM_DOTENV={MARK}-dotenv\n"))
        .file("secret.txt", format!("{MARK}-file\n"))
        .file("jobs/good.yaml", good)
        .file("jobs/bad.yaml", bad);
    // The folder's own name is the secret here: it must not come out of it.
    etl.write(&format!("in/{MARK}-token/rows.csv"), "id,mail\n1,a@b\nx,c@d\n");
    std::fs::set_permissions(etl.path(".env"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    etl
}

#[test]
fn a_secret_goes_nowhere_in_any_output_file_or_store() {
    let etl = workspace();
    let check = |arguments: &[&str]| {
        for format in ["table", "json", "csv"] {
            let ended = etl.run(&[arguments, &["-o", format]].concat());
            let said = format!("{}{}", ended.stdout, ended.stderr);
            assert!(!said.contains(MARK), "{arguments:?} -o {format}:\n{said}");
            assert!(ended.code.is_some_and(|code| [0, 1, 3].contains(&code)), "{arguments:?}: {:?}\n{said}", ended.code);
        }
    };
    let calls: [&[&str]; 24] = [
        &["run", "good", "-vv"],
        &["run", "bad", "-vv"],
        &["run", "good", "bad", "--log-format", "json"],
        &["run", "good", "--dry-run"],
        &["run", "bad", "--dry-run"],
        &["run", "bad", "--scheduled"],
        &["logs"],
        &["logs", "--run", "last"],
        &["audit"],
        &["list"],
        &["show", "good"],
        &["show", "bad"],
        &["show", "good", "--resolved"],
        &["show", "bad", "--resolved"],
        &["validate", "--online"],
        &["status"],
        &["next", "good"],
        &["source", "list"],
        &["source", "test", "bad"],
        &["source", "preview", "good"],
        &["source", "schema", "bad"],
        &["state", "show"],
        &["disable", "good"],
        &["schedule", "export", "--format", "crontab", "--program", "/usr/bin/etlsched", "--host-zone", "UTC"],
    ];
    calls.iter().for_each(|arguments| check(arguments));
    // What holds secrets by nature: where they come from, and the data themselves.
    let input = format!("in/{MARK}-token");
    let found = found_in(&etl.path("."), &[".env", "secret.txt", &input]);
    assert!(found.is_empty(), "secrets are in {found:?}");
    // The password's command was run, and was told no other secret.
    let seen = std::fs::read_to_string(etl.path("seen")).expect("the command was run");
    assert!(seen.contains("PATH=") && !seen.contains(MARK), "{seen}");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM rows"), "1");
}

#[test]
fn a_source_that_is_named_by_a_secret_has_a_reject_file_that_is_not() {
    let etl = Etl::new().env("TOKEN", &format!("{MARK}-token")).csv_job("rows", "", "id\n1\nx\n");
    etl.write(
        "jobs/rows.yaml",
        "data_sources:\n  - {name: \"${TOKEN}\", path: jobs/data/rows.csv, target: t, columns: {types: {id: integer}}}\n",
    );
    etl.run(&["run", "rows"]).exits(0);
    let found: Vec<_> = etl.listing().into_iter().map(|(path, _)| path.display().to_string()).collect();
    assert!(found.iter().any(|path| path.contains("/rejects/") && path.ends_with(".csv")), "{found:?}");
    assert!(found.iter().all(|path| !path.contains(MARK)), "{found:?}");
    let rejects = etl.run(&["logs", "--run", "last", "-o", "json"]).exits(0).json()["log"]["sources"][0]["rejects_path"].clone();
    assert!(rejects.as_str().is_none_or(|path| Path::new(path).is_file()), "{rejects}");
}

#[test]
fn the_check_convicts_a_secret_that_is_planted() {
    let etl = workspace();
    etl.write("deep/down/file", format!("x{MARK}y"));
    etl.write(&format!("named/{MARK}"), "x");
    let input = format!("in/{MARK}-token");
    let mut found = found_in(&etl.path("."), &[".env", "secret.txt", &input]);
    found.sort();
    assert_eq!(found, ["deep/down/file".to_owned(), format!("the name named/{MARK}")]);
}

/// While it works, no process of a run has a secret on its command line, and its workers none in their environment.
#[test]
#[cfg(target_os = "linux")]
fn no_process_of_a_run_shows_a_secret() {
    use std::os::unix::fs::MetadataExt;

    let rows: String = (0..2_000_000).map(|number| format!("{number},some text in a row\n")).collect();
    let etl = Etl::new()
        .env("TOKEN", &format!("{MARK}-token"))
        .file("jobs/long.yaml", "data_sources:\n  - {name: long, path: \"${TOKEN}.csv\"}\n");
    etl.write(&format!("{MARK}-token.csv"), format!("id,text\n{rows}"));
    let run = etl.start("long");
    let parent = format!("PPid:\t{}\n", run.id());
    let mut workers = 0;
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let process = entry.path();
        let read = |name: &str| std::fs::read(process.join(name));
        let Ok(line) = read("cmdline") else { continue };
        assert!(!holds(&line), "{}: {}", process.display(), String::from_utf8_lossy(&line));
        let status = read("status").map(|status| String::from_utf8_lossy(&status).into_owned()).unwrap_or_default();
        if !status.contains(&parent) {
            continue;
        }
        workers += 1;
        // Root alone can look, and in a container not even root.
        match read("environ") {
            Ok(environment) => assert!(!holds(&environment), "the environment of a worker"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}"),
        }
        let owner = std::fs::metadata(process.join("environ")).expect("a worker").uid();
        assert_eq!(owner, 0, "the memory of a worker is for root alone");
        let limits = String::from_utf8_lossy(&read("limits").expect("its limits")).into_owned();
        assert!(limits.lines().any(|line| line.starts_with("Max core file size") && line.contains(" 0 ")), "{limits}");
    }
    assert_eq!(workers, 1, "the worker was looked at");
    let supervisor = Path::new("/proc").join(run.id().to_string());
    assert_eq!(std::fs::metadata(supervisor.join("mem")).expect("the supervisor").uid(), 0);
    let limits = std::fs::read_to_string(supervisor.join("limits")).expect("its limits");
    assert!(limits.lines().any(|line| line.starts_with("Max core file size") && line.contains(" 0 ")), "{limits}");
    etl.run(&["cancel", "long"]).exits(0);
    assert_eq!(run.end().0, Some(143));
}

/// The scheduler's programs are strangers: what files use in `${}` is not theirs.
#[test]
fn programs_of_the_scheduler_get_no_secret() {
    let etl = Etl::new().env("TOKEN", &format!("{MARK}-token")).env("PLAIN", "kept");
    etl.write("jobs/daily.yaml", "schedule_type: daily\ndata_sources:\n  - path: \"${TOKEN}.csv\"\n");
    etl.write("bin/crontab", "#!/bin/sh\nenv >>seen\ncase $1 in -l) cat spool ;; -) cat >spool.new; mv spool.new spool ;; esac\n");
    etl.write("spool", "");
    std::fs::set_permissions(etl.path("bin/crontab"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = format!("{}:{}", etl.path("bin").display(), std::env::var("PATH").expect("PATH is set"));
    let etl = etl.env("PATH", &path).env("TZ", "UTC");
    etl.run(&["schedule", "install", "--yes"]).exits(0);
    let spool = std::fs::read_to_string(etl.path("spool")).expect("a crontab");
    assert!(spool.contains(" run daily ") && !spool.contains(MARK), "{spool}");
    etl.run(&["schedule", "status"]).exits(0);
    // Before jobs are read nothing is known of their variables: only the last call of `install` counts, and all of those after it.
    let seen = std::fs::read_to_string(etl.path("seen")).expect("the program was called");
    assert!(seen.contains("PLAIN=kept"), "{seen}");
    assert!(!seen.contains(MARK), "{seen}");
}
