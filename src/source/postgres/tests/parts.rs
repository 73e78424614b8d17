//! Tables in several parts: together they are exactly the snapshot.

use super::*;
use crate::connect::servers::wait_until;

/// Reads `t` whole and in `partitions` parts; both must be the same rows, each once. Returns how many parts there were.
#[track_caller]
fn check(case: &mut Case, partitions: u32) -> usize {
    let sorted = |outcome: Outcome| {
        let Outcome { schema, mut lines, mut rejected } = outcome;
        lines.sort();
        rejected.sort();
        (schema, lines, rejected.len())
    };
    case.plan.partitions = 1;
    let whole = sorted(case.read().unwrap_or_else(|error| panic!("{error}")));
    case.plan.partitions = partitions;
    let parted = sorted(case.read().unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(parted, whole, "{partitions} parts");
    ranges(case)
}

/// Returns how many parts the table has now.
fn ranges(case: &Case) -> usize {
    let mut session = Session::open(&case.plan.connection).unwrap();
    session.client.batch_execute(BEGIN).unwrap();
    let described = query::describe(&mut session, "s", &case.plan).unwrap();
    super::super::parts::opened(session, "s", &case.plan, described.table.as_deref().unwrap(), &mut Vec::new()).unwrap().len()
}

#[test]
fn every_type_of_key_is_parted_with_its_ends() {
    let all = "(SELECT generate_series(1, 500) AS g) AS n";
    let rows = |type_name: &str, values: &str, ends: &[&str]| {
        let ends: String = ends.iter().map(|end| format!(", ('{end}', 'end')")).collect();
        format!(
            "CREATE TABLE {{s}}.t (k {type_name} PRIMARY KEY, v text); INSERT INTO {{s}}.t VALUES ('{{first}}', 'x'){ends}; INSERT INTO {{s}}.t SELECT {values}, 'x' FROM {all};"
        )
    };
    let cases = [
        ("int2", "g", "0", vec!["-32768", "32767"]),
        ("int4", "g", "0", vec!["-2147483648", "2147483647"]),
        ("int8", "g", "0", vec!["-9223372036854775808", "9223372036854775807"]),
        ("date", "date '2026-01-01' + g", "2026-01-01", vec!["4713-01-01 BC", "9999-12-31"]),
        ("timestamp", "timestamp '2026-01-01' + g * interval '1 us'", "2026-01-01", vec!["4713-01-01 BC", "infinity", "-infinity"]),
        ("timestamptz", "timestamptz '2026-01-01' + g * interval '1 h'", "2026-01-01", vec!["4713-01-01 BC", "infinity"]),
    ];
    for (type_name, values, first, ends) in cases {
        for analyze in ["", "ANALYZE {s}.t;"] {
            let setup = rows(type_name, values, &ends).replace("{first}", first) + analyze;
            let mut case = Case::new(&setup);
            case.options.batch_size = 50;
            for partitions in [2, 7] {
                let parts = check(&mut case, partitions);
                let is_known = !analyze.is_empty() || type_name.starts_with("int");
                assert!(parts <= partitions as usize && (parts > 1 || !is_known), "{type_name}: {parts} parts of {partitions}");
            }
        }
    }
}

#[test]
fn tables_without_such_a_key_are_parted_by_blocks() {
    let rows = "INSERT INTO {s}.t SELECT g, repeat('x', 200), g % 7 FROM generate_series(1, 3000) AS g; DELETE FROM {s}.t WHERE n % 5 = 0;";
    for table in ["t (n int, pad text, m int)", "t (n int, pad text, m int, PRIMARY KEY (pad, n))"] {
        let mut case = Case::new(&format!("CREATE TABLE {{s}}.{table}; {rows} UPDATE {{s}}.t SET m = 8 WHERE n % 3 = 0;"));
        case.options.batch_size = 100;
        assert_eq!((check(&mut case, 4), check(&mut case, 12)), (4, 12));
        case.plan.filter = Some("m = 8 OR n < 10 -- a comment".to_owned());
        assert_eq!(check(&mut case, 4), 4);
    }
    let mut view = Case::new(
        "CREATE TABLE {s}.base AS SELECT generate_series(1, 5000) AS n; CREATE MATERIALIZED VIEW {s}.t AS SELECT * FROM {s}.base",
    );
    view.options.batch_size = 100;
    assert_eq!(check(&mut view, 3), 3);
    assert_eq!(check(&mut Case::new("CREATE TABLE {s}.t (id int PRIMARY KEY)"), 4), 1, "an empty table is one part");
    assert_eq!(check(&mut Case::new("CREATE TABLE {s}.t (x text)"), 4), 1);
}

#[test]
fn null_keys_partitions_and_children_are_in_one_part_each() {
    let mut parted = Case::new(
        "CREATE TABLE {s}.t (id int, at date, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
         CREATE TABLE {s}.p1 PARTITION OF {s}.t FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
         CREATE TABLE {s}.p2 PARTITION OF {s}.t FOR VALUES FROM ('2026-02-01') TO ('2027-01-01');
         CREATE TABLE {s}.rest PARTITION OF {s}.t DEFAULT;
         INSERT INTO {s}.t SELECT g, date '2025-12-25' + g / 20 FROM generate_series(1, 2000) AS g",
    );
    parted.options.batch_size = 100;
    assert!(check(&mut parted, 4) > 1, "by blocks: nobody has analyzed it");
    psql(postgresql(), "etl", &format!("ANALYZE {}", parted.plan.table.as_deref().unwrap()));
    assert_eq!(check(&mut parted, 4), 4);
    // A child may hold what the parent's key forbids.
    let mut inherited = Case::new(
        "CREATE TABLE {s}.t (id int PRIMARY KEY, t text); CREATE TABLE {s}.child (more int) INHERITS ({s}.t);
         ALTER TABLE {s}.child ALTER id DROP NOT NULL;
         INSERT INTO {s}.t SELECT g, 'parent' FROM generate_series(1, 300) AS g; INSERT INTO {s}.child SELECT g, 'child', 1 FROM generate_series(200, 500) AS g",
    );
    let child = inherited.plan.table.clone().unwrap().replace(".t", ".child");
    psql(postgresql(), "etl", &format!("INSERT INTO {child} VALUES (600, 'child', 2), (NULL, 'no key', 3), (NULL, 'no key', 3)"));
    assert_eq!(check(&mut inherited, 5), 5);
}

#[test]
fn what_has_no_rows_of_its_own_is_refused_with_the_reason() {
    let refused = |setup: &str, reason: &str| {
        let mut case = Case::new(setup);
        case.plan.partitions = 4;
        let error = case.read().unwrap_err();
        assert!(
            error.message.contains("partitions: 4 needs a table with rows of its own, and ") && error.message.contains(reason),
            "{error}"
        );
        assert_eq!(error.hint.as_deref(), Some("remove partitions, or make it a source of its own"));
    };
    refused("CREATE VIEW {s}.t AS SELECT 1 AS id", "is a view");
    let foreign = "CREATE EXTENSION IF NOT EXISTS file_fdw; CREATE SERVER IF NOT EXISTS parts_files FOREIGN DATA WRAPPER file_fdw;";
    refused(
        &format!("{foreign} CREATE FOREIGN TABLE {{s}}.t (id int) SERVER parts_files OPTIONS (filename '/dev/null')"),
        "is a foreign table",
    );
    let part = "CREATE TABLE {s}.t (id int) PARTITION BY RANGE (id);
         CREATE FOREIGN TABLE {s}.f PARTITION OF {s}.t FOR VALUES FROM (0) TO (9) SERVER parts_files OPTIONS (filename '/dev/null')";
    refused(&format!("{foreign} {part}"), "has foreign tables among its parts");
}

#[test]
fn parts_are_one_snapshot_while_others_write() {
    let mut case = Case::new(
        "CREATE TABLE {s}.t (id int PRIMARY KEY, n int); INSERT INTO {s}.t SELECT g, 0 FROM generate_series(1, 2000) AS g; ANALYZE {s}.t",
    );
    case.options.batch_size = 100;
    case.plan.partitions = 4;
    let table = case.plan.table.clone().unwrap();
    let (end, is_over) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // Dropped where a check fails, too: then the writer ends.
        let end = end;
        // Each transaction moves all rows and raises all numbers: a snapshot has one number alone, and 2000 rows.
        let (table, connection) = (&table, &case.plan.connection);
        scope.spawn(move || {
            let mut writer = Session::open(connection).unwrap();
            let mut shift = 1;
            while is_over.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let sql = format!("UPDATE {table} SET id = id + 100000 * ({shift}), n = n + 1");
                writer.client.batch_execute(&sql).unwrap();
                shift = -shift;
            }
        });
        for _ in 0..10 {
            let outcome = case.read().unwrap();
            let numbers: std::collections::BTreeSet<&str> =
                outcome.lines.iter().filter_map(|line| line.split_once('|')).map(|(_, n)| n).collect();
            let ids: std::collections::BTreeSet<&str> =
                outcome.lines.iter().filter_map(|line| line.split_once('|')).map(|(id, _)| id).collect();
            assert_eq!((numbers.len(), ids.len(), outcome.lines.len()), (1, 2000, 2000));
        }
        drop(end);
    });
}

