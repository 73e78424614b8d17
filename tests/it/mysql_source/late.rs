//! Writers beside incremental loads: no row is lost, none comes twice.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::*;

/// A session of the `mariadb` client that stays open between statements.
struct Writer {
    client: Child,
    answers: BufReader<ChildStdout>,
}

impl Writer {
    fn new(server: &Server, database: &str) -> Self {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--batch", "--skip-column-names", "--unbuffered", "-u", "root", "-D", database, "-S"]);
        command.arg(server.folder.join("socket")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = command.spawn().expect("mariadb is not installed: apt-get install mariadb-client");
        let answers = BufReader::new(client.stdout.take().expect("it is piped"));
        Self { client, answers }
    }

    /// Runs statements and waits for their end.
    #[track_caller]
    fn say(&mut self, sql: &str) {
        let stdin = self.client.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{sql}\nSELECT 'it is said';").expect("the client listens");
        let mut line = String::new();
        while line.trim() != "it is said" {
            line.clear();
            assert!(self.answers.read_line(&mut line).expect("lines of text") > 0, "the client ended: {sql}");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.client.stdin.take());
        self.client.wait().ok();
    }
}

const KEYED: &str = "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, at timestamp(6) NOT NULL DEFAULT now(6), x int)";

fn by(column: &str) -> String {
    let lookback = if column == "id" { "lookback_value: 0" } else { "lookback_minutes: 0" };
    format!("    etl_config: {{mode: incremental, timestamp_column: {column}, {lookback}}}\n")
}

#[test]
fn a_row_that_is_committed_after_later_ones_is_not_lost() {
    for column in ["at", "id"] {
        let server = own_mariadb(&[]);
        let database = database_on(&server, &format!("{KEYED}; INSERT INTO t (x) VALUES (1)"));
        let etl = of_table(&server, &database, &by(column));
        run(&etl).exits(0);
        let mut late = Writer::new(&server, &database);
        late.say("BEGIN; INSERT INTO t (x) VALUES (2);");
        mariadb_sql(&server, &database, "INSERT INTO t (x) VALUES (3)");
        run(&etl).exits(0);
        assert_eq!(etl.warehouse().rows("SELECT x FROM t ORDER BY x"), ["1", "3"], "{column}");
        late.say("COMMIT;");
        run(&etl).exits(0);
        assert_eq!(etl.warehouse().rows("SELECT x FROM t ORDER BY x"), ["1", "2", "3"], "{column}");
    }
}

#[test]
fn an_account_that_is_not_shown_every_transaction_is_told_so() {
    let server = own_mariadb(&[]);
    let database = database_on(&server, &format!("{KEYED}; INSERT INTO t (x) VALUES (1)"));
    mariadb_root(&server, &format!("CREATE USER reader@'%' IDENTIFIED BY 'pw-of-reader'; GRANT SELECT ON {database}.* TO reader@'%'"));
    let etl = of_table(&server, &database, &by("at"));
    change_settings(&etl, "user: etl, password: \"${MARIA_PASSWORD}\"", "user: reader, password: pw-of-reader");
    etl.run(&["run", "load", "-v"]).exits(0).mentions("GRANT PROCESS");
    mariadb_root(&server, "GRANT PROCESS ON *.* TO reader@'%'");
    let told = etl.run(&["run", "load", "-v"]).exits(0);
    assert!(!told.stderr.contains("PROCESS"), "{}", told.stderr);
}

/// A xorshift generator (Marsaglia 2003): the same writes on each run of the test.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn random_writers_lose_no_row_and_double_none() {
    // Without a key a row that is read twice would be there twice, if its window were not deleted first.
    let keyless = KEYED.replace("AUTO_INCREMENT PRIMARY KEY", "AUTO_INCREMENT, KEY (id)");
    for (column, table, seed) in
        [("at", KEYED, 0x9e37_79b9_7f4a_7c15), ("id", KEYED, 0x2545_f491_4f6c_dd1d), ("at", &keyless, 0x1234_5678_9abc_def1)]
    {
        let server = own_mariadb(&[]);
        let database = database_on(&server, table);
        let etl = of_table(&server, &database, &by(column));
        let mut random = Random(seed);
        let mut writers: Vec<(Writer, bool)> = (0..3).map(|_| (Writer::new(&server, &database), false)).collect();
        for _ in 0..25 {
            for _ in 0..random.below(6) {
                let (writer, is_open) = &mut writers[random.below(3) as usize];
                let (sql, will_be_open) = match (*is_open, random.below(4)) {
                    (false, 0 | 1) => ("INSERT INTO t (x) SELECT seq FROM seq_1_to_3;", false),
                    (false, _) => ("BEGIN; INSERT INTO t (x) VALUES (1);", true),
                    (true, 0) => ("COMMIT;", false),
                    (true, 1) => ("ROLLBACK;", false),
                    (true, _) => ("INSERT INTO t (x) VALUES (2);", true),
                };
                writer.say(sql);
                *is_open = will_be_open;
            }
            run(&etl).exits(0);
        }
        // What is still open is rolled back.
        writers.clear();
        run(&etl).exits(0);
        let there = mariadb_sql(&server, &database, "SELECT count(*), sum(id), sum(x) FROM t").replace('\t', "|");
        assert_eq!(etl.warehouse().rows("SELECT count(*), sum(id), sum(x) FROM t"), [there], "{column}");
    }
}
