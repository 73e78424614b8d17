//! How fast loads between databases are, as ratios to what the engines' own clients need for the same work. Asserts nothing.
//!
//! `cargo bench --bench databases` measures all at TPC-H's scale 1 (6 million rows of lineitem, 1.5 million orders), in pairs that take
//! turns; `-- SCALE` another scale, `-- SCALE WORK` one work alone. The servers are started for it with their own settings, on free
//! ports. It needs what tests/run.sh installs, and `tpchgen-cli` (PyPI: tpchgen-cli). Files are kept in target/bench.
#![expect(clippy::print_stdout, reason = "a benchmark is there to print")]

mod measure;
#[path = "../tests/it/servers.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod servers;

use std::path::{Path, PathBuf};
use std::process::Command;

use measure::{Measured, bench_folder, etlsched, measure, workspace_of};
use servers::mariadb::{mariadb_sql, own_mariadb};
use servers::{PASSWORD, Server, own_postgresql, psql};
use tempfile::TempDir;

const PAIRS: usize = 3;

const LINEITEM: &str = "l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber integer NOT NULL, \
     l_quantity decimal(15,2) NOT NULL, l_extendedprice decimal(15,2) NOT NULL, l_discount decimal(15,2) NOT NULL, \
     l_tax decimal(15,2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, \
     l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, \
     l_comment varchar(44) NOT NULL";

const ORDERS: &str = "o_orderkey bigint PRIMARY KEY, o_custkey bigint NOT NULL, o_orderstatus char(1) NOT NULL, \
     o_totalprice decimal(15,2) NOT NULL, o_orderdate date NOT NULL, o_orderpriority char(15) NOT NULL, o_clerk char(15) NOT NULL, \
     o_shippriority integer NOT NULL, o_comment varchar(79) NOT NULL";

/// A work: what is loaded by us and by the clients.
struct Work {
    name: &'static str,
    run: fn(&Bench),
}

const WORKS: &[Work] = &[
    Work { name: "postgresql-postgresql", run: postgresql_to_postgresql },
    Work { name: "mariadb-postgresql", run: mariadb_to_postgresql },
    Work { name: "csv-postgresql", run: csv_to_postgresql },
    Work { name: "postgresql-sqlite", run: postgresql_to_sqlite },
    Work { name: "merge", run: merge },
];

fn main() {
    // cargo bench adds --bench.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let scale = words.first().map_or("1", String::as_str);
    let only = words.get(1).map(String::as_str);
    let chosen: Vec<&Work> = WORKS.iter().filter(|work| only.is_none_or(|only| only == work.name)).collect();
    assert!(!chosen.is_empty(), "{} is no work: {}", only.unwrap_or(""), WORKS.iter().map(|work| work.name).collect::<Vec<_>>().join(", "));
    let bench = Bench::make(scale);
    for work in chosen {
        println!("{} at scale {scale}, {PAIRS} pairs", work.name);
        (work.run)(&bench);
    }
}

/// A PostgreSQL server with the source `tpch` and the destination `dwh`.
struct Bench {
    files: PathBuf,
    postgresql: Server,
}

impl Bench {
    fn make(scale: &str) -> Self {
        let files = bench_folder().join(format!("tpch-{scale}"));
        std::fs::create_dir_all(&files).expect("a folder");
        if !files.join("orders.csv").exists() || !files.join("lineitem.csv").exists() {
            let output = format!("--output-dir={}", files.display());
            let made = Command::new("tpchgen-cli").args(["csv", "-s", scale, "--tables=lineitem,orders", &output]).status();
            assert!(made.is_ok_and(|status| status.success()), "tpchgen-cli is needed: pip install tpchgen-cli");
        }
        let postgresql = own_postgresql(&["fsync=on", "wal_level=replica", "max_wal_size=4GB"]);
        let bench = Self { files, postgresql };
        for database in ["tpch", "dwh"] {
            psql(&bench.postgresql, "postgres", &format!("CREATE DATABASE {database}"));
        }
        psql(&bench.postgresql, "tpch", &format!("CREATE TABLE lineitem ({LINEITEM}); CREATE TABLE orders ({ORDERS})"));
        for table in ["lineitem", "orders"] {
            bench.run(&bench.copy_csv("tpch", table, table));
        }
        let stamp = "ALTER TABLE orders ADD updated_at timestamptz NOT NULL DEFAULT '2024-01-01'; CREATE INDEX ON orders (updated_at)";
        psql(&bench.postgresql, "tpch", stamp);
        psql(&bench.postgresql, "tpch", "VACUUM ANALYZE");
        bench
    }