#[test]
fn an_error_in_one_part_ends_all() {
    let mut case = Case::new(
        "CREATE TABLE {s}.t (id int PRIMARY KEY); INSERT INTO {s}.t SELECT generate_series(1, 4000); ANALYZE {s}.t;
         CREATE FUNCTION {s}.slow(id int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
           IF id = 3900 THEN RAISE EXCEPTION 'broken row'; END IF; IF id < 2000 THEN PERFORM pg_sleep(0.05); END IF; RETURN true; END $$;",
    );
    let schema = case.plan.table.clone().unwrap().replace(".t", "");
    case.plan.filter = Some(format!("{schema}.slow(id)"));
    case.plan.partitions = 4;
    let start = std::time::Instant::now();
    let error = case.read().unwrap_err();
    assert!(error.message.contains("broken row"), "{error}");
    assert!(start.elapsed().as_secs() < 20, "the slow parts, 25 s each, are not waited for");
    let running = format!("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%{schema}%' AND state = 'active'");
    wait_until("the other parts end", || psql(postgresql(), "etl", &running) == "0");
}

#[test]
fn bounds_hold_in_each_part_and_rejected_rows_name_theirs() {
    let mut case = Case::new(
        "CREATE TABLE {s}.t (id int PRIMARY KEY, at date); INSERT INTO {s}.t SELECT g, date '2026-01-01' + g FROM generate_series(1, 400) AS g;
         UPDATE {s}.t SET at = 'infinity' WHERE id IN (1, 399); ANALYZE {s}.t",
    )
    .since("at", Some(("date", "2026-12-01")));
    assert_eq!(check(&mut case, 4), 4);
    case.options.invalid_values = crate::plan::OnInvalidValue::Fail;
    let error = case.read().unwrap_err();
    let is_placed = error.message.contains(".t, part ") && error.message.contains(" of 4, row ");
    assert!(is_placed, "{error}");
}
