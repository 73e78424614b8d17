//! The workspace's id, kept beside the store too: targets know by it which workspace owns them, so a store that was lost and made anew
//! takes it again.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::private;

/// The file's name in the private folder.
const FILE: &str = "workspace-id";

/// More than an id and a line's end is no id.
const BYTES_MAX: u64 = 64;

/// The file that keeps the id.
#[derive(Debug, Clone)]
pub(super) struct Keepsake {
    path: PathBuf,
}

impl Keepsake {
    pub(super) fn of(private_folder: &Path) -> Self {
        Self { path: private_folder.join(FILE) }
    }

    /// Returns the id; `None` where there is no file, or one that holds no id.
    pub(super) fn read(&self) -> Option<String> {
        if !fs::metadata(&self.path).ok()?.is_file() {
            return None;
        }
        let mut text = String::new();
        fs::File::open(&self.path).ok()?.take(BYTES_MAX).read_to_string(&mut text).ok()?;
        Some(Uuid::parse_str(text.trim()).ok()?.to_string())
    }

    /// Writes the id where the file doesn't hold it, whole or not at all. A folder that can't be written keeps nobody from working: the store
    /// has the id.
    pub(super) fn write(&self, id: &str) {
        if self.read().as_deref() == Some(id) {
            return;
        }
        let Some(folder) = self.path.parent() else { return };
        // One name for all: what a killed process left is taken up by the next, which finds no id in place.
        let new = folder.join(format!("{FILE}.new"));
        let write = || {
            private::make_folder(folder)?;
            let mut file = private::open(OpenOptions::new().write(true).create(true).truncate(true), &new)?;
            file.write_all(format!("{id}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        if write().is_err() {
            let _ = fs::remove_file(&new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{StateLocation, Store};

    #[test]
    fn a_store_made_anew_takes_the_id_that_was_kept_and_one_that_is_there_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let private = folder.path().join(private::FOLDER);
        let location = StateLocation::Sqlite(private.join("state.db"));
        let open = || Store::open_kept(&location, &private).unwrap();
        let id = open().workspace_id().unwrap();
        let keepsake = Keepsake::of(&private);
        assert_eq!(keepsake.read().as_deref(), Some(id.as_str()));
        fs::remove_file(private.join("state.db")).unwrap();
        assert_eq!(Store::peek_workspace_id(&location, &private).as_deref(), Some(id.as_str()), "asked for without making the store");
        assert!(!private.join("state.db").exists());
        assert_eq!(open().workspace_id().unwrap(), id);
        let other = Uuid::now_v7().to_string();
        fs::write(private.join(FILE), &other).unwrap();
        assert_eq!(open().workspace_id().unwrap(), id, "the store's own id wins");
        assert_eq!(keepsake.read().as_deref(), Some(id.as_str()), "and is kept again");
    }

    #[test]
    fn a_file_that_holds_no_id_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let keepsake = Keepsake::of(folder.path());
        assert_eq!(keepsake.read(), None);
        for text in ["", "x", "\u{0}\u{1}", &"a".repeat(10_000)] {
            fs::write(folder.path().join(FILE), text).unwrap();
            assert_eq!(keepsake.read(), None, "{text:?}");
        }
        fs::remove_file(folder.path().join(FILE)).unwrap();
        fs::create_dir(folder.path().join(FILE)).unwrap();
        assert_eq!(keepsake.read(), None);
        keepsake.write("4a1d6c1e-7c1b-4c52-8d6c-3c3f5a8f5d0b");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "what can't be kept leaves nothing");
    }
}
