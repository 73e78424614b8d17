//! Finds the files of a CSV source and notices when one changes. Reads no rows.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::plan::{CsvPlan, Encoding};
use crate::run::FileRecord;
use crate::secret::{Masker, Secret};
use crate::source::SourceError;

use super::decode::Decoded;
use super::{fetch, invalid};

/// The most files of one source.
const FILES_MAX: usize = 100_000;

/// One file, local or fetched.
#[derive(Debug)]
pub(super) struct InputFile {
    /// Absolute path or URL, without secrets: what the target's bookkeeping keeps.
    pub identity: String,
    /// The short name for messages.
    pub name: String,
    place: Place,
    stamp: Stamp,
    /// BLAKE3 of the stored bytes, hex, once they were read to the end.
    pub hash: Option<String>,
}

/// Where a file's bytes are.
#[derive(Debug)]
enum Place {
    Local(PathBuf),
    /// A fetched file without a name.
    Spooled(File),
}

/// What tells that a file changed while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified_at_micros: Option<i64>,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        let modified = metadata.modified().ok();
        let modified_at_micros = modified.and_then(|time| match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).ok(),
            Err(before) => i64::try_from(before.duration().as_micros()).ok().map(|micros| -micros),
        });
        Self { size: metadata.len(), modified_at_micros }
    }
}

/// Returns the files that a path, a glob or a URL stands for, sorted by name.
pub(super) fn locate(plan: &CsvPlan) -> Result<Vec<InputFile>, SourceError> {
    let mut files = found(plan)?;
    let masker = masker(plan);
    for file in &mut files {
        let masked = masker.mask(&file.identity);
        if masked != file.identity {
            // The mark tells files apart whose names differ in nothing else.
            file.identity = format!("{masked}#{}", &blake3::hash(file.identity.as_bytes()).to_hex()[..8]);
            file.name = masker.mask(&file.name);
        }
    }
    Ok(files)
}

/// Hides the values of variables in the path, also as a URL spells them.
fn masker(plan: &CsvPlan) -> Masker {
    let as_in_url = |value: &str| {
        let mut url = reqwest::Url::parse("http://host/").ok()?;
        url.set_path(value);
        Some(url.path().trim_start_matches('/').to_owned())
    };
    let values = plan.path_secrets.iter().map(Secret::expose);
    Masker::new(values.flat_map(|value| [Some(value.to_owned()), as_in_url(value)].into_iter().flatten()))
}

fn found(plan: &CsvPlan) -> Result<Vec<InputFile>, SourceError> {
    if fetch::is_url(&plan.path) {
        let fetched = fetch::fetch(plan)?;
        let size = fetched.size;
        let stamp = Stamp { size, modified_at_micros: None };
        return Ok(vec![InputFile {
            identity: fetched.identity,
            name: fetched.name,
            place: Place::Spooled(fetched.file),
            stamp,
            hash: None,
        }]);
    }
    let path = Path::new(&plan.path);
    // A file whose name has brackets is itself before it is a pattern.
    if path.symlink_metadata().is_ok() || !plan.path.contains(['*', '?', '[']) {
        return Ok(vec![local(path.to_owned())?]);
    }
    let mut files = Vec::new();
    let matches = glob::glob(&plan.path).map_err(|error| invalid("invalid_path", format!("{} is not a glob: {error}", plan.path)))?;
    for found in matches {
        let found = found.map_err(|error| io_error("read folder", &error.path().display().to_string(), error.error()))?;
        if files.len() >= FILES_MAX {
            return Err(invalid("invalid_path", format!("{} matches more than {FILES_MAX} files", plan.path)).hint("narrow the glob"));
        }
        if !found.is_dir() {
            files.push(local(found)?);
        }
    }
    if files.is_empty() {
        let error = invalid("not_found", format!("no file matches {}", plan.path));
        return Err(error.hint("check the glob and the folder; a relative path starts at the folder of etlsched.yaml"));
    }
    files.sort_by(|left, right| left.identity.cmp(&right.identity));
    Ok(files)
}

fn local(path: PathBuf) -> Result<InputFile, SourceError> {
    let identity = path.display().to_string();
    let metadata = fs::metadata(&path).map_err(|error| io_error("open", &identity, &error))?;
    if metadata.is_dir() {
        return Err(
            invalid("invalid_path", format!("{identity} is a folder")).hint(format!("name its files with a glob: {identity}/*.csv"))
        );
    }
    if !metadata.is_file() {
        return Err(invalid("invalid_path", format!("{identity} is not a regular file"))
            .hint("pipes and devices can't be read twice; copy it to a file"));
    }
    let name = path.file_name().map_or_else(|| identity.clone(), |name| name.to_string_lossy().into_owned());
    Ok(InputFile { identity, name, place: Place::Local(path), stamp: Stamp::of(&metadata), hash: None })
}

