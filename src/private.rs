//! Files and folders below `.etlsched`: readable by their owner alone, whatever the umask is, or by the group that the folder is shared
//! with (`state_group`). What is made there takes after that folder, so nobody needs to be told of the group.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// The folder's name.
pub const FOLDER: &str = ".etlsched";

/// How the names of files begin that are one user's even in a shared folder: a crontab holds strangers' lines.
pub const NEVER_SHARED: &str = "crontab.before";

/// Makes a folder, and those on the way to it, for their owner alone or the group; those that are there stay as they are.
///
/// # Errors
/// What the file system says.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
    }
    match modes::make_folder(path) {
        // Another process of ours was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// Returns the folder that a file would lie in, where it is absent and none of ours: only people make it.
pub fn absent_folder(file: &Path) -> Option<&Path> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let is_ours = folder.ancestors().any(|folder| folder.file_name().is_some_and(|name| name == FOLDER));
    (!is_ours && !folder.exists()).then_some(folder)
}

/// Opens a file, made for its owner alone or the group where the options make one; a file of ours with other rights gets these.
///
/// # Errors
/// What the file system says.
pub fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    modes::prepare(options);
    let file = options.open(path)?;
    modes::settle(&file, path)?;
    Ok(file)
}

/// Returns the Unix mode of a file at a path.
pub fn file_mode(path: &Path) -> u32 {
    let is_ones_own = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NEVER_SHARED));
    if is_shared(path) && !is_ones_own { 0o660 } else { 0o600 }
}

/// Whether a path lies below a `.etlsched` that is shared with a group.
pub fn is_shared(path: &Path) -> bool {
    let folder = path.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == FOLDER));
    folder.and_then(|folder| fs::metadata(folder).ok()).is_some_and(|metadata| modes::is_shared(&metadata))
}

/// Who can read a file beside its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The members of this group.
    Group(u32),
    /// Everybody.
    All,
}

/// Returns who can read a file beside its owner, where the system can tell and anybody can.
pub fn readers(file: &fs::Metadata) -> Option<Readers> {
    modes::readers(file)
}

/// Whether a file or folder belongs to the user of this process.
pub fn is_own(file: &fs::Metadata) -> bool {
    modes::is_own(file)
}

/// Whether a group has a name, or is said by its number.
pub fn is_group(id: u32, name: &str) -> bool {
    modes::is_group(id, name)
}

/// Why a folder can't be shared with a group.
#[derive(Debug, thiserror::Error)]
pub enum NotShared {
    /// There is no such group.
    #[error("this host has no group {0}")]
    NoGroup(String),
    /// The folder is another user's, and is not shared with the group.
    #[error("{0} is not shared with the group {1}, and belongs to another user")]
    NotOurs(String, String),
    /// This user may not give files to the group.
    #[error("sharing {0} with the group {1}: {2}")]
    Failed(String, String, io::Error),
    /// This system has no such groups.
    #[error("files can't be shared with a group on this system")]
    NoGroups,
}

/// Keeps a `.etlsched` of ours for its owner alone; one that is absent, or another user's, stays as it is.
///
/// # Errors
/// What the file system says.
pub fn keep(folder: &Path) -> io::Result<()> {
    modes::keep(folder)
}

/// Makes `.etlsched` where it is absent, and shares it with a group: folders 2770, files 0660, what is there too.
///
/// # Errors
/// Why it can't be shared.
pub fn share(folder: &Path, group: &str) -> Result<(), NotShared> {
    modes::share(folder, group)
}

/// Makes a file that lies elsewhere where it is absent, and shares it with a group; its folder must be shared already.
///
/// # Errors
/// Why it can't be shared.
pub fn share_file(file: &Path, group: &str) -> Result<(), NotShared> {
    modes::share_file(file, group)
}

#[cfg(unix)]
mod modes {
    use std::ffi::CString;
    use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
    use std::path::Path;

    use super::{NotShared, Readers};

