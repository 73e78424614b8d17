//! PostgreSQL with a small disk of its own: a tablespace on a tmpfs that only the server's mount namespace has, so that it fills up for real.

use std::process::Command;

use super::{NOBODY, Server, initialized, launch, own, postgresql_program, psql};

/// Mounts the disk and becomes the server's user: `nobody` where the tests run as root, else whoever runs them, since a server refuses root.
const SCRIPT: &str = "folder=$1 size=$2 user=$3; shift 3
mount -t tmpfs -o size=\"${size}k\",mode=700 none \"$folder\" || exit 1
if [ \"$user\" = root ]; then chown NOBODY:NOBODY \"$folder\"; exec setpriv --reuid=NOBODY --regid=NOBODY --clear-groups \"$@\"; fi
exec unshare --map-user=\"$user\" \"$@\"";

/// Starts a server with a tablespace `small` on a disk of so many KiB.
pub fn postgresql_on_small_disk(kibibytes: u32) -> Server {
    let server = initialized(&[]);
    let disk = server.folder.join("small");
    std::fs::create_dir(&disk).expect("a folder");
    own(&disk);
    let is_root = rustix::process::geteuid().is_root();
    let mut process = Command::new("unshare");
    process.arg("--mount").args((!is_root).then_some("--map-root-user"));
    let user = if is_root { "root".to_owned() } else { rustix::process::geteuid().as_raw().to_string() };
    process.args(["sh", "-c", &SCRIPT.replace("NOBODY", &NOBODY.to_string()), "sh"]).arg(&disk).args([&kibibytes.to_string(), &user]);
    process.arg(postgresql_program("postgres")).current_dir("/").stdin(std::process::Stdio::null());
    // Space that is freed comes back when a test says so, not by itself.
    launch(process, &server, &["autovacuum=off"]);
    psql(&server, "postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", disk.display()));
    psql(&server, "postgres", "CREATE DATABASE etl TABLESPACE small");
    server
}

/// Fills the disk but for so many pages of 8 KiB.
#[track_caller]
pub fn fill(server: &Server, pages: u32) {
    for table in ["room", "filler"] {
        // Uncompressed, and in its row: one row a page.
        psql(server, "etl", &format!("CREATE TABLE {table} (text text); ALTER TABLE {table} ALTER text SET STORAGE PLAIN"));
    }
    psql(server, "etl", &format!("INSERT INTO room SELECT repeat('x', 7000) FROM generate_series(1, {pages})"));
    let until_full = "DO $$ BEGIN LOOP INSERT INTO filler VALUES (repeat('x', 7000)); END LOOP; EXCEPTION WHEN disk_full THEN NULL; END $$";
    psql(server, "etl", until_full);
    psql(server, "etl", "DROP TABLE room");
}

/// Makes room again.
pub fn clear(server: &Server) {
    psql(server, "etl", "DROP TABLE filler");
}
