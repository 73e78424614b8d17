//! The file of `--log-file`: lines of several processes, each whole, parted by size. What goes wrong with it is told once and never
//! fails a run.
//!
//! Each line opens the file anew, so that nobody writes into one that another process has put aside. A lock of the file itself keeps
//! writers and the one who parts it from each other; where it isn't to be had in time (a process that was stopped holds it), lines
//! are appended without it, each by one write, and nobody parts the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::log_line::{Entry, LogFormat, Stamp, line};
use crate::error::Failure;
use crate::exit_code;
use crate::private;

/// What the user says of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileOptions {
    /// Where it is.
    pub path: PathBuf,
    /// How its lines are written.
    pub format: LogFormat,
    /// How large it may become.
    pub max_bytes: u64,
    /// How many earlier files are kept beside it: `FILE.1` is the latest.
    pub keep: u32,
}

/// A file of log lines.
#[derive(Debug)]
pub struct LogFile {
    options: LogFileOptions,
    has_told: AtomicBool,
    /// Somebody holds the lock and does not let go.
    is_impatient: AtomicBool,
}

/// How often the lock is tried, 10 ms apart: whoever holds it writes one line or renames a few files.
const LOCK_TRIES: u32 = 50;

/// How often a line begins anew since another process has parted the file meanwhile.
const ROUNDS_MAX: u32 = 20;

impl LogFile {
    /// Opens the file, made for its owner alone where it is absent.
    ///
    /// # Errors
    /// No lines can be written there, whatever happens: it is a folder, a link, no plain file, or not this user's to write: exit 4.
    pub fn open(options: LogFileOptions) -> Result<Self, Failure> {
        const PLAIN: &str = "name a plain file, or one that is not there yet, in a folder that is";
        let path = &options.path;
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                return Err(refused(path, "it is a symbolic link, which could lead log lines anywhere", PLAIN));
            }
            Ok(found) if found.is_dir() => return Err(refused(path, "it is a folder", PLAIN)),
            Ok(found) if !found.is_file() => return Err(refused(path, "it is no plain file", PLAIN)),
            _ => {}
        }
        let log = Self { options, has_told: AtomicBool::new(false), is_impatient: AtomicBool::new(false) };
        let path = &log.options.path;
        match open(path) {
            Ok(_) => Ok(log),
            // It may have room again by the next line.
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                log.tell(&error);
                Ok(log)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Err(refused(path, "its folder doesn't exist", &format!("mkdir -p {}", folder.display())))
            }
            Err(error) => Err(refused(path, &error.to_string(), "name a file that this user may write")),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Adds an entry as a line.
    pub fn add(&self, stamp: &Stamp<'_>, entry: &Entry) {
        let mut text = line(self.options.format, stamp, entry);
        text.push('\n');
        if let Err(error) = self.write(text.as_bytes()) {
            self.tell(&error);
        }
    }

    /// Tells once what is wrong with the file.
    fn tell(&self, error: &io::Error) {
        if !self.has_told.swap(true, Ordering::Relaxed) {
            super::note(&format!("warning: --log-file {}: {error}; the run goes on without these lines", self.options.path.display()));
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = open(&self.options.path)?;
        for _ in 0..ROUNDS_MAX {
            let is_locked = self.lock(&file);
            if !is_at(&file, &self.options.path) {
                file = open(&self.options.path)?;
                continue;
            }
            if !is_locked {
                return append(&file, bytes);
            }
            let length = file.metadata()?.len();
            if length > 0 && length.saturating_add(bytes.len() as u64) > self.options.max_bytes {
                match self.part(&file) {
                    Ok(fresh) => {
                        file = fresh;
                        continue;
                    }
                    // The folder isn't ours to write, or the like: the file grows on.
                    Err(error) => self.tell(&io::Error::new(error.kind(), format!("it can't be parted: {error}"))),
                }
            }
            return append_whole(&mut file, bytes, length);
        }
        append(&file, bytes)
    }

    /// Waits for the lock, which ends with the file's closing.
    fn lock(&self, file: &File) -> bool {
        let tries = if self.is_impatient.load(Ordering::Relaxed) { 1 } else { LOCK_TRIES };
        for round in 0..tries {
            match file.try_lock() {
                Ok(()) => return true,
                Err(fs::TryLockError::WouldBlock) if round + 1 < tries => std::thread::sleep(Duration::from_millis(10)),
                Err(fs::TryLockError::WouldBlock) => {}
                // A file system without locks.
                Err(fs::TryLockError::Error(_)) => return false,
            }
        }
        self.is_impatient.store(true, Ordering::Relaxed);
        false
    }

    /// Puts the file aside as `FILE.1`, earlier ones one further each, and makes a new one with its rights. Under the lock.
    fn part(&self, file: &File) -> io::Result<File> {
        let LogFileOptions { path, keep, .. } = &self.options;
        let aside = |number: u32| {
            let mut name = path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..*keep).rev() {
            match fs::rename(aside(number), aside(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let rights = file.metadata()?.permissions();
        fs::rename(path, aside(1))?;
        let fresh = open(path)?;
        // Where this fails the file is its owner's alone.
        let _ = fresh.set_permissions(rights);
        Ok(fresh)
    }
}

fn refused(path: &Path, why: &str, hint: &str) -> Failure {
    Failure::new(exit_code::INVALID, "log_file", format!("--log-file {}: {why}", path.display())).hint(hint)
}

/// Opens the file for one line; one that is there keeps its rights, which may let a group read it.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    settle(&mut options);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => match private::open(options.create_new(true), path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => options.create_new(false).open(path),
            made => made,
        },
        opened => opened,
    }
}

/// Links are not followed, and nothing waits for the other end of a pipe (open(2)).
#[cfg(unix)]
fn settle(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
}

#[cfg(not(unix))]
fn settle(_options: &mut OpenOptions) {}

/// Whether the file that is open is the one at the path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let mark = |found: &fs::Metadata| (found.dev(), found.ino());
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(open), Ok(named)) if mark(&open) == mark(&named))
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Appends by one write, as far as the system takes it.
fn append(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    match file.write(bytes) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(_) => Err(ErrorKind::StorageFull.into()),
        Err(error) => Err(error),
    }
}

/// Appends under the lock: a line that doesn't fit is taken back, one that somebody left without an end gets it.
fn append_whole(file: &mut File, bytes: &[u8], length: u64) -> io::Result<()> {
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
    }
    let ended = if last == *b"\n" { bytes.to_vec() } else { [b"\n", bytes].concat() };
    append(file, &ended).inspect_err(|_| {
        // Where this fails too the next line ends the torn one.
        let _ = file.set_len(length);
    })
}

#[cfg(test)]
#[path = "log_file_tests.rs"]
mod tests;
