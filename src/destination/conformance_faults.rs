//! The part of the conformance suite that is about loads which end too early, twice or otherwise than they began.

use std::sync::Arc;

use arrow_array::{Int64Array, StringArray};

use super::conformance::{Bench, FULL, batch, check_rows, load, merge, people, people_rows, publication, request, run, schema};
use super::{Disposition, LoadRequest};
use crate::batch::ColumnType;
use crate::plan::{SchemaChange, SchemaPolicy};
use crate::run::{Counts, CursorValue};

const PEOPLE: &str = "SELECT id, name FROM people ORDER BY id, name";

/// Runs the parts, each on a destination of its own.
pub(super) fn all<B: Bench>(make: impl Fn() -> B) {
    dead_loads_leave_the_old_table_and_go(&make());
    a_load_that_is_given_up_leaves_nothing(&make());
    the_same_load_twice_is_the_same_table(&make());
    an_attempt_that_was_given_up_publishes_no_more(&make());
    a_restart_forgets_what_was_staged(&make());
    columns_change_by_the_rule(&make());
    missing_rows_are_noticed(&make());
}

/// Every way in which rows get into a table that is there.
fn dispositions() -> [Disposition; 4] {
    let window = Disposition::Window { column: "seen".to_owned(), from: CursorValue::at(ColumnType::TimestampUtc, 0), until: None };
    [FULL, merge(Some("seen")), window, Disposition::Append]
}

/// How far a load comes before its process is killed.
#[derive(Debug, Clone, Copy)]
enum Death {
    Begun,
    Staged,
    Finished,
}

/// Begins a load and forgets it, as a process does that is killed. Between two chunks: what is open then, the system closes.
fn die(bench: &dyn Bench, request: &LoadRequest, death: Death) {
    let destination = Box::leak(Box::new(bench.open()));
    let mut load = destination.begin(request).unwrap();
    if !matches!(death, Death::Begun) {
        let staged = load.write(&people_rows(&[(1, Some("dead"), 0), (9, Some("dead"), 0)])).unwrap().rows;
        load.pause().unwrap();
        if matches!(death, Death::Finished) {
            load.finish(staged).unwrap();
            load.pause().unwrap();
        }
    }
    std::mem::forget(load);
}

#[track_caller]
fn nothing_is_left(bench: &dyn Bench) {
    assert_eq!(bench.rows(bench.staging()), Vec::<Vec<String>>::new(), "staging tables are left");
}

fn dead_loads_leave_the_old_table_and_go(bench: &dyn Bench) {
    load(bench, &request(1, "people", &people(), FULL), &[people_rows(&[(1, Some("old"), 0)])]).unwrap();
    let mut number = 1;
    for disposition in dispositions() {
        for death in [Death::Begun, Death::Staged, Death::Finished] {
            number += 1;
            die(bench, &request(number, "people", &people(), disposition.clone()), death);
            check_rows(bench, PEOPLE, &[&["1", "old"]]);
            let record = bench.open().record("people").unwrap().unwrap();
            assert_eq!((record.version, record.run_id), (1, Some(run(1).run_id)), "{disposition:?}, {death:?}");
        }
    }
    let merged = load(bench, &request(90, "people", &people(), merge(None)), &[people_rows(&[(1, Some("new"), 0)])]).unwrap();
    assert_eq!((merged.counts, merged.version), (Counts { updated: 1, ..Counts::default() }, 2));
    check_rows(bench, PEOPLE, &[&["1", "new"]]);
    nothing_is_left(bench);
}

fn a_load_that_is_given_up_leaves_nothing(bench: &dyn Bench) {
    for (number, disposition) in (1..).zip(dispositions()) {
        let mut destination = bench.open();
        let mut dropped = destination.begin(&request(number, "people", &people(), disposition)).unwrap();
        dropped.write(&people_rows(&[(1, Some("a"), 0)])).unwrap();
        drop(dropped);
        nothing_is_left(bench);
    }
    assert!(!bench.open().has_table("people").unwrap());
}

fn the_same_load_twice_is_the_same_table(bench: &dyn Bench) {
    let rows = || people_rows(&[(1, Some("a"), 0), (2, None, 1)]);
    let [full, merge, window, _] = dispositions();
    let expected = [
        (full, Counts { added: 2, deleted: 2, ..Counts::default() }),
        (merge, Counts { unchanged: 2, ..Counts::default() }),
        (window, Counts { added: 2, deleted: 2, ..Counts::default() }),
    ];
    load(bench, &request(1, "people", &people(), FULL), &[rows()]).unwrap();
    for (number, (disposition, counts)) in (2..).zip(expected) {
        for attempt in 1..=2 {
            let mut again = request(number, "people", &people(), disposition.clone());
            again.run.attempt = attempt;
            let committed = load(bench, &again, &[rows()]).unwrap();
            assert_eq!((committed.counts, committed.rows_in_target), (counts, 2), "{disposition:?}");
            check_rows(bench, PEOPLE, &[&["1", "a"], &["2", "NULL"]]);
        }
    }
    nothing_is_left(bench);
}

