//! Which files of a source the target holds already. Reads files for their hash alone.

use std::collections::{HashMap, HashSet};

use crate::plan::Level;
use crate::run::FileRecord;
use crate::source::{ReadRequest, SourceError};
use crate::text;

use super::input::InputFile;

/// Leaves out the files that the target holds with the same content; returns whether none is left (the list stays whole then), and which
/// ones changed.
///
/// A new name with the content of a file that is gone is that file, renamed: it is left out. Where both names are there, the new one is a
/// file of its own, as it is for a full load; that is told.
pub(super) fn leave_out_known(
    files: &mut Vec<InputFile>,
    request: &ReadRequest<'_>,
    log: &mut Vec<(Level, String)>,
) -> Result<(bool, Vec<String>), SourceError> {
    if !request.is_incremental {
        return Ok((false, Vec::new()));
    }
    let known: HashMap<&str, &FileRecord> = request.known_files.iter().map(|file| (file.path.as_str(), file)).collect();
    let sizes: HashSet<u64> = request.known_files.iter().map(|file| file.size).collect();
    let there: HashSet<String> = files.iter().map(|file| file.identity.clone()).collect();
    let mut gone: Vec<&FileRecord> = request.known_files.iter().filter(|file| !there.contains(&file.path)).collect();
    let (mut changed, mut unchanged, mut renamed) = (Vec::new(), 0, 0);
    let mut is_known = Vec::with_capacity(files.len());
    for file in files.iter_mut() {
        if let Some(record) = known.get(file.identity.as_str()) {
            file.ensure_hash()?;
            let is_same = file.hash.as_ref() == Some(&record.content_hash);
            is_known.push(is_same);
            unchanged += u64::from(is_same);
            if !is_same {
                changed.push(file.identity.clone());
            }
            continue;
        }
        // Only a file of the same size is worth being read for its hash.
        let is_alike = sizes.contains(&file.size());
        if is_alike {
            file.ensure_hash()?;
        }
        let is_equal = |record: &FileRecord| is_alike && record.size == file.size() && Some(&record.content_hash) == file.hash.as_ref();
        let former = gone.iter().position(|record| is_equal(record)).map(|place| gone.swap_remove(place));
        is_known.push(former.is_some());
        if let Some(former) = former {
            renamed += 1;
            log.push((Level::Info, format!("{} is {} under another name: loaded before, left out", file.name, former.path)));
        } else if let Some(twin) = request.known_files.iter().find(|record| is_equal(record)) {
            log.push((
                Level::Warn,
                format!("{} has the same content as {}, which was loaded before; it is loaded too", file.name, twin.path),
            ));
        }
    }
    let renamed_text = if renamed > 0 { format!(", {renamed} renamed") } else { String::new() };
    let told = format!("{} unchanged{renamed_text}", text::count(unchanged, "file"));
    if is_known.iter().all(|is_known| *is_known) {
        log.push((Level::Info, format!("nothing new: {told}")));
        return Ok((true, changed));
    }
    if unchanged > 0 {
        log.push((Level::Info, format!("{} left out: loaded before, unchanged", text::count(unchanged, "file"))));
    }
    let mut is_known = is_known.into_iter();
    files.retain(|_| !is_known.next().unwrap_or(false));
    Ok((false, changed))
}