    /// Returns psql as shell words.
    fn psql(&self, database: &str) -> String {
        format!("psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p {} -U etl -d {database}", self.postgresql.port)
    }

    fn copy_csv(&self, database: &str, table: &str, file: &str) -> String {
        format!("{} -c \"\\copy {table} from '{}' csv header\"", self.psql(database), self.files.join(format!("{file}.csv")).display())
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("PGPASSWORD", PASSWORD);
        command
    }

    fn run(&self, script: &str) {
        measure(self.shell(script), false);
    }

    /// Returns a workspace with the job `rows` and the connections `tpch`, `dwh`, `lite` and `shop`.
    fn workspace(&self, job: &str, mariadb: Option<&Server>) -> TempDir {
        let workspace = workspace_of(job);
        let login = format!("host: 127.0.0.1, user: etl, password: \"{}\"", PASSWORD.replace('\\', "\\\\").replace('"', "\\\""));
        let port = self.postgresql.port;
        let mut text = format!(
            "destination: dwh\nconnections:\n  tpch: {{type: postgresql, {login}, port: {port}, database: tpch}}\n  \
             dwh: {{type: postgresql, {login}, port: {port}, database: dwh}}\n  lite: {{type: sqlite, path: lite.db}}\n"
        );
        if let Some(server) = mariadb {
            text += &format!("  shop: {{type: mysql, {login}, port: {}, database: etl}}\n", server.port);
        }
        std::fs::write(workspace.path().join("etlsched.yaml"), text).expect("a file");
        workspace
    }

    /// Measures the limit and our load in turn; prints both and the median ratio.
    fn pairs(&self, workspace: &TempDir, limit_before: impl Fn(), limit: &str) {
        let mut ratios = Vec::new();
        for _ in 0..PAIRS {
            limit_before();
            let theirs = measure(self.shell(limit), false);
            let ours = measure(etlsched(workspace, &["run", "rows"]), true);
            ratios.push(report(&ours, &theirs));
        }
        median(ratios);
    }