fn an_attempt_that_was_given_up_publishes_no_more(bench: &dyn Bench) {
    for (number, disposition) in (1..).zip(dispositions()) {
        let (mut first, mut second) = (bench.open(), bench.open());
        let id = i64::from(number);
        let mut request = request(number, "people", &people(), disposition);
        let mut slow = first.begin(&request).unwrap();
        slow.write(&people_rows(&[(id, Some("slow"), 0)])).unwrap();
        slow.finish(1).unwrap();
        request.run.attempt = 2;
        let mut quick = second.begin(&request).unwrap();
        quick.write(&people_rows(&[(id, Some("quick"), 0)])).unwrap();
        quick.finish(1).unwrap();
        // The attempt before is of the same run, and yet not this one.
        assert_eq!(slow.publish(&publication()).unwrap_err().code, "fence_lost");
        quick.publish(&publication()).unwrap();
        check_rows(bench, "SELECT DISTINCT name FROM people", &[&["quick"]]);
    }
}

fn a_restart_forgets_what_was_staged(bench: &dyn Bench) {
    let narrow = schema(&[("id", ColumnType::Int64), ("value", ColumnType::Int64)]);
    let wide = schema(&[("id", ColumnType::Int64), ("value", ColumnType::Text)]);
    let id = || Arc::new(Int64Array::from(vec![1]));
    for (number, disposition) in (1..).zip([FULL, FULL, merge(None)]) {
        let mut destination = bench.open();
        let mut load = destination.begin(&request(number, if number == 1 { "fresh" } else { "there" }, &narrow, disposition)).unwrap();
        if number == 1 {
            load.write(&batch(&narrow, vec![id(), Arc::new(Int64Array::from(vec![7]))])).unwrap();
        }
        load.restart(&wide).unwrap();
        load.write(&batch(&wide, vec![id(), Arc::new(StringArray::from(vec!["x7"]))])).unwrap();
        load.finish(1).unwrap();
        load.publish(&publication()).unwrap();
        check_rows(bench, if number == 1 { "SELECT id, value FROM fresh" } else { "SELECT id, value FROM there" }, &[&["1", "x7"]]);
    }
    nothing_is_left(bench);
}

fn columns_change_by_the_rule(bench: &dyn Bench) {
    use ColumnType::{Int32, Int64, Text};
    let first = schema(&[("id", Int32), ("gone", Text)]);
    let row = |value: &str| {
        let ids = arrow_array::Int32Array::from(vec![1]);
        batch(&first, vec![Arc::new(ids), Arc::new(StringArray::from(vec![value]))])
    };
    load(bench, &request(1, "t", &first, merge(None)), &[row("g")]).unwrap();
    let second = schema(&[("id", Int64), ("new", Text)]);
    let rows = || batch(&second, vec![Arc::new(Int64Array::from(vec![1, 1 << 40])), Arc::new(StringArray::from(vec![Some("n"), None]))]);
    let mut frozen = request(2, "t", &second, merge(None));
    frozen.schema_policy = SchemaPolicy::Freeze;
    assert_eq!(load(bench, &frozen, &[rows()]), Err("schema_frozen".to_owned()));
    check_rows(bench, "SELECT id, gone FROM t", &[&["1", "g"]]);
    let committed = load(bench, &request(3, "t", &second, merge(None)), &[rows()]).unwrap();
    assert_eq!(
        committed.schema_changes,
        [
            SchemaChange::Widened { column: "id".to_owned(), from: Int32, to: Int64 },
            SchemaChange::Added { column: "new".to_owned(), to: Text },
            SchemaChange::Gone { column: "gone".to_owned() },
        ]
    );
    assert_eq!((committed.counts.added, committed.counts.updated), (1, 1));
    check_rows(bench, "SELECT id, gone, new FROM t ORDER BY id", &[&["1", "g", "n"], &["1099511627776", "NULL", "NULL"]]);
    // A column that has nothing in common with what is there.
    let clash = schema(&[("id", ColumnType::Date), ("new", Text)]);
    assert_eq!(load(bench, &request(4, "t", &clash, merge(None)), &[]), Err("schema_clash".to_owned()));
}

fn missing_rows_are_noticed(bench: &dyn Bench) {
    for (number, disposition) in (1..).zip(dispositions()) {
        let mut destination = bench.open();
        let mut load = destination.begin(&request(number, "people", &people(), disposition)).unwrap();
        load.write(&people_rows(&[(1, Some("a"), 0)])).unwrap();
        assert_eq!(load.finish(2).unwrap_err().code, "rows_lost");
    }
    nothing_is_left(bench);
}
