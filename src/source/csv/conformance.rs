//! Tables as CSV files, for the suite that every source must pass.

use std::cell::Cell;
use std::fs;

use tempfile::TempDir;

use crate::batch::ColumnType;
use crate::plan::{CsvPlan, Encoding, SourceKind};
use crate::source::conformance::Bench;

/// A folder with a file for each table.
pub(in crate::source) struct Folder {
    folder: TempDir,
    files: Cell<usize>,
}

impl Folder {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), files: Cell::new(0) }
    }

    fn file(&self, ending: &str, bytes: Option<&[u8]>) -> SourceKind {
        self.files.set(self.files.get() + 1);
        let path = self.folder.path().join(format!("{}.{ending}", self.files.get()));
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        SourceKind::Csv(CsvPlan {
            path: path.display().to_string(),
            path_secrets: vec![],
            delimiter: Some(','),
            quote: None,
            header: Some(true),
            encoding: Encoding::Auto,
            null_values: None,
            connect_timeout_seconds: 5,
            allow_link_local: false,
        })
    }
}

impl Bench for Folder {
    fn table(&self, columns: &[(&str, ColumnType)], rows: &[Vec<Option<&str>>]) -> SourceKind {
        let mut text = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",") + "\n";
        for row in rows {
            let field = |(cell, (_, column_type)): (&Option<&str>, &(&str, ColumnType))| match cell {
                Some(cell) if matches!(column_type, ColumnType::Text) => format!("\"{}\"", cell.replace('"', "\"\"")),
                cell => cell.unwrap_or_default().to_owned(),
            };
            text += &(row.iter().zip(columns).map(field).collect::<Vec<_>>().join(",") + "\n");
        }
        self.file("csv", Some(text.as_bytes()))
    }

    /// A compressed file that was cut.
    fn broken(&self) -> SourceKind {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let rows: String = (0..100_000).map(|number| format!("{}\n", number * 7_919 % 100_003)).collect();
        std::io::Write::write_all(&mut encoder, format!("id\n{rows}").as_bytes()).unwrap();
        let whole = encoder.finish().unwrap();
        self.file("csv.gz", Some(&whole[..whole.len() / 2]))
    }

    fn gone(&self) -> SourceKind {
        self.file("csv", None)
    }
}
