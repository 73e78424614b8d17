//! How much room a file system has, and of what sort it is.

use std::io;
use std::path::Path;

/// What a file system says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Which one it is, for telling two paths of one file system from two file systems.
    pub device: u64,
    /// Bytes of it all.
    pub bytes: u64,
    /// Bytes that this user may still write.
    pub bytes_free: u64,
    /// Files that it can hold; 0 where it has no such limit.
    pub files: u64,
    /// Files that may still be made.
    pub files_free: u64,
    /// Whether it is mounted so that nobody can write.
    pub is_read_only: bool,
    /// What it is, where it is another machine's: `NFS`.
    pub network: Option<&'static str>,
}

/// Returns the room of the file system that holds a path; `None` where this system doesn't tell.
///
/// # Errors
/// The path can't be asked for.
pub fn space(path: &Path) -> io::Result<Option<Space>> {
    system::space(path)
}

/// Whether this user may write at a path, as the system judges it (access(2)).
pub fn is_writable(path: &Path) -> bool {
    system::is_writable(path)
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

    use super::Space;

    pub(super) fn space(path: &Path) -> io::Result<Option<Space>> {
        let device = std::fs::metadata(path)?.dev();
        let said = statvfs(path)?;
        Ok(Some(Space {
            device,
            bytes: said.f_frsize.saturating_mul(said.f_blocks),
            bytes_free: said.f_frsize.saturating_mul(said.f_bavail),
            files: said.f_files,
            files_free: said.f_favail,
            is_read_only: said.f_flag.contains(StatVfsMountFlags::RDONLY),
            network: network(path),
        }))
    }

    pub(super) fn is_writable(path: &Path) -> bool {
        access(path, Access::WRITE_OK).is_ok()
    }

    /// File systems of other machines by their magic numbers (statfs(2), linux/magic.h).
    #[cfg(target_os = "linux")]
    fn network(path: &Path) -> Option<&'static str> {
        let magic = rustix::fs::statfs(path).ok()?.f_type as u32;
        Some(match magic {
            0x6969 => "NFS",
            0xff53_4d42 | 0xfe53_4d42 | 0x517b => "SMB",
            0x5346_414f | 0x6b41_4653 => "AFS",
            0x00c3_6400 => "CephFS",
            0x0bd0_0bd0 => "Lustre",
            0x0116_1970 => "GFS2",
            0x7461_636f => "OCFS2",
            _ => return None,
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn network(_path: &Path) -> Option<&'static str> {
        None
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;
    use std::path::Path;

    use super::Space;

    pub(super) fn space(path: &Path) -> io::Result<Option<Space>> {
        std::fs::metadata(path).map(|_| None)
    }

    pub(super) fn is_writable(path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|metadata| !metadata.permissions().readonly())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_s_file_system_has_room_and_a_missing_folder_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let found = space(folder.path()).unwrap().unwrap();
        assert!(found.bytes >= found.bytes_free && found.bytes > 0 && !found.is_read_only, "{found:?}");
        assert!(is_writable(folder.path()) && !is_writable(&folder.path().join("none")));
        assert_eq!(space(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
