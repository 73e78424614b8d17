//! Which time zone the system's clock shows: what the host's scheduler goes by.

use std::fs;
use std::path::Path;

/// Where compiled files of the database lie below, on every system: `/usr/share/zoneinfo/Europe/Berlin`.
const DATABASE: &str = "zoneinfo/";

/// Returns the name of the system's zone; `None` where it can't be known, as on Windows, whose zones have other names.
pub fn system_zone() -> Option<String> {
    if cfg!(unix) { zone_in(Path::new("/")) } else { None }
}

/// Returns the zone that a value of `TZ` names (tzset(3)); `None` where it gives rules in place of a name.
pub fn zone_of_variable(value: &str) -> Option<String> {
    let value = value.strip_prefix(':').unwrap_or(value);
    match value {
        "" => Some("UTC".to_owned()),
        _ if value.starts_with('/') => name_below(value),
        _ => Some(value.to_owned()),
    }
}

/// The C library goes by /etc/localtime, and takes UTC where that is missing or leads nowhere.
fn zone_in(root: &Path) -> Option<String> {
    let path = root.join("etc/localtime");
    if !path.exists() {
        return Some("UTC".to_owned());
    }
    if let Ok(target) = fs::read_link(&path) {
        return name_below(target.to_str()?).or_else(|| name_below(fs::canonicalize(&path).ok()?.to_str()?));
    }
    // A copy has no name: /etc/timezone may give it, and may be older than the copy.
    let name = fs::read_to_string(root.join("etc/timezone")).ok()?;
    let name = name.lines().next()?.trim();
    let original = fs::read(root.join("usr/share/zoneinfo").join(name)).ok()?;
    (fs::read(&path).ok()? == original).then(|| name.to_owned())
}

fn name_below(path: &str) -> Option<String> {
    let name = path.rsplit_once(DATABASE)?.1;
    let name = name.strip_prefix("posix/").unwrap_or(name);
    (!name.is_empty() && !name.starts_with("right/")).then(|| name.to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with etc/ and two zones.
    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        let zones = root.path().join("usr/share/zoneinfo");
        fs::create_dir_all(zones.join("Europe")).expect("a temporary folder");
        fs::create_dir(root.path().join("etc")).expect("a temporary folder");
        fs::write(zones.join("Europe/Berlin"), "berlin").expect("a temporary folder");
        fs::write(zones.join("UTC"), "utc").expect("a temporary folder");
        root
    }

    #[track_caller]
    fn check(root: &tempfile::TempDir, expected: Option<&str>) {
        assert_eq!(zone_in(root.path()).as_deref(), expected);
    }

    #[test]
    fn a_link_names_the_zone() {
        let root = root();
        symlink("../usr/share/zoneinfo/Europe/Berlin", root.path().join("etc/localtime")).unwrap();
        fs::write(root.path().join("etc/timezone"), "UTC\n").unwrap();
        check(&root, Some("Europe/Berlin"));
    }

    #[test]
    fn a_link_to_a_link_names_the_zone() {
        let root = root();
        symlink(root.path().join("usr/share/zoneinfo/Europe/Berlin"), root.path().join("etc/chosen")).unwrap();
        symlink("chosen", root.path().join("etc/localtime")).unwrap();
        check(&root, Some("Europe/Berlin"));
    }

    #[test]
    fn without_a_file_the_clock_shows_utc() {
        let root = root();
        check(&root, Some("UTC"));
        symlink("../usr/share/zoneinfo/Europe/Nowhere", root.path().join("etc/localtime")).unwrap();
        check(&root, Some("UTC"));
    }

    #[test]
    fn a_copy_has_the_name_of_etc_timezone_only_where_that_is_true() {
        let root = root();
        fs::write(root.path().join("etc/localtime"), "berlin").unwrap();
        check(&root, None);
        fs::write(root.path().join("etc/timezone"), "Europe/Berlin\n").unwrap();
        check(&root, Some("Europe/Berlin"));
        fs::write(root.path().join("etc/timezone"), "UTC\n").unwrap();
        check(&root, None);
    }

    #[test]
    fn a_variable_names_a_zone_or_a_file() {
        let name = |value: &str| zone_of_variable(value);
        assert_eq!(name("Europe/Berlin").as_deref(), Some("Europe/Berlin"));
        assert_eq!(name(":/usr/share/zoneinfo/posix/Europe/Berlin").as_deref(), Some("Europe/Berlin"));
        assert_eq!((name("").as_deref(), name("/usr/share/zoneinfo/right/UTC"), name("/etc/localtime")), (Some("UTC"), None, None));
    }
}