impl InputFile {
    /// Returns the stored size in bytes.
    pub fn size(&self) -> u64 {
        self.stamp.size
    }

    /// Opens the file at its first byte.
    ///
    /// # Errors
    /// Whatever keeps it from being opened; a file that is not the one that was found.
    pub fn open(&self, encoding: Encoding) -> Result<Decoded, SourceError> {
        let file = self.open_raw()?;
        Decoded::new(file, encoding).map_err(|error| self.read_error(&error))
    }

    fn open_raw(&self) -> Result<File, SourceError> {
        match &self.place {
            Place::Local(path) => {
                let file = File::open(path).map_err(|error| io_error("open", &self.identity, &error))?;
                self.require_same(&file)?;
                Ok(file)
            }
            Place::Spooled(file) => {
                let open = || -> io::Result<File> {
                    let mut file = file.try_clone()?;
                    file.rewind()?;
                    Ok(file)
                };
                open().map_err(|error| io_error("read", &self.identity, &error))
            }
        }
    }

    fn require_same(&self, file: &File) -> Result<(), SourceError> {
        let metadata = file.metadata().map_err(|error| io_error("open", &self.identity, &error))?;
        if Stamp::of(&metadata) == self.stamp { Ok(()) } else { Err(self.changed()) }
    }

    /// Demands that exactly the bytes of the file that was found have been read, and keeps their hash.
    ///
    /// # Errors
    /// "changed while being read": transient.
    pub fn close(&mut self, decoded: &Decoded) -> Result<(), SourceError> {
        let stored = decoded.stored();
        let Some(hash) = stored.hash() else { return Err(self.changed()) };
        let hash = hash.to_hex().to_string();
        if stored.bytes.load(std::sync::atomic::Ordering::Relaxed) != self.stamp.size
            || self.hash.as_ref().is_some_and(|before| *before != hash)
        {
            return Err(self.changed());
        }
        if let Place::Local(path) = &self.place {
            let now = fs::metadata(path).map_err(|_| self.changed())?;
            if Stamp::of(&now) != self.stamp {
                return Err(self.changed());
            }
        }
        self.hash = Some(hash);
        Ok(())
    }

    /// Reads the file for its hash alone.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    pub fn ensure_hash(&mut self) -> Result<(), SourceError> {
        if self.hash.is_some() {
            return Ok(());
        }
        let mut file = self.open_raw()?;
        let mut hasher = blake3::Hasher::new();
        let mut block = vec![0; 256 * 1024];
        loop {
            match file.read(&mut block) {
                Ok(0) => break,
                Ok(length) => _ = hasher.update(&block[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(&error)),
            }
        }
        self.require_same(&file)?;
        self.hash = Some(hasher.finalize().to_hex().to_string());
        Ok(())
    }

    /// Returns what the target's bookkeeping keeps, once the file was read.
    pub fn record(&self) -> Option<FileRecord> {
        let content_hash = self.hash.clone()?;
        Some(FileRecord {
            path: self.identity.clone(),
            size: self.stamp.size,
            modified_at_micros: self.stamp.modified_at_micros,
            content_hash,
        })
    }

    /// Makes an error of what reading reported.
    pub fn read_error(&self, error: &io::Error) -> SourceError {
        io_error("read", &self.identity, error)
    }

    fn changed(&self) -> SourceError {
        SourceError {
            code: "file_changed",
            message: format!("{} changed while being read", self.identity),
            hint: Some("write it under another name and rename it when it is complete".to_owned()),
            is_transient: true,
            retry_after: None,
        }
    }
}

fn io_error(verb: &str, what: &str, error: &io::Error) -> SourceError {
    let (code, hint, is_transient) = match error.kind() {
        io::ErrorKind::NotFound => ("not_found", Some("check the path; a relative path starts at the folder of etlsched.yaml"), false),
        io::ErrorKind::PermissionDenied => ("permission_denied", Some("let the user that runs etlsched read it"), false),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            ("invalid_data", Some("the file is damaged, cut short or not what it seems; fetch it again"), false)
        }
        _ => ("io", None, true),
    };
    // zstd reports damage as `Other`.
    let is_damage = error.kind() == io::ErrorKind::Other && error.raw_os_error().is_none();
    SourceError {
        code: if is_damage { "invalid_data" } else { code },
        message: format!("{verb} {what}: {}", describe(error)),
        hint: hint.map(str::to_owned),
        is_transient: is_transient && !is_damage,
        retry_after: None,
    }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::UnexpectedEof => "the compressed data ends too early".to_owned(),
        _ => error.to_string(),
    }
}
