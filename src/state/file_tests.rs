//! A store in a file: its mode, its clocks, what else may lie at its place.

use std::time::Duration;

use chrono::TimeDelta;
use tempfile::TempDir;

use super::bench::{BackEnd, Home, file};
use super::tests::{alive, at, elsewhere, gone, job, moment, new_run};
use super::*;
use crate::clock::BootTime;

#[test]
fn a_lease_is_dead_at_once_when_its_process_is_gone_or_its_host_was_started_anew() {
    let home = Home::new(BackEnd::Sqlite);
    let mut store = home.open();
    store.register_job(&job("sales"), at(0)).unwrap();
    store.begin_run(&new_run("r1"), &moment(0), &alive).unwrap();
    let mut is_dead = |now: &Moment, probe: Probe<'_>| store.living_lease("sales", now, probe).unwrap().is_none();
    let reboot = Moment { boot: BootTime { boot_id: "b2".to_owned(), elapsed: Duration::from_secs(3) }, ..moment(1) };
    assert!(!is_dead(&moment(1), &alive));
    assert!(is_dead(&moment(1), &gone));
    assert!(is_dead(&reboot, &alive), "the process id belongs to another boot");
    assert!(!is_dead(&reboot, &elsewhere), "another machine has another boot");
    assert!(is_dead(&Moment { at: at(61), ..reboot }, &elsewhere));
}

#[test]
fn a_wall_clock_that_is_set_leaves_a_lease_alone() {
    let home = Home::new(BackEnd::Sqlite);
    let mut store = home.open();
    store.register_job(&job("sales"), at(0)).unwrap();
    store.begin_run(&new_run("r1"), &moment(0), &alive).unwrap();
    let mut is_dead = |now: &Moment, probe: Probe<'_>| store.living_lease("sales", now, probe).unwrap().is_none();
    assert!(!is_dead(&Moment { at: at(0) + TimeDelta::days(1), ..moment(5) }, &alive));
    assert!(is_dead(&Moment { at: at(0) - TimeDelta::hours(2), ..moment(61) }, &alive));
}

#[test]
fn the_store_and_its_folder_belong_to_one_user() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let private = folder.path().join(".etlsched");
    let mut store = Store::open(&file(private.join("state.db"))).unwrap();
    store.register_job(&job("sales"), at(0)).unwrap();
    let mode = |name: &str| std::fs::metadata(private.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("."), mode("state.db"), mode("state.db-wal"), mode("state.db-shm")], [0o700, 0o600, 0o600, 0o600]);
}

#[test]
fn other_files_and_missing_folders_give_one_clear_error() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to look like one to a careless reader".repeat(20)).unwrap();
    assert!(matches!(Store::open(&file(&text)).unwrap_err(), StateError::NotAStore { .. }));
    assert!(matches!(Store::open(&file(folder.path())).unwrap_err(), StateError::Unreachable { .. }));
    let absent = folder.path().join("absent").join("state.db");
    let error = Store::open(&file(&absent)).unwrap_err();
    assert!(error.to_string().ends_with("its folder doesn't exist"), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_damaged_store_says_so() {
    let home = Home::new(BackEnd::Sqlite);
    drop(home.open());
    let StateLocation::Sqlite(path) = &home.location else { unreachable!("it is a file") };
    let mut bytes = std::fs::read(path).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
    let found = Store::open(&home.location).and_then(|mut store| store.jobs());
    assert!(matches!(found, Err(StateError::Damaged { .. })), "{found:?} in {home:?}");
}

#[test]
fn the_schema_names_the_columns_that_the_migrations_lay() {
    use diesel::prelude::*;
    #[derive(QueryableByName)]
    struct Column {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    let home = Home::new(BackEnd::Sqlite);
    let mut store = home.open();
    let mut compared = 0;
    for block in include_str!("schema.rs").split("diesel::table! {").skip(1) {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let table = lines.next().unwrap().split(' ').next().unwrap().to_owned();
        let named: Vec<&str> = lines.map_while(|line| line.split_once(" -> ").map(|(column, _)| column)).collect();
        let sql = format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid");
        let laid: Vec<Column> = diesel::sql_query(sql).load(&mut store.connection).unwrap();
        assert_eq!(named, laid.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), "{table}");
        compared += 1;
    }
    assert_eq!(compared, 11);
}

#[test]
fn a_store_in_a_folder_that_a_group_shares_is_the_group_s_too() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = TempDir::new().unwrap();
    let private = folder.path().join(".etlsched");
    let mode = |name: &str| std::fs::metadata(private.join(name)).unwrap().permissions().mode() & 0o7777;
    // One that was a single user's becomes the group's, and one that is made there is so from the start.
    for name in ["state.db", "later.db"] {
        let path = private.join(name);
        let mut store = Store::open(&file(&path)).unwrap();
        let group = std::fs::metadata(&path).unwrap().gid();
        crate::private::share(&private, &group.to_string()).unwrap();
        store.register_job(&job("sales"), at(0)).unwrap();
        let modes = ["", "-wal", "-shm"].map(|end| mode(&format!("{name}{end}")));
        assert_eq!((mode("."), modes), (0o2770, [0o660; 3]), "{name}");
    }
}
