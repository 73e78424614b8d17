//! Who may read and write what lies in `.etlsched`, and files that others could change. Users and groups are those of `owners`.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use serde_json::Value;

use crate::etl::{Ended, Etl};
use crate::owners::{DAEMON, GAMES, NOBODY, Shared, is_root, job, the_job_of_another_user_can_be_looked_at_and_not_touched};

/// Returns every path below `.etlsched` with its mode and group.
fn modes(etl: &Etl) -> Vec<(String, u32, u32)> {
    let root = etl.path(".etlsched");
    let mut found = Vec::new();
    let mut paths = vec![root.clone()];
    while let Some(path) = paths.pop() {
        let metadata = std::fs::symlink_metadata(&path).expect("a file");
        if metadata.is_dir() {
            paths.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
        let name = path.strip_prefix(&root).expect("below").display().to_string();
        found.push((name, metadata.mode() & 0o7777, metadata.gid()));
    }
    found.sort();
    found
}

#[track_caller]
fn check_modes(etl: &Etl, folder: u32, file: u32) {
    let found = modes(etl);
    for wanted in ["state.db", "warehouse.db", "rejects", "crontab.before"] {
        assert!(found.iter().any(|(name, ..)| name.starts_with(wanted)), "no {wanted} among {found:?}");
    }
    for (name, mode, _) in &found {
        let expected = match name {
            name if name.starts_with("crontab.before") => 0o600,
            name if etl.path(".etlsched").join(name).is_dir() => folder,
            _ => file,
        };
        assert_eq!(*mode, expected, ".etlsched/{name}: {mode:o}, not {expected:o}");
    }
}

/// A workspace where everything leaves something in `.etlsched`: a store, a warehouse, rejected rows, schemas, a crontab.
fn full(settings: &str) -> Etl {
    let etl = job().file("etlsched.yaml", settings);
    etl.write("jobs/daily.yaml", "schedule_type: daily\ndata_sources:\n  - path: jobs/data/sales.csv\n    target: daily\n");
    etl.write("bin/crontab", "#!/bin/sh\ncase $1 in -l) echo '0 0 * * * /x' ;; -) cat >/dev/null ;; esac\n");
    std::fs::set_permissions(etl.path("bin/crontab"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = format!("{}:{}", etl.path("bin").display(), std::env::var("PATH").expect("PATH is set"));
    etl.env("PATH", &path).env("TZ", "UTC")
}

const FILLING: [&[&str]; 3] = [&["create", "more", "--path", "x.csv"], &["run", "sales"], &["schedule", "install", "daily", "--yes"]];

#[test]
fn everything_in_the_private_folder_is_its_owners_alone_whatever_the_umask() {
    for umask in ["000", "077"] {
        let etl = full("");
        std::fs::create_dir(etl.path(".etlsched")).expect("a folder that somebody else made");
        std::fs::set_permissions(etl.path(".etlsched"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
        for arguments in FILLING {
            let line = format!("umask {umask}; exec \"$0\" \"$@\"");
            let plain = etl.command(&[]);
            let mut command = Command::new("sh");
            command.args(["-c", &line, env!("CARGO_BIN_EXE_etlsched")]).args(arguments).current_dir(etl.path(".")).env_clear();
            command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let ended = Ended::new(&etl, arguments, command.output().expect("the shell starts"));
            // The fake crontab keeps nothing, which is told.
            assert!(ended.code == Some(0) || arguments[0] == "schedule", "{}", ended.stderr);
        }
        check_modes(&etl, 0o700, 0o600);
    }
}

#[test]
fn a_state_group_shares_the_private_folder_also_one_that_was_private_before() {
    let (name, id) = if is_root() {
        ("games".to_owned(), GAMES)
    } else {
        let said = |flag: &str| String::from_utf8(Command::new("id").arg(flag).output().expect("coreutils").stdout).expect("text");
        (said("-gn").trim().to_owned(), said("-g").trim().parse().expect("a number"))
    };
    for was_private in [false, true] {
        let etl = full("");
        if was_private {
            FILLING.iter().for_each(|arguments| drop(etl.run(arguments)));
        }
        etl.write("etlsched.yaml", format!("state_group: {name}\n"));
        etl.run(&["run", "sales"]).exits(0);
        if !was_private {
            FILLING.iter().for_each(|arguments| drop(etl.run(arguments)));
        }
        check_modes(&etl, 0o2770, 0o660);
        let found = modes(&etl);
        assert!(found.iter().all(|(name, _, group)| *group == id || name.starts_with("crontab.before")), "{found:?}");
    }
    let etl = full("state_group: nobody-has-this\n");
    etl.run(&["run", "sales"]).exits(4).mentions("this host has no group nobody-has-this").mentions("groupadd nobody-has-this");
    assert!(!etl.path(".etlsched").exists());
}

#[test]
fn a_store_that_lies_elsewhere_is_shared_where_its_folder_is() {
    if !is_root() {
        return a_state_group_shares_the_private_folder_also_one_that_was_private_before();
    }
    let etl = job().file("etlsched.yaml", "state: sqlite:shared/state.db\nstate_group: games\n");
    std::fs::create_dir(etl.path("shared")).expect("a folder");
    etl.run(&["run", "sales"]).exits(77).mentions("shared is not shared with the group games").mentions("chgrp games ");
    chown(etl.path("shared"), None, Some(GAMES)).expect("a group");
    std::fs::set_permissions(etl.path("shared"), std::fs::Permissions::from_mode(0o2770)).expect("a mode");
    etl.run(&["run", "sales"]).exits(0);
    let metadata = std::fs::metadata(etl.path("shared/state.db")).expect("a store");
    assert_eq!((metadata.mode() & 0o777, metadata.gid()), (0o660, GAMES));
}

/// Two users of one group: each runs their own job, sees the other's, and is refused it; both write one store and one warehouse.
#[test]
fn two_users_of_a_group_share_a_workspace() {
    if !is_root() {
        // Without root nobody can be two users: what one of them meets is tested above.
        return the_job_of_another_user_can_be_looked_at_and_not_touched();
    }
    let etl = Etl::new().csv_job("one", "", "a\n1\n").csv_job("two", "", "a\n1\n").file("etlsched.yaml", "state_group: games\n");
    etl.write(".env", "TOKEN=x\n");
    chown(etl.path(".env"), None, Some(GAMES)).expect("a group");
    std::fs::set_permissions(etl.path(".env"), std::fs::Permissions::from_mode(0o640)).expect("a mode");
    let shared = Shared::new(etl);
    shared.run_as(NOBODY, NOBODY.id, &["run", "one"]).exits(4).mentions(".env: error: can't be read");
    let first = shared.run_as(NOBODY, GAMES, &["run", "one"]).exits(0);
    assert!(!first.stderr.contains("warning: others can read it"), "the group may read .env: {}", first.stderr);
    shared.run_as(DAEMON, GAMES, &["run", "two"]).exits(0);
    shared.run_as(DAEMON, GAMES, &["run", "one"]).exits(77).mentions("job one belongs to nobody, and daemon may not");
    shared.run_as(NOBODY, GAMES, &["cancel", "two"]).exits(1);
    shared.run_as(NOBODY, GAMES, &["pause", "two"]).exits(77);
    for user in [NOBODY, DAEMON] {
        let list = shared.run_as(user, GAMES, &["list", "-o", "json"]).exits(0).json();
        let results: Vec<&Value> = list["jobs"].as_array().expect("jobs").iter().map(|job| &job["last_run"]).collect();
        assert!(results.len() == 2 && results.iter().all(|run| !run.is_null()), "{list:#}");
    }
    for _ in 0..3 {
        shared.run_as(NOBODY, GAMES, &["run", "one"]).exits(0);
        shared.run_as(DAEMON, GAMES, &["run", "two"]).exits(0);
    }
    shared.etl.run(&["run", "one", "two"]).exits(0);
    shared.run_as(NOBODY, GAMES, &["run", "one"]).exits(0);
    for (name, mode, group) in modes(&shared.etl) {
        let expected = if shared.etl.path(".etlsched").join(&name).is_dir() { 0o2770 } else { 0o660 };
        assert_eq!((mode, group), (expected, GAMES), ".etlsched/{name}: {mode:o}");
    }
    let users = shared.etl.state().rows("SELECT DISTINCT job, username FROM audit WHERE action = 'run' ORDER BY 1, 2");
    assert_eq!(users, ["one|nobody", "one|root", "two|daemon", "two|root"]);
}

#[test]
fn files_that_others_can_write_are_refused_and_risky_ones_warn_with_what_to_type() {
    let etl = job().file("etlsched.yaml", "timezone: UTC\n").file(".env", "A=1\n");
    let mode = |path: &str, mode: u32| std::fs::set_permissions(etl.path(path), std::fs::Permissions::from_mode(mode)).expect("a mode");
    mode(".env", 0o600);
    let check = |path: &str, bad: u32, code: i32, said: &str, hint: &str| {
        let good = std::fs::metadata(etl.path(path)).expect("a file").mode() & 0o777;
        mode(path, bad);
        etl.run(&["run", "sales"]).exits(code).mentions(&format!("{path}: {said}")).mentions(hint);
        mode(path, good);
        etl.run(&["run", "sales"]).exits(0);
    };
    for path in ["jobs/sales.yaml", "etlsched.yaml", ".env"] {
        check(path, 0o666, 4, "error: everybody can write it", &format!("chmod o-w {path}"));
        check(path, 0o660, 0, "warning: its group can write it", &format!("chmod g-w {path}"));
    }
    check(".env", 0o644, 0, "warning: others can read it", "chmod 600 .env");
    check(".env", 0o640, 0, "warning: others can read it", "chmod 600 .env");
    etl.write("etlsched.yaml", "connections:\n  erp: {type: sqlite, path: x.db}\nhash_key: {file: key}\n");
    etl.write("key", "0123456789abcdef0123456789abcdef\n");
    mode("key", 0o644);
    etl.run(&["run", "sales"]).exits(0).mentions("etlsched.yaml:3:1: warning: others can read key\n").mentions("hint: chmod 600 key\n");
    mode("key", 0o600);
    assert!(!etl.run(&["run", "sales"]).exits(0).stderr.contains("warning"));
    etl.write("etlsched.yaml", "defaults:\n  webhooks: [\"https://hooks.example.com/x\"]\n  notify_on: []\n");
    mode("etlsched.yaml", 0o644);
    let (told, hint) = ("holds a secret (webhooks) that others can read", "or write ${NAME} in place of the secret");
    for arguments in [["validate", "sales"], ["run", "sales"], ["doctor", "--offline"]] {
        etl.run(&arguments).mentions(told).mentions(hint);
    }
    mode("etlsched.yaml", 0o600);
    if is_root() {
        for path in ["jobs/sales.yaml", "etlsched.yaml", ".env"] {
            chown(etl.path(path), Some(NOBODY.id), None).expect("an owner");
            etl.run(&["run", "sales"]).exits(4).mentions(&format!("{path}: error: belongs to user 65534"));
            chown(etl.path(path), Some(0), None).expect("an owner");
        }
    }
    etl.run(&["run", "sales"]).exits(0);
}

#[test]
fn a_store_that_nobody_has_made_yet_is_not_called_read_only() {
    let shared = Shared::new(job());
    std::fs::set_permissions(shared.etl.path("."), std::fs::Permissions::from_mode(0o555)).expect("a mode");
    let run = |arguments: &[&str]| if is_root() { shared.run_as(NOBODY, NOBODY.id, arguments) } else { shared.etl.run(arguments) };
    let ended = run(&["run", "sales"]).exits(1);
    std::fs::set_permissions(shared.etl.path("."), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    ended
        .mentions("/.etlsched/state.db: it is not there yet, and this user can't make its folder")
        .mentions("hint: run as the owner of /")
        .mentions(" first, who may share it with a group: state_group in etlsched.yaml");
}
