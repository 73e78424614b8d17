//! The counterpart of Oracle's driver, `tests/counterparts/oracle.c`, built and told its answers for one test. No server stands behind it.

use std::path::PathBuf;
use std::process::Command;

use super::{folder, program, run};

/// A driver, and the folder of its answers.
#[derive(Debug)]
pub struct OracleDriver {
    pub folder: PathBuf,
}

/// The password of the login. The counterpart takes no more than ASCII.
pub const ORACLE_PASSWORD: &str = "ora;{s}e=cret'\"";

/// What every database answers: its clock, no other transaction, no key.
const COMMON: &str = "? SYS_EXTRACT_UTC(SYSTIMESTAMP)\n\
     CLOCK VARCHAR2(40)|WALL VARCHAR2(40)|ROLE VARCHAR2(40)\n2026-01-01 12:00:00.000000|2026-01-01 13:00:00.000000|PRIMARY\n\n\
     ? GV$TRANSACTION\nSTARTED VARCHAR2(40)\n\n? ALL_CONSTRAINTS\nCOLUMN_NAME VARCHAR2(128)\n\n";

/// Builds the driver; `answers` come before those that every database has.
#[track_caller]
pub fn oracle(answers: &str) -> OracleDriver {
    let folder = folder("etlsched-oracle-");
    assert!(std::path::Path::new("/usr/include/sql.h").exists(), "ODBC's headers are not installed: apt-get install unixodbc-dev");
    let mut build = Command::new(program("gcc", "gcc"));
    build.args(["-shared", "-fPIC", "-D_GNU_SOURCE", "-Wl,-Bsymbolic", "-o"]).arg(folder.join("libsqora.so"));
    build.arg(format!("-DFOLDER=\"{}\"", folder.display()));
    run(build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counterparts/oracle.c")));
    std::fs::write(folder.join("login"), ORACLE_PASSWORD).expect("the password's file");
    let drivers = format!("[Oracle 19 ODBC driver]\nDriver={}\n", folder.join("libsqora.so").display());
    std::fs::write(folder.join("odbcinst.ini"), drivers).expect("the drivers' file");
    let made = OracleDriver { folder };
    made.answers(answers);
    made
}

impl OracleDriver {
    /// Sets the answers from the next statement on.
    pub fn answers(&self, answers: &str) {
        let fresh = self.folder.join("answers.fresh");
        std::fs::write(&fresh, format!("{answers}\n\n{COMMON}")).expect("the answers' file");
        std::fs::rename(fresh, self.folder.join("answers")).expect("the answers' file in its place");
    }

    /// Returns what was said to the driver: statements and their parameters.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).expect("what was said")
    }
}
