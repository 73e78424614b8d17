//! Which files of a source the target holds already. Reads files for their hash alone.

use crate::plan::Level;
use crate::run::FileRecord;
use crate::source::{ReadRequest, SourceError};
use crate::text;

use super::input::InputFile;

/// Leaves out the files that the target holds with the same content; returns whether none is left (the list stays whole then), and which
/// ones changed.
pub(super) fn leave_out_known(
    files: &mut Vec<InputFile>,
    request: &ReadRequest<'_>,
    log: &mut Vec<(Level, String)>,
) -> Result<(bool, Vec<String>), SourceError> {
    if !request.is_incremental {
        return Ok((false, Vec::new()));
    }
    let known: std::collections::HashMap<&str, &FileRecord> = request.known_files.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut changed = Vec::new();
    let mut is_known = Vec::with_capacity(files.len());
    for file in files.iter_mut() {
        let Some(record) = known.get(file.identity.as_str()) else {
            is_known.push(false);
            continue;
        };
        file.ensure_hash()?;
        let is_same = file.hash.as_ref() == Some(&record.content_hash);
        is_known.push(is_same);
        if !is_same {
            changed.push(file.identity.clone());
        }
    }
    let count = is_known.iter().filter(|is_known| **is_known).count();
    if count == files.len() {
        log.push((Level::Info, format!("nothing new: {} unchanged", text::count(count as u64, "file"))));
        return Ok((true, changed));
    }
    if count > 0 {
        log.push((Level::Info, format!("{} left out: loaded before, unchanged", text::count(count as u64, "file"))));
    }
    let mut is_known = is_known.into_iter();
    files.retain(|_| !is_known.next().unwrap_or(false));
    Ok((false, changed))
}
