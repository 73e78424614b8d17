//! Which errors pass by themselves: the one table of every code that a source, a destination, a connection or a worker ends with.
//!
//! Drivers turn numbers of their engines (SQLSTATE, error numbers, statuses of HTTP) into these codes, in `connect/`, `source/` and
//! `destination/`; a run tries a source again where the table says so, and nowhere else.

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes by itself: the source is tried again.
    Transient,
    /// Somebody must act: trying again would end the same way.
    Permanent,
    /// The error says itself; when it passes stands beside the code.
    ByCase,
}

use Verdict::{ByCase, Permanent, Transient};

/// Every code, what it stands for, and whether it passes. In the order of the alphabet.
pub const CODES: &[(&str, Verdict, &str)] = &[
    ("all_rows_rejected", Permanent, "no row of a source could be loaded"),
    ("bad_check", Permanent, "a query of expect that can't be asked"),
    ("bad_cursor", Permanent, "a cursor that its column can't be compared with"),
    ("bad_name", Permanent, "a column name that the destination can't have"),
    ("bad_target", Permanent, "a table name that the destination can't have"),
    ("bad_window", Permanent, "bounds that its column can't be compared with"),
    ("bookkeeping", Permanent, "tables of etlsched that were changed by others"),
    ("busy", Transient, "another program holds the file's lock"),
    ("cancelled", Permanent, "the run was told to stop"),
    ("cannot_open", Permanent, "a file that can't be opened or made"),
    ("cascade", Permanent, "rows of other tables would go with those replaced"),
    ("changed_file", Permanent, "a file that was loaded before has other content now"),
    ("check_failed", Permanent, "expect doesn't hold"),
    ("conflict", Transient, "a deadlock, a serialization failure, a table altered meanwhile"),
    ("constraint", Permanent, "rows break a rule of the table"),
    ("corrupt", Permanent, "a damaged file"),
    ("cut_short", Transient, "an answer that ended too early"),
    ("database", Permanent, "what the server says, and no other code fits"),
    ("dependents", Permanent, "something depends on the table"),
    ("destination", Permanent, "what SQLite says, and no other code fits"),
    ("disconnected", Transient, "the connection broke, or the server starts up, stops or crashed"),
    ("disk_full", Permanent, "no room at the destination"),
    ("driver_crashed", Transient, "a driver that ended its worker, as some do where a connection is cut"),
    ("duplicate_key", Permanent, "two rows with one key"),
    ("empty_load", Permanent, "a full load of no rows"),
    ("fence_lost", Permanent, "another run of the job has begun"),
    ("file_changed", Transient, "a file was written while it was read"),
    ("forbidden", Permanent, "a right that is missing at a web server"),
    ("forbidden_address", Permanent, "an address that must not be fetched from"),
    ("foreign_key", Permanent, "rows that others refer to"),
    ("foreign_origin", Permanent, "a request that would tell secrets to another origin"),
    ("foreign_table", Permanent, "a table with rows that no load brought"),
    ("http", ByCase, "no answer; passes, unless the request itself can't be made"),
    ("http_status", ByCase, "an answer that is none; 408, 425, 429 and 5xx pass"),
    ("incomplete", Permanent, "a worker that left something unsaid"),
    ("internal", Permanent, "a fault of etlsched"),
    ("interrupted", Permanent, "the run's process was killed"),
    ("invalid", Permanent, "a definition that can't be meant"),
    ("invalid_answer", Permanent, "an answer that contradicts itself, or isn't what was asked for"),
    ("invalid_data", Permanent, "values or bytes that aren't what they must be"),
    ("invalid_header", Permanent, "a header that can't be sent"),
    ("invalid_pagination", Permanent, "a parameter of a page that can't be set"),
    ("invalid_path", Permanent, "a path that can't be read as one"),
    ("invalid_sql", Permanent, "a statement that the engine refuses"),
    ("invalid_token", Permanent, "an answer of a token server without a token"),
    ("invalid_url", Permanent, "a URL that can't be read as one"),
    ("io", ByCase, "the file system; reading a source passes, writing beside it doesn't"),
    ("key_too_long", Permanent, "a key that the destination can't index"),
    ("lease_lost", Permanent, "another run of the job has begun"),
    ("locked", Transient, "another session holds a lock"),
    ("login_failed", Permanent, "user, password or host refused"),
    ("max_pages", Permanent, "more pages than max_pages"),
    ("memory_limit", Permanent, "memory_limit_mb was reached"),
    ("no_columns", Permanent, "nothing to load"),
    ("no_cursor", Permanent, "a column that can't be a cursor"),
    ("no_driver", Permanent, "an ODBC driver that isn't installed"),
    ("no_such_column", Permanent, "a column that isn't there"),
    ("no_such_schema", Permanent, "a schema that isn't there"),
    ("not_a_database", Permanent, "a file that is no database"),
    ("not_exact", Permanent, "a key that can't be compared exactly"),
    ("not_found", Permanent, "a file, table or database that isn't there"),
    ("not_json", Permanent, "an answer in another form than the source's"),
    ("not_permitted", Permanent, "a right that is missing at the destination"),
    ("not_published", Permanent, "the supervisor didn't let the load publish"),
    ("not_ready", Transient, "an answer that the server still prepares"),
    ("not_transactional", Permanent, "a table that can't be rolled back"),
    ("null_cursor", Permanent, "NULL in the cursor column"),
    ("null_key", Permanent, "NULL in the key"),
    ("out_of_memory", Permanent, "SQLite could get no memory"),
    ("owner_clash", Permanent, "a table that another source loads"),
    ("pagination_loop", Permanent, "pages that go round in circles"),
    ("permission_denied", Permanent, "a right that is missing at the source"),
    ("rate_limited", Transient, "more requests than the server takes"),
    ("read_only", Permanent, "a server that takes no writes"),
    ("redirect", Permanent, "a redirect that isn't followed"),
    ("row_too_long", Permanent, "a row that the destination can't take"),
    ("rows_lost", ByCase, "rows that were sent aren't there; passes where they can have gone meanwhile"),
    ("schema_clash", Permanent, "columns that the table can't have"),
    ("schema_frozen", Permanent, "columns changed, and schema_change is freeze"),
    ("server_short", Transient, "a server without room, memory or handles"),
    ("server_too_old", Permanent, "a server that lacks what is needed"),
    ("state", Permanent, "the state store can't be written"),
    ("statement_cancelled", Permanent, "somebody at the server, or its own limit, ended a statement"),
    ("target_changed", Transient, "the table was altered while it was loaded"),
    ("target_not_a_table", Permanent, "a view, or something else, in the table's place"),
    ("timeout", ByCase, "the run's limit doesn't pass; a question that got no answer in time does"),
    ("tls", Permanent, "no encryption, or a certificate that isn't trusted"),
    ("too_large", Permanent, "more than can be taken"),
    ("too_many_bad_rows", Permanent, "more rejected rows than max_bad_rows"),
    ("too_many_columns", Permanent, "more columns than the destination can have"),
    ("unauthorized", Permanent, "credentials that a web server refuses"),
    ("unknown_column", Permanent, "a column that isn't there"),
    ("unknown_records", Permanent, "an answer without the place of its records"),
    ("unreachable", Transient, "no connection: refused, no answer in time, too many connections"),
    ("unsettled", Permanent, "the destination can't tell what was published"),
    ("worker_crashed", Permanent, "a worker that ended in the middle"),
    ("worker_fault", Permanent, "a worker that can't be understood"),
    ("worker_not_started", Transient, "the system starts no more processes now"),
];

