//! Every source with every destination: what a source's own client wrote is what the destination's own client reads, value by value. The
//! expectations are literals; psql, mariadb and sqlite3 read, none of our own code.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::etl::{Ended, Etl};
use crate::servers::mariadb::{mariadb, mariadb_root, mariadb_sql, own_mariadb};
use crate::servers::{PASSWORD, Server, own_postgresql, postgresql, psql};

mod changes;
mod limits;
mod matrix;
mod shapes;

/// How NULL is shown; no value of the tests is this text.
pub const NULL: &str = "<null>";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Csv,
    Sqlite,
    Postgresql,
    Mysql,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    Sqlite,
    Postgresql,
    Mysql,
}

pub const SOURCES: [From; 4] = [From::Csv, From::Sqlite, From::Postgresql, From::Mysql];
pub const DESTINATIONS: [Into; 3] = [Into::Sqlite, Into::Postgresql, Into::Mysql];

/// A workspace whose job `load` loads the table `t` of a source into the table `t` of a destination, both of its own.
pub struct Pair {
    pub etl: Etl,
    pub from: From,
    pub into: Into,
    /// The name of its database or schema at either end.
    name: String,
    postgresql: &'static Server,
    mariadb: &'static Server,
}

static PAIRS: AtomicUsize = AtomicUsize::new(0);

impl Pair {
    /// Makes both ends, and the job with more keys for its source.
    pub fn new(from: From, into: Into, keys: &str) -> Self {
        Self::on(postgresql(), mariadb(), from, into, keys)
    }

    /// As [`Pair::new`], on servers where no other test has a transaction: where the next window begins depends on those.
    pub fn alone(from: From, into: Into, keys: &str) -> Self {
        static SERVERS: OnceLock<(Server, Server)> = OnceLock::new();
        let (postgresql, mariadb) = SERVERS.get_or_init(|| (own_postgresql(&[]), own_mariadb(&[])));
        Self::on(postgresql, mariadb, from, into, keys)
    }

