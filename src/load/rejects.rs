//! Rows that can't be loaded: kept aside with position, column and reason, up to the limit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::Fault;
use crate::plan::{BadRows, OnBadRow};
use crate::private;
use crate::run::RejectReason;
use crate::run::reject_reason::{self, Tally};
use crate::source::RejectedRow;
use crate::text::{count, grouped};

/// Rows that may be rejected where the job says nothing: this many, or one in a hundred, whichever is more.
const ROWS_MAX: u64 = 100;
const PARTS: u64 = 100;

/// The rejected rows of one stream.
#[derive(Debug)]
pub(super) struct Rejects {
    rules: BadRows,
    /// `None` in a dry run: nothing is written anywhere.
    path: Option<PathBuf>,
    file: Option<csv::Writer<BufWriter<File>>>,
    /// How many there were, kept or not.
    rows: u64,
    first: Option<RejectedRow>,
    /// Those that were kept.
    tally: Tally,
    /// Where this stream's rows begin in the file.
    start: u64,
}

impl Rejects {
    /// Begins with no rows; the file is made with the first.
    pub(super) fn new(rules: BadRows, path: Option<PathBuf>) -> Self {
        Self { rules, path, file: None, rows: 0, first: None, tally: Tally::default(), start: 0 }
    }

    /// Returns how many rows were rejected.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns how many rows were rejected for which reason; of more than 20 reasons the first ones.
    pub(super) fn reasons(&self) -> &[RejectReason] {
        self.tally.reasons()
    }

    /// Returns how many rows were rejected, for which reasons where there are several, and why the first was; nothing where none was.
    pub(super) fn in_words(&self) -> Option<String> {
        self.tally.in_words()
    }

    /// Keeps a row aside.
    ///
    /// # Errors
    /// `invalid_data` where the job lets no row go, or more than its own limit went; what the file system says.
    pub(super) fn add(&mut self, row: RejectedRow) -> Result<(), Fault> {
        self.rows += 1;
        if self.rules.on_bad_row == OnBadRow::Fail {
            let hint = "correct the row, declare the column's type as text under columns.types, or set on_bad_row: reject";
            return Err(Fault::new("invalid_data", described(&row)).hint(hint));
        }
        self.write(&row).map_err(|error| self.unwritten(&error))?;
        self.tally.add(&row.position, row.column.as_deref(), &row.reason);
        let first = self.first.get_or_insert(row);
        match self.rules.max_bad_rows {
            Some(max) if self.rows > max => Err(too_many(self.rows, max, first, self.path.as_deref())),
            _ => Ok(()),
        }
    }

    /// Forgets every row of this stream: it is read again from its first row.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.rows = 0;
        self.first = None;
        self.tally = Tally::default();
        if let Some(writer) = self.file.take() {
            let file = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.set_len(self.start)?;
            if self.start == 0 {
                drop(file);
                fs::remove_file(self.path.as_deref().unwrap_or(Path::new("")))?;
            }
        }
        Ok(())
    }

    /// Ends the file, and says whether the rejected rows are within the limit.
    ///
    /// # Errors
    /// `all_rows_rejected` where a whole table would be made of no good row, whatever the limit; `too_many_bad_rows`; what the file system
    /// says.
    pub(super) fn finish(&mut self, rows_read: u64, is_whole_table: bool) -> Result<(), Fault> {
        if let Some(file) = &mut self.file {
            file.flush().map_err(|error| self.unwritten(&error))?;
        }
        let max = self.rules.max_bad_rows.unwrap_or_else(|| ROWS_MAX.max(rows_read / PARTS));
        match &self.first {
            Some(first) if is_whole_table && self.rows == rows_read => Err(none_good(self.rows, first)),
            Some(first) if self.rows > max => Err(too_many(self.rows, max, first, self.path.as_deref())),
            _ => Ok(()),
        }
    }

    fn unwritten(&self, error: &io::Error) -> Fault {
        let path = self.path.as_deref().unwrap_or(Path::new("")).display();
        Fault::new("io", format!("writing rejected rows to {path}: {error}")).hint("look at the folder's permissions and disk")
    }

    fn write(&mut self, row: &RejectedRow) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.file.is_none() {
            let (file, start) = open(path)?;
            let mut writer = csv::Writer::from_writer(BufWriter::new(file));
            if start == 0 {
                writer.write_record(["position", "column", "reason", "raw"])?;
            }
            (self.file, self.start) = (Some(writer), start);
        }
        let file = self.file.as_mut().expect("opened above");
        file.write_record([&row.position, row.column.as_deref().unwrap_or(""), &row.reason, &row.raw])?;
        Ok(())
    }
}

impl Drop for Rejects {
    fn drop(&mut self) {
        if let Some(file) = &mut self.file {
            // Only a load that has failed already ends without `finish`.
            let _ = file.flush();
        }
    }
}