/// Returns what the table says of a code; `None` where it isn't there.
pub fn verdict(code: &str) -> Option<Verdict> {
    CODES.binary_search_by_key(&code, |(name, _, _)| name).ok().map(|place| CODES[place].1)
}

/// Whether an error with this code may say this of itself: what drivers say agrees with the table.
pub fn agrees(code: &str, is_transient: bool) -> bool {
    match verdict(code) {
        Some(ByCase) => true,
        Some(told) => (told == Transient) == is_transient,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name().into_string().unwrap();
            if path.is_dir() {
                files(&path, found);
            } else if name.ends_with(".rs") && !name.contains("test") && !name.contains("conformance") {
                found.push(path);
            }
        }
    }

    /// Returns what looks like the code of an error: `refusal("code", ..)`, `code: "code"`, `=> ("code", ..)`.
    fn codes_of(source: &str) -> BTreeSet<String> {
        let openings = [
            "refusal(",
            "refused(",
            "Fault::new(",
            "SourceError::new(",
            "DestinationError::new(",
            "WorkerError::new(",
            "made(",
            "invalid(",
            "code: ",
            "=> (",
            "Self::new(",
            "Failure::new(",
            "Kind::new(",
            "reason(",
            "self.error(",
            "{ (",
        ];
        let mut codes = BTreeSet::new();
        for opening in openings {
            for (place, _) in source.match_indices(opening) {
                let rest = source[place + opening.len()..].trim_start();
                let Some((word, behind)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) else { continue };
                let is_word = !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
                // Pairs of words that mean something else have no text, hint or flag behind them.
                let behind = behind.trim_start_matches(',').trim_start();
                let is_error = opening != "=> (" && opening != "{ ("
                    || ["Some(", "None", "\"", "format!"].iter().any(|start| behind.starts_with(start));
                if is_word && is_error {
                    codes.insert(word.to_owned());
                }
            }
        }
        codes
    }

    #[test]
    fn the_table_is_sorted_and_each_code_stands_once() {
        assert!(CODES.is_sorted_by(|left, right| left.0 < right.0), "{:?}", CODES.iter().map(|code| code.0).collect::<Vec<_>>());
    }

    #[test]
    fn every_code_of_every_driver_is_in_the_table_and_every_row_of_it_is_some_drivers() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        for folder in ["connect", "source", "destination", "load", "engine"] {
            files(&root.join(folder), &mut found);
        }
        found.push(root.join("plan/tables.rs"));
        assert!(found.len() > 80, "{}", found.len());
        let (mut used, mut missing) = (BTreeSet::new(), Vec::new());
        let mut text = String::new();
        for path in &found {
            // A command's own refusals end no source.
            if path.ends_with("engine/refusal.rs") {
                continue;
            }
            let whole = fs::read_to_string(path).unwrap();
            let source = whole.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for code in codes_of(source) {
                if verdict(&code).is_none() {
                    missing.push(format!("{}: {code}", path.display()));
                }
                used.insert(code);
            }
            text.push_str(source);
        }
        assert!(missing.is_empty(), "not in src/plan/verdict.rs: {missing:#?}");
        assert!(used.len() > 50, "{used:?}");
        for (code, _, meaning) in CODES {
            assert!(text.contains(&format!("\"{code}\"")), "no driver has the code {code}");
            assert!(!meaning.is_empty() && !meaning.ends_with('.'), "{code}");
        }
    }

    #[test]
    fn a_code_without_a_row_agrees_with_nothing() {
        assert!(!agrees("surprise", true) && !agrees("surprise", false));
        assert!(agrees("conflict", true) && !agrees("conflict", false));
        assert!(agrees("http_status", true) && agrees("http_status", false));
    }
}