    fn fresh(&self, table: &str, columns: &str) {
        psql(&self.postgresql, "dwh", &format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({columns})"));
    }
}

fn report(ours: &Measured, theirs: &Measured) -> f64 {
    let ratio = ours.wall.as_secs_f64() / theirs.wall.as_secs_f64();
    println!(
        "  etlsched {:.3} s, {} MB ({} MB anonymous); the clients {:.3} s; ratio {ratio:.2}",
        ours.wall.as_secs_f64(),
        ours.resident / 1000,
        ours.anonymous / 1000,
        theirs.wall.as_secs_f64()
    );
    ratio
}

fn median(mut ratios: Vec<f64>) {
    ratios.sort_by(f64::total_cmp);
    println!("  median ratio {:.2}", ratios[ratios.len() / 2]);
}

fn postgresql_to_postgresql(bench: &Bench) {
    let workspace = bench.workspace("data_sources:\n  - {connection: tpch, table: lineitem}\n", None);
    let limit = format!(
        "{} -c 'copy lineitem to stdout (format binary)' | {} -c 'copy limit_binary from stdin (format binary)'",
        bench.psql("tpch"),
        bench.psql("dwh")
    );
    bench.pairs(&workspace, || bench.fresh("limit_binary", LINEITEM), &limit);
}

fn mariadb_to_postgresql(bench: &Bench) {
    let server = own_mariadb(&["--innodb-buffer-pool-size=1G", "--local-infile=1"]);
    mariadb_sql(&server, "etl", &format!("CREATE TABLE lineitem ({LINEITEM})"));
    let file = bench.files.join("lineitem.csv");
    let load = format!(
        "LOAD DATA LOCAL INFILE '{}' INTO TABLE lineitem FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' IGNORE 1 LINES",
        file.display()
    );
    let client = format!("mariadb --no-defaults --local-infile=1 -u root -S {} -D etl", server.folder.join("socket").display());
    bench.run(&format!("{client} -e \"{}\"", load.replace('"', "\\\"")));
    let job = "data_sources:\n  - {connection: shop, table: lineitem, target: from_mariadb}\n";
    let workspace = bench.workspace(job, Some(&server));
    let limit =
        format!("{client} --quick --batch -N -e 'select * from lineitem' | {} -c '\\copy limit_text from stdin'", bench.psql("dwh"));
    bench.pairs(&workspace, || bench.fresh("limit_text", LINEITEM), &limit);
}

fn csv_to_postgresql(bench: &Bench) {
    let path = bench.files.join("lineitem.csv");
    let money = ["l_quantity", "l_extendedprice", "l_discount", "l_tax"].map(|column| format!("{column}: \"decimal(15,2)\"")).join(", ");
    let job = format!("data_sources:\n  - {{name: from_csv, path: '{}', columns: {{types: {{{money}}}}}}}\n", path.display());
    let workspace = bench.workspace(&job, None);
    bench.pairs(&workspace, || bench.fresh("limit_csv", LINEITEM), &bench.copy_csv("dwh", "limit_csv", "lineitem"));
}

fn postgresql_to_sqlite(bench: &Bench) {
    let workspace = bench.workspace("destination: lite\ndata_sources:\n  - {connection: tpch, table: lineitem}\n", None);
    let database = workspace.path().join("limit.db");
    let limit = format!(
        "{} -c 'copy lineitem to stdout (format csv)' | sqlite3 {} \"create table lineitem ({LINEITEM})\" '.mode csv' '.import /dev/stdin lineitem'",
        bench.psql("tpch"),
        database.display()
    );
    bench.pairs(&workspace, || drop(std::fs::remove_file(Path::new(&database))), &limit);
}

/// One order in a hundred changes, then none.
fn merge(bench: &Bench) {
    let job = "data_sources:\n  - connection: tpch\n    table: orders\n    primary_key: [o_orderkey]\n    \
         etl_config: {mode: incremental, timestamp_column: updated_at}\n";
    let workspace = bench.workspace(job, None);
    measure(etlsched(&workspace, &["run", "rows"]), false);
    let pipe = format!(
        "{} -c 'copy (select * from orders) to stdout (format binary)' | {} -c 'copy limit_orders from stdin (format binary)'",
        bench.psql("tpch"),
        bench.psql("dwh")
    );
    bench.fresh("limit_orders", &format!("{ORDERS}, updated_at timestamptz NOT NULL"));
    bench.run(&pipe);
    psql(&bench.postgresql, "dwh", "CREATE INDEX ON limit_orders (updated_at)");
    psql(&bench.postgresql, "dwh", "VACUUM ANALYZE");
    measure(etlsched(&workspace, &["run", "rows"]), false);
    let names = "o_custkey o_orderstatus o_totalprice o_orderdate o_orderpriority o_clerk o_shippriority o_comment updated_at";
    let list = |prefix: &str| names.split(' ').map(|name| format!("{prefix}{name}")).collect::<Vec<_>>().join(", ");
    // What a careful hand would write.
    let limit = format!(
        "since=$({dwh} -A -t -c 'select max(updated_at) from limit_orders')\n\
         {tpch} -c \"copy (select * from orders where updated_at > '$since') to stdout (format binary)\" | {dwh} -c 'begin' \
         -c 'create temp table staged (like limit_orders) on commit drop' -c 'copy staged from stdin (format binary)' \
         -c 'update limit_orders t set ({set}) = row({staged}) from staged s where t.o_orderkey = s.o_orderkey and row({old}) is distinct from row({staged})' \
         -c 'insert into limit_orders select s.* from staged s where not exists (select 1 from limit_orders t where t.o_orderkey = s.o_orderkey)' -c 'commit'",
        dwh = bench.psql("dwh"),
        tpch = bench.psql("tpch"),
        set = list(""),
        staged = list("s."),
        old = list("t.")
    );
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for round in 0..PAIRS {
        let change = format!(
            "UPDATE orders SET o_totalprice = o_totalprice + 1, updated_at = clock_timestamp() WHERE o_orderkey % 100 = {}",
            [1, 33, 67][round % 3]
        );
        psql(&bench.postgresql, "tpch", &change);
        println!("  changed:");
        changed.push(report(&measure(etlsched(&workspace, &["run", "rows"]), true), &measure(bench.shell(&limit), false)));
        println!("  unchanged:");
        unchanged.push(report(&measure(etlsched(&workspace, &["run", "rows"]), true), &measure(bench.shell(&limit), false)));
    }
    median(changed);
    median(unchanged);
}