/// Takes away the file of an attempt before.
///
/// # Errors
/// What the file system says.
pub(super) fn forget(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Fault::new("io", format!("beginning the reject file {} anew: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Opens the file for appending; returns its length.
fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(folder) = path.parent() {
        private::make_folder(folder)?;
    }
    let file = private::open(OpenOptions::new().append(true).create(true), path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

fn described(row: &RejectedRow) -> String {
    reject_reason::described(&row.position, row.column.as_deref(), &row.reason)
}

/// A file of which nothing can be loaded was understood wrongly: an empty table would hide that.
fn none_good(rows: u64, first: &RejectedRow) -> Fault {
    let message = format!("every row was rejected ({}); the first: {}", count(rows, "row"), described(first));
    Fault::new("all_rows_rejected", message).hint("look at delimiter, header, encoding and the declared types; nothing was published")
}

fn too_many(rows: u64, max: u64, first: &RejectedRow, path: Option<&Path>) -> Fault {
    let message = format!("{} rejected, at most {} may be; the first: {}", count(rows, "row"), grouped(max), described(first));
    // A dry run writes no reject file.
    let look = if path.is_some() { "look at the reject file, " } else { "" };
    Fault::new("too_many_bad_rows", message).hint(format!("{look}correct the source or its columns.types, or raise max_bad_rows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u32) -> RejectedRow {
        RejectedRow {
            position: format!("a.csv, row {number}"),
            column: Some("n".to_owned()),
            reason: "'x' is not a bigint".to_owned(),
            raw: "x,\"1".to_owned(),
        }
    }

    fn rules(on_bad_row: OnBadRow, max_bad_rows: Option<u64>) -> BadRows {
        BadRows { on_bad_row, max_bad_rows }
    }

    #[test]
    fn no_row_makes_no_file_and_the_first_makes_a_private_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects/run/a.csv");
        let mut rejects = Rejects::new(rules(OnBadRow::Reject, None), Some(path.clone()));
        rejects.finish(10, false).unwrap();
        assert!(!path.exists());
        assert_eq!(rejects.in_words(), None);
        rejects.add(row(7)).unwrap();
        assert_eq!(rejects.in_words().as_deref(), Some("1 row rejected, the first: a.csv, row 7, column n: 'x' is not a bigint"));
        rejects.finish(10, false).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "position,column,reason,raw\n\"a.csv, row 7\",n,'x' is not a bigint,\"x,\"\"1\"\n");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        rejects.restart().unwrap();
        assert!(!path.exists());
        assert_eq!(rejects.rows(), 0);
    }

    #[test]
    fn rows_are_counted_by_what_is_wrong_with_them_whatever_their_value() {
        let mut rejects = Rejects::new(rules(OnBadRow::Reject, None), None);
        let mut add = |column: Option<&str>, reason: &str| {
            let row = RejectedRow { column: column.map(str::to_owned), reason: reason.to_owned(), ..row(1) };
            rejects.add(row).unwrap();
        };
        add(Some("total"), "\"a does not fit b\" does not fit decimal(12,2)");
        add(Some("total"), "1e400 does not fit decimal(12,2)");
        add(Some("day"), "1e400 does not fit date");
        add(Some("id"), "the key is NULL");
        add(None, "a quote opens and never closes");
        (0..50).for_each(|number| add(None, &format!("fault {number}")));
        let reasons: Vec<String> = rejects.reasons().iter().map(|reason| format!("{} {}", reason.rows, reason.what)).collect();
        assert_eq!(reasons.len(), 20);
        let first = ["2 column total does not fit decimal(12,2)", "1 column day does not fit date", "1 column id: the key is NULL"];
        assert_eq!(reasons[..4], [first[0], first[1], first[2], "1 a quote opens and never closes"]);
        assert_eq!(rejects.reasons()[1].first, "a.csv, row 1, column day: 1e400 does not fit date");
        let words = rejects.in_words().unwrap();
        let tally = format!(
            "55 rows rejected (2: {}, 1: {}, 1: {}, 51 rows for other reasons), the first: a.csv, ",
            &first[0][2..],
            &first[1][2..],
            &first[2][2..]
        );
        assert!(words.starts_with(&tally), "{words}");
        rejects.restart().unwrap();
        assert!(rejects.reasons().is_empty());
    }

    #[test]
    fn the_limit_is_a_hundred_or_one_in_a_hundred() {
        let fill = |rows: u32| {
            let mut rejects = Rejects::new(rules(OnBadRow::Reject, None), None);
            (0..rows).for_each(|number| rejects.add(row(number)).unwrap());
            rejects
        };
        assert!(fill(100).finish(100, false).is_ok());
        assert_eq!(fill(101).finish(10_000, false).unwrap_err().error.code, "too_many_bad_rows");
        assert!(fill(101).finish(10_100, false).is_ok());
    }

    #[test]
    fn a_limit_of_the_job_ends_the_load_at_once() {
        let mut rejects = Rejects::new(rules(OnBadRow::Reject, Some(1)), None);
        rejects.add(row(1)).unwrap();
        let fault = rejects.add(row(2)).unwrap_err();
        assert_eq!(fault.error.message, "2 rows rejected, at most 1 may be; the first: a.csv, row 1, column n: 'x' is not a bigint");
        let mut strict = Rejects::new(rules(OnBadRow::Fail, None), None);
        assert_eq!(strict.add(row(3)).unwrap_err().error.code, "invalid_data");
    }

    #[test]
    fn a_table_is_never_made_of_rejected_rows_only() {
        let rules = BadRows { on_bad_row: OnBadRow::Reject, max_bad_rows: None };
        let mut rejects = Rejects::new(rules, None);
        rejects.add(row(1)).unwrap();
        assert_eq!(rejects.finish(1, true).unwrap_err().error.code, "all_rows_rejected");
        rejects.finish(1, false).unwrap();
        rejects.finish(2, true).unwrap();
    }
}
