//! Files that a workspace keeps for itself: of one user (0700, 0600), or of a group where `.etlsched` is a folder that a group shares
//! (2770, 0660), whatever the umask.

use std::io;
use std::path::Path;

/// The folder of a workspace that is its own.
#[cfg(unix)]
const NAME: &str = ".etlsched";

/// Whether a group shares the workspace's own folder, in which `folder` lies.
#[cfg(unix)]
fn is_shared(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = folder.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == NAME));
    own.and_then(|own| std::fs::metadata(own).ok()).is_some_and(|metadata| metadata.mode() & 0o2070 == 0o2070)
}

/// Makes a folder with those above it; folders that are there stay as they are.
///
/// # Errors
/// What the system says.
#[cfg(unix)]
pub fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if is_shared(folder) {
        missing.into_iter().try_for_each(|made| std::fs::set_permissions(made, std::fs::Permissions::from_mode(0o2770)))?;
    }
    Ok(())
}

/// Makes a folder with those above it; it takes the access list of the one it lies in.
///
/// # Errors
/// What the system says.
#[cfg(not(unix))]
pub fn make_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// Returns the mode of a file in a folder that is there.
#[cfg(unix)]
pub fn file_mode(folder: &Path) -> u32 {
    if is_shared(folder) { 0o660 } else { 0o600 }
}

/// Gives a folder or file to a group, with a mode.
///
/// # Errors
/// There is no such group, or it is another user's.
#[cfg(unix)]
pub fn share(path: &Path, group: &str, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let id = group_id(group).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no group {group}")))?;
    let metadata = std::fs::metadata(path)?;
    if metadata.gid() != id {
        std::os::unix::fs::chown(path, None, Some(id))?;
    }
    if metadata.mode() & 0o7777 != mode {
        // A change of the group may have taken the setgid bit.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(unix)]
fn group_id(name: &str) -> Option<u32> {
    let text = std::ffi::CString::new(name).ok()?;
    let mut buffer = vec![0_u8; 64 * 1024];
    // SAFETY: a group of zeros is valid (pointers and a number), and getgrnam_r fills it before it is read.
    let mut entry: libc::group = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are to live memory of the sizes given (getgrnam_r(3)).
    let code = unsafe { libc::getgrnam_r(text.as_ptr(), &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found) };
    if code == 0 && !found.is_null() { Some(entry.gr_gid) } else { name.parse().ok() }
}