    /// Set-group-id, so that new files are the group's (inode(7)), and all rights for owner and group.
    const SHARED: u32 = 0o2770;
    const BITS: u32 = 0o7777;

    pub(super) fn is_shared(folder: &Metadata) -> bool {
        folder.mode() & BITS == SHARED
    }

    pub(super) fn readers(file: &Metadata) -> Option<Readers> {
        match file.mode() {
            mode if mode & 0o004 != 0 => Some(Readers::All),
            mode if mode & 0o040 != 0 => Some(Readers::Group(file.gid())),
            _ => None,
        }
    }

    pub(super) fn is_group(id: u32, name: &str) -> bool {
        group_id(name).is_ok_and(|known| known == id)
    }

    fn folder_mode(path: &Path) -> u32 {
        if super::is_shared(path) { SHARED } else { 0o700 }
    }

    pub(super) fn make_folder(path: &Path) -> io::Result<()> {
        let mode = folder_mode(path);
        DirBuilder::new().mode(mode & 0o777).create(path)?;
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    pub(super) fn prepare(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn settle(file: &File, path: &Path) -> io::Result<()> {
        let (metadata, mode) = (file.metadata()?, super::file_mode(path));
        if metadata.is_file() && metadata.mode() & BITS != mode && is_ours(&metadata) {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    pub(super) fn is_own(file: &Metadata) -> bool {
        file.uid() == rustix::process::geteuid().as_raw()
    }

    /// Whether its rights are this process's to set.
    fn is_ours(metadata: &Metadata) -> bool {
        let us = rustix::process::geteuid();
        us.is_root() || metadata.uid() == us.as_raw()
    }

    pub(super) fn keep(folder: &Path) -> io::Result<()> {
        match fs::symlink_metadata(folder) {
            Ok(metadata) if metadata.is_dir() && metadata.mode() & 0o077 != 0 && is_ours(&metadata) => {
                fs::set_permissions(folder, Permissions::from_mode(0o700))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn share(folder: &Path, group: &str) -> Result<(), NotShared> {
        let id = group_id(group)?;
        let failed = |path: &Path, error| NotShared::Failed(path.display().to_string(), group.to_owned(), error);
        super::make_folder(folder).map_err(|error| failed(folder, error))?;
        let metadata = fs::metadata(folder).map_err(|error| failed(folder, error))?;
        if metadata.gid() == id && is_shared(&metadata) {
            return Ok(());
        }
        if !is_ours(&metadata) {
            return Err(NotShared::NotOurs(folder.display().to_string(), group.to_owned()));
        }
        give_all(folder, id).map_err(|error| failed(folder, error))
    }

    /// Gives a folder and all that is in it to a group, the folder itself last: when it is right, everything is.
    fn give_all(folder: &Path, group: u32) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                give_all(&entry.path(), group)?;
            } else if kind.is_file() && !entry.file_name().to_string_lossy().starts_with(super::NEVER_SHARED) {
                give(&entry.path(), group, 0o660)?;
            }
        }
        give(folder, group, SHARED)
    }

    /// The group first: to change it takes set-group-id away.
    fn give(path: &Path, group: u32, mode: u32) -> io::Result<()> {
        chown(path, None, Some(group))?;
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    pub(super) fn share_file(file: &Path, group: &str) -> Result<(), NotShared> {
        let id = group_id(group)?;
        let failed = |path: &Path, error| NotShared::Failed(path.display().to_string(), group.to_owned(), error);
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let metadata = fs::metadata(folder).map_err(|error| failed(folder, error))?;
        // SQLite makes files beside it, which are to be the group's too.
        if metadata.gid() != id || metadata.mode() & 0o2070 != 0o2070 {
            return Err(NotShared::NotOurs(folder.display().to_string(), group.to_owned()));
        }
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(file, error)),
        }
        let metadata = fs::metadata(file).map_err(|error| failed(file, error))?;
        if metadata.gid() == id && metadata.mode() & 0o060 == 0o060 {
            return Ok(());
        }
        if !is_ours(&metadata) {
            return Err(NotShared::NotOurs(file.display().to_string(), group.to_owned()));
        }
        give(file, id, 0o660).map_err(|error| failed(file, error))
    }

    fn group_id(name: &str) -> Result<u32, NotShared> {
        let none = || NotShared::NoGroup(name.to_owned());
        let text = CString::new(name).map_err(|_| none())?;
        let mut buffer = vec![0_u8; 64 * 1024];
        // SAFETY: a group of zeros is valid (pointers and numbers), and getgrnam_r fills it before it is read.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are to live memory of the sizes given (getgrnam_r(3)).
        let code = unsafe { libc::getgrnam_r(text.as_ptr(), &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found) };
        // One without a name is said by its number.
        if code == 0 && !found.is_null() { Ok(entry.gr_gid) } else { name.parse().map_err(|_| none()) }
    }
}

/// New files take the folder's access list, which under a user's profile is that user's alone.
#[cfg(not(unix))]
mod modes {
    use std::fs::{self, File, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    use super::{NotShared, Readers};

    pub(super) fn is_shared(_folder: &Metadata) -> bool {
        false
    }

    pub(super) fn readers(_file: &Metadata) -> Option<Readers> {
        None
    }

    pub(super) fn is_own(_file: &Metadata) -> bool {
        true
    }

    pub(super) fn is_group(_id: u32, _name: &str) -> bool {
        false
    }

    pub(super) fn make_folder(path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    pub(super) fn prepare(_options: &mut OpenOptions) {}

    pub(super) fn settle(_file: &File, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn keep(_folder: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn share(_folder: &Path, _group: &str) -> Result<(), NotShared> {
        Err(NotShared::NoGroups)
    }

    pub(super) fn share_file(_file: &Path, _group: &str) -> Result<(), NotShared> {
        Err(NotShared::NoGroups)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
    }

    fn make(path: &Path) {
        make_folder(path.parent().expect("a folder")).expect("a folder");
        drop(open(OpenOptions::new().write(true).create(true), path).expect("a file"));
    }

    #[test]
    fn what_is_made_takes_after_the_private_folder_and_a_crontab_never_does() {
        let root = tempfile::tempdir().unwrap();
        let private = root.path().join(FOLDER);
        let [file, crontab] = ["rejects/run/a.csv", "crontab.before-ann"].map(|name| private.join(name));
        make(&file);
        assert_eq!((mode(&private), mode(file.parent().unwrap()), mode(&file)), (0o700, 0o700, 0o600));
        fs::set_permissions(&private, fs::Permissions::from_mode(0o2770)).unwrap();
        let later = private.join("rejects/later/b.csv");
        [&file, &later, &crontab].into_iter().for_each(|path| make(path));
        assert_eq!([mode(&file), mode(&later), mode(&crontab)], [0o660, 0o660, 0o600]);
        assert_eq!(mode(later.parent().unwrap()), 0o2770);
        let elsewhere = root.path().join("shared/x.db");
        make_folder(elsewhere.parent().unwrap()).unwrap();
        fs::set_permissions(elsewhere.parent().unwrap(), fs::Permissions::from_mode(0o2770)).unwrap();
        make(&elsewhere);
        assert_eq!(mode(&elsewhere), 0o600, "only .etlsched is shared by its mode");
        keep(&private).unwrap();
        assert_eq!(mode(&private), 0o700);
    }

    #[test]
    fn a_group_that_is_not_there_is_told_before_anything_is_made() {
        let root = tempfile::tempdir().unwrap();
        let private = root.path().join(FOLDER);
        assert!(matches!(share(&private, "no-such-group"), Err(NotShared::NoGroup(_))));
        assert!(matches!(share(&private, "no\0group"), Err(NotShared::NoGroup(_))));
        assert!(!private.exists());
    }
}
