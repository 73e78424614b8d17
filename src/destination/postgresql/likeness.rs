//! What a table has beside its rows, as the statements that give it to the table that takes its place; and whether they can give it all.
//!
//! Both are asked of the catalogue alone, and everything that it notes and these queries don't know keeps the table where it is.

use super::session::{Outcome, Session, failed};
use super::table::LiveTable;
use crate::destination::Disposition;

/// Why no other table can take the place of one.
const OBSTACLES: &str = include_str!("catalogue/obstacles.sql");

/// The statements.
const LIKENESS: &str = include_str!("catalogue/likeness.sql");

/// Names are written in full, whatever the login's search path is: what is read here is run elsewhere.
const NO_PATH: &str = "SELECT set_config('search_path', '', true)";

/// What becomes of an index that merges by a key have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// It is made for the successor too.
    Kept,
    /// The load goes by no key: its rows may have equal ones.
    LeftBehind,
}

impl Keys {
    pub(super) fn of(disposition: &Disposition) -> Self {
        if matches!(disposition, Disposition::Full { fold: None, .. }) { Self::LeftBehind } else { Self::Kept }
    }
}

/// What a table has beside its rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Likeness {
    /// Makes the successor, without rows.
    pub make: Vec<String>,
    /// Completes it when it has its rows: indexes and all that rests on them.
    pub complete: Vec<String>,
    /// Gives it what may have changed until nobody else could touch the old table: grants, comments, sequences.
    pub give: Vec<String>,
    /// Gives the parts their names, which the old ones had until now.
    pub name: Vec<String>,
    /// The names of the parts until then, each with the one that people know.
    pub names: Vec<(String, String)>,
    /// What the columns were.
    columns: String,
}

impl Likeness {
    /// Reads the likeness of a table for a successor of that name; `filled` are the columns that the load fills as they are declared.
    /// `None` where the table has to stay. Inside a transaction.
    pub(super) fn read(session: &mut Session, live: &LiveTable, successor: &str, filled: &[&str], keys: Keys) -> Outcome<Option<Self>> {
        let what = format!("looking at what table {} has", live.name);
        let path = session.rows("SELECT current_setting('search_path')", &[]).map_err(failed(&what))?;
        let path: String = path.first().map_or_else(String::new, |row| row.get(0));
        session.rows(NO_PATH, &[]).map_err(failed(&what))?;
        let filled = serde_json::to_string(filled).expect("names are JSON");
        let oid = live.oid.to_string();
        let keys = if keys == Keys::Kept { "kept" } else { "left" };
        let obstacles = session.rows(OBSTACLES, &[Some(&oid), Some(&filled)]).map_err(failed(&what))?;
        let likeness = if obstacles.is_empty() {
            let rows = session.rows(LIKENESS, &[Some(&oid), Some(successor), Some(keys)]).map_err(failed(&what))?;
            Some(Self::of(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2)))))
        } else {
            None
        };
        session.rows("SELECT set_config('search_path', $1, true)", &[Some(&path)]).map_err(failed(&what))?;
        Ok(likeness)
    }

    fn of(rows: impl Iterator<Item = (i32, String, Option<String>)>) -> Self {
        let mut likeness = Self::default();
        for (step, sql, name) in rows {
            match step {
                0 => likeness.names.push((sql, name.unwrap_or_default())),
                1 => likeness.make.push(sql),
                2 => likeness.complete.push(sql),
                3 => likeness.give.push(sql),
                4 => likeness.name.push(sql),
                _ => likeness.columns = sql,
            }
        }
        likeness
    }

    /// Whether a successor that was made and completed by this likeness is still one of a table with that other likeness.
    pub(super) fn still_holds(&self, now: &Self) -> bool {
        self.make == now.make && self.complete == now.complete && self.columns == now.columns
    }
}