    fn on(postgresql: &'static Server, mariadb: &'static Server, from: From, into: Into, keys: &str) -> Self {
        let name = format!("pair_{}", PAIRS.fetch_add(1, Ordering::SeqCst));
        let pair = Self { etl: Etl::new().env("SECRET", PASSWORD), from, into, name, postgresql, mariadb };
        let name = &pair.name;
        let on_postgresql = |schema: &str| {
            psql(postgresql, "etl", &format!("CREATE SCHEMA {schema}"));
            let port = postgresql.port;
            format!("type: postgresql, host: 127.0.0.1, port: {port}, database: etl, user: etl, password: \"${{SECRET}}\"")
        };
        let on_mysql = |database: &str| {
            mariadb_root(mariadb, &format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
            let port = mariadb.port;
            format!("type: mysql, host: 127.0.0.1, port: {port}, database: {database}, user: etl, password: \"${{SECRET}}\"")
        };
        let source = match from {
            From::Csv => "type: sqlite, path: unused.db".to_owned(),
            From::Sqlite => "type: sqlite, path: source.db".to_owned(),
            From::Postgresql => on_postgresql(&format!("{name}_from")),
            From::Mysql => on_mysql(&format!("{name}_from")),
        };
        let destination = match into {
            Into::Sqlite => "type: sqlite, path: into.db".to_owned(),
            Into::Postgresql => format!("{}, schema: {name}_into", on_postgresql(&format!("{name}_into"))),
            Into::Mysql => on_mysql(&format!("{name}_into")),
        };
        let settings =
            format!("destination: dwh\ndefaults: {{max_retries: 0}}\nconnections:\n  src: {{{source}}}\n  dwh: {{{destination}}}\n");
        pair.etl.write("etlsched.yaml", settings);
        pair.job(keys);
        pair
    }

    /// Has rows go to MariaDB by INSERT.
    pub fn by_insert(&self) {
        let settings = std::fs::read_to_string(self.etl.path("etlsched.yaml")).expect("the settings");
        let (source, destination) = settings.split_once("  dwh: {").expect("a destination");
        self.etl.write("etlsched.yaml", format!("{source}  dwh: {{infile: off, {destination}"));
    }

    /// Writes the job anew.
    pub fn job(&self, keys: &str) {
        self.job_of("t", "t", keys);
    }

    /// As [`Pair::job`], of another table into another one.
    pub fn job_of(&self, table: &str, target: &str, keys: &str) {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let place = match self.from {
            From::Csv => "path: data/t.csv".to_owned(),
            From::Sqlite | From::Mysql => format!("connection: src\n    table: {}", quoted(table)),
            From::Postgresql => format!("connection: src\n    table: {}", quoted(&format!("{}_from.{table}", self.name))),
        };
        let target = quoted(target);
        self.etl.write(
            "jobs/load.yaml",
            format!("schedule_type: manual\ndata_sources:\n  - name: s\n    target: {target}\n    {place}\n{keys}"),
        );
    }

    /// Runs SQL at the source by its own client; for CSV it is the file.
    #[track_caller]
    pub fn source(&self, sql: &str) {
        match self.from {
            From::Csv => self.etl.write("data/t.csv", sql),
            From::Sqlite => drop(self.sqlite3("source.db", sql)),
            From::Postgresql => {
                drop(psql(self.postgresql, "etl", &format!("SET search_path = {}_from; SET timezone = 'UTC'; {sql}", self.name)))
            }
            From::Mysql => drop(mariadb_sql(self.mariadb, &format!("{}_from", self.name), sql)),
        }
    }

    /// Runs SQL at the destination by its own client.
    #[track_caller]
    pub fn ask(&self, sql: &str) -> String {
        match self.into {
            Into::Sqlite => self.sqlite3("into.db", sql),
            Into::Postgresql => psql(self.postgresql, "etl", &format!("SET search_path = {}_into; SET timezone = 'UTC'; {sql}", self.name)),
            Into::Mysql => mariadb_sql(self.mariadb, &format!("{}_into", self.name), sql),
        }
    }

    #[track_caller]
    fn sqlite3(&self, file: &str, sql: &str) -> String {
        use std::io::Write as _;
        let mut command = Command::new("sqlite3");
        command.args(["-batch", "-bail"]).arg(self.etl.path(file)).stdin(std::process::Stdio::piped());
        let spawned = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
        let mut child = spawned.expect("sqlite3 is not installed: apt-get install sqlite3");
        child.stdin.take().expect("it is piped").write_all(sql.as_bytes()).expect("sqlite3 listens");
        let output = child.wait_with_output().expect("sqlite3 ends");
        assert!(output.status.success(), "sqlite3: {}\n{sql}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("sqlite3's output is UTF-8").trim_end_matches('\n').to_owned()
    }

    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.etl.run(&[&["run", "load"], arguments].concat())
    }

    /// Runs the job; returns its counts: added, updated, unchanged, deleted, rejected.
    #[track_caller]
    pub fn load(&self) -> [u64; 5] {
        let result = self.run(&["-o", "json"]).exits(0).json();
        let source = &result["runs"][0]["sources"][0];
        let count = |name: &str| source[format!("records_{name}")].as_u64().unwrap_or(0);
        ["added", "updated", "unchanged", "deleted", "rejected"].map(count)
    }

    /// Returns the columns of a table as the destination's catalogue has them: name and type.
    #[track_caller]
    pub fn columns(&self, table: &str) -> Vec<(String, String)> {
        let table = table.replace('\'', "''");
        let (text, from) = match self.into {
            Into::Sqlite => ("hex(name) || ' ' || type", format!("pragma_table_info('{table}') ORDER BY cid")),
            Into::Postgresql => (
                "encode(convert_to(column_name, 'UTF8'), 'hex') || ' ' || data_type",
                format!(
                    "information_schema.columns WHERE table_schema = '{}_into' AND table_name = '{table}' ORDER BY ordinal_position",
                    self.name
                ),
            ),
            Into::Mysql => (
                "concat(hex(column_name), ' ', data_type)",
                format!(
                    "information_schema.columns WHERE table_schema = '{}_into' AND table_name = '{table}' ORDER BY ordinal_position",
                    self.name
                ),
            ),
        };
        let told = self.ask(&format!("SELECT {text} FROM {from}"));
        let parted = told.lines().map(|line| line.split_once(' ').expect("a name and a type"));
        parted.map(|(name, data_type)| (unhex(name), data_type.to_lowercase())).collect()
    }

    /// Returns a name as the destination's SQL has it.
    pub fn quoted(&self, name: &str) -> String {
        match self.into {
            Into::Mysql => format!("`{}`", name.replace('`', "``")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// Returns the rows of a table in an order: texts as they are, bytes as `\x` and digits, floats as the shortest text of the double that
    /// they are, everything else as the destination's client writes it.
    #[track_caller]
    pub fn rows(&self, table: &str, order: &str) -> Vec<Vec<String>> {
        let cell = |(name, data_type): &(String, String)| {
            let name = self.quoted(name);
            let is_float = matches!(data_type.as_str(), "real" | "float" | "double" | "double precision");
            let tag = if is_float { 'f' } else { 't' };
            match self.into {
                Into::Sqlite => format!(
                    "CASE typeof({name}) WHEN 'null' THEN 'n' WHEN 'real' THEN 'd' || hex(ieee754_to_blob({name})) WHEN 'blob' THEN 'b' || hex({name}) \
                     ELSE 't' || hex(CAST({name} AS TEXT)) END"
                ),
                Into::Postgresql => {
                    let text = if is_float { format!("{name}::float8::text") } else { format!("{name}::text") };
                    format!("coalesce('{tag}' || encode(convert_to({text}, 'UTF8'), 'hex'), 'n')")
                }
                Into::Mysql if data_type.ends_with("blob") || data_type == "varbinary" => {
                    format!("coalesce(concat('b', hex({name})), 'n')")
                }
                Into::Mysql => {
                    let text = if is_float { format!("CAST({name} AS DOUBLE)") } else { name };
                    format!("coalesce(concat('{tag}', hex(CAST({text} AS CHAR))), 'n')")
                }
            }
        };
        let columns = self.columns(table);
        let cells: Vec<String> = columns.iter().map(cell).collect();
        // SQLite concatenates no more than a hundred arguments well, and fields are hexadecimal: any sign parts them.
        let sql = format!("SELECT {} FROM {} ORDER BY {order}", cells.join(", "), self.quoted(table));
        let told = self.ask(&sql);
        told.lines().map(|line| line.split(['|', '\t']).map(shown).collect()).collect()
    }

    /// Says where a comparison failed.
    pub fn place(&self) -> String {
        format!("{:?} into {:?}", self.from, self.into)
    }
}

/// Returns what a tagged cell says.
fn shown(cell: &str) -> String {
    let (tag, digits) = cell.split_at(1);
    match tag {
        "n" => NULL.to_owned(),
        "b" => format!("\\x{}", digits.to_lowercase()),
        "d" => format!("{:?}", f64::from_bits(u64::from_str_radix(digits, 16).expect("eight bytes"))),
        "f" => format!("{:?}", unhex(digits).parse::<f64>().expect("a number")),
        _ => unhex(digits),
    }
}

fn unhex(digits: &str) -> String {
    let byte = |place: usize| u8::from_str_radix(&digits[place..place + 2], 16).expect("hexadecimal digits");
    String::from_utf8((0..digits.len()).step_by(2).map(byte).collect()).expect("UTF-8")
}

/// A type of a column that every source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int,
    Bigint,
    Text,
    Float,
    Decimal,
    Date,
    /// In microseconds, of no zone.
    Moment,
}

impl Kind {
    /// Returns its name in a source's SQL.
    fn at(self, from: From) -> &'static str {
        match (self, from) {
            (Self::Int, _) => "int",
            (Self::Bigint, _) => "bigint",
            (Self::Float, From::Sqlite) => "REAL",
            (Self::Float, _) => "double precision",
            (_, From::Sqlite) => "TEXT",
            (Self::Text, _) => "text",
            (Self::Decimal, _) => "decimal(20,5)",
            (Self::Date, _) => "date",
            (Self::Moment, From::Mysql) => "datetime(6)",
            (Self::Moment, _) => "timestamp",
        }
    }

    /// Returns its name in a job.
    fn declared(self) -> &'static str {
        match self {
            Self::Int => "integer",
            Self::Bigint => "bigint",
            Self::Text => "text",
            Self::Float => "double",
            Self::Decimal => "decimal(20,5)",
            Self::Date => "date",
            Self::Moment => "timestamp",
        }
    }
}

/// The columns of a table: name and type.
pub type Columns<'a> = &'a [(&'a str, Kind)];

impl Pair {
    /// Makes a pair whose columns are declared in the job where the source's file doesn't tell them, with more keys.
    pub fn of(from: From, into: Into, columns: Columns<'_>, keys: &str) -> Self {
        let pair = Self::new(from, into, "");
        pair.job(&format!("{}{keys}", pair.declarations(columns)));
        pair
    }

    /// Returns the job's key that declares columns.
    pub fn declarations(&self, columns: Columns<'_>) -> String {
        if matches!(self.from, From::Postgresql | From::Mysql) {
            return String::new();
        }
        let types: Vec<String> =
            columns.iter().map(|(name, kind)| format!("{}: \"{}\"", serde_json::Value::from(*name), kind.declared())).collect();
        format!("    columns: {{types: {{{}}}}}\n", types.join(", "))
    }

    /// Makes the source's table anew.
    #[track_caller]
    pub fn fill(&self, columns: Columns<'_>, rows: &[&[&str]]) {
        self.fill_table("t", columns, rows);
    }

    /// As [`Pair::fill`], of another name.
    #[track_caller]
    pub fn fill_table(&self, table: &str, columns: Columns<'_>, rows: &[&[&str]]) {
        let quoted = |name: &str| match self.from {
            From::Mysql => format!("`{}`", name.replace('`', "``")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        };
        let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
        if self.from == From::Csv {
            let field = |value: &&str| if *value == NULL { String::new() } else { format!("\"{}\"", value.replace('"', "\"\"")) };
            let line = |row: &&[&str]| row.iter().map(field).collect::<Vec<_>>().join(",") + "\n";
            return self.source(&format!("{}\n{}", names.join(","), rows.iter().map(line).collect::<String>()));
        }
        let declared: Vec<String> = columns.iter().zip(&names).map(|((_, kind), name)| format!("{name} {}", kind.at(self.from))).collect();
        let table = quoted(table);
        let mut sql = format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({});", declared.join(", "));
        for row in rows {
            let values: Vec<String> = row.iter().map(|value| self.literal(value)).collect();
            sql.push_str(&format!(" INSERT INTO {table} VALUES ({});", values.join(", ")));
        }
        self.source(&sql);
    }

    fn literal(&self, value: &str) -> String {
        match (value, self.from) {
            (NULL, _) => "NULL".to_owned(),
            (value, From::Mysql) => format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''")),
            (value, _) => format!("'{}'", value.replace('\'', "''")),
        }
    }
}

/// Calls `check` for every pair.
pub fn each(check: impl Fn(From, Into)) {
    for from in SOURCES {
        DESTINATIONS.into_iter().for_each(|into| check(from, into));
    }
}

/// Returns rows as lines, cells parted by `|`.
pub fn lines(rows: &[Vec<String>]) -> Vec<String> {
    rows.iter().map(|row| row.join("|")).collect()
}
